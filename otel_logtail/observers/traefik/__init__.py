"""The traefik proxy: its access log as JSON, or in traefik's default text format."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Choice, Option

MEASURE = Option(
    "traefik_measure",
    Choice(("total", "overhead")),
    "Part of a request that is measured: all of it, or traefik's own part (JSON only).",
    default="total",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.traefik.observer import TraefikObserver

    return TraefikObserver(context.require(MEASURE))


TRAEFIK = ObserverPlugin(
    summary="Requests through the traefik proxy, from its access log (JSON or common).",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "traefik.yml"),
    no_sample=(
        "the log holds no access lines of traefik, or they lack the fields Duration and DownstreamStatus:"
        " use the accessLog of 'otel-logtail observers show traefik'"
    ),
)
