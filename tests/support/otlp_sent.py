"""All OTLP messages that a store gives rise to, without a receiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_logtail.exporters.otlp.encoding import Encoding, ExportRequest, has_logs
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.model import ExportBatch, Stream
from otel_logtail.store.outbox import Outbox

NOW_NS = 1_800_000_000 * 10**9
SENT = (Stream.PARTS, Stream.EPISODES, Stream.BREACHES, Stream.MARKS, Stream.INTERVALS)


@contextmanager
def opened_outbox(path: Path, encoding: Encoding, exporter: str = "otlp") -> Iterator[Outbox]:
    """Open the store as an exporter with this encoding has it."""
    outbox = Outbox.open(path, exporter)
    try:
        outbox.register(streams_of(encoding), NOW_NS, form=encoding.form)
        yield outbox
    finally:
        outbox.close()


def streams_of(encoding: Encoding) -> list[Stream]:
    """Return the streams that are stored and sent."""
    return [stream for stream in SENT if stream is not Stream.BREACHES or has_logs(encoding.events)]


def batches(outbox: Outbox, streams: Iterable[Stream], now_ns: int = NOW_NS) -> Iterator[ExportBatch]:
    """Yield everything that waits, as delivered."""
    for stream in streams:
        while (batch := outbox.read(stream, 100)) is not None:
            yield batch
            outbox.advance(batch, len(batch.items), now_ns)


def drained(outbox: Outbox, encoding: Encoding, now_ns: int = NOW_NS) -> Iterator[ExportRequest]:
    """Yield everything that waits, then the repeats of idle series and the program's own numbers of this time."""
    for batch in batches(outbox, streams_of(encoding)):
        yield from (request.message for request in requests(batch, encoding))
    if (repeats := outbox.silent(30 * 10**9, 100)) is not None:
        yield from (request.message for request in requests(repeats, encoding))
        outbox.advance(repeats, len(repeats.items), NOW_NS)
    yield from (request.message for request in requests(outbox.health(now_ns), encoding))
