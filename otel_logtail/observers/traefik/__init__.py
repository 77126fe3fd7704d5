"""The traefik proxy: its access log as JSON, or in traefik's default text format."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
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


_CAUSES = {
    "origin": Explanation(
        "the service",
        "The service behind traefik takes long to respond.",
        "Read the service's own log for that time.",
    ),
    "overhead": Explanation(
        "traefik's own part",
        "The time passes in traefik: its middlewares, a retry, or a client that sends slowly.",
        "Check the middlewares of the router, the CPU of the machine and the network of the clients.",
    ),
    "aborted": Explanation(
        "responses that broke off",
        "The response breaks off in its body, so its parts are unknown.",
        "Check why clients or the service close the connection: timeouts, restarts, a crash.",
    ),
    "request": Explanation(
        "the request",
        "The log holds only the duration of the request, not its parts.",
        "Log as JSON with the fields OriginDuration and Overhead to see where the time goes.",
    ),
}

TRAEFIK = ObserverPlugin(
    summary="Requests through the traefik proxy, from its access log (JSON or common).",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "traefik.yml"),
    no_sample=(
        "the log holds no access lines of traefik, or they lack the fields Duration and DownstreamStatus:"
        " use the accessLog of 'otel-logtail observers show traefik'"
    ),
    causes=_CAUSES,
)
