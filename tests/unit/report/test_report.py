"""``report``: its figures are those of ``query``, the page is self-contained, and the exit code is the verdict."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta, timezone, tzinfo
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from otel_logtail import query
from otel_logtail.query.intervals import percentiles_ns
from otel_logtail.report.bars import histogram
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report, gather
from otel_logtail.report.page import page
from otel_logtail.report.periods import Period
from otel_logtail.report.rows import periods_of
from otel_logtail.report.slo import parse_slo
from otel_logtail.report.text import lines
from otel_logtail.text import parse_when
from tests.support.captures import EXPECTED, read_episodes, read_log
from tests.support.command import run as run_anew
from tests.support.forked import ask, run
from tests.support.lines import line
from tests.support.moments import proxy_store
from tests.support.places import CAPTURES
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file
from tests.support.waiting import bound_s

HTML = "{http://www.w3.org/1999/xhtml}"


def report_of(
    path: Path,
    *slos: str,
    since_ns: int | None = None,
    until_ns: int | None = None,
    source: str | None = None,
    tz: tzinfo = timezone.utc,
) -> Report:
    with query.Reader.open(path, since_ns=since_ns, until_ns=until_ns, source=source) as reader:
        return gather(reader, [parse_slo(slo) for slo in slos], tz=tz)


def test_periods_within_a_minute_have_seconds() -> None:
    seconds, minutes = (Period(NOON, NOON + length * SECOND) for length in (8, 90))
    assert periods_of(Comparison("", seconds, minutes, (0, 0), (68, 43), (), ()), timezone.utc) == (
        "before: 2026-11-25 12:00:00 to 2026-11-25 12:00:08, 68 samples; "
        "after: 2026-11-25 12:00 to 2026-11-25 12:01, 43 samples"
    )


def test_a_target_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    db = make_file(tmp_path / "s.db", [Written(NOON, 3 * SECOND)])
    targets = ("--slo", "max<2s", "--slo", "max<9s", "--slo", "max<2s")
    done = run("report", "--since", "@0", "--db", db, *targets, "--format", "json", home=tmp_path, check=False)
    assert [target["target"] for target in json.loads(done.stdout)["targets"]] == ["max<2s", "max<9s"]


def follow(folder: Path, capture: str) -> Path:
    db = folder / "store.db"
    run("--observer", "headroom", "--path", CAPTURES / f"{capture}.log", "--once", "--db", db, home=folder)
    return db


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", sorted(EXPECTED))
def test_the_figures_are_those_of_query_and_of_the_log(capture: str, tmp_path: Path) -> None:
    db = follow(tmp_path, capture)
    report = report_of(db)
    samples = read_log(CAPTURES / f"{capture}.log")
    summary = json.loads(run("query", "summary", "--db", db, "--format", "json", home=tmp_path).stdout)
    assert {k: getattr(report.summary, "from_" if k == "from" else k) for k in summary} == summary
    assert sum(bar.count for bar in histogram(report.counts)) == len(samples)
    bad = Counter((s.severity, s.cause) for s in samples if s.severity != "ok")
    assert {("degraded", c.name): c.degraded for c in report.causes if c.degraded} | {
        ("stall", c.name): c.stall for c in report.causes if c.stall
    } == dict(bad)
    episodes = read_episodes(samples)
    assert report.stalls == sum(any(s.severity == "stall" for s in episode) for episode in episodes)
    assert sum(slot.stalls + slot.degraded for slot in report.slots) == len(episodes)
    stalls = [e for e in ask(db, "query", "episodes", home=tmp_path) if e["severity"] == "stall" or not report.stalls]
    shown = [stall.episode for stall in report.longest]
    assert [e.span_id for e in shown] == [
        e["span_id"] for e in sorted(stalls, key=lambda e: (-e["duration_ms"], -int(e["span_id"], 16)))[:10]
    ]
    assert sum(cause.time_in_stalls_ms for cause in report.causes) == pytest.approx(summary["time_in_stalls_ms"])
    assert sum(cause.stalls for cause in report.causes) == report.stalls
    (path,) = report.paths
    assert (path.name, path.count, path.p99_ms) == ("headroom.path=anthropic_messages", len(samples), summary["p99_ms"])
    if episodes:
        starts = [parse_when(e["start"], 0) for e in ask(db, "query", "episodes", home=tmp_path)]
        seen_ns = max(s.time_ns for s in samples) - min(*(s.time_ns for s in samples), *starts)
        times_ms = (summary["time_in_episodes_ms"], summary["time_in_stalls_ms"])
        assert report.shares == pytest.approx([ms * 1e6 / seen_ns for ms in times_ms])


@pytest.mark.parametrize(("since_s", "until_s"), [(None, None), (5, None), (None, 33), (5, 33), (4, 6), (100, 200)])
def test_a_breakdown_adds_up_to_the_summary_of_any_range(
    since_s: int | None, until_s: int | None, tmp_path: Path
) -> None:
    causes = ("wait", "read")
    db = make_file(
        tmp_path / "s.db",
        [
            Written(
                NOON + n * SECOND,
                (20 + 97 * n) * 10**6,
                cause=causes[n % 2],
                attributes=(("path", f"p{n % 3}"),),
                source=f"s{n % 2}",
            )
            for n in range(40)
        ],
    )
    since_ns = None if since_s is None else NOON + since_s * SECOND
    until_ns = None if until_s is None else NOON + until_s * SECOND
    for source in (None, "s0"):
        with query.Reader.open(db, source=source, since_ns=since_ns, until_ns=until_ns) as reader:
            summary = query.summary(reader)
            breakdown = query.breakdown(reader)
        assert sum(counts.count for counts in breakdown.durations.values()) == summary.count
        found: Counter[str] = Counter()
        for (severity, _), number in breakdown.breaches.items():
            found[severity] += number
        assert (found["degraded"], found["stall"]) == (summary.degraded, summary.stall)
        report = report_of(db, source=source, since_ns=since_ns, until_ns=until_ns)
        figures = [summary.p50_ms or 0.0, summary.p99_ms or 0.0]
        assert percentiles_ns(report.counts, [50, 99]) == pytest.approx([ms * 1e6 for ms in figures])
        if source is None and summary.count > 2:
            assert sum(source.summary.count for source in report.sources) == summary.count


def test_bars_end_at_half_a_second_one_and_two_and_hold_every_sample(tmp_path: Path) -> None:
    values_ms = [0, 1, 3, 499, 501, 999, 1001, 1999, 2001, 9000]
    db = make_file(tmp_path / "s.db", [Written(NOON + n * SECOND, ms * 10**6) for n, ms in enumerate(values_ms)])
    bars = histogram(report_of(db).counts)
    assert {500.0, 1000.0, 2000.0} <= {bar.to_ms for bar in bars}
    for bar in bars[1:]:
        assert bar.count == sum(bar.from_ms < ms <= bar.to_ms for ms in values_ms)
    assert sum(bar.count for bar in bars) == len(values_ms)
    for one, next_ in pairwise(bars):
        assert one.to_ms == next_.from_ms


def test_days_and_hours_are_those_of_the_zone_and_silent_ones_are_shown(tmp_path: Path) -> None:
    day = 86_400 * SECOND
    stalls = [Stall(NOON + at, NOON + at + SECOND) for at in (0, 11 * 3600 * SECOND, 12 * 3600 * SECOND, 4 * day)]
    samples = [Written(NOON + at, 10**6) for at in (0, 4 * day)]
    db = make_file(tmp_path / "s.db", samples, stalls)
    report = report_of(db)
    assert not report.hourly
    assert [(slot.label, slot.stalls) for slot in report.slots] == [
        ("2026-11-25", 2),
        ("2026-11-26", 1),
        ("2026-11-27", 0),
        ("2026-11-28", 0),
        ("2026-11-29", 1),
    ]
    assert report.peaks["stalls/day"] == (2, "2026-11-25")
    east = report_of(db, tz=ZoneInfo("Asia/Tokyo"))
    assert [slot.stalls for slot in east.slots] == [1, 2, 0, 0, 1]
    assert report_of(db, until_ns=NOON + day).hourly


def test_the_day_on_which_clocks_are_set_back_has_its_hours(tmp_path: Path) -> None:
    vienna = ZoneInfo("Europe/Vienna")
    midnight = int(datetime(2026, 10, 25, tzinfo=vienna).timestamp()) * SECOND
    samples = [Written(midnight + hour * 3600 * SECOND, 10**6) for hour in range(25)]
    db = make_file(tmp_path / "s.db", samples, [Stall(s.time_ns, s.time_ns + SECOND) for s in samples])
    report = report_of(db, tz=vienna)
    assert len(report.slots) == 25
    assert [slot.label[11:] for slot in report.slots][1:5] == ["01:00", "02:00", "02:00", "03:00"]
    assert report.peaks["stalls/day"] == (25, "2026-10-25")
    assert report.peaks["stalls/hour"][0] == 1


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_each_kind_of_slo_is_judged_by_its_figure(tmp_path: Path) -> None:
    """A thousand samples of 1 to 1000 ms in two whole days and parts of two more, with four stalls of 6 s."""
    hour, start = 3600 * SECOND, NOON - 12 * 3600 * SECOND - 1800 * SECOND
    samples = [Written(start + n * 180 * SECOND, (n + 1) * 10**6) for n in range(1000)]
    stalls = [Stall(NOON + at, NOON + at + 6 * SECOND) for at in (0, hour // 2, 2 * hour, 3 * hour)]
    stalls.append(Stall(NOON + 5 * hour, NOON + 5 * hour + 6 * SECOND, severity=1))
    db = make_file(tmp_path / "s.db", samples, stalls)
    expected = {
        "p50<510ms": "met",
        "p50<490ms": "missed",
        "p99<985ms": "missed",
        "p99<=995ms": "met",
        "p99.9<990ms": "not judged",
        "max<=1s": "met",
        "max<1s": "missed",
        "mean<501ms": "met",
        "mean<500ms": "missed",
        "stalls<5": "met",
        "stalls<4": "missed",
        "stalls<5/day": "met",
        "stalls<=2/hour": "met",
        "stalls<2/hour": "missed",
        "episodes<=4/day": "missed",
        "breaches<51%": "met",
        "breaches<50%": "missed",
        "stalled<0.05%": "not judged",
        "time in episodes<0.1%": "met",
    }
    verdicts = report_of(db, *expected).verdicts
    assert {verdict.slo: verdict.outcome.value for verdict in verdicts} == expected
    figures = {verdict.slo: verdict.actual for verdict in verdicts}
    assert figures["stalls<2/hour"] == "2 in the worst hour, 2026-11-25 12:00"
    assert figures["episodes<=4/day"] == "5 in the worst day, 2026-11-25"
    assert figures["max<1s"] == "1.000 s"
    assert figures["breaches<50%"] == "50.1 %"
    reasons = {verdict.slo: verdict.why for verdict in verdicts}
    assert reasons["p99.9<990ms"] == "needs 10,000 samples, has 1,000 (19 days more at this rate)"
    assert reasons["stalls<5/day"] == "met on 2 of 2 whole days; 2 cut days left out"


def test_a_share_of_time_is_at_most_all_of_it(tmp_path: Path) -> None:
    slow = [Written(NOON + at * SECOND, 2 * SECOND) for at in (0, 8, 10)]
    db = make_file(tmp_path / "s.db", slow, [Stall(NOON, NOON + 10 * SECOND)])
    since_ns, until_ns = NOON + 5 * SECOND, NOON + 9 * SECOND
    inside = report_of(db, "time in stalls<50%", since_ns=since_ns, until_ns=until_ns)
    assert inside.shares == (1.0, 1.0)
    assert [verdict.actual for verdict in inside.verdicts] == ["100 %"]
    around = report_of(db, since_ns=NOON - SECOND)
    assert around.shares == (1.0, 1.0)


def test_the_default_targets_are_named_and_change_no_exit_code(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    done = run("report", "--since", "2026-11-01", "--db", db, home=tmp_path)
    assert [verdict.slo for verdict in report_of(db).verdicts] == ["p99<500ms", "stalls<5/day", "time in stalls<0.1%"]
    assert "  default target  " in " ".join(done.stdout.split("\n")[2:5])


def test_no_samples_is_not_judged_and_names_the_newest_one(tmp_path: Path) -> None:
    db = make_file(tmp_path / "s.db", [Written(NOON, 10**6)])
    done = run("report", "--since", "1h", "--slo", "p99<1s", "--db", db, home=tmp_path, check=False)
    assert done.returncode == 3
    sentence = "– Not judged: no samples in this range; try --since 2026-11-25, the day of the newest sample"
    assert " ".join(done.stdout.split("\n\n")[0].split()).startswith(sentence)
    assert report_of(db, since_ns=NOON + 86_400 * SECOND).newest_ns == NOON  # not the end of its interval
    with closing(sqlite3.connect(db)) as conn, conn:
        conn.execute("DELETE FROM block")
    expired_ns = report_of(db, since_ns=NOON + 86_400 * SECOND).newest_ns
    assert expired_ns is not None
    assert NOON <= expired_ns < NOON + 10 * SECOND  # within its interval, whose end is excluded
    empty = report_of(make_file(tmp_path / "empty.db"), "p99<1s", "stalls<5/day").verdicts
    assert [(v.outcome.value, v.why) for v in empty] == [("not judged", "no samples in this range")] * 2


def test_a_range_without_samples_is_not_counted_from_the_epoch(tmp_path: Path) -> None:
    class Counted(tzinfo):
        asked = 0

        def utcoffset(self, at: datetime | None) -> timedelta:
            self.asked += 1
            return timedelta(0)

        def dst(self, at: datetime | None) -> timedelta:
            return timedelta(0)

        def tzname(self, at: datetime | None) -> str:
            return "counted"

    db, zone = make_file(tmp_path / "s.db", [Written(NOON, 10**6)]), Counted()
    with query.Reader.open(db, since_ns=NOON - 48 * 3600 * SECOND, until_ns=NOON - 24 * 3600 * SECOND) as reader:
        assert gather(reader, tz=zone).summary.count == 0
    assert zone.asked < 100


def test_the_verdict_comes_first_and_last_and_is_the_exit_code(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-stall")
    command = ("report", "--since", "2026-11-01", "--db", db)
    met = run(*command, "--slo", "max<2s", "--slo", "p90<300ms", home=tmp_path)
    first, *_, last = met.stdout.splitlines()
    assert first == last
    assert first.startswith("✓ Tolerable")
    worst_s = max(s.duration_ns for s in read_log(CAPTURES / "0.42.0-stall.log")) / 1e9
    assert f"{worst_s:.3f} s" in met.stdout
    missed = run(*command, "--slo", "max<2s", "--slo", "p90<100ms", home=tmp_path, check=False)
    assert missed.returncode == 1
    assert missed.stdout.startswith("✗ Not tolerable: p90 268.234 ms, the target is p90<100ms\n")
    assert [row.split()[:3] for row in missed.stdout.splitlines()[4:6]] == [
        ["✗", "missed", "p90<100ms"],
        ["✓", "met", "max<2s"],
    ]
    unjudged = run(*command, "--slo", "max<2s", "--slo", "p99<2s", home=tmp_path, check=False)
    assert unjudged.returncode == 3
    assert unjudged.stdout.startswith("– Tolerable so far: max 1.872 s, the target is max<2s; not judged: p99<2s")
    assert "needs 1,000 samples, has 111 (" in unjudged.stdout
    wrong = run(*command, "--slo", "p99<500", home=tmp_path, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("otel-logtail: error: invalid --slo 'p99<500': p99 is a duration")


def test_color_follows_the_environment(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-stall")
    command = ("report", "--since", "2026-11-01", "--db", db, "--slo", "max<1s")
    colored = run_anew(*command, home=tmp_path, environ={"FORCE_COLOR": "1"}, check=False).stdout
    assert colored.startswith("\x1b[1;31m✗ Not tolerable: ")
    assert "  \x1b[31m✗ missed\x1b[0m" in colored
    assert "\x1b" not in run_anew(*command, home=tmp_path, environ={"NO_COLOR": "1"}, check=False).stdout


def test_the_default_range_is_a_week_and_an_empty_one_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    now = datetime.now(timezone.utc)
    log.write_bytes(line(1, at=now - timedelta(days=8)) + line(2, at=now - timedelta(days=6)))
    db = tmp_path / "store.db"
    run("--observer", "headroom", "--path", log, "--once", "--db", db, home=tmp_path)
    assert ": 1 sample, " in run("report", "--db", db, home=tmp_path).stdout
    assert ": 2 samples" in run("report", "--db", db, "--since", "9d", home=tmp_path).stdout
    assert run("report", "--db", tmp_path / "no.db", home=tmp_path, check=False).returncode == 2


# --- text and page ----------------------------------------------------------------------------------------------------


def test_the_text_fits_a_terminal_and_plain_ones_get_plain_bars(tmp_path: Path) -> None:
    report = report_of(follow(tmp_path, "0.42.0-slow-upstream-queueing"), "p99<500ms", "stalls<5/day")
    shown = list(lines(report, width=80, tz=timezone.utc))
    assert any("█" in row for row in shown)
    assert max(map(len, shown)) <= 80
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    text = run_anew("report", "--since", "@0", "--db", tmp_path / "store.db", home=tmp_path, environ=ascii_only)
    assert text.stdout.isascii()
    assert "#" in text.stdout


def test_a_narrow_terminal_gets_the_names_of_the_columns_it_has_no_room_for(tmp_path: Path) -> None:
    report = report_of(proxy_store(tmp_path))
    for width in (80, 60, 50):
        shown = list(lines(report, width=width, tz=timezone.utc))
        assert max(map(len, shown[shown.index("", shown.index("") + 1) :])) <= width  # behind the targets
        text = " ".join(" ".join(shown).split())
        heading = next(row.split() for row in shown if row.split()[:1] == ["start"])
        omitted = [title for title in ("samples", "cause", "stage", "source") if title not in heading]
        note = f"left out ({', '.join(omitted)}): a wider terminal or --format json has "
        assert (note in text) == bool(omitted), width
    assert "left out" not in " ".join(lines(report, tz=timezone.utc))


def hostile(folder: Path, where: str = "https://evil.example") -> Report:
    """A report of names that would like to be more than text."""
    evil = f'<script src="{where}/x.js"></script><img src="{where}/x.png"/>&\x1b[2J\'"'
    samples = [
        Written(
            NOON + n * SECOND, 900 * 10**6, source=evil, attributes=(("path", evil),), stages=((evil, 5),), cause=evil
        )
        for n in range(3)
    ]
    return report_of(make_file(folder / "evil.db", samples, [Stall(NOON, NOON + SECOND, source=evil)]), "p99<1s")


def source_hash(source: str) -> str:
    return f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'"


@pytest.mark.parametrize("what", ["0.42.0-stall", "0.42.0-mixed", "hostile", "empty"])
def test_the_page_is_well_formed_and_loads_nothing(what: str, tmp_path: Path) -> None:
    if what == "hostile":
        report = hostile(tmp_path)
    elif what == "empty":
        report = report_of(make_file(tmp_path / "s.db"), "p99<1s")
    else:
        report = report_of(follow(tmp_path, what), "p99<500ms", "stalls<5/day")
    text = page(report, made_ns=NOON, tz=timezone.utc)
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "image",
        "use",
        "form",
        "base",
        "video",
    }
    for element in root.iter():
        for name, value in element.attrib.items():
            assert name not in ("src", "style", "data", "action", "srcset", "background")
            assert name != "href" or value.startswith("#")
            assert not name.startswith(("on", "{http://www.w3.org/1999/xlink}"))
            assert "url(" not in value
    (style,) = [element.text or "" for element in root.iter(f"{HTML}style")]
    (script,) = [element.text or "" for element in root.iter(f"{HTML}script")]
    assert "url(" not in style
    assert "@import" not in style
    (policy,) = [e.get("content") for e in root.iter(f"{HTML}meta") if e.get("http-equiv")]
    assert policy == (
        f"default-src 'none'; style-src {source_hash(style)}; script-src {source_hash(script)};"
        " base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)


def test_a_real_browser_loads_the_page_and_nothing_else(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here: `apt-get install chromium` brings it")
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing: pytest's output is for failures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        # a page that would load more if it could: its names point at the very server that counts
        text = page(hostile(tmp_path, f"http://127.0.0.1:{server.server_address[1]}"), made_ns=NOON).encode()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            done = subprocess.run(
                [
                    *(
                        browser,
                        "--headless",
                        "--no-sandbox",
                        "--disable-gpu",
                        f"--user-data-dir={tmp_path / 'profile'}",
                    ),
                    *("--virtual-time-budget=2000", "--dump-dom", f"http://127.0.0.1:{server.server_address[1]}/page"),
                ],
                capture_output=True,
                text=True,
                timeout=bound_s(120),
                check=True,
            )
        finally:
            server.shutdown()
            thread.join()
    assert asked == ["/page"]
    assert "Paths" in done.stdout
    assert 'aria-label="latency over time"' in done.stdout


def test_the_page_shows_what_the_text_shows(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    out = tmp_path / "out.html"
    done = run(
        *("report", "--since", "@0", "--db", db, "--html", out, "--slo", "p99<500ms"), home=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"written to {out}\n"
    root = ElementTree.fromstring(out.read_text().removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    shown = " ".join(" ".join(root.itertext()).split())
    report = report_of(db)
    for part in (
        "p99<500ms",
        "missed",
        "11 (84.6 %), 11 stalls",
        "pre_upstream_wait",
        "headroom.path=anthropic_messages",
    ):
        assert part in shown, part
        assert part in done.stdout, part
    plots = {plot.get("aria-label"): plot for plot in root.iter(f"{HTML}svg")}
    # each bar has its figure as text, and the figures add up to all samples
    titles = [e.text or "" for e in plots["samples by duration"].iter(f"{HTML}title")]
    assert sum(int(re.findall(r"(\d+)\u00a0sample", title)[0]) for title in titles) == report.summary.count
    assert list(tmp_path.glob("*.new")) == []


def test_a_page_that_can_not_be_written_is_one_error(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-invalid")
    done = run("report", "--since", "@0", "--db", db, "--html", tmp_path / "no" / "x.html", home=tmp_path, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[0]
        == f"otel-logtail: error: cannot write --html {tmp_path}/no/x.html: no such file or directory"
    )


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return follow(tmp_path_factory.mktemp("small"), "0.42.0-invalid")


def a_link(path: Path) -> None:
    path.symlink_to(path.with_name("precious"))


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_log(path: Path) -> None:
    path.write_text("a line of a log\n")


def a_page_of_others(path: Path) -> None:
    path.write_text("<!DOCTYPE html>\n<html><body>mine</body></html>\n")


def a_link_beside(path: Path) -> None:
    path.with_name(path.name + ".new").symlink_to(path.with_name("precious"))


def a_directory(path: Path) -> None:
    path.mkdir()


def a_full_disk(path: Path) -> None:
    """Nothing: the file size is limited instead."""


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (a_link, "it is a symbolic link"),
        (a_link_beside, "it is a symbolic link"),
        (a_fifo, "it is not a regular file"),
        (a_log, "it holds something that otel-logtail has not written"),
        (a_page_of_others, "it holds something that otel-logtail has not written"),
        (a_directory, "is a directory"),
        (a_full_disk, "file too large"),
    ],
)
def test_a_page_takes_the_place_of_nothing_else(
    taken: Callable[[Path], None], why: str, small_store: Path, tmp_path: Path
) -> None:
    page, precious = tmp_path / "x.html", tmp_path / "precious"
    precious.write_text("precious")
    taken(page)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    limit = "ulimit -f 4; " if taken is a_full_disk else ""
    command = ["bash", "-c", f'{limit}exec "$@"', "bash", sys.executable, "-m", "otel_logtail", "report"]
    with query.Reader.open(small_store):  # creates the -shm file that readers share
        done = subprocess.run(
            [*command, "--since", "@0", "--db", small_store, "--html", page],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"otel-logtail: error: cannot write --html {page}: {why}",
        "",
        "hint: pass a new file in a directory that you can write to",
    ]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["/", ".", "..", "/dev/full", "/dev/null", "/dev/stdout", "/proc/version", ""])
def test_an_output_that_cannot_be_a_file_is_one_error(name: str, small_store: Path, tmp_path: Path) -> None:
    words = ["report", "--since", "@0", "--db", small_store, "--html", name]
    done = run(*words, home=tmp_path, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 3), done.stderr
    assert "cannot write --html " in done.stderr


def test_a_page_is_for_its_owner_alone_and_replaces_an_older_one_with_its_permissions(
    small_store: Path, tmp_path: Path
) -> None:
    page = tmp_path / "x.html"
    before = os.umask(0)
    try:
        for mode in (0o600, 0o644):
            run("report", "--since", "@0", "--db", small_store, "--html", page, home=tmp_path)
            assert stat.S_IMODE(page.stat().st_mode) == mode
            page.chmod(0o644)  # for a web server
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


def test_the_commands_of_the_page_print_its_figures(tmp_path: Path) -> None:
    db = follow(tmp_path, "0.42.0-slow-upstream-queueing")
    out = tmp_path / "out.html"
    given = ("--since", "2026-11-01T00:00:00.5Z", "--db", db, "--compare", "previous")
    run("report", *given, "--html", out, home=tmp_path)
    root = ElementTree.fromstring(out.read_text().removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    (foot,) = root.iter(f"{HTML}footer")
    commands = [shlex.split("".join(code.itertext())) for code in foot.iter(f"{HTML}code")]
    assert {tuple(command[1:3]) for command in commands} >= {("query", "summary"), ("query", "episodes")}
    for program, *arguments in commands:
        assert program == "otel-logtail"
        told = [str(tmp_path / "again.html") if part == "report.html" else part for part in arguments]
        assert run(*told, home=tmp_path).returncode == 0, arguments
    assert (tmp_path / "again.html").exists()
