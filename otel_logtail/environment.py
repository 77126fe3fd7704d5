"""OpenTelemetry's general variables: service name, export interval, signals that are switched off. Pure.

Those of the OTLP exporter alone are read in ``exporters.otlp.config``; docs/reference/otlp.md has all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from otel_logtail.errors import UsageError
from otel_logtail.text import is_text

DETECTORS = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"
"""The names of resource detectors, which :mod:`exporters.detectors` runs."""

_SIGNALS = ("metrics", "traces", "logs")
_OF_ANY_SIGNAL = r"OTEL_EXPORTER_OTLP_(?:(?:METRICS|TRACES|LOGS)_)?"

WORDS = {
    _OF_ANY_SIGNAL + "PROTOCOL": ("grpc", "http/protobuf"),
    _OF_ANY_SIGNAL + "COMPRESSION": ("gzip", "none"),
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": ("cumulative", "delta", "lowmemory"),
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        *("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
    ),
    "OTEL_METRICS_EXEMPLAR_FILTER": ("always_on", "always_off", "trace_based"),
    _OF_ANY_SIGNAL + "INSECURE": ("true", "false"),
    "OTEL_SDK_DISABLED": ("true", "false"),
}
"""The valid words of a variable, in any case; the names are patterns."""

NUMBERS = {
    _OF_ANY_SIGNAL + "TIMEOUT": (0, 10**9 - 1, "milliseconds"),
    "OTEL_METRIC_EXPORT_INTERVAL": (10, 3_600_000, "milliseconds"),
    "OTEL_EXPORTER_PROMETHEUS_PORT": (1, 65535, "a port"),
}
"""The smallest and the largest valid number of a variable, and its unit."""


def usable(environ: Mapping[str, str], variable: str) -> str:
    """Return the value of a variable; empty if it is not set, or if the value must be ignored (:func:`problem`)."""
    value = environ.get(variable, "").strip()
    return "" if problem(variable, value) else value


def problem(variable: str, value: str) -> str:
    """Return the reason to ignore a variable; empty if there is none.

    By the specification, unknown words and invalid numbers are ignored with a warning. A list of resource attributes
    with a broken entry is discarded completely.
    """
    if not value:
        return ""
    if is_service_link(variable, value):
        return f"{value!r} was set by Kubernetes for a Service of that name; set enableServiceLinks: false in the pod"
    for name, words in WORDS.items():
        if re.fullmatch(name, variable) and value.lower() not in words:
            return f"{value!r} is not one of {', '.join(words)}"
    for name, (least, most, what) in NUMBERS.items():
        if re.fullmatch(name, variable) and not (re.fullmatch("[0-9]{1,9}", value) and least <= int(value) <= most):
            return f"{value!r} is not {what} as a whole number from {least} to {most}"
    if variable == "OTEL_RESOURCE_ATTRIBUTES" and attributes(value) is None:
        return "it is not name=value,name2=value2 with URL-encoded values"
    return ""


def problems(environ: Mapping[str, str]) -> list[str]:
    """Return each variable of OpenTelemetry that is ignored, with the reason."""
    return [
        f"{variable}: {why}"
        for variable, value in sorted(environ.items())
        if re.match("OTEL_(?!LOGTAIL_)", variable) and (why := problem(variable, value.strip()))
    ]


def is_service_link(variable: str, value: str) -> bool:
    """Return whether Kubernetes set a variable: for a Service NAME, each pod has NAME_PORT=tcp://ADDRESS:PORT."""
    return variable.endswith("_PORT") and re.fullmatch(r"(tcp|udp|sctp)://\S+:[0-9]+", value.strip()) is not None


_IN_ANY_TEXT = r"\$\([^()]*\)|\$\{[^{}]*\}|\{\{.*?\}\}"
_IN_AN_ADDRESS = rf"{_IN_ANY_TEXT}|\$[A-Za-z_]\w*|%[A-Z_]{{2,}}%|<[A-Za-z][\w .-]*>"


def check_resolved(text: str, origin: str, *, address: bool = True) -> None:
    """Refuse a value with a placeholder that was not replaced, such as ``$(NODE_IP)``.

    Args:
        text: The value.
        origin: The place of the value.
        address: Whether the value is the address of a receiver. Other values may hold a ``$`` or a ``<``.

    Raises:
        UsageError: there is a placeholder.
    """
    found = re.search(_IN_AN_ADDRESS if address else _IN_ANY_TEXT, text)
    if found is None:
        return
    name = "".join(re.findall(r"[\w.]+", found[0]))
    hint = f"set {origin} to the value itself: placeholders are not replaced"
    if found[0].startswith("$(") and origin.isupper():
        hint = f"declare {name} before {origin} in the container's env: Kubernetes replaces only earlier variables"
    raise UsageError(f"{origin}: {found[0]} was not replaced by a value", hint=hint)


def attributes(text: str) -> dict[str, str] | None:
    """Return URL-encoded ``name=value,name2=value2`` as a mapping (last value wins); None if it is invalid."""
    found: dict[str, str] = {}
    if not is_text(text):  # bytes that are not UTF-8
        return None
    for entry in text.split(","):
        if not entry.strip():
            continue
        name, equals, value = entry.partition("=")
        name = unquote(name.strip())
        if not equals or not name:
            return None
        try:
            found[name] = unquote(value.strip(), errors="strict")
        except UnicodeDecodeError:
            return None
    return found


def service_name(environ: Mapping[str, str]) -> str:
    """Return OTEL_SERVICE_NAME, else service.name of OTEL_RESOURCE_ATTRIBUTES; empty if neither is set."""
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    return name or (attributes(environ.get("OTEL_RESOURCE_ATTRIBUTES", "")) or {}).get("service.name", "")


def export_interval(environ: Mapping[str, str]) -> str:
    """Return OTEL_METRIC_EXPORT_INTERVAL, a number of milliseconds, with its unit; empty if it is not set."""
    text = usable(environ, "OTEL_METRIC_EXPORT_INTERVAL")
    return f"{text}ms" if text else ""


def unwanted(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the signals that must not be sent: OTEL_METRICS_EXPORTER=none, and the same for traces and logs."""
    return frozenset(
        signal for signal in _SIGNALS if environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none"
    )


def asks_for_otlp(environ: Mapping[str, str]) -> bool:
    """Return whether the environment requests OTLP without a flag: it has an endpoint, and OTLP is not switched off."""
    named = any(
        environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "").strip() for part in ("", "METRICS_", "TRACES_", "LOGS_")
    )
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return named and not disabled and not unwanted(environ) >= {"metrics", "traces"}
