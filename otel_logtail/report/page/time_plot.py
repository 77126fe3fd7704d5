"""The plot over time: latency, and on the same axis stalls, degraded episodes, load and the heat map. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import tzinfo
from itertools import groupby

from otel_logtail.model import Mark
from otel_logtail.report.axis import DAY_S, SECOND_NS, span
from otel_logtail.report.page import marks
from otel_logtail.report.page.heat import LEVELS, ROW, heat_map
from otel_logtail.report.page.html import Markup, join, tag
from otel_logtail.report.page.scales import KINDS, LABEL, Durations, Time, severity, spread
from otel_logtail.report.page.svg import Point, Svg, area, boxes, dots, polyline
from otel_logtail.report.timeline import Bucket, Timeline
from otel_logtail.report.words import SPACE, count, digits, exact, measured

TOP = 8.0
"""The place of the top of the latency plot, in pixels."""

_LATENCY = 190.0


def time_plot(
    line: Timeline,
    thresholds_ms: tuple[float, float] | None,
    tz: tzinfo | None,
    *,
    found: Sequence[Mark] = (),
    stalls: Sequence[tuple[int, str]] = (),
) -> Svg:
    """Return the plot.

    Args:
        line: The range in buckets.
        thresholds_ms: The thresholds; None: the sources have different ones.
        tz: The time zone of the labels.
        found: The marks in the range, whose names are above the latency.
        stalls: Times in ns, and the addresses of what is to be seen about them.
    """
    time = _time(line, tz)
    names = marks.place(found, time)
    top = TOP + marks.height(names)
    has_few = bool(line.dots)
    heat = 0.0 if has_few else 44 + ROW * len(line.cells[0])
    rows = _rows(line)
    strips = top + _LATENCY + 10
    base = strips + sum(height + 12 for _, height, _, _ in rows)
    plot = Svg(base + 22 + heat, "latency over time")
    time.grid(plot, top, base)
    _latency(plot, time, line, thresholds_ms, top)
    y = strips
    for name, height, values, kinds in rows:
        y += 12 + height
        _strip(plot, time, line.buckets, (name, y, height), values, kinds)
    plot.line((0, base), (100, base), "axis")
    marks.draw(plot, names, top, base)
    time.labels(plot, base + 16)
    if heat:
        heat_map(plot, time, line, base + 40, thresholds_ms)
        time.labels(plot, base + heat + 12)
        _hits(plot, time, line.buckets, (top, base + heat - 4), stalls)
    return plot


def _time(line: Timeline, tz: tzinfo | None) -> Time:
    """Return the axis: all buckets, or a little more than the time of the dots."""
    if not line.dots:
        return Time(line.buckets[0].start_ns, line.buckets[-1].end_ns, tz)
    times = [dot.time_ns for dot in line.dots]
    room_ns = max((max(times) - min(times)) // 50, SECOND_NS // 4)
    return Time(min(times) - room_ns, max(times) + room_ns, tz)


# --- latency ------------------------------------------------------------------------------------------------------


def _latency(plot: Svg, time: Time, line: Timeline, thresholds_ms: tuple[float, float] | None, top: float) -> None:
    lowest = [b.p10_ms or b.max_ms or 1.0 for b in line.buckets if b.count]
    low_ms = min((dot.ms for dot in line.dots), default=min(lowest))
    high_ms = max(b.max_ms or 0.0 for b in line.buckets)
    fixed = thresholds_ms or ()
    scale = Durations.around(min(low_ms, *fixed, high_ms), max(high_ms, *fixed, low_ms), top, top + _LATENCY)
    scale.axis(plot, fixed)
    names = [(scale.y(ms), kind, kind) for ms, kind in zip(fixed, KINDS[1:], strict=False)]
    if line.dots:
        found = [((time.x(dot.time_ns), scale.y(dot.ms)), KINDS.index(dot.severity)) for dot in line.dots]
    else:
        _band(plot, time, scale, line.buckets)
        names += _lines(plot, time, scale, line.buckets)
        found = [
            ((_middle(time, b), scale.y(b.max_ms)), severity(b.max_ms, thresholds_ms))
            for b in line.buckets
            if b.max_ms is not None
        ]
    for at, kind in enumerate(KINDS):
        plot.path(dots(point for point, level in found if level == at), f"dot {kind}")
    for place, (_, name, kind) in zip(spread([name[0] for name in names], LABEL), names, strict=True):
        _name(plot, place + 4, name, kind)


def _name(plot: Svg, y: float, name: str, kind: str) -> None:
    """Write a name into the right gutter; a phone has less room."""
    if name == "degraded":
        plot.text(100, y, name, f"{kind} wide", dx=8)
        plot.text(100, y, "degr.", f"{kind} phone", dx=6)
    else:
        plot.text(100, y, name, kind, dx=8)


def _band(plot: Svg, time: Time, scale: Durations, buckets: Sequence[Bucket]) -> None:
    for has_band, run in groupby(buckets, key=lambda b: b.p10_ms is not None):
        if has_band:
            places = list(run)
            xs = _across(time, places)
            upper, lower = (
                [(x, scale.y(ms or 0.0)) for x, ms in zip(xs, (values[0], *values, values[-1]), strict=True)]
                for values in ([b.p90_ms for b in places], [b.p10_ms for b in places])
            )
            plot.path(area(upper, lower), "fill ok band")


def _across(time: Time, run: Sequence[Bucket]) -> list[float]:
    """Return the places of some buckets in a row: the start of the first, the middle of each, the end of the last."""
    return [time.x(run[0].start_ns), *(_middle(time, b) for b in run), time.x(run[-1].end_ns)]


def _lines(plot: Svg, time: Time, scale: Durations, buckets: Sequence[Bucket]) -> Iterator[tuple[float, str, str]]:
    """Draw p99 and the median. Yields the names for the right gutter, each with its place and its kind."""
    for name, kind in (("p99", "ink"), ("p50", "ok")):
        values: list[float | None] = [getattr(b, f"{name}_ms") for b in buckets]
        points: list[Point | None] = [
            None if ms is None else (_middle(time, b), scale.y(ms)) for b, ms in zip(buckets, values, strict=True)
        ]
        plot.path(polyline(points), f"line {kind}")
        if last := next((point for point in reversed(points) if point is not None), None):
            yield last[1], name, f"{kind} strong"


def _middle(time: Time, bucket: Bucket) -> float:
    return time.x((bucket.start_ns + bucket.end_ns) / 2)


# --- strips -------------------------------------------------------------------------------------------------------

_WIDEST = 1.2  # the widest bar of an episode, in per cent
_Strip = tuple[str, float, Callable[[Bucket], float], tuple[str, str]]
"""Name, height, value of a bucket, and the color and the text of the highest value."""


def _rows(line: Timeline) -> list[_Strip]:
    """Return the strips below the latency: stalls, degraded episodes, load."""
    peaks = [b.peak_ms for b in line.buckets if b.peak_ms]
    degraded = max(b.degraded for b in line.buckets)
    low, high = min(peaks, default=1.0), max(peaks, default=1.0)
    room = math.log(high / low) + 0.7

    def peak(bucket: Bucket) -> float:
        return (math.log(bucket.peak_ms / low) + 0.7) / room if bucket.peak_ms else 0.0

    found: list[_Strip] = [("stalls", 26, peak, ("stall", exact(high) if peaks else ""))]
    if degraded or not line.dots:
        found.append(("degraded", 16, lambda b: b.degraded / max(1, degraded), ("degraded", f"{degraded:,}")))
    if not line.dots:
        rates = [b.count / (b.end_ns - b.start_ns) for b in line.buckets]
        most = max(rates)
        found.append(("samples", 20, lambda b: b.count / (b.end_ns - b.start_ns) / most, ("soft", _rate(most * 1e9))))
    return found


def _strip(
    plot: Svg,
    time: Time,
    buckets: Sequence[Bucket],
    place: tuple[str, float, float],
    value: Callable[[Bucket], float],
    kinds: tuple[str, str],
) -> None:
    (name, base, height), (kind, highest) = place, kinds
    if name == "degraded":
        plot.text(0, base, name, "end ink wide", dx=-8)
        plot.text(0, base, "degr.", "end ink phone", dx=-8)
    else:
        plot.text(0, base, name, "end ink", dx=-8)
    parts = [(max(0.0, time.x(b.start_ns)), min(100.0, time.x(b.end_ns)), value(b)) for b in buckets]
    if not any(part for _, _, part in parts):
        plot.text(0, base, "none", dx=4)
        return
    most = 100.0 if kind == "soft" else _WIDEST  # load is one shape, episodes are bars
    found = (
        ((middle - half, base - max(1.5, height * part)), (middle + half, base))
        for start, end, part in parts
        for middle, half in [((start + end) / 2, min(most, (1.0 if kind == "soft" else 0.7) * (end - start)) / 2)]
        if part
    )
    plot.path(boxes(found), "fill soft o4" if kind == "soft" else f"fill {kind}")
    plot.text(100, base - height / 2 + 4, highest, dx=8)


def _rate(per_s: float) -> str:
    for unit, length in (("s", 1), ("min", 60), ("h", 3600)):
        if per_s * length >= 1:
            return f"{digits(per_s * length, 2)}/{unit}"
    return f"{digits(per_s * 86_400, 2)}/day"


# --- tooltips -----------------------------------------------------------------------------------------------------


def _hits(
    plot: Svg, time: Time, buckets: Sequence[Bucket], extent: tuple[float, float], stalls: Sequence[tuple[int, str]]
) -> None:
    """Draw a column for each bucket: it shows its figures, and leads to the first of its stalls with an address."""
    top, base = extent
    for bucket in buckets:
        if bucket.count or bucket.stalls or bucket.degraded:
            start, end = time.x(bucket.start_ns), time.x(bucket.end_ns)
            href = next((to for at_ns, to in stalls if bucket.start_ns <= at_ns < bucket.end_ns), "")
            plot.rect((start, top), end - start, base - top, "hit", _told(bucket, time.tz), href=href)


def _told(bucket: Bucket, tz: tzinfo | None) -> str:
    parts = [span(bucket.start_ns, bucket.end_ns, tz), count(bucket.count, "sample")]
    figures = (("median", bucket.p50_ms), ("p99", bucket.p99_ms), ("slowest", bucket.max_ms))
    parts.append(", ".join(f"{name} {measured(ms)}" for name, ms in figures if ms is not None))
    events = ((bucket.stalls, "stall"), (bucket.degraded, "degraded episode"))
    parts.append(", ".join(count(number, noun) for number, noun in events if number))
    return "\n".join(part for part in parts if part)


def key(line: Timeline) -> list[Markup]:
    """Return the meaning of the colors, each with a small picture."""
    if line.dots:
        return [Markup("Each dot is a sample.")]
    shades = [(f"fill ok{'' if shade == LEVELS else f' o{shade}'}", 20 * (shade - 1), 20) for shade in range(1, 6)]
    return [
        _entry([("line ok", None)], "median"),
        _entry([("fill ok band", boxes([((0, 0), (100, 10))]))], "p10 to p90"),
        _entry([("line ink", None)], "p99"),
        _entry([("dot stall", dots([(50, 5)]))], f"slowest of each {width(line.width_s)}"),
        _entry([("fill stall", boxes([((45, 0), (55, 10))]))], "stalls: taller is longer"),
        _entry(
            [(kind, boxes([((x, 0), (x + wide, 10))])) for kind, x, wide in shades], "few to many samples (logarithmic)"
        ),
    ]


def _entry(paths: Sequence[tuple[str, str | None]], words: str) -> Markup:
    small = [tag("path", class_=kind, d=path or polyline([(0, 5), (100, 5)])) for kind, path in paths]
    svg = tag("svg", *small, viewBox="0 0 1000 10", preserveAspectRatio="none", aria_hidden="true")
    return join([svg, words])


def width(seconds: int) -> str:
    """Return the width of a bucket in words: ``30 s``, ``3 h``, ``day``, ``7 days``."""
    for unit, length in (("day", DAY_S), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= length:
            number = seconds // length
            if unit == "day":
                return unit if number == 1 else f"{number}{SPACE}days"
            return f"{number}{SPACE}{unit}"
    return "moment"
