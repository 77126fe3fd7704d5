"""Apache's access log: the whole time of each request."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.apache.observer import ApacheObserver

    return ApacheObserver(context)


APACHE = ObserverPlugin(
    summary="Apache's access log: the time of each request (%D), and of its first byte if the log has it.",
    make=make,
    configuration=packaged(__name__, "apache.conf"),
    no_sample="Apache's formats 'common' and 'combined' have no duration: "
    "add the LogFormat otel_logtail of 'otel-logtail observers show apache', or %D at the end of yours",
)
