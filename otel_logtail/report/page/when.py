"""The section "When": latency over time, with episodes, stalls and load on the same axis."""

from __future__ import annotations

from collections.abc import Iterator

from otel_logtail.report.page.model import Model, Section


def when_section(model: Model) -> Iterator[Section]:
    """Yield the section."""
    yield from ()
