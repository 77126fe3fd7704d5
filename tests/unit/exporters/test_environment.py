"""Variables with invalid values: ignored with a warning, or one error that names them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from msgspec import structs

from otel_logtail import environment
from otel_logtail.cli.start import given_by
from otel_logtail.daemon.merge import settings_of
from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.config import read_form, read_settings
from otel_logtail.exporters.otlp.requests import encoding_of, requests
from otel_logtail.exporters.prometheus import exporter as prometheus
from otel_logtail.exporters.prometheus.exporter import address_of
from otel_logtail.model import ExportBatch, Stream
from otel_logtail.option import Options
from otel_logtail.plugins import make_exporter
from tests.support.commands import ROOT
from tests.support.forked import run
from tests.support.otel_variables import SIGNALS, E, asked
from tests.support.otlp_items import T0, breach, point
from tests.support.places import CAPTURES
from tests.support.ports import free_port
from tests.support.receiver import receiving
from tests.support.waiting import bound_s

BREACHES = (breach(1, 600, time_ns=T0), breach(2, 700, time_ns=T0))

# --- values that mean nothing -----------------------------------------------------------------------------------------

ANY = ("", *(f"{signal}_" for signal in SIGNALS))
MEANS_NOTHING = {
    **{f"{E}{part}PROTOCOL": ("http/json", "udp") for part in ANY},
    **{f"{E}{part}COMPRESSION": ("zstd", "true") for part in ANY},
    **{f"{E}{part}INSECURE": ("1", "yes", "on") for part in ANY},
    **{f"{E}{part}TIMEOUT": ("10s", "-1", "1.5", "nan", "٣", "9999999999") for part in ANY},
    E + "METRICS_TEMPORALITY_PREFERENCE": ("both",),
    E + "METRICS_DEFAULT_HISTOGRAM_AGGREGATION": ("exponential",),
    "OTEL_METRICS_EXEMPLAR_FILTER": ("off", "none"),
    "OTEL_METRIC_EXPORT_INTERVAL": ("10s", "-1", "1.5", "9", "3600001"),
    "OTEL_SDK_DISABLED": ("1", "yes"),
    "OTEL_RESOURCE_ATTRIBUTES": ("a=b,broken", "=x", "a=%ff", "a=\udcff"),
    "OTEL_EXPORTER_PROMETHEUS_PORT": ("x", "0", "65536", "tcp://10.0.0.7:9464"),
}
"""Words, booleans and numbers that the specification has ignored with a warning."""

ANYTHING_GOES = {
    *(f"{E}{part}{name}" for part in ANY for name in ("ENDPOINT", "HEADERS", "CERTIFICATE")),
    *(f"{E}{part}CLIENT_{name}" for part in ANY for name in ("CERTIFICATE", "KEY")),
    *("OTEL_SERVICE_NAME", "OTEL_EXPORTER_PROMETHEUS_HOST"),
    *(f"OTEL_{signal}_EXPORTER" for signal in SIGNALS),  # names of other SDKs' exporters
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",  # names of packages' detectors
}
"""Addresses, files, names: a wrong one is an error, or cannot be recognized."""


def means(environ: Mapping[str, str]) -> tuple[Any, ...]:
    """All settings that result from the variables."""
    settings = read_settings(Options(environ, {"events": "both"}))
    interval, named = environment.export_interval(environ), environment.service_name(environ)
    signals = [
        structs.replace(one, trust={}) if one else None for one in (settings.metrics, settings.traces, settings.logs)
    ]
    return (
        signals,
        settings.form,
        interval,
        named,
        environment.asks_for_otlp(environ),
        address_of(ExporterContext(environ)),
    )


def test_each_variable_has_values_that_mean_nothing_or_none() -> None:
    assert asked() == MEANS_NOTHING.keys() | ANYTHING_GOES
    assert not MEANS_NOTHING.keys() & ANYTHING_GOES


@pytest.mark.parametrize(
    ("variable", "value"), [(name, value) for name in MEANS_NOTHING for value in MEANS_NOTHING[name]]
)
def test_an_invalid_value_is_ignored_with_a_warning(variable: str, value: str) -> None:
    besides = {E + "ENDPOINT": "http://host:4317", E + "PROTOCOL": "grpc"}
    besides.pop(variable, None)
    assert means({**besides, variable: value}) == means(besides)
    (told,) = environment.problems(
        {**besides, variable: value, "OTEL_LOGTAIL_PORT": "tcp://10.0.0.7:80", "PATH": value}
    )
    assert told.startswith(f"{variable}: ")
    assert value in told or variable == "OTEL_RESOURCE_ATTRIBUTES"


def test_the_program_runs_with_all_of_them_and_warns_once_as_doctor_does(tmp_path: Path) -> None:
    wrong = {name: values[0] for name, values in MEANS_NOTHING.items()}
    with receiving("http") as receiver:
        command = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-stall.log", "--db", tmp_path / "s.db"]
        environ = {**wrong, E + "ENDPOINT": receiver.endpoint}
        done = run(*command, "--once", home=tmp_path, environ=environ)
        assert receiver.counted() == 111
        checks = run(*command, "doctor", home=tmp_path, environ=environ, check=False).stdout
    for variable in wrong:
        said = f"warning: ignoring the variable {variable}: "
        assert done.stderr.count(said) == 1, done.stderr
        assert f"environment: ignoring the variable {variable}: " in checks


@pytest.mark.parametrize("value", ["", "always_off", "always_on", "trace_based"])
@pytest.mark.parametrize("histogram", ["explicit", "exponential"])
def test_exemplars_can_be_switched_off(value: str, histogram: str) -> None:
    context = ExporterContext({"OTEL_METRICS_EXEMPLAR_FILTER": value}, {"histogram": histogram})
    form = read_form(context)
    breached = structs.replace(point([600, 700]), exemplars=BREACHES)
    (request,) = requests(ExportBatch(Stream.INTERVALS, (breached,)), encoding_of(form, context))
    assert ("exemplars" in str(request.message)) == (value != "always_off")


def test_exemplars_that_are_switched_off_are_not_scraped_either() -> None:
    scraped = {}
    for value in ("always_on", "always_off"):
        environ = {"OTEL_METRICS_EXEMPLAR_FILTER": value, "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port())}
        exporter = prometheus.make(ExporterContext(environ))
        exporter.resume(())
        try:
            breached = structs.replace(point([600, 700]), exemplars=BREACHES)
            exporter.export(ExportBatch(Stream.INTERVALS, (breached,)))
            url = f"http://127.0.0.1:{exporter.port}/metrics"
            accepted = {"Accept": "application/openmetrics-text; version=1.0.0"}
            with urlopen(Request(url, headers=accepted), timeout=bound_s(10)) as answer:
                scraped[value] = "trace_id" in answer.read().decode()
        finally:
            exporter.close()
    assert scraped == {"always_on": True, "always_off": False}


# --- what Kubernetes sets ---------------------------------------------------------------------------------------------


def service_links(service: str) -> dict[str, str]:
    """The variables that Kubernetes puts into each pod of a name space for a Service of this name."""
    name = service.upper().replace("-", "_")
    address = "tcp://10.0.0.7:9464"
    return {
        f"{name}_SERVICE_HOST": "10.0.0.7",
        f"{name}_SERVICE_PORT": "9464",
        f"{name}_SERVICE_PORT_METRICS": "9464",
        f"{name}_PORT": address,
        f"{name}_PORT_9464_TCP": address,
        f"{name}_PORT_9464_TCP_PROTO": "tcp",
        f"{name}_PORT_9464_TCP_PORT": "9464",
        f"{name}_PORT_9464_TCP_ADDR": "10.0.0.7",
    }


def variables_of_ours() -> set[str]:
    """All variables that the program reads: of its own options, and OpenTelemetry's."""
    own = [parameter.envvar for parameter in ROOT.params if parameter.envvar]
    return {*map(str, own), *asked(), "III_URL", "III_TOKEN", "HEX_DIR", "HEADROOM_WORKSPACE_DIR"}


def services_that_collide() -> list[str]:
    """The names of Services whose variables are among those that the program reads."""
    ours = variables_of_ours()
    stems = {name[:end] for name in ours for end in range(1, len(name)) if name[end] == "_"}
    return sorted(stem.lower().replace("_", "-") for stem in stems if service_links(stem).keys() & ours)


def test_the_services_whose_names_collide_are_known() -> None:
    assert services_that_collide() == ["otel-exporter-prometheus", "otel-logtail-health", "otel-logtail-prometheus"]


@pytest.mark.parametrize(
    "service", ["otel-exporter-prometheus", "otel-logtail-health", "otel-logtail-prometheus", "otel-logtail"]
)
def test_what_kubernetes_sets_for_a_service_is_not_the_users_word(tmp_path: Path, service: str) -> None:
    command = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-stall.log", "--once", "--db", tmp_path / "s.db"]
    done = run(*command, home=tmp_path, environ=service_links(service))
    of_options = ("otel-logtail-health", "otel-logtail-prometheus")
    assert ("enableServiceLinks: false" in done.stderr) == (service in of_options)
    port = free_port()
    own = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port)} if service == "otel-logtail-prometheus" else {}
    flags = () if own else ("--prometheus-port", port)
    chosen = run(*command, "--exporter", "prometheus", *flags, home=tmp_path, environ=own | service_links(service))
    assert chosen.stderr.count("enableServiceLinks: false") == (service != "otel-logtail")


# --- addresses that nothing has filled in -----------------------------------------------------------------------------

PLACEHOLDERS = (
    "$(NODE_IP)",
    "${NODE_IP}",
    "$NODE_IP",
    "{{ .Values.ip }}",
    "{{ip}}",
    "%NODE_IP%",
    "<node-ip>",
    "${ip:-x}",
)
ADDRESSES = {
    **{f"{E}{part}ENDPOINT": ("http://", ":4318/v1/metrics", "otlp") for part in ANY},
    "OTEL_LOGTAIL_OTLP_ENDPOINT": ("http://", ":4318", "otlp"),
    "--otlp-endpoint": ("", ":4317", "otlp"),
    "III_URL": ("ws://", ":49134", "hex"),
    "OTEL_LOGTAIL_HEX_URL": ("ws://", ":49134", "hex"),
    "--hex-url": ("wss://", "/bus", "hex"),
    "OTEL_EXPORTER_PROMETHEUS_HOST": ("", "", "prometheus"),
    "OTEL_LOGTAIL_PROMETHEUS_HOST": ("", "", "prometheus"),
    "--prometheus-host": ("", "", "prometheus"),
}


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
@pytest.mark.parametrize("where", ADDRESSES)
def test_an_address_with_a_placeholder_is_an_error_that_shows_it(where: str, placeholder: str) -> None:
    before, after, exporter = ADDRESSES[where]
    value = f"{before}{placeholder}{after}"
    parameters = ["--exporter", exporter, "--observer", "headroom", "--events", "both"][
        : 4 if exporter != "otlp" else 6
    ]
    environ = {where: value} if not where.startswith("--") else {}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UsageError) as caught:
        for name in os.environ:
            if name.startswith(("OTEL", "III")):
                patch.delenv(name)
        for name, text in environ.items():
            patch.setenv(name, text)
        given = [where, value] if where.startswith("--") else []
        with ROOT.make_context("otel-logtail", [*parameters, *given]) as context:
            settings = settings_of(given_by(context))
        for name in settings.exporters:
            own = ExporterContext(os.environ, settings.exporter_options[name], settings.places)
            try:
                make_exporter(name, own).close()
            except UsageError as problem:
                raise settings.explain(problem) from None
    assert str(caught.value) == f"{where}: {placeholder} was not replaced by a value"
    assert where in caught.value.hint
