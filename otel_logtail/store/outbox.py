"""The store as one exporter sees it: what comes after its cursor, and moving that cursor on the receiver's word.

Each exporter has an outbox on a connection of its own, used by its own thread, so that none can hold up another or the
tail. The cursor moves in one transaction with the totals that the receiver has been sent, so a total can't be counted
twice or forgotten, whenever the process dies: a batch whose delivery is unclear comes again with the same ids, times
and totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby, islice, takewhile
from pathlib import Path
from typing import Any

import msgspec

from otel_logtail.model import (
    BreachRecord,
    Counts,
    Delivered,
    Dropped,
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
from otel_logtail.store import quarantine
from otel_logtail.store.connection import connect, sync_each_commit, transaction, translated
from otel_logtail.store.cursors import Cursors, identity
from otel_logtail.store.gaps import Known
from otel_logtail.store.health import health, pending
from otel_logtail.store.marker import Marker, Sent
from otel_logtail.store.rows import (
    EPISODE,
    IDS,
    counts_or_mean,
    counts_to_read,
    decode_attributes,
    decode_bounds,
    encode_attributes,
    episode_of,
    json_ids,
    marks,
)
from otel_logtail.store.totals import SKIP_NS, Reach, Row, Totals

MAX_EVENTS = 128
"""How many breaches an episode's record holds; the rest is only counted (OpenTelemetry's limit of events per span)."""

BATCH_EVENTS = 2000
"""How many breaches the episodes of one batch hold together (but one episode is never split): 250 full ones would be
tens of megabytes."""

MAX_EXEMPLARS = 3
"""How many breaches an interval's point points at."""

_LAST_ID = 2**63 - 1

_TABLES = {Stream.INTERVALS: "interval", Stream.EPISODES: "episode", Stream.BREACHES: "breach"}

_BREACH = (
    "SELECT b.id, b.source, f.live, f.path, b.offset, b.uid, b.time_ns, b.duration_ns, k.severity, k.cause, k.stage,"
    " k.attributes, b.trace_id, b.span_id"
    " FROM breach AS b JOIN kind AS k ON k.id = b.kind JOIN file AS f ON f.id = b.file"
)


class Begun(msgspec.Struct, frozen=True):
    """What registering an exporter has found.

    ``held`` is how many items a new one begins with. ``ahead_ns`` is not None where this store is an older copy: the
    receiver has more than it knows, up to that time, and all series begin anew.
    """

    held: int = 0
    ahead_ns: int | None = None


class Outbox:
    """One exporter's cursors, and the items behind them."""

    def __init__(self, path: Path, exporter: str) -> None:
        self.path = path
        self.exporter = exporter
        self._marker = Marker(path, exporter)
        self._generation = 0
        self._met: set[tuple[str, int]] = set()
        self._mended = 0
        # what the receiver knows, by source; read again where anybody else may have changed it
        self._known: dict[int, Totals] | None = None
        self._known_at = (-1, 0)
        self._unanswered: ExportBatch | None = None
        self._spans: dict[int, tuple[int, int, int, int]] = {}
        """Start and end of each interval that was read last, and the first and last breach that it may count."""
        with translated(path):
            self._db = connect(path)
        self._cursors = Cursors(self._db, exporter)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()
        self._marker.close()

    def register(self, streams: Iterable[Stream], now_ns: int, *, from_now: bool = False, form: str = "") -> Begun:
        """Make the exporter and its cursors known; one that is new begins with all that the store holds.

        With ``from_now`` a new one begins behind that; its totals count it, as if it had been told. What it no longer
        wants does not wait for it; should it want that again, it begins with what the store holds by then, and its
        series begin anew without what was sent before.

        ``form`` is the exporter's part of what makes its points other series at the receiver. With another one than
        before, all series begin anew; so they do where the receiver has more than this store knows.
        """
        streams = tuple(streams)
        self._cursors.form = form
        wanted = tuple(stream.value for stream in streams if stream is not Stream.SELF)
        ahead_ns = None
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
            self._db.execute(
                f"UPDATE refused SET held = 1 WHERE exporter = ? AND stream NOT IN ({marks(len(wanted))})",
                (self.exporter, *wanted),
            )
            if Stream.INTERVALS.value in wanted:
                ahead_ns = self._cursors.meet_marker(self._marker.read(), now_ns)
                self._cursors.meet_form(self._sources().values())
            else:
                self._cursors.interrupt()
            held = 0 if known else sum(self._held(stream) for stream in streams if stream in _TABLES)
            sent = self._cursors.sent()
        # where a new exporter begins is on the disk by now: a power cut makes it be sent more again, never less
        sync_each_commit(self._db, False)
        self._known = None
        self._marker.write(sent)
        return Begun(held, ahead_ns)

    def read(self, stream: Stream, limit: int) -> ExportBatch | None:
        """The next items after the cursor, at most ``limit``; None where there are none."""
        while True:
            # in one snapshot: rows, and the totals that they add to, belong together
            with translated(self.path), self._snapshot():
                row = self._db.execute(
                    "SELECT position FROM cursor WHERE exporter = ? AND stream = ?", (self.exporter, stream.value)
                ).fetchone()
                if row is None:
                    return None  # it is not registered for this stream
                position = row[0]
                items: tuple[Item, ...]
                passed = 0
                if stream is Stream.INTERVALS:
                    self._meet(position)
                    items = self._owed(limit)
                    if not items:
                        items, passed = self._points(position, limit)
                elif stream is Stream.EPISODES:
                    self._generation = self._now_generation()
                    items = self._episodes(position, limit)
                else:
                    self._generation = self._now_generation()
                    items = self._breaches("b.id > ?", (position,), limit)
            if items:
                return self._asked(ExportBatch(stream, items))
            if not passed:
                return None
            with translated(self.path), transaction(self._db):
                self._cursors.move(stream, passed)

    def take_mended(self) -> int:
        """How many damaged counts were met since somebody asked; each is told once, however often it is read.

        They stand for what is left of them: as many, adding up to as much, all at their mean.
        """
        mended, self._mended = self._mended, 0
        return mended

    def told(self) -> tuple[Point, ...]:
        """The last point of every series that the receiver has been told, by time, as for a silent series (id 0)."""
        with translated(self.path), self._snapshot():
            known = [one for totals in self._load().values() for one in totals.known.values()]
        self._known = None
        return tuple(one.repeated(one.time_ns) for one in sorted(known, key=lambda one: (one.time_ns, one.id)))

    def silent(self, older_ns: int, limit: int) -> ExportBatch | None:
        """Series whose last delivered point is ``older_ns`` behind their source's sealed time, repeated at that time.

        None while points are on the way: what waits there is older than the sealed time, and must go first.
        """
        with translated(self.path), self._snapshot():
            row = self._db.execute(
                "SELECT position FROM cursor WHERE exporter = ? AND stream = ?",
                (self.exporter, Stream.INTERVALS.value),
            ).fetchone()
            if row is None or self._db.execute("SELECT 1 FROM interval WHERE id > ? LIMIT 1", row).fetchone():
                return None
            self._meet(row[0])
            sealed = self._db.execute("SELECT id, sealed_ns FROM source ORDER BY id").fetchall()
            points = (point for id_, sealed_ns in sealed for point in self._totals(id_).silent(sealed_ns, older_ns))
            items = tuple(islice(points, limit))
        return self._asked(ExportBatch(Stream.INTERVALS, items)) if items else None

    def advance(
        self, batch: ExportBatch, count: int, now_ns: int, *, skipped: int = 0, rejected: int = 0, why: str = ""
    ) -> None:
        """The receiver has decided about the first ``count`` items: move the cursor behind them, with their totals.

        Args:
            batch: As it was read.
            count: How many of its items are done.
            now_ns: The clock.
            skipped: How many of them were not sent; if all, this is no success.
            rejected: How many the receiver threw away, in its own units; they count as refused.
            why: The receiver's reason for that.
        """
        items = batch.items[:count]
        sent = None
        with translated(self.path), transaction(self._db):
            if self._still_holds():
                sent = self._have(batch.stream, items)
            if skipped:
                self._db.execute("UPDATE exporter SET skipped = skipped + ? WHERE name = ?", (skipped, self.exporter))
            if skipped < len(items):
                new = sum(item.id > 0 for item in items) - skipped
                self._note_success(new, rejected, why, now_ns)
        self._answered(batch, count, sent)

    def set_aside(self, batch: ExportBatch, why: str, now_ns: int, *, held: bool) -> Dropped | None:
        """Take the one item of this batch out of its stream, and go on behind it; returns what left for it.

        Its counts stay in the totals that later points carry: they are true, whether this point is accepted or not.

        Args:
            batch: As it was read.
            why: The receiver's reason.
            now_ns: The clock.
            held: Whether it is quarantined at once; else it is on trial.
        """
        (item,) = batch.items
        sent = dropped = None
        with translated(self.path), transaction(self._db):
            if self._still_holds():
                sent = self._have(batch.stream, batch.items)
                dropped = quarantine.add(self._db, self.exporter, batch.stream, item, why, now_ns, held=held)
            self._note_error(why, now_ns)
        self._answered(batch, 1, sent)
        return dropped

    def trials(self, stream: Stream) -> dict[int, int]:
        """The items on trial, by their id there: how often each failed alone while others were accepted."""
        with translated(self.path):
            return quarantine.trials(self._db, self.exporter, stream)

    def trial(self, stream: Stream, id_: int) -> ExportBatch | None:
        """An item on trial, as it was sent; None if there is none, or none that can be read."""
        with translated(self.path):
            return quarantine.trial(self._db, stream, id_)

    def trial_over(self, id_: int, delivered: Delivered, now_ns: int) -> None:
        """The receiver has decided about an item on trial, or it became too old to be sent."""
        with translated(self.path), transaction(self._db):
            (item,) = self._db.execute("SELECT item FROM refused WHERE id = ?", (id_,)).fetchone() or (0,)
            quarantine.remove(self._db, id_)
            if delivered.skipped:
                self._db.execute("UPDATE exporter SET skipped = skipped + 1 WHERE name = ?", (self.exporter,))
            else:
                self._note_success(int(item > 0), delivered.rejected, delivered.why, now_ns)

    def trial_failed(self, id_: int, tries: int, why: str, now_ns: int) -> None:
        """An item on trial failed again, now for the ``tries``-th time while others were accepted."""
        with translated(self.path), transaction(self._db):
            quarantine.failed_again(self._db, id_, tries, why, now_ns)
            self._note_failure(why, now_ns)

    def hold(self, stream: Stream, id_: int, why: str, now_ns: int) -> Dropped | None:
        """Quarantine an item that was on trial (``why`` empty: for its last reason); returns what left for it."""
        with translated(self.path), transaction(self._db):
            dropped = quarantine.hold(self._db, self.exporter, stream, id_, why, now_ns)
            if why:
                self._note_error(why, now_ns)
        return dropped

    def keeps_refused(self) -> bool:
        """Whether items are quarantined or on trial."""
        with translated(self.path):
            return quarantine.any_kept(self._db, self.exporter)

    def failed(self, why: str, now_ns: int) -> None:
        """Note what went wrong last, for ``status``."""
        with translated(self.path), transaction(self._db):
            self._note_failure(why, now_ns)

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

    def _points(self, position: int, limit: int) -> tuple[tuple[Point, ...], int]:
        """The points of the next intervals, and the last id that was read: all of them may be ones to pass over."""
        found = self._db.execute(
            f"SELECT id, series, end_ns, start_ns, first_breach, last_breach, {counts_to_read()} FROM interval"
            " WHERE id > ? ORDER BY id LIMIT ?",
            (position, limit),
        ).fetchall()
        cut_off = self._cut_off(found[-1][0], found[-1][2]) if len(found) == limit else []
        series = self._series(row[1] for row in (*found, *cut_off))
        rows = [row for row in found if row[2] > self._totals(series[row[1]][0]).reach.skip_ns]
        self._spans = {row[0]: (row[3], row[2], row[4], row[5]) for row in rows}
        points: list[Point] = []
        for (source, end_ns), group in groupby(rows, key=lambda row: (series[row[1]][0], row[2])):
            together = [
                # merged intervals are longer than what they count
                Row(id_, of, key, max(begin_ns, start_ns), self._counts("interval", id_, columns, key.bounds_ns))
                for id_, of, _, begin_ns, _, _, *columns in group
                for _, key, start_ns in (series[of],)
            ]
            behind: list[Row] = []
            if together[-1].id == found[-1][0]:
                own = takewhile(lambda row: series[row[1]][0] == source, cut_off)  # noqa: B023 - used up at once
                behind = [
                    Row(id_, of, series[of][1], max(begin_ns, series[of][2]), Counts()) for id_, of, begin_ns in own
                ]
            more = self._totals(source).interval(end_ns, together, behind)
            points += map(self._with_exemplars, islice(more, limit - len(points)))
            if len(points) == limit:
                break  # the rest comes with the next batch: what was sent by then says where to go on
        return tuple(points), found[-1][0] if found else 0

    def _cut_off(self, last: int, end_ns: int) -> list[tuple[int, int, int]]:
        """Id, series and start of the rows that go on behind a page with intervals of the same end."""
        return self._db.execute(
            "SELECT id, series, start_ns FROM interval WHERE id > ?1 AND id < ifnull("
            "(SELECT id FROM interval WHERE id > ?1 AND end_ns <> ?2 ORDER BY id LIMIT 1), 1 << 62) ORDER BY id",
            (last, end_ns),
        ).fetchall()

    def _owed(self, limit: int) -> tuple[Point, ...]:
        """Points with what left the store before the receiver had it."""
        all_ = self._db.execute(
            "SELECT series, start_ns FROM owed WHERE exporter = ? ORDER BY series", (self.exporter,)
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
            (self.exporter, limit),
        ).fetchall():
            source, key, _ = series[of]
            row = Row(0, of, key, begin_ns, self._counts("owed", of, columns, key.bounds_ns))
            points += islice(self._totals(source).owed(time_ns, row), limit - len(points))
        return tuple(points)

    def _with_exemplars(self, point: Point) -> Point:
        threshold_ns = point.source.threshold_ns
        if not point.id or point.series.instrument is not Instrument.DURATION or point.delta.max_ns < threshold_ns:
            return point
        start_ns, end_ns, first, last = self._spans[point.id]
        worst = self._breaches(
            "b.id BETWEEN ? AND ? AND b.time_ns >= ? AND b.time_ns < ? AND b.source = ? AND k.attributes = ?",
            (first, last or _LAST_ID, start_ns, end_ns, point.source.id, encode_attributes(point.series.attributes)),
            MAX_EXEMPLARS,
            order="b.duration_ns DESC, b.id",
        )
        exemplars = sorted(worst, key=lambda breach: (breach.time_ns, breach.id))
        return msgspec.structs.replace(point, exemplars=tuple(exemplars))

    def _meet(self, position: int) -> None:
        """See to it that what the receiver knows is what the store says; the caller holds a snapshot."""
        self._generation = self._now_generation()
        now = (position, self._generation)
        if self._known is None or self._unanswered is not None or now != self._known_at:
            self._known = self._load()
        self._known_at, self._unanswered = now, None

    def _asked(self, batch: ExportBatch) -> ExportBatch:
        if batch.stream is Stream.INTERVALS:
            self._unanswered = batch
        return batch

    def _totals(self, source: int) -> Totals:
        if self._known is None:
            raise RuntimeError("not in a snapshot")
        if source not in self._known:
            self._known[source] = Totals(self._sources()[source], Reach())
        return self._known[source]

    def _load(self) -> dict[int, Totals]:
        """What the receiver has of each series, by source."""
        sources = self._sources()
        reach = {
            name: Reach(*columns)
            for name, *columns in self._db.execute(
                "SELECT source, end_ns, time_ns, after_ns, skip_ns FROM sent WHERE exporter = ?", (self.exporter,)
            )
        }
        known: dict[int, list[Known]] = {id_: [] for id_ in sources}
        for of, source, instrument, attributes, bounds, start_ns, time_ns, *columns in self._db.execute(
            f"SELECT t.series, s.source, s.instrument, s.attributes, s.bounds, t.start_ns, t.time_ns,"
            f" {counts_to_read('t')} FROM total AS t JOIN series AS s ON s.id = t.series WHERE t.exporter = ?"
            " ORDER BY t.series",
            (self.exporter,),
        ):
            key = _series_key(instrument, attributes, bounds)
            # a damaged one: nobody but the receiver knows what it was told. Its number and sum go on from here
            total = self._counts("total", of, columns, key.bounds_ns)
            known[source].append(Known(of, sources[source], key, start_ns, time_ns, total))
        return {id_: Totals(source, reach.get(source.name, Reach()), known[id_]) for id_, source in sources.items()}

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
        """The source, the key and the start of some series."""
        rows = self._db.execute(
            f"SELECT id, source, start_ns, instrument, attributes, bounds FROM series WHERE id IN {IDS}",
            (json_ids(set(ids)),),
        )
        return {id_: (source, _series_key(*names), start_ns) for id_, source, start_ns, *names in rows}

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

    # --- writing ----------------------------------------------------------------------------------------------------

    def _still_holds(self) -> bool:
        """Whether nothing was dropped since this batch was read: else cursor and totals have gone on without it."""
        return self._now_generation() == self._generation

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
        self._known = self._load()
        ends: dict[str, int] = {}
        points: dict[tuple[object, ...], Point] = {}  # the last of each series
        series: dict[int, tuple[int, SeriesKey, int]] = {}
        for id_, of, begin_ns, end_ns, *columns in self._db.execute(
            f"SELECT id, series, start_ns, end_ns, {counts_to_read()} FROM interval WHERE id <= ? ORDER BY id", (last,)
        ):
            if of not in series:
                series |= self._series([of])
            source, key, start_ns = series[of]
            row = Row(id_, of, key, max(begin_ns, start_ns), self._counts("interval", id_, columns, key.bounds_ns))
            for point in self._totals(source).owed(end_ns, row):
                points[identity(point)] = point
                ends[point.source.name] = max(ends.get(point.source.name, 0), end_ns)
        self._cursors.have(points.values(), ends)

    def _have(self, stream: Stream, items: Sequence[Item]) -> Sent | None:
        """The receiver has these: move the cursor, and remember their totals and how far they reach."""
        self._cursors.move(stream, max((item.id for item in items), default=0))
        points = [item for item in items if isinstance(item, Point)]
        if not points:
            return None
        ends: dict[str, int] = {}
        for point in points:
            end_ns = self._spans.get(point.id, (0, 0, 0, 0))[1]
            ends[point.source.name] = max(ends.get(point.source.name, 0), end_ns)
        self._cursors.have(points, ends)
        for totals in (self._known or {}).values():
            if ends.get(totals.source.name, 0) > totals.reach.skip_ns + SKIP_NS:
                totals.reach.skip_ns = 0
        return self._cursors.sent()

    def _answered(self, batch: ExportBatch, count: int, sent: Sent | None) -> None:
        """Keep what was read ahead if the receiver has all of it; else it is read again."""
        if batch.stream is not Stream.INTERVALS:
            return
        if batch is self._unanswered and count >= len(batch.items) and sent is not None:
            self._unanswered = None
            position, generation = self._known_at
            self._known_at = (max(position, *(item.id for item in batch.items)), generation)
        else:
            self._known = None
        if sent is not None:
            self._marker.write(sent)

    def _note_success(self, new: int, rejected: int, why: str, now_ns: int) -> None:
        self._db.execute(
            "UPDATE exporter SET delivered = delivered + ?, refused = refused + ?, last_success_ns = ?,"
            " last_error = NULL WHERE name = ?",
            (max(0, new - rejected), rejected, now_ns, self.exporter),
        )
        if rejected:
            self._note_error(why, now_ns)

    def _note_failure(self, why: str, now_ns: int) -> None:
        self._db.execute("UPDATE exporter SET failures = failures + 1 WHERE name = ?", (self.exporter,))
        self._note_error(why, now_ns)

    def _note_error(self, why: str, now_ns: int) -> None:
        self._db.execute(
            "UPDATE exporter SET last_error = ?, last_error_ns = ? WHERE name = ?", (why, now_ns, self.exporter)
        )


@lru_cache(maxsize=2048)  # those of all live paths are repeated again and again
def _series_key(instrument: str, attributes: str, bounds: str) -> SeriesKey:
    return SeriesKey(Instrument(instrument), decode_attributes(attributes), decode_bounds(bounds))
