"""Samples and episodes, one by one, and whatever else sqlite can answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.model import Severity
from otel_logtail.query.database import source_id, translated
from otel_logtail.when import iso

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


class SqlResult(msgspec.Struct, frozen=True):
    """Column names, made different where the statement repeats one, and the rows as they are read."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[object, ...]]


def samples(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    severities: Collection[Severity] = (),
    source: str | None = None,
    limit: int = 0,
) -> Iterator[SampleRow]:
    """The newest ``limit`` samples (0: all), oldest first; read as they are taken. No severities: any."""
    where, values = ["true"], {"source": source_id(conn, source), "since": since_ns, "until": until_ns}
    values["limit"] = limit or -1
    if since_ns is not None:
        where.append("s.time_ns >= :since")
    if until_ns is not None:
        where.append("s.time_ns < :until")
    kinds = ["true"]
    if source is not None:
        kinds.append("source = :source")
    if severities:
        kinds.append(f"severity IN ({','.join(str(int(severity)) for severity in severities)})")
    if len(kinds) > 1:
        # the + keeps sqlite from looking for kinds first: the order is that of the time index
        where.append(f"+s.kind IN (SELECT id FROM kind WHERE {' AND '.join(kinds)})")
    # Breaches are few, so what is not ok is found through them: by time one would have to look at every sample.
    rare = bool(severities) and Severity.OK not in severities
    chosen = (
        f"SELECT s.id FROM {'breach AS b CROSS JOIN sample AS s ON s.id = b.sample' if rare else 'sample AS s'}"
        f" WHERE {' AND '.join(where)} ORDER BY s.time_ns DESC, s.id DESC LIMIT :limit"
    )
    whole = limit == 0 and not rare  # nothing to choose or sort: stream along the time index
    statement = (
        "SELECT s.id, s.time_ns, source.name, s.duration_ns, k.severity, k.cause, k.stage, k.id, k.attributes,"
        " k.stages, s.stages, file.path"
        f" FROM {'sample AS s' if whole else f'({chosen}) AS c CROSS JOIN sample AS s ON s.id = c.id'}"
        " CROSS JOIN kind AS k ON k.id = s.kind CROSS JOIN source ON source.id = k.source"
        " LEFT JOIN file ON file.id = s.id >> 40"
        f" {'WHERE ' + ' AND '.join(where) if whole else ''} ORDER BY s.time_ns, s.id"
    )
    return _sample_rows(conn, statement, values)


def _sample_rows(conn: sqlite3.Connection, statement: str, values: dict[str, int | None]) -> Iterator[SampleRow]:
    kinds: dict[int, tuple[dict[str, str | int], list[str]]] = {}  # few: decoded once each
    decode = msgspec.json.Decoder(list[int | None]).decode
    with translated():
        for row in conn.execute(statement, values):
            id_, time_ns, name, duration, severity, cause, stage, kind, *texts = row
            attributes, stage_names, stage_ns, path = texts
            if kind not in kinds:
                kinds[kind] = (
                    msgspec.json.decode(attributes, type=dict[str, str | int]),
                    msgspec.json.decode(stage_names, type=list[str]),
                )
            attrs, names = kinds[kind]
            yield SampleRow(
                id=id_,
                time=iso(time_ns),
                time_unix_nano=time_ns,
                source=name,
                duration_ms=duration / 1e6,
                severity=Severity(severity).label,
                cause=cause,
                stage=stage,
                attributes=attrs,
                stages={n: ns / 1e6 for n, ns in zip(names, decode(stage_ns), strict=False) if ns is not None},
                file=path,
                offset=id_ & 0xFF_FFFF_FFFF,
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
