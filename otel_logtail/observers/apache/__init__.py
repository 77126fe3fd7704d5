"""Apache's access log: the whole time of each request."""

from __future__ import annotations

from importlib.resources import files

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.apache.observer import ApacheObserver

    return ApacheObserver(context)


def configuration() -> str:
    """Return the log format to add to Apache."""
    return files(__package__).joinpath("apache.conf").read_text()


APACHE = ObserverPlugin(
    summary="Apache's access log: the time of each request (%D), and of its first byte if the log has it.",
    make=make,
    configuration=configuration,
    no_sample="Apache's formats 'common' and 'combined' have no duration: "
    "add the LogFormat otel_logtail of 'otel-logtail observers show apache', or %D at the end of yours",
)
