"""Closed intervals as the points that one exporter sends next.

The totals that the receiver has are kept in memory. They are read again if anything else may have changed them: the
cursor or the exporter's generation moved, or a batch was not answered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice, takewhile
from typing import Any

import msgspec

from otel_logtail.exporter import REPEAT_NS
from otel_logtail.model import Counts, ExportBatch, Instrument, Point, SeriesKey
from otel_logtail.store.cursors import identity
from otel_logtail.store.gaps import Known
from otel_logtail.store.progress import ALL
from otel_logtail.store.records import read_breaches, read_sources
from otel_logtail.store.rows import (
    IDS,
    Repaired,
    counts_or_mean,
    counts_to_read,
    decode_attributes,
    decode_bounds,
    encode_attributes,
    json_ids,
)
from otel_logtail.store.sparse import Closed, closed_after
from otel_logtail.store.totals import Reach, Row, Totals

MAX_EXEMPLARS = 3
"""Exemplars of a point."""

_Series = dict[int, tuple[int, SeriesKey, int]]
"""The source, the key and the start of each series, by id."""


class PointReader:
    """The points of one exporter. Call its methods in a snapshot of the store."""

    def __init__(self, db: sqlite3.Connection, exporter: str) -> None:
        self._db = db
        self._exporter = exporter
        self._known: dict[int, Totals] | None = None
        self._known_at = (-1, 0)
        self.is_last = False
        """True if nothing was left to read behind the points that were read last, and no repeat was due."""
        self._unanswered: ExportBatch | None = None
        self._spans: dict[int, tuple[int, int, int, int]] = {}
        """Start, end, and the first and last breach of each interval that was read last."""
        self._damaged: set[tuple[str, int]] = set()
        self._repaired = Repaired()

    # --- the totals in memory -------------------------------------------------------------------------------------

    def refresh(self, position: int, generation: int) -> None:
        """Read the receiver's totals from the store, unless memory holds them for this cursor and generation."""
        if self._known is None or self._unanswered is not None or (position, generation) != self._known_at:
            self._known = self._load()
        self._known_at, self._unanswered, self.is_last = (position, generation), None, False

    def forget(self) -> None:
        """Read the totals again the next time."""
        self._known = None

    def await_answer(self, batch: ExportBatch) -> None:
        """Note that a batch is being sent: memory already holds its totals."""
        self._unanswered = batch

    def answered(self, batch: ExportBatch, *, is_whole: bool) -> None:
        """Keep the totals in memory if the receiver has the whole batch that is being sent."""
        if not is_whole or batch is not self._unanswered or self._may_end_skipping(batch):
            self._known = None
            return
        position, generation = self._known_at
        self._known_at = (max(position, *(item.id for item in batch.items)), generation)
        self._unanswered = None

    def _may_end_skipping(self, batch: ExportBatch) -> bool:
        """Return whether the receiver's answer to a batch may have set ``skip_ns`` of a source to 0 in the store."""
        sources = {item.source.id for item in batch.items if isinstance(item, Point)}
        return any(self._known[of].reach.skip_ns for of in sources if self._known and of in self._known)

    def _totals(self, source: int) -> Totals:
        if self._known is None:
            raise RuntimeError("not in a snapshot")
        if source not in self._known:
            self._known[source] = Totals(read_sources(self._db)[source], Reach())
        return self._known[source]

    def _load(self) -> dict[int, Totals]:
        """Return what the receiver has of each series, by source."""
        sources = read_sources(self._db)
        reach = {
            name: Reach(*columns)
            for name, *columns in self._db.execute(
                "SELECT source, end_ns, time_ns, after_ns, skip_ns FROM sent WHERE exporter = ?", (self._exporter,)
            )
        }
        known: dict[int, list[Known]] = {id_: [] for id_ in sources}
        for of, source, instrument, attributes, bounds, start_ns, time_ns, *columns in self._db.execute(
            f"SELECT t.series, s.source, s.instrument, s.attributes, s.bounds, t.start_ns, t.time_ns,"
            f" {counts_to_read('t')} FROM total AS t JOIN series AS s ON s.id = t.series WHERE t.exporter = ?"
            " ORDER BY t.series",
            (self._exporter,),
        ):
            key = _series_key(instrument, attributes, bounds)
            # a damaged total is lost: its number and sum continue from here
            total = self._counts("total", of, columns, key.bounds_ns)
            known[source].append(Known(of, sources[source], key, start_ns, time_ns, total))
        return {id_: Totals(source, reach.get(source.name, Reach()), known[id_]) for id_, source in sources.items()}

    def sent(self) -> tuple[Point, ...]:
        """Return the last point of every series that the receiver has, by time, as repeats (id 0)."""
        known = [one for totals in self._load().values() for one in totals.known.values()]
        self._known = None
        return tuple(one.repeated(one.time_ns) for one in sorted(known, key=lambda one: (one.time_ns, one.id)))

    def count_as_sent(self, last: int) -> tuple[list[Point], dict[str, int]]:
        """Count all intervals up to an id as sent; returns the last point of each series, and the end by source."""
        self._known = self._load()
        ends: dict[str, int] = {}
        points: dict[tuple[object, ...], Point] = {}
        for (source, end_ns), rows in groupby(self._rows_up_to(last), key=lambda row: row[:2]):
            for point in self._totals(source).interval(end_ns, [row for *_, row in rows]):
                points[identity(point)] = point
                ends[point.source.name] = max(ends.get(point.source.name, 0), end_ns)
        return list(points.values()), ends

    def _rows_up_to(self, last: int) -> Iterator[tuple[int, int, Row]]:
        """Yield the source, the end and the row of all intervals up to an id."""
        series: _Series = {}
        for found in takewhile(lambda row: row.id <= last, closed_after(self._db, 0)):
            if found.series not in series:
                series |= self._series([found.series])
            yield series[found.series][0], found.end_ns, self._row(found, series, self._counts_of(found, series))

    def _counts_of(self, found: Closed, series: _Series) -> Counts:
        return self._noting_damage("interval", found.id, *found.counts(series[found.series][1].bounds_ns))

    @staticmethod
    def _row(found: Closed, series: _Series, counts: Counts) -> Row:
        _, key, start_ns = series[found.series]
        # merged intervals are longer than the time of their samples
        return Row(found.id, found.series, key, max(found.start_ns, start_ns), counts)

    # --- the next points ------------------------------------------------------------------------------------------

    def read(self, position: int, limit: int) -> tuple[tuple[Point, ...], int]:
        """Return the points of the next intervals, and the last id that was read.

        There are no points if a newer copy of this store sent all of these intervals.
        """
        found = list(islice(closed_after(self._db, position), limit))
        cut_off = self._cut_off(found[-1]) if len(found) == limit else []
        series = self._series(row.series for row in (*found, *cut_off))
        rows = [row for row in found if row.end_ns > self._totals(series[row.series][0]).reach.skip_ns]
        self._spans = {row.id: (row.start_ns, row.end_ns, row.first_breach, row.last_breach) for row in rows}
        points: list[Point] = []
        for (source, end_ns), group in groupby(rows, key=lambda row: (series[row.series][0], row.end_ns)):
            together = [self._row(row, series, self._counts_of(row, series)) for row in group]
            behind: list[Row] = []
            if together[-1].id == found[-1].id:
                own = takewhile(lambda row: series[row.series][0] == source, cut_off)  # noqa: B023 - used up at once
                behind = [self._row(row, series, Counts()) for row in own]
            more = self._totals(source).interval(end_ns, together, behind)
            points += map(self._with_exemplars, islice(more, limit - len(points)))
            if len(points) == limit:
                break  # the rest comes with the next batch, which continues after the ids that were sent
        # the next reading moves the cursor past rows that need not be sent, if they are the last ones
        self.is_last = len(found) < limit and len(rows) == len(found) and not self._may_repeat()
        return tuple(points), found[-1].id if found else 0

    def _cut_off(self, last: Closed) -> list[Closed]:
        """Return the rows behind a page that have the same end as its last row."""
        return list(takewhile(lambda row: row.end_ns == last.end_ns, closed_after(self._db, last.id)))

    def owed(self, limit: int) -> tuple[Point, ...]:
        """Return points with counts whose intervals were deleted before the receiver had them."""
        all_ = self._db.execute(
            "SELECT series, start_ns FROM owed WHERE exporter = ? ORDER BY series", (self._exporter,)
        ).fetchall()
        if not all_:
            return ()
        series = self._series(of for of, _ in all_)
        points: list[Point] = []
        for source in sorted({source for source, _, _ in series.values()}):
            rows = [Row(0, of, series[of][1], begin_ns, Counts()) for of, begin_ns in all_ if series[of][0] == source]
            points += islice(self._totals(source).beginnings(rows), limit - len(points))
        for of, begin_ns, time_ns, *columns in self._db.execute(
            f"SELECT series, start_ns, time_ns, {counts_to_read()} FROM owed WHERE exporter = ?"
            " ORDER BY time_ns, series LIMIT ?",
            (self._exporter, limit),
        ).fetchall():
            source, key, _ = series[of]
            row = Row(0, of, key, begin_ns, self._counts("owed", of, columns, key.bounds_ns))
            points += islice(self._totals(source).owed(time_ns, row), limit - len(points))
        return tuple(points)

    def idle(self, older_ns: int) -> Iterator[Point]:
        """Return repeats of the series whose last point is so much older than the closed time of their source."""
        for id_, closed_ns in self._db.execute("SELECT id, sealed_ns FROM source ORDER BY id").fetchall():
            yield from self._totals(id_).silent(closed_ns, older_ns)

    def _may_repeat(self) -> bool:
        """Return whether :meth:`idle` may find a series."""
        closed = self._db.execute("SELECT id, sealed_ns FROM source").fetchall()
        return any(self._totals(id_).may_repeat(closed_ns, REPEAT_NS) for id_, closed_ns in closed)

    def ends(self, points: Iterable[Point]) -> dict[str, int]:
        """Return the latest end of the intervals of some points, by source; 0 if no point has an interval.

        Owed counts are from deleted intervals, which ended before the time of the point that carries the counts.
        """
        found: dict[str, int] = {}
        for point in points:
            is_owed = not point.id and point.delta.count
            end_ns = point.time_ns if is_owed else self._spans.get(point.id, (0, 0, 0, 0))[1]
            found[point.source.name] = max(found.get(point.source.name, 0), end_ns)
        return found

    def _with_exemplars(self, point: Point) -> Point:
        threshold_ns = point.source.threshold_ns
        if not point.id or point.series.instrument is not Instrument.DURATION or point.delta.max_ns < threshold_ns:
            return point
        start_ns, end_ns, first, last = self._spans[point.id]
        attributes = encode_attributes(point.series.attributes)
        worst = read_breaches(
            self._db,
            "b.id BETWEEN ? AND ? AND b.time_ns >= ? AND b.time_ns < ? AND b.source = ? AND k.attributes = ?"
            " AND b.duration_ns BETWEEN ? AND ?",  # others are of a series with other bounds, between two restarts
            (first, last or ALL, start_ns, end_ns, point.source.id, attributes, point.delta.min_ns, point.delta.max_ns),
            MAX_EXEMPLARS,
            order="b.duration_ns DESC, b.id",
        )
        exemplars = sorted(worst, key=lambda breach: (breach.time_ns, breach.id))
        return msgspec.structs.replace(point, exemplars=tuple(exemplars))

    def _series(self, ids: Iterable[int]) -> _Series:
        rows = self._db.execute(
            f"SELECT id, source, start_ns, instrument, attributes, bounds FROM series WHERE id IN {IDS}",
            (json_ids(set(ids)),),
        )
        return {id_: (source, _series_key(*names), start_ns) for id_, source, start_ns, *names in rows}

    def _counts(self, table: str, id_: int, columns: Sequence[Any], bounds_ns: tuple[int, ...]) -> Counts:
        """Return the counts of a row, or their mean if they are damaged: delivery continues."""
        return self._noting_damage(table, id_, *counts_or_mean(columns, bounds_ns))

    def _noting_damage(self, table: str, id_: int, counts: Counts, is_whole: bool) -> Counts:
        if not is_whole and (table, id_) not in self._damaged:
            self._damaged.add((table, id_))
            self._repaired += Repaired.of(counts)
        return counts

    def take_repaired(self) -> Repaired:
        """Return the damaged counts that were found since the last call. Each is reported once."""
        repaired, self._repaired = self._repaired, Repaired()
        return repaired


@lru_cache(maxsize=2048)  # the series of all live paths come again and again
def _series_key(instrument: str, attributes: str, bounds: str) -> SeriesKey:
    return SeriesKey(Instrument(instrument), decode_attributes(attributes), decode_bounds(bounds))
