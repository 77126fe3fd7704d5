"""The probe of an OTLP receiver: an empty request of each signal, and a comparison of clocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from otel_logtail.check import FAIL, OK, WARN, Check
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.config import Signal, read_settings
from otel_logtail.exporters.otlp.exporter import ask
from otel_logtail.exporters.otlp.tls import read_tls
from otel_logtail.model import Delivered
from otel_logtail.text import span

TIMEOUT_S = 5.0
_SKEW_S = 5.0


def probe(context: ExporterContext) -> Iterator[Check]:
    """Send an empty request of each signal, which changes nothing at the receiver, and compare the clocks.

    Raises:
        UsageError: a setting is wrong.
    """
    endpoints: dict[str, list[str]] = {}
    for signal, endpoint, outcome in ask(context, TIMEOUT_S):
        if isinstance(outcome, Delivered):
            endpoints.setdefault(endpoint, []).append(signal)
        else:
            todo = "is the collector running, and is this its address? nothing is lost meanwhile: the store keeps all"
            yield Check(FAIL, "", f"{signal}: {outcome.why}", todo)
    if endpoints:
        where = ", ".join(f"{' and '.join(signals)} at {endpoint}" for endpoint, signals in endpoints.items())
        yield Check(OK, "", f"takes {where}")
        yield from _check_clock(read_settings(context).metrics)


def _check_clock(signal: Signal) -> Iterator[Check]:
    """Compare this machine's clock with the date in the answer of the receiver's HTTP server."""
    if signal.protocol == "grpc":
        return  # its answers hold no date
    parts = urlsplit(signal.endpoint)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = read_tls(signal).context
        connection: HTTPConnection = HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/")
        date = connection.getresponse().headers.get("Date")
        skew_s = time.time() - parsedate_to_datetime(date).timestamp() if date else None
    except (OSError, HTTPException, ValueError):
        return
    finally:
        connection.close()
    if skew_s is None:
        return
    if abs(skew_s) > _SKEW_S:
        apart = f"{span(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} the receiver's"
        yield Check(WARN, "clock", f"this machine's clock is {apart}", "let both keep the time (NTP)")
    else:
        yield Check(OK, "clock", "this machine and the receiver have the same time, within some seconds")
