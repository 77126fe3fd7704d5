"""The section "Why": the time in stalls of each cause, its meaning, and advice."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.findings import name_of, why_heading
from otel_logtail.report.page.html import Markup, Table, join, tag
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.svg import Svg
from otel_logtail.report.stalls import Cause
from otel_logtail.report.words import count, measured

_LONGEST = 72.0  # the length of the longest bar in per cent: its figure is at the right
_HEIGHT = 12


def cause_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    causes = model.report.causes
    if not causes:
        return
    with_stalls = any(cause.stalls for cause in causes)
    most = max(_amount(cause, with_stalls=with_stalls) for cause in causes) or 1.0
    table = Table(
        caption="Causes",
        columns=["cause", "time in stalls" if with_stalls else "slow samples", "meaning and advice"],
        rows=[
            [_name(cause), _bar(cause, most, with_stalls=with_stalls), _advice(cause, with_stalls=with_stalls)]
            for cause in causes
        ],
        sides="lll",
        kind="causes stack",
        classes=["", "bar", "tip"],
    )
    yield Section(
        heading=why_heading(model.report),
        sub="The cause of a stall is that of its slowest sample: the largest part of it.",
        content=table.markup(),
    )


def _amount(cause: Cause, *, with_stalls: bool) -> float:
    return cause.time_in_stalls_ms if with_stalls else cause.degraded + cause.stall


def _name(cause: Cause) -> Markup:
    title = name_of(cause)
    figures = [count(cause.stalls, "stall") if cause.stalls else "", count(cause.degraded + cause.stall, "slow sample")]
    under = " · ".join(filter(None, [cause.name if cause.title else "", *figures]))
    return join([tag("b", title[:1].upper() + title[1:]), tag("br"), tag("span", under, class_="soft")])


def _bar(cause: Cause, most: float, *, with_stalls: bool) -> Markup:
    """Return a bar and its figure; a cause without a stall has none."""
    amount = _amount(cause, with_stalls=with_stalls)
    text = measured(amount) if with_stalls else f"{amount:,.0f}"
    svg = Svg(_HEIGHT, f"{text} in stalls" if with_stalls else text)
    wide = _LONGEST * amount / most
    if amount:
        svg.rect((0, 0), max(0.5, wide), _HEIGHT, "stall" if with_stalls else "degraded")
    svg.text(wide + 2 if amount else 0, _HEIGHT - 1, text if amount else "no stall", "ink" if amount else "")
    return svg.markup()


def _advice(cause: Cause, *, with_stalls: bool) -> Markup:
    if not cause.stalls and with_stalls:
        return tag("span", cause.meaning, class_="soft")
    return join([tag("span", cause.meaning, class_="soft"), cause.advice, cause.hint], " ")
