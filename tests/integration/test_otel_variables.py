"""OpenTelemetry's variables: the documented ones, the ones that are read, and the tested effects are the same list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otel_logtail import environment
from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp import exporter as otlp
from otel_logtail.exporters.otlp.config import Form, Signal, read_settings
from otel_logtail.exporters.otlp.endpoint import Setting
from otel_logtail.model import Stream
from otel_logtail.option import Options
from tests.support.collector import Collector, find_collector
from tests.support.forked import ask, run
from tests.support.otel_variables import SIGNALS, E, asked
from tests.support.places import CAPTURES, ROOT

PAGE = ROOT / "docs" / "reference" / "otlp.md"


class Effect(NamedTuple):
    """A value of a variable, and what it makes of a signal's settings; ``besides`` is set with it, for all signals."""

    value: str
    field: str
    expected: Any
    besides: Mapping[str, str] = {}


BY_SIGNAL = {
    "PROTOCOL": Effect("grpc", "protocol", "grpc"),
    "HEADERS": Effect("a=b%20c", "headers", (("a", "b c"),)),
    "COMPRESSION": Effect("gzip", "gzip", True),
    "TIMEOUT": Effect("1500", "timeout_s", 1.5),
    "CERTIFICATE": Effect("/ca.pem", "certificate", Setting("/ca.pem", E + "{}CERTIFICATE")),
    "CLIENT_CERTIFICATE": Effect("/c.pem", "client_certificate", Setting("/c.pem", E + "{}CLIENT_CERTIFICATE")),
    "CLIENT_KEY": Effect(
        "/k.pem", "client_key", Setting("/k.pem", E + "{}CLIENT_KEY"), {E + "CLIENT_CERTIFICATE": "/c.pem"}
    ),
    "INSECURE": Effect("true", "tls", False, {E + "ENDPOINT": "host:4317"}),
}
OF_THE_FORM = {
    E + "METRICS_TEMPORALITY_PREFERENCE": ("delta", "delta", True),
    E + "METRICS_DEFAULT_HISTOGRAM_AGGREGATION": ("base2_exponential_bucket_histogram", "exponential", True),
    "OTEL_METRICS_EXEMPLAR_FILTER": ("Always_Off", "exemplars", False),
    "OTEL_RESOURCE_ATTRIBUTES": ("team=a%2Cb", "resource", (("team", "a,b"),)),
}
ELSEWHERE = {
    E + "ENDPOINT",
    *(f"{E}{signal}_ENDPOINT" for signal in SIGNALS),
    "OTEL_SERVICE_NAME",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_SDK_DISABLED",
    *(f"OTEL_{signal}_EXPORTER" for signal in SIGNALS),
    "OTEL_EXPORTER_PROMETHEUS_HOST",  # both in tests/unit/exporters/test_prometheus.py
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",  # in tests/unit/exporters/test_detectors.py
}
"""Variables with their own tests below."""


def test_the_page_has_all_that_is_read_and_nothing_else_and_each_has_its_test() -> None:
    rows = [row for row in PAGE.read_text().splitlines() if row.startswith("| `OTEL_")]
    on_the_page = [name for row in rows for name in re.findall(r"`(OTEL_\w+)`", row.split("|")[1])]
    assert len(on_the_page) == len(set(on_the_page))
    tested = {E + part + name for name in BY_SIGNAL for part in ("", *(f"{signal}_" for signal in SIGNALS))}
    assert set(on_the_page) == asked() == tested | set(OF_THE_FORM) | ELSEWHERE


def signals(environ: Mapping[str, str]) -> dict[str, Signal]:
    settings = read_settings(Options(environ, {"events": "both"}))
    assert settings.logs is not None
    return {"METRICS": settings.metrics, "TRACES": settings.traces, "LOGS": settings.logs}


@pytest.mark.parametrize("name", BY_SIGNAL)
def test_a_general_variable_is_for_all_signals_and_a_signals_own_for_that_one(name: str) -> None:
    effect = BY_SIGNAL[name]

    def expected(part: str) -> Any:
        found = effect.expected
        return Setting(found.value, found.origin.format(part)) if isinstance(found, Setting) else found

    without = signals(effect.besides)
    assert all(getattr(one, effect.field) != expected("") for one in without.values())
    for one in signals({**effect.besides, E + name: effect.value}).values():
        assert getattr(one, effect.field) == expected("")
    for signal in SIGNALS:
        for key, one in signals({**effect.besides, f"{E}{signal}_{name}": effect.value}).items():
            wanted = expected(f"{signal}_") if key == signal else getattr(without[key], effect.field)
            assert getattr(one, effect.field) == wanted


def test_an_endpoint_is_for_all_signals_or_for_one() -> None:
    found = signals(
        {E + "ENDPOINT": "http://a:1", E + "TRACES_ENDPOINT": "http://b:2/x", E + "LOGS_ENDPOINT": "http://c:3/y"}
    )
    assert {key: one.endpoint for key, one in found.items()} == {
        "METRICS": "http://a:1/v1/metrics",
        "TRACES": "http://b:2/x",
        "LOGS": "http://c:3/y",
    }
    assert signals({E + "METRICS_ENDPOINT": "http://d:4/z"})["METRICS"].endpoint == "http://d:4/z"


@pytest.mark.parametrize("name", OF_THE_FORM)
def test_what_requests_look_like(name: str) -> None:
    value, field, expected = OF_THE_FORM[name]
    assert getattr(Form(), field) != expected
    assert getattr(read_settings(Options({name: value}, {})).form, field) == expected


def test_the_name_is_its_own_variables_or_the_resources() -> None:
    assert environment.service_name({}) == ""
    attributes = {"OTEL_RESOURCE_ATTRIBUTES": "team=x,service.name=of%20resource"}
    assert environment.service_name(attributes) == "of resource"
    assert environment.service_name({**attributes, "OTEL_SERVICE_NAME": "own"}) == "own"


def test_the_interval_is_in_milliseconds() -> None:
    assert environment.export_interval({}) == ""
    assert environment.export_interval({"OTEL_METRIC_EXPORT_INTERVAL": "2500"}) == "2500ms"
    assert environment.export_interval({"OTEL_METRIC_EXPORT_INTERVAL": "2.5"}) == ""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({E + "ENDPOINT": "http://x"}, True),
        ({E + "LOGS_ENDPOINT": "http://x"}, True),
        ({E + "ENDPOINT": " "}, False),
        ({E + "ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, False),
        ({E + "ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "no"}, True),
        ({E + "ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"}, True),
        ({E + "ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "None"}, False),
    ],
)
def test_an_endpoint_enables_otlp_unless_it_is_switched_off(environ: dict[str, str], expected: bool) -> None:
    assert environment.asks_for_otlp(environ) == expected


@pytest.mark.parametrize(
    ("signal", "streams"),
    [
        ("METRICS", {Stream.INTERVALS, Stream.SELF}),
        ("TRACES", {Stream.EPISODES, Stream.PARTS}),
        ("LOGS", {Stream.BREACHES, Stream.MARKS}),
    ],
)
def test_a_signal_that_goes_nowhere_is_not_sent(signal: str, streams: set[Stream]) -> None:
    name = f"OTEL_{signal}_EXPORTER"
    made = {}
    for value in ("none", "otlp", "console"):
        exporter = otlp.make(ExporterContext({name: value}, {"events": "both"}))
        made[value] = exporter.wants
        exporter.close()
    assert made == {"none": frozenset(Stream) - streams, "otlp": frozenset(Stream), "console": frozenset(Stream)}


def test_an_exporter_that_may_send_nothing_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nothing to send"):
        otlp.make(ExporterContext({"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"}))


# --- the real program, told by the environment alone ----------------------------------------------------------------


def test_the_environment_alone_configures_everything(tmp_path: Path) -> None:
    db = tmp_path / "store.db"
    (tmp_path / "collector").mkdir()
    with Collector(find_collector(), tmp_path / "collector") as collector:
        environ = {
            E + "ENDPOINT": collector.http_endpoint.replace("http:", "HTTP:"),
            E + "PROTOCOL": "grpc",
            E + "METRICS_PROTOCOL": "http/protobuf",
            E + "TRACES_ENDPOINT": collector.grpc_endpoint,
            E + "COMPRESSION": "gzip",
            E + "METRICS_TEMPORALITY_PREFERENCE": "delta",
            E + "METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=not%20me,team=x",
            "OTEL_SERVICE_NAME": "mine",
            "OTEL_METRIC_EXPORT_INTERVAL": "60000",
        }
        log = CAPTURES / "0.42.0-stall.log"
        command = ["--observer", "headroom", "--path", log, "--once", "--db", db]
        run(*command, home=tmp_path, environ=environ)
        (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
        assert (exporter["name"], exporter["pending"], exporter["last_error"]) == ("otlp", 0, None)
        collector.wait_until(lambda: len(collector.spans()) == 2)
        points = [point for point in collector.metrics() if point.name == "log.overhead.duration"]
        assert sum(point.value for point in points) == 111
        assert {(point.kind, point.temporality) for point in points} == {("exponentialHistogram", 1)}
        assert {point.time_ns % (60 * 10**9) for point in points} == {0}
        for resource in [point.resource for point in points] + [span.resource for span in collector.spans()]:
            assert (resource["service.name"], resource["team"]) == ("mine", "x")

        disabled = run(*command, home=tmp_path, environ={**environ, "OTEL_SDK_DISABLED": "true"})
        assert "no exporter" in disabled.stderr
        only = {**environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "others"}
        run(*command[:-1], tmp_path / "others.db", home=tmp_path, environ=only)
        collector.stop()
        assert {span.resource["service.name"] for span in collector.spans()} == {"mine"}
        assert {point.resource["service.name"] for point in collector.metrics()} == {"mine", "others"}
