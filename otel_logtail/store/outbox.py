"""The store as one exporter sees it: what comes after its cursor, and moving that cursor on the receiver's word.

Each exporter has an outbox on a connection of its own, used by its own thread, so that none can hold up another or the
tail. The cursor moves in one transaction with the totals that the receiver has been told, so a total can't be counted
twice or forgotten, whenever the process dies: a batch whose delivery is unclear comes again with the same ids, times
and totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from otel_logtail.engine import intervals
from otel_logtail.model import (
    BreachRecord,
    Counts,
    EpisodeRecord,
    ExportBatch,
    Instrument,
    Item,
    Point,
    SeriesKey,
    Severity,
    SourceInfo,
    Stream,
)
from otel_logtail.store.connection import connect, series_bounds, sync_each_commit, transaction, translated
from otel_logtail.store.gaps import Known, fill
from otel_logtail.store.health import health, pending
from otel_logtail.store.rows import (
    COUNTS,
    EPISODE,
    IDS,
    STEP_NS,
    counts_or_mean,
    counts_row,
    counts_to_read,
    decode_attributes,
    decode_bounds,
    encode_attributes,
    encode_json,
    episode_of,
    json_ids,
    marks,
)

MAX_EVENTS = 128
"""How many breaches an episode's record holds; the rest is only counted (OpenTelemetry's limit of events per span)."""

BATCH_EVENTS = 2000
"""How many breaches the episodes of one batch hold together (but one episode is never split): 250 full ones would be
tens of megabytes."""

MAX_EXEMPLARS = 3
"""How many breaches an interval's point points at."""

_TABLES = {Stream.INTERVALS: "interval", Stream.EPISODES: "episode", Stream.BREACHES: "breach"}

_BREACH = (
    "SELECT b.id, b.source, f.live, f.path, b.offset, b.uid, b.time_ns, b.duration_ns, k.severity, k.cause, k.stage,"
    " k.attributes, b.trace_id, b.span_id"
    " FROM breach AS b JOIN kind AS k ON k.id = b.kind JOIN file AS f ON f.id = b.file"
)


class Outbox:
    """One exporter's cursors, and the items behind them."""

    def __init__(self, path: Path, exporter: str) -> None:
        self.path = path
        self.exporter = exporter
        self._generation = 0
        self._met: set[tuple[str, int]] = set()
        self._mended = 0
        with translated(path):
            self._db = connect(path)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def register(self, streams: Iterable[Stream], now_ns: int, *, from_now: bool = False) -> int:
        """Make the exporter and its cursors known; one that is new begins with all that the store holds.

        Returns how many items that is: 0 for one that is known, or where the store is empty.

        With ``from_now`` a new one begins behind that; its totals count it, as if it had been told. What it no longer
        wants does not wait for it; should it want that again, it begins as a new one does.
        """
        streams = tuple(streams)
        wanted = tuple(stream.value for stream in streams if stream is not Stream.SELF)
        with translated(self.path), transaction(self._db):
            known = self._db.execute("SELECT 1 FROM exporter WHERE name = ?", (self.exporter,)).fetchone()
            self._db.execute(
                "INSERT INTO exporter (name, last_seen_ns) VALUES (?, ?)"
                " ON CONFLICT DO UPDATE SET last_seen_ns = excluded.last_seen_ns",
                (self.exporter, now_ns),
            )
            if from_now:
                self._skip(streams)
            self._db.executemany(
                "INSERT INTO cursor VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
                [(self.exporter, stream) for stream in wanted],
            )
            self._db.execute(
                f"DELETE FROM cursor WHERE exporter = ? AND stream NOT IN ({marks(len(wanted))})",
                (self.exporter, *wanted),
            )
            if Stream.INTERVALS.value not in wanted:
                self._db.execute("DELETE FROM total WHERE exporter = ?", (self.exporter,))
            held = 0 if known else sum(self._held(stream) for stream in streams if stream in _TABLES)
        # where a new exporter begins is on the disk by now: a power cut makes it be sent more again, never less
        sync_each_commit(self._db, False)
        return held

    def read(self, stream: Stream, limit: int) -> ExportBatch | None:
        """The next items after the cursor, at most ``limit``; None where there are none."""
        # in one snapshot: rows, and the totals that they add to, belong together
        with translated(self.path), self._snapshot():
            self._generation = self._now_generation()
            row = self._db.execute(
                "SELECT position FROM cursor WHERE exporter = ? AND stream = ?", (self.exporter, stream.value)
            ).fetchone()
            if row is None:
                return None  # it is not registered for this stream
            position = row[0]
            items: tuple[Item, ...]
            if stream is Stream.INTERVALS:
                items = self._points(position, limit)
            elif stream is Stream.EPISODES:
                items = self._episodes(position, limit)
            else:
                items = self._breaches("b.id > ?", (position,), limit)
        return ExportBatch(stream, items) if items else None

    def take_mended(self) -> int:
        """How many damaged counts were met since somebody asked; each is told once, however often it is read.

        They stand for what is left of them: as many, adding up to as much, all at their mean.
        """
        mended, self._mended = self._mended, 0
        return mended

    def told(self) -> tuple[Point, ...]:
        """The last point of every series that the receiver has been told, by time, as for a silent series (id 0)."""
        with translated(self.path), self._snapshot():
            rows = self._db.execute(
                f"SELECT series, time_ns, time_ns, {counts_to_read()} FROM total WHERE exporter = ?"
                " ORDER BY time_ns, series",
                (self.exporter,),
            ).fetchall()
            points = self._repeats(rows)
        return tuple(points)

    def silent(self, older_ns: int, limit: int) -> ExportBatch | None:
        """Series whose last delivered point is ``older_ns`` behind their source's sealed time, repeated at that time.

        None while points are on the way: what waits there is older than the sealed time, and must go first.
        """
        with translated(self.path), self._snapshot():
            self._generation = self._now_generation()
            waiting = self._db.execute(
                "SELECT 1 FROM interval WHERE id >"
                " (SELECT position FROM cursor WHERE exporter = ? AND stream = ?) LIMIT 1",
                (self.exporter, Stream.INTERVALS.value),
            ).fetchone()
            if waiting is not None:
                return None
            rows = self._db.execute(
                f"SELECT s.id, src.sealed_ns, t.time_ns, {counts_to_read('t')}"
                " FROM total AS t JOIN series AS s ON s.id = t.series JOIN source AS src ON src.id = s.source"
                " WHERE t.exporter = ? AND src.sealed_ns - t.time_ns >= ?"
                # after other thresholds the series with the old bounds has ended: a new one goes on under its name
                " AND NOT EXISTS (SELECT 1 FROM series AS n"
                " JOIN total AS nt ON nt.series = n.id AND nt.exporter = t.exporter"
                " WHERE n.source = s.source AND n.instrument = s.instrument AND n.attributes = s.attributes"
                " AND n.bounds <> s.bounds AND nt.time_ns > t.time_ns) ORDER BY s.id LIMIT ?",
                (self.exporter, older_ns, limit),
            ).fetchall()
            items = self._repeats(rows)
        return ExportBatch(Stream.INTERVALS, tuple(items)) if items else None

    def advance(self, batch: ExportBatch, count: int, now_ns: int, *, skipped: int = 0) -> None:
        """The receiver has the first ``count`` items: move the cursor behind them, and remember what it was told.

        ``skipped`` of them it was not given; they are counted apart, and are no success where they are all.
        """
        items = batch.items[:count]
        last = max((item.id for item in items), default=0)
        with translated(self.path), transaction(self._db):
            if self._still_holds():
                self._move(batch.stream, last)
                self._remember(items)
            if skipped:
                self._db.execute("UPDATE exporter SET skipped = skipped + ? WHERE name = ?", (skipped, self.exporter))
            if skipped < len(items):
                self._db.execute(
                    "UPDATE exporter SET delivered = delivered + ?, last_success_ns = ?, last_error = NULL"
                    " WHERE name = ?",
                    (sum(item.id > 0 for item in items) - skipped, now_ns, self.exporter),
                )

    def set_aside(self, batch: ExportBatch, why: str, now_ns: int) -> None:
        """The receiver will never take the one item of this batch: note it, and go on behind it.

        Its counts stay in the totals that later points carry: they are true, whether this point was taken or not.
        """
        (item,) = batch.items
        with translated(self.path), transaction(self._db):
            if self._still_holds():
                self._move(batch.stream, item.id)
                self._remember(batch.items)
            if item.id:
                self._db.execute(
                    "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?)",
                    (self.exporter, batch.stream.value, item.id, why, now_ns),
                )
            self._note_error(why, now_ns)

    def failed(self, why: str, now_ns: int) -> None:
        """Note what went wrong last, for ``status``."""
        with translated(self.path), transaction(self._db):
            self._db.execute("UPDATE exporter SET failures = failures + 1 WHERE name = ?", (self.exporter,))
            self._note_error(why, now_ns)

    def health(self, now_ns: int) -> ExportBatch:
        """The daemon's own numbers as they are now."""
        with translated(self.path), self._snapshot():
            return ExportBatch(Stream.SELF, (health(self._db, self.path, now_ns),))

    def pending(self) -> int:
        """How many items wait for delivery."""
        with translated(self.path):
            return pending(self._db, self.exporter)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN")
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    # --- reading ----------------------------------------------------------------------------------------------------

    def _points(self, position: int, limit: int) -> tuple[Point, ...]:
        rows = self._db.execute(
            f"SELECT id, series, end_ns, start_ns, {counts_to_read()} FROM interval WHERE id > ? ORDER BY id LIMIT ?",
            (position, limit),
        ).fetchall()
        if not rows:
            return ()
        known = self._known(row[1] for row in rows)
        points: list[Point] = []
        for (source, end_ns), group in groupby(rows, key=lambda row: (known[row[1]].source.id, row[2])):
            together = list(group)
            siblings = [one for one in known.values() if one.source.id == source]
            between = fill(siblings, end_ns, {row[1] for row in together})
            points += islice(between, limit - len(points))
            for row_id, series_id, _, begin_ns, *columns in together[: limit - len(points)]:
                one = known[series_id]
                delta = self._counts("interval", row_id, columns, one.series.bounds_ns)
                breached = one.series.instrument is Instrument.DURATION and delta.max_ns >= one.source.threshold_ns
                exemplars = self._exemplars(source, one.series, begin_ns, end_ns) if breached else ()
                points.append(_next_point(row_id, one, end_ns, delta, exemplars))
            if len(points) == limit:
                break  # the rest comes with the next batch: what was told by then says where to go on
        return tuple(points)

    def _repeats(self, rows: Sequence[tuple[Any, ...]]) -> list[Point]:
        """Points that only repeat a total; a row is the series, the point's time, the last point's, the counts."""
        sources, series = self._sources(), self._series(row[0] for row in rows)
        points = []
        for series_id, time_ns, last_ns, *columns in rows:
            source, key, start_ns = series[series_id]
            total = self._counts("total", series_id, columns, key.bounds_ns)
            points.append(Point(0, sources[source], key, start_ns, last_ns, time_ns, Counts(), total))
        return points

    def _episodes(self, position: int, limit: int) -> tuple[EpisodeRecord, ...]:
        rows = self._db.execute(
            f"SELECT id, source, {EPISODE} FROM episode WHERE id > ? ORDER BY id LIMIT ?", (position, limit)
        ).fetchall()
        sources = self._sources()
        records: list[EpisodeRecord] = []
        events = 0
        for row in rows:
            episode = episode_of(row[2:])
            breaches = self._breaches("b.span_id = ?", (episode.span_id,), MAX_EVENTS)
            events += len(breaches)
            if records and events > BATCH_EVENTS:
                break
            records.append(EpisodeRecord(row[0], sources[row[1]], episode, breaches))
        return tuple(records)

    def _breaches(
        self, where: str, parameters: tuple[object, ...], limit: int, *, order: str = "b.id"
    ) -> tuple[BreachRecord, ...]:
        sources = self._sources()
        rows = self._db.execute(f"{_BREACH} WHERE {where} ORDER BY {order} LIMIT ?", (*parameters, limit))
        return tuple(
            BreachRecord(
                id=row[0],
                source=sources[row[1]],
                live=row[2],
                path=row[3],
                offset=row[4],
                uid=row[5],
                time_ns=row[6],
                duration_ns=row[7],
                severity=Severity(row[8]),
                cause=row[9],
                stage=row[10],
                attributes=decode_attributes(row[11]),
                trace_id=row[12],
                span_id=row[13],
            )
            for row in rows
        )

    def _sources(self) -> dict[int, SourceInfo]:
        instance = self._db.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()[0]
        rows = self._db.execute("SELECT id, name, observer, event, threshold_ns, stall_ns, quiet_ns FROM source")
        return {row[0]: SourceInfo(row[0], row[1], row[2], row[3], instance, row[4], row[5], row[6]) for row in rows}

    def _series(self, ids: Iterable[int]) -> dict[int, tuple[int, SeriesKey, int]]:
        rows = self._db.execute(
            f"SELECT id, source, instrument, attributes, bounds, start_ns FROM series WHERE id IN {IDS}",
            (json_ids(set(ids)),),
        )
        return {
            row[0]: (
                row[1],
                _series_key(row[2], row[3], row[4]),
                row[5],
            )
            for row in rows
        }

    def _known(self, coming: Iterable[int]) -> dict[int, Known]:
        """What the receiver was told of each series, and the series that are new to it."""
        totals = {
            series: (time_ns, columns)
            for series, time_ns, *columns in self._db.execute(
                f"SELECT series, time_ns, {counts_to_read()} FROM total WHERE exporter = ?", (self.exporter,)
            )
        }
        sources = self._sources()
        known = {}
        for id_, (source, key, start_ns) in sorted(self._series({*coming, *totals}).items()):
            known[id_] = one = Known(id_, sources[source], key, start_ns)
            if id_ in totals:
                # a damaged one: nobody but the receiver knows what it was told. Its number and sum go on from here
                one.time_ns, columns = totals[id_]
                one.total = self._counts("total", id_, columns, key.bounds_ns)
        return known

    def _counts(self, table: str, id_: int, columns: Sequence[Any], bounds_ns: tuple[int, ...]) -> Counts:
        """The counts of a row, or what is left of them where they were damaged: that holds nobody up."""
        counts, whole = counts_or_mean(columns, bounds_ns)
        if not whole and (table, id_) not in self._met:
            self._met.add((table, id_))
            self._mended += 1
        return counts

    def _now_generation(self) -> int:
        row = self._db.execute("SELECT generation FROM exporter WHERE name = ?", (self.exporter,)).fetchone()
        return 0 if row is None else int(row[0])

    def _exemplars(self, source: int, series: SeriesKey, start_ns: int, end_ns: int) -> tuple[BreachRecord, ...]:
        worst = self._breaches(
            "b.time_ns >= ? AND b.time_ns < ? AND b.source = ? AND k.attributes = ?",
            (start_ns, end_ns, source, encode_attributes(series.attributes)),
            MAX_EXEMPLARS,
            order="b.duration_ns DESC, b.id",
        )
        return tuple(sorted(worst, key=lambda breach: (breach.time_ns, breach.id)))

    # --- writing ----------------------------------------------------------------------------------------------------

    def _still_holds(self) -> bool:
        """Whether nothing was dropped since this batch was read: else cursor and totals have gone on without it."""
        return self._now_generation() == self._generation

    def _move(self, stream: Stream, last: int) -> None:
        self._db.execute(
            "UPDATE cursor SET position = max(position, ?) WHERE exporter = ? AND stream = ?",
            (last, self.exporter, stream.value),
        )

    def _held(self, stream: Stream) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {_TABLES[stream]}").fetchone()[0])

    def _skip(self, streams: Iterable[Stream]) -> None:
        """Put new cursors behind what is there, and count that as told."""
        for stream in streams:
            if stream not in _TABLES:
                continue
            (last,) = self._db.execute(f"SELECT coalesce(max(id), 0) FROM {_TABLES[stream]}").fetchone()
            new = self._db.execute(
                "INSERT INTO cursor VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (self.exporter, stream.value, last)
            ).rowcount
            if new and stream is Stream.INTERVALS:
                self._count_as_told(last)

    def _count_as_told(self, last: int) -> None:
        totals: dict[int, tuple[int, Counts]] = {}
        bounds_ns = series_bounds(self._db)
        for id_, series, end_ns, *columns in self._db.execute(
            f"SELECT id, series, end_ns, {counts_to_read()} FROM interval WHERE id <= ?", (last,)
        ):
            delta = self._counts("interval", id_, columns, bounds_ns[series])
            time_ns, total = totals.get(series, (end_ns, Counts()))
            intervals.add(total, delta)
            totals[series] = (max(time_ns, end_ns), total)
        self._db.executemany(
            f"INSERT OR REPLACE INTO total (exporter, series, time_ns, {COUNTS}) VALUES ({marks(10)})",
            [(self.exporter, series, time_ns, *counts_row(total)) for series, (time_ns, total) in totals.items()],
        )

    def _remember(self, items: tuple[Item, ...]) -> None:
        latest: dict[tuple[int, SeriesKey], Point] = {}
        for item in items:
            if isinstance(item, Point):
                latest[item.source.id, item.series] = item
        for point in latest.values():
            self._db.execute(
                f"INSERT OR REPLACE INTO total (exporter, series, time_ns, {COUNTS})"
                f" SELECT ?, id, {marks(8)} FROM series"
                " WHERE source = ? AND instrument = ? AND attributes = ? AND bounds = ?",
                (
                    self.exporter,
                    point.time_ns,
                    *counts_row(point.total),
                    point.source.id,
                    point.series.instrument.value,
                    encode_attributes(point.series.attributes),
                    encode_json(point.series.bounds_ns),
                ),
            )

    def _note_error(self, why: str, now_ns: int) -> None:
        self._db.execute(
            "UPDATE exporter SET last_error = ?, last_error_ns = ? WHERE name = ?", (why, now_ns, self.exporter)
        )


@lru_cache(maxsize=2048)  # those of all live paths are repeated again and again
def _series_key(instrument: str, attributes: str, bounds: str) -> SeriesKey:
    return SeriesKey(Instrument(instrument), decode_attributes(attributes), decode_bounds(bounds))


def _next_point(id_: int, known: Known, end_ns: int, delta: Counts, exemplars: tuple[BreachRecord, ...]) -> Point:
    """The point of one more interval of a series, which is known from then on."""
    total = Counts()
    intervals.add(total, known.total)
    intervals.add(total, delta)
    if not total.count:
        total.explicit = [0] * (len(known.series.bounds_ns) + 1)
    last_ns = known.time_ns
    time_ns = end_ns if last_ns is None else max(end_ns, last_ns + STEP_NS)
    before_ns = known.start_ns if last_ns is None else last_ns
    known.time_ns, known.total = time_ns, total
    return Point(id_, known.source, known.series, known.start_ns, before_ns, time_ns, delta, total, exemplars)
