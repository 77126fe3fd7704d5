"""One source's pipeline: a chunk of its log through observe, coalesce and aggregate into one commit.

Nothing of a chunk is kept in memory unless it is committed: when a commit fails, the same bytes come again.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable

import msgspec

from otel_logtail.counts import add, bounds
from otel_logtail.engine.clock import LogClock
from otel_logtail.engine.episodes import close_over, coalesce
from otel_logtail.engine.intervals import aggregate, aggregate_episodes
from otel_logtail.engine.scan import Thresholds, scan
from otel_logtail.events import Reporter
from otel_logtail.exporter import REPEAT_NS
from otel_logtail.model import Batch, Counts, Episode, IntervalKey, OpenEpisodes, SourceInfo, Tally
from otel_logtail.observer import Observer, PathRule
from otel_logtail.store.writer import Committed, Store
from otel_logtail.tail.lines import CHUNK_BYTES, SPARSE_BYTES, Chunk
from otel_logtail.tail.live import PathTail
from otel_logtail.tail.tailer import Tail

LATE_NS = 300 * 10**9
"""While a backlog is read, an interval is sealed when the log is this far past it: lines come late by as long as their
requests took. (At the end of the log the clock seals: nothing waits for lines that may never come.)"""

SETTLE_NS = 250_000_000
"""How long after its time a line may become visible to us: the clock closes and seals nothing that is younger. (At most
half an interval: who wants short ones wants to see them soon, and a line that is later is one more row.)"""

AHEAD_NS = 60 * 10**9
"""How far ahead of the machine's clock a line may be before that is reported: its counts wait for the clock."""

MANY_SAMPLES = 1000
"""How many samples a transaction may hold before it is worth more, in memory, than it saves."""


class SourceRun:
    """One source: its tail, what is open of it, and how far its log has come."""

    def __init__(
        self,
        info: SourceInfo,
        observer: Observer,
        rule: PathRule,
        tail: Tail,
        store: Store,
        reporter: Reporter,
        *,
        interval_ns: int,
    ) -> None:
        self.info = info
        self.tail = tail
        self._observer = observer
        self._rule = rule
        self._store = store
        self._reporter = reporter
        self._interval_ns = interval_ns
        self._settle_ns = min(SETTLE_NS, interval_ns // 2)
        self._thresholds = Thresholds(info.threshold_ns, info.stall_ns)
        self._bounds_ns = bounds(info.threshold_ns, info.stall_ns)
        elapsed_ns = time.monotonic_ns()
        self._open = store.open_episodes(info.id)
        self._read_ns = {episode.span_id: elapsed_ns for open_ in self._open.values() for episode in _both(open_)}
        """When the last breach of each open episode was read, by a monotonic clock."""
        self._clock = LogClock(elapsed_ns)
        come_to_ns = store.last_open_start_ns(info.id)
        if come_to_ns is not None:  # what is open need not wait for the next line
            self._clock.resume(come_to_ns)
        self._sealed_ns = 0
        self._read_bytes = CHUNK_BYTES

    def step(self, now_s: float) -> bool | None:
        """Read, work out and commit one chunk.

        Returns whether exporters have something new; None when everything is read to its end.

        Raises:
            StoreError: it could not be committed; the same chunk comes again.
        """
        found = self.tail.read(self._reached_ns, now_s, self._read_bytes)
        if found is None:
            return None
        tail, chunk = found
        return self._take(tail, chunk)

    def _reached_ns(self, live: str) -> int:
        return self._clock.of(live).reached_ns

    def _take(self, tail: PathTail, chunk: Chunk) -> bool:
        live, info = tail.live, self.info
        attributes = self._rule.attributes_of(os.path.basename(live))  # noqa: PTH119 - once a chunk, on a string
        scanned = scan(
            self._observer,
            chunk.buffer,
            chunk.base,
            start=chunk.start,
            end=chunk.end,
            source=info.name,
            thresholds=self._thresholds,
        )
        before = self._open.get(live, _NONE)
        open_, breaches, closed = coalesce(
            before, scanned.samples.logged_ns, scanned.hits, live=live, attributes=attributes, quiet_ns=info.quiet_ns
        )
        counts = aggregate(
            scanned.samples,
            scanned.hits,
            attributes=attributes,
            interval_ns=self._interval_ns,
            bounds_ns=self._bounds_ns,
        )
        self._add_episodes(counts, closed)
        logged_ns, elapsed_ns = scanned.samples.logged_ns, time.monotonic_ns()
        tally = msgspec.structs.replace(scanned.tally, bytes=chunk.advanced, oversized=chunk.oversized)
        committed = self._store.commit(
            Batch(
                source=info.id,
                file=chunk.after,
                attributes=attributes,
                samples=scanned.samples,
                breaches=breaches,
                counts=counts,
                open_episodes={} if open_ == before else {live: open_},
                closed=closed,
                tally=tally,
                seal_until_ns=self._seal_behind(live, logged_ns, elapsed_ns),
            )
        )
        tail.accept(chunk)
        sparse = tally.samples * SPARSE_BYTES <= chunk.advanced * MANY_SAMPLES
        self._read_bytes = SPARSE_BYTES if sparse else CHUNK_BYTES
        self._keep(live, open_, elapsed_ns)
        if logged_ns:
            self._clock.saw(live, logged_ns, elapsed_ns)
        self._say_ahead()
        self._say(scanned.drifted, tally, chunk)
        self._say_mended(committed)
        return bool(committed.sealed or committed.closed or committed.breaches)

    def tick(self) -> bool:
        """Let time close and seal what it may: only what belongs to a log that is read to its end.

        Returns whether exporters have something new.
        """
        if self.tail.ready:
            return False
        elapsed_ns = time.monotonic_ns()
        left, closed = self._close(lambda episode: elapsed_ns >= self._over_ns(episode))
        now_ns = self._clock.latest_ns(elapsed_ns, time.time_ns()) - self._settle_ns
        seal_ns = self._store.next_seal_ns(self.info.id)
        due = seal_ns is not None and seal_ns <= now_ns
        self._say_ahead()
        if not closed and not due and abs(now_ns - self._sealed_ns) < REPEAT_NS:
            return False
        self._commit_closed(left, closed, now_ns, elapsed_ns)
        return True

    def finish(self, now_ns: int) -> None:
        """Seal what is open and close what is over by the machine's clock: nothing more is read for now."""
        left, closed = self._close(lambda episode: now_ns - self._settle_ns > episode.last_ns + self.info.quiet_ns)
        # not what a line from the future has opened: it would make all that comes until then late
        latest_ns = now_ns + self._interval_ns
        ends_ns = [min(episode.end_ns + self._interval_ns, latest_ns) for episode in closed]
        open_ns = self._store.last_open_ns(self.info.id, latest_ns)
        if open_ns is not None:
            ends_ns.append(open_ns)
        while ends_ns:
            self._commit_closed(left, closed, max(ends_ns), time.monotonic_ns())
            seal_ns = self._store.next_seal_ns(self.info.id)
            if seal_ns is None or seal_ns > max(ends_ns):
                break
            left, closed = {}, []

    def due_s(self) -> float:
        """How long until :meth:`tick` has something to do, if no line comes before; infinite while nothing is open."""
        elapsed_ns = time.monotonic_ns()
        waits_ns = [self._over_ns(episode) - elapsed_ns for open_ in self._open.values() for episode in _both(open_)]
        seal_ns = self._store.next_seal_ns(self.info.id)
        if seal_ns is not None:
            waits_ns.append(self._clock.due_ns(seal_ns + self._settle_ns, elapsed_ns, time.time_ns()))
        return min(waits_ns) / 1e9 + 0.001 if waits_ns else math.inf

    def _over_ns(self, episode: Episode) -> int:
        """When an episode is over by a monotonic clock, if no line comes before."""
        return self._read_ns[episode.span_id] + self.info.quiet_ns + self._settle_ns

    def _close(self, is_over: Callable[[Episode], bool]) -> tuple[dict[str, OpenEpisodes], list[Episode]]:
        """What is open of the live paths of which something is over by a clock, and what is over."""
        left: dict[str, OpenEpisodes] = {}
        closed: list[Episode] = []
        for live, open_ in self._open.items():
            still_open, over = close_over(open_, is_over)
            if over:
                left[live] = still_open
                closed += over
        return left, closed

    def _commit_closed(
        self, left: dict[str, OpenEpisodes], closed: list[Episode], seal_until_ns: int, elapsed_ns: int
    ) -> None:
        counts: dict[IntervalKey, Counts] = {}
        self._add_episodes(counts, closed)
        committed = self._store.commit(
            Batch(
                source=self.info.id,
                counts=counts,
                open_episodes=left,
                closed=tuple(closed),
                seal_until_ns=seal_until_ns,
            )
        )
        for live, open_ in left.items():
            self._keep(live, open_, elapsed_ns)
        self._sealed_ns = seal_until_ns
        self._say_mended(committed)

    def _add_episodes(self, counts: dict[IntervalKey, Counts], closed: Iterable[Episode]) -> None:
        for key, more in aggregate_episodes(closed, interval_ns=self._interval_ns, bounds_ns=self._bounds_ns).items():
            add(counts.setdefault(key, Counts()), more)

    def _keep(self, live: str, open_: OpenEpisodes, elapsed_ns: int) -> None:
        before = {episode.span_id: episode for episode in _both(self._open.pop(live, _NONE))}
        if open_.current is not None:
            self._open[live] = open_
        for episode in _both(open_):
            if before.pop(episode.span_id, None) != episode:
                self._read_ns[episode.span_id] = elapsed_ns
        for span_id in before:
            del self._read_ns[span_id]

    def _seal_behind(self, live: str, logged_ns: list[int], elapsed_ns: int) -> int | None:
        """What may be sealed while logs are still being read: what all of them are well past."""
        clock = self._clock.of(live)
        come_to_ns = clock.after(logged_ns, elapsed_ns).reached_ns if logged_ns else clock.reached_ns
        behind_ns = self.tail.least(self._reached_ns, but=live)
        if behind_ns is not None:
            come_to_ns = min(come_to_ns, behind_ns)
        until_ns = min(come_to_ns - LATE_NS, time.time_ns())
        return until_ns if until_ns > 0 else None

    def _say_ahead(self) -> None:
        ahead_ns = self._clock.seen_ns - time.time_ns()
        if ahead_ns > AHEAD_NS:
            self._reporter.ahead(self.info.name, ahead_ns // 10**9)
        else:
            self._reporter.not_ahead(self.info.name)

    def _say(self, drifted: tuple[int, str] | None, tally: Tally, chunk: Chunk) -> None:
        if drifted is not None:
            self._reporter.drift(self.info.name, chunk.after.path, *drifted)
        for reason in tally.rejected:
            self._reporter.rejected(self.info.name, reason)
        if chunk.oversized:
            self._reporter.oversized(chunk.after.path, chunk.base)

    def _say_mended(self, committed: Committed) -> None:
        if committed.overflowed:
            self._reporter.overflowed(self.info.name, self._store.series.most)
        if committed.mended:
            self._reporter.counts_mended(self.info.name, committed.mended)


_NONE = OpenEpisodes()


def _both(open_: OpenEpisodes) -> list[Episode]:
    return [episode for episode in (open_.current, open_.aside) if episode is not None]
