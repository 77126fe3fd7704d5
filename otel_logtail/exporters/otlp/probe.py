"""The probe of an OTLP receiver: an empty request of each signal, and a comparison of clocks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPException

from otel_logtail.check import FAIL, NOTE, OK, WARN, Check
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.answer import lacks_signal
from otel_logtail.exporters.otlp.config import Signal, read_settings
from otel_logtail.exporters.otlp.encoding import has_logs
from otel_logtail.exporters.otlp.exporter import ask
from otel_logtail.exporters.otlp.probe_prometheus import check_window, connect
from otel_logtail.model import Delivered
from otel_logtail.text import span

TIMEOUT_S = 5.0
_SKEW_S = 5.0
_TODO = "is the collector running, and is this its address? nothing is lost meanwhile: the store keeps all"
_PIPELINE = (
    "add to the collector's configuration: service: {{pipelines: {{{0}: {{receivers: [otlp], exporters: [debug]}}}}}}"
    " (with your exporter), or run the daemon with OTEL_{1}_EXPORTER=none"
)


def probe(context: ExporterContext) -> Iterator[Check]:
    """Send an empty request of each signal, which changes nothing at the receiver, and compare the clocks.

    Raises:
        UsageError: a setting is wrong.
    """
    endpoints: dict[str, list[str]] = {}
    answers = ask(context, TIMEOUT_S)
    settings = read_settings(context)
    accepts_some = any(isinstance(outcome, Delivered) for _, _, outcome in answers)
    for signal, endpoint, outcome in answers:
        if isinstance(outcome, Delivered):
            endpoints.setdefault(endpoint, []).append(signal)
            continue
        is_extra = signal == "logs" and not has_logs(settings.form.events)  # marks alone
        if is_extra and not accepts_some:
            continue  # the other signals show the fault
        if accepts_some and lacks_signal(outcome):
            what = f"the receiver at {endpoint} accepts no {signal}"
            level, what = (NOTE, f"{what}: it gets no marks") if is_extra else (FAIL, what)
            yield Check(level, "", what, _PIPELINE.format(signal, signal.upper()))
        else:
            yield Check(FAIL, "", f"{signal}: {outcome.why}", _TODO)
    if endpoints:
        where = ", ".join(f"{' and '.join(signals)} at {endpoint}" for endpoint, signals in endpoints.items())
        yield Check(OK, "", f"takes {where}")
        yield from _check_clock(settings.metrics)
        yield from check_window(settings.metrics, TIMEOUT_S)


def _check_clock(signal: Signal) -> Iterator[Check]:
    """Compare this machine's clock with the date in the answer of the receiver's HTTP server."""
    if signal.protocol == "grpc":
        return  # its answers hold no date
    connection = connect(signal, TIMEOUT_S)
    try:
        connection.request("GET", "/")
        date = connection.getresponse().headers.get("Date")
        skew_s = time.time() - parsedate_to_datetime(date).timestamp() if date else None
    except (OSError, HTTPException, ValueError, OverflowError):
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
