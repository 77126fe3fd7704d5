"""Lines of nginx in its three formats, from parts, and their samples."""

from __future__ import annotations

from otel_logtail.model import Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.nginx.observer import NginxObserver
from otel_logtail.observers.nginx.options import MEASURE

MS, SECOND = 10**6, 10**9
END_NS = 1795966987_206 * MS
STAMP_NS = 1795966987 * SECOND  # 2026-11-29 15:43:07 UTC
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

observer = NginxObserver(ObserverContext())
overhead = NginxObserver(ObserverContext(options={MEASURE.name: "overhead"}))


def line(
    total: str = "0.705", connect: str = "0.000", header: str = "0.700", response: str = "0.702", **fields: str
) -> bytes:
    """A line of the recommended format, but for what is named."""
    values = {
        "msec": "1795966987.206",
        "request_time": total,
        "connect_time": connect,
        "header_time": header,
        "response_time": response,
        "status": "200",
        "method": "GET",
        "server": "shop",
        "traceparent": "",
        **fields,
    }
    return ("{" + ",".join(f'"{name}":"{value}"' for name, value in values.items()) + "}").encode()


def timed(
    total: str = "0.705",
    connect: str = "0.000",
    header: str = "0.700",
    response: str = "0.702",
    *,
    user: str = "-",
    stamp: str = "29/Nov/2026:15:43:07 +0000",
    request: str = "GET /slow/700 HTTP/1.1",
    status: str = "200",
    agent: str = "driver/1.0",
    more: str = "",
) -> bytes:
    """A line of ``combined`` with times."""
    front = f'127.0.0.1 - {user} [{stamp}] "{request}" {status} 5 "-" "{agent}"{more}'
    return f'{front} rt={total} uct="{connect}" uht="{header}" urt="{response}"'.encode("latin-1")


def ingress(
    total: str = "0.705",
    addresses: str = "10.0.0.7:80",
    lengths: str = "5",
    responses: str = "0.702",
    statuses: str = "200",
    *,
    status: str = "200",
    name: str = "default-web-80",
    request_id: str = "7e29",
    agent: str = "driver/1.0",
) -> bytes:
    """A line of ingress-nginx."""
    front = f'10.0.0.1 - - [29/Nov/2026:15:43:07 +0000] "GET / HTTP/1.1" {status} 5 "-" "{agent}"'
    return f"{front} 68 {total} [{name}] [] {addresses} {lengths} {responses} {statuses} {request_id}".encode("latin-1")


def sample(raw: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def stages(raw: bytes, reader: Observer = observer) -> dict[str, float | None]:
    """The parts in ms."""
    found = sample(raw, reader)
    return {name: None if ns is None else ns / MS for name, ns in zip(found.shape.stages, found.stage_ns, strict=True)}
