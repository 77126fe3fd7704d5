"""The headroom LLM proxy."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.headroom.observer import HeadroomObserver

    return HeadroomObserver(context)


_CAUSES = {
    "wait": Explanation(
        "waiting for a slot",
        "The proxy sends only a limited number of requests upstream at a time; the others wait for one to finish.",
        "Raise the concurrency limit, or find out why the upstream was slow.",
    ),
    "read": Explanation(
        "reading the request",
        "The client sends its request slowly, or the request is very large.",
        "Check the client's network and the size of its requests: the proxy itself is not slow.",
    ),
    "compress": Explanation(
        "compressing the prompt",
        "The proxy copies and compresses the prompt, and a long prompt takes long.",
        "Give the proxy more CPU, or compress less.",
    ),
    "other": Explanation(
        "work outside the known stages",
        "No stage of the log holds this time: something else keeps the process or its machine busy.",
        "Search for jobs on the machine at that time, such as a backup, and for a lack of CPU or memory.",
    ),
}

HEADROOM = ObserverPlugin(
    summary="Reads the overhead of requests from headroom's proxy log (versions 0.14.5 to 0.42.0).",
    make=make,
    causes=_CAUSES,
)
