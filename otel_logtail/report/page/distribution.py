"""The section "How slow": the distribution of all samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from otel_logtail.model import Counts
from otel_logtail.query.intervals import percentiles_ns
from otel_logtail.report.bars import Bar
from otel_logtail.report.data import Report
from otel_logtail.report.page.head import LEAST
from otel_logtail.report.page.html import Table, figure, tag
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.scales import KINDS, LABEL, Durations, severity, spread
from otel_logtail.report.page.svg import Point, Svg, dots, polyline
from otel_logtail.report.spectrum import bars, spectrum
from otel_logtail.report.timeline import steps
from otel_logtail.report.words import count, digits, exact, measured, part_of, share

_TOP, _TALL = 48.0, 180.0
_POINTS = 160
_PERCENTS = tuple(Fraction(text) for text in ("50", "90", "99", "99.9", "99.99", "99.999"))


def distribution_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    report = model.report
    if report.summary.count < LEAST:
        return
    found = bars(report.counts, report.thresholds_ms or ())
    times = _times(found, report.thresholds_ms)
    earlier = model.comparison.counts if model.comparison is not None else None
    earlier = earlier if earlier is not None and earlier.count >= LEAST else None
    spectral = figure("Latency by percentile", _spectrum(report, earlier).markup(), _percentiles(report))
    share_of = figure("Samples by duration", _histogram(report, found, times).markup(), _table(found))
    yield Section(
        heading=_heading(report),
        sub=_sub(report, times, has_earlier=earlier is not None),
        content=tag("div", spectral, share_of, class_="two inside"),
        anchor="how-slow",
    )


def _heading(report: Report) -> str:
    if report.thresholds_ms is None:
        return "How slow"
    limit, slow = exact(report.thresholds_ms[0]), report.deciding.slow
    if not slow:
        return f"How slow: no sample over {limit}"
    if 2 * slow > report.summary.count:
        return f"How slow: {share(slow / report.summary.count)} of all samples take over {limit}"
    return f"How slow: {part_of(slow, report.summary.count)} samples takes over {limit}"


def _sub(report: Report, times: float, *, has_earlier: bool) -> str:
    figures = report.deciding
    dotted = " (dotted: the period before)" if has_earlier else ""
    text = f"Latency by percentile{dotted}, and the share of all samples by duration."
    if figures.slow:
        percent = share(figures.slow / figures.samples)
        text += f" Slow samples: {figures.slow:,} ({percent}), {count(figures.stall, 'stall')}."
    if times > 1 and report.thresholds_ms:
        text += f" Bars above {exact(report.thresholds_ms[0])} are drawn {digits(times, 2)} times taller."
    return text


# --- spectrum -----------------------------------------------------------------------------------------------------


def _spectrum(report: Report, earlier: Counts | None) -> Svg:
    """Plot durations by percentile: each step to the right is a tenth of the samples before it."""
    counts, fixed = report.counts, report.thresholds_ms or ()
    points = list(spectrum(counts, _POINTS))
    plot = Svg(_TOP + _TALL + 22, "latency by percentile")
    values = [ms for _, ms in points]
    scale = Durations.around(min(*values, *fixed, values[0]), max(*values, *fixed, values[0]), _TOP, _TOP + _TALL)
    scale.axis(plot, fixed)
    most = max(math.log10(counts.count), 0.31)
    for percent in _PERCENTS:
        x = 100 * -math.log10(1 - percent / 100) / most
        if x <= 100:
            plot.line((x, _TOP), (x, _TOP + _TALL), "grid")
            plot.text(x, _TOP + _TALL + 16, f"p{float(percent):g}", "mid")
    plot.line((0, _TOP + _TALL), (100, _TOP + _TALL), "axis")
    if earlier is not None:
        before = (point for point in spectrum(earlier, _POINTS) if 0 < point[0] <= most)
        plot.path(polyline([(100 * x / most, scale.y(ms)) for x, ms in before]), "line soft")
    found: list[Point] = [(100 * x / most, scale.y(ms)) for x, ms in points]
    plot.path(polyline(found), "line ok")
    _crossings(plot, report, scale, most)
    return plot


def _crossings(plot: Svg, report: Report, scale: Durations, most: float) -> None:
    """Mark where the thresholds are crossed, with the share of samples beyond them."""
    figures = report.deciding
    lines = []
    is_early = (
        2 * figures.slow > figures.samples or 100 * math.log10(figures.samples / max(1, figures.slow)) < 40 * most
    )
    for ms, kind, slow in zip(report.thresholds_ms or (), KINDS[1:], (figures.slow, figures.stall), strict=False):
        part = part_of(slow, figures.samples) if slow else "none"
        lines.append((scale.y(ms) - 5, f"{part} over {exact(ms)}", kind))
        if slow:
            x = 100 * math.log10(figures.samples / slow) / most
            plot.path(dots([(x, scale.y(ms))]), f"dot {kind}")
    for (_, words, kind), y in zip(lines, spread([line[0] for line in lines], LABEL), strict=True):
        if is_early:  # the line is above the thresholds on the right
            plot.text(100, y, words, f"end halo {kind}", dx=-4)
        else:
            plot.text(0, y, words, f"halo {kind}", dx=4)


def _percentiles(report: Report) -> Table:
    shown = [percent for percent in _PERCENTS if 1 / (1 - percent / 100) <= report.summary.count] or [_PERCENTS[0]]
    values = [ns / 1e6 for ns in percentiles_ns(report.counts, shown)]
    rows = [[f"p{float(percent):g}", measured(ms)] for percent, ms in zip(shown, values, strict=True)]
    return Table(
        caption="Latency by percentile",
        columns=["percentile", "duration"],
        rows=[*rows, ["slowest", measured(report.summary.max_ms)]],
        sides="lr",
    )


# --- histogram ----------------------------------------------------------------------------------------------------


def _times(found: Sequence[Bar], thresholds_ms: tuple[float, float] | None) -> float:
    """Return how many times taller the bars of slow samples are drawn, so that they can be seen."""
    fast = max((bar.count for bar in found if not severity(bar.from_ms, thresholds_ms)), default=0)
    slow = max((bar.count for bar in found if severity(bar.from_ms, thresholds_ms)), default=0)
    times = fast / slow if slow else 1.0
    return float(digits(times, 2).replace(",", "")) if times >= 1.5 else 1.0


def _histogram(report: Report, found: Sequence[Bar], times: float) -> Svg:
    plot = Svg(_TOP + _TALL + 22, "samples by duration")
    thresholds_ms, base = report.thresholds_ms, _TOP + _TALL
    low, high = math.log(found[0].from_ms), math.log(found[-1].to_ms)

    def x(ms: float) -> float:
        return 100 * (math.log(ms) - low) / (high - low)

    heights = [bar.count * (times if severity(bar.from_ms, thresholds_ms) else 1.0) for bar in found]
    most = max(heights)
    _x_labels(plot, found, x, base)
    for bar, height in zip(found, heights, strict=True):
        if bar.count:
            tall = max(1.5, _TALL * height / most)
            wide = x(bar.to_ms) - x(bar.from_ms)
            title = f"{measured(bar.from_ms)} to {measured(bar.to_ms)}\n{count(bar.count, 'sample')}"
            kind = KINDS[severity(bar.from_ms, thresholds_ms)]
            plot.rect((x(bar.from_ms) + wide * 0.06, base - tall), wide * 0.88, tall, kind, title)
    plot.line((0, base), (100, base), "axis")
    tallest = max(
        (bar for bar in found if not severity(bar.from_ms, thresholds_ms)), key=lambda b: b.count, default=None
    )
    if tallest is not None and tallest.count:
        y = base - _TALL * tallest.count / most
        plot.text(0, y + 4, share(tallest.count / report.summary.count), "end", dx=-8)
    _limits(plot, report, x)
    return plot


def _x_labels(plot: Svg, found: Sequence[Bar], x: Callable[[float], float], base: float) -> None:
    """Write round durations below the bars, as many as there is room for: decades, or 1-2-5."""
    inside = [ms for ms in steps() if found[0].from_ms <= ms * 1.0001 and ms <= found[-1].to_ms * 1.0001]
    decades = [ms for ms in inside if abs(math.log10(ms) % 1) < 1e-9 or ms in (60_000, 600_000)]
    taken = -100.0
    for ms in decades if len(decades) > 2 else inside:
        if x(ms) - taken >= 17:
            taken = x(ms)
            plot.line((taken, base), (taken, base + 4), "axis")
            plot.text(taken, base + 16, exact(ms), "mid")


def _limits(plot: Svg, report: Report, x: Callable[[float], float]) -> None:
    """Draw the thresholds, with the number of samples of each severity in a row of its own."""
    if report.thresholds_ms is None:
        return
    figures = report.deciding
    numbers = (figures.slow - figures.stall, figures.stall)
    for ms, kind, number, y in zip(report.thresholds_ms, KINDS[1:], numbers, (28.0, 14.0), strict=True):
        at = x(ms)
        plot.line((at, y - 10), (at, _TOP + _TALL), f"edge {kind}")
        side, dx = ("end ", -5) if at > 60 else ("", 5)
        plot.text(at, y, f"{number:,} {kind}", f"{side}{kind}", dx=dx)
    at = x(report.thresholds_ms[0])
    if at >= 30:
        fast = figures.samples - figures.slow
        plot.text(at, 42, f"{share(fast / figures.samples)} ok", "end halo ok", dx=-5)


def _table(found: Sequence[Bar]) -> Table:
    return Table(
        caption="Samples by duration",
        columns=["from", "to", "samples"],
        rows=[[measured(bar.from_ms), measured(bar.to_ms), f"{bar.count:,}"] for bar in found if bar.count],
        sides="rrr",
    )
