"""The database server PostgreSQL: slow statements, waits for locks and checkpoints."""

from __future__ import annotations

from otel_logtail.observer import Explanation, Observer, ObserverContext, ObserverPlugin, packaged
from otel_logtail.option import Choice, Option, Text

LOCKS = Option(
    "postgresql_locks",
    Choice(("on", "off")),
    "Waits for locks as samples of their own, beside the statement that waited.",
    default="on",
)
CHECKPOINTS = Option(
    "postgresql_checkpoints",
    Choice(("on", "off")),
    "Checkpoints as samples, with the time of writing to disk (sync).",
    default="off",
)
DATABASES = Option(
    "postgresql_databases",
    Text("NAMES", "shop,billing"),
    "Databases that have series of their own, e.g. 'shop,billing'. All others share one series.",
)


def make(context: ObserverContext) -> Observer:
    """Create the observer."""
    from otel_logtail.observers.postgresql.observer import PostgresqlObserver

    databases = (name.strip() for name in (context.get(DATABASES) or "").split(","))
    return PostgresqlObserver(
        context.timezone,
        locks=context.require(LOCKS) == "on",
        checkpoints=context.require(CHECKPOINTS) == "on",
        databases=tuple(filter(None, databases)),
    )


_CAUSES = {
    "statement": Explanation(
        "slow statements",
        "A statement, or its plan, takes long.",
        "Run EXPLAIN (ANALYZE, BUFFERS) on it: a missing index, old statistics or a cold cache are the usual reasons.",
    ),
    "lock": Explanation(
        "waiting for locks",
        "A statement waits until another transaction releases a lock.",
        "Find the transaction that holds the lock (the log names its process), and keep transactions short.",
    ),
    "checkpoint": Explanation(
        "checkpoints",
        "A checkpoint flushes files to disk, and the disk is slow or gets too much at once.",
        "Raise max_wal_size and checkpoint_completion_target, or use a faster disk.",
    ),
}

POSTGRESQL = ObserverPlugin(
    summary="PostgreSQL (jsonlog, version 15 or newer): slow statements, waits for locks and checkpoints.",
    make=make,
    options=(LOCKS, CHECKPOINTS, DATABASES),
    configuration=packaged(__name__, "postgresql.conf"),
    no_sample="the log has no duration of a statement: "
    "set log_destination, log_min_duration_statement and lc_messages as in 'otel-logtail observers show postgresql'",
    causes=_CAUSES,
)
