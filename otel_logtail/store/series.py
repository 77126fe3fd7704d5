"""The series of the sources: which there are, and how many each source may have.

Invariants:
  * a series that is in the store stays one, whatever else comes, so its totals never stand still;
  * what is beyond the most series of a source is counted in one more, the same after each start: what is counted is
    complete, only its attributes are lost.
"""

from __future__ import annotations

import sqlite3

import msgspec

from otel_logtail.model import OVERFLOW, Instrument, IntervalKey, SeriesKey
from otel_logtail.store.rows import encode_attributes, encode_json

MAX_SERIES = 2_000
"""How many series a source may have, if nothing else is said: OpenTelemetry's default for one metric."""

_MEMO = 2_000

_OVERFLOW_TEXT = encode_attributes(OVERFLOW).encode()

_COUNTED_TOGETHER = {
    Instrument.DURATION: (Instrument.DURATION, Instrument.STAGE),
    Instrument.STAGE: (Instrument.DURATION, Instrument.STAGE),
}
"""Instruments that share the most series that a source may have; each other one has as many for itself."""


class Series(msgspec.Struct):
    """A series that this process has met: no interval of it that is open begins at ``open_ns`` or later."""

    id: int
    start_ns: int
    open_ns: int
    is_overflow: bool = False


class SeriesTable:
    """The series of one store, on its writer's connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[int, SeriesKey], Series] = {}
        # series that a source may not have, and which one counts for them
        self._beyond: dict[tuple[int, SeriesKey], SeriesKey] = {}
        self._ids: dict[tuple[int, Instrument, tuple[int, ...]], dict[bytes, int]] = {}
        self.most = MAX_SERIES
        """How many series each source may have of its samples; what is beyond them is counted in one."""
        self.overflowed = False
        """Whether something was counted there since this was set to False."""

    def forget(self) -> None:
        """Forget what was made in a transaction that is gone."""
        self._known.clear()
        self._beyond.clear()
        self._ids.clear()

    def of(self, source: int, key: IntervalKey) -> Series:
        """The series in which an interval of a source is counted; made where it is new."""
        series = key.series
        known = self._known.get((source, self._beyond.get((source, series), series)))
        if known is not None:
            if known.is_overflow:
                self.overflowed = True
            if key.start_ns < known.start_ns:
                self._begin_earlier(known.id, key.start_ns)
                known.start_ns = key.start_ns
            return known
        stored = self._stored(source, series.instrument, series.bounds_ns)
        attributes = encode_attributes(series.attributes).encode()
        is_overflow = series.attributes == OVERFLOW
        if attributes not in stored and not is_overflow and not self._has_room(source, series):
            if len(self._beyond) >= _MEMO:
                self._beyond.clear()
            self._beyond[source, series] = beyond = msgspec.structs.replace(series, attributes=OVERFLOW)
            self.overflowed = True
            return self.of(source, msgspec.structs.replace(key, series=beyond))
        if attributes in stored:
            series_id = stored[attributes]
            self._begin_earlier(series_id, key.start_ns)
            row = self._db.execute(
                "SELECT coalesce(max(end_ns), 0) FROM open_interval WHERE series = ?", (series_id,)
            ).fetchone()
            open_ns = int(row[0])
        else:
            cursor = self._db.execute(
                "INSERT INTO series (source, instrument, attributes, bounds, start_ns) VALUES (?, ?, ?, ?, ?)",
                (source, series.instrument.value, attributes.decode(), encode_json(series.bounds_ns), key.start_ns),
            )
            series_id = stored[attributes] = cursor.lastrowid or 0
            open_ns = 0
        self._known[source, series] = Series(series_id, key.start_ns, open_ns, is_overflow)
        return self._known[source, series]

    def _has_room(self, source: int, series: SeriesKey) -> bool:
        """Return whether the source may have another series; those in the store count, whenever they were made.

        Series with other bounds belong to earlier settings and don't count.
        """
        together = _COUNTED_TOGETHER.get(series.instrument, (series.instrument,))
        stored = (self._stored(source, instrument, series.bounds_ns) for instrument in together)
        return sum(len(ids) - (_OVERFLOW_TEXT in ids) for ids in stored) < self.most

    def _stored(self, source: int, instrument: Instrument, bounds_ns: tuple[int, ...]) -> dict[bytes, int]:
        """Return the ids of an instrument's series in the store, by the text of their attributes.

        The text is read as bytes: a damaged one is an error of its own series, not of all.
        """
        group = (source, instrument, bounds_ns)
        if group not in self._ids:
            self._ids[group] = dict(
                self._db.execute(
                    "SELECT CAST(attributes AS BLOB), id FROM series"
                    " WHERE source = ? AND instrument = ? AND bounds = ?",
                    (source, instrument.value, encode_json(bounds_ns)),
                )
            )
        return self._ids[group]

    def _begin_earlier(self, series: int, start_ns: int) -> None:
        # lines come out of order, so the first interval that is met need not be the earliest; but what was made final
        # was told to receivers with its start, and another start would mean a reset to them
        self._db.execute(
            "UPDATE series SET start_ns = ?2 WHERE id = ?1 AND start_ns > ?2"
            " AND NOT EXISTS (SELECT 1 FROM interval WHERE series = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM total WHERE series = ?1)",
            (series, start_ns),
        )
