"""Samples and episodes, one by one, and whatever else sqlite can answer."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from tempfile import TemporaryFile

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.model import Severity
from otel_logtail.query.database import Damage, source_id, translated
from otel_logtail.store.rows import IDS, OFFSET_BITS, SampleColumns, decode_block, json_ids
from otel_logtail.text import iso

_FIRST_NS, _LAST_NS = -(2**63), 2**63 - 1
_VIEWS = "the views samples, episodes and minutes are there to be queried"


class SampleRow(msgspec.Struct, frozen=True, gc=False):
    """One sample. ``stages`` are milliseconds; ``file`` is where it was last seen, ``offset`` that of the line."""

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


class EpisodeRow(msgspec.Struct, frozen=True):
    """One episode; an open one has no id yet."""

    id: int | None
    start: str
    end: str
    duration_ms: float
    count: int
    peak_ms: float
    severity: str
    cause: str
    dominant_stage: str
    trace_id: str
    span_id: str
    open: bool
    source: str


_PAGE = 64
_PAGE_BREACHES = 1000
_PAGE_SQL = 10_000
"""How much is read at a time: what is read at once needs memory, and what is read apart is no single moment."""

BLOCK = "id, first_ns, last_ns, count, CAST(samples AS BLOB)"
"""The columns of a block to be read; bytes, since damaged text may be no UTF-8, and end the whole query."""


class _Block(msgspec.Struct, frozen=True):
    first_ns: int
    last_ns: int
    samples: list[SampleColumns]


class SqlResult(msgspec.Struct, frozen=True):
    """Column names, made different where the statement repeats one, and the rows as they are read."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[object, ...]]


class Kind(msgspec.Struct, frozen=True):
    """What samples of one kind have in common."""

    source: int
    name: str
    severity: Severity
    cause: str
    stage: str
    attributes: dict[str, str | int]
    stages: tuple[str, ...]


class Kinds:
    """The kinds of a source (None: of all) with some severities (empty: with any), looked up as they are met."""

    def __init__(self, conn: sqlite3.Connection, source: int | None, severities: Collection[Severity] = ()) -> None:
        self._conn = conn
        self._source = source
        self._severities = frozenset(severities or Severity)
        self._known: dict[int, Kind | None] = {}

    def get(self, id_: int) -> Kind | None:
        """The kind with this id; None: it is not of those that are wanted."""
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


def samples(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    severities: Collection[Severity] = (),
    source: str | None = None,
    limit: int = 0,
    damage: Damage | None = None,
) -> Iterator[SampleRow]:
    """The newest ``limit`` samples (0: all), oldest first; read as they are taken. No severities: any.

    What can't be read is left out, and noted in ``damage``.
    """
    damage = damage or Damage()
    only = source_id(conn, source)
    bounds = (_FIRST_NS if since_ns is None else since_ns, _LAST_NS if until_ns is None else until_ns)
    kinds = Kinds(conn, only, severities)
    if severities and Severity.OK not in severities:
        # breaches are few: found by themselves, one need not look at every sample
        found = _breaches(conn, bounds, kinds, limit)
    elif limit:
        found = _newest(conn, bounds, kinds, limit, damage)
    else:
        found = in_range(conn, *bounds, kinds, damage)
    return _sample_rows(conn, found, kinds)


def readable(blocks: Iterable[tuple[int, int, int, int, bytes]], damage: Damage) -> Iterator[_Block]:
    """Blocks (:data:`BLOCK`), decoded; those that were damaged on disk are left out."""
    for id_, first_ns, last_ns, count, text in blocks:
        try:
            yield _Block(first_ns, last_ns, decode_block(id_, first_ns, text))
        except msgspec.MsgspecError:
            damage.block(id_, count)


def in_range(
    conn: sqlite3.Connection, since_ns: int, until_ns: int, kinds: Kinds, damage: Damage
) -> Iterator[SampleColumns]:
    """The samples of ``[since_ns, until_ns)``, oldest first; memory is that of the blocks that overlap.

    Blocks are read some at a time: whoever takes the samples slowly (a pager) holds no snapshot of the store meanwhile,
    which would make its log of changes grow. Where blocks were put together in between, reading goes on behind the last
    sample that was taken.
    """
    waiting: list[tuple[int, int, SampleColumns]] = []
    taken = (since_ns, -1)
    plan = _plan(conn, since_ns, until_ns)
    at = 0
    while at < len(plan):
        page = plan[at : at + _PAGE]
        ids = json_ids(id_ for _, id_, _, _ in page)
        blocks = {row[0]: row for row in conn.execute(f"SELECT {BLOCK} FROM block WHERE id IN {IDS}", (ids,))}
        for first_ns, id_, last_ns, count in page:
            row = blocks.get(id_)
            if row is None or row[1:4] != (first_ns, last_ns, count):
                plan, at = _plan(conn, taken[0], until_ns), -1
                waiting.clear()
                break
            while waiting and waiting[0][0] < first_ns:
                time_ns, id_of_it, sample = heapq.heappop(waiting)
                taken = (time_ns, id_of_it)
                yield sample
            for block in readable([row], damage):
                for sample in block.samples:
                    place = (sample[1], sample[0])
                    if taken < place and sample[1] < until_ns and kinds.get(sample[3]) is not None:
                        heapq.heappush(waiting, (*place, sample))
        at = 0 if at < 0 else at + len(page)
    while waiting:
        yield heapq.heappop(waiting)[2]


def _plan(conn: sqlite3.Connection, since_ns: int, until_ns: int) -> list[tuple[int, int, int, int]]:
    """What there is to read: first_ns, id, last_ns and count of each block that overlaps, in this order."""
    return conn.execute(
        "SELECT first_ns, id, last_ns, count FROM block WHERE first_ns < ? AND last_ns >= ? ORDER BY first_ns, id",
        (until_ns, since_ns),
    ).fetchall()


def _newest(
    conn: sqlite3.Connection, bounds: tuple[int, int], kinds: Kinds, limit: int, damage: Damage
) -> Iterator[SampleColumns]:
    since_ns, until_ns = bounds
    newest: list[tuple[int, int, SampleColumns]] = []
    blocks = conn.execute(
        f"SELECT {BLOCK} FROM block WHERE last_ns >= ? AND first_ns < ? ORDER BY last_ns DESC",
        (since_ns, until_ns),
    )
    for block in readable(blocks, damage):
        if len(newest) == limit and block.last_ns < newest[0][0]:
            break
        for sample in block.samples:
            if since_ns <= sample[1] < until_ns and kinds.get(sample[3]) is not None:
                heapq.heappush(newest, (sample[1], sample[0], sample))
                if len(newest) > limit:
                    heapq.heappop(newest)
    blocks.close()  # else it holds its snapshot while these are taken
    for _, _, sample in sorted(newest):
        yield sample


def _breaches(conn: sqlite3.Connection, bounds: tuple[int, int], kinds: Kinds, limit: int) -> Iterator[SampleColumns]:
    decode = msgspec.json.Decoder(tuple[int | None, ...]).decode
    pages = _pages_of_breaches(conn, *bounds, newest_first=bool(limit))
    found = ((*row[:4], decode(row[4])) for row in pages if kinds.get(row[3]) is not None)
    if not limit:
        yield from found
        return
    yield from reversed(list(itertools.islice(found, limit)))


def _pages_of_breaches(
    conn: sqlite3.Connection, since_ns: int, until_ns: int, *, newest_first: bool
) -> Iterator[tuple[int, int, int, int, str]]:
    """Id, time, duration, kind and stages of the breaches in ``[since_ns, until_ns)``, some rows at a time."""
    key = f"file << {OFFSET_BITS} | offset"
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    last = (until_ns if newest_first else since_ns, _LAST_NS if newest_first else -1)
    while rows := conn.execute(
        f"SELECT {key}, time_ns, duration_ns, kind, stages FROM breach WHERE time_ns >= ?1 AND time_ns < ?2"
        f" AND time_ns {beyond}= ?3 AND (time_ns <> ?3 OR {key} {beyond} ?4)"
        f" ORDER BY time_ns {order}, 1 {order} LIMIT ?5",
        (since_ns, until_ns, *last, _PAGE_BREACHES),
    ).fetchall():
        yield from rows
        last = (rows[-1][1], rows[-1][0])


def _sample_rows(conn: sqlite3.Connection, found: Iterator[SampleColumns], kinds: Kinds) -> Iterator[SampleRow]:
    paths: dict[int, str | None] = {}
    with translated():
        for id_, time_ns, duration_ns, kind_id, stage_ns in found:
            kind = kinds.get(kind_id)
            if kind is None:
                continue
            file = id_ >> OFFSET_BITS
            if file not in paths:
                row = conn.execute("SELECT path FROM file WHERE id = ?", (file,)).fetchone()
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


_EPISODE = "source, trace_id, span_id, start_ns, end_ns, count, peak_ns, severity, cause, stage"
EPISODES = f"(SELECT id, {_EPISODE}, 0 AS open FROM episode UNION ALL SELECT NULL, {_EPISODE}, 1 FROM open_episode)"
# an episode that ends where the range begins has its last breach in the range
OVERLAPS = "(:since IS NULL OR end_ns >= :since) AND (:until IS NULL OR start_ns < :until)"


def episodes(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    severities: Collection[Severity] = (),
    source: str | None = None,
    limit: int = 0,
) -> Iterator[EpisodeRow]:
    """The newest ``limit`` episodes (0: all) that overlap the range, oldest first, open ones too."""
    worst = ",".join(str(int(severity)) for severity in severities or Severity)
    statement = (
        f"SELECT * FROM (SELECT e.*, source.name FROM {EPISODES} AS e JOIN source ON source.id = e.source"
        f" WHERE {OVERLAPS} AND e.severity IN ({worst}) AND (:source IS NULL OR e.source = :source)"
        " ORDER BY start_ns DESC, span_id DESC LIMIT :limit) ORDER BY start_ns, span_id"
    )
    values = {"since": since_ns, "until": until_ns, "source": source_id(conn, source), "limit": limit or -1}
    return _episode_rows(conn, statement, values)


def _episode_rows(conn: sqlite3.Connection, statement: str, values: dict[str, int | None]) -> Iterator[EpisodeRow]:
    with translated():
        for row in conn.execute(statement, values).fetchall():  # episodes are few, and a snapshot must not last
            id_, _, trace_id, span_id, start_ns, end_ns, count, peak_ns, severity, cause, stage, is_open, name = row
            yield EpisodeRow(
                id=id_,
                start=iso(start_ns),
                end=iso(end_ns),
                duration_ms=(end_ns - start_ns) / 1e6,
                count=count,
                peak_ms=peak_ns / 1e6,
                severity=Severity(severity).label,
                cause=cause,
                dominant_stage=stage,
                trace_id=trace_id.hex(),
                span_id=span_id.hex(),
                open=bool(is_open),
                source=name,
            )


def sql(conn: sqlite3.Connection, statement: str) -> SqlResult:
    """Run one statement that reads; blobs come as hex.

    Raises:
        UsageError: sqlite does not take it, or it gives no rows.
    """
    conn.set_authorizer(_no_other_file)
    with _sql_errors():
        cursor = conn.execute(statement)
        if cursor.description is None:
            raise UsageError("that statement gives no rows", hint=f"only what reads can be asked; {_VIEWS}")
        columns: list[str] = []
        for name, *_ in cursor.description:
            columns.append(name if name not in columns else f"{name}_{len(columns) + 1}")
    return SqlResult(tuple(columns), _sql_rows(cursor))


def _sql_rows(cursor: Iterable[Sequence[object]]) -> Iterator[tuple[object, ...]]:
    """The rows, all read before the first is given: whoever takes them slowly must hold no snapshot meanwhile.

    Those beyond some are kept in a temporary file; where none can be made, they are read as they are taken.
    """
    with _sql_errors():
        rows = (tuple(value.hex() if isinstance(value, bytes) else value for value in row) for row in cursor)
        first = list(itertools.islice(rows, _PAGE_SQL))
        try:
            spool = TemporaryFile() if len(first) == _PAGE_SQL else BytesIO()  # noqa: SIM115 - closed below
        except OSError:
            yield from first
            yield from rows
            return
        with spool:
            for row in rows:
                encoded = msgspec.msgpack.encode(row)
                spool.write(len(encoded).to_bytes(4, "big") + encoded)
            spool.seek(0)
            yield from first
            while size := spool.read(4):
                yield msgspec.msgpack.decode(spool.read(int.from_bytes(size, "big")), type=tuple[object, ...])


def _no_other_file(action: int, *_: str | None) -> int:
    """Read-only holds for the store: ATTACH and VACUUM INTO could still make another file."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


@contextmanager
def _sql_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:  # Warning: Python 3.10's word on two statements
        raise UsageError(f"sqlite: {error}", hint=_VIEWS) from None
