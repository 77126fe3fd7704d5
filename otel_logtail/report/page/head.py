"""The head of the page: the answer, its range, the figures that decide it, and the targets."""

from __future__ import annotations

import math
import re

from otel_logtail.report.answer import MARKS
from otel_logtail.report.deciding import Deciding
from otel_logtail.report.judge import Outcome, Verdict
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model
from otel_logtail.report.page.svg import Svg
from otel_logtail.report.rows import answer_of
from otel_logtail.report.since import since_sentence
from otel_logtail.report.words import NONE, SPACE, count, date, digits, exact, length, measured, moment, part_of
from otel_logtail.text import parse_when

KINDS = {Outcome.MET: "met", Outcome.MISSED: "missed", Outcome.UNJUDGED: "unjudged"}
_ORDER = (Outcome.MISSED, Outcome.UNJUDGED, Outcome.MET)
_LIMIT = 60.0  # the place of the limit on a bar of a target, in per cent
_UNBROKEN = re.compile(r"(\d{4}-\d\d-\d\d(?:[ T][\d:.]+Z?)?|[^\s,;]*<[^\s,;]*|--\w+ \S+|\d[\d,.]* (?:ms|s|min|h|%))")
_DAY_S = 86_400
LEAST = 10
"""The number of samples from which there are figures and a distribution."""


def head(model: Model) -> Markup:
    """Return the head."""
    parts = [
        tag("p", tag("b", model.report.title), " · ", _range(model), class_="kicker"),
        _answer(model),
        *_since_mark(model),
        tag("div", _figures(model), _targets(model), class_="head"),
    ]
    return tag("header", join(parts, "\n"))


def _range(model: Model) -> str:
    """Return the time from the first to the last sample, its length, and the number of samples."""
    summary = model.report.summary
    if not summary.from_ or not summary.to:
        return "no samples in this range"
    first, last = (moment(parse_when(time, 0), model.tz) for time in (summary.from_, summary.to))
    covered_s = model.report.deciding.covered_s
    zone = last.tzname() or "local time"
    if covered_s >= 2 * _DAY_S:
        year = "" if first.year == last.year else f"{SPACE}{first.year}"
        times = f"{date(first)}{year} to {date(last)}{SPACE}{last.year}"
    elif first.date() == last.date():
        times = f"{date(last)}{SPACE}{last.year}, {first:%H:%M:%S} to {last:%H:%M:%S}"
    else:
        times = f"{date(first)} {first:%H:%M} to {date(last)}{SPACE}{last.year} {last:%H:%M}"
    covered = f"{length(covered_s)}, " if covered_s >= 1 else ""
    return f"{times} ({covered}times in {zone}) · {count(summary.count, 'sample')}"


def _answer(model: Model) -> Markup:
    found = answer_of(model.report)
    word, colon, rest = found.sentence.partition(":")
    return tag("h1", tag("em", f"{MARKS[found.outcome]} {word}{colon}"), _unbroken(rest), class_=KINDS[found.outcome])


def _unbroken(sentence: str) -> Markup:
    """Return a sentence in which no line breaks within a date, a figure or a target."""
    parts = _UNBROKEN.split(sentence)
    return join(tag("span", part, class_="whole") if at % 2 else part for at, part in enumerate(parts))


def _since_mark(model: Model) -> list[Markup]:
    """Return the sentence on what changed since the newest mark."""
    since = model.report.since
    if since is None:
        return []
    mark, colon, found = since_sentence(since, model.tz).rpartition("): ")
    return [tag("p", tag("em", f"{mark}{colon.rstrip()} "), found, class_="lede")]


# --- figures ------------------------------------------------------------------------------------------------------


def _figures(model: Model) -> Markup:
    figures = model.report.deciding
    if figures.samples < LEAST:
        return tag("div")
    earlier = model.comparison.earlier if model.comparison is not None else None
    if earlier is not None and not earlier.samples:
        earlier = None
    thresholds_ms = model.report.thresholds_ms
    cards = [
        ("How often", *_how_often(figures, earlier)),
        ("How long", *_how_long(model, earlier)),
        ("How many", *_how_many(figures, earlier, thresholds_ms)),
    ]
    return tag("dl", *(_card(*card) for card in cards), class_="figures")


def _card(name: str, value: Markup, below: str, before: str) -> Markup:
    lines = [tag("dd", value, class_="value"), tag("dd", below)]
    return tag("div", tag("dt", name), *lines, tag("dd", before, class_="soft") if before else Markup())


def _value(number: str, unit: str = "") -> Markup:
    return join([number, tag("small", f"{SPACE}{unit}")]) if unit else join([number])


def _how_often(figures: Deciding, earlier: Deciding | None) -> tuple[Markup, str, str]:
    noun = "stall" if figures.stalls == 1 else "stalls"
    days = figures.covered_s / _DAY_S
    below = (
        f"{digits(figures.stalls / days)} a day" if figures.stalls and days >= 1 else f"in {length(figures.covered_s)}"
    )
    before = f"{length(earlier.covered_s)} before: {earlier.stalls:,}" if earlier else ""
    return _value(f"{figures.stalls:,}", noun), below, before


def _how_long(model: Model, earlier: Deciding | None) -> tuple[Markup, str, str]:
    """Return the duration of a typical stall; without a stall, that of the slowest sample."""
    figures = model.report.deciding
    if figures.typical_s is None or figures.longest_s is None:
        return _value(measured(model.report.summary.max_ms)), "slowest sample", ""
    below = f"typical stall; longest {measured(1000 * figures.longest_s)}" if figures.stalls > 1 else "the only stall"
    before = NONE if earlier is None or earlier.typical_s is None else measured(1000 * earlier.typical_s)
    value = _value(measured(1000 * figures.typical_s))
    return value, below, f"{length(earlier.covered_s)} before: {before}" if earlier else ""


def _how_many(
    figures: Deciding, earlier: Deciding | None, thresholds_ms: tuple[float, float] | None
) -> tuple[Markup, str, str]:
    """Return the share of samples that stall; if none does, of slow ones."""
    is_stall = bool(figures.stall)
    number = figures.stall if is_stall else figures.slow
    limit = (
        f"samples over {exact(thresholds_ms[is_stall])}"
        if thresholds_ms
        else f"{'stall' if is_stall else 'slow'} samples"
    )
    value = join([part_of(number, figures.samples)]) if number else _value("0")
    before = ""
    if earlier:
        then = earlier.stall if is_stall else earlier.slow
        before = f"{length(earlier.covered_s)} before: {part_of(then, earlier.samples) if then else 0}"
    return value, limit, before


# --- targets ------------------------------------------------------------------------------------------------------


def _targets(model: Model) -> Markup:
    report = model.report
    if not report.summary.count:
        return Markup()
    ordered = sorted(report.verdicts, key=lambda verdict: (_ORDER.index(verdict.outcome), -verdict.share))
    title = "default target" if report.are_default else "target"
    table = Table(
        caption="Targets",
        columns=["", title, "actual", "share of the limit"],
        rows=[
            [f"{MARKS[v.outcome]} {v.outcome.value}", v.slo, _unbroken(v.actual), _share(v) if v.share else ""]
            for v in ordered
        ],
        sides="llll",
        head=1,
        kind="targets",
        kinds=[KINDS[verdict.outcome] for verdict in ordered],
        classes=["word", "", "", "bar"],
    )
    notes = [tag("p", f"{v.slo}: {v.why}", class_="note") for v in ordered if v.why]
    return tag("div", table.markup(), *notes)


def _share(verdict: Verdict) -> Markup:
    """Return the figure of a target as a bar; the line is its limit."""
    label = f"{verdict.share:.0%} of the limit" if math.isfinite(verdict.share) else "over the limit"
    bar = Svg(14, label)
    bar.rect((0, 4), 100, 7, "rule")
    kind = {Outcome.MISSED: "stall", Outcome.MET: "met", Outcome.UNJUDGED: "soft"}[verdict.outcome]
    bar.rect((0, 4), min(100.0, max(1.0, _LIMIT * verdict.share)), 7, kind, label)
    bar.line((_LIMIT, 0), (_LIMIT, 14), "ink limit")
    return bar.markup()
