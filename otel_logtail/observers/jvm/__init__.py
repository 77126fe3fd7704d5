"""Java's virtual machine: how long it stops the application."""

from __future__ import annotations

from otel_logtail.observer import Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Choice, Option

MEASURE = Option(
    "jvm_measure",
    Choice(("safepoints", "pauses")),
    "Stops to measure: safepoints, or the GC pauses of a log that has no safepoints, e.g. pauses.",
    default="safepoints",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.jvm.observer import JvmObserver, PauseObserver

    return PauseObserver() if context.require(MEASURE) == "pauses" else JvmObserver()


JVM = ObserverPlugin(
    summary="Java's virtual machine (unified log): safepoints, which stop all threads of the application.",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "java.options"),
    no_sample="the log has no safepoint with a time of day: "
    "pass Java the option of 'otel-logtail observers show jvm', or for a log of GC pauses alone --jvm-measure pauses",
    threshold_ms="100",
    stall_ms="1000",
)
