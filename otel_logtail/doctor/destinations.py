"""Can each exporter's receiver be reached, and what does the store say of its deliveries?

What is asked of a receiver changes nothing there: an empty OTLP request, a connection, a scrape.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from ssl import SSLContext, SSLError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from otel_logtail.check import FAIL, OK, WARN, Check
from otel_logtail.errors import LogtailError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.wording import printable
from otel_logtail.model import Delivered
from otel_logtail.plugins import EXPORTERS, describe
from otel_logtail.text import parse_when, span

if TYPE_CHECKING:
    from otel_logtail.exporters.otlp.config import Signal

PATIENCE_S = 5.0
_SKEW_S = 5.0


def check_receiver(
    name: str, context: ExporterContext, explain: Callable[[LogtailError], LogtailError], *, running: bool
) -> Iterator[Check]:
    """Whether an exporter's receiver is there.

    Args:
        name: The exporter.
        context: What it is made with.
        explain: What names the place of a wrong value.
        running: Whether a daemon runs, so that the exporter's own port is taken.
    """
    area = f"exporter {name}"
    try:
        if name == "otlp":
            yield from _check_otlp(context, area)
        elif name == "hex":
            from otel_logtail.exporters.hex.config import read_bus
            from otel_logtail.exporters.trust import client_context, trusted_roots

            bus = read_bus(context.environ, context.options)
            tls = client_context(trusted_roots(bus.trust)) if bus.tls else None
            yield _check_connection(bus.host, bus.port, tls, area, "is hex running? its engine's address: --hex-url")
        elif name == "hex-telemetry":
            from otel_logtail.exporters.hex.config import read_telemetry

            path = Path(read_telemetry(context.environ, context.options)).expanduser().absolute()
            yield _check_writable(
                path, area, there=True, todo="hex makes it when it starts; its place: --hex-db, HEX_DIR"
            )
        elif name == "prometheus":
            from otel_logtail.exporters.prometheus import address_of

            yield _check_scrape(*address_of(context), area, running=running)
        elif name == "jsonl":
            from otel_logtail.exporters.jsonl import make

            path = Path(context.options.get("jsonl_file", "")).absolute()
            make(context).close()  # it opens nothing, but refuses what it can't use
            yield _check_writable(path, area, there=False, todo="mend its mode, or name another file with --jsonl-file")
        else:
            (what,) = [plugin.what for plugin in describe(EXPORTERS) if plugin.name == name] or ["is not installed"]
            bad = what.startswith(("can't be loaded", "is not installed"))
            yield Check(FAIL if bad else OK, area, what, "install the package that brings it" if bad else "")
    except LogtailError as problem:
        named = explain(problem)
        yield Check(FAIL, area, str(named), named.hint)


def _check_otlp(context: ExporterContext, area: str) -> Iterator[Check]:
    from otel_logtail.exporters.otlp.config import read_settings
    from otel_logtail.exporters.otlp.exporter import ask

    endpoints: dict[str, list[str]] = {}
    for signal, endpoint, outcome in ask(context, PATIENCE_S):
        if isinstance(outcome, Delivered):
            endpoints.setdefault(endpoint, []).append(signal)
        else:
            why = outcome.why if hasattr(outcome, "why") else str(outcome)
            todo = "is the collector running, and is this its address? nothing is lost meanwhile: the store keeps all"
            yield Check(FAIL, area, f"{signal}: {why}", todo)
    if endpoints:
        where = ", ".join(f"{' and '.join(signals)} at {endpoint}" for endpoint, signals in endpoints.items())
        yield Check(OK, area, f"takes {where}")
    if endpoints:
        yield from _check_clock(read_settings(context.environ, context.options).metrics)


def _check_clock(signal: Signal) -> Iterator[Check]:
    """Two machines' clocks, by the date that the receiver's HTTP server puts on every answer."""
    from otel_logtail.exporters.otlp.tls import read_tls

    if signal.protocol == "grpc":
        return  # it says no date
    parts = urlsplit(signal.endpoint)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = read_tls(signal).context
        connection: HTTPConnection = HTTPSConnection(host, parts.port, timeout=PATIENCE_S, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=PATIENCE_S)
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


def _check_connection(host: str, port: int, tls: SSLContext | None, area: str, todo: str) -> Check:
    try:
        with socket.create_connection((host, port), PATIENCE_S) as connection:
            if tls is not None:
                tls.wrap_socket(connection, server_hostname=host).close()
    except SSLError as problem:
        return Check(FAIL, area, f"{host} port {port}: {printable(str(problem))}", "see SSL_CERT_FILE, or use ws://")
    except OSError as problem:
        return Check(FAIL, area, f"{host} port {port}: {problem.strerror or problem}", todo)
    return Check(OK, area, f"{host} port {port} can be reached")


def _check_scrape(host: str, port: int, area: str, *, running: bool) -> Check:
    where = f"http://{host}:{port}/metrics"
    if not running:
        return Check(OK, area, f"{where} is there while the daemon runs")
    connection = HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/metrics")
        status = connection.getresponse().status
    except (OSError, HTTPException) as problem:
        return Check(FAIL, area, f"{where}: {problem}", "does the daemon run with these options?")
    finally:
        connection.close()
    if status != 200:
        return Check(FAIL, area, f"{where} answers {status}", "another program has the port: --prometheus-port")
    return Check(OK, area, f"{where} can be scraped")


def _check_writable(path: Path, area: str, *, there: bool, todo: str) -> Check:
    if there and not path.is_file():
        return Check(FAIL, area, f"{path} is not there", todo)
    target = path if path.exists() else path.parent
    if not os.access(target, os.W_OK):
        return Check(FAIL, area, f"{target} can't be written by this user", todo)
    return Check(OK, area, f"{path} can be written")


def check_deliveries(exporter: Mapping[str, Any], now_ns: int, *, running: bool) -> Check:
    """What the store says of one exporter (an entry of ``query.status``)."""
    area, pending = f"exporter {exporter['name']}", exporter["pending"]
    ago = "never"
    if exporter["last_success"]:
        ago = span((now_ns - parse_when(exporter["last_success"], 0)) / 1e9) + " ago"
    what = f"{exporter['delivered']} delivered, last {ago}; {pending} pending"
    if exporter["dropped"]:
        lost = ", ".join(f"{d['count']} {d['stream']} of {d['from']} to {d['to']}" for d in exporter["dropped"])
        return Check(WARN, area, f"{what}; left the store undelivered: {lost}", "more room for it: --max-db-size")
    failed = f"; last error: {exporter['last_error']}" if exporter["last_error"] else ""
    if exporter["quarantined"]:
        todo = "otel-logtail retry --list says which and why; otel-logtail retry sends them again"
        return Check(WARN, area, f"{what}; {exporter['quarantined']} quarantined{failed}", todo)
    if failed:
        todo = "everything is kept and tried again" + ("" if running else " once a daemon runs")
        if exporter["refused"] and not pending:
            todo = "nothing is pending; data that the receiver rejected is not sent again"
        return Check(WARN, area, what + failed, todo)
    if exporter["refused"]:
        what += f"; {exporter['refused']} refused since the store was created"
    if pending and not running:
        return Check(WARN, area, what, "they are delivered once a daemon runs with this exporter")
    return Check(OK, area, what)
