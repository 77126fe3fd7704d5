"""The section that compares two periods: each change with its interval on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterator

from otel_logtail.report.compare import Comparison, change_text
from otel_logtail.report.figures import Figure, Word
from otel_logtail.report.findings import comparison_heading
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.svg import Svg, dots
from otel_logtail.report.rows import change_rows, periods_of

_OCTAVES = 4  # the axis ends at 1/16 and at 16
_HEIGHT = 12
_TICKS = ((-3, "⅛"), (0, "same"), (3, "8×"))
_KINDS = {Word.BETTER: "met", Word.WORSE: "stall"}
_RARE = ("stalls", "episodes", "time in episodes")


def comparison_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    comparison = model.comparison
    if comparison is None:
        return
    parts = [tag("p", periods_of(comparison, model.tz), class_="sub")]
    if comparison.figures:
        parts.append(_table(comparison))
    if news := comparison.news.sentence:
        parts.append(tag("p", news))
    parts += [tag("p", f"Note: {note}", class_="note") for note in comparison.notes]
    yield Section(
        heading=comparison_heading(comparison, model.tz),
        sub=f"{comparison.sentence} Left of “same” is better; a line is the 99 % interval.",
        content=join(parts, "\n"),
    )


def _table(comparison: Comparison) -> Markup:
    heading, *rows = change_rows(comparison)
    ordered = [*sorted(comparison.figures, key=lambda figure: not figure.decides), *comparison.causes]
    return Table(
        caption="Changes",
        columns=["figure", *heading[1:3], heading[4], _axis(), "verdict"],
        rows=[
            [*row[:3], _change(figure, row[4]), _bar(figure), _word(figure)]
            for row, figure in zip(rows, ordered, strict=True)
        ],
        sides="lrrrll",
        kind="changes",
        classes=["", "", "", "change", "bar", "verdict"],
    ).markup()


def _axis() -> Markup:
    svg = Svg(14, "change as a factor, logarithmic")
    for octave, label in _TICKS:
        svg.text(_x(octave * math.log(2)), 11, label, "mid")
    return svg.markup()


def _x(change: float) -> float:
    """Return the place of a factor's logarithm in per cent; one beyond the axis is at its end."""
    octaves = change / math.log(2)
    return 50 + 50 * min(1.0, max(-1.0, octaves / _OCTAVES))


def _bar(figure: Figure) -> Markup:
    svg = Svg(_HEIGHT, change_text(figure))
    for octave in range(-_OCTAVES + 1, _OCTAVES):
        svg.line((_x(octave * math.log(2)), -8), (_x(octave * math.log(2)), 20), "grid" if octave else "axis")
    ratio = figure.ratio
    if ratio is not None:
        kind, middle = _kind(figure), _HEIGHT / 2
        svg.line((_x(ratio.low), middle), (_x(ratio.high), middle), f"interval {kind}")
        for bound, sign in ((ratio.low, "‹"), (ratio.high, "›")):
            if abs(bound) > _OCTAVES * math.log(2):
                svg.text(_x(bound), middle + 4, sign, f"{'end' if bound > 0 else ''} {kind}".strip())
        if math.isfinite(ratio.change):
            svg.path(dots([(_x(ratio.change), middle)]), f"dot {kind}")
    return svg.markup()


def _kind(figure: Figure) -> str:
    """Return the color: only a change whose interval excludes "no change" has one."""
    return _KINDS.get(figure.word, "soft")


def _change(figure: Figure, text: str) -> Markup:
    """Return the change in bold, and its interval."""
    change, bracket, interval = text.partition(" (")
    if bracket and _is_rare(figure):
        return join([tag("b", change), tag("span", f"too few {_noun(figure)}", class_="soft")], " ")
    return join([tag("b", change), tag("span", interval.removesuffix(")"), class_="soft")], " ")


def _is_rare(figure: Figure) -> bool:
    """Return whether a figure of episodes has too few of them for an interval that shows anything."""
    ratio = figure.ratio
    is_open = ratio is not None and max(-ratio.low, ratio.high) > _OCTAVES * math.log(2)
    return figure.name in _RARE and is_open and figure.word is Word.UNKNOWN


def _noun(figure: Figure) -> str:
    return "stalls" if figure.name == "stalls" else "episodes"


def _word(figure: Figure) -> Markup:
    word = figure.word
    return tag("span", word.value, class_=f"word {word.value}") if word in _KINDS else tag("span", word.value)
