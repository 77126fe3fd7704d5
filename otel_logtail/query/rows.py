"""Samples and episodes, one by one, and whatever else sqlite can answer."""

from __future__ import annotations

import heapq
import itertools
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.model import Severity
from otel_logtail.query.database import Damage, source_id, translated
from otel_logtail.store.rows import OFFSET_BITS, SampleColumns, decode_block
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
        attributes = msgspec.json.decode(row[5], type=dict[str, str | int])
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
    """The samples of ``[since_ns, until_ns)``, oldest first; memory is that of the blocks that overlap."""
    waiting: list[tuple[int, int, SampleColumns]] = []
    blocks = conn.execute(
        f"SELECT {BLOCK} FROM block WHERE first_ns < ? AND last_ns >= ? ORDER BY first_ns",
        (until_ns, since_ns),
    )
    for block in readable(blocks, damage):
        while waiting and waiting[0][0] < block.first_ns:
            yield heapq.heappop(waiting)[2]
        for sample in block.samples:
            if since_ns <= sample[1] < until_ns and kinds.get(sample[3]) is not None:
                heapq.heappush(waiting, (sample[1], sample[0], sample))
    while waiting:
        yield heapq.heappop(waiting)[2]


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
    for _, _, sample in sorted(newest):
        yield sample


def _breaches(conn: sqlite3.Connection, bounds: tuple[int, int], kinds: Kinds, limit: int) -> Iterator[SampleColumns]:
    rows = conn.execute(
        "SELECT file << 40 | offset, time_ns, duration_ns, kind, stages FROM breach"
        f" WHERE time_ns >= ? AND time_ns < ? ORDER BY time_ns {'DESC' if limit else ''}, 1 {'DESC' if limit else ''}",
        bounds,
    )
    decode = msgspec.json.Decoder(tuple[int | None, ...]).decode
    found = ((*row[:4], decode(row[4])) for row in rows if kinds.get(row[3]) is not None)
    if not limit:
        yield from found
        return
    yield from reversed(list(itertools.islice(found, limit)))


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
        for row in conn.execute(statement, values):
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
    with _sql_errors():
        for row in cursor:
            yield tuple(value.hex() if isinstance(value, bytes) else value for value in row)


def _no_other_file(action: int, *_: str | None) -> int:
    """Read-only holds for the store: ATTACH and VACUUM INTO could still make another file."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


@contextmanager
def _sql_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:  # Warning: Python 3.10's word on two statements
        raise UsageError(f"sqlite: {error}", hint=_VIEWS) from None
