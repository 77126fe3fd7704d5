"""The section "How slow": the distribution of all samples."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.bars import histogram
from otel_logtail.report.page.html import Markup, figure
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.plots import histogram_plot


def distribution_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    report = model.report
    if report.summary.count:
        plot = Markup(histogram_plot(histogram(report.counts, 4), report.thresholds_ms))
        yield Section(heading="How slow", content=figure("histogram of durations", plot))
