"""One source's log as a function: a chunk, or the time, becomes a batch for the store. Pure.

Invariants:
  * ``feed``, ``tick`` and ``finish`` change nothing, so a batch whose commit fails is computed again from the same
    chunk. ``committed`` adopts a batch once the store has it;
  * samples, episodes and counts depend on the lines alone: they are the same whether a log is followed live or read
    later, and however it is cut into chunks. The time only decides when they become final;
  * memory is bounded by the number of live paths. The open intervals are in the store, which returns the end of the
    earliest one with each commit.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

import msgspec

from otel_logtail.counts import SampleKey, add, bounds
from otel_logtail.engine.clock import LogClock
from otel_logtail.engine.episodes import Coalesced, coalesce
from otel_logtail.engine.framing import AUTO, Framing
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.intervals import Aggregated, aggregate, aggregate_episodes, aggregate_growth
from otel_logtail.engine.joiner import Joiner
from otel_logtail.engine.lines import read_lines
from otel_logtail.engine.marks import MarkFinder
from otel_logtail.engine.pending import Pending
from otel_logtail.engine.scan import Scanned, scan_lines, without
from otel_logtail.exporter import REPEAT_NS
from otel_logtail.model import (
    Attributes,
    Batch,
    Chunk,
    Counts,
    Episode,
    IntervalKey,
    OpenEpisodes,
    SourceInfo,
    Unfinished,
)
from otel_logtail.observer import Observer

LATE_NS = 300 * 10**9
"""While a backlog is read, an interval closes when the log is this far past it: a line is late by the duration of its
request. At the end of the log the clock closes intervals, so that none waits for a line that may never arrive."""

SETTLE_NS = 250_000_000
"""How long after its time a line may become visible: the clock closes nothing that is younger. It is at most half an
interval, since short intervals are chosen to see data soon; a later line is one more row."""


class Now(msgspec.Struct, frozen=True):
    """The time by the machine's clock, which can be set, and by a monotonic clock."""

    wall_ns: int
    elapsed_ns: int


class _Lengths(msgspec.Struct, frozen=True):
    """The thresholds and lengths of one source; ``bounds_ns`` are those of its histograms."""

    thresholds: Thresholds
    bounds_ns: tuple[int, ...]
    interval_ns: int
    settle_ns: int


class Engine:
    """The open episodes of one source, and the time of its log."""

    def __init__(
        self,
        info: SourceInfo,
        observer: Observer,
        *,
        interval_ns: int,
        unfinished: Unfinished,
        now: Now,
        framing: str = AUTO,
    ) -> None:
        self.info = info
        self._observer = observer
        self._rule = observer.paths()
        self._framing = Framing(framing, observer.marker)
        self._marks = MarkFinder(observer, framing)
        self._lengths = _Lengths(
            thresholds=Thresholds(info.threshold_ns, info.stall_ns),
            bounds_ns=bounds(info.threshold_ns, info.stall_ns),
            interval_ns=interval_ns,
            settle_ns=min(SETTLE_NS, interval_ns // 2),
        )
        self._pending = Pending(unfinished.episodes, now.elapsed_ns)
        self._first_end_ns = unfinished.first_end_ns
        self._ticked_ns = 0
        self._clock = LogClock(now.elapsed_ns)
        if unfinished.last_start_ns is not None:  # open intervals need not wait for the next line
            self._clock.resume(unfinished.last_start_ns)

    def open_episodes(self, live: str) -> OpenEpisodes:
        """Return the open episodes of a live path."""
        return self._pending.of(live)

    def come_to_ns(self, live: str) -> int:
        """Return the time that the log of a live path has reached; 0 before its first line."""
        return self._clock.of(live).reached_ns

    def ahead_ns(self, now: Now) -> int:
        """Return how far the latest line is ahead of the machine's clock; negative if it is behind."""
        return self._clock.seen_ns - now.wall_ns

    def feed(
        self,
        chunk: Chunk,
        now: Now,
        waiting: Collection[str] = (),
        stored: Mapping[SampleKey, int] | None = None,
    ) -> Batch:
        """Return the batch of a chunk.

        Args:
            chunk: Whole lines of one file.
            now: The time.
            waiting: The live paths that have more to read.
            stored: Samples of the store whose lines may be in this chunk too (:attr:`FileState.doubt`).
        """
        live = chunk.after.live
        attributes = self._rule.attributes_of(live.rpartition("/")[2])
        # the first chunk of a file continues what the file before it has not finished
        joiner = Joiner(self._framing, chunk.after.parts, is_new_file=chunk.after.offset == chunk.advanced)
        scanned = self._scan(chunk, joiner, stored)
        lines, before = scanned.in_order(), self.open_episodes(live)
        grouped = coalesce(before, *lines, live=live, attributes=attributes, quiet_ns=self.info.quiet_ns)
        seal_until_ns = self._seal_behind(live, scanned.samples.logged_ns, now, waiting)
        counts, sparse = self._count(scanned, grouped, attributes, seal_until_ns or 0)
        marked = self._marks.find(chunk.buffer, chunk.start, chunk.end, chunk.base)
        return Batch(
            source=self.info.id,
            file=msgspec.structs.replace(chunk.after, parts=joiner.parts),
            continued=chunk.continued,
            attributes=attributes,
            samples=scanned.samples,
            hits=lines[1],
            breaches=grouped.breaches,
            counts=counts,
            sparse=tuple(sparse),
            open_episodes={} if grouped.open == before else {live: grouped.open},
            closed=grouped.closed,
            parts=grouped.parts,
            marks=marked.marks,
            tally=marked.counted_in(scanned.tally),
            drifted=scanned.drifted or marked.drifted,
            seal_until_ns=seal_until_ns,
        )

    def _scan(self, chunk: Chunk, joiner: Joiner, stored: Mapping[SampleKey, int] | None) -> Scanned:
        lines = read_lines(chunk.buffer, chunk.start, chunk.end, chunk.base, joiner)
        scanned = scan_lines(self._observer, lines, self.info.name, self._lengths.thresholds)
        if stored:
            scanned = without(scanned, stored, chunk.after.doubt)
        oversized = joiner.oversized + chunk.oversized
        tally = msgspec.structs.replace(scanned.tally, bytes=chunk.advanced, oversized=oversized)
        return msgspec.structs.replace(scanned, tally=tally)

    def _count(self, scanned: Scanned, grouped: Coalesced, attributes: Attributes, closed_ns: int) -> Aggregated:
        """Return what the samples and episodes of a chunk add to the intervals."""
        counts, sparse = aggregate(
            scanned.samples,
            scanned.hits,
            attributes=attributes,
            interval_ns=self._lengths.interval_ns,
            bounds_ns=self._lengths.bounds_ns,
            closed_ns=closed_ns,
        )
        self._add_episodes(counts, grouped.closed)
        counts |= aggregate_growth(grouped.growth, interval_ns=self._lengths.interval_ns)
        return Aggregated(counts, sparse)

    def tick(self, now: Now) -> Batch | None:
        """Return what is over by now, if all logs are read to their end; None: nothing is."""
        left, closed = self._pending.close(lambda _, read_ns: now.elapsed_ns >= self._over_ns(read_ns))
        log_ns = self._clock.latest_ns(now.elapsed_ns, now.wall_ns) - self._lengths.settle_ns
        is_due = self._first_end_ns is not None and self._first_end_ns <= log_ns
        if not closed and not is_due and abs(log_ns - self._ticked_ns) < REPEAT_NS:
            return None
        return self._timed(left, closed, log_ns)

    def finish(self, now: Now) -> Batch | None:
        """Return what is over by the machine's clock when nothing more is read for now; None: nothing (more) is.

        Intervals and episodes of lines from the future stay open. Otherwise all lines until then would be late.
        """
        last_ns = now.wall_ns - self._lengths.settle_ns - self.info.quiet_ns
        left, closed = self._pending.close(lambda episode, _: episode.last_ns < last_ns)
        until_ns = now.wall_ns + self._lengths.interval_ns
        if not closed and (self._first_end_ns is None or self._first_end_ns > until_ns):
            return None
        return self._timed(left, closed, until_ns, is_last=True)

    def committed(self, batch: Batch, now: Now, first_end_ns: int | None) -> None:
        """Adopt a batch that the store has now.

        Args:
            batch: The committed batch.
            now: The time with which it was computed.
            first_end_ns: The end of the earliest interval that is still open; None: none is.
        """
        for live, open_ in batch.open_episodes.items():
            self._pending.replace(live, open_, now.elapsed_ns)
        if batch.file is None:
            self._ticked_ns = batch.seal_until_ns or 0
        elif batch.samples.logged_ns:
            self._clock.saw(batch.file.live, batch.samples.logged_ns, now.elapsed_ns)
        self._first_end_ns = first_end_ns

    def due_s(self, now: Now) -> float:
        """Return the seconds until ``tick`` has something to do if no line arrives; infinite if nothing is open."""
        waits_ns = [self._over_ns(read_ns) - now.elapsed_ns for read_ns in self._pending.read_ns()]
        if self._first_end_ns is not None:
            waits_ns.append(
                self._clock.due_ns(self._first_end_ns + self._lengths.settle_ns, now.elapsed_ns, now.wall_ns)
            )
        return min(waits_ns) / 1e9 + 0.001 if waits_ns else math.inf

    def _over_ns(self, read_ns: int) -> int:
        """Return when an episode whose last breach was read then is over, by the monotonic clock."""
        return read_ns + self.info.quiet_ns + self._lengths.settle_ns

    def _timed(
        self, left: Mapping[str, OpenEpisodes], closed: list[Episode], until_ns: int, *, is_last: bool = False
    ) -> Batch:
        counts: dict[IntervalKey, Counts] = {}
        self._add_episodes(counts, closed)
        return Batch(
            source=self.info.id,
            counts=counts,
            open_episodes=left,
            closed=tuple(closed),
            seal_until_ns=until_ns,
            is_last=is_last,
        )

    def _add_episodes(self, counts: dict[IntervalKey, Counts], closed: Iterable[Episode]) -> None:
        for key, more in aggregate_episodes(
            closed, interval_ns=self._lengths.interval_ns, bounds_ns=self._lengths.bounds_ns
        ).items():
            add(counts.setdefault(key, Counts()), more)

    def _seal_behind(self, live: str, logged_ns: list[int], now: Now, waiting: Collection[str]) -> int | None:
        """Return the time up to which intervals may close while logs are read: all logs are well past it."""
        clock = self._clock.of(live)
        come_to_ns = clock.after(logged_ns, now.elapsed_ns).reached_ns if logged_ns else clock.reached_ns
        behind_ns = [self.come_to_ns(other) for other in waiting if other != live]
        until_ns = min(min([come_to_ns, *behind_ns]) - LATE_NS, now.wall_ns)
        return until_ns if until_ns > 0 else None
