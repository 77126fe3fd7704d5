"""HAProxy: one sample for each HTTP request in its log."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
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


_CAUSES = {
    "request": Explanation(
        "receiving the request",
        "The client sends the header of its request slowly.",
        "Check the client's network, and set 'timeout http-request'.",
    ),
    "queue": Explanation(
        "the queue",
        "All servers of the backend have as many connections as 'maxconn' allows, so requests wait.",
        "Add servers, raise 'maxconn', or find out why the servers answer slowly.",
    ),
    "connect": Explanation(
        "connecting to the server",
        "The server accepts connections slowly, or packets are lost in transit.",
        "Check the network to the server and its backlog of connections.",
    ),
    "server": Explanation(
        "the server",
        "The server takes long to start its response.",
        "Read the server's own log for that time.",
    ),
    "data": Explanation(
        "the transfer of the response",
        "The response starts in time, but its transfer takes long: it is large, or one side is slow.",
        "Check the size of the responses and the network of servers and clients.",
    ),
}

HAPROXY = ObserverPlugin(
    summary="HTTP requests through HAProxy, from its log (option httplog or JSON).",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "haproxy.cfg"),
    no_sample=(
        "the log has no timers of HTTP requests: add 'option httplog' or the log-format of"
        " 'otel-logtail observers show haproxy' to the frontends"
    ),
    causes=_CAUSES,
)
