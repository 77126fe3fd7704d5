"""JSON and Markdown show the figures of the text, and names from a log stay text."""

from __future__ import annotations

import json
import re
from datetime import timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest

from otel_logtail.query import Reader
from otel_logtail.report.compare import Comparison
from otel_logtail.report.compared import compare_periods
from otel_logtail.report.data import Report, gather
from otel_logtail.report.formats import as_json, markdown
from otel_logtail.report.page import page
from otel_logtail.report.periods import DAY_NS, Period
from otel_logtail.report.text import lines
from tests.support.forked import run
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

EVIL = "[x](javascript:alert(1)) | <img src=x> `a` \x1b[2J **b** # c\n# d"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two weeks; the second one is twice as slow."""
    samples = [
        Written(
            NOON + n * 600 * SECOND,
            (20 if n < 1008 else 45) * 10**6 + n,
            attributes=(("path", EVIL),),
            cause=EVIL,
            source=EVIL,
        )
        for n in range(2016)
    ]
    return make_file(tmp_path / "s.db", samples, [Stall(NOON, NOON + SECOND, source=EVIL)])


def both(db: Path) -> tuple[Report, Comparison]:
    with Reader.open(db) as reader:
        report = gather(reader, tz=timezone.utc)
        weeks = [Period(NOON + week * 7 * DAY_NS, NOON + (week + 1) * 7 * DAY_NS) for week in range(2)]
        return report, compare_periods(reader, weeks[0], weeks[1], timezone.utc)


def test_all_forms_have_the_same_sentence_and_figures(store: Path) -> None:
    report, comparison = both(store)
    found = json.loads(as_json(report, comparison))
    text = " ".join("\n".join(lines(report, comparison, tz=timezone.utc)).split())
    mark = "\n".join(markdown(report, comparison, tz=timezone.utc)).replace("\\", "")
    html = "".join(
        ElementTree.fromstring(  # noqa: S314 - our own
            page(report, comparison, made_ns=NOON).removeprefix("<!DOCTYPE html>\n")
        ).itertext()
    )
    for part in (found["sentence"], found["comparison"]["sentence"], found["targets"][0]["actual"], "44.918 ms"):
        assert part in text, part
        assert part in mark, part
        assert part in " ".join(html.split()), part
    assert found["verdict"] in ("met", "missed", "not judged")
    assert found["summary"]["count"] == 2016
    p50 = next(figure for figure in found["comparison"]["figures"] if figure["figure"] == "p50")
    assert p50["verdict"] == "worse"
    assert p50["low"] <= p50["factor"] <= p50["high"]
    assert p50["factor"] == pytest.approx(45 / 20, rel=0.02)


def test_an_unknown_bound_is_null(store: Path) -> None:
    _, comparison = both(store)
    report, _ = both(store)
    figures = {f["figure"]: f for f in json.loads(as_json(report, comparison))["comparison"]["figures"]}
    assert figures["max"]["factor"] is None
    assert figures["stalls"]["low"] in (None, 0.0)


def test_a_name_from_the_log_stays_text_in_markdown(store: Path) -> None:
    report, comparison = both(store)
    found = list(markdown(report, comparison, tz=timezone.utc))
    widths: dict[int, int] = {}
    for number, row in enumerate(found):
        assert "\n" not in row.strip("\n")
        assert "\x1b" not in row
        if row.startswith("|"):
            cells = len(re.findall(r"(?<!\\)\|", row))
            start = next(n for n in range(number, -1, -1) if not found[n].startswith("|"))
            assert widths.setdefault(start, cells) == cells
        bare = re.sub(r"\\.", "", row)
        assert "[" not in bare
        assert "<" not in bare
        assert "`" not in bare


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_each_form_is_printed(form: str, store: Path) -> None:
    done = run(
        "report", "--since", "2026-11-01", "--until", "2026-12-30", "--db", store, "--format", form, home=store.parent
    )
    begins = {"text": ("✓", "✗", "–"), "json": ("{",), "markdown": ("### ",), "html": ("<!DOCTYPE html>",)}
    assert done.stdout.startswith(begins[form])
    if form == "json":
        assert json.loads(done.stdout)["summary"]["count"] == 2016
