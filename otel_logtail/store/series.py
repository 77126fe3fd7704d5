"""The series of the sources, and the limit on their number.

Invariants:
  * a series that is in the store stays a series, so its totals continue to grow;
  * samples beyond the limit of a source are counted in one further series, the same after each start. Counts are
    complete; only the attributes are lost.
"""

from __future__ import annotations

import sqlite3

import msgspec

from otel_logtail.model import OVERFLOW, Instrument, IntervalKey, SeriesKey
from otel_logtail.store.connection import one
from otel_logtail.store.rows import encode_attributes, encode_json

MAX_SERIES = 2_000
"""The default limit on the series of a source: OpenTelemetry's default for one metric."""

_MEMO = 2_000

_OVERFLOW_TEXT = encode_attributes(OVERFLOW).encode()

_COUNTED_TOGETHER = {
    Instrument.DURATION: (Instrument.DURATION, Instrument.STAGE),
    Instrument.STAGE: (Instrument.DURATION, Instrument.STAGE),
}
"""Instruments that share the limit of a source. Each other instrument has the same limit for itself."""


class Series(msgspec.Struct):
    """A series that this process has used. No open interval of the series starts at ``open_ns`` or later."""

    id: int
    start_ns: int
    open_ns: int
    is_overflow: bool = False


class SeriesTable:
    """The series of one store, on its writer's connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[int, SeriesKey], Series] = {}
        # series beyond the limit, and the series that counts for them
        self._beyond: dict[tuple[int, SeriesKey], SeriesKey] = {}
        self._ids: dict[tuple[int, Instrument, tuple[int, ...]], dict[bytes, int]] = {}
        self.most = MAX_SERIES
        """The limit on the series of each source's samples."""
        self.overflowed = False
        """True if samples beyond the limit were counted since this was set to False."""

    def forget(self) -> None:
        """Forget rows of a transaction that was rolled back."""
        self._known.clear()
        self._beyond.clear()
        self._ids.clear()

    def of(self, source: int, key: IntervalKey) -> Series:
        """Return the series that counts an interval of a source; a new one is added."""
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
            open_ns = int(
                one(self._db, "SELECT coalesce(max(end_ns), 0) FROM open_interval WHERE series = ?", series_id)
            )
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
        """Return whether the source may have another series: all in the store with the same bounds count.

        Series with other bounds are the result of other settings.
        """
        together = _COUNTED_TOGETHER.get(series.instrument, (series.instrument,))
        stored = (self._stored(source, instrument, series.bounds_ns) for instrument in together)
        return sum(len(ids) - (_OVERFLOW_TEXT in ids) for ids in stored) < self.most

    def _stored(self, source: int, instrument: Instrument, bounds_ns: tuple[int, ...]) -> dict[bytes, int]:
        """Return the ids of an instrument's series in the store, by the text of their attributes.

        The text is read as bytes: damage is an error of its own series only.
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
        # lines are not in order, so the first interval of a series need not be the earliest. But receivers have the
        # start of final intervals, and another start would be a reset
        self._db.execute(
            "UPDATE series SET start_ns = ?2 WHERE id = ?1 AND start_ns > ?2"
            " AND NOT EXISTS (SELECT 1 FROM interval WHERE series = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM series_set AS s WHERE series = ?1"
            " AND EXISTS (SELECT 1 FROM sparse_interval WHERE series_set = s.id))"
            " AND NOT EXISTS (SELECT 1 FROM total WHERE series = ?1)",
            (series, start_ns),
        )
