"""Causes and stages that are new in a period, in all forms of a report."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timezone
from pathlib import Path
from xml.etree import ElementTree

from otel_logtail.query import Hour, Reader, hours, stages
from otel_logtail.report.compare import Comparison
from otel_logtail.report.compared import compare_periods
from otel_logtail.report.data import Report, gather
from otel_logtail.report.figures import Figure, Word
from otel_logtail.report.findings import comparison_heading
from otel_logtail.report.formats import as_json, markdown
from otel_logtail.report.news import News, news_of
from otel_logtail.report.page import page
from otel_logtail.report.periods import DAY_NS, Period
from otel_logtail.report.ratios import Ratio
from otel_logtail.report.text import lines
from tests.support.store_builder import NOON, SECOND, Written, make_file

HTML = "{http://www.w3.org/1999/xhtml}"
EVIL = "<script>alert(1)</script>"


def hour(samples: int, stages: dict[str, int], causes: dict[str, int]) -> Hour:
    found = Hour(NOON, histogram=Counter({0: samples}))
    found.stages.update(stages)
    found.causes.update(causes)
    return found


def share(name: str, low: float) -> Figure:
    return Figure(name, "%", 0.0, 1.0, Word.MORE, Ratio(1.0, low, 2.0))


def test_a_stage_is_new_if_chance_does_not_explain_that_it_was_missing() -> None:
    before = hour(1000, {"read": 1000, "gone": 5}, {"wait": 9})
    after = hour(2000, {"read": 2000, "often": 10, "seldom": 9}, {"wait": 9})
    found = news_of(([before], [after]), [])
    assert found == News(stages=("often",), unseen=(("stage seldom", 9),))
    assert found.sentence == "New stages: often. Not seen before: stage seldom (9 samples)."


def test_a_cause_is_new_if_its_interval_excludes_no_change() -> None:
    sides = [hour(1000, {}, {"wait": 9})], [hour(1000, {}, {"wait": 9, "queue": 40, "lock": 1})]
    found = news_of(sides, [share("queue", 0.5), share("lock", -1.0), share("wait", 0.3)])
    assert found == News(causes=("queue",), unseen=(("cause lock", 1),))
    assert found.sentence == "New causes: queue. Not seen before: cause lock (1 sample)."
    assert news_of((sides[0], sides[0]), []).sentence == ""


def two_weeks(folder: Path) -> tuple[Report, Comparison]:
    """A store of two weeks; in the second one a cause and a stage are new, and everything takes twice as long."""
    samples = []
    for number in range(14 * 144):
        is_later = number >= 7 * 144
        is_slow = number % 20 == 0
        ms = 3000 if is_slow else 10 * (1 + is_later) + number % 3
        stages = (("read", ms * 10**5), *(((EVIL, ms * 10**4),) if is_later else ()))
        cause = EVIL if is_later and number % 40 == 0 else "wait"
        samples.append(Written(NOON + number * 600 * SECOND, ms * 10**6, stages, cause=cause))
    with Reader.open(make_file(folder / "s.db", samples)) as reader:
        weeks = [Period(NOON + week * 7 * DAY_NS, NOON + (week + 1) * 7 * DAY_NS) for week in range(2)]
        found = hours(reader.within(weeks[1].since_ns, weeks[1].until_ns)).hours.values()
        rows = stages_of(reader, weeks[1])
        assert sum((hour.stages for hour in found), Counter()) == rows
        report = gather(reader.within(weeks[1].since_ns, weeks[1].until_ns), tz=timezone.utc)
        return report, compare_periods(reader, weeks[0], weeks[1], timezone.utc)


def stages_of(reader: Reader, week: Period) -> Counter[str]:
    return Counter({row.stage: row.count for row in stages(reader.within(week.since_ns, week.until_ns))})


def test_all_forms_have_new_names_as_text(tmp_path: Path) -> None:
    report, comparison = two_weeks(tmp_path)
    sentence = f"New causes: {EVIL}. New stages: {EVIL}."
    assert comparison.news.sentence == sentence
    assert sentence in list(lines(report, comparison, tz=timezone.utc))
    assert sentence in "\n".join(markdown(report, comparison, tz=timezone.utc)).replace("\\", "")
    found = json.loads(as_json(report, comparison))["comparison"]
    assert (found["new_causes"], found["new_stages"], found["not_seen_before"]) == ([EVIL], [EVIL], [])
    text = page(report, comparison, made_ns=NOON, tz=timezone.utc)
    assert EVIL not in text
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    assert sentence in [element.text for element in root.iter(f"{HTML}p")]


def test_the_page_promises_no_equal_figures_for_a_weighted_period(tmp_path: Path) -> None:
    report, comparison = two_weeks(tmp_path)
    shown = page(report, comparison, made_ns=NOON, tz=timezone.utc)
    assert "The period before, not weighted" in shown
    assert "weighted by their length in the later one" in " ".join(shown.split())
    assert "weighted" not in page(report, made_ns=NOON, tz=timezone.utc)


def test_a_change_has_a_color_only_if_its_interval_excludes_no_change(tmp_path: Path) -> None:
    report, comparison = two_weeks(tmp_path)
    text = page(report, comparison, made_ns=NOON, tz=timezone.utc)
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - our own
    (table,) = root.findall(f".//{HTML}table[@class='changes']")
    rows = {row[0].text: row for row in table.find(f"{HTML}tbody") or ()}
    kinds = {
        name: {line.get("class") for line in row.iter(f"{HTML}line")} - {"grid", "axis"} for name, row in rows.items()
    }
    assert kinds["p50"] == {"interval stall"}
    assert kinds["slow samples"] == {"interval soft"}
    assert kinds["max"] == set()
    assert kinds[f"cause {EVIL}"] == {"interval soft"}
    assert [rows[f"cause {EVIL}"][5][0].text, rows["p50"][5][0].text] == ["larger share", "worse"]
    heading = comparison_heading(comparison, timezone.utc).replace("\xa0", " ")
    assert heading == "Against 25 Nov to 2 Dec: p50 is worse"
    assert heading in " ".join(element.text or "" for element in root.iter(f"{HTML}h2")).replace("\xa0", " ")
