"""Parts that all OTLP exporters share: any batch as requests, and their form from an exporter's context. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.config import Form
from otel_logtail.exporters.otlp.encode import Encoder, Request, encode
from otel_logtail.exporters.otlp.encoding import Encoding, ExportRequest, describes_process, has_logs
from otel_logtail.exporters.otlp.health import encode_health
from otel_logtail.exporters.otlp.logs import encode_breaches, encode_marks
from otel_logtail.exporters.otlp.points import encode_points
from otel_logtail.exporters.otlp.spans import encode_episodes
from otel_logtail.model import ExportBatch, Stream

OTLP: Encoder[ExportRequest] = Encoder(
    points=encode_points,
    episodes=encode_episodes,
    breaches=encode_breaches,
    marks=encode_marks,
    health=encode_health,
    size=lambda message: message.ByteSize(),
)


def encoding_of(form: Form, context: ExporterContext) -> Encoding:
    """Return the form of requests. An attribute that the user gave wins over one that was detected."""
    given = dict(form.resource)
    shared = {name: value for name, value in context.detected.items() if not describes_process(name)}
    return Encoding(
        version=context.version,
        host=context.host,
        resource=tuple({**shared, **given}.items()),
        own=tuple((name, value) for name, value in context.detected.items() if describes_process(name)),
        exponential=form.exponential,
        max_buckets=form.max_buckets,
        delta=form.delta,
        events=form.events,
        exemplars=form.exemplars,
        started_ns=context.started_ns,
    )


def streams_of(form: Form) -> frozenset[Stream]:
    """Return the streams that are sent in this form."""
    wanted = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.PARTS, Stream.MARKS, Stream.SELF})
    return wanted | {Stream.BREACHES} if has_logs(form.events) else wanted


def requests(batch: ExportBatch, encoding: Encoding) -> Iterator[Request[ExportRequest]]:
    """Yield the requests that carry a batch, in order."""
    return encode(batch, encoding, OTLP)
