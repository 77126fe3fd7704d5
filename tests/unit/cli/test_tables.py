"""Answers as people and programs get them, to the letter."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.cli import answers
from otel_logtail.query import EpisodeRow, SampleRow, StageRow, Summary
from otel_logtail.text import duration, printable


@pytest.fixture(autouse=True, scope="module")
def an_hour_ahead_of_utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        yield
    time.tzset()


SAMPLE = SampleRow(
    id=1099511627776,
    time="2026-11-25T12:00:00.123456789Z",
    time_unix_nano=1795608000123456789,
    source="proxy",
    duration_ms=2612.345678,
    severity="stall",
    cause="wait",
    stage="pre_upstream_wait",
    attributes={"headroom.path": "anthropic_messages", "server.port": 8787},
    stages={"pre_upstream_wait": 2600.25},
    file="/logs/proxy.log",
    offset=0,
)
QUICK = SampleRow(
    id=1099511627976,
    time="2026-11-25T12:00:01.000000000Z",
    time_unix_nano=1795608001000000000,
    source="proxy",
    duration_ms=0.25,
    severity="ok",
    cause="other",
    stage="other",
    attributes={},
    stages={},
    file=None,
    offset=200,
)
EPISODE = EpisodeRow(
    id=None,
    start="2026-11-25T12:00:00.000000000Z",
    end="2026-11-25T12:01:02.500000000Z",
    duration_ms=62500.0,
    count=1234,
    peak_ms=2612.3,
    severity="stall",
    cause="wait",
    dominant_stage="deep_copy",
    trace_id="0af7651916cd43dd8448eb211c80319c",
    span_id="b7ad6b7169203331",
    open=True,
    source="proxy",
)
SUMMARY = Summary(
    count=12345,
    mean_ms=12.5,
    p50_ms=10.0,
    p90_ms=50.0,
    p99_ms=700.5,
    max_ms=2612.3,
    degraded=20,
    stall=3,
    episodes=2,
    time_in_episodes_ms=3_723_000.0,
    time_in_stalls_ms=2_000.0,
    from_="2026-11-25T12:00:00.000000000Z",
    to=None,
)


def rows(records: list[SampleRow], form: answers.Format, width: int | None = None) -> str:
    out = io.StringIO()
    number = answers.write_records(out, SampleRow, records, form, answers.SAMPLE_COLUMNS, width)
    assert number == len(records)
    return out.getvalue()


def test_json_is_one_array_with_the_keys_in_their_order() -> None:
    text = rows([SAMPLE, QUICK], "json")
    assert text == (
        '[{"id":1099511627776,"time":"2026-11-25T12:00:00.123456789Z","time_unix_nano":1795608000123456789,'
        '"source":"proxy","duration_ms":2612.345678,"severity":"stall","cause":"wait","stage":"pre_upstream_wait",'
        '"attributes":{"headroom.path":"anthropic_messages","server.port":8787},'
        '"stages":{"pre_upstream_wait":2600.25},"file":"/logs/proxy.log","offset":0},\n'
        ' {"id":1099511627976,"time":"2026-11-25T12:00:01.000000000Z","time_unix_nano":1795608001000000000,'
        '"source":"proxy","duration_ms":0.25,"severity":"ok","cause":"other","stage":"other","attributes":{},'
        '"stages":{},"file":null,"offset":200}]\n'
    )
    assert len(json.loads(text)) == 2


def test_jsonl_is_one_object_a_line() -> None:
    lines = rows([SAMPLE, QUICK], "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(rows([SAMPLE, QUICK], "json"))


def test_csv_holds_mappings_as_json() -> None:
    text = rows([SAMPLE, QUICK], "csv")
    assert text == (
        "id,time,time_unix_nano,source,duration_ms,severity,cause,stage,attributes,stages,file,offset\n"
        "1099511627776,2026-11-25T12:00:00.123456789Z,1795608000123456789,proxy,2612.345678,stall,wait,"
        'pre_upstream_wait,"{""headroom.path"":""anthropic_messages"",""server.port"":8787}",'
        '"{""pre_upstream_wait"":2600.25}",/logs/proxy.log,0\n'
        "1099511627976,2026-11-25T12:00:01.000000000Z,1795608001000000000,proxy,0.25,ok,other,other,{},{},,200\n"
    )
    assert [row["offset"] for row in csv.DictReader(io.StringIO(text))] == ["0", "200"]


def test_a_table_that_goes_into_a_file_is_plain_and_whole() -> None:
    heading, first, second = rows([SAMPLE, QUICK], "table").splitlines()
    titles = "time duration severity cause stage source attributes stages (ms) file offset id"
    assert " ".join(heading.split()) == titles
    assert first.startswith(
        "2026-11-25 13:00:00.123+01:00   2.612 s  stall     wait   pre_upstream_wait  proxy   headroom."
    )
    assert second.startswith("2026-11-25 13:00:01.000+01:00  0.250 ms  ok        other  other              proxy   ")
    assert "headroom.path=anthropic_messages server.port=8787  pre_upstream_wait=2600.25  /logs/proxy.log" in first
    assert heading.index("file") == first.index("/logs") == second.index("-  ", 40)
    assert {len(line) for line in (heading, first, second)} == {len(heading)}
    assert "\x1b" not in heading + first + second


def test_a_table_fits_the_terminal_by_leaving_out_the_last_columns() -> None:
    for width in (20, 40, 80, 120, 300):
        lines = re.sub(r"\x1b\[[0-9;]*m", "", rows([SAMPLE, QUICK], "table", width)).splitlines()
        assert max(map(len, lines)) <= width
        assert lines[0].startswith("time")
    wide = re.sub(r"\x1b\[[0-9;]*m", "", rows([SAMPLE, QUICK], "table", 300))
    assert [line.rstrip() for line in wide.splitlines()] == rows([SAMPLE, QUICK], "table").splitlines()


def test_columns_that_are_left_out_are_named_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    rows([SAMPLE], "table", 100)
    left_out = "attributes, stages (ms), file, offset, id"
    assert capsys.readouterr().err == f"5 columns left out ({left_out}): a wider terminal or --format json has them\n"
    rows([SAMPLE], "table")
    rows([SAMPLE], "table", 300)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_stall_is_red_on_a_terminal_unless_colors_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_red(out: io.StringIO, **environ: str) -> bool:
        with monkeypatch.context() as patch:
            for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
                patch.delenv(name, raising=False)
            for name, value in environ.items():
                patch.setenv(name, value)
            answers.write_records(out, SampleRow, [SAMPLE], "table", answers.SAMPLE_COLUMNS)
        assert ("\x1b" in out.getvalue()) == ("\x1b[1;31mstall\x1b[0m" in out.getvalue())
        return "\x1b" in out.getvalue()

    assert is_red(Terminal())
    assert not is_red(Terminal(), NO_COLOR="1")
    assert not is_red(Terminal(), TERM="dumb")
    assert not is_red(io.StringIO())
    assert is_red(io.StringIO(), FORCE_COLOR="1")


def test_only_a_severity_has_a_color() -> None:
    out = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORCE_COLOR", "1")
        patch.delenv("NO_COLOR", raising=False)
        answers.write_summary(out, SUMMARY, "table")
        status = {
            "sources": [
                {
                    "name": "stall",
                    "stall_ms": 2000.0,
                    "severity": "stall",
                    "note": "x" * 200,
                    "files": [],
                    "no_sample": None,
                }
            ]
        }
        answers.write_status(out, {**status, "exporters": [], "db": {"path": "stall"}}, "table", width=60)
    assert re.findall(r"\x1b\[1;31m(.*?)\x1b", out.getvalue()) == ["stall"]


@pytest.mark.parametrize(
    ("form", "text"),
    [("json", "[]\n"), ("jsonl", ""), ("csv", ",".join(SampleRow.__struct_fields__) + "\n")],
)
def test_nothing_is_an_empty_array_or_the_heading(form: answers.Format, text: str) -> None:
    assert rows([], form) == text


def test_an_empty_table_is_its_heading() -> None:
    assert rows([], "table").startswith("time  duration  severity")
    assert "duration" in rows([], "table", 80)


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_rows_are_written_before_all_are_read(form: answers.Format) -> None:
    out = io.StringIO()
    written: list[int] = []

    def source() -> Iterator[tuple[object, ...]]:
        for number in range(2000):
            written.append(len(out.getvalue()))
            yield (number, "x")

    assert answers.write_rows(out, ("id", "text"), source(), form) == 2000
    assert written[1500] > 1000
    lines = out.getvalue().splitlines()
    assert len(lines) == 2000 + (form in ("table", "csv"))


def test_columns_keep_their_places_from_piece_to_piece() -> None:
    out = io.StringIO()
    answers.write_rows(out, ("text", "n"), ((f"text {n % 7}", n % 10) for n in range(1200)), "table")
    assert {len(line) for line in out.getvalue().splitlines()[1:]} == {len("text 0  0")}


def test_a_log_can_not_move_the_cursor() -> None:
    out = io.StringIO()
    for width in (None, 80):
        answers.write_rows(out, ("a",), [("\x1b[2Jred\r\n\u202e[bold]\udcff",)], "table", width=width)
    plain, terminal = out.getvalue().split("a\n", 1)[1].split("\n", 1)
    assert plain == r"\x1b[2Jred\r\n\u202e[bold]\udcff"
    assert plain in terminal


def test_values_of_sql_are_shown_as_they_are_and_folded() -> None:
    out = io.StringIO()
    keys, row = ("duration_ms", "what", "none"), (1234.5678, "x" * 100, None)
    answers.write_rows(out, keys, [row], "table")
    assert out.getvalue().splitlines()[1].split() == ["1234.5678", "x" * 100, "-"]
    out = io.StringIO()
    answers.write_rows(out, keys, [row], "table", width=40)
    assert out.getvalue().count("x") == 100


def test_episodes_and_stages_have_tables_of_their_own() -> None:
    out = io.StringIO()
    answers.write_records(out, EpisodeRow, [EPISODE], "table", answers.EPISODE_COLUMNS)
    stage = StageRow("wait", 12345, 1.5, 1.0, 2.0, 3.0, 4000.0)
    answers.write_records(out, StageRow, [stage], "table", answers.STAGE_COLUMNS)
    assert out.getvalue() == (
        "start                                duration  count     peak  severity  cause  stage      open  source"
        "  trace                             span              end                            id\n"
        "2026-11-25 13:00:00.000+01:00  1 min 02.500 s  1,234  2.612 s  stall     wait   deep_copy  yes   proxy "
        "  0af7651916cd43dd8448eb211c80319c  b7ad6b7169203331  2026-11-25 13:01:02.500+01:00   -\n"
        "stage   count      mean       p50       p90       p99      max\n"
        "wait   12,345  1.500 ms  1.000 ms  2.000 ms  3.000 ms  4.000 s\n"
    )


def test_a_summary_is_one_object_or_a_line_for_each_value() -> None:
    def written(form: answers.Format) -> str:
        out = io.StringIO()
        answers.write_summary(out, SUMMARY, form)
        return out.getvalue()

    keys = (
        "count,mean_ms,p50_ms,p90_ms,p99_ms,max_ms,degraded,stall,episodes,"
        "time_in_episodes_ms,time_in_stalls_ms,from,to"
    )
    line = (
        '{"count":12345,"mean_ms":12.5,"p50_ms":10.0,"p90_ms":50.0,"p99_ms":700.5,"max_ms":2612.3,"degraded":20,'
        '"stall":3,"episodes":2,"time_in_episodes_ms":3723000.0,"time_in_stalls_ms":2000.0,'
        '"from":"2026-11-25T12:00:00.000000000Z","to":null}\n'
    )
    assert written("json") == written("jsonl") == line
    assert written("csv") == (
        f"{keys}\n12345,12.5,10.0,50.0,700.5,2612.3,20,3,2,3723000.0,2000.0,2026-11-25T12:00:00.000000000Z,\n"
    )
    assert written("table") == (
        "what                                      value\n"
        "count                                    12,345\n"
        "mean                                  12.500 ms\n"
        "p50                                   10.000 ms\n"
        "p90                                   50.000 ms\n"
        "p99                                  700.500 ms\n"
        "max                                     2.612 s\n"
        "degraded                                     20\n"
        "stall                                         3\n"
        "episodes                                      2\n"
        "time in episodes            1 h 02 min 03.000 s\n"
        "time in stalls                          2.000 s\n"
        "from              2026-11-25 13:00:00.000+01:00\n"
        "to                                            -\n"
    )


STATUS: dict[str, object] = {
    "sources": [
        {
            "name": "proxy",
            "observer": "headroom",
            "files": [{"path": "/logs/proxy.log", "offset": 400, "size": 4500}],
            "bytes": 1234567,
            "samples": 4,
            "drift": 0,
            "rejected": 3,
            "oversized": 0,
            "ignored": 0,
            "rejected_by": {"time": 3},
            "unknown_stages": 0,
            "no_sample": None,
            "threshold_ms": 500.0,
            "stall_ms": 2000.0,
            "quiet_ms": 3000.0,
        }
    ],
    "exporters": [],
    "db": {
        "path": "/state/store.db",
        "size_bytes": 4096,
        "wal_bytes": 8192,
        "wal_readers": ["less (pid 7)"],
        "samples": 4,
        "dropped": 0,
    },
}


def test_status_is_an_object_or_tables_or_a_value_a_line() -> None:
    def written(form: answers.Format, width: int | None = None) -> str:
        out = io.StringIO()
        answers.write_status(out, STATUS, form, width=width)
        return out.getvalue()

    assert json.loads(written("json")) == STATUS
    assert written("json") == written("jsonl")
    assert "sources.0.files.0.path,/logs/proxy.log\n" in written("csv")
    assert "sources.0.rejected_by.time,3\n" in written("csv")
    assert "db.size_bytes,4096\n" in written("csv")
    assert written("table") == (
        "sources\n"
        "name   observer  files                bytes  samples  drift  rejected  oversized  ignored  rejected by"
        "  unknown stages   threshold    stall    quiet\n"
        "proxy  headroom      1  1,234,567 (1.2 MiB)        4      0         3          0        0  time=3     "
        "               0  500.000 ms  2.000 s  3.000 s\n"
        "\nfiles\n"
        "source  path             offset   size\n"
        "proxy   /logs/proxy.log     400  4,500\n"
        "\nexporters\n"
        "none\n"
        "\nstore\n"
        "path                  size bytes        wal bytes  wal readers   samples  dropped\n"
        "/state/store.db  4,096 (4.0 KiB)  8,192 (8.0 KiB)  less (pid 7)        4        0\n"
    )
    assert "oversized" in written("table", 200)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0.000 ms"),
        (0.0004, "0.000 ms"),
        (999.9994, "999.999 ms"),
        (999.9996, "1.000 s"),
        (59_999.9, "1 min 00.000 s"),
        (62_500, "1 min 02.500 s"),
        (3_599_999.9, "1 h 00 min 00.000 s"),
        (90_000_000, "25 h 00 min 00.000 s"),
    ],
)
def test_a_duration_reads_well(ms: float, text: str) -> None:
    assert duration(ms) == text


@given(st.text())
def test_every_text_ends_up_on_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()
