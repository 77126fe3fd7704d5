"""Scrapes of the Prometheus exporter, and health checks."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.request import Request, urlopen

from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.waiting import bound_s

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def scrape(port: int, accept: str = OPENMETRICS) -> str:
    with urlopen(
        Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept}), timeout=bound_s(10)
    ) as answer:
        text: str = answer.read().decode()
        return text


def probe(port: int, path: str) -> tuple[int, str]:
    """Return the status and the body of the answer to a health check."""
    connection = HTTPConnection("127.0.0.1", port, timeout=bound_s(10))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def families(port: int) -> dict[str, Metric]:
    """As the strict parser of OpenMetrics reads it."""
    parsed = text_string_to_metric_families(scrape(port))  # type: ignore[no-untyped-call]
    return {family.name: family for family in parsed}
