"""A package with exporters for OpenTelemetry's SDK, as another project would install it: they write to a file.

A line of the file is the signal and the message that OTLP would carry. While the folder ``down`` is beside the file,
the exporters return FAILURE.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tests.support.places import ROOT

VARIABLE = "SDK_PACKAGE_FILE"
KINDS: dict[str, Any] = {
    "metrics": ExportMetricsServiceRequest,
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
}

take: Callable[[str, Any], bool]
"""The function that takes a message; a test in the same process replaces it."""


def to_file(signal: str, message: Any) -> bool:
    """Append a message to the file; return whether it was accepted."""
    file = Path(os.environ[VARIABLE])
    if file.with_name("down").exists():
        logging.getLogger("sdk_package").warning("the disk of %s is away", signal)
        return False
    with file.open("a") as lines:
        lines.write(f"{signal} {message.SerializeToString().hex()}\n")
    return True


take = to_file


def written(file: Path) -> list[tuple[str, Any]]:
    """Return the signals and messages in a file."""
    whole, _, _ = file.read_text().rpartition("\n") if file.exists() else ("", "", "")
    parts = [line.split(" ") for line in whole.splitlines()]
    return [(signal, KINDS[signal].FromString(bytes.fromhex(text))) for signal, text in parts]


class ToFile:
    """The parts that the three exporters share."""

    def force_flush(self, *_: object, **__: object) -> bool:
        return True

    def shutdown(self, *_: object, **__: object) -> None:
        """Nothing is open."""


class Metrics(ToFile, MetricExporter):
    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> MetricExportResult:
        return (
            MetricExportResult.SUCCESS if take("metrics", encode_metrics(metrics_data)) else MetricExportResult.FAILURE
        )


class Spans(ToFile, SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS if take("traces", encode_spans(spans)) else SpanExportResult.FAILURE


class Logs(ToFile, LogRecordExporter):
    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS if take("logs", encode_logs(batch)) else LogRecordExportResult.FAILURE


class Pulled:
    """As the exporter of the package opentelemetry-exporter-prometheus: it is read."""


class Broken:
    def __init__(self) -> None:
        raise ValueError("no\x1bkey")


def install(folder: Path) -> str:
    """Install the package into a folder; return PYTHONPATH for another process."""
    info = folder / "sdk_package-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sdk-package\nVersion: 1\n")
    here = "tests.support.sdk_package"
    (info / "entry_points.txt").write_text(
        f"[opentelemetry_metrics_exporter]\nfile = {here}:Metrics\npulled = {here}:Pulled\nbroken = {here}:Broken\n"
        f"[opentelemetry_traces_exporter]\nfile = {here}:Spans\n[opentelemetry_logs_exporter]\nfile = {here}:Logs\n"
    )
    return f"{folder}{os.pathsep}{ROOT}"
