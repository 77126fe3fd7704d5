"""The sections of several sources: a table with the verdict on each, and below everything one fold for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from otel_logtail.report.calendar import Slot
from otel_logtail.report.data import Report
from otel_logtail.report.findings import sources_heading
from otel_logtail.report.judge import Outcome
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Make, Model, Section
from otel_logtail.report.page.parts import path_section, stage_section
from otel_logtail.report.page.stalls import stall_section
from otel_logtail.report.page.svg import Svg, boxes
from otel_logtail.report.page.why import cause_section
from otel_logtail.report.rows import answer_of, by_verdict, source_rows

_HEIGHT = 16
_KINDS = {Outcome.MET: "met", Outcome.MISSED: "missed", Outcome.UNJUDGED: "unjudged"}
_DETAILS: tuple[Make, ...] = (cause_section, stall_section, stage_section, path_section)


def of_one_source(make: Make) -> Make:
    """Return the sections of a report of one source; with several, each of them has its own in a fold."""
    return lambda model: () if model.report.sources else make(model)


def source_section(model: Model) -> Iterator[Section]:
    """Yield the table of sources, the first section."""
    report = model.report
    if not report.sources:
        return
    found = by_verdict(report)
    most = max(1, *(slot.stalls for source in found for slot in source.days))
    _, *rows = source_rows(report)
    yield Section(
        heading=sources_heading(report),
        content=Table(
            caption="Sources",
            columns=["verdict", "source", "samples", "stalls", "stalls a day", "p99", "max", "stalls of each day"],
            rows=[
                [row[0], tag("a", row[1], href=f"#source-{place}"), *row[2:], _days(source.days, most)]
                for place, (row, source) in enumerate(zip(rows, found, strict=True))
            ],
            sides="llrrrrrl",
            head=1,
            kind="sources",
            kinds=[_KINDS[answer_of(source).outcome] for source in found],
            classes=["word", "name", "count", "", "", "", "max", "bar"],
        ).markup(),
    )


def _days(days: Sequence[Slot], most: int) -> Markup:
    """Return the stalls of each day as bars; the scale is that of all sources."""
    svg = Svg(_HEIGHT, "stalls of each day")
    wide = 100 / max(1, len(days))
    svg.line((0, _HEIGHT), (100, _HEIGHT), "rule")
    svg.path(
        boxes(
            (((place + 0.1) * wide, _HEIGHT * (1 - slot.stalls / most)), ((place + 0.9) * wide, _HEIGHT))
            for place, slot in enumerate(days)
            if slot.stalls
        ),
        "fill stall",
    )
    return svg.markup()


def detail_section(model: Model) -> Iterator[Section]:
    """Yield the sections that are about one source, folded: one fold for each of several sources."""
    sources = by_verdict(model.report)
    if not sources:
        return
    folds = (_fold(model, source, place) for place, source in enumerate(sources))
    yield Section(
        heading="Each source", sub="Open one to see its causes, stalls and stages.", content=join(folds, "\n")
    )


def _fold(model: Model, source: Report, place: int) -> Markup:
    own = msgspec.structs.replace(
        model, report=source, comparison=None, options=(*model.options, "--source", source.title)
    )
    found = answer_of(source)
    return tag(
        "details",
        tag("summary", tag("b", source.title), " ", tag("span", found.sentence, class_=f"word {found.outcome.value}")),
        *(_inner(section) for make in _DETAILS for section in make(own)),
        id=f"source-{place}",
        class_="source",
    )


def _inner(section: Section) -> Markup:
    sub = tag("p", section.sub, class_="sub") if section.sub else Markup()
    return tag("section", tag("h3", section.heading), sub, section.content)
