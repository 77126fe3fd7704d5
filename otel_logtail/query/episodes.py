"""Answer ``query episodes``: episodes that overlap a range, closed and open ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence

import msgspec

from otel_logtail.model import Severity
from otel_logtail.query.reader import Reader, translated
from otel_logtail.query.selection import Keep
from otel_logtail.text import iso


class EpisodeRow(msgspec.Struct, frozen=True):
    """One episode; an open episode has no id yet."""

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


class EpisodeSpan(msgspec.Struct, frozen=True, gc=False):
    """The figures of an episode that are added up; there can be many of them. Times and durations are in ns."""

    start_ns: int
    end_ns: int
    peak_ns: int
    severity: int
    cause: str
    span_id: bytes

    @property
    def is_stall(self) -> bool:
        """True if its severity is ``stall``."""
        return self.severity == Severity.STALL


_EPISODE = "source, trace_id, span_id, start_ns, end_ns, count, peak_ns, severity, cause, stage"
_EPISODES = f"(SELECT id, {_EPISODE}, 0 AS open FROM episode UNION ALL SELECT NULL, {_EPISODE}, 1 FROM open_episode)"
# an episode that ends where the range starts has its last breach in the range
_OVERLAPS = "end_ns >= :since AND start_ns < :until AND (:source IS NULL OR source = :source)"


def episodes(
    reader: Reader, *, severities: Collection[Severity] = (), limit: int = 0, keep: Keep | None = None
) -> Iterator[EpisodeRow]:
    """Return the newest episodes that overlap the range, oldest first.

    Args:
        reader: The store, the range and the source.
        severities: The worst severities to select; empty: any.
        limit: The maximum number; 0: all.
        keep: The test whether a row is selected; None: every row is.
    """
    worst = ",".join(str(int(severity)) for severity in severities or Severity)
    statement = (
        f"SELECT e.*, s.name FROM (SELECT * FROM {_EPISODES} WHERE {_OVERLAPS} AND severity IN ({worst})"
        " ORDER BY start_ns DESC, span_id DESC LIMIT :limit) AS e JOIN source AS s ON s.id = e.source"
        " ORDER BY start_ns, span_id"
    )
    rows = _rows(reader, statement, {**_values(reader), "limit": -1 if keep else limit or -1})
    if keep is None:
        return rows
    return iter(deque(filter(keep, rows), limit or None))


def count_episodes(reader: Reader) -> tuple[int, int, int]:
    """Return the number of episodes that overlap the range, and in ns the time in episodes and in stalls within it."""
    within = "min(end_ns, :until) - max(start_ns, :since)"
    number, time_ns, stall_ns = reader.conn.execute(
        f"SELECT count(*), ifnull(sum({within}), 0), ifnull(sum(iif(severity = {int(Severity.STALL)}, {within}, 0)), 0)"
        f" FROM {_EPISODES} WHERE {_OVERLAPS}",
        _values(reader),
    ).fetchone()
    return number, time_ns, stall_ns


def episode_spans(reader: Reader) -> list[EpisodeSpan]:
    """Return all episodes that overlap the range, oldest first."""
    statement = (
        f"SELECT start_ns, end_ns, peak_ns, severity, cause, span_id FROM {_EPISODES} WHERE {_OVERLAPS}"
        " ORDER BY start_ns, span_id"
    )
    with translated():
        return [EpisodeSpan(*row) for row in reader.conn.execute(statement, _values(reader))]


def episodes_of(reader: Reader, span_ids: Sequence[bytes]) -> list[EpisodeRow]:
    """Return the episodes with these ids, in the order of the ids; an id that the store does not have is left out."""
    statement = (
        f"SELECT e.*, s.name FROM {_EPISODES} AS e JOIN source AS s ON s.id = e.source"
        f" WHERE e.span_id IN ({','.join('?' * len(span_ids))})"
    )
    found = {row.span_id: row for row in _rows(reader, statement, tuple(span_ids))}
    return [found[span_id.hex()] for span_id in span_ids if span_id.hex() in found]


def _values(reader: Reader) -> dict[str, int | None]:
    since_ns, until_ns = reader.bounds
    return {"since": since_ns, "until": until_ns, "source": reader.source_id()}


def _rows(reader: Reader, statement: str, values: dict[str, int | None] | tuple[bytes, ...]) -> Iterator[EpisodeRow]:
    with translated():
        # episodes are few, and a cursor that stays open would hold a snapshot
        for row in reader.conn.execute(statement, values).fetchall():
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
