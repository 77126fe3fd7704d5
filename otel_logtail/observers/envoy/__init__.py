"""Envoy: one sample for each request in its access log, as JSON or in the default text formats."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged


def make(context: ObserverContext) -> Observer:
    """Create the observer. Envoy writes UTC, so it needs no zone."""
    from otel_logtail.observers.envoy.observer import EnvoyObserver

    return EnvoyObserver()


_CAUSES = {
    "request": Explanation(
        "receiving the request",
        "The client sends its request slowly, or the request is very large.",
        "Check the client's network and the size of its requests.",
    ),
    "pool": Explanation(
        "waiting for a connection",
        "The request waits for a connection to the upstream: the pool is full, or connecting takes long.",
        "Raise the limits of the cluster's circuit breakers, and check the network to the upstream.",
    ),
    "upstream": Explanation(
        "the upstream",
        "The server behind Envoy takes long to start its response.",
        "Read the upstream's own log for that time.",
    ),
    "body": Explanation(
        "the transfer of the body",
        "The response starts in time, but its transfer takes long: it is large, or one side is slow.",
        "Check the size of the responses and the network of upstream and clients.",
    ),
    "transfer": Explanation(
        "the transfer of the bodies",
        "The transfer of request and response takes longer than the upstream's work.",
        "Check the size of requests and responses, and the network of the clients.",
    ),
}

ENVOY = ObserverPlugin(
    summary="HTTP requests through Envoy, from its access log (JSON, or the default text of Envoy or Istio).",
    make=make,
    configuration=packaged(__name__, "envoy.yaml"),
    no_sample=(
        "the log holds no access lines of Envoy in a known format: use the json_format of"
        " 'otel-logtail observers show envoy'"
    ),
    causes=_CAUSES,
)
