"""Python's asyncio: callbacks that block the event loop."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Option, Text

FORMAT = Option(
    "asyncio_format",
    Text("FORMAT", "'%(asctime)s myapp %(levelname)s %(message)s'"),
    "Format of the application's log, as in Python's logging, e.g. '%(asctime)s myapp %(message)s'. "
    "Default: any usual format with a time.",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.errors import invalid
    from otel_logtail.observers.asyncio.layout import layout_of, read_usual
    from otel_logtail.observers.asyncio.observer import AsyncioObserver

    text = context.get(FORMAT)
    try:
        layout = read_usual if text is None else layout_of(text)
    except ValueError as problem:
        raise invalid(context.where(FORMAT), text, str(problem), f"use {FORMAT.kind.example}") from None
    return AsyncioObserver(context.timezone, layout)


_CAUSES = {
    "callback": Explanation(
        "a blocking callback",
        "A callback or a task blocks the event loop, and everything else waits for it.",
        "Move the blocking call to a thread (asyncio.to_thread), or split it up; the log names the callback.",
    ),
}

ASYNCIO = ObserverPlugin(
    summary="Python's asyncio in debug mode: callbacks and tasks that block the event loop.",
    make=make,
    options=(FORMAT,),
    configuration=packaged(__name__, "logging.ini"),
    no_sample="the log has no slow callback of asyncio: "
    "set PYTHONASYNCIODEBUG=1 for the application, and a format with %(asctime)s",
    threshold_ms="100",
    stall_ms="1000",
    causes=_CAUSES,
)
