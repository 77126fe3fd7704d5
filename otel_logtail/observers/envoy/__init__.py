"""Envoy: one sample for each request in its access log, as JSON or in the default text formats."""

from __future__ import annotations

from importlib.resources import files

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin


def make(context: ObserverContext) -> Observer:
    """Create the observer. Envoy writes UTC, so it needs no zone."""
    from otel_logtail.observers.envoy.observer import EnvoyObserver

    return EnvoyObserver()


def configuration() -> str:
    """Return the access log that we recommend, for the HTTP connection manager."""
    return files(__package__).joinpath("envoy.yaml").read_text(encoding="utf-8")


ENVOY = ObserverPlugin(
    summary="HTTP requests through Envoy, from its access log (JSON, or the default text of Envoy or Istio).",
    make=make,
    configuration=configuration,
    no_sample=(
        "the log holds no access lines of Envoy in a known format: use the json_format of"
        " 'otel-logtail observers show envoy'"
    ),
)
