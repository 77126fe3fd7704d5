"""The options of the observer."""

from __future__ import annotations

from otel_logtail.option import Choice, Option

MEASURE = Option(
    "nginx_measure",
    Choice(("total", "overhead")),
    "Duration of a sample: the whole request (total), or its time outside the last upstream (overhead).",
    default="total",
)
