"""nginx's access log: the whole time of each request, and its parts."""

from __future__ import annotations

from importlib.resources import files

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin
from otel_logtail.observers.nginx.options import MEASURE


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.nginx.observer import NginxObserver

    return NginxObserver(context)


def configuration() -> str:
    """Return the log format to add to nginx."""
    return files(__package__).joinpath("nginx.conf").read_text()


NGINX = ObserverPlugin(
    summary="nginx's access log: the time of each request, split into connect, wait, body, retries and client.",
    make=make,
    options=(MEASURE,),
    configuration=configuration,
    no_sample="nginx's format 'combined' has no duration: "
    "add the log_format otel_logtail of 'otel-logtail observers show nginx'",
)
