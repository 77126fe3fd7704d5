"""What time it is in a log, by its lines and by what has passed since they were read. Pure: all times are arguments.

The machine's own clock says the same while a log is followed live, and something else for a log that is replayed, comes
from another machine, or while the clock jumps. It is the bound of what may become final: nothing does before its time
has come by the machine's clock. So a clock that is behind, or a line from the future, makes counts wait and loses none.

Anybody who can write a line can date it, so one line decides nothing. A log has come to a time when two lines in a row
have, and it was set back when two lines in a row say so.

Known limit: two forged lines in a row can turn the time of a log that is behind the machine's clock (a backlog) forward
until two true lines follow. Counts become final too early then, and each late line makes a further row.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from otel_logtail.counts import extent

SILENT_NS = 60 * 10**9
"""A log that gave no sample for so long is simply silent: then its time is the machine's."""

SETTLED_NS = 5 * 10**9
"""A log that gave no sample for so long is read to its end: no line will speak against its last one."""

BACK_NS = 10**9
"""Lines so much older than those before them say that the clock of their machine was set back: their log's time is what
they say now. (Threads that log at once come out of order by less.)"""


class LiveClock(msgspec.Struct, frozen=True):
    """How far the log of one live path has come."""

    reached_ns: int = 0
    """The latest time that two lines in a row had reached."""
    now_ns: int = 0
    """What time it was in this log at ``read_ns``: as ``reached_ns``, and what passed since that line was read."""
    last_ns: int | None = None
    """The time of the last line; None: there was none."""
    read_ns: int = 0
    """When the last line was read, by a monotonic clock."""

    def after(self, logged_ns: Sequence[int], elapsed_ns: int) -> LiveClock:
        """The same behind some more lines (at least one) in file order, which are read at ``elapsed_ns``."""
        last_ns = logged_ns[-1]
        before_ns, passed_ns = (logged_ns[-2], 0) if len(logged_ns) > 1 else (self.last_ns, elapsed_ns - self.read_ns)
        if before_ns is None:
            return LiveClock(last_ns, last_ns, last_ns, elapsed_ns)
        reached_ns = min(before_ns, last_ns)
        now_ns = max(reached_ns, min(before_ns + passed_ns, last_ns))
        is_set_back = max(before_ns, last_ns) < self.reached_ns - BACK_NS
        if self.last_ns is not None and not is_set_back:
            reached_ns = max(reached_ns, self.reached_ns)
            now_ns = max(now_ns, self.now_ns + elapsed_ns - self.read_ns)
        return LiveClock(reached_ns, now_ns, last_ns, elapsed_ns)


class LogClock:
    """The clocks of all live paths of a source."""

    def __init__(self, started_ns: int) -> None:
        self._live: dict[str, LiveClock] = {}
        self._now_ns = 0
        self._read_ns = started_ns
        self.seen_ns = 0
        """The latest time of any line, whether another one agrees or not."""

    def of(self, live: str) -> LiveClock:
        """How far the log of a live path has come."""
        return self._live.get(live, _UNKNOWN)

    def saw(self, live: str, logged_ns: Sequence[int], elapsed_ns: int) -> None:
        """Lines of these times (at least one) were read; ``elapsed_ns`` is a monotonic clock's."""
        before = self.of(live)
        self._live[live] = after = before.after(logged_ns, elapsed_ns)
        self.seen_ns = max(self.seen_ns, extent(logged_ns)[1])
        passed_ns = elapsed_ns - self._read_ns
        if after.reached_ns < before.reached_ns:
            self._now_ns = max(clock.now_ns + elapsed_ns - clock.read_ns for clock in self._live.values())
        else:
            self._now_ns = max(self._now_ns + passed_ns if self._now_ns else 0, after.now_ns)
        self._read_ns = elapsed_ns

    def resume(self, logged_ns: int) -> None:
        """A line had come this far when the last run stopped; of which log is not known."""
        self.seen_ns = max(self.seen_ns, logged_ns)

    def latest_ns(self, elapsed_ns: int, wall_ns: int) -> int:
        """What time it is in the latest of the logs; never later than it is by the machine's clock."""
        silent_ns = elapsed_ns - self._read_ns
        if silent_ns >= SILENT_NS:
            return wall_ns
        now_ns = max(self._now_ns, self.seen_ns if silent_ns >= SETTLED_NS else 0)
        return min(now_ns + silent_ns, wall_ns)

    def due_ns(self, time_ns: int, elapsed_ns: int, wall_ns: int) -> int:
        """How long until it may be so late in the latest of the logs, if no line comes before."""
        silent_ns = elapsed_ns - self._read_ns
        turns_ns = [limit_ns - silent_ns for limit_ns in (SETTLED_NS, SILENT_NS) if silent_ns < limit_ns]
        return min([time_ns - self.latest_ns(elapsed_ns, wall_ns), *turns_ns])


_UNKNOWN = LiveClock()
