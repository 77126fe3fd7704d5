"""Java's virtual machine: how long it stops the application."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Choice, Option

MEASURE = Option(
    "jvm_measure",
    Choice(("safepoints", "pauses")),
    "Stops to measure: safepoints, or the GC pauses of a log without safepoints (pauses).",
    default="safepoints",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.jvm.observer import JvmObserver, PauseObserver

    return PauseObserver() if context.require(MEASURE) == "pauses" else JvmObserver()


_CAUSES = {
    "reach": Explanation(
        "waiting for threads to stop",
        "Some thread takes long to reach its safepoint, and all others already wait.",
        "Check for long loops, memory-mapped files, swapping and a lack of CPU (-Xlog:safepoint* shows the threads).",
    ),
    "gc": Explanation(
        "garbage collection",
        "The collector stops the application.",
        "Give the heap more memory, allocate less, or choose a collector with short pauses such as ZGC.",
    ),
    "vm": Explanation(
        "an operation of the virtual machine",
        "All threads are stopped for an operation such as a thread dump, deoptimization or class redefinition.",
        "Find the operation in the log, and stop the tool or agent that requests it.",
    ),
}

JVM = ObserverPlugin(
    summary="Java's virtual machine (unified log): safepoints, which stop all threads of the application.",
    make=make,
    options=(MEASURE,),
    configuration=packaged(__name__, "java.options"),
    no_sample="the log has no safepoint with a time of day: "
    "pass Java the option of 'otel-logtail observers show jvm', or for a log of GC pauses alone --jvm-measure pauses",
    threshold_ms="100",
    stall_ms="1000",
    causes=_CAUSES,
)
