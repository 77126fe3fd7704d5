"""One source of a daemon: the chunks of its tail and the time become batches, which are committed to the store.

Results of a chunk stay in memory only if they are committed. If a commit fails, the same bytes are read again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import closing

import msgspec

from otel_logtail.daemon.silence import Silence
from otel_logtail.daemon.totals import Totals
from otel_logtail.engine.engine import Engine, Now
from otel_logtail.events import Reporter
from otel_logtail.model import Batch, Chunk
from otel_logtail.store.marks import TOO_MANY
from otel_logtail.store.writer import Committed, Store
from otel_logtail.tail.held import SETTLE_S
from otel_logtail.tail.lines import CHUNK_BYTES, SPARSE_BYTES
from otel_logtail.tail.live import PathTail
from otel_logtail.tail.tailer import Tail

AHEAD_NS = 60 * 10**9
"""How far ahead of the machine's clock a line may be before it is reported. Its counts wait for the clock."""

MANY_SAMPLES = 1000
"""Chunks are larger while they hold fewer samples than this: a larger transaction then saves time for little memory."""


_SMALL_BYTES = 64 * 1024
_TOGETHER = 100
"""Chunks are committed together up to this many bytes and this many chunks."""


class _Read(msgspec.Struct, frozen=True):
    """A chunk that is not committed yet, its batch, and the time with which the batch was computed.

    ``lines``: the next chunk is in the same buffer, so they are counted when the chunk is read.
    """

    tail: PathTail
    chunk: Chunk
    batch: Batch
    now: Now
    lines: int


class SourceRun:
    """One source: its tail, its engine, and the store."""

    def __init__(self, engine: Engine, tail: Tail, store: Store, reporter: Reporter, advice: str = "") -> None:
        self.info = engine.info
        self.tail = tail
        self.engine = engine
        self._store = store
        self._reporter = reporter
        self._read_bytes = CHUNK_BYTES
        self.totals = Totals()
        self._silence = Silence(engine.info.name, advice, reporter, is_over=store.has_samples(engine.info.id))

    def step(self, now_s: float) -> bool | None:
        """Read and commit one chunk, or small chunks of many live paths together.

        Returns:
            True if exporters have new data, else False; None if all files are read to their end.

        Raises:
            StoreError: the commit failed; the next call reads the same chunks again.
        """
        read: list[_Read] = []
        size = 0
        with closing(self.tail.read_each(self.engine.come_to_ns, now_s, self._read_bytes)) as chunks:
            for tail, chunk in chunks:
                now = clock()
                # the first live path is the furthest behind
                waiting = [read[0].tail.live] if read else self.tail.behind(self.engine.come_to_ns, tail.live)
                read.append(_Read(tail, chunk, self._feed(chunk, now, waiting), now, self._silence.lines_of(chunk)))
                size += chunk.advanced
                if size >= _SMALL_BYTES or len(read) >= _TOGETHER:
                    break
        if not read:
            return None
        # an interval may close when all logs are past it, which the last one shows
        batches = [*(msgspec.structs.replace(each.batch, seal_until_ns=None) for each in read[:-1]), read[-1].batch]
        committed = self._commit(batches, [each.now for each in read])
        samples = 0
        for each in read:
            each.tail.accept(each.batch.file or each.chunk.after)
            samples += each.batch.tally.samples
            self._say(each.batch, each.chunk)
            self._reporter.read(self.info.name, each.chunk.after.path, each.chunk.advanced, each.batch.tally.samples)
            self._silence.add(each.lines, each.batch.tally)
        sparse = samples * SPARSE_BYTES <= size * MANY_SAMPLES
        self._read_bytes = SPARSE_BYTES if sparse else CHUNK_BYTES
        return bool(committed.sealed or committed.closed or committed.breaches)

    def _feed(self, chunk: Chunk, now: Now, waiting: Collection[str]) -> Batch:
        batch = self.engine.feed(chunk, now, waiting)
        if not batch.samples.offsets or batch.samples.offsets[0] >= chunk.after.doubt:
            return batch
        return self.engine.feed(chunk, now, waiting, self._store.stored(self.info.id, chunk.after, batch.samples))

    def tick(self) -> bool:
        """Close the intervals and episodes that are over by now, if all files are read to their end.

        Returns:
            True if exporters have new data.
        """
        if self.tail.ready:
            return False
        now = clock()
        self._say_ahead(now)
        batch = self.engine.tick(now)
        if batch is not None:
            self._commit([batch], [now])
        return batch is not None

    def finish(self, now_ns: int) -> None:
        """Close open intervals and finished episodes by the machine's clock: no more lines are read for now."""
        self._silence.end()
        now = msgspec.structs.replace(clock(), wall_ns=now_ns)
        while (batch := self.engine.finish(now)) is not None:
            self._commit([batch], [now])

    def due_s(self) -> float:
        """Return the seconds until :meth:`tick` has something to do if no line arrives; infinite if nothing is open."""
        due_s = self.engine.due_s(clock())
        return min(due_s, SETTLE_S) if self.tail.waiting else due_s

    def _commit(self, batches: Sequence[Batch], nows: Sequence[Now]) -> Committed:
        committed = self._store.commit(*batches)
        for batch, now in zip(batches, nows, strict=True):
            self.totals.add(batch)
            self.engine.committed(batch, now, committed.first_end_ns)
        if committed.overflowed:
            self._reporter.overflowed(self.info.name, self._store.series.most)
        if committed.too_many_marks:
            self._reporter.rejected(self.info.name, TOO_MANY)
        self._reporter.counts_damaged(self.info.name, committed.repaired.kept, committed.repaired.lost)
        return committed

    def _say(self, batch: Batch, chunk: Chunk) -> None:
        if batch.drifted is not None:
            self._reporter.drift(self.info.name, chunk.after.path, *batch.drifted)
        for reason in batch.tally.rejected:
            self._reporter.rejected(self.info.name, reason)
        if batch.tally.oversized:
            self._reporter.oversized(chunk.after.path, chunk.base)

    def _say_ahead(self, now: Now) -> None:
        ahead_ns = self.engine.ahead_ns(now)
        if ahead_ns > AHEAD_NS:
            self._reporter.ahead(self.info.name, ahead_ns // 10**9)
        else:
            self._reporter.not_ahead(self.info.name)


def clock() -> Now:
    """Return the time by both clocks of this machine."""
    return Now(time.time_ns(), time.monotonic_ns())
