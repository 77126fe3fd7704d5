"""``report --compare``: two periods of a real store."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from otel_logtail.query import Reader, hours, summary
from tests.support.forked import run
from tests.support.lines import line

START = datetime(2026, 11, 2, tzinfo=timezone.utc)
CUT = datetime(2026, 11, 16, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three weeks; the last one is twice as slow."""
    folder = tmp_path_factory.mktemp("compare")
    rng = random.Random(5)  # noqa: S311 - data of a test
    with (folder / "proxy.log").open("wb") as log:
        for number in range(21 * 24 * 6):
            at = START + timedelta(minutes=10 * number)
            ms = (20 if at < CUT else 40) + rng.randrange(10) + (700 if number % 400 == 0 else 0)
            log.write(line(number % 1000, ms=ms, at=at))
    store = folder / "store.db"
    follow = ("--observer", "headroom", "--path", folder / "proxy.log", "--once", "--from-start", "--retention", "none")
    run(*follow, "--db", store, home=folder)
    return store


def report(db: Path, *words: str, code: int = 0) -> str:
    done = run("report", "--db", db, *words, home=db.parent, check=False)
    assert done.returncode == code, done.stderr
    return " ".join((done.stdout + done.stderr).split())


UNTIL = ("--until", "2026-11-23T00:00Z")


@pytest.mark.parametrize(
    "words",
    [
        ("--before", "2026-11-16T00:00Z"),
        ("--after", "2026-11-16T00:00Z"),
        ("--before", "2026-11-16T00:00Z", "--after", "2026-11-17T00:00Z"),
        ("--since", "2026-11-16T00:00Z", "--compare", "previous"),
        ("--since", "2026-11-16T00:00Z", "--compare", "2026-11-02T00:00Z..2026-11-16T00:00Z"),
        ("--since", "2026-11-03T00:00Z", "--before", "2026-11-16T00:00Z"),
    ],
    ids=" ".join,
)
def test_the_slower_week_is_worse(db: Path, words: tuple[str, ...]) -> None:
    text = report(db, *words, *UNTIL)
    assert "Worse: p50 +" in text
    assert "samples; after: 2026-11-1" in text
    assert " cause wait " in text


def test_two_equal_weeks_show_no_difference(db: Path) -> None:
    words = ("--since", "2026-11-09T00:00Z", "--until", "2026-11-16T00:00Z", "--compare", "previous")
    assert "No difference that this data can show" in report(db, *words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--compare", "previous", "--before", "1d"), "--compare excludes --before and --after"),
        (("--compare", "yesterday"), "invalid --compare 'yesterday': expected 'previous' or a range"),
        (("--compare", "2026-11-09..2026-11-02"), "invalid --compare '2026-11-09..2026-11-02': the range is empty"),
        (("--before", "2026-11-16", "--after", "2026-11-15"), "no later period from 2026-11-15"),
        (("--before", "2026-11-30"), "no later period from 2026-11-30"),
        (("--since", "2026-11-17", "--before", "2026-11-16"), "--since is not before 2026-11-16"),
        (("--before", "soon"), "--before"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_period_is_one_error(db: Path, words: tuple[str, ...], why: str) -> None:
    text = report(db, *words, *UNTIL, code=2)
    assert why in text
    assert "Traceback" not in text


def test_the_hours_add_up_to_the_summary(db: Path) -> None:
    """Bounds of the range that cut hours and intervals are counted from samples."""
    start_ns = int(START.timestamp()) * 10**9
    for since_ns, until_ns in (
        (None, None),
        (start_ns + 86_400 * 10**9 + 1_234_567, start_ns + 9 * 86_400 * 10**9 - 77),
    ):
        with Reader.open(db, since_ns=since_ns, until_ns=until_ns) as reader:
            found, expected = hours(reader).hours.values(), summary(reader)
        assert sum(hour.count for hour in found) == expected.count
        assert sum(hour.slow for hour in found) == expected.degraded + expected.stall
        assert sum(hour.causes.total() for hour in found) == expected.degraded + expected.stall
        assert sum(hour.sum_ns for hour in found) / expected.count / 1e6 == pytest.approx(expected.mean_ms)
        assert sum(hour.episode_ns for hour in found) / 1e6 == pytest.approx(expected.time_in_episodes_ms)
        assert max(hour.max_ns for hour in found) / 1e6 == expected.max_ms


def test_the_terminal_gets_whole_words(db: Path) -> None:
    done = run("report", "--db", db, "--before", "2026-11-16T00:00Z", *UNTIL, home=db.parent)
    sentence = done.stdout[done.stdout.index("Worse: ") :].partition("(before")[0]
    assert not any(part.startswith("%") for part in sentence.splitlines())
