"""The page in a real browser: nothing is cut and no texts overlap on a screen, a phone and paper, in all odd states."""

from __future__ import annotations

import contextlib
import math
import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timezone
from functools import cache
from pathlib import Path

import pytest

from otel_logtail.model import Mark
from otel_logtail.query import Reader
from otel_logtail.report.compared import compare_periods
from otel_logtail.report.data import gather
from otel_logtail.report.marked import with_marks
from otel_logtail.report.page import page
from otel_logtail.report.periods import DAY_NS, Period
from otel_logtail.report.slo import parse_slo
from otel_logtail.store import marks
from otel_logtail.store.connection import connect, transaction
from tests.support.browser import MISSING, PROGRAM, Browser, browser
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)

HOUR, DAY = 3600 * SECOND, DAY_NS
MIDNIGHT = NOON - 12 * HOUR
EVIL = "<script>alert(1)</script>&\"'" + "a-name-without-an-end" * 4
STAGES = ("read", "compress", "wait")

WIDTHS = (1280, 390)
MOST_BYTES = 300_000
PAPER = 720  # A4 without its margins

FAULTS = """(() => {
  const faults = [], wide = innerWidth;
  const size = (e) => e.getBoundingClientRect();
  const shown = (e) => e.checkVisibility() ? size(e).width > 0 : false;
  const scrolls = (e) => e ? getComputedStyle(e).overflowX === "auto" || scrolls(e.parentElement) : false;
  const name = (e) => `${e.tagName}.${e.getAttribute("class")} ${e.textContent.trim().slice(0, 40)}`;
  if (document.scrollingElement.scrollWidth > wide) faults.push(`scrolls to ${document.scrollingElement.scrollWidth}`);
  for (const e of document.querySelectorAll("body *:not(svg svg, path, .hidden, #tip, script)")) {
    const { left, right } = size(e);
    if ((right > wide + 0.5 || left < -0.5) && shown(e) && !scrolls(e.parentElement))
      faults.push(`wide: ${name(e)} ${left} ${right}`);
  }
  for (const svg of document.querySelectorAll("svg:not(svg svg)")) {
    const texts = [...svg.querySelectorAll("text")].filter(shown), boxes = texts.map(size);
    const around = size(svg.closest("figure") || svg.parentElement), label = svg.getAttribute("aria-label");
    boxes.forEach((a, at) => {
      if (a.left < around.left - 1 || a.right > around.right + 1)
        faults.push(`outside: ${name(texts[at])} in ${label} ${a.left} ${a.right}, ${around.left} ${around.right}`);
      if (a.top < around.top - 2 || a.bottom > around.bottom + 2)
        faults.push(`above or below: ${name(texts[at])} in ${label} ${a.top} ${a.bottom}`);
      boxes.slice(at + 1).forEach((b, further) => {
        const across = a.left + 0.5 < b.right ? b.left + 0.5 < a.right : false;
        const along = a.top + 2 < b.bottom - 2 ? b.top + 2 < a.bottom - 2 : false;
        if (across ? along : false)
          faults.push(`overlap: ${name(texts[at])} / ${name(texts[at + 1 + further])} in ${label}`);
      });
    });
  }
  return [...new Set(faults)];
})()"""
"""Elements wider than the window, texts of one image that overlap, and texts outside of their figure."""


def sample(time_ns: int, ms: float, chance: random.Random) -> Written:
    """A sample with stages; its interval is an hour, so that stores of months are made fast."""
    stages = tuple((name, int(ms * 1e6 * chance.uniform(0.1, 0.4))) for name in STAGES)
    return Written(time_ns, int(ms * 1e6), stages, length_ns=HOUR, cause=chance.choice(STAGES))


def history(
    folder: Path, days: int, each: int, stalls: int, *, slowest_ms: float = 9000.0, gap: range = range(0), seed: int = 1
) -> Path:
    """A store of some days with so many samples and at most so many stalls on each."""
    chance = random.Random(seed)  # noqa: S311 - the same in each run
    samples, episodes = [], []
    for day in range(days):
        if day in gap:
            continue
        times = [MIDNIGHT + day * DAY + chance.randrange(DAY) for _ in range(each)]
        samples += [sample(time_ns, chance.lognormvariate(2.3, 1.1), chance) for time_ns in times]
        for number in range(chance.randint(0, stalls)):
            start = MIDNIGHT + day * DAY + (9 + number % 4) * HOUR + chance.randrange(HOUR)
            peak_ms = math.exp(chance.uniform(math.log(2100), math.log(slowest_ms)))
            samples += [sample(start, peak_ms, chance), sample(start + SECOND, peak_ms / 3, chance)]
            peak_ns, later = int(peak_ms * 1e6), start + 2 * HOUR
            episodes += [Stall(start - peak_ns, start + SECOND, peak_ns=peak_ns), Stall(later, later + SECOND, 1)]
    return make_file(folder / "s.db", samples, episodes)


def empty(folder: Path) -> Path:
    return make_file(folder / "s.db")


def one_request(folder: Path) -> Path:
    return make_file(folder / "s.db", [Written(NOON, 900 * 10**6)])


def few_requests(folder: Path) -> Path:
    chance = random.Random(3)  # noqa: S311 - the same in each run
    samples = [
        sample(NOON + n * SECOND // 8, 1500 if n % 20 == 0 else chance.lognormvariate(1.5, 0.8), chance)
        for n in range(111)
    ]
    return make_file(folder / "s.db", samples, [Stall(NOON + SECOND, NOON + 2 * SECOND, severity=1)])


def a_day_without_a_stall(folder: Path) -> Path:
    return history(folder, 1, 3000, 0)


def a_month(folder: Path) -> Path:
    return history(folder, 28, 150, 5)


def a_year_and_a_half(folder: Path) -> Path:
    return history(folder, 540, 12, 2, slowest_ms=26 * 60_000, gap=range(200, 268))


def a_stall_in_each_minute(folder: Path) -> Path:
    samples = [Written(NOON + n * 10 * SECOND, (3000 + n) * 10**6, length_ns=60 * SECOND) for n in range(2000)]
    stalls = [Stall(NOON + n * 60 * SECOND, NOON + n * 60 * SECOND + 4 * SECOND) for n in range(330)]
    return make_file(folder / "s.db", samples, stalls)


def close_thresholds(folder: Path) -> Path:
    """Thresholds of 10 and 11 ms: their labels must make room for each other."""
    db = history(folder, 3, 400, 1)
    with contextlib.closing(sqlite3.connect(db)) as conn:
        conn.execute("UPDATE source SET threshold_ns = 10000000, stall_ns = 11000000")
        conn.commit()
    return db


def script_in_every_name(folder: Path) -> Path:
    samples = [
        Written(
            NOON + n * 600 * SECOND, (20 + n * 7) * 10**6, ((EVIL, 5 * 10**6),), EVIL, EVIL, attributes=((EVIL, EVIL),)
        )
        for n in range(500)
    ]
    return make_file(
        folder / "s.db", samples, [Stall(NOON + n * HOUR, NOON + n * HOUR + SECOND, source=EVIL) for n in range(9)]
    )


def four_sources(folder: Path) -> Path:
    names = ("proxy-eu-1", "proxy-us-with-a-rather-long-name-of-sixty-characters-that-wraps", "postgres", "jvm")
    samples = [
        Written(NOON + n * 300 * SECOND, (5 + n % 700) * 10**6, source=name, length_ns=HOUR)
        for name in names
        for n in range(600)
    ]
    stalls = [Stall(NOON + n * 5 * HOUR, NOON + n * 5 * HOUR + SECOND, source=names[n % 2]) for n in range(9)]
    return make_file(folder / "s.db", samples, stalls)


def stalls_with_their_samples(folder: Path) -> Path:
    """A storm of hundreds of samples, and stalls of a few, with traces and long names of stages."""
    chance = random.Random(5)  # noqa: S311 - the same in each run
    samples, stalls = [], []
    for number, size in enumerate((300, 40, 8, 3, 1, 25)):
        start = NOON + number * 5 * HOUR
        ends = [start + chance.randrange(20 * SECOND) for _ in range(size)]
        for end in ends:
            ns = chance.randrange(600 * 10**6, 9 * SECOND)
            stages = (*((name, ns // 5) for name in STAGES), ("a_stage_with_a_name_of_forty_characters__", ns // 3))
            samples.append(Written(end, ns, stages, length_ns=HOUR))
        stalls.append(Stall(min(ends) - 9 * SECOND, max(ends), breaches=size))
    db = make_file(folder / "s.db", samples, stalls)
    with contextlib.closing(sqlite3.connect(db)) as conn, conn:
        conn.execute(
            "UPDATE breach SET trace = randomblob(24), span_id ="
            " (SELECT span_id FROM episode WHERE time_ns BETWEEN start_ns AND end_ns)"
        )
    return db


def marks_a_day_apart(folder: Path) -> Path:
    """More marks than a table lists, some at once, the last ones at the right edge, and one with a hostile name."""
    db = history(folder, 28, 150, 5)
    days = [*range(0, 22, 2), 26, 27, 27.5, 27.51, 27.9]
    found = [Mark(MIDNIGHT + int(day * DAY), f"headroom 0.42.{at} started") for at, day in enumerate(days)]
    with contextlib.closing(connect(db)) as conn, transaction(conn):
        for mark in (*found, Mark(MIDNIGHT + 23 * DAY, EVIL)):
            assert marks.add_by_hand(conn, mark, None) == 1
    return db


STATES: tuple[Callable[[Path], Path], ...] = (
    empty,
    one_request,
    few_requests,
    a_day_without_a_stall,
    a_month,
    a_year_and_a_half,
    a_stall_in_each_minute,
    close_thresholds,
    script_in_every_name,
    four_sources,
    stalls_with_their_samples,
    marks_a_day_apart,
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


def made(db: Path, path: Path, *slos: str) -> Path:
    """Write the page of a store, with a comparison of its two halves if it has days."""
    with Reader.open(db) as reader, reader.snapshot():
        targets = [parse_slo(slo) for slo in slos]
        report = with_marks(gather(reader, targets, tz=timezone.utc), reader, tz=timezone.utc)
        comparison = None
        if len(report.days) > 2:
            halves = [MIDNIGHT + len(report.days) * DAY * part // 2 for part in range(3)]
            comparison = compare_periods(reader, Period(*halves[:2]), Period(*halves[1:]), timezone.utc)
    path.write_text(page(report, comparison, made_ns=NOON, tz=timezone.utc))
    return path


Pages = Callable[..., Path]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Return a function that makes the page of a state with some SLOs once."""

    @cache
    def store_of(state: Callable[[Path], Path]) -> Path:
        return state(tmp_path_factory.mktemp(state.__name__))

    @cache
    def page_of(state: Callable[[Path], Path], *slos: str) -> Path:
        return made(store_of(state), tmp_path_factory.mktemp("page") / "page.html", *slos)

    return page_of


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_nothing_is_cut_or_on_top_of_each_other(state: Callable[[Path], Path], chromium: Browser, pages: Pages) -> None:
    path = pages(state, "stalls<3/day", "p99<500ms", "stalled<0.1%")
    assert path.stat().st_size <= MOST_BYTES
    url = path.as_uri()
    for width in WIDTHS:
        for dark in (False, True):
            chromium.open(url, width, dark=dark)
            assert chromium.evaluate(FAULTS) == [], width
            assert chromium.messages == []
            text = chromium.evaluate("document.body.innerText")
            chromium.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
            assert chromium.evaluate(FAULTS) == [], f"{width} opened"
        chromium.open(url, width, script=False)
        assert chromium.evaluate("document.getElementById('tip')") is None
        assert chromium.evaluate("document.body.innerText") == text
    chromium.open(url, PAPER, paper=True)
    assert chromium.evaluate(FAULTS) == []
    assert chromium.pdf().startswith(b"%PDF")


def test_a_tooltip_is_shown_at_once_and_a_link_opens_its_stall(chromium: Browser, pages: Pages) -> None:
    url = pages(a_month, "stalls<3/day").as_uri()
    chromium.open(url, 1280)
    x, y = chromium.evaluate(
        "(() => { const box = document.querySelector('rect.hit').getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    chromium.move_to(x, y)
    wait_until(lambda: chromium.evaluate("!document.getElementById('tip').hidden"))
    tip = chromium.evaluate("document.getElementById('tip').innerText")
    assert tip.startswith("Wed\u00a025\u00a0Nov\n")
    assert "slowest" in tip
    target = chromium.evaluate("document.querySelector('svg a[href^=\"#stall-\"]').getAttribute('href')")
    assert not chromium.evaluate(f"document.querySelector({target!r}).open")
    chromium.open(url + target, 1280)
    assert chromium.evaluate(f"document.querySelector({target!r}).open")
    assert chromium.messages == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("state", [a_month, marks_a_day_apart], ids=["month", "marks"])
def test_the_first_200_pixels_hold_the_answer(
    state: Callable[[Path], Path], width: int, chromium: Browser, pages: Pages
) -> None:
    chromium.open(pages(state, "stalls<3/day").as_uri(), width)
    bottoms = chromium.evaluate(
        "[...document.querySelectorAll('header :is(h1, .kicker, .value)')].map((e) => e.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 5
    assert max(bottoms) <= 200


def test_each_plot_and_table_has_its_names(chromium: Browser, pages: Pages) -> None:
    chromium.open(pages(a_month).as_uri(), 1280)
    for all_of_them in (
        "[...document.querySelectorAll('figure')].every((e) => e.getAttribute('aria-label'))",
        "[...document.querySelectorAll('figure')].every((e) => e.querySelector('details table'))",
        "[...document.querySelectorAll('svg[role]')].every((e) => e.getAttribute('aria-label'))",
        "[...document.querySelectorAll('table')].every((e) => e.caption.textContent)",
        "[...document.querySelectorAll('th')].every((e) => ['row', 'col'].includes(e.scope))",
        "document.querySelectorAll('h1').length === 1",
    ):
        assert chromium.evaluate(all_of_them) is True, all_of_them


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(dark: bool, chromium: Browser, pages: Pages) -> None:
    """4.5 to 1 (WCAG AA) for each color of text on the paper."""
    chromium.open(pages(a_month).as_uri(), 1280, dark=dark)
    colors = chromium.evaluate(
        "['paper', 'ink', 'soft', 'ok', 'degraded', 'stall', 'met'].map((name) =>"
        " getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim())"
    )
    paper, *others = map(luminance, colors)
    for color, other in zip(colors[1:], others, strict=True):
        low, high = sorted((paper, other))
        assert (high + 0.05) / (low + 0.05) >= 4.5, color


def luminance(color: str) -> float:
    digits = color.removeprefix("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
