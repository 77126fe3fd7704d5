"""The settings of each OTLP signal, from the environment and the options. Pure.

The rules are those of the OTLP exporter specification: the variable of a signal takes precedence over the general one,
and an option over both. An empty variable counts as unset, and timeouts are milliseconds. An unknown word or number in
a variable is ignored (:func:`environment.problems` reports it). A wrong option, endpoint, header or certificate raises
``UsageError`` with its name and a correct value. The value of a header is never part of an error: it is often a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import msgspec

from otel_logtail.environment import attributes, check_resolved, problem, unwanted, usable
from otel_logtail.errors import UsageError
from otel_logtail.exporter import EVENTS, HISTOGRAM, MAX_BUCKETS
from otel_logtail.exporters.otlp.encoding import Events, SignalName, has_logs
from otel_logtail.exporters.otlp.endpoint import Protocol, Setting, choose_protocol, grpc_target, http_url
from otel_logtail.exporters.otlp.options import ENDPOINT, PROTOCOL
from otel_logtail.option import Option, Options

DEFAULT_TIMEOUT_MS = 10_000
UNLIMITED_S = 20 * 86_400.0
"""The timeout for the value 0 ("no limit"): about the longest that the system accepts for a socket."""

TRUST_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

_HTTP_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_GRPC_HEADER = re.compile(r"(?!grpc-)(?!.*-bin$)[0-9a-z_.-]+")


class Signal(msgspec.Struct, frozen=True):
    """The endpoint of one signal, and how it is reached.

    ``endpoint`` is the whole URL for HTTP and the target for gRPC. ``tls`` is for gRPC only: HTTP has it in the URL.
    ``trust`` holds SSL_CERT_FILE and SSL_CERT_DIR, which apply if there is no ``certificate``.
    """

    protocol: Protocol
    endpoint: str
    tls: bool
    timeout_s: float
    headers: tuple[tuple[str, str], ...] = ()
    gzip: bool = False
    certificate: Setting | None = None
    client_certificate: Setting | None = None
    client_key: Setting | None = None
    trust: Mapping[str, str] = {}


class Form(msgspec.Struct, frozen=True):
    """The form of requests, independent of the endpoint.

    ``resource`` is OTEL_RESOURCE_ATTRIBUTES, ``events`` the form of breaches, ``exemplars`` whether points have them.
    """

    events: Events = "span"
    exponential: bool = False
    max_buckets: int = 160
    delta: bool = False
    exemplars: bool = True
    resource: tuple[tuple[str, str], ...] = ()


class Settings(msgspec.Struct, frozen=True):
    """All settings of the exporter. ``logs`` is None if no log records are sent."""

    metrics: Signal
    traces: Signal
    logs: Signal | None
    form: Form


def read_settings(options: Options) -> Settings:
    """Return the settings that the environment and the options mean.

    Raises:
        UsageError: one of them is wrong.
    """
    form = read_form(options)
    return Settings(
        metrics=_signal(options, "metrics"),
        traces=_signal(options, "traces"),
        logs=_logs(options, form),
        form=form,
    )


def _logs(options: Options, form: Form) -> Signal | None:
    """Return the settings for log records; None: none are sent.

    The variables for logs may be those of another program. So unless the user requests log records, a wrong one means
    that marks are not sent.
    """
    environ = options.environ
    theirs = any(name.startswith("OTEL_EXPORTER_OTLP_LOGS_") and problem(name, environ[name]) for name in environ)
    if "logs" in unwanted(environ) or (theirs and not has_logs(form.events)):
        return None
    try:
        return _signal(options, "logs")
    except UsageError:
        if not has_logs(form.events):
            return None
        raise


def read_form(options: Options) -> Form:
    """Return the settings of the data points and spans, without the endpoints.

    Raises:
        UsageError: one of them is wrong.
    """
    environ = options.environ
    return Form(
        events=cast(Events, options.require(EVENTS)),
        exponential=_exponential(options),
        max_buckets=options.require(MAX_BUCKETS),
        delta=_delta(environ),
        exemplars=usable(environ, "OTEL_METRICS_EXEMPLAR_FILTER").lower() != "always_off",
        resource=tuple((attributes(usable(environ, "OTEL_RESOURCE_ATTRIBUTES")) or {}).items()),
    )


def _signal(options: Options, name: SignalName) -> Signal:
    environ = options.environ

    def find(key: str) -> Setting | None:
        specific = _general(environ, f"OTEL_EXPORTER_OTLP_{name.upper()}_{key}")
        return specific or _general(environ, f"OTEL_EXPORTER_OTLP_{key}")

    flag = _given(options, ENDPOINT)
    specific = _general(environ, f"OTEL_EXPORTER_OTLP_{name.upper()}_ENDPOINT")
    endpoint = flag or specific or _general(environ, "OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint is not None:
        check_resolved(endpoint.value, endpoint.origin)
    protocol = choose_protocol(_given(options, PROTOCOL) or find("PROTOCOL"), endpoint)
    if protocol == "grpc":
        endpoint = endpoint or Setting("http://localhost:4317", "default")
        target, tls = grpc_target(endpoint, insecure=_insecure(find("INSECURE")))
    else:
        endpoint = endpoint or Setting("http://localhost:4318", "default")
        as_it_is = flag is None and specific is not None
        target, tls = http_url(endpoint, None if as_it_is else f"/v1/{name}"), False
    certificate, key = find("CLIENT_CERTIFICATE"), find("CLIENT_KEY")
    if key is not None and certificate is None:
        hint = f"set {key.origin.replace('CLIENT_KEY', 'CLIENT_CERTIFICATE')} to the certificate of that key"
        raise UsageError(f"{key.origin} is set without a client certificate", hint=hint)
    return Signal(
        protocol=protocol,
        endpoint=target,
        tls=tls,
        timeout_s=_timeout(find("TIMEOUT")),
        headers=_headers(find("HEADERS"), protocol),
        gzip=_gzip(find("COMPRESSION")),
        certificate=find("CERTIFICATE"),
        client_certificate=certificate,
        client_key=key,
        trust={name: environ[name] for name in TRUST_VARIABLES if environ.get(name)},
    )


def _general(environ: Mapping[str, str], variable: str) -> Setting | None:
    value = usable(environ, variable)
    return Setting(value, variable) if value else None


def _given(options: Options, option: Option[str]) -> Setting | None:
    value = options.get(option)
    return None if value is None else Setting(value, options.where(option))


# --- headers and timeouts ---------------------------------------------------------------------------------------


def _insecure(setting: Setting | None) -> bool:
    return setting is not None and setting.value.lower() == "true"


def _timeout(setting: Setting | None) -> float:
    milliseconds = DEFAULT_TIMEOUT_MS if setting is None else int(setting.value)
    return milliseconds / 1000 if milliseconds else UNLIMITED_S


def _gzip(setting: Setting | None) -> bool:
    return setting is not None and setting.value.lower() == "gzip"


def _headers(setting: Setting | None, protocol: Protocol) -> tuple[tuple[str, str], ...]:
    if setting is None:
        return ()
    pairs = attributes(setting.value)
    if pairs is None:  # the value is not shown: it is often a secret
        hint = "write name=value,name2=value2, with ',' and '%' in a value written as %2C and %25"
        raise UsageError(f"{setting.origin}: an entry is not name=value with a URL-encoded value", hint=hint)
    headers = tuple((name.lower(), value) for name, value in pairs.items())
    rule = _GRPC_HEADER if protocol == "grpc" else _HTTP_HEADER
    for name, value in headers:
        if rule.fullmatch(name) is None:
            hint = "use letters, digits, '-', '_' and '.'"
            raise UsageError(f"{setting.origin}: {name!r} is not the name of a header for {protocol}", hint=hint)
        if not (value.isascii() and value.isprintable()):
            hint = "a value, once URL-decoded, is printable ASCII on one line"
            raise UsageError(f"{setting.origin}: the value of {name!r} can't be sent", hint=hint)
    return tuple(dict(headers).items())


# --- data points ---------------------------------------------------------------------------------


def _delta(environ: Mapping[str, str]) -> bool:
    # lowmemory means delta for counters and histograms; there are no others here
    word = usable(environ, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE").lower()
    return word in ("delta", "lowmemory")


def _exponential(options: Options) -> bool:
    if (kind := options.get(HISTOGRAM)) is not None:
        return kind == "exponential"
    word = usable(options.environ, "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION").lower()
    return word == "base2_exponential_bucket_histogram"
