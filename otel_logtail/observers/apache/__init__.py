"""Apache's access log: the whole time of each request."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.apache.observer import ApacheObserver

    return ApacheObserver(context)


_CAUSES = {
    "wait": Explanation(
        "waiting for the first byte",
        "The application, or the server behind Apache, takes long to start its response.",
        "Read the application's own log for that time, and check that enough workers are free.",
    ),
    "send": Explanation(
        "sending the response",
        "The response starts in time, but its transfer takes long: it is large, or the client reads slowly.",
        "Check the size of the responses and the network of the clients.",
    ),
    "request": Explanation(
        "the request",
        "The log holds only the duration of the request, not its parts.",
        "Add %^FB to the LogFormat (otel-logtail observers show apache) to see where the time goes.",
    ),
}

APACHE = ObserverPlugin(
    summary="Apache's access log: the time of each request (%D), and of its first byte if the log has it.",
    make=make,
    configuration=packaged(__name__, "apache.conf"),
    no_sample="Apache's formats 'common' and 'combined' have no duration: "
    "add the LogFormat otel_logtail of 'otel-logtail observers show apache', or %D at the end of yours",
    causes=_CAUSES,
)
