"""The section "Why": the causes of slow samples."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.page.html import Markup, figure
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.plots import causes_plot
from otel_logtail.text import printable


def cause_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    causes = model.report.causes
    if causes:
        plot = Markup(causes_plot([(printable(cause.name), cause.degraded, cause.stall) for cause in causes]))
        yield Section(heading="Why", sub="Causes of slow samples.", content=figure("causes of slow samples", plot))
