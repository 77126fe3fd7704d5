"""The sections "By day" and "By hour": on which days, and at which hours of the week, stalls began."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from otel_logtail.report.axis import DAY_S, labels, to_ns
from otel_logtail.report.calendar import Slot
from otel_logtail.report.findings import days_over, stalls_in_week
from otel_logtail.report.page import marks
from otel_logtail.report.page.html import Table, figure
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.scales import Time
from otel_logtail.report.page.svg import Svg
from otel_logtail.report.slo import Slo, parse_slo
from otel_logtail.report.words import count, day, weekday

_TOP, _TALL = 16.0, 112.0
_CELL = 18.0
_LABELS = 5
_WIDEST = 6.0  # per cent
_NAMES = 2.0  # the width of a character of a name, in per cent of a plot of half the width


def day_sections(model: Model) -> Iterator[Section]:
    """Yield the sections: days from two days on, hours from a week on."""
    report = model.report
    is_stall = bool(report.stalls)
    if len(report.days) > 1 and (is_stall or report.summary.episodes):
        target = _target(model) if is_stall else None
        found = days_over(report.days, target) if is_stall else ""
        noun = "Stalls" if is_stall else "Degraded episodes"
        yield Section(
            heading=f"By day: {found}" if found else "By day",
            sub=f"{noun} that began on each day.",
            content=figure(f"{noun} by day", _days(model, target, is_stall=is_stall).markup(), _table(report.days)),
            half=True,
        )
    if is_stall and report.deciding.covered_s >= 7 * DAY_S:
        found = stalls_in_week(report.week)
        yield Section(
            heading=f"By hour: {found}" if found else "By hour",
            sub="Stalls that began in each hour of the week, all weeks together.",
            content=figure(
                "Stalls by hour of the week", _week(report.week).markup(), _week_table(report.week), kind="hours"
            ),
            half=True,
        )


def _target(model: Model) -> Slo | None:
    """Return the strictest target for the number of stalls a day, if there is one."""
    found = [parse_slo(verdict.slo) for verdict in model.report.verdicts]
    daily = [slo for slo in found if (slo.subject, slo.per) == ("stalls", "day")]
    return min(daily, key=lambda slo: slo.bound, default=None)


def _days(model: Model, target: Slo | None, *, is_stall: bool) -> Svg:
    """Plot the number of each day, the marks, and the limit; days that missed it are solid."""
    days = model.report.days
    numbers = [slot.stalls if is_stall else slot.degraded for slot in days]
    starts = [datetime.fromisoformat(slot.label) for slot in days]
    time = Time(to_ns(starts[0], model.tz), to_ns(starts[-1] + timedelta(days=1), model.tz), model.tz)
    limit = float(target.bound) if target else 0.0
    most = max(*numbers, limit, 1.0)
    names = marks.place(model.report.marks, time, _NAMES)
    top = _TOP + marks.height(names)
    base, step = top + _TALL, _step(most)
    plot = Svg(base + 22, f"{'stalls' if is_stall else 'degraded episodes'} by day")
    for number in range(0, math.floor(most) + 1, step):
        y = base - _TALL * number / most
        plot.line((0, y), (100, y), "grid" if number else "axis")
        plot.text(0, y + 4, f"{number:,}", "end", dx=-8)
    wide = 100 / len(days)
    for at, (slot, number) in enumerate(zip(days, numbers, strict=True)):
        if number:
            tall = _TALL * number / most
            is_over = target is not None and is_stall and not target.is_met(number)
            kind = ("stall" if is_over or not target else "stall o4") if is_stall else "degraded"
            bar = min(wide * 0.76, _WIDEST)
            corner = (wide * (at + 0.5) - bar / 2, base - tall)
            plot.rect(corner, bar, tall, kind, f"{day(starts[at])}\n{_events(slot)}")
    marks.draw(plot, names, top, base)
    if target is not None:
        y = base - _TALL * limit / most
        plot.line((0, y), (100, y), "ink")
        plot.text(100, y + 4, "target", "ink strong", dx=8)
    for place, (time_ns, label) in enumerate(labels(time.start_ns, time.end_ns, model.tz, _LABELS)):
        plot.text(time.x(time_ns) + wide / 2, base + 16, label, "mid wide" if place % 2 else "mid")
    return plot


def _step(most: float) -> int:
    """Return the distance of the lines: 1, 2, 5, 10 …, for at most six of them."""
    found = 1
    while most / found > 6:
        found = found * 5 // 2 if str(found).startswith("2") else found * 2
    return found


def _events(slot: Slot) -> str:
    return f"{count(slot.stalls, 'stall')}, {count(slot.degraded, 'degraded episode')}"


def _table(days: Sequence[Slot]) -> Table:
    shown = [slot for slot in days if slot.stalls or slot.degraded]
    return Table(
        caption="Episodes by day",
        columns=["day", "stalls", "degraded episodes"],
        rows=[[day(datetime.fromisoformat(s.label)), f"{s.stalls:,}", f"{s.degraded:,}"] for s in shown],
        sides="lrr",
    )


# --- hours of the week --------------------------------------------------------------------------------------------


def _week(week: Sequence[Sequence[int]]) -> Svg:
    """Plot the number of each hour of each weekday, with the sums of hours as bars and those of days as numbers."""
    sums = [sum(row[hour] for row in week) for hour in range(24)]
    most, tallest = max(map(max, week)), max(sums)
    top = _TOP + 22
    plot = Svg(top + 7 * _CELL + 22, "stalls by hour of the week")
    wide = 100 / 24
    for hour, number in enumerate(sums):
        if number:
            tall = max(2.0, 22 * number / tallest)
            title = f"{hour:02d}:00 to {hour + 1:02d}:00\n{count(number, 'stall')}"
            plot.rect((wide * (hour + 0.1), top - 6 - tall), wide * 0.8, tall, "soft", title)
    for row, numbers in enumerate(week):
        y = top + _CELL * row
        plot.rect((0, y + 0.5), 100, _CELL - 1, "wash")
        plot.text(0, y + 13, weekday(row), "end", dx=-8)
        plot.text(100, y + 13, f"{sum(numbers):,}", "ink", dx=8)
        for hour, number in enumerate(numbers):
            if number:
                _cell(plot, (wide * hour, y), number, most, f"{weekday(row)} {hour:02d}:00 to {hour + 1:02d}:00")
    for hour in range(0, 24, 3):
        plot.text(wide * (hour + 0.5), top + 7 * _CELL + 16, f"{hour:02d}", "mid")
    return plot


def _cell(plot: Svg, corner: tuple[float, float], number: int, most: int, name: str) -> None:
    (x, y), wide = corner, 100 / 24
    part = number / most
    kind = "stall" if part > 0.75 else "stall o4" if part > 0.4 else "stall o2"
    plot.rect((x + 0.15, y + 0.5), wide - 0.3, _CELL - 1, kind, f"{name}\n{count(number, 'stall')}")
    if number < 100:  # more digits do not fit
        plot.text(x + wide / 2, y + 13, f"{number}", f"mid cell {'paper' if part > 0.4 else 'ink'}")


def _week_table(week: Sequence[Sequence[int]]) -> Table:
    return Table(
        caption="Stalls by hour of the week",
        columns=["day", *(f"{hour:02d}" for hour in range(24)), "all"],
        rows=[
            [weekday(row), *(f"{number:,}" if number else "" for number in numbers), f"{sum(numbers):,}"]
            for row, numbers in enumerate(week)
        ],
        sides="l" + 25 * "r",
        kind="week",
    )
