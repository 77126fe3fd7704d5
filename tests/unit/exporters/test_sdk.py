"""Exporters of OpenTelemetry's SDK as destinations: the same content as over OTLP, and the contract of exporters."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.otlp.encode import encode
from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.exporters.sdk.exporter import ToSdkExporter, make
from otel_logtail.exporters.sdk.records import SDK
from otel_logtail.model import Delivered, ExportBatch, MarkRecord, Partial, Retry, Stream
from otel_logtail.testing import ExporterContract, Fault, Receiver
from tests.support import sdk_package
from tests.support.otlp_items import SOURCE, T0, breach, episode, intervals, part, point
from tests.unit.exporters.test_contract import HttpReceiver, OtlpReceiver

ENCODING = Encoding(version="1.2.3", host="box", events="both")
BATCHES = {
    "points": intervals(point([100, 600], delta_ms=[600]), point([1], attributes=(("a", True), ("b", 1), ("c", "x")))),
    "episodes": ExportBatch(Stream.EPISODES, (episode([600, 3000]),)),
    "parts": ExportBatch(Stream.PARTS, (part([600, 3000]),)),
    "breaches": ExportBatch(Stream.BREACHES, (breach(1, 600, time_ns=T0), breach(2, 3000, time_ns=T0 + 1))),
    "marks": ExportBatch(Stream.MARKS, (MarkRecord(1, SOURCE, bytes(16), T0, "acme 1.0 started"),)),
}


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sdk_package.install(tmp_path / "packages")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"):
        monkeypatch.delenv(name, raising=False)
    yield
    sdk_package.take = sdk_package.to_file


def made(name: str, environ: dict[str, str] | None = None, **options: str) -> ToSdkExporter:
    context = ExporterContext(
        environ or {}, {"sdk_exporter": name, "events": "both", **options}, host="box", version="1.2.3"
    )
    return make(context)


class Keeping(HttpReceiver):
    """An OTLP receiver that keeps the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Any] = []

    def take(self, message: Any) -> tuple[Fault | None, int]:
        self.messages.append(message)
        return None, 0


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_the_sdks_otlp_exporter_sends_the_same_messages(batch: ExportBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Keeping()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.options()["otlp_endpoint"])
    exporter = made("otlp_proto_http")
    try:
        assert exporter.export(batch) == Delivered()
    finally:
        exporter.close()
        receiver.close()
    expected = [request.message for request in requests(batch, ENCODING)]
    for message in (*receiver.messages, *expected):
        _normalize(message)
    assert receiver.messages == expected


def test_the_resource_of_log_records_has_a_list_as_a_tuple(caplog: pytest.LogCaptureFixture) -> None:
    resource = (("host.ip", ("10.0.0.1", "::1")), ("none", ()), ("ports", (1, 2)), ("text", "x"))
    form = msgspec.structs.replace(ENCODING, resource=resource)
    for stream in ("breaches", "marks"):
        (request,) = encode(BATCHES[stream], form, SDK)
        (attributes, *_) = [one.resource.attributes for one in request.message]  # type: ignore[union-attr]
        assert {name: attributes[name] for name, _ in resource} == dict(resource)
    assert not caplog.records


def _normalize(message: Any) -> None:
    """Clear what the SDK's encoder leaves out (trace flags of a span) or adds (an empty body)."""
    for resource in getattr(message, "resource_spans", ()):
        for span in resource.scope_spans[0].spans:
            span.flags = 0
    for resource in getattr(message, "resource_logs", ()):
        for record in resource.scope_logs[0].log_records:
            if not record.body.WhichOneof("value"):
                record.ClearField("body")


def test_an_exporter_gets_the_temporality_and_the_histograms_that_it_prefers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert made("otlp_proto_http").form == ENCODING.form
    assert made("console").form == ENCODING.form
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
    delta = Encoding(version="1.2.3", host="box", exponential=True, delta=True)
    assert made("otlp_proto_http").form == delta.form
    assert made("console").form == ENCODING.form, "these variables are of OTLP"
    assert made("console", histogram="exponential").form == Encoding("1.2.3", "box", exponential=True).form


class Result(Enum):
    SUCCESS = 0
    FAILURE = 1


class Scripted:
    """An exporter with prepared results: a text is logged before a FAILURE, an error is raised."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)
        self.ended = 0

    def export(self, _data: Any, /) -> Any:
        result = self.results.pop(0)
        if callable(result):
            return result()
        if isinstance(result, BaseException):
            raise result
        if isinstance(result, str):
            logging.getLogger("scripted").warning("%s", result)
            return Result.FAILURE
        return result

    def shutdown(self) -> None:
        self.ended += 1
        raise ValueError("twice")


def scripted(*results: object) -> ToSdkExporter:
    return over(Scripted(*results))


def over(package: Scripted) -> ToSdkExporter:
    return ToSdkExporter({"metrics": package}, ENCODING, frozenset({Stream.INTERVALS, Stream.EPISODES}))


def test_the_reason_of_a_failure_is_the_last_one_that_was_logged() -> None:
    exporter = scripted(Result.FAILURE, "no\x1b route.", Result.FAILURE, Result.SUCCESS, Result.FAILURE, None)
    none = Retry("the exporter returned FAILURE, and logged no reason", isolate=True)
    batch = intervals(point([1]))
    assert exporter.wants == {Stream.INTERVALS}
    assert exporter.export(batch) == none
    assert [exporter.export(batch) for _ in range(2)] == [Retry("no route", isolate=True)] * 2
    assert exporter.export(batch) == Delivered()
    assert [exporter.export(batch) for _ in range(2)] == [none] * 2
    assert not logging.getLogger().handlers or all("_Reasons" not in repr(h) for h in logging.getLogger().handlers)


def test_an_exception_is_one_line() -> None:
    exporter = scripted(ValueError("a\nb"))
    assert exporter.export(intervals(point([1]))) == Retry("Scripted raised ValueError: a b", isolate=True)
    exporter.close()
    exporter.close()


def test_calls_before_a_failure_are_delivered() -> None:
    exporter = scripted(Result.SUCCESS, "full")
    batch = intervals(point([1]), point([1, 1], time_ns=T0 + 1))
    assert exporter.export(batch) == Partial(1, Retry("full", isolate=True))


def test_a_success_after_the_shutdown_does_not_count() -> None:
    """Some packages return SUCCESS after ``shutdown`` and send nothing."""
    batch = intervals(*(point([1], time_ns=T0 + number) for number in range(3)))

    def close() -> Result:
        exporter.close()
        return Result.SUCCESS

    package = Scripted(Result.SUCCESS, close, Result.SUCCESS)
    exporter = over(package)
    assert exporter.export(batch) == Partial(1, Retry("the exporter is closed"))
    assert exporter.export(batch) == Retry("the exporter is closed")
    assert package.results == [Result.SUCCESS], "a closed exporter is not called"


def test_only_a_warning_of_the_own_thread_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of another thread is printed, as it is while no call runs."""
    printed = io.StringIO()
    last = logging.StreamHandler(printed)
    monkeypatch.setattr(logging, "lastResort", last)

    def warn_elsewhere() -> Result:
        thread = threading.Thread(target=logging.getLogger("elsewhere").warning, args=("disk is full",))
        thread.start()
        thread.join()
        return Result.FAILURE

    exporter = scripted(warn_elsewhere)
    none = Retry("the exporter returned FAILURE, and logged no reason", isolate=True)
    assert exporter.export(intervals(point([1]))) == none
    assert printed.getvalue() == "disk is full\n"


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        ("nothing", "'nothing': no installed package has this exporter", "otlp_proto_http"),
        ("pulled", "Pulled is read by others, and sends nothing", "--exporter prometheus"),
        ("broken", "Broken cannot be created: ValueError: no key", "its package"),
    ],
)
def test_a_wrong_name_is_one_clear_error(name: str, why: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        made(name)
    assert str(error.value).startswith("invalid --sdk-exporter ")
    assert why in str(error.value)
    assert hint in error.value.hint


def test_a_signal_that_is_switched_off_is_not_sent() -> None:
    assert made("file", {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}).wants == {
        Stream.INTERVALS,
        Stream.SELF,
    }
    with pytest.raises(UsageError, match="nothing to send"):
        made("file", {f"OTEL_{signal}_EXPORTER": "none" for signal in ("METRICS", "TRACES", "LOGS")})


class PackageReceiver(OtlpReceiver):
    """The exporters of the package as a receiver: they answer in the same process."""

    def __init__(self) -> None:
        super().__init__()
        sdk_package.take = self._take

    def _take(self, signal: str, message: Any) -> bool:
        fault, _ = self.take(message)
        if fault is Fault.UNCLEAR:
            raise ConnectionError("closed")
        return fault is None

    def options(self) -> dict[str, str]:
        return {"sdk_exporter": "file"}

    def exporter(self) -> Exporter:
        exporter = made("file")
        end = exporter.close

        def close() -> None:
            self._released.set()  # an exporter that waits ends with its shutdown
            end()

        exporter.close = close  # type: ignore[method-assign]
        return exporter


class TestSdk(ExporterContract):
    cannot: ClassVar = {
        Fault.RETRY_AFTER: "an exporter of the SDK requests no delay",
        Fault.REFUSE: "it has no answer for data that is never accepted: that is a FAILURE, as FAIL is",
        Fault.REJECT: "it has no answer for a part of a call",
    }

    def receiver(self) -> Receiver:
        return PackageReceiver()
