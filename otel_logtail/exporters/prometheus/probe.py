"""The probe of the scrape endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException

from otel_logtail.check import FAIL, OK, Check
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.prometheus.exporter import address_of
from otel_logtail.exporters.prometheus.options import PORT

TIMEOUT_S = 5.0


def probe(context: ExporterContext, is_running: bool) -> Iterator[Check]:
    """Scrape the endpoint if a daemon runs.

    Raises:
        UsageError: the address or the port is wrong.
    """
    host, port = address_of(context)
    where = f"http://{host}:{port}/metrics"
    if not is_running:
        yield Check(OK, "", f"{where} is there while the daemon runs")
        return
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        status = connection.getresponse().status
    except (OSError, HTTPException) as problem:
        yield Check(FAIL, "", f"{where}: {problem}", "does the daemon run with these options?")
        return
    finally:
        connection.close()
    if status == 200:
        yield Check(OK, "", f"{where} can be scraped")
    else:
        yield Check(FAIL, "", f"{where} answers {status}", f"another program has the port: {PORT.flag}")
