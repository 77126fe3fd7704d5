"""The finished exports of an exporter: how many records they carried, how long they took, and how they ended.

They are the metrics ``otel.sdk.exporter.*`` of OpenTelemetry's conventions. An export is finished once the receiver has
decided about a batch, or an item is quarantined. It began with the first attempt, so its duration includes all waits.

:meth:`Operations.finish` works inside the transaction of its caller, which moves the cursor: so a batch that is sent
again after a crash is counted once.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import msgspec

from otel_logtail.model import Attributes, ExportBatch, HealthValue, Item, Point, Stream
from otel_logtail.store.rows import MOST, decode_attributes, encode_attributes, encode_json

BOUNDS_NS = tuple(
    ms * 10**6 for ms in (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000, 600_000, 3_600_000)
)
"""Bounds of the durations: one request takes milliseconds, and an export that waits for its receiver takes hours."""

SIGNALS = {
    Stream.INTERVALS: "metric_data_point",
    Stream.EPISODES: "span",
    Stream.PARTS: "span",
    Stream.BREACHES: "log",
    Stream.MARKS: "log",
}
UNITS = {
    "metric_data_point": ("{data_point}", "metric data points"),
    "span": ("{span}", "spans"),
    "log": ("{log_record}", "log records"),
}
"""The unit of each signal, and its records in words."""

_TOO_MANY = 1 << 53
"""No exporter finishes as many exports: such a number is damaged."""

REJECTED, REFUSED = "rejected", "refused"
"""Values of ``error.type``: records of an accepted request that the receiver rejected, and quarantined items."""


class Described(Protocol):
    """The parts of an exporter that its own telemetry needs."""

    def component(self, stream: Stream) -> Attributes:
        """Return the attributes of a stream's exports, such as ``otel.component.type``."""

    def records(self, batch: ExportBatch) -> int:
        """Return the number of data points, spans or log records of a batch."""


class Operations:
    """The exports of one exporter; used by the exporter's thread alone."""

    def __init__(self, db: sqlite3.Connection, exporter: str, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._db = db
        self._exporter = exporter
        self._clock = clock
        self._begun_ns: dict[Stream, int] = {}
        self._exporter_of: Described | None = None

    def describe(self, exporter: Described) -> None:
        """Take the attributes and the number of records of each batch from the exporter."""
        self._exporter_of = exporter

    def begin(self, stream: Stream) -> None:
        """Note that an export of this stream begins, unless one is under way."""
        self._begun_ns.setdefault(stream, self._clock())

    def put_off(self, stream: Stream) -> None:
        """Forget the start of an export: its item is on trial, and the next export is another one."""
        self._begun_ns.pop(stream, None)

    def finish(self, batch: ExportBatch, *, error: str = "", rejected: int = 0) -> None:
        """Count an export. ``rejected`` is the number of its records that the receiver did not accept."""
        begun_ns = self._begun_ns.pop(batch.stream, None)
        self._finish(batch, error, rejected, None if begun_ns is None else max(0, self._clock() - begun_ns))

    def finish_trial(self, batch: ExportBatch | None, *, error: str = "", rejected: int = 0) -> None:
        """Count the records of an item that was on trial; None: it was lost. The start of its export is not stored."""
        if batch is not None:
            self._finish(batch, error, rejected, None)

    def _finish(self, batch: ExportBatch, error: str, rejected: int, took_ns: int | None) -> None:
        records = self._records(batch)
        if rejected:
            error, rejected = REJECTED, min(rejected, records)
            self._add(batch.stream, "", records - rejected, None)
            records = rejected
        self._add(batch.stream, error, records, took_ns)

    def _records(self, batch: ExportBatch) -> int:
        """Return the number of records, without repeats: these are sent while a log is idle.

        Else the number of an exporter would grow although none of its pending data is delivered.
        """
        batch = ExportBatch(batch.stream, tuple(item for item in batch.items if not _is_repeat(item)))
        if not batch.items or self._exporter_of is None:
            return len(batch.items)
        return self._exporter_of.records(batch)

    def _component(self, stream: Stream) -> Attributes:
        return () if self._exporter_of is None else self._exporter_of.component(stream)

    def _add(self, stream: Stream, error: str, records: int, took_ns: int | None) -> None:
        """Add records to those with this result, and an export unless ``took_ns`` is None."""
        key = self._exporter, SIGNALS[stream], encode_attributes(self._component(stream)), error
        row = self._db.execute(
            f"SELECT {_NUMBERS} FROM operation WHERE exporter = ? AND signal = ? AND component = ? AND error = ?", key
        ).fetchone()
        before, durations = _numbers(*row) if row else (0, _NONE)
        if took_ns is not None:
            durations = durations.joined(_one(took_ns))
        self._db.execute(
            "INSERT OR REPLACE INTO operation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *key,
                min(before + records, MOST),
                min(durations.sum_ns, MOST),
                encode_json(durations.counts),
                *(durations.extremes_ns or (None, None)),
            ),
        )


class _Durations(NamedTuple):
    """The durations of some exports: ``extremes_ns`` is the shortest and the longest, None if one is not known."""

    sum_ns: int
    counts: tuple[int, ...]
    extremes_ns: tuple[int, int] | None

    def joined(self, other: _Durations) -> _Durations:
        """Return the durations of both."""
        if not any(self.counts):
            return other
        if not any(other.counts):
            return self
        return _Durations(
            self.sum_ns + other.sum_ns,
            tuple(one + more for one, more in zip(self.counts, other.counts, strict=True)),
            self._joined_extremes(other),
        )

    def _joined_extremes(self, other: _Durations) -> tuple[int, int] | None:
        if self.extremes_ns is None or other.extremes_ns is None:
            return None
        return min(self.extremes_ns[0], other.extremes_ns[0]), max(self.extremes_ns[1], other.extremes_ns[1])


_NONE = _Durations(0, (0,) * (len(BOUNDS_NS) + 1), None)


def _one(took_ns: int) -> _Durations:
    at = bisect_left(BOUNDS_NS, took_ns)
    counts = tuple(int(place == at) for place in range(len(BOUNDS_NS) + 1))
    return _Durations(took_ns, counts, (took_ns, took_ns))


# the texts are read as bytes: a flipped bit can make them invalid UTF-8, which would fail the whole query
_NUMBERS = "records, sum_ns, CAST(buckets AS BLOB), min_ns, max_ns"
_NAMES = ", ".join(f"CAST({name} AS BLOB)" for name in ("exporter", "signal", "component", "error"))


def _numbers(records: object, sum_ns: object, buckets: bytes, min_ns: object, max_ns: object) -> tuple[int, _Durations]:
    """Return the numbers of a row; a damaged one, which SQLite does not detect, counts as empty."""
    number = _whole(records) or 0
    whole_ns = _whole(sum_ns)
    try:
        counts = msgspec.json.decode(buckets, type=tuple[int, ...])
    except (msgspec.MsgspecError, ValueError):
        counts = ()
    if whole_ns is None or len(counts) != len(BOUNDS_NS) + 1 or not all(0 <= count < _TOO_MANY for count in counts):
        return number, _NONE
    return number, _Durations(whole_ns, counts, _extremes(counts, _whole(min_ns), _whole(max_ns)))


def _extremes(counts: tuple[int, ...], min_ns: int | None, max_ns: int | None) -> tuple[int, int] | None:
    """Return the shortest and the longest duration; None if they do not fit the counts."""
    if min_ns is None or max_ns is None or min_ns > max_ns:
        return None
    filled = [place for place, count in enumerate(counts) if count]
    ends = [bisect_left(BOUNDS_NS, min_ns), bisect_left(BOUNDS_NS, max_ns)]
    return (min_ns, max_ns) if filled and ends == [filled[0], filled[-1]] else None


def _is_repeat(item: Item) -> bool:
    """Return whether an item is the last point of an idle series; a series starts with a 0, which has the same id."""
    return isinstance(item, Point) and not item.id and bool(item.total.count)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _series(exporter: bytes, signal: bytes, component: bytes, error: bytes) -> tuple[str, Attributes] | None:
    """Return the signal and the attributes of a row; None if one of them is damaged."""
    try:
        name, failed = signal.decode(), error.decode()
        named: dict[str, Any] = {"otel.component.name": exporter.decode(), **dict(decode_attributes(component))}
    except (msgspec.MsgspecError, ValueError):
        return None
    if failed:
        named["error.type"] = failed
    return (name, tuple(sorted(named.items()))) if name in UNITS else None


def values(db: sqlite3.Connection) -> Iterator[HealthValue]:
    """Yield the metrics of all exporters."""
    rows = db.execute(f"SELECT {_NUMBERS}, {_NAMES} FROM operation ORDER BY exporter, signal, component, error")
    durations: dict[Attributes, _Durations] = {}
    for row in rows.fetchall():
        records, took = _numbers(*row[:5])
        if (series := _series(*row[5:])) is None:
            continue  # it belongs to no exporter any more
        signal, attributes = series
        unit, text = UNITS[signal]
        yield HealthValue(
            f"otel.sdk.exporter.{signal}.exported",
            unit,
            f"The number of {text} for which the export has finished, either successful or failed.",
            "counter",
            attributes,
            records,
        )
        if any(took.counts):
            # signals of one component, such as a file, are one series
            durations[attributes] = durations.get(attributes, _NONE).joined(took)
    for attributes, took in durations.items():
        yield HealthValue(
            "otel.sdk.exporter.operation.duration",
            "s",
            "The duration of exporting a batch of telemetry records.",
            "histogram",
            attributes,
            took.sum_ns / 1e9,
            bounds=tuple(bound / 1e9 for bound in BOUNDS_NS),
            buckets=took.counts,
            extremes=None if took.extremes_ns is None else (took.extremes_ns[0] / 1e9, took.extremes_ns[1] / 1e9),
        )
