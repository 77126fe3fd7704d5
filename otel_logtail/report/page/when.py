"""The section "When": latency over time, with episodes, stalls and load on the same axis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo

from otel_logtail.report.axis import span
from otel_logtail.report.findings import stalls_around_mark, stalls_in_time
from otel_logtail.report.page.html import Table, figure
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.page.stalls import anchor_of
from otel_logtail.report.page.time_plot import key, time_plot
from otel_logtail.report.timeline import Timeline
from otel_logtail.report.words import column
from otel_logtail.text import parse_when


def when_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    report = model.report
    line = report.timeline
    if not line.buckets:
        return
    stalls = [
        (parse_when(s.episode.start, 0), f"#{anchor_of(s.episode)}") for s in report.longest if not report.sources
    ]
    plot = time_plot(line, report.thresholds_ms, model.tz, found=report.marks, stalls=stalls)
    found = stalls_in_time(line, model.tz) or stalls_around_mark(line, report.marks)
    yield Section(
        heading=f"When: {found}" if found else "When",
        sub=_explained(line),
        content=figure("Latency over time", plot.markup(), _table(line, model.tz), key=key(line)),
        anchor="when",
    )


def _explained(line: Timeline) -> str:
    if line.dots:
        return "All samples; durations are logarithmic."
    return (
        "All samples; durations are logarithmic, weekends are shaded. A figure on the right is the highest of its row."
    )


def _table(line: Timeline, tz: tzinfo | None) -> Table:
    filled = [bucket for bucket in line.lines if bucket.count or bucket.stalls or bucket.degraded]
    figures = [column([getattr(b, name) for b in filled]) for name in ("p50_ms", "p99_ms", "max_ms")]
    return Table(
        caption="Latency over time",
        columns=["time", "samples", "median", "p99", "slowest", "stalls", "degraded episodes"],
        rows=[
            [span(b.start_ns, b.end_ns, tz), f"{b.count:,}", *cells, f"{b.stalls:,}", f"{b.degraded:,}"]
            for b, *cells in zip(filled, *figures, strict=True)
        ],
        sides="lrrrrrr",
    )
