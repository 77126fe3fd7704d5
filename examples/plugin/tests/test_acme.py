"""The plug-in's own tests, as its author would write them."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from logtail_acme import ACME, CSV
from logtail_acme.exporter import row
from logtail_acme.observer import AcmeObserver

from otel_logtail import (
    Drift,
    EpisodeRecord,
    Exporter,
    ExporterContext,
    Item,
    Observer,
    ObserverContext,
    Rejected,
    Sample,
    Stream,
)
from otel_logtail.testing import ExporterContract, Fault, ObserverContract, Receiver, Told, hex_escaped

LINE = b"2026-11-25T12:00:00.250Z acme request route=/search took=0.734 db=0.700"


def test_a_request_is_a_sample() -> None:
    sample = AcmeObserver().observe(LINE)
    assert isinstance(sample, Sample)
    assert (sample.time_ns, sample.duration_ns) == (1_795_608_000_250_000_000, 734_000_000)
    assert (sample.cause, sample.stage_ns) == ("db", (700_000_000, 34_000_000))
    assert sample.shape.attributes == (("acme.route", "/search"),)


@pytest.mark.parametrize(("measure", "duration_ns"), [("total", 734_000_000), ("db", 700_000_000)])
def test_the_option_decides_what_is_measured(measure: str, duration_ns: int) -> None:
    sample = ACME.make(ObserverContext(options={"acme_part": measure})).observe(LINE)
    assert isinstance(sample, Sample)
    assert sample.duration_ns == duration_ns


@pytest.mark.parametrize(("old", "new"), [(b"/search", b"/made-up"), (b"0.700", b"0.800"), (b"11-25", b"13-25")])
def test_what_cannot_be_true_is_rejected(old: bytes, new: bytes) -> None:
    assert isinstance(AcmeObserver().observe(LINE.replace(old, new)), Rejected)


def test_another_format_is_drift() -> None:
    with pytest.raises(Drift):
        AcmeObserver().observe(LINE.replace(b"took", b"duration"))


class TestObserver(ObserverContract):
    true_lines = (LINE,)
    mark_lines = (b"2026-11-25T12:00:00.000Z acme started, version 1.4.2",)
    client_fields = (b"/search",)
    client_rejected = frozenset({"unknown_route"})

    def observer(self) -> Observer:
        return ACME.make(ObserverContext())

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return hex_escaped(text).replace(b" ", b"%20")[:200]  # acme cuts a path


class Disk(Receiver):
    """The file's directory, which can be away."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._there, self._away = Path(self._folder.name, "there"), Path(self._folder.name, "away")
        self._there.mkdir()

    def exporter(self) -> Exporter:
        return CSV.make(ExporterContext(options={"csv_file": str(self._there / "stalls.csv")}))

    def told(self, item: Item) -> Iterable[Told]:
        assert isinstance(item, EpisodeRecord)
        span_id, *values = row(item)
        return [(span_id, values)]

    def received(self, stream: Stream) -> Sequence[Told]:
        with (self._there / "stalls.csv").open() as file:
            return [(span_id, values) for span_id, *values in csv.reader(file)]

    def play(self, fault: Fault, item: Item | None = None) -> None:
        assert fault is Fault.LATER
        self._there.rename(self._away)

    def recover(self) -> None:
        self._away.rename(self._there)

    def close(self) -> None:
        self._folder.cleanup()


class TestContract(ExporterContract):
    cannot = {  # noqa: RUF012 - as the base class has it
        Fault.RETRY_AFTER: "a disk asks for nothing",
        Fault.UNCLEAR: "the system says what was written",
        Fault.REFUSE: "a disk does not look at what it is given",
        Fault.REJECT: "a disk does not look at what it is given",
        Fault.FAIL: "a disk does not look at what it is given",
        Fault.PARTIAL: "a batch is written as a whole",
        Fault.HANG: "a write to a disk can't be given up",
    }

    def receiver(self) -> Receiver:
        return Disk()
