"""Bursts of slow samples become episodes. Pure: (open episodes, samples) -> (open episodes, closed episodes).

Each live path has episodes of its own: one process, one event loop. An episode is a run of breaches in the log whose
lines were written at most the quiet window apart. It is over when two consecutive lines were written further than that
from its last breach: later because the log continued, or earlier because the clock of its machine was set back. One
such line proves nothing, since a client that can write a line can date it. If that line is a breach, it starts a second
open episode, ``aside``. The next line closes ``aside`` if it contradicts it; otherwise ``aside`` continues.

Once a log is read to its end, an episode is also over when the quiet window has passed since its last breach was read.
Lines and clock use the same axis, the time at which lines were written, which grows along a log. So a backlog that is
read at once gives the same episodes as a log that is followed live. Event time does not grow along a log: a request
that waits for its upstream is logged long after its overhead ended. Start, end and duration are event time.

Runs of breaches that certainly belong to one part of an episode are added at once: a storm may be all of a log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import sub
from typing import NamedTuple

from otel_logtail.counts import extent
from otel_logtail.engine.parts import MOST_BREACHES, PART_NS, extend, is_complete, part_of, run_of
from otel_logtail.model import Attributes, Breaches, Episode, Hits, OpenEpisodes, Part, Severity


def close_over(open_: OpenEpisodes, is_over: Callable[[Episode], bool]) -> tuple[OpenEpisodes, tuple[Episode, ...]]:
    """Close the episodes that are over by a clock; return the open and the closed ones."""
    episodes = [episode for episode in (open_.current, open_.aside) if episode is not None]
    left = [episode for episode in episodes if not is_over(episode)]
    if len(left) == len(episodes):
        return open_, ()
    closed = tuple(episode for episode in episodes if episode not in left)
    if not left:
        return OpenEpisodes(), closed
    return OpenEpisodes(left[0], is_away=open_.is_away and left[0] is open_.current), closed


class Growth(NamedTuple):
    """By how much each of some breaches made the time within episodes of at least this severity grow, at its time."""

    severity: Severity
    times_ns: list[int]
    more_ns: list[int]


class Coalesced(NamedTuple):
    """The episodes that are open after a run of samples, its breaches, and the episodes and parts that it completed."""

    open: OpenEpisodes
    breaches: tuple[Breaches, ...]
    closed: tuple[Episode, ...]
    parts: tuple[tuple[Episode, Part], ...]
    growth: tuple[Growth, ...]


def coalesce(
    open_: OpenEpisodes,
    logged_ns: Sequence[int],
    hits: Hits,
    lines: Sequence[int],
    *,
    live: str,
    attributes: Attributes,
    quiet_ns: int,
) -> Coalesced:
    """Group a run of samples in file order.

    Args:
        open_: The episodes that were open before.
        logged_ns: When the line of each sample was written, ok ones included: they show the time of the log.
        hits: The samples that are not ok.
        lines: Their places in ``logged_ns``.
        live: The live path.
        attributes: The attributes that its name gives to its samples.
        quiet_ns: The quiet window.
    """
    run = _Walk(open_, quiet_ns, live, attributes, logged_ns, hits, lines)
    breaches = []
    begin = seen = 0
    while begin < len(hits):
        run.pass_lines(seen, lines[begin])
        episode, end = run.take(begin)
        breaches.append(Breaches(begin, end, episode.trace_id, episode.span_id, part_of(episode).number))
        begin, seen = end, lines[end - 1] + 1
    run.pass_lines(seen, len(logged_ns))
    open_ = OpenEpisodes(run.current, run.aside, run.is_away)
    return Coalesced(open_, tuple(breaches), tuple(run.closed), tuple(run.parts), tuple(run.growth))


class _Walk:
    """The open episodes while a run of samples passes. ``aside`` exists only if the last line was away."""

    def __init__(
        self,
        open_: OpenEpisodes,
        quiet_ns: int,
        live: str,
        attributes: Attributes,
        logged_ns: Sequence[int],
        hits: Hits,
        lines: Sequence[int],
    ) -> None:
        self.current, self.aside, self.is_away = open_.current, open_.aside, open_.is_away
        self.closed: list[Episode] = []
        self.parts: list[tuple[Episode, Part]] = []
        self.growth: list[Growth] = []
        self._quiet_ns = quiet_ns
        self._live = live
        self._attributes = attributes
        self._logged_ns, self._hits, self._lines = logged_ns, hits, lines

    def take(self, hit: int) -> tuple[Episode, int]:
        """Add a breach, and those behind it that certainly belong to the same part; return its episode, and their end.

        Storms are long, so the state does not change with each breach of them.
        """
        logged_ns = self._hits.samples.logged_ns[hit]
        while self.current is not None:
            if abs(logged_ns - self.current.last_ns) <= self._quiet_ns:
                self._agree()
                end = self._end_of_run(self.current, hit)
                self.current = self._extend(self.current, hit, end)
                return self.current, end
            if not self.is_away:
                self.is_away = True
                self.aside = self._extend(None, hit, hit + 1)
                return self.aside, hit + 1
            self._go_on()
        self.current = self._extend(None, hit, hit + 1)
        return self.current, hit + 1

    def _end_of_run(self, episode: Episode, begin: int) -> int:
        """Return the end of a run of breaches of one part, with all lines between them in the time of the episode.

        It may be too early, but the first breach is in the run.
        """
        part, samples, last_ns = part_of(episode), self._hits.samples, episode.last_ns
        most, begun_ns = MOST_BREACHES - part.count, part.begun_ns
        if is_complete(part, samples.time_ns[begin]):
            most, begun_ns = MOST_BREACHES, samples.time_ns[begin]
        end = begin
        for time_ns, logged_ns in zip(
            samples.time_ns[begin : begin + most], samples.logged_ns[begin : begin + most], strict=True
        ):
            if abs(logged_ns - last_ns) > self._quiet_ns or abs(time_ns - begun_ns) > PART_NS:
                break
            last_ns = max(last_ns, logged_ns)
            end += 1
        first, last = self._lines[begin], self._lines[end - 1]
        if last - first == end - 1 - begin:
            return end
        # in the order of time, an ok line is between two breaches that are close enough
        least_ns, most_ns, is_rising = extent(self._logged_ns[first : last + 1])
        least_ns = min(least_ns, episode.last_ns)
        is_within = max(most_ns, episode.last_ns) - least_ns <= self._quiet_ns
        return end if is_within or (is_rising and least_ns == episode.last_ns) else begin + 1

    def pass_lines(self, begin: int, end: int) -> None:
        """Pass the ok lines from ``begin`` to ``end``."""
        logged_ns = self._logged_ns
        while self.current is not None and begin < end:
            earliest_ns, latest_ns = self.current.last_ns - self._quiet_ns, self.current.last_ns + self._quiet_ns
            least_ns, most_ns, _ = extent(logged_ns[begin:end])
            if earliest_ns <= least_ns and most_ns <= latest_ns:
                self._agree()
                return
            for at in range(begin, end):
                if earliest_ns <= logged_ns[at] <= latest_ns:
                    self._agree()
                elif self.is_away:
                    self._go_on()
                    begin = at
                    break
                else:
                    self.is_away = True
            else:
                return

    def _agree(self) -> None:
        """Close ``aside``: a line belongs to the time of the current episode."""
        self.is_away = False
        if self.aside is not None:
            self.closed.append(self.aside)
            self.aside = None

    def _go_on(self) -> None:
        """Close the current episode: a second consecutive line was away from it."""
        if self.current is not None:
            self.closed.append(self.current)
        self.current, self.aside, self.is_away = self.aside, None, False

    def _extend(self, episode: Episode | None, begin: int, end: int) -> Episode:
        run = run_of(self._hits, begin, end)
        after = extend(episode, run, live=self._live, attributes=self._attributes)
        if episode is not None and part_of(after).number > (part := part_of(episode)).number:
            self.parts.append((episode, part))
        self._grow(episode, begin, end)
        return after

    def _grow(self, episode: Episode | None, begin: int, end: int) -> None:
        """Note the growth of an episode with each breach of a run."""
        samples = self._hits.samples
        times = samples.time_ns[begin:end]
        starts = map(sub, times, samples.duration_ns[begin:end])
        if episode is None:
            lengths = [0, *map(sub, accumulate(times, max), accumulate(starts, min))]
        else:
            ends = accumulate(times, max, initial=episode.end_ns)
            lengths = list(map(sub, ends, accumulate(starts, min, initial=episode.start_ns)))
        severities = self._hits.severities[begin:end]
        for severity in (Severity.DEGRADED, Severity.STALL):
            at = before_ns = 0
            if episode is None or episode.severity < severity:
                at = next((at for at, found in enumerate(severities) if found >= severity), len(times))
            elif episode.part is not None:  # an older version, which stored no part, counted no time of the episode
                before_ns = lengths[0]
            after = lengths[at + 1 :]
            self.growth.append(Growth(severity, times[at:], list(map(sub, after, [before_ns, *after]))))
