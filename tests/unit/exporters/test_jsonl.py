"""OTLP as JSON lines: the file's content under every fault, and that the collector reads it."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.jsonl.exporter import JsonlExporter, make
from otel_logtail.model import Delivered, ExportBatch, Instrument, MarkRecord, Partial, Retry, Stream
from tests.support.collector import Collector, find_collector
from tests.support.otlp_items import LABELS, SOURCE, T0, breach, episode, episodes, intervals, part, point
from tests.support.places import ROOT
from tests.support.waiting import bound_s


def exporter(path: Path, **options: str) -> JsonlExporter:
    return make(ExporterContext({}, {"jsonl_file": str(path), **options}, host="box", version="1.2.3"))


def lines(path: Path) -> list[dict[str, object]]:
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def times(path: Path) -> list[int]:
    """Which points are in a file: the seconds past T0."""
    found = []
    for line in lines(path):
        (resource,) = line["resourceMetrics"]  # type: ignore[misc]
        for metric in resource["scopeMetrics"][0]["metrics"]:  # type: ignore[has-type]
            found += [(T0 - int(p["timeUnixNano"])) // 10**9 for p in metric["histogram"]["dataPoints"]]
    return found


def points(*seconds: int) -> ExportBatch:
    """One series at times that go back: a request, and so a line, for each."""
    return intervals(*(point([1], id=n, time_ns=T0 - n * 10**9) for n in seconds))


def test_a_line_is_a_whole_request_with_ids_in_hex_and_numbers_for_enumerations(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    assert exporter(path).export(episodes(episode([2500]))) == Delivered()
    (line,) = lines(path)
    assert list(line) == ["resourceSpans"]
    (span,) = line["resourceSpans"][0]["scopeSpans"][0]["spans"]  # type: ignore[index]
    assert (span["traceId"], span["spanId"]) == (bytes(range(1, 17)).hex(), bytes(range(1, 9)).hex())
    assert (span["kind"], span["status"]) == (1, {"message": "a sample of 2500 ms", "code": 2})
    assert span["events"][0]["timeUnixNano"] == str(T0 + 100_000_000)


def test_settings_about_endpoints_do_not_affect_a_file(tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json", "OTEL_RESOURCE_ATTRIBUTES": "team=x"}
    to = make(ExporterContext(environ, {"jsonl_file": str(tmp_path / "x.jsonl")}))
    assert to.export(points(1)) == Delivered()
    assert '{"key":"team","value":{"stringValue":"x"}}' in (tmp_path / "x.jsonl").read_text()


def test_batches_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    first = exporter(path)
    assert [first.export(points(1, 2)), first.export(points(3))] == [Delivered()] * 2
    first.close()
    assert exporter(path).export(points(4)) == Delivered()
    assert times(path) == [1, 2, 3, 4]


def test_a_file_that_was_moved_away_is_recreated(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path)
    to.export(points(1))
    path.rename(tmp_path / "moved")
    to.export(points(2))
    assert (times(tmp_path / "moved"), times(path)) == ([1], [2])


@pytest.mark.parametrize("torn", [b'{"resourceMetr', b'{"resourceLogs":[' + b"x" * 200_000, b"\0" * 70_000])
def test_what_a_crash_cut_off_is_cut_away(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path)
    to.export(points(1))
    with path.open("ab") as file:
        file.write(torn)
    to.export(points(2))
    assert times(path) == [1, 2]


def test_a_file_with_only_a_torn_line_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"resourceSp')
    exporter(path).export(points(1))
    assert times(path) == [1]


NOTES = b"a note without a newline at its end " * 50
FOREIGN = {  # lines that another program may have written
    "notes": NOTES,
    "notes with a newline": NOTES + b"\n",
    "one byte": b"x",
    "a log": b"2026-11-24 18:30:00,000 - headroom.proxy - INFO - [hr_1_1] STAGE_TIMINGS {}\n",
    "other JSON lines": b'{"level":"info","message":"started"}\n',
    "other JSON that begins alike": b'{"resource":{"name":"x"}}\n',
    "a list": b'[{"resourceSpans":[]}]\n',
    "binary": bytes(range(256)) * 300,
    "NULs, and then more": b"\0" * 4096 + b"text\n",
    "a page": b"<!DOCTYPE html>\n",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_of_another_program_is_refused_and_unchanged(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path)
    path.write_bytes(FOREIGN[kind])  # while the daemon runs
    assert to.export(points(1)) == Retry(f"{path} can't be written: it holds something else than OTLP JSON lines")
    with pytest.raises(UsageError, match="it holds something else than OTLP JSON lines"):  # and before its start
        exporter(path)
    assert path.read_bytes() == FOREIGN[kind]


@pytest.mark.parametrize("added", [NOTES, b"x", b"\x1f\x8b" + bytes(90_000)])
def test_lines_added_by_another_program_are_not_cut_off(tmp_path: Path, added: bytes) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path)
    to.export(points(1))
    with path.open("ab") as file:
        file.write(added)
    before = path.read_bytes()
    assert to.export(points(2)) == Retry(f"{path} can't be written: it holds something else than OTLP JSON lines")
    assert path.read_bytes() == before


def test_a_rotation_removes_no_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    (tmp_path / "x.jsonl.2").write_bytes(NOTES)
    to = exporter(path, jsonl_max_size="1500", jsonl_keep="2")
    answers = [to.export(points(second)) for second in range(1, 6)]
    assert answers[0] == Delivered()
    assert isinstance(answers[-1], Retry)
    assert (tmp_path / "x.jsonl.2").read_bytes() == NOTES


def test_what_it_makes_is_for_its_owner_alone_and_other_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path, jsonl_max_size="1500", jsonl_keep="1")
    before = os.umask(0)
    try:
        to.export(points(1))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o640)  # for the group of a collector
        for second in range(2, 6):
            to.export(points(second))
    finally:
        os.umask(before)
    assert [stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()] == [0o640, 0o640]


def symlink(path: Path, other: Path) -> None:
    path.symlink_to(other)


def dangling_symlink(path: Path, other: Path) -> None:
    path.symlink_to(other.with_name("new"))


def hard_link(path: Path, other: Path) -> None:
    path.hardlink_to(other)


def fifo(path: Path, other: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, other: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("plant", [symlink, dangling_symlink, hard_link, fifo, directory])
def test_a_planted_link_is_not_followed(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    path, other = tmp_path / "x.jsonl", tmp_path / "other"
    other.touch()
    to = exporter(path)
    plant(path, other)
    assert isinstance(to.export(points(1)), Retry)
    with pytest.raises(UsageError, match="can't be used: "):
        exporter(path)
    assert other.read_bytes() == b""
    assert not (tmp_path / "new").exists()


def test_it_is_rotated_by_size_and_the_oldest_leaves(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path, jsonl_max_size="2500", jsonl_keep="2")
    for second in range(1, 10):
        assert to.export(points(second)) == Delivered()
    size = path.stat().st_size // len(lines(path))
    each = 2500 // size
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["x.jsonl", "x.jsonl.1", "x.jsonl.2"]
    assert all((tmp_path / name).stat().st_size <= 2500 for name in names)
    kept = times(tmp_path / "x.jsonl.2") + times(tmp_path / "x.jsonl.1") + times(path)
    assert kept == list(range(10 - len(kept), 10))
    assert len(kept) > 2 * each


def test_each_signal_has_its_own_file_and_rotation(tmp_path: Path) -> None:
    to = exporter(tmp_path / "x.{signal}.jsonl", events="both", jsonl_max_size="2500", jsonl_keep="1")
    stall, slow = episode([600, 2500]), breach(1, 600, time_ns=T0)
    mark = MarkRecord(1, SOURCE, b"1" * 16, T0, "started")
    for batch in (
        *(points(second) for second in range(1, 6)),
        episodes(stall),
        ExportBatch(Stream.PARTS, (part([600, 2500]),)),
        ExportBatch(Stream.BREACHES, (slow,)),
        ExportBatch(Stream.MARKS, (mark,)),
    ):
        assert to.export(batch) == Delivered()
    kinds = {file.name: {key for line in lines(file) for key in line} for file in tmp_path.iterdir()}
    assert kinds == {
        "x.metrics.jsonl": {"resourceMetrics"},
        "x.metrics.jsonl.1": {"resourceMetrics"},
        "x.traces.jsonl": {"resourceSpans"},
        "x.traces.jsonl.1": {"resourceSpans"},
        "x.logs.jsonl": {"resourceLogs"},
    }
    assert len(lines(tmp_path / "x.logs.jsonl")) == 2


def test_a_file_of_another_program_is_refused_for_each_signal(tmp_path: Path) -> None:
    (tmp_path / "x.logs.jsonl").write_text("a note")
    with pytest.raises(UsageError, match=r"x\.logs\.jsonl can't be used: it holds something else"):
        exporter(tmp_path / "x.{signal}.jsonl")


def test_without_rotated_files_the_file_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path, jsonl_max_size="1500", jsonl_keep="0")
    for second in range(1, 6):
        to.export(points(second))
    assert [file.name for file in tmp_path.iterdir()] == ["x.jsonl"]
    assert times(path)[-1] == 5
    assert len(times(path)) < 5


def test_a_file_that_another_process_is_writing_waits(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert exporter(path).export(points(1)) == Retry(f"{path} can't be written: another process is writing it")
    assert exporter(path).export(points(1)) == Delivered()


def test_a_closed_exporter_writes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    to = exporter(path)
    to.close()
    assert to.export(points(1)) == Retry(f"{path} can't be written: the exporter is closed")
    assert not path.exists()


def test_a_full_disk_keeps_whole_lines_and_counts_them(tmp_path: Path) -> None:
    """The limit on a file's size replaces a full disk: the system cuts a write short in the same way."""
    path = tmp_path / "x.jsonl"
    exporter(path).export(points(0))
    size = path.stat().st_size
    script = f"""
        import resource
        from pathlib import Path
        from tests.unit.exporters.test_jsonl import exporter, points
        limit = {size * 3 + size // 2}
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        to = exporter(Path({str(path)!r}))
        print(to.export(points(1, 2, 3, 4)))
        print(to.export(points(3, 4)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(to.export(points(3, 4)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=bound_s(60),
        check=True,
    )
    failed = Retry(f"{path} can't be written: File too large")
    assert done.stdout.splitlines() == [repr(Partial(2, failed)), repr(failed), repr(Delivered())]
    assert times(path) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"jsonl_file": ""}, "invalid --jsonl-file '': the path is empty"),
        ({"jsonl_file": "/nowhere/at/all/x.jsonl"}, "No such file or directory"),
        ({"jsonl_file": "/dev/null"}, "not a regular file"),
        ({"jsonl_file": "/etc/passwd/x.jsonl"}, "/etc/passwd is not a directory"),
        ({"jsonl_max_size": "big"}, "'big': expected a number and a unit"),
        ({"jsonl_max_size": "0"}, "'0': the value is too small"),
        ({"jsonl_keep": "-1"}, "'-1': expected a number from 0 to 10000"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path, options: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        make(ExporterContext({}, {"jsonl_file": str(tmp_path / "x.jsonl"), **options}))
    assert caught.value.hint


CONFIG = """
receivers:
  otlp_json_file:
    include: [{folder}/x.*]
    start_at: beginning
    poll_interval: 50ms
exporters:
  file:
    path: ${{env:OTLP_FILE}}
    flush_interval: 50ms
extensions:
  health_check:
    endpoint: 127.0.0.1:${{env:HEALTH_PORT}}
service:
  extensions: [health_check]
  pipelines:
    metrics: {{receivers: [otlp_json_file], exporters: [file]}}
    traces: {{receivers: [otlp_json_file], exporters: [file]}}
    logs: {{receivers: [otlp_json_file], exporters: [file]}}
  telemetry:
    metrics: {{level: none}}
"""


@pytest.mark.parametrize("name", ["x.jsonl", "x.{signal}.jsonl"])
def test_the_collector_reads_the_same_back(tmp_path: Path, name: str) -> None:
    """Its otlpjsonfile receiver, over the live file and a rotated one."""
    binary = find_collector()
    out, received = tmp_path / "out", tmp_path / "received"
    out.mkdir()
    received.mkdir()
    config = tmp_path / "collector.yaml"
    config.write_text(CONFIG.format(folder=out))
    to = exporter(out / name, events="both", jsonl_max_size="3kB")
    stall = episode([600, 2500])
    counted = point([600, 700, 2500], id=9, instrument=Instrument.BREACHES, attributes=LABELS)
    for batch in (points(1, 2), intervals(counted), episodes(stall), ExportBatch(Stream.BREACHES, stall.breaches)):
        assert to.export(batch) == Delivered()
    assert len(list(out.iterdir())) > 1
    with Collector(binary, received, str(config)) as collector:
        collector.wait_until(lambda: len(collector.lines()) >= 5)
        metrics, (span,) = collector.metrics(), collector.spans()
        logs = [line["resourceLogs"] for line in collector.lines() if "resourceLogs" in line]
    found = sorted((one.name, one.time_ns, one.value) for one in metrics)
    assert found == [
        ("log.overhead.breaches", T0, 3),
        ("log.overhead.duration", T0 - 2 * 10**9, 1),
        ("log.overhead.duration", T0 - 10**9, 1),
    ]
    assert {one.resource["service.name"] for one in metrics} == {"headroom-proxy"}
    assert (span.trace_id, span.span_id) == (stall.episode.trace_id.hex(), stall.episode.span_id.hex())
    assert [event.time_ns for event in span.events] == [one.time_ns for one in stall.breaches]
    records = logs[0][0]["scopeLogs"][0]["logRecords"]
    assert [record["spanId"] for record in records] == [span.span_id] * 2
    assert breach(1, 600, time_ns=T0).uid.hex() in json.dumps(records)
