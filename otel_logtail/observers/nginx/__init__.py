"""nginx's access log: the whole time of each request, and its parts."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.observers.nginx.options import MEASURE


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.nginx.observer import NginxObserver

    return NginxObserver(context)


NGINX = ObserverPlugin(
    summary="nginx's access log: the time of each request, split into connect, wait, body, retries and client.",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "nginx.conf"),
    no_sample="nginx's format 'combined' has no duration: "
    "add the log_format otel_logtail of 'otel-logtail observers show nginx'",
)
