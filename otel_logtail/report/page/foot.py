"""The foot of the page: how to reproduce its figures, and how exact they are."""

from __future__ import annotations

from otel_logtail.report.page.html import Markup, tag
from otel_logtail.report.page.model import Model
from otel_logtail.text import local


def foot(model: Model) -> Markup:
    """Return the foot."""
    return tag(
        "footer",
        tag("p", f"otel-logtail, {local(model.made_ns, model.tz)}. Percentiles are within 1 %.", class_="soft"),
    )
