"""Passes batches to exporters of OpenTelemetry's SDK, as records of the SDK.

Such an exporter answers a call with SUCCESS or FAILURE, or it raises an exception. SUCCESS counts as delivered. All
else counts as a failure that one of the items may have caused, so smaller batches follow: a FAILURE can mean data
that is never accepted, or a receiver that is down. The reason of a failure is in the log of the exporter's package.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from types import TracebackType

import msgspec
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from otel_logtail.exporter import HISTOGRAM, Exporter, ExporterContext
from otel_logtail.exporters.otlp.component import records_of
from otel_logtail.exporters.otlp.config import Form, read_form
from otel_logtail.exporters.otlp.encode import encode
from otel_logtail.exporters.otlp.encoding import SIGNALS, Encoding
from otel_logtail.exporters.otlp.requests import encoding_of, streams_of
from otel_logtail.exporters.sdk.installed import SdkExporter, load
from otel_logtail.exporters.sdk.records import SDK, Records
from otel_logtail.exporters.wording import printable
from otel_logtail.model import Delivered, Delivery, ExportBatch, Partial, Retry, Stream

MAX_RECORDS = 512
"""The most records of one call: the batch size of the SDK's own processors, which exporters are made for."""


class ToSdkExporter(Exporter):
    """Sends with one exporter of the SDK for each signal."""

    name = "sdk"

    def __init__(self, exporters: Mapping[str, SdkExporter], encoding: Encoding, wants: frozenset[Stream]) -> None:
        self.wants = frozenset(stream for stream in wants if SIGNALS[stream] in exporters)
        self.form = encoding.form
        self._exporters = exporters
        self._encoding = encoding
        self._why = ""
        self._closed = False

    def records(self, batch: ExportBatch) -> int:
        """Return the number of data points, spans or log records of a batch."""
        return records_of(batch, self._encoding)

    def export(self, batch: ExportBatch) -> Delivery:
        """Pass the batch on, up to the first call that is not a success.

        A SUCCESS counts only if the shutdown has not begun: some packages return it without sending after that.
        """
        exporter = self._exporters[SIGNALS[batch.stream]]
        done = 0
        for request in encode(batch, self._encoding, SDK):
            succeeded = not self._closed and self._call(exporter, request.message)
            if self._closed or not succeeded:
                retry = self._retry()
                return Partial(done, retry) if done else retry
            done += request.count
        self._why = ""
        return Delivered()

    def _retry(self) -> Retry:
        if self._closed:
            return Retry("the exporter is closed")
        return Retry(self._why or "the exporter returned FAILURE, and logged no reason", isolate=True)

    def _call(self, exporter: SdkExporter, records: Records) -> bool:
        """Return whether the exporter succeeded; else note the reason.

        The SDK's exporters log a repeated reason only now and then, so the last one is kept.
        """
        with _Reasons() as reasons:
            try:
                result = exporter.export(records)
            except Exception as problem:  # noqa: BLE001 - the code of another package
                self._why = f"{type(exporter).__name__} raised {type(problem).__name__}: {printable(str(problem))}"
                return False
        self._why = reasons.last or self._why
        return getattr(result, "name", "") == "SUCCESS"

    def close(self) -> None:
        """Shut the exporters down, which ends a call in progress if they support it."""
        if self._closed:
            return
        self._closed = True
        for exporter in self._exporters.values():
            try:
                exporter.shutdown()
            except Exception:  # noqa: BLE001, S110 - the code of another package, at the end: nothing is left to do
                pass


class _Reasons(logging.Handler):
    """Collects warnings of the own thread; those of others are printed, as they are without a handler."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._own = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text of a record, without its traceback."""
        if record.thread == self._own:
            self.last = printable(record.getMessage()).rstrip(".")
        elif logging.lastResort is not None:
            logging.lastResort.handle(record)

    def __enter__(self) -> _Reasons:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self)


def form_of(form: Form, metrics: SdkExporter | None, context: ExporterContext) -> Form:
    """Return the form with the temporality and the kind of histogram that an exporter prefers; the option wins.

    The SDK's own reader takes them from the same two attributes.
    """
    temporality = getattr(metrics, "_preferred_temporality", None) or {}
    aggregation = getattr(metrics, "_preferred_aggregation", None) or {}
    exponential = isinstance(aggregation.get(Histogram), ExponentialBucketHistogramAggregation)
    return msgspec.structs.replace(
        form,
        delta=temporality.get(Histogram) is AggregationTemporality.DELTA,
        exponential=form.exponential if context.get(HISTOGRAM) is not None else exponential,
    )


def make(context: ExporterContext) -> ToSdkExporter:
    """Create the exporter.

    Raises:
        UsageError: an option is wrong, or there is no such exporter.
    """
    exporters = load(context)
    form = form_of(read_form(context), exporters.get("metrics"), context)
    encoding = msgspec.structs.replace(encoding_of(form, context), max_records=MAX_RECORDS)
    return ToSdkExporter(exporters, encoding, streams_of(form))
