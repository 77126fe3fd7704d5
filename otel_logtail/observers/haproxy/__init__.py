"""HAProxy: one sample for each HTTP request in its log."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Choice, Option

MEASURE = Option(
    "haproxy_measure",
    Choice(("total", "overhead")),
    "Duration of a sample: the whole request (total), or the time before it reaches the server (overhead).",
    default="total",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.haproxy.observer import HaproxyObserver

    return HaproxyObserver(context.require(MEASURE), context.timezone)


HAPROXY = ObserverPlugin(
    summary="HTTP requests through HAProxy, from its log (option httplog or JSON).",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "haproxy.cfg"),
    no_sample=(
        "the log has no timers of HTTP requests: add 'option httplog' or the log-format of"
        " 'otel-logtail observers show haproxy' to the frontends"
    ),
)
