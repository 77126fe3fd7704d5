"""nginx's access log: the whole time of each request, and its parts."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.observers.nginx.options import MEASURE


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.nginx.observer import NginxObserver

    return NginxObserver(context)


_CAUSES = {
    "upstream": Explanation(
        "the upstream",
        "The server behind nginx takes long to start its response.",
        "Read the upstream's own log for that time.",
    ),
    "body": Explanation(
        "the transfer from the upstream",
        "The upstream starts its response in time, but takes long to send all of it.",
        "Check the size of the responses and the network to the upstream.",
    ),
    "connect": Explanation(
        "connecting to the upstream",
        "The upstream accepts connections slowly, or packets are lost in transit.",
        "Use 'keepalive' in the upstream block, and check the upstream's backlog and the network.",
    ),
    "retry": Explanation(
        "failed attempts",
        "An attempt at another server fails before one server answers.",
        "Find the failing server in the error log, and lower the timeouts of 'proxy_next_upstream'.",
    ),
    "client": Explanation(
        "the client's side",
        "The client sends its request or reads the response slowly, or nginx itself is busy.",
        "Check the network of the clients, the size of the bodies, and disk and CPU of the machine.",
    ),
}

NGINX = ObserverPlugin(
    summary="nginx's access log: the time of each request, split into connect, wait, body, retries and client.",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "nginx.conf"),
    no_sample="nginx's format 'combined' has no duration: "
    "add the log_format otel_logtail of 'otel-logtail observers show nginx'",
    causes=_CAUSES,
)
