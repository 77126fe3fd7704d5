"""The section "Longest stalls"."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.page.html import Table
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.rows import EPISODE_SIDES, episode_rows


def stall_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    if model.report.worst:
        heading, *rows = episode_rows(model.report, model.tz)
        table = Table(caption="Worst episodes", columns=heading, rows=rows, sides=EPISODE_SIDES)
        yield Section(heading="Worst episodes", content=table.markup())
