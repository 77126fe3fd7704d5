"""Answer ``query samples``: samples one by one, out of blocks and breaches.

Blocks are read a page at a time. A consumer that takes samples slowly (a pager) so holds no snapshot, which would make
the store's write-ahead log grow. If the daemon merges blocks between two pages, reading continues after the last sample
that was taken.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator

import msgspec

from otel_logtail.model import Severity
from otel_logtail.query.edges import Coverage
from otel_logtail.query.reader import LAST_NS, Damage, Reader, translated
from otel_logtail.store.rows import IDS, OFFSET_BITS, SampleColumns, decode_block, json_ids
from otel_logtail.text import iso

_BLOCKS = 64  # blocks read at a time: limits memory
_BREACHES = 1000  # the same for breaches

BLOCK = "id, first_ns, last_ns, count, CAST(samples AS BLOB)"
"""The columns of a block, as bytes: text that is not valid UTF-8 any more would end the whole query."""


class SampleRow(msgspec.Struct, frozen=True, gc=False):
    """One sample. ``stages`` are in ms; ``file`` is the last known path, ``offset`` the position of the line in it."""

    id: int
    time: str
    time_unix_nano: int
    source: str
    duration_ms: float
    severity: str
    cause: str
    stage: str
    attributes: dict[str, str | int]
    stages: dict[str, float]
    file: str | None
    offset: int


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


def samples(reader: Reader, *, severities: Collection[Severity] = (), limit: int = 0) -> Iterator[SampleRow]:
    """Return the newest samples of the range, oldest first; they are read as they are taken.

    Args:
        reader: The store, the range and the source; notes blocks that cannot be read.
        severities: The severities to select; empty: any.
        limit: The maximum number; 0: all.
    """
    kinds = Kinds(reader, severities)
    if severities and Severity.OK not in severities:
        # the breaches have a table of their own, which is much smaller than all samples
        found = _breaches(reader, kinds, limit)
    elif limit:
        found = _newest(reader, kinds, limit)
    else:
        found = in_range(reader, reader.bounds, kinds)
    return _rows(reader, found, kinds)


def at_edges(reader: Reader, coverage: Coverage) -> Iterator[tuple[SampleColumns, Kind]]:
    """Yield the samples in the edges of a coverage, each with its kind."""
    kinds = Kinds(reader)
    for edge in coverage.edges:
        for sample in in_range(reader, edge, kinds):
            if kind := kinds.get(sample[3]):
                yield sample, kind


def readable(blocks: Iterable[tuple[int, int, int, int, bytes]], damage: Damage) -> Iterator[Block]:
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
    plan = _plan(reader, since_ns, until_ns)
    at = 0
    while at < len(plan):
        page = plan[at : at + _BLOCKS]
        at += len(page)
        ids = json_ids(id_ for _, id_, _, _ in page)
        blocks = {row[0]: row for row in reader.conn.execute(f"SELECT {BLOCK} FROM block WHERE id IN {IDS}", (ids,))}
        for first_ns, id_, last_ns, count in page:
            row = blocks.get(id_)
            if row is None or row[1:4] != (first_ns, last_ns, count):  # merged since the plan was made
                plan, at = _plan(reader, taken[0], until_ns), 0
                waiting.clear()
                break
            while waiting and waiting[0][0] < first_ns:
                time_ns, id_taken, sample = heapq.heappop(waiting)
                taken = (time_ns, id_taken)
                yield sample
            for block in readable([row], reader.damage):
                for sample in block.samples:
                    place = (sample[1], sample[0])
                    if taken < place and sample[1] < until_ns and kinds.get(sample[3]) is not None:
                        heapq.heappush(waiting, (*place, sample))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _plan(reader: Reader, since_ns: int, until_ns: int) -> list[tuple[int, int, int, int]]:
    """List first_ns, id, last_ns and count of each block that overlaps a range, in this order."""
    return reader.conn.execute(
        "SELECT first_ns, id, last_ns, count FROM block WHERE first_ns < ? AND last_ns >= ? ORDER BY first_ns, id",
        (until_ns, since_ns),
    ).fetchall()


def _newest(reader: Reader, kinds: Kinds, limit: int) -> Iterator[SampleColumns]:
    since_ns, until_ns = reader.bounds
    newest: list[tuple[int, int, SampleColumns]] = []
    blocks = reader.conn.execute(
        f"SELECT {BLOCK} FROM block WHERE last_ns >= ? AND first_ns < ? ORDER BY last_ns DESC",
        (since_ns, until_ns),
    )
    for block in readable(blocks, reader.damage):
        if len(newest) == limit and block.last_ns < newest[0][0]:
            break
        for sample in block.samples:
            if since_ns <= sample[1] < until_ns and kinds.get(sample[3]) is not None:
                heapq.heappush(newest, (sample[1], sample[0], sample))
                if len(newest) > limit:
                    heapq.heappop(newest)
    blocks.close()  # an open cursor would hold its snapshot while the samples are taken
    for _, _, sample in sorted(newest):
        yield sample


def _breaches(reader: Reader, kinds: Kinds, limit: int) -> Iterator[SampleColumns]:
    decode = msgspec.json.Decoder(tuple[int | None, ...]).decode
    rows = _breach_rows(reader, newest_first=bool(limit))
    found = ((*row[:4], decode(row[4])) for row in rows if kinds.get(row[3]) is not None)
    if not limit:
        yield from found
        return
    yield from reversed(list(itertools.islice(found, limit)))


def _breach_rows(reader: Reader, *, newest_first: bool) -> Iterator[tuple[int, int, int, int, str]]:
    """Yield id, time, duration, kind and stages of the breaches in the range, reading a page at a time."""
    since_ns, until_ns = reader.bounds
    key = f"file << {OFFSET_BITS} | offset"
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    last = (until_ns if newest_first else since_ns, LAST_NS if newest_first else -1)
    while rows := reader.conn.execute(
        f"SELECT {key}, time_ns, duration_ns, kind, stages FROM breach WHERE time_ns >= ?1 AND time_ns < ?2"
        f" AND time_ns {beyond}= ?3 AND (time_ns <> ?3 OR {key} {beyond} ?4)"
        f" ORDER BY time_ns {order}, 1 {order} LIMIT ?5",
        (since_ns, until_ns, *last, _BREACHES),
    ).fetchall():
        yield from rows
        last = (rows[-1][1], rows[-1][0])


def _rows(reader: Reader, found: Iterator[SampleColumns], kinds: Kinds) -> Iterator[SampleRow]:
    paths: dict[int, str | None] = {}
    with translated():
        for id_, time_ns, duration_ns, kind_id, stage_ns in found:
            kind = kinds.get(kind_id)
            if kind is None:
                continue
            file = id_ >> OFFSET_BITS
            if file not in paths:
                row = reader.conn.execute("SELECT path FROM file WHERE id = ?", (file,)).fetchone()
                paths[file] = None if row is None else row[0]
            yield SampleRow(
                id=id_,
                time=iso(time_ns),
                time_unix_nano=time_ns,
                source=kind.name,
                duration_ms=duration_ns / 1e6,
                severity=kind.severity.label,
                cause=kind.cause,
                stage=kind.stage,
                attributes=kind.attributes,
                stages={n: ns / 1e6 for n, ns in zip(kind.stages, stage_ns, strict=False) if ns is not None},
                file=paths[file],
                offset=id_ & ((1 << OFFSET_BITS) - 1),
            )
