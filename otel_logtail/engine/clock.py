"""The time of a log, from its lines and the time since they were read. Pure: all times are arguments.

It equals the machine's clock while a log is followed live. It differs for a log that is replayed or was written on
another machine, and while the clock jumps. Nothing becomes final before the machine's clock has reached its time. So if
that clock is behind, or a line is from the future, counts wait and none is lost.

A client that can write a line can date it, so a single line decides nothing. A log has reached a time when two
consecutive lines have, and its clock was set back when two consecutive lines show it.

Known limit: two consecutive forged lines can advance the time of a log that is behind the machine's clock (a backlog)
until two true lines follow. Counts then become final too early, and each late line adds a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from otel_logtail.counts import extent

SILENT_NS = 60 * 10**9
"""A log without a sample for this long is silent: the machine's clock is its time."""

SETTLED_NS = 5 * 10**9
"""A log without a sample for this long is read to its end: no line will contradict its last one."""

BACK_NS = 10**9
"""Lines that are older by this much than those before show that the clock of their machine was set back. Then the time
of their log is set back too. Threads that log at the same time are out of order by less."""


class LiveClock(msgspec.Struct, frozen=True):
    """The time of the log of one live path."""

    reached_ns: int = 0
    """The latest time that two consecutive lines have reached."""
    now_ns: int = 0
    """The time of this log at ``read_ns``: ``reached_ns`` and the time since that line was read."""
    last_ns: int | None = None
    """The time of the last line; None: there was no line."""
    read_ns: int = 0
    """When the last line was read, by a monotonic clock."""

    def after(self, logged_ns: Sequence[int], elapsed_ns: int) -> LiveClock:
        """Return the clock after further lines (at least one) in file order, which are read at ``elapsed_ns``."""
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
        """The latest time of any line, even if no other line has reached it."""

    def of(self, live: str) -> LiveClock:
        """Return the clock of a live path."""
        return self._live.get(live, _UNKNOWN)

    def saw(self, live: str, logged_ns: Sequence[int], elapsed_ns: int) -> None:
        """Take into account lines of these times (at least one), read at ``elapsed_ns`` by a monotonic clock."""
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
        """Start at the time that a line of any log had reached when the last run stopped."""
        self.seen_ns = max(self.seen_ns, logged_ns)

    def latest_ns(self, elapsed_ns: int, wall_ns: int) -> int:
        """Return the time of the latest log, at most that of the machine's clock."""
        silent_ns = elapsed_ns - self._read_ns
        if silent_ns >= SILENT_NS:
            return wall_ns
        now_ns = max(self._now_ns, self.seen_ns if silent_ns >= SETTLED_NS else 0)
        return min(now_ns + silent_ns, wall_ns)

    def due_ns(self, time_ns: int, elapsed_ns: int, wall_ns: int) -> int:
        """Return how long until the latest log may reach ``time_ns``, if no line arrives before."""
        silent_ns = elapsed_ns - self._read_ns
        turns_ns = [limit_ns - silent_ns for limit_ns in (SETTLED_NS, SILENT_NS) if silent_ns < limit_ns]
        return min([time_ns - self.latest_ns(elapsed_ns, wall_ns), *turns_ns])


_UNKNOWN = LiveClock()
