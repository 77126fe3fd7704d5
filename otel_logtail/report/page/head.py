"""The head of the page: the answer, its range, the figures that decide it, and the targets."""

from __future__ import annotations

from otel_logtail.report.answer import MARKS
from otel_logtail.report.judge import Outcome
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model
from otel_logtail.report.rows import answer_of, headline, range_of, target_rows

_KINDS = {Outcome.MET: "met", Outcome.MISSED: "missed", Outcome.UNJUDGED: "unjudged"}


def head(model: Model) -> Markup:
    """Return the head."""
    report = model.report
    parts = [
        tag("p", tag("b", report.title), " · ", range_of(report, model.tz), class_="kicker"),
        _answer(model),
        *_since_mark(model),
        tag("div", _figures(model), _targets(model), class_="head"),
    ]
    return tag("header", join(parts, "\n"))


def _answer(model: Model) -> Markup:
    found = answer_of(model.report)
    word, colon, rest = found.sentence.partition(":")
    return tag("h1", tag("em", f"{MARKS[found.outcome]} {word}{colon}"), rest, class_=_KINDS[found.outcome])


def _since_mark(model: Model) -> list[Markup]:
    """Return the sentence on what changed since the newest mark."""
    return []


def _figures(model: Model) -> Markup:
    if not model.report.summary.count:
        return Markup()
    cards = [tag("div", tag("dt", name), tag("dd", value)) for name, value in headline(model.report)]
    return tag("dl", *cards, class_="figures")


def _targets(model: Model) -> Markup:
    report = model.report
    heading, *rows = target_rows(report)
    marks = {f"{MARKS[outcome]} {outcome.value}": kind for outcome, kind in _KINDS.items()}
    return Table(
        caption="Default targets" if report.are_default else "Targets",
        columns=heading,
        rows=rows,
        sides="llll",
        head=1,
        kind="targets",
        kinds=[marks[row[0]] for row in rows],
        classes=["word", "", "", "why"],
    ).markup()
