from __future__ import annotations

import socket
from collections.abc import Mapping

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.exporters.otlp.config import UNLIMITED_S, read_settings
from otel_logtail.exporters.otlp.endpoint import Setting
from otel_logtail.option import Options

E = "OTEL_EXPORTER_OTLP_"


def endpoints(environ: Mapping[str, str], **options: str) -> tuple[str, str, str]:
    settings = read_settings(Options(environ, options))
    assert settings.metrics.protocol == settings.traces.protocol
    return settings.metrics.protocol, settings.metrics.endpoint, settings.traces.endpoint


def refusal(environ: Mapping[str, str], **options: str) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        read_settings(Options(environ, options))
    assert caught.value.hint
    return str(caught.value), caught.value.hint


def test_without_any_word_it_is_http_to_this_machine() -> None:
    settings = read_settings(Options({}, {}))
    assert settings.metrics.protocol == "http/protobuf"
    assert settings.metrics.endpoint == "http://localhost:4318/v1/metrics"
    assert settings.traces.endpoint == "http://localhost:4318/v1/traces"
    assert settings.metrics.timeout_s == 10.0
    assert not settings.metrics.gzip
    assert settings.metrics.headers == ()
    assert not settings.form.exponential


def test_a_signals_path_is_appended_to_a_base_endpoint() -> None:
    expected = ("http/protobuf", "https://host/otlp/v1/metrics", "https://host/otlp/v1/traces")
    assert endpoints({}, otlp_endpoint="https://host/otlp") == expected
    assert endpoints({E + "ENDPOINT": "https://host/otlp/"}) == expected


def test_an_endpoint_of_one_signal_is_used_as_it_is() -> None:
    environ = {E + "ENDPOINT": "http://a:4318", E + "METRICS_ENDPOINT": "http://b:9090/api/v1/otlp/v1/metrics?tenant=x"}
    expected = ("http/protobuf", "http://b:9090/api/v1/otlp/v1/metrics?tenant=x", "http://a:4318/v1/traces")
    assert endpoints(environ) == expected


def test_an_endpoint_of_one_signal_without_a_path_gets_the_root() -> None:
    assert endpoints({E + "METRICS_ENDPOINT": "http://b:9090"})[1] == "http://b:9090/"


def test_the_flag_wins_over_every_variable() -> None:
    environ = {
        E + "ENDPOINT": "http://a:1",
        E + "METRICS_ENDPOINT": "http://b:2/x",
        E + "PROTOCOL": "http/protobuf",
        E + "TRACES_PROTOCOL": "http/protobuf",
    }
    expected = ("grpc", "c:3", "c:3")
    assert endpoints(environ, otlp_endpoint="http://c:3", otlp_protocol="grpc") == expected


@pytest.mark.parametrize("ending", ["/v1/metrics", "/v1/traces/", "/v1/logs"])
@pytest.mark.parametrize("origin", ["--otlp-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_the_url_of_a_signal_is_not_taken_for_a_base(ending: str, origin: str) -> None:
    url = "http://host:4318/otlp" + ending
    options = {"otlp_endpoint": url} if origin.startswith("--") else {}
    message, hint = refusal({} if options else {origin: url}, **options)
    assert origin in message
    assert "use http://host:4318/otlp:" in hint


def test_a_base_endpoint_has_no_query() -> None:
    message, hint = refusal({}, otlp_endpoint="http://host:4318/?tenant=x")
    assert "--otlp-endpoint" in message
    assert E + "METRICS_ENDPOINT" in hint


def test_http_needs_a_scheme_and_the_hint_writes_it() -> None:
    message, hint = refusal({}, otlp_endpoint="localhost:4318")
    assert "--otlp-endpoint" in message
    assert hint == "write http://localhost:4318"


@pytest.mark.parametrize(
    "url", ["ftp://host:4318", "http://", "http://host:port", "http://host:99999", "http://host:0", "http://ho st:1"]
)
def test_what_is_not_the_url_of_a_receiver_is_refused(url: str) -> None:
    message, _ = refusal({E + "ENDPOINT": url})
    assert E + "ENDPOINT" in message


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    for url in ("http://me:s3cret@host:4318", "http://me:s3/cret@host:4318", "https://me:s3cret@host:99999"):
        message, hint = refusal({}, otlp_endpoint=url)
        assert "cret" not in message + hint
        assert E + "HEADERS" in hint


@pytest.mark.parametrize("url", ["http://host:4317", "http://host:4317/", "HTTP://HOST:4317", "host:4317"])
def test_port_4317_means_grpc(url: str) -> None:
    assert read_settings(Options({}, {"otlp_endpoint": url})).metrics.protocol == "grpc"


@pytest.mark.parametrize("url", ["http://host:4318", "http://host:43170", "http://host/a:4317", "http://host"])
def test_any_other_port_means_http(url: str) -> None:
    assert read_settings(Options({}, {"otlp_endpoint": url})).metrics.protocol == "http/protobuf"


def test_a_protocol_that_is_named_wins_over_the_port() -> None:
    assert endpoints({E + "PROTOCOL": "http/protobuf"}, otlp_endpoint="http://h:4317")[0] == "http/protobuf"


def test_each_signal_may_have_a_protocol_of_its_own() -> None:
    settings = read_settings(Options({E + "TRACES_PROTOCOL": "grpc"}, {}))
    assert (settings.metrics.protocol, settings.metrics.endpoint) == (
        "http/protobuf",
        "http://localhost:4318/v1/metrics",
    )
    assert (settings.traces.protocol, settings.traces.endpoint) == ("grpc", "localhost:4317")
    assert not settings.traces.tls


def test_an_unknown_protocol_is_refused_with_those_that_are_known() -> None:
    message, hint = refusal({}, otlp_protocol="udp")
    assert message == "invalid --otlp-protocol 'udp': expected http/protobuf or grpc"
    assert hint == "use http/protobuf or grpc"


@pytest.mark.parametrize(
    ("url", "insecure", "target", "tls"),
    [
        ("http://host:4317", "", "host:4317", False),
        ("https://host:4317", "", "host:4317", True),
        ("https://host:4317", "true", "host:4317", True),
        ("http://host:4317", "false", "host:4317", False),
        ("host:4317", "", "host:4317", True),
        ("host:4317", "true", "host:4317", False),
        ("host:4317", "False", "host:4317", True),
        ("http://[::1]:4317", "", "[::1]:4317", False),
        ("[::1]:4317", "true", "[::1]:4317", False),
        ("https://host", "", "host:443", True),
        ("unix:///run/otel.sock", "true", "unix:///run/otel.sock", False),
        ("unix:4317", "true", "unix:4317", False),
        ("dns:///host:4317", "", "dns:///host:4317", True),
    ],
)
def test_the_scheme_of_a_grpc_endpoint_decides_about_tls(url: str, insecure: str, target: str, tls: bool) -> None:
    metrics = read_settings(
        Options({E + "PROTOCOL": "grpc", E + "ENDPOINT": url, E + "INSECURE": insecure}, {})
    ).metrics
    assert (metrics.endpoint, metrics.tls) == (target, tls)


@pytest.mark.parametrize("url", ["http://host:4317/v1/metrics", "host", "ftp://host:4317", "host:4317/x", "http://"])
def test_what_can_not_be_a_grpc_target_is_refused(url: str) -> None:
    message, _ = refusal({}, otlp_endpoint=url, otlp_protocol="grpc")
    assert "--otlp-endpoint" in message


def test_an_empty_variable_is_an_unset_one() -> None:
    names = ("ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "INSECURE", "CERTIFICATE", "CLIENT_KEY")
    environ = {E + name: " " for name in names} | {E + "METRICS_" + name: "" for name in names}
    environ |= {"OTEL_RESOURCE_ATTRIBUTES": "", E + "METRICS_TEMPORALITY_PREFERENCE": ""}
    assert read_settings(Options(environ, {"otlp_endpoint": ""})) == read_settings(Options({}, {}))


def test_headers_are_url_decoded_and_those_of_a_signal_replace_the_general_ones() -> None:
    environ = {
        E + "HEADERS": "Authorization=Basic%20YTpi==, x-scope = a%2Cb ,",
        E + "TRACES_HEADERS": "authorization=Bearer%20t",
    }
    settings = read_settings(Options(environ, {}))
    assert settings.metrics.headers == (("authorization", "Basic YTpi=="), ("x-scope", "a,b"))
    assert settings.traces.headers == (("authorization", "Bearer t"),)


@pytest.mark.parametrize("value", ["s3cret", "=s3cret", "a b=s3cret", "a=s3cret%0d%0aX: y", "a=s3cret%ff", "a=s3cret€"])
def test_a_header_that_can_not_be_sent_is_refused_without_repeating_it(value: str) -> None:
    message, hint = refusal({E + "HEADERS": "ok=1," + value})
    assert E + "HEADERS" in message
    assert "s3cret" not in message + hint


@pytest.mark.parametrize("name", ["grpc-timeout", "x-bin", "x!"])
def test_a_header_that_grpc_keeps_for_itself_is_refused_for_grpc_only(name: str) -> None:
    assert read_settings(Options({E + "HEADERS": f"{name}=1"}, {})).metrics.headers == ((name, "1"),)
    message, _ = refusal({E + "HEADERS": f"{name}=1", E + "PROTOCOL": "grpc"})
    assert repr(name) in message


def test_the_time_out_is_in_milliseconds() -> None:
    settings = read_settings(Options({E + "TIMEOUT": "2500", E + "TRACES_TIMEOUT": "1"}, {}))
    assert (settings.metrics.timeout_s, settings.traces.timeout_s) == (2.5, 0.001)


def test_a_time_out_of_zero_is_none_at_all_as_far_as_a_socket_can_wait() -> None:
    settings = read_settings(Options({E + "TIMEOUT": "0", E + "TRACES_TIMEOUT": "1"}, {}))
    assert (settings.metrics.timeout_s, settings.traces.timeout_s) == (UNLIMITED_S, 0.001)
    with socket.socket() as waiting:
        waiting.settimeout(UNLIMITED_S)


def test_compression_is_gzip_or_none() -> None:
    settings = read_settings(Options({E + "COMPRESSION": "gzip", E + "TRACES_COMPRESSION": "none"}, {}))
    assert (settings.metrics.gzip, settings.traces.gzip) == (True, False)


def test_certificates_are_kept_with_the_variable_that_named_them() -> None:
    environ = {
        E + "CERTIFICATE": "/ca.pem",
        E + "METRICS_CERTIFICATE": "/ca2.pem",
        E + "CLIENT_CERTIFICATE": "/c.pem",
        E + "CLIENT_KEY": "/k.pem",
    }
    settings = read_settings(Options(environ, {}))
    assert settings.metrics.certificate == Setting("/ca2.pem", E + "METRICS_CERTIFICATE")
    assert settings.traces.certificate == Setting("/ca.pem", E + "CERTIFICATE")
    assert settings.traces.client_certificate == Setting("/c.pem", E + "CLIENT_CERTIFICATE")
    assert settings.traces.client_key == Setting("/k.pem", E + "CLIENT_KEY")


def test_a_client_key_without_its_certificate_is_refused() -> None:
    message, hint = refusal({E + "TRACES_CLIENT_KEY": "/k.pem"})
    assert E + "TRACES_CLIENT_KEY" in message
    assert E + "TRACES_CLIENT_CERTIFICATE" in hint


def test_resource_attributes_are_url_decoded() -> None:
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=a%2Cb,team = x%3Dy ,"}
    assert read_settings(Options(environ, {})).form.resource == (
        ("deployment.environment.name", "a,b"),
        ("team", "x=y"),
    )
    for broken in ("a=1,b", "a=1,=2", "a=1,b=%ff"):  # one broken entry, and all are discarded: the specification
        assert read_settings(Options({"OTEL_RESOURCE_ATTRIBUTES": broken}, {})).form.resource == ()


@pytest.mark.parametrize(("value", "delta"), [("", False), ("CUMULATIVE", False), ("delta", True), ("LowMemory", True)])
def test_low_memory_means_delta_and_unset_means_cumulative(value: str, delta: bool) -> None:
    assert read_settings(Options({E + "METRICS_TEMPORALITY_PREFERENCE": value}, {})).form.delta == delta


def test_the_kind_of_histogram_is_the_flags_or_the_variables() -> None:
    variable = E + "METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    environ = {variable: "base2_exponential_bucket_histogram"}
    assert read_settings(Options(environ, {})).form.exponential
    assert not read_settings(Options(environ, {"histogram": "explicit"})).form.exponential
    assert read_settings(
        Options({variable: "explicit_bucket_histogram"}, {"histogram": "exponential"})
    ).form.exponential
    assert refusal({}, histogram="linear")[1] == "use explicit or exponential"
