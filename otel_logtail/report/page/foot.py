"""The foot of the page: the commands that print its figures, and how exact they are."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model
from otel_logtail.report.words import SPACE, date, exact, moment
from otel_logtail.text import iso


def foot(model: Model) -> Markup:
    """Return the foot."""
    rows = [[name, tag("code", shlex.join(["otel-logtail", *command]))] for name, command in _commands(model)]
    table = Table(
        caption="Commands", columns=["figures", "command"], rows=rows, sides="ll", kind="commands stack"
    ).markup()
    notes = tag("ul", *(tag("li", note) for note in _notes(model)))
    return tag("footer", *_links(model), tag("h2", "How to reproduce each figure"), table, notes)


def _links(model: Model) -> Iterator[Markup]:
    """Yield the links to the further pages of a server."""
    if model.served is not None:
        yield tag("p", join((tag("a", name, href=address) for name, address in model.served.others), " · "))


def _commands(model: Model) -> Iterator[tuple[str, Sequence[str]]]:
    report = model.report
    here = [*model.options, *_range(*report.bounds_ns)]
    targets = [] if report.are_default else [part for v in report.verdicts for part in ("--slo", v.slo)]
    yield "This page", ["report", *here, *targets, *_compared(model), "--html", "report.html"]
    yield "Samples, percentiles, time in stalls", ["query", "summary", *here]
    if model.comparison is not None:
        before = model.comparison.before
        yield (
            "The period before, not weighted",
            ["query", "summary", *model.options, *_range(before.since_ns, before.until_ns)],
        )
    if report.stalls:
        yield "Stalls", ["query", "episodes", *here, "--severity", "stall", "--limit", "0"]
    if report.stages:
        yield "Stages", ["query", "stages", *here]


def _range(since_ns: int | None, until_ns: int | None) -> Iterator[str]:
    for flag, time_ns in (("--since", since_ns), ("--until", until_ns)):
        if time_ns is not None:
            yield flag
            yield iso(time_ns).replace(".000000000Z", "Z")


def _compared(model: Model) -> Iterator[str]:
    if model.comparison is not None:
        before = model.comparison.before
        yield "--compare"
        yield "..".join(iso(at_ns).replace(".000000000Z", "Z") for at_ns in (before.since_ns, before.until_ns))


def _notes(model: Model) -> Iterator[str]:
    thresholds_ms = model.report.thresholds_ms
    if thresholds_ms is not None:
        slow, stall = map(exact, thresholds_ms)
        yield f"A sample is degraded from {slow} and a stall from {stall} on. An episode with a stall in it is a stall."
    yield f"Percentiles are within 1{SPACE}%. A duration in a plot is within 1{SPACE}%, too."
    if model.comparison is not None and model.comparison.figures:
        yield (
            "The figures before, in the comparison, are those of the hours of the week that both periods have, weighted"
            " by their length in the later one. The other figures of the period before are not weighted."
        )
    at = moment(model.made_ns, model.tz)
    yield f"Made by otel-logtail on {date(at)}{SPACE}{at.year} at {at:%H:%M} {at.tzname() or ''}."
