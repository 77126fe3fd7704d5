"""Encodes the items of a batch as OTLP requests: the same items are always the same bytes. Pure.

- The items keep their order. No series occurs twice in one request, so a receiver never gets two timestamps of a
  series at once (Prometheus rejects a whole request because of one sample).
- Equal resources and scopes are merged here, since the encoder of the OpenTelemetry package drops all but the last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

import msgspec

from otel_logtail.exporters.otlp import metrics, spans
from otel_logtail.exporters.otlp.encoding import Encoding, ExportRequest, only
from otel_logtail.model import (
    EpisodeRecord,
    ExportBatch,
    PartRecord,
    Point,
    Stream,
)

_T = TypeVar("_T")


class Request(msgspec.Struct, frozen=True):
    """One message, and the number of items of the batch in it."""

    count: int
    message: ExportRequest


def encode(batch: ExportBatch, encoding: Encoding) -> Iterator[Request]:
    """Yield the requests that carry a batch, in order."""
    if batch.stream is Stream.INTERVALS:
        # as a delta, a point that fills a gap is empty
        kept = [(i, p) for i, p in enumerate(only(Point, batch.items), 1) if p.delta.count or not encoding.delta]
        told = sent = 0
        for group in groups([p for _, p in kept], encoding.max_records, key=metrics.identity, weight=metrics.weight_of):
            for request in fit(group, lambda part: metrics.encode_points(part, encoding), encoding.max_bytes):
                sent += request.count
                yield Request(kept[sent - 1][0] - told, request.message)
                told = kept[sent - 1][0]
    elif batch.stream in (Stream.EPISODES, Stream.PARTS):
        episodes: list[EpisodeRecord | PartRecord] = []
        episodes += (
            only(EpisodeRecord, batch.items) if batch.stream is Stream.EPISODES else only(PartRecord, batch.items)
        )
        for records in groups(episodes, encoding.max_records, key=lambda record: record.id, weight=spans.weight_of):
            yield from fit(records, lambda part: spans.encode_episodes(part, encoding), encoding.max_bytes)
    else:
        raise ValueError(f"stream {batch.stream.value} has no place in OTLP metrics and traces")


def groups(
    items: Sequence[_T], most: int, *, key: Callable[[_T], Hashable], weight: Callable[[_T], int]
) -> Iterator[list[_T]]:
    """Yield runs of items in their order: no key twice in a run, and a weight of at most ``most`` (or one item)."""
    group: list[_T] = []
    seen: set[Hashable] = set()
    total = 0
    for item in items:
        if group and (key(item) in seen or total + weight(item) > most):
            yield group
            group, seen, total = [], set(), 0
        group.append(item)
        seen.add(key(item))
        total += weight(item)
    if group:
        yield group


def fit(items: Sequence[_T], make: Callable[[Sequence[_T]], ExportRequest], most: int) -> Iterator[Request]:
    """Yield the items as one message, or in halves while a message is larger than ``most`` (an item is never split)."""
    message = make(items)
    if len(items) == 1 or message.ByteSize() <= most:
        yield Request(len(items), message)
        return
    middle = len(items) // 2
    yield from fit(items[:middle], make, most)
    yield from fit(items[middle:], make, most)
