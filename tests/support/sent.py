"""Everything that the program sends for the captures of all observers, through the engine, store and encoders.

All of it runs in the test's own process. Its store has marks, links, episodes in parts, series beyond the limit, lines
of each kind, and exporters that lost, refused and skipped something.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from otel_logtail.daemon.build import Parts, build
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.encoding import Encoding, ExportRequest, only
from otel_logtail.exporters.otlp.exporter import make
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.exporters.prometheus.shown import Shown
from otel_logtail.model import HealthRecord, Point, Stream
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.outbox import Outbox
from tests.support.lines import line
from tests.support.otlp_sent import batches
from tests.support.places import CAPTURES

MS = 10**6
LOGS = [
    ("headroom", "*.log"),
    *((name, f"{name}/*.log") for name in ("apache", "asyncio", "caddy", "envoy", "haproxy", "jvm", "nginx")),
    *((name, f"{name}/*.json*") for name in ("apache", "envoy", "haproxy", "postgresql")),
    ("traefik", "traefik/*.log"),
]
OPTIONS = {"postgresql": {"postgresql_checkpoints": "on", "postgresql_databases": "postgres"}}
"""Options of observers that add attributes or values."""

ENCODINGS = (
    Encoding("1.2.3", host="web-1", events="both"),
    Encoding("1.2.3", host="web-1", events="spans", exponential=True, delta=True),
)

OTLP = make(ExporterContext(environ={"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs.test:4318"}))


class Sent(NamedTuple):
    """One thing that was sent: a data point, a span, or an event as span event or log record.

    ``attributes`` has the type of each value: string, int, double or boolean. ``instrument`` and ``unit`` are empty for
    anything but a metric.
    """

    kind: str
    name: str
    attributes: dict[str, tuple[str, object]]
    resource: dict[str, tuple[str, object]]
    instrument: str = ""
    unit: str = ""
    description: str = ""


def read(folder: Path) -> Parts:
    """Read all captures into a store; every sample of a millisecond is a breach, so that episodes have parts."""
    (folder / "proxy-8787.log").write_bytes(b"".join(line(number, ms=5) for number in range(300)))
    caddy = (CAPTURES / "caddy" / "access.log").read_bytes()
    (folder / "caddy.log").write_bytes(caddy.replace(b'"resp_headers":', b'"route":"shop","resp_headers":'))
    paths = [(name, path) for name, pattern in LOGS for path in sorted(CAPTURES.glob(pattern))]
    paths += [("headroom", folder / "proxy-8787.log"), ("caddy", folder / "caddy.log")]
    sources = tuple(
        SourceSettings(
            observer=name,
            name=f"{name}-{number}",
            patterns=(str(path),),
            from_start=True,
            threshold_ns=MS,
            stall_ns=5 * MS,
            options=OPTIONS.get(name, {}),
        )
        for number, (name, path) in enumerate(paths)
    )
    parts = build(
        Settings(db=folder / "store.db", sources=sources, max_series=10),
        exporter_context=ExporterContext({}),
        home=str(folder),
        reporter=Reporter(io.StringIO()),
    )
    parts.sources.scan(None, 1000.0)
    for run in parts.sources.runs:
        while run.step(1000.0) is not None:
            pass
        run.finish(time.time_ns())
    return parts


def lose(parts: Parts, store: Path) -> None:
    """Let an exporter skip, reject and quarantine items of each signal, and lose the others to the size limit."""
    outbox = Outbox.open(store, "lame")
    outbox.register([*Stream], time.time_ns())
    outbox.operations.describe(OTLP)
    for stream in (Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES):
        for number in range(3):
            batch = outbox.read(stream, 1)
            assert batch is not None
            if number == 0:
                outbox.set_aside(batch, "never", time.time_ns(), held=True)
            else:
                outbox.advance(batch, 1, time.time_ns(), skipped=number == 1, rejected=number == 2)
    outbox.close()
    parts.store.maintenance(Limits(max_bytes=1), ["lame"]).run()


def of_requests(messages: Iterable[ExportRequest]) -> Iterator[Sent]:
    """Yield everything in some requests."""
    for message in messages:
        for group in getattr(message, "resource_metrics", ()):
            for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
                yield from _points(metric, types(group.resource.attributes))
        for group in getattr(message, "resource_spans", ()):
            resource = types(group.resource.attributes)
            for span in (span for scope in group.scope_spans for span in scope.spans):
                yield Sent("span", span.name, types(span.attributes), resource)
                for event in span.events:
                    yield Sent("event", event.name, types(event.attributes), resource)
        for group in getattr(message, "resource_logs", ()):
            for record in (record for scope in group.scope_logs for record in scope.log_records):
                yield Sent("event", record.event_name, types(record.attributes), types(group.resource.attributes))


def _points(metric: Any, resource: dict[str, tuple[str, object]]) -> Iterator[Sent]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    instrument = {"gauge": "gauge", "histogram": "histogram", "exponential_histogram": "histogram"}.get(kind)
    instrument = instrument or ("counter" if data.is_monotonic else "updowncounter")
    for point in data.data_points:
        yield Sent(
            "metric", metric.name, types(point.attributes), resource, instrument, metric.unit, metric.description
        )


def types(attributes: Iterable[Any]) -> dict[str, tuple[str, object]]:
    """Return the type and the value of attributes by name."""
    found = {}
    for one in attributes:
        kind = one.value.WhichOneof("value")
        found[one.key] = ({"bool_value": "boolean"}.get(kind, kind.removesuffix("_value")), getattr(one.value, kind))
    return found


class Family(NamedTuple):
    """A metric of the scrape endpoint. ``labels`` are those of all of its samples."""

    name: str
    kind: str
    unit: str
    text: str
    labels: set[str]


class Told(NamedTuple):
    """Everything that is sent over OTLP, and everything that a scrape shows."""

    sent: list[Sent]
    scraped: list[Family]


def everything(folder: Path) -> Told:
    """Return everything that is sent about the captures, in all forms."""
    parts = read(folder)
    store = folder / "store.db"
    found: list[Sent] = []
    shown = Shown(ENCODINGS[0])
    for number, encoding in enumerate(ENCODINGS):
        outbox = Outbox.open(store, f"otlp-{number}")
        outbox.register([*Stream], time.time_ns())
        outbox.operations.describe(OTLP)
        stored = batches(outbox, [stream for stream in Stream if stream is not Stream.SELF], time.time_ns())
        for batch in (*stored, outbox.health(time.time_ns())):
            found += of_requests(request.message for request in requests(batch, encoding))
            shown.put(item for item in batch.items if isinstance(item, Point))
        if number == len(ENCODINGS) - 1:
            lose(parts, store)
            health = outbox.health(time.time_ns())
            found += of_requests(request.message for request in requests(health, encoding))
            shown.put_health(only(HealthRecord, health.items)[0])
        outbox.close()
    parts.close()
    return Told(found, list(families(shown)))


def families(shown: Shown) -> Iterator[Family]:
    """Yield the content of a scrape."""
    for metric in shown.collect():
        labels = {name for sample in metric.samples for name in sample.labels}
        yield Family(metric.name, metric.type, metric.unit, metric.documentation, labels)
