"""Parts that all OTLP exporters share: any batch as requests, and their form from an exporter's context. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.config import Form
from otel_logtail.exporters.otlp.encode import Request, encode, fit, groups
from otel_logtail.exporters.otlp.encoding import Encoding, has_logs, only
from otel_logtail.exporters.otlp.health import encode_health
from otel_logtail.exporters.otlp.logs import encode_breaches, encode_marks
from otel_logtail.model import BreachRecord, ExportBatch, HealthRecord, MarkRecord, Point, Stream


def encoding_of(form: Form, context: ExporterContext) -> Encoding:
    """Return the form of requests."""
    return Encoding(
        version=context.version,
        host=context.host,
        resource=form.resource,
        exponential=form.exponential,
        delta=form.delta,
        events=form.events,
        exemplars=form.exemplars,
    )


def streams_of(form: Form) -> frozenset[Stream]:
    """Return the streams that are sent in this form."""
    wanted = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.PARTS, Stream.MARKS, Stream.SELF})
    return wanted | {Stream.BREACHES} if has_logs(form.events) else wanted


def without_exemplars(batch: ExportBatch) -> ExportBatch:
    """Return the same batch without exemplars."""
    items = tuple(msgspec.structs.replace(i, exemplars=()) if isinstance(i, Point) else i for i in batch.items)
    return ExportBatch(batch.stream, items)


def requests(batch: ExportBatch, encoding: Encoding) -> Iterator[Request]:
    """Yield the requests that carry a batch, in order."""
    if batch.stream is Stream.SELF:
        for record in only(HealthRecord, batch.items):
            yield Request(1, encode_health(record, encoding))
    elif batch.stream is Stream.BREACHES:
        breaches = only(BreachRecord, batch.items)
        for group in groups(breaches, encoding.max_records, key=lambda breach: breach.id, weight=lambda _: 1):
            yield from fit(group, lambda part: encode_breaches(part, encoding), encoding.max_bytes)
    elif batch.stream is Stream.MARKS:
        marks = only(MarkRecord, batch.items)
        for found in groups(marks, encoding.max_records, key=lambda mark: mark.id, weight=lambda _: 1):
            yield from fit(found, lambda part: encode_marks(part, encoding), encoding.max_bytes)
    else:
        yield from encode(batch if encoding.exemplars else without_exemplars(batch), encoding)
