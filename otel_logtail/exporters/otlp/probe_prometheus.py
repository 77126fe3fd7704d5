"""The check of a Prometheus that receives OTLP itself: its out-of-order window."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from otel_logtail.check import OK, WARN, Check
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.tls import read_tls
from otel_logtail.text import parse_duration, span

_PATH = "/api/v1/otlp"
_WINDOW = re.compile(r"^ +out_of_order_time_window: *([0-9a-z]+) *$", re.MULTILINE)
_LONGEST = 1 << 20
_TODO = (
    "add to prometheus.yml and reload it, with the longest outage to expect: storage: {tsdb: {out_of_order_time_window:"
    " 1d}}"
)


def connect(signal: Signal, timeout_s: float) -> HTTPConnection:
    """Return a connection to the server of a signal that is sent over HTTP. It follows no redirect."""
    parts = urlsplit(signal.endpoint)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return HTTPSConnection(host, parts.port, timeout=timeout_s, context=read_tls(signal).context)
    return HTTPConnection(host, parts.port, timeout=timeout_s)


def check_window(signal: Signal, timeout_s: float) -> Iterator[Check]:
    """Check the out-of-order window in the effective configuration, if the receiver is a Prometheus.

    Args:
        signal: The settings of metrics. Prometheus is recognized by the path of its endpoint.
        timeout_s: How long its answer may take.
    """
    before, found, _ = urlsplit(signal.endpoint).path.partition(_PATH)
    if signal.protocol == "grpc" or not found:
        return
    connection = connect(signal, timeout_s)
    try:
        connection.request("GET", f"{before}/api/v1/status/config", headers=dict(signal.headers))
        text = json.loads(connection.getresponse().read(_LONGEST))["data"]["yaml"]
        window_ns = parse_duration(match[1]) if (match := _WINDOW.search(text)) else 0
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return  # the configuration is not shown here; the other checks name a receiver that is down
    finally:
        connection.close()
    if window_ns:
        yield Check(OK, "", f"Prometheus accepts data that is up to {span(window_ns / 1e9)} late")
    else:
        what = "Prometheus has no out-of-order window: it rejects data that is an hour older than its newest sample"
        yield Check(WARN, "", what, _TODO)
