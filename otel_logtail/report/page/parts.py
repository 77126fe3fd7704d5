"""The sections of sources, stages and paths: a table of percentiles each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from otel_logtail.report.data import Part
from otel_logtail.report.page.html import Table
from otel_logtail.report.page.model import Model, Section
from otel_logtail.report.rows import PART_SIDES, part_rows


def source_section(model: Model) -> Iterator[Section]:
    """Yield the section of several sources; it is above all others."""
    yield from _section("Sources", "source", model.report.sources)


def stage_section(model: Model) -> Iterator[Section]:
    """Yield the section of stages."""
    yield from _section("Stages", "stage", model.report.stages)


def path_section(model: Model) -> Iterator[Section]:
    """Yield the section of paths: samples by their attributes."""
    yield from _section("By path", "path", model.report.paths)


def _section(heading: str, title: str, parts: Sequence[Part]) -> Iterator[Section]:
    if parts:
        columns, *rows = part_rows(title, parts)
        table = Table(caption=heading, columns=columns, rows=rows, sides=PART_SIDES, kind="parts")
        yield Section(heading=heading, content=table.markup())
