"""One exporter's cursors, and what moves with them: what its receiver has of each series, and how far that reaches.

All methods work inside the transaction of their caller, so a total cannot be counted twice or forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping

from otel_logtail.model import Point, SourceInfo, Stream
from otel_logtail.store.marker import Sent
from otel_logtail.store.rows import COUNTS, counts_row, encode_attributes, encode_json, marks
from otel_logtail.store.totals import SKIP_NS

_SERIES = "(SELECT id FROM series WHERE source = ? AND instrument = ? AND attributes = ? AND bounds = ?)"


class Cursors:
    """The rows of one exporter in the tables cursor, total, sent and owed.

    ``form`` is the exporter's part of what makes its points other series at the receiver.
    """

    def __init__(self, db: sqlite3.Connection, exporter: str) -> None:
        self.form = ""
        self._db = db
        self._exporter = exporter

    def move(self, stream: Stream, last: int) -> None:
        """Move a cursor behind this id, never back."""
        self._db.execute(
            "UPDATE cursor SET position = max(position, ?) WHERE exporter = ? AND stream = ?",
            (last, self._exporter, stream.value),
        )

    def have(self, points: Collection[Point], ends: Mapping[str, int]) -> None:
        """Remember what the receiver has by these points.

        Args:
            points: In the order in which they were sent.
            ends: The latest end of an interval among them, by source; 0 if there is none.
        """
        begun = [point for point in points if not point.total.count]
        self._db.executemany(
            "DELETE FROM total WHERE exporter = ? AND series IN"
            " (SELECT id FROM series WHERE source = ? AND instrument = ? AND attributes = ?)",
            [(self._exporter, *_columns(point)[:3]) for point in begun],
        )
        self._db.executemany(
            f"DELETE FROM owed WHERE exporter = ? AND series = {_SERIES}",
            [(self._exporter, *_columns(point)) for point in points if not point.id and point.delta.count],
        )
        latest = {identity(point): point for point in points}.values()
        self._db.executemany(
            f"INSERT OR REPLACE INTO total (exporter, series, start_ns, time_ns, {COUNTS})"
            f" VALUES (?, {_SERIES}, {marks(9)})",
            [
                (self._exporter, *_columns(point), point.start_ns, point.time_ns, *counts_row(point.total))
                for point in latest
            ],
        )
        times: dict[str, int] = {}
        for point in latest:
            times[point.source.name] = max(times.get(point.source.name, 0), point.time_ns)
        for source in {point.source.name: point.source for point in latest}.values():
            self._db.execute(
                "INSERT INTO sent VALUES (?1, ?2, ?3, ?4, ?5, 0, 0) ON CONFLICT DO UPDATE SET"
                " end_ns = max(end_ns, ?4), time_ns = max(time_ns, ?5),"
                " skip_ns = CASE WHEN ?4 > skip_ns + ?6 THEN 0 ELSE skip_ns END",
                (self._exporter, source.name, self._form_of(source), ends[source.name], times[source.name], SKIP_NS),
            )

    def sent(self) -> Sent:
        """How far each source was sent, as the marker has it."""
        (instance,) = self._db.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
        rows = self._db.execute("SELECT source, end_ns, time_ns FROM sent WHERE exporter = ?", (self._exporter,))
        return Sent(instance, {name: (end_ns, time_ns) for name, end_ns, time_ns in rows})

    def _form_of(self, source: SourceInfo) -> str:
        return encode_json([source.instance, source.event, self.form])

    def meet_form(self, sources: Iterable[SourceInfo]) -> None:
        """Begin all series of a source anew where its points are other series at the receiver from now on."""
        before = dict(
            self._db.execute("SELECT source, form FROM sent WHERE exporter = ?", (self._exporter,)).fetchall()
        )
        for source in sources:
            form = self._form_of(source)
            if before.get(source.name, form) == form:
                continue
            if before[source.name]:  # else it was written by an older version, which did not note it
                self._begin_anew(source.name)
            self._db.execute(
                "UPDATE sent SET form = ? WHERE exporter = ? AND source = ?", (form, self._exporter, source.name)
            )

    def meet_marker(self, marker: Sent, now_ns: int) -> int | None:
        """Begin all series anew where the receiver has more than this store knows; returns up to when it has."""
        sent = self.sent()
        if marker.instance != sent.instance or not marker.is_ahead_of(sent.sources):
            return None
        for name, (end_ns, time_ns) in marker.sources.items():
            self._db.execute(
                "INSERT INTO sent VALUES (?1, ?2, '', ?3, ?4, 0, ?3) ON CONFLICT DO UPDATE SET"
                " end_ns = max(end_ns, ?3), time_ns = max(time_ns, ?4), skip_ns = max(skip_ns, ?3)",
                (self._exporter, name, end_ns, time_ns),
            )
            self._begin_anew(name)
        # the newer copy sent that before anything else
        self._db.execute("DELETE FROM owed WHERE exporter = ?", (self._exporter,))
        # the daemon's own numbers count from its counters, which are those of the older copy
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('counting_ns', ?)", (str(now_ns),))
        return max(time_ns for _, time_ns in marker.sources.values())

    def interrupt(self) -> None:
        """Let the exporter be sent no points from now on.

        Should it be later, all series begin anew, and intervals up to the last one that was sent are left out: the
        receiver would count them twice, or take a lower total for a restart.
        """
        for table in ("total", "owed"):
            self._db.execute(f"DELETE FROM {table} WHERE exporter = ?", (self._exporter,))
        self._db.execute(
            "UPDATE sent SET after_ns = time_ns, skip_ns = max(skip_ns, end_ns) WHERE exporter = ?", (self._exporter,)
        )

    def _begin_anew(self, source: str) -> None:
        self._db.execute(
            "DELETE FROM total WHERE exporter = ? AND series IN"
            " (SELECT s.id FROM series AS s JOIN source ON source.id = s.source WHERE source.name = ?)",
            (self._exporter, source),
        )
        self._db.execute(
            "UPDATE sent SET after_ns = time_ns WHERE exporter = ? AND source = ?", (self._exporter, source)
        )


def identity(point: Point) -> tuple[object, ...]:
    """What tells a series from others at a receiver."""
    return point.source.id, point.series.instrument, point.series.attributes


def _columns(point: Point) -> tuple[int, str, str, str]:
    """What names a point's series in the store, as :data:`_SERIES` looks for it."""
    series = point.series
    attributes, bounds = encode_attributes(series.attributes), encode_json(series.bounds_ns)
    return point.source.id, series.instrument.value, attributes, bounds
