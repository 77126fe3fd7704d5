"""The option of the exporter sdk. Pure."""

from __future__ import annotations

from otel_logtail.option import Option, Text

EXPORTER = Option(
    "sdk_exporter",
    Text("NAME", "console"),
    "Exporter of OpenTelemetry's Python SDK, by the name that OTEL_METRICS_EXPORTER has, e.g. console.",
)
