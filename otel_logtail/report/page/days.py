"""The sections "By day" and "By hour"."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.page.html import Markup, figure
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.plots import calendar_plot


def day_sections(model: Model) -> Iterator[Section]:
    """Yield the sections."""
    report = model.report
    if report.summary.episodes:
        unit = "hour" if report.hourly else "day"
        plot = Markup(calendar_plot([(slot.label, slot.stalls, slot.degraded) for slot in report.slots], unit))
        yield Section(heading=f"By {unit}", content=figure(f"episodes by {unit}", plot))
