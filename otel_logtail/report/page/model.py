"""The input of a section, and its output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo

import msgspec

from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.page.html import Markup


class Served(msgspec.Struct, frozen=True):
    """The addresses of further pages, if the page is served: that of an episode without its id, and others by name."""

    episode: str
    others: tuple[tuple[str, str], ...]


class Model(msgspec.Struct, frozen=True):
    """Everything that the page shows.

    ``tz`` is the time zone of its times; None: the local one. ``trace_url`` is the address of a trace, with
    ``{trace_id}`` in it; None: trace ids are plain text. ``options`` are those that commands on the page need to read
    the same store. ``served`` is None for a page in a file.
    """

    report: Report
    comparison: Comparison | None
    made_ns: int
    tz: tzinfo | None
    trace_url: str | None = None
    options: tuple[str, ...] = ()
    served: Served | None = None


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One section: a heading that states its finding, a line below it, and the content.

    ``heading`` is the bare noun ("When") if there is no finding. Two sections next to each other that are both
    ``half`` share a row on a wide screen. ``anchor`` is the id that links lead to.
    """

    heading: str
    content: Markup
    sub: str = ""
    half: bool = False
    anchor: str = ""


Make = Callable[[Model], Iterable[Section]]
"""Returns the sections of one kind; none if there is nothing to show."""
