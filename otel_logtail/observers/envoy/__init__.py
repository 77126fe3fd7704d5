"""Envoy: one sample for each request in its access log, as JSON or in the default text formats."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged


def make(context: ObserverContext) -> Observer:
    """Create the observer. Envoy writes UTC, so it needs no zone."""
    from otel_logtail.observers.envoy.observer import EnvoyObserver

    return EnvoyObserver()


ENVOY = ObserverPlugin(
    summary="HTTP requests through Envoy, from its access log (JSON, or the default text of Envoy or Istio).",
    make=make,
    configuration=packaged(__name__, "envoy.yaml"),
    no_sample=(
        "the log holds no access lines of Envoy in a known format: use the json_format of"
        " 'otel-logtail observers show envoy'"
    ),
)
