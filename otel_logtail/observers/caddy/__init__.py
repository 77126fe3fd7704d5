"""The caddy web server: its access log as JSON."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Choice, Option

MEASURE = Option(
    "caddy_measure",
    Choice(("total", "overhead")),
    "Part of a request that is measured: all of it, or caddy's own part (needs log_append of up_duration).",
    default="total",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.caddy.observer import CaddyObserver

    return CaddyObserver(context.require(MEASURE))


CADDY = ObserverPlugin(
    summary="Requests to the caddy web server, from its access log (JSON).",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "Caddyfile"),
    no_sample=(
        "the log holds no access lines of caddy in JSON with the usual units: use 'format json' without"
        " time_format and duration_format, as in 'otel-logtail observers show caddy'"
    ),
)
