"""Causes and the longest stalls: their figures, their headings, and their sections of the page."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec
import pytest

from otel_logtail import query
from otel_logtail.errors import UsageError
from otel_logtail.query import EpisodeRow, EpisodeSpan, SlowSample
from otel_logtail.report.data import gather
from otel_logtail.report.findings import stages_heading, stalls_heading, why_heading
from otel_logtail.report.page import page
from otel_logtail.report.stalls import LongStall, Stalls, hint_of
from otel_logtail.report.traces import parse_trace_url
from otel_logtail.text import iso
from tests.support.captures import read_log
from tests.support.forked import run
from tests.support.places import CAPTURES
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

HTML = "{http://www.w3.org/1999/xhtml}"
TUESDAY = date(2026, 11, 10)
WEEK = timedelta(days=7)


def episode(start_ns: int, seconds: float, *, id_: int = 1) -> EpisodeRow:
    return EpisodeRow(
        id=id_,
        start=iso(start_ns),
        end=iso(start_ns + round(seconds * SECOND)),
        duration_ms=seconds * 1000,
        count=3,
        peak_ms=2500,
        severity="stall",
        cause="wait",
        dominant_stage="read",
        trace_id="0" * 31 + "1",
        span_id=f"{id_:016x}",
        open=False,
        source="proxy",
    )


def span(start_ns: int, seconds: float, *, cause: str = "wait", severity: int = 2, id_: int = 1) -> EpisodeSpan:
    return EpisodeSpan(start_ns, start_ns + round(seconds * SECOND), 10**9, severity, cause, id_.to_bytes(8, "big"))


# --- hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (
            {(TUESDAY, 3): 1, (TUESDAY + WEEK, 3): 2, (TUESDAY + timedelta(1), 9): 2, (TUESDAY, 11): 2},
            "3 of 7 were on a Tuesday between 03:00 and 04:00.",
        ),
        ({(TUESDAY, 3): 1, (TUESDAY + WEEK, 3): 1, (TUESDAY, 11): 1}, ""),
        ({(TUESDAY, 3): 1, (TUESDAY + WEEK, 3): 2, **{(TUESDAY, hour): 1 for hour in range(6, 11)}}, ""),
        (
            {(TUESDAY + timedelta(ago), 23): 1 for ago in range(4)},
            "4 of 4 were between 23:00 and 00:00.",
        ),
        ({(TUESDAY, 3): 5, (TUESDAY + WEEK, 9): 1}, "5 of 6 were on 10 November between 03:00 and 04:00."),
        ({(TUESDAY, 3): 2}, ""),
        ({}, ""),
    ],
    ids=["an hour of the week", "two", "less than 40 %", "an hour of the day", "one date", "few", "none"],
)
def test_a_hint_names_the_hour_of_many_stalls(hours: dict[tuple[date, int], int], expected: str) -> None:
    assert hint_of(Counter(hours)) == expected


# --- the model --------------------------------------------------------------------------------------------------------


def test_the_longest_stalls_come_first_and_degraded_episodes_only_without_any() -> None:
    stalls = Stalls((0, 2 * NOON), timezone.utc)
    stalls.add(span(NOON, 100, severity=1, id_=50))
    assert [id_[-1] for id_ in stalls.longest] == [50]
    for number in range(1, 13):
        stalls.add(span(NOON + number * 60 * SECOND, number, id_=number))
    assert [id_[-1] for id_ in stalls.longest] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]


def test_the_time_of_a_cause_is_that_within_the_range() -> None:
    stalls = Stalls((NOON, NOON + 100 * SECOND), timezone.utc)
    stalls.add(span(NOON - 3 * SECOND, 10))
    stalls.add(span(NOON + 98 * SECOND, 10, id_=2))
    stalls.add(span(NOON + 50 * SECOND, 4, cause="read", id_=3))
    stalls.add(span(NOON + 60 * SECOND, 4, cause="copy", severity=1, id_=4))
    causes = stalls.causes({("stall", "wait"): 5, ("degraded", "wait"): 2, ("degraded", "copy"): 3}, {})
    assert [(c.name, c.stalls, c.time_in_stalls_ms, c.stall, c.degraded) for c in causes] == [
        ("wait", 2, 9000, 5, 2),
        ("read", 1, 4000, 0, 0),
        ("copy", 0, 0, 0, 3),
    ]


def follow(folder: Path, capture: str) -> Path:
    db = folder / "store.db"
    run("--observer", "headroom", "--path", CAPTURES / f"{capture}.log", "--once", "--db", db, home=folder)
    return db


def test_a_stall_has_its_slow_samples_with_their_stages_the_slowest_first(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    with query.Reader.open(db) as reader:
        report = gather(reader, tz=timezone.utc)
        first = report.longest[0]
        (only,) = query.slow_samples(reader, first.episode.span_id, limit=1)
    logged = [s for s in read_log(CAPTURES / "0.42.0-slow-upstream-queueing.log") if s.severity != "ok"]
    assert len(first.slowest) == first.episode.count == 10
    assert only == first.slowest[0]
    times = sorted((s.duration_ms for s in first.slowest), reverse=True)
    assert [s.duration_ms for s in first.slowest] == times
    assert times[0] == first.episode.peak_ms
    assert {round(s.duration_ms, 3) for s in first.slowest} <= {round(s.duration_ns / 1e6, 3) for s in logged}
    assert only.stages["pre_upstream_wait"] == max(only.stages.values())
    assert (only.stage, only.cause, only.trace_id) == ("pre_upstream_wait", "wait", "")
    assert report.causes[0].title == "waiting for a slot"


def test_a_cause_that_two_observers_use_has_no_explanation(tmp_path: Path) -> None:
    samples = [Written(NOON + n * SECOND, 3 * SECOND, source=name) for n, name in enumerate(("a", "b"))]
    db = make_file(tmp_path / "s.db", samples)
    with query.Reader.open(db) as reader:
        (cause,) = gather(reader).causes
        assert cause.title == "waiting for a slot"
    with closing(sqlite3.connect(db)) as conn, conn:
        conn.execute("UPDATE source SET observer = 'apache' WHERE name = 'b'")
    with query.Reader.open(db) as reader:
        (cause,) = gather(reader).causes
        assert (cause.title, cause.meaning, cause.advice) == ("", "", "")
        assert gather(reader.of("b")).causes[0].title == "waiting for the first byte"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_hours_are_those_of_the_zone_where_offsets_are_quarters(zone: str) -> None:
    stalls = Stalls((0, 2 * NOON), ZoneInfo(zone))
    start_ns = NOON + 44 * 60 * SECOND
    for ago in range(3):
        stalls.add(span(start_ns + 7 * ago * 86_400 * SECOND, 2, id_=ago + 1))
    (cause,) = stalls.causes({}, {})
    local = datetime.fromtimestamp(start_ns // SECOND, ZoneInfo(zone))
    assert cause.hint == f"3 of 3 were on a {local:%A} between {local:%H}:00 and {(local.hour + 1) % 24:02}:00."


# --- headings ---------------------------------------------------------------------------------------------------------

DAY = 86_400 * SECOND
DEGRADED = Stall(NOON, NOON + SECOND, severity=1)


@pytest.mark.parametrize(
    ("stalls", "why", "longest"),
    [
        ([], "Why: waiting for a slot caused 100 % of the slow samples", "Longest stalls"),
        (
            [DEGRADED],
            "Why: waiting for a slot caused 100 % of the slow samples",
            "1 degraded episode: it took 1.00 s",
        ),
        ([Stall(NOON, NOON + 3 * SECOND)], "Why: waiting for a slot caused the stall", "1 stall: it took 3.00 s"),
        (
            [Stall(NOON, NOON + 3 * SECOND), Stall(NOON + DAY, NOON + DAY + 9 * SECOND)],
            "Why: waiting for a slot caused all stalls",
            "2 stalls: the longest took 9.00 s",
        ),
        (
            [Stall(NOON + n * 60 * SECOND, NOON + (n * 60 + 9) * SECOND) for n in range(12)]
            + [Stall(NOON + DAY, NOON + DAY + 90 * SECOND)],
            "Why: waiting for a slot caused all stalls",
            "The 10 longest stalls: 9 began on Wed 25 Nov",
        ),
    ],
    ids=["no episode", "no stall", "one", "two", "many on one day"],
)
def test_a_heading_has_the_finding_of_its_section(stalls: list[Stall], why: str, longest: str, tmp_path: Path) -> None:
    samples = [Written(NOON + n * SECOND, 900 * 10**6) for n in range(3)]
    with query.Reader.open(make_file(tmp_path / "s.db", samples, stalls)) as reader:
        report = gather(reader, tz=timezone.utc)
    assert why_heading(report).replace("\xa0", " ") == why
    assert stalls_heading(report, timezone.utc).replace("\xa0", " ") == longest


def test_the_heading_of_stages_names_the_one_with_the_most_time(tmp_path: Path) -> None:
    samples = [Written(NOON + n * SECOND, 10**8, (("read", 10**7), ("copy", 8 * 10**7))) for n in range(3)]
    with query.Reader.open(make_file(tmp_path / "s.db", samples)) as reader:
        assert stages_heading(gather(reader)).replace("\xa0", " ") == "Stages: copy takes 80.0 % of the time"
        assert stages_heading(gather(reader.within(0, 1))) == "Stages"


# --- links to traces --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["https://tempo.example/t/{trace_id}", "HTTP://[::1]:3000/x?q={trace_id}&r=1#a", " https://a/{trace_id} "],
)
def test_an_address_of_traces_is_accepted(address: str) -> None:
    assert parse_trace_url(address) == address.strip()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("javascript:alert('{trace_id}')", "expected an http or https address"),
        ("ftp://tempo.example/{trace_id}", "expected an http or https address"),
        ("https:///{trace_id}", "expected an http or https address"),
        ("https://tempo.example/a b/{trace_id}", "expected an http or https address"),
        ("https://tempo.example/\n{trace_id}", "expected an http or https address"),
        ("", "expected an http or https address"),
        ("https://tempo.example/{traceid}", "it lacks {trace_id}"),
    ],
    ids=["script", "ftp", "no host", "a space", "a newline", "empty", "no place"],
)
def test_any_other_address_is_one_error(address: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as problem:
        parse_trace_url(address)
    assert str(problem.value) == f"invalid --trace-url {address!r}: {why}"
    done = run("report", "--db", tmp_path / "none.db", "--trace-url", address, home=tmp_path, check=False)
    assert done.returncode == 2
    assert f"invalid --trace-url {address!r}: {why}" in done.stderr


# --- the page ---------------------------------------------------------------------------------------------------------


def page_of(db: Path, *, trace_url: str | None = None) -> ElementTree.Element:
    with query.Reader.open(db) as reader:
        options = ("--db", str(db))
        text = page(
            gather(reader, tz=timezone.utc), made_ns=NOON, tz=timezone.utc, trace_url=trace_url, options=options
        )
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own


def text_of(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def test_a_stall_opens_to_its_slowest_samples_and_the_command_shows_them(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    root = page_of(db, trace_url='https://tempo.example/t/{trace_id}?a=1&b="><script>')
    first, second = root.findall(f".//{HTML}div[@class='stalls']/{HTML}details")
    assert text_of(first[0]).startswith("Mon 23 Nov 18:20:2910.2 s10.2 s10wait")
    rows = first.findall(f".//{HTML}tbody/{HTML}tr")
    assert len(rows) == 8
    assert [text_of(bold) for bold in rows[0].iter(f"{HTML}b")] == [text_of(rows[0][3])]
    with query.Reader.open(db) as reader:
        (episode, *_) = [stall.episode for stall in gather(reader).longest]
    (link,) = first.iter(f"{HTML}a")
    assert link.attrib == {
        "href": f'https://tempo.example/t/{episode.trace_id}?a=1&b="><script>',
        "rel": "noreferrer",
    }
    assert first.get("id") == f"stall-{episode.span_id}"
    command = first.findall(f".//{HTML}code")[-1].text or ""
    found = run(*shlex.split(command)[1:], "--format", "jsonl", home=tmp_path).stdout.splitlines()
    assert len(found) == episode.count
    assert "All its slow samples" in text_of(second)


def test_without_an_address_a_trace_is_plain_text_and_expired_samples_are_reported(tmp_path: Path) -> None:
    samples = [Written(NOON + n * SECOND, 3 * SECOND) for n in range(3)]
    root = page_of(make_file(tmp_path / "s.db", samples, [Stall(NOON, NOON + SECOND)]))
    (stall,) = root.findall(f".//{HTML}div[@class='stalls']/{HTML}details")
    assert not list(stall.iter(f"{HTML}a"))
    assert "Its samples have expired." in text_of(stall)
    assert f"Trace of the episode: {1:032x}" in text_of(stall)


def test_ten_opened_stalls_and_a_storm_stay_small(tmp_path: Path) -> None:
    """A stall draws its slowest samples, not all of them."""
    names = tuple(f"a_stage_with_a_long_name_{n}" for n in range(8))
    stages = dict.fromkeys(names, 123.456)
    slowest = tuple(
        SlowSample(iso(NOON + n), NOON + n * 10**8, 3000.5 - n, "stall", "wait", names[0], stages, "ab" * 16)
        for n in range(40)
    )
    samples = [Written(NOON + n * SECOND, 3 * SECOND) for n in range(3)]
    with query.Reader.open(make_file(tmp_path / "s.db", samples)) as reader:
        report = gather(reader)
    stalls = tuple(LongStall(episode(NOON, 60, id_=n), slowest) for n in range(1, 11))
    with_stalls = page(
        msgspec.structs.replace(report, longest=stalls), made_ns=NOON, trace_url="https://a.example/{trace_id}"
    )
    assert len(with_stalls) - len(page(report, made_ns=NOON)) < 120_000


def test_a_command_reads_the_same_store_and_source(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    report = ("report", "--since", "@0", "--db", db, "--source", "headroom-proxy", "--format", "html")
    shown = run(*report, home=tmp_path).stdout
    assert shown.count(f"otel-logtail query samples --db {db} --source headroom-proxy --since 2026-11-23T18:20:") == 2


def test_the_text_has_the_advice_of_each_cause(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    shown = run("report", "--since", "@0", "--db", db, home=tmp_path).stdout
    assert "Why: waiting for a slot took 77.2 % of the time in stalls\n" in shown
    assert re.search(r"\n  wait  █+  10.2 s  1 stall  +[0-9]+ slow samples?\n      Raise the concurrency limit", shown)
    assert "\n2 stalls: the longest took 10.2 s\n" in shown
    numbers = re.findall(r"1 stall  +([0-9]+ slow samples?)\n", shown)
    assert len(numbers) == 2
    html = run("report", "--since", "@0", "--db", db, "--format", "html", home=tmp_path).stdout.replace("\xa0", " ")
    assert all(f"1 stall · {number}<" in html for number in numbers)


def test_no_time_in_stalls_is_a_plain_zero(tmp_path: Path) -> None:
    shown = run("report", "--since", "@0", "--db", follow(tmp_path, "0.42.0-stall"), home=tmp_path).stdout
    assert "\n  time in stalls    0 s\n" in shown
