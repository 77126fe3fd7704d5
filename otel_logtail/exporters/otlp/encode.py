"""Cuts a batch into messages: the same items are always the same messages. Pure.

- The items keep their order. In a request of a backlog, the times of a series grow and those of a source never go back:
  what is out of order within a request, receivers drop without an error (docs/decisions/0148).
- Equal resources and scopes are merged here, since the encoder of the OpenTelemetry package drops all but the last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec

from otel_logtail.exporters.otlp import metrics, spans
from otel_logtail.exporters.otlp.encoding import Encoding, only
from otel_logtail.model import (
    BreachRecord,
    EpisodeRecord,
    ExportBatch,
    HealthRecord,
    MarkRecord,
    PartRecord,
    Point,
    Stream,
)

_T = TypeVar("_T")
_M = TypeVar("_M")

BACKLOG = 200
"""From so many points on, a batch is a backlog, and a request holds many times of a series. Live data has the form that
every SDK sends, a series once in a request: this is what all receivers are tested with."""


class Request(msgspec.Struct, Generic[_M], frozen=True):
    """One message, and the number of items of the batch in it."""

    count: int
    message: _M


class Encoder(msgspec.Struct, Generic[_M], frozen=True):
    """The functions that make messages of items: those of OTLP, or the records of OpenTelemetry's SDK.

    ``size`` returns the bytes of a message. ``has_many`` is true if a message may have several points of a series.
    """

    points: Callable[[Sequence[Point], Encoding], _M]
    episodes: Callable[[Sequence[EpisodeRecord | PartRecord], Encoding], _M]
    breaches: Callable[[Sequence[BreachRecord], Encoding], _M]
    marks: Callable[[Sequence[MarkRecord], Encoding], _M]
    health: Callable[[HealthRecord, Encoding], _M]
    size: Callable[[_M], int]
    has_many: bool = True


def encode(batch: ExportBatch, encoding: Encoding, encoder: Encoder[_M]) -> Iterator[Request[_M]]:
    """Yield the messages that carry a batch, in order."""
    if not encoding.exemplars:
        batch = without_exemplars(batch)
    if batch.stream is Stream.INTERVALS:
        yield from _points(only(Point, batch.items), encoding, encoder)
    elif batch.stream is Stream.SELF:
        for record in only(HealthRecord, batch.items):
            yield Request(1, encoder.health(record, encoding))
    elif batch.stream is Stream.BREACHES:
        breaches = only(BreachRecord, batch.items)
        for group in groups(breaches, encoding.max_records):
            yield from fit(group, encoder.breaches, encoding, encoder.size)
    elif batch.stream is Stream.MARKS:
        marks = only(MarkRecord, batch.items)
        for found in groups(marks, encoding.max_records):
            yield from fit(found, encoder.marks, encoding, encoder.size)
    else:
        episodes: list[EpisodeRecord | PartRecord] = []
        episodes += (
            only(EpisodeRecord, batch.items) if batch.stream is Stream.EPISODES else only(PartRecord, batch.items)
        )
        for records in groups(episodes, encoding.max_records, spans.weight_of):
            yield from fit(records, encoder.episodes, encoding, encoder.size)


def _points(points: Sequence[Point], encoding: Encoding, encoder: Encoder[_M]) -> Iterator[Request[_M]]:
    # as a delta, a point that fills a gap is empty
    kept = [(i, p) for i, p in enumerate(points, 1) if p.delta.count or not encoding.delta]
    told = sent = 0
    has_many = encoder.has_many and len(kept) >= BACKLOG
    for group in _in_order([p for _, p in kept], encoding.max_records, has_many=has_many):
        for request in fit(group, encoder.points, encoding, encoder.size):
            sent += request.count
            yield Request(kept[sent - 1][0] - told, request.message)
            told = kept[sent - 1][0]


def _in_order(points: Iterable[Point], most: int, *, has_many: bool) -> Iterator[list[Point]]:
    """Yield runs of points in their order, of at most ``most`` data points (or one point).

    In a run, the times of a series grow, and those of a source never go back. ``has_many``: a series may occur again.
    """
    run: list[Point] = []
    total = 0
    series_ns: dict[int, int] = {}
    source_ns: dict[int, int] = {}
    # by object: to hash an identity is expensive, and equal series are mostly one object
    numbers: dict[tuple[int, int], int] = {}
    identities: dict[Hashable, int] = {}
    for point in points:
        source, place = point.source.id, (id(point.source), id(point.series))
        if place not in numbers:
            numbers[place] = identities.setdefault(metrics.identity(point), len(identities))
        series, weight, time_ns = numbers[place], metrics.weight_of(point), point.time_ns
        is_behind = time_ns <= series_ns.get(series, -1) or time_ns < source_ns.get(source, -1)
        is_again = series in series_ns and not has_many
        if run and (is_behind or is_again or total + weight > most):
            yield run
            run, total, series_ns, source_ns = [], 0, {}, {}
        run.append(point)
        total += weight
        series_ns[series] = source_ns[source] = time_ns
    if run:
        yield run


def without_exemplars(batch: ExportBatch) -> ExportBatch:
    """Return the same batch without exemplars."""
    items = tuple(msgspec.structs.replace(i, exemplars=()) if isinstance(i, Point) else i for i in batch.items)
    return ExportBatch(batch.stream, items)


def groups(items: Sequence[_T], most: int, weight: Callable[[_T], int] = lambda _: 1) -> Iterator[list[_T]]:
    """Yield runs of items in their order, each with a weight of at most ``most`` (or one item)."""
    group: list[_T] = []
    total = 0
    for item in items:
        if group and total + weight(item) > most:
            yield group
            group, total = [], 0
        group.append(item)
        total += weight(item)
    if group:
        yield group


def fit(
    items: Sequence[_T],
    make: Callable[[Sequence[_T], Encoding], _M],
    encoding: Encoding,
    size: Callable[[_M], int],
) -> Iterator[Request[_M]]:
    """Yield the items as one message, or in halves while a message is larger than allowed (an item is never split)."""
    message = make(items, encoding)
    if len(items) == 1 or size(message) <= encoding.max_bytes:
        yield Request(len(items), message)
        return
    middle = len(items) // 2
    yield from fit(items[:middle], make, encoding, size)
    yield from fit(items[middle:], make, encoding, size)
