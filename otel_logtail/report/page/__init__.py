"""A report as one HTML page: one file without requests; its own policy allows nothing but its style and its script.

The page is also well-formed XML, so that programs can read it. Without the script nothing is missing: it only shows
tooltips at once, and opens a stall that a link leads to.

To add a section, write a function that takes the :class:`~otel_logtail.report.page.model.Model` and yields its
:class:`~otel_logtail.report.page.model.Section` (none if there is nothing to show), in a module of this package, and
put it into ``SECTIONS`` below, which has the order. Markup comes from ``html.py`` only: a plain string is always
escaped. A plot comes from ``svg.py``, goes through ``html.figure``, and has its figures in a table. Looks are classes
in ``page.css``; figures are worded by ``report/words.py``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from importlib.resources import files
from itertools import chain
from string import Template

from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.page.comparison import comparison_section
from otel_logtail.report.page.days import day_sections
from otel_logtail.report.page.distribution import distribution_section
from otel_logtail.report.page.foot import foot
from otel_logtail.report.page.head import head
from otel_logtail.report.page.html import Markup, join, markup, tag
from otel_logtail.report.page.marks import mark_section
from otel_logtail.report.page.model import Make, Model, Section
from otel_logtail.report.page.parts import path_section, stage_section
from otel_logtail.report.page.sources import detail_section, of_one_source, source_section
from otel_logtail.report.page.stalls import stall_section
from otel_logtail.report.page.when import when_section
from otel_logtail.report.page.why import cause_section

BEGINS = b'<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="en">'
"""The first bytes of each page; an existing file without them is not replaced."""

SECTIONS: tuple[Make, ...] = (
    source_section,
    when_section,
    day_sections,
    of_one_source(cause_section),
    of_one_source(stall_section),
    comparison_section,
    distribution_section,
    of_one_source(stage_section),
    of_one_source(path_section),
    mark_section,
    detail_section,
)
"""The sections in their order; the head comes before them, and the foot after them."""


def page(
    report: Report,
    comparison: Comparison | None = None,
    *,
    made_ns: int,
    tz: tzinfo | None = None,
    trace_url: str | None = None,
    options: tuple[str, ...] = (),
) -> str:
    """Return the page of a report.

    Args:
        report: The report.
        comparison: A comparison of its period with another one.
        made_ns: The time at which it was made.
        tz: The time zone of times; None: the local one.
        trace_url: The address of a trace, with ``{trace_id}`` in it; None: trace ids are plain text.
        options: The options that commands on the page need to read the same store, such as ``--db``.
    """
    return page_of(Model(report, comparison, made_ns, tz, trace_url, options))


def page_of(model: Model) -> str:
    """Return the page of a model."""
    sections = chain.from_iterable(make(model) for make in SECTIONS)
    return document(f"{model.report.title}: latency", join([head(model), *_laid_out(sections), foot(model)], "\n"))


def document(title: str, body: Markup) -> str:
    """Return a page with the style, the script and the policy of all pages."""
    return Template(_resource("page.html")).substitute(
        policy=markup(policy()),
        title=markup(title),
        style=_resource("page.css"),
        script=_resource("page.js"),
        body=body,
    )


def policy() -> str:
    """Return the content security policy of all pages: their style and their script, and nothing else."""
    style, script = (_hash(_resource(name)) for name in ("page.css", "page.js"))
    return f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"


def _resource(name: str) -> str:
    return files("otel_logtail.report.page").joinpath(name).read_text()


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _laid_out(sections: Iterable[Section]) -> Iterator[Markup]:
    """Yield the sections, pairs of halves in one row."""
    waiting: Section | None = None
    for section in sections:
        if section.half and waiting is not None:
            yield tag("div", _section(waiting), _section(section), class_="two")
            waiting = None
            continue
        if waiting is not None:
            yield _section(waiting)
        waiting = section if section.half else None
        if waiting is None:
            yield _section(section)
    if waiting is not None:
        yield _section(waiting)


def _section(section: Section) -> Markup:
    return tag(
        "section",
        tag("h2", section.heading),
        tag("p", section.sub, class_="sub") if section.sub else Markup(),
        section.content,
        id=section.anchor,
    )
