"""Several sources: each is judged, the sentence names the worst, and the page folds what is about one of them."""

from __future__ import annotations

import json
from datetime import timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest

from otel_logtail.query import Reader
from otel_logtail.report.answer import answer_of_several
from otel_logtail.report.data import Report, gather
from otel_logtail.report.formats import as_json, markdown
from otel_logtail.report.judge import Outcome, Verdict, worst_of
from otel_logtail.report.page import page
from otel_logtail.report.rows import answer_of
from otel_logtail.report.slo import parse_slo
from otel_logtail.report.text import lines
from tests.support.forked import run
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

HTML = "{http://www.w3.org/1999/xhtml}"
EVIL = "<script>alert(1)</script> of a name that is so long that it wraps on any page"
MET = Verdict("p99<1s", Outcome.MET, "10 ms", share=0.5)
MISSED = Verdict("p99<1s", Outcome.MISSED, "3 s", share=3.0)
OPEN = Verdict("p99<1s", Outcome.UNJUDGED, "10 ms", "needs 1,000 samples, has 9", 0.1)
STALLS = Verdict("stalls<5/day", Outcome.MISSED, "9 in the worst day, 2026-11-10", share=1.8)


@pytest.mark.parametrize(
    ("sources", "outcome", "sentence"),
    [
        (
            {"a": [MET, STALLS], "b": [MISSED, STALLS], "c": [MET, MET]},
            Outcome.MISSED,
            "Not tolerable: b misses 2 of 2 targets (p99 3 s, the target is p99<1s); 1 of 3 sources meet all",
        ),
        (
            {"a": [MISSED], "b": [MISSED]},
            Outcome.MISSED,
            "Not tolerable: a misses 1 of 1 targets (p99 3 s, the target is p99<1s); no source meets all",
        ),
        ({"a": [MET], "b": [OPEN]}, Outcome.UNJUDGED, "Tolerable so far; not judged: p99<1s of b"),
        ({"a": [OPEN], "b": [OPEN]}, Outcome.UNJUDGED, "Not judged: p99<1s of a needs 1,000 samples, has 9"),
        (
            {"a": [OPEN, MET], "b": [MISSED, MET]},
            Outcome.MISSED,
            "Not tolerable: b misses 1 of 2 targets (p99 3 s, the target is p99<1s); no source meets all",
        ),
        (
            {"a": [MET], "b": [MET]},
            Outcome.MET,
            "Tolerable: all 2 sources meet all targets; the tightest is p99<1s of a, p99 10 ms",
        ),
    ],
    ids=["missed", "all missed", "not judged", "none judged", "missed and not judged", "met"],
)
def test_the_sentence_names_the_worst_source(
    sources: dict[str, list[Verdict]], outcome: Outcome, sentence: str
) -> None:
    found = answer_of_several(list(sources.items()), worst_of(list(sources.items())))
    assert (found.outcome, found.sentence) == (outcome, sentence)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three sources over three days: one with stalls, a fast one, and one that has no sample in the range."""
    samples = [Written(NOON + n * 300 * SECOND, 20 * 10**6, source="fast") for n in range(3 * 288)]
    samples += [
        Written(NOON + n * 300 * SECOND, (3000 if n % 90 == 0 else 40) * 10**6, (("read", 10**7),), source=EVIL)
        for n in range(3 * 288)
    ]
    samples.append(Written(NOON - 100 * 86_400 * SECOND, 10**9, source="old"))
    stalls = [Stall(NOON + n * 27_000 * SECOND, NOON + (n * 27_000 + 4) * SECOND, source=EVIL) for n in range(9)]
    return make_file(tmp_path / "s.db", samples, stalls)


def report_of(db: Path, *slos: str, source: str | None = None) -> Report:
    with Reader.open(db, since_ns=NOON, source=source) as reader:
        return gather(reader, [parse_slo(slo) for slo in slos], tz=timezone.utc)


def test_each_source_has_its_own_verdict_and_idle_ones_none(store: Path) -> None:
    report = report_of(store, "stalls<3/day", "p99<10s")
    assert {source.title: answer_of(source).outcome for source in report.sources} == {
        "fast": Outcome.UNJUDGED,
        EVIL: Outcome.MISSED,
    }
    assert answer_of(report).sentence.startswith(f"Not tolerable: {EVIL} misses 1 of 2 targets (")
    assert answer_of(report).sentence.endswith("); no source meets all")
    assert [(v.slo, v.outcome, v.source) for v in report.verdicts] == [
        ("stalls<3/day", Outcome.MISSED, EVIL),
        ("p99<10s", Outcome.UNJUDGED, EVIL),
    ]
    by_name = {source.title: source for source in report.sources}
    alone = report_of(store, "stalls<3/day", "p99<10s", source=EVIL)
    assert by_name[EVIL].verdicts == alone.verdicts
    assert by_name[EVIL].longest == alone.longest
    assert by_name[EVIL].stalls_a_day == pytest.approx(9 / (863 * 300 / 86_400))


def test_one_source_with_samples_is_reported_as_if_it_were_alone(store: Path) -> None:
    with Reader.open(store, until_ns=NOON - 86_400 * SECOND) as reader:
        report = gather(reader, tz=timezone.utc)
    assert (report.title, report.sources, report.stalls_a_day) == ("old", (), None)


def test_all_forms_have_the_table_of_sources(store: Path) -> None:
    report = report_of(store, "stalls<3/day")
    shown = "\n".join(lines(report, tz=timezone.utc))
    assert shown.index("✗ missed  <script>") < shown.index("✓ met     fast")
    assert f"({EVIL})" in shown
    found = {source["name"]: source for source in json.loads(as_json(report))["sources"]}
    assert (found[EVIL]["verdict"], found[EVIL]["stalls"], found["fast"]["verdict"]) == ("missed", 9, "met")
    assert found["fast"]["summary"]["count"] == 864
    assert "| ✗ missed | \\<script\\>" in "\n".join(markdown(report, tz=timezone.utc))


def test_the_page_folds_what_is_about_one_source(store: Path) -> None:
    text = page(report_of(store, "stalls<3/day"), made_ns=NOON, tz=timezone.utc)
    assert "<script>alert" not in text
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    headings = ["".join(element.itertext()).replace("\xa0", " ") for element in root.iter(f"{HTML}h2")]
    assert headings[0] == f"Sources: {EVIL} has all 9 stalls"
    assert headings[-2:] == ["Each source", "How to reproduce each figure"]
    assert not any(heading.startswith(("Why", "Stages")) for heading in headings)
    folds = root.findall(f".//{HTML}details[@class='source']")
    assert [fold.get("id") for fold in folds] == ["source-0", "source-1"]
    inside = [[(heading.text or "").replace("\xa0", " ") for heading in fold.iter(f"{HTML}h3")] for fold in folds]
    assert [heading.split(":")[0] for heading in inside[0]] == ["Why", "9 stalls", "Stages"]
    assert inside[1] == []
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = {link.get("href") for link in root.iter(f"{HTML}a")}
    assert {"#source-0", "#source-1"} <= links


def test_the_exit_code_is_that_of_the_worst_source(store: Path, tmp_path: Path) -> None:
    report = ("report", "--db", store, "--since", "@1795608000")
    assert run(*report, "--slo", "stalls<3/day", home=tmp_path, check=False).returncode == 1
    assert run(*report, "--slo", "stalls<3/day", "--source", "fast", home=tmp_path, check=False).returncode == 0
    assert run(*report, "--slo", "p99<10s", home=tmp_path, check=False).returncode == 3
