"""Marks of a report, and the sentence on what changed since the newest one."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import timezone
from pathlib import Path

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.model import Mark
from otel_logtail.query import Reader
from otel_logtail.report.data import Report, gather
from otel_logtail.report.formats import as_json, markdown
from otel_logtail.report.marked import with_marks
from otel_logtail.report.page import page
from otel_logtail.report.page.marks import place
from otel_logtail.report.page.scales import Time
from otel_logtail.report.since import MOST, marks_of, newest_of, parse_mark, since_sentence
from otel_logtail.report.text import lines
from otel_logtail.store import marks
from otel_logtail.store.connection import connect, transaction
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

UTC = timezone.utc
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
START = NOON - 12 * HOUR


def store(folder: Path, days: int, *, worse_from: int | None = None, rarer_from: int | None = None) -> Path:
    """A store with 24 samples an hour; from some day on they are slower, or stalls are rare."""
    chance = random.Random(7)  # noqa: S311 - the same in each run
    samples, stalls = [], []
    for hour in range(24 * days):
        day, time_ns = hour // 24, START + hour * HOUR
        factor = 2.0 if worse_from is not None and day >= worse_from else 1.0
        samples += [
            Written(time_ns + n * 60 * SECOND, int(factor * 5e6 * chance.uniform(1, 2)), length_ns=HOUR)
            for n in range(24)
        ]
        if hour % (240 if rarer_from is not None and day >= rarer_from else 6) == 3:
            stalls.append(Stall(time_ns + 60 * SECOND, time_ns + 70 * SECOND))
    return make_file(folder / "s.db", samples, stalls)


def add(db: Path, *found: Mark) -> None:
    with closing(connect(db)) as writer, transaction(writer):
        for mark in found:
            assert marks.add_by_hand(writer, mark, None) == 1


def report_of(db: Path, *given: Mark, since_ns: int | None = None) -> Report:
    with Reader.open(db, since_ns=since_ns) as reader:
        return with_marks(gather(reader, tz=UTC), reader, given, tz=UTC)


def sentence(report: Report) -> str:
    assert report.since is not None
    return since_sentence(report.since, UTC).replace("\xa0", " ")


def test_the_sentence_names_what_is_worse_since_the_newest_mark(tmp_path: Path) -> None:
    db = store(tmp_path, 21, worse_from=14)
    add(db, Mark(START + 14 * DAY, "upgrade 0.42"), Mark(START + 2 * DAY, "upgrade 0.41"))
    found = sentence(report_of(db))
    assert found.startswith("Since upgrade 0.42 (9 Dec 00:00): median higher, ×2")
    assert "stalls" not in found


def test_the_sentence_names_what_is_better(tmp_path: Path) -> None:
    db = store(tmp_path, 21, rarer_from=14)
    found = sentence(report_of(db, Mark(START + 14 * DAY, "cache")))
    assert found.startswith("Since cache (9 Dec 00:00): stalls rarer, ×0.")
    assert "less time in episodes" in found


def test_no_change_and_too_little_data_have_words_of_their_own(tmp_path: Path) -> None:
    db = store(tmp_path, 21)
    assert sentence(report_of(db, Mark(START + 14 * DAY, "x"))) == "Since x (9 Dec 00:00): no clear change."
    late = Mark(START + 21 * DAY - 2 * HOUR, "x")
    assert sentence(report_of(db, late)) == "Since x (15 Dec 22:00): too little data to compare."
    (tmp_path / "short").mkdir()
    short = store(tmp_path / "short", 3)
    assert sentence(report_of(short, Mark(START + 36 * HOUR, "x"))) == (
        "Since x (26 Nov 12:00): no clear change; too little data for p99, slow samples, stalls, time in episodes."
    )


def test_without_a_mark_nothing_is_added(tmp_path: Path) -> None:
    report = report_of(store(tmp_path, 2))
    assert (report.marks, report.since) == ((), None)
    empty = report_of(make_file(tmp_path / "empty.db"), Mark(NOON, "x"))
    assert (empty.marks, empty.since) == ((), None)


def test_only_marks_of_the_range_up_to_the_last_sample_count(tmp_path: Path) -> None:
    db = store(tmp_path, 3)
    add(db, *(Mark(START + day * DAY, f"day {day}") for day in (0, 1, 2, 4000)))
    assert [mark.text for mark in report_of(db, since_ns=START + DAY).marks] == ["day 1", "day 2"]


def test_a_mark_of_several_sources_is_one(tmp_path: Path) -> None:
    samples = [Written(NOON + n * SECOND, 10**6, source=name) for n in range(3) for name in ("a", "b")]
    db = make_file(tmp_path / "s.db", samples)
    with closing(connect(db)) as writer, transaction(writer):
        assert marks.add_by_hand(writer, Mark(NOON + SECOND, "x"), None) == 2
        assert marks.add_by_hand(writer, Mark(NOON + SECOND, "of b"), "b") == 1
    assert [mark.text for mark in report_of(db).marks] == ["of b", "x"]
    with Reader.open(db, source="a") as reader:
        assert [mark.text for mark in marks_of(reader, (), NOON + DAY)] == ["x"]


def test_a_report_has_so_many_marks(tmp_path: Path) -> None:
    db = store(tmp_path, 6)
    add(db, *(Mark(START + n * 1800 * SECOND, f"mark {n}") for n in range(MOST + 5)))
    assert [mark.text for mark in report_of(db).marks] == [f"mark {n}" for n in range(5, MOST + 5)]


@pytest.mark.parametrize(
    ("texts", "newest"),
    [
        (["a 1.0 started", "a 1.1 started", "a 1.1 started", "a 1.1 started"], 1),
        (["a 1.1 started", "a 1.0 started", "a 1.1 started"], 2),
        (["a 1.1 started", "deploy", "a 1.1 started"], 1),
        (["deploy", "deploy"], 1),
        (["Java started (G1)", "Java started (G1)"], 1),
        ([], None),
    ],
)
def test_another_start_of_the_same_version_is_not_a_change(texts: list[str], newest: int | None) -> None:
    found = [Mark(n, text) for n, text in enumerate(texts)]
    assert newest_of(found) == (None if newest is None else found[newest])


def test_a_mark_of_the_command_line_has_a_name_and_a_time() -> None:
    assert parse_mark("a=b = 2026-11-20T10:00Z", NOON) == Mark(1_795_168_800 * SECOND, "a=b")
    for text in ("upgrade", "=2026-11-20", " =now"):
        with pytest.raises(UsageError, match="expected NAME=TIME"):
            parse_mark(text, NOON)
    with pytest.raises(UsageError, match="invalid --mark 'noon'"):
        parse_mark("x=noon", NOON)


def test_a_mark_may_be_a_day_ahead_and_no_more() -> None:
    assert parse_mark(f"x=@{NOON // SECOND + 86_400}", NOON).time_ns == NOON + DAY
    with pytest.raises(UsageError, match="invalid --mark '2099-01-01': the time is in the future"):
        parse_mark("x=2099-01-01", NOON)


def test_a_mark_of_another_year_than_the_last_sample_has_its_year(tmp_path: Path) -> None:
    found = sentence(report_of(store(tmp_path, 60), Mark(START + 14 * DAY, "x")))
    assert found.startswith("Since x (9 Dec 2026 00:00): ")


def test_all_forms_have_the_sentence_and_the_marks(tmp_path: Path) -> None:
    db = store(tmp_path, 9)
    add(db, Mark(START + DAY, "first"), Mark(START + 8 * DAY, "<b>*x*\x1b[31m"))
    report = report_of(db)
    found = sentence(report)
    text = list(lines(report, tz=UTC))
    assert text[1] == found.replace("\x1b", "\\x1b")
    assert any(line.split() == ["2026-11-26", "00:00:00", "first"] for line in text)
    data = json.loads(as_json(report, tz=UTC))
    assert [(mark["time"], mark["text"]) for mark in data["marks"]] == [
        ("2026-11-26T00:00:00.000000000Z", "first"),
        ("2026-12-03T00:00:00.000000000Z", "<b>*x*\x1b[31m"),
    ]
    assert data["since_mark"]["sentence"].replace("\xa0", " ") == found
    assert data["since_mark"]["comparison"]["figures"]
    marked = "\n".join(markdown(report, tz=UTC))
    assert "| 2026-11-26 00:00:00 | first |" in marked
    assert "Since \\<b\\>\\*x\\*" in marked
    shown = page(report, made_ns=NOON, tz=UTC)
    assert "<em>Since &lt;b&gt;*x*" in shown
    assert shown.count("first") >= 2


def names(*places: float, text: str = "a name of a mark") -> list[tuple[int | None, bool]]:
    found = [Mark(round(x * 1000), text) for x in places]
    return [(name.row, name.is_left) for name in place(found, Time(0, 100_000, UTC))]


def test_names_that_would_overlap_are_in_two_rows_and_the_last_ones_are_left_of_their_lines() -> None:
    assert names(10, 50) == [(0, False), (0, False)]
    assert names(10, 12) == [(1, False), (0, False)]
    assert names(10, 11, 12) == [(None, False), (1, False), (0, False)]
    assert names(79, 81, 100) == [(1, False), (0, True), (0, True)]
    assert names(-1, 101) == []
