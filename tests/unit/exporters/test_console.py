"""Lines on standard output: their content, and the number written before a reader leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from otel_logtail.exporters.console.exporter import ConsoleExporter, lines
from otel_logtail.model import BreachRecord, ExportBatch, Instrument, Partial, Retry, Stream
from tests.support.otlp_items import LABELS, MS, T0, breach, episode, point
from tests.support.places import CAPTURES
from tests.support.waiting import bound_s

CAPTURE = CAPTURES / "0.42.0-stall.log"


def breaches(*records: BreachRecord) -> ExportBatch:
    return ExportBatch(Stream.BREACHES, records)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass  # the test has closed it


def test_an_item_is_a_line_with_its_time_content_and_duration() -> None:
    assert list(lines(breach(1, 600.5, time_ns=T0 + MS))) == [
        "2026-09-21T14:13:20.001Z headroom-proxy breach: degraded 600.5 ms, cause compress, stage deep_copy"
        " headroom.path=/v1/messages server.port=8787 trace=0102030405060708090a0b0c0d0e0f10"
    ]
    assert list(lines(episode([600, 2500]))) == [
        "2026-09-21T14:13:20.200Z headroom-proxy episode: stall of 2500.0 ms, breaches 2, peak 2500.0 ms,"
        " cause compress, stage deep_copy server.port=8787 trace=0102030405060708090a0b0c0d0e0f10"
    ]
    assert list(lines(point([1, 2, 300], delta_ms=[2, 300]))) == [
        "2026-09-21T14:13:20.000Z headroom-proxy interval: samples 2, mean 151.0 ms, max 300.0 ms"
        " headroom.path=/v1/messages"
    ]


def test_idle_series_and_other_instruments_give_no_line() -> None:
    assert list(lines(point([1], id=0, delta_ms=[]))) == []
    assert list(lines(point([600], instrument=Instrument.BREACHES, attributes=LABELS, delta_ms=[600]))) == []


def test_a_strangers_text_does_nothing_to_a_terminal() -> None:
    evil = msgspec.structs.replace(breach(1, 600, time_ns=T0), attributes=(("headroom.path", "/\x1b[2J\n\u202egpj"),))
    (line,) = lines(evil)
    assert "headroom.path=/?[2J??gpj" in line


def test_a_reader_that_leaves_gets_no_more_and_what_it_had_is_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    to = ConsoleExporter(writer)
    batch = breaches(*(breach(n, 600, time_ns=T0 + n) for n in range(5000)))
    text = b""

    def read_some() -> None:
        nonlocal text
        while text.count(b"\n") < 1000:
            text += os.read(reader, 10_000)
        os.close(reader)

    thread = threading.Thread(target=read_some)
    thread.start()
    answer = to.export(batch)
    thread.join()
    assert isinstance(answer, Partial)
    assert answer.rest == Retry("standard output can't be written: Broken pipe")
    assert text.count(b"\n") <= answer.count < 5000
    assert to.export(batch) == answer.rest


def test_a_close_ends_a_write_that_waits_for_its_reader(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    to = ConsoleExporter(writer)
    answers: list[object] = []
    batch = breaches(*(breach(n, 600, time_ns=T0 + n) for n in range(5000)))
    thread = threading.Thread(target=lambda: answers.append(to.export(batch)))
    thread.start()
    to.close()
    thread.join(bound_s(10))
    assert not thread.is_alive()
    (answer,) = answers
    rest = answer.rest if isinstance(answer, Partial) else answer
    assert rest == Retry("standard output can't be written: the exporter is closed")


def test_the_command_line_writes_data_to_stdout_and_words_to_stderr(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(CAPTURE), "--once"]
    command += ["--db", str(tmp_path / "store.db"), "--exporter", "console"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=bound_s(60), check=True)
    kinds = [line.split(" ")[2] for line in done.stdout.splitlines()]
    assert (kinds.count("breach:"), kinds.count("interval:") > 0, kinds.count("episode:") > 0) == (10, True, True)
    assert set(kinds) == {"breach:", "interval:", "episode:"}
    assert "otel-logtail: following" in done.stderr


def test_a_closed_stdout_is_a_usage_error(tmp_path: Path) -> None:
    script = f'exec "{sys.executable}" -m otel_logtail --observer headroom --path "{CAPTURE}" --once --exporter console'
    command = ["sh", "-c", f'{script} --db "{tmp_path / "store.db"}" >&-']
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=bound_s(60), check=False)
    assert done.returncode == 2
    assert "the exporter console needs standard output, which is closed" in done.stderr


def test_a_reader_that_has_left_ends_once_with_what_waits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(CAPTURE), "--once"]
    command += ["--db", str(tmp_path / "store.db"), "--exporter", "console"]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=bound_s(60), check=False
        )
    finally:
        os.close(writer)
    assert done.returncode == 1
    assert "standard output can't be written: Broken pipe" in done.stderr
    assert "in the store are not delivered yet" in done.stderr
