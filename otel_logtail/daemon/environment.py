"""What OpenTelemetry's general variables say to a program that is no SDK: its name, its pace, what is not wanted. Pure.

Those of the OTLP exporter alone are read in ``exporters.otlp_config``; docs/otlp.md has all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from otel_logtail.errors import UsageError

_SIGNALS = ("metrics", "traces", "logs")


def service_name(environ: Mapping[str, str]) -> str:
    """OTEL_SERVICE_NAME, else service.name of OTEL_RESOURCE_ATTRIBUTES; empty where neither is said."""
    name = environ.get("OTEL_SERVICE_NAME", "").strip()
    if not name:
        for entry in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
            key, _, value = entry.partition("=")
            if unquote(key.strip()) == "service.name":
                name = unquote(value.strip())
    return name


def export_interval(environ: Mapping[str, str]) -> str:
    """OTEL_METRIC_EXPORT_INTERVAL, which is in milliseconds, as a duration with its unit; empty where it is not set.

    Raises:
        UsageError: it is no number of milliseconds.
    """
    text = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise UsageError(
            f"OTEL_METRIC_EXPORT_INTERVAL: {text!r} is no number of milliseconds", hint="10000 is ten seconds"
        )
    return f"{text}ms" if text else ""


def unwanted(environ: Mapping[str, str]) -> frozenset[str]:
    """The signals that are to go nowhere: OTEL_METRICS_EXPORTER=none, and the same for traces and logs."""
    return frozenset(
        signal for signal in _SIGNALS if environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() == "none"
    )


def asks_for_otlp(environ: Mapping[str, str]) -> bool:
    """Whether the environment alone, without a flag, asks for OTLP: it names an endpoint, and nothing forbids it."""
    named = any(
        environ.get(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT", "").strip() for part in ("", "METRICS_", "TRACES_", "LOGS_")
    )
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return named and not disabled and not unwanted(environ) >= {"metrics", "traces"}
