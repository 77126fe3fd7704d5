"""The section that compares two periods."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.page.html import Table, join, tag
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.rows import CHANGE_SIDES, change_rows, periods_of


def comparison_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    comparison = model.comparison
    if comparison is None:
        return
    parts = []
    if comparison.figures:
        heading, *rows = change_rows(comparison)
        cells = [
            [*row[:-1], tag("span", row[-1], class_=f"word {row[-1].partition(' ')[0]}") if row[-1] else ""]
            for row in rows
        ]
        parts.append(Table(caption="Changes", columns=heading, rows=cells, sides=CHANGE_SIDES, kind="changes").markup())
    parts += [tag("p", f"Note: {note}", class_="note") for note in comparison.notes]
    yield Section(heading=comparison.sentence, sub=periods_of(comparison, model.tz), content=join(parts, "\n"))
