"""The headroom LLM proxy."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.headroom.observer import HeadroomObserver

    return HeadroomObserver(context)


HEADROOM = ObserverPlugin(
    summary="Reads the overhead of requests from headroom's proxy log (versions 0.14.5 to 0.42.0).", make=make
)
