"""The caddy web server: its access log as JSON."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
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


_CAUSES = {
    "upstream": Explanation(
        "the upstream",
        "The server behind caddy takes long to start its response.",
        "Read the upstream's own log for that time.",
    ),
    "body": Explanation(
        "the transfer of the body",
        "The response starts in time, but its transfer takes long: it is large, or one side is slow.",
        "Check the size of the responses and the network of upstream and clients.",
    ),
    "caddy": Explanation(
        "caddy's own part",
        "The time passes before or after the upstream works: reading the request, handlers, or a retry.",
        "Check the CPU of the machine, the handlers of the route and the number of retries.",
    ),
    "request": Explanation(
        "the request",
        "The log holds only the duration of the request, not its parts.",
        "Add the log_append lines of 'otel-logtail observers show caddy' to see where the time goes.",
    ),
}

CADDY = ObserverPlugin(
    summary="Requests to the caddy web server, from its access log (JSON).",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "Caddyfile"),
    no_sample=(
        "the log holds no access lines of caddy in JSON with the usual units: use 'format json' without"
        " time_format and duration_format, as in 'otel-logtail observers show caddy'"
    ),
    causes=_CAUSES,
)
