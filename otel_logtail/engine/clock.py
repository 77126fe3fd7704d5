"""What time it is in a log that is read to its end: its last line's time, and what has passed since we read it.

The machine's own clock says the same while a log is followed live, and something else for a log that is replayed, comes
from another machine, or while the clock jumps. Pure: all times come in as values.
"""

from __future__ import annotations

SILENT_NS = 60 * 10**9
"""A log that gave no sample for so long is simply silent: then its time is the machine's."""

BACK_NS = 10**9
"""A line so much older than the one before it says that the clock of its machine was set back: its log's time is what
it says now. (Threads that log at once come out of order by less.)"""


class LogClock:
    """The clocks of all live paths of a source."""

    def __init__(self, started_ns: int) -> None:
        self._lines: dict[str, tuple[int, int]] = {}
        self._latest = (0, started_ns)

    def saw(self, live: str, logged_ns: int, elapsed_ns: int) -> None:
        """A line of this time was read; ``elapsed_ns`` is a monotonic clock's."""
        before = self._lines.get(live, (0, 0))[0]
        if self.is_set_back(live, logged_ns):
            self._lines[live] = (logged_ns, elapsed_ns)
            self._latest = (max(come_to_ns for come_to_ns, _ in self._lines.values()), elapsed_ns)
        else:
            self._lines[live] = (max(before, logged_ns), elapsed_ns)
            self._latest = (max(self._latest[0], logged_ns), elapsed_ns)

    def is_set_back(self, live: str, logged_ns: int) -> bool:
        """Whether a line of this time says that the clock of its machine was set back."""
        return self.come_to_ns(live) - logged_ns > BACK_NS

    def resume(self, logged_ns: int, elapsed_ns: int) -> None:
        """The logs had come this far when we stopped; of which of them is not known."""
        self._latest = (max(self._latest[0], logged_ns), elapsed_ns)

    def come_to_ns(self, live: str) -> int:
        """The time of the latest line of a live path; 0 before the first."""
        return self._lines.get(live, (0, 0))[0]

    def now_ns(self, live: str, elapsed_ns: int) -> int:
        """What time it is in the log of this live path; 0 before its first line."""
        logged_ns, read_ns = self._lines.get(live, (0, elapsed_ns))
        return logged_ns + (elapsed_ns - read_ns)

    def latest_ns(self, elapsed_ns: int, wall_ns: int) -> int:
        """What time it is in the latest of the logs; the machine's once none gave a line for long."""
        logged_ns, read_ns = self._latest
        silent_ns = elapsed_ns - read_ns
        return max(logged_ns + silent_ns, wall_ns) if silent_ns >= SILENT_NS else logged_ns + silent_ns
