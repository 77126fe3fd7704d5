"""Samples out of blocks, a page at a time.

A consumer that takes samples slowly (a pager, or a condition that few samples meet) so holds no snapshot, which would
make the store's write-ahead log grow. If the daemon merges blocks between two pages, a new plan continues with the
samples that were not taken yet.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec

from otel_logtail.model import Severity
from otel_logtail.query.edges import Coverage
from otel_logtail.query.reader import Damage, Reader
from otel_logtail.store.blocks import SampleColumns, decode_block
from otel_logtail.store.rows import IDS, json_ids

_BLOCKS = 64  # blocks read at a time: limits memory

BLOCK = "id, first_ns, last_ns, count, CAST(samples AS BLOB)"
"""The columns of a block, as bytes: text that is not valid UTF-8 any more would end the whole query."""


BlockRow = tuple[int, int, int, int, bytes]
"""A row of these columns."""


class Kind(msgspec.Struct, frozen=True):
    """The fields that samples of one kind share."""

    source: int
    name: str
    severity: Severity
    cause: str
    stage: str
    attributes: dict[str, str | int]
    stages: tuple[str, ...]


class Block(msgspec.Struct, frozen=True):
    """The samples of one block, and the times of the first and the last of them."""

    first_ns: int
    last_ns: int
    samples: list[SampleColumns]


class Kinds:
    """The kinds of the reader's source with some severities (empty: any), read from the store when needed."""

    def __init__(self, reader: Reader, severities: Collection[Severity] = ()) -> None:
        self._conn = reader.conn
        self._source = reader.source_id()
        self._severities = frozenset(severities or Severity)
        self._known: dict[int, Kind | None] = {}

    def get(self, id_: int) -> Kind | None:
        """Return the kind with this id, or None if it is not selected."""
        if id_ not in self._known:
            self._known[id_] = self._read(id_)
        return self._known[id_]

    def _read(self, id_: int) -> Kind | None:
        row = self._conn.execute(
            "SELECT k.source, s.name, k.severity, k.cause, k.stage, k.attributes, k.stages"
            " FROM kind AS k JOIN source AS s ON s.id = k.source WHERE k.id = ?",
            (id_,),
        ).fetchone()
        if row is None or Severity(row[2]) not in self._severities or self._source not in (None, row[0]):
            return None
        attributes = msgspec.json.decode(row[5], type=dict[str, bool | int | str])
        stages = msgspec.json.decode(row[6], type=tuple[str, ...])
        return Kind(row[0], row[1], Severity(row[2]), row[3], row[4], attributes, stages)


def at_edges(reader: Reader, coverage: Coverage) -> Iterator[tuple[SampleColumns, Kind]]:
    """Yield the samples in the edges of a coverage, each with its kind."""
    kinds = Kinds(reader)
    for edge in coverage.edges:
        for sample in in_range(reader, edge, kinds):
            if kind := kinds.get(sample[3]):
                yield sample, kind


def readable(blocks: Iterable[BlockRow], damage: Damage) -> Iterator[Block]:
    """Decode blocks (:data:`BLOCK`); those that were damaged on disk are noted and left out."""
    for id_, first_ns, last_ns, count, text in blocks:
        try:
            yield Block(first_ns, last_ns, decode_block(id_, first_ns, text))
        except msgspec.MsgspecError:
            damage.block(id_, count)


def in_range(reader: Reader, bounds: tuple[int, int], kinds: Kinds) -> Iterator[SampleColumns]:
    """Yield the samples of ``[since, until)``, oldest first; memory is that of the blocks that overlap in time."""
    since_ns, until_ns = bounds
    waiting: list[tuple[int, int, SampleColumns]] = []
    taken = (since_ns, -1)
    changed: set[tuple[int, ...]] = set()
    plan = _plan(reader, since_ns, until_ns)
    at = 0
    while at < len(plan):
        page = plan[at : at + _BLOCKS]
        at += len(page)
        blocks = _read(reader, [id_ for _, id_, _, _ in page])
        for place in page:
            first_ns, id_, last_ns, count = place
            row = blocks.get(id_)
            if row is None or row[1:4] != (first_ns, last_ns, count):  # merged since the plan was made
                if place in changed:  # another plan has the same: the index and its table differ
                    reader.damage.block(id_, count)
                    continue
                changed.add(place)
                plan, at = _plan(reader, taken[0], until_ns), 0
                waiting.clear()
                break
            while waiting and waiting[0][0] < first_ns:
                time_ns, id_taken, sample = heapq.heappop(waiting)
                taken = (time_ns, id_taken)
                yield sample
            for block in readable([row], reader.damage):
                for sample in block.samples:
                    order = (sample[1], sample[0])
                    if taken < order and sample[1] < until_ns and kinds.get(sample[3]) is not None:
                        heapq.heappush(waiting, (*order, sample))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _plan(reader: Reader, since_ns: int, until_ns: int) -> list[tuple[int, int, int, int]]:
    """List first_ns, id, last_ns and count of each block that overlaps a range, in this order."""
    return reader.conn.execute(
        "SELECT first_ns, id, last_ns, count FROM block WHERE first_ns < ? AND last_ns >= ? ORDER BY first_ns, id",
        (until_ns, since_ns),
    ).fetchall()


class Newest:
    """The newest samples that pass a test, out of blocks that the daemon may merge meanwhile."""

    def __init__(self, reader: Reader, kinds: Kinds, limit: int, test: Callable[[SampleColumns], bool]) -> None:
        self._reader = reader
        self._kinds = kinds
        self._limit = limit
        self._test = test
        self._found: list[tuple[int, int, SampleColumns]] = []
        self._ids: set[int] = set()
        self._done: set[tuple[int, ...]] = set()
        self._changed: set[tuple[int, ...]] = set()

    def read(self) -> list[SampleColumns]:
        """Return the samples, oldest first."""
        most = _BLOCKS  # most questions need the newest blocks only
        while not self._take(self._plan(most), is_cut=most > 0):
            most = -1
        return [sample for _, _, sample in sorted(self._found)]

    def _plan(self, most: int) -> list[tuple[int, int, int, int]]:
        """List last_ns, id, first_ns and count of the newest blocks that overlap the range, the newest first."""
        since_ns, until_ns = self._reader.bounds
        return self._reader.conn.execute(
            "SELECT last_ns, id, first_ns, count FROM block WHERE last_ns >= ? AND first_ns < ?"
            " ORDER BY last_ns DESC, id DESC LIMIT ?",
            (since_ns, until_ns, most),
        ).fetchall()

    def _take(self, plan: list[tuple[int, int, int, int]], *, is_cut: bool) -> bool:
        """Take the samples of the blocks in a plan; return False if a further plan is needed."""
        plan = [place for place in plan if place not in self._done]
        for at in range(0, len(plan), _BLOCKS):
            page = plan[at : at + _BLOCKS]
            blocks = _read(self._reader, [id_ for _, id_, _, _ in page])
            for place in page:
                last_ns, id_, first_ns, count = place
                if len(self._found) == self._limit and last_ns < self._found[0][0]:
                    return True  # all further blocks are older
                row = blocks.get(id_)
                if row is not None and row[1:4] == (first_ns, last_ns, count):
                    self._add(row)
                elif place in self._changed:  # another plan has the same: the index and its table differ
                    self._reader.damage.block(id_, count)
                else:  # merged since the plan was made
                    self._changed.add(place)
                    return False
                self._done.add(place)
        return not is_cut

    def _add(self, row: BlockRow) -> None:
        since_ns, until_ns = self._reader.bounds
        for block in readable([row], self._reader.damage):
            for sample in block.samples:
                place = (sample[1], sample[0])
                is_newer = len(self._found) < self._limit or place > self._found[0][:2]
                if not (is_newer and since_ns <= sample[1] < until_ns) or sample[0] in self._ids:
                    continue
                if self._test(sample):
                    heapq.heappush(self._found, (*place, sample))
                    self._ids.add(sample[0])
                if len(self._found) > self._limit:
                    self._ids.remove(heapq.heappop(self._found)[1])


def _read(reader: Reader, ids: list[int]) -> dict[int, BlockRow]:
    rows = reader.conn.execute(f"SELECT {BLOCK} FROM block WHERE id IN {IDS}", (json_ids(ids),))
    return {row[0]: row for row in rows}
