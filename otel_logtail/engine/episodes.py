"""Bursts of slow samples become episodes. Pure: (open episode, sample | tick) -> (open episode, closed episode).

One state belongs to one live path: one process, one event loop. An episode is a run of breaches in the log whose lines
were written at most the quiet window apart; it is over as soon as the log, by a later line or by the clock once the log
is read to its end, is further than that past its last breach. Both speak of the same axis, the time at which lines were
written, which grows along a log: so a backlog read at once gives the episodes that were seen live. (Event time does
not: a request that waits for its upstream is logged long after its overhead ended.) A line that was written before the
last breach by more than the quiet window means that the clock of its machine was set back: that ends an episode as
well, which would else stay open until the clock is where it was. Start, end and duration are event time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from otel_logtail.counts import extent
from otel_logtail.model import Attributes, Breach, Episode, Hit


def tick(open_: Episode | None, logged_ns: int, quiet_ns: int) -> tuple[Episode | None, Episode | None]:
    """The log has come to ``logged_ns``: returns (what is open now, what was closed by that)."""
    if open_ is not None and logged_ns > open_.last_ns + quiet_ns:
        return None, open_
    return open_, None


def extend(open_: Episode | None, hit: Hit, *, live: str, attributes: Attributes) -> Episode:
    """The open episode with one more breach, or a new one that begins with it."""
    sample = hit.sample
    start_ns = sample.time_ns - sample.duration_ns
    if open_ is None:
        trace_id, span_id = ids_of(hit.uid)
        return Episode(
            live=live,
            attributes=attributes,
            trace_id=trace_id,
            span_id=span_id,
            start_ns=start_ns,
            end_ns=sample.time_ns,
            last_ns=sample.logged_ns,
            count=1,
            peak_ns=sample.duration_ns,
            severity=hit.severity,
            cause=sample.cause,
            stage=sample.stage,
        )
    at_peak = sample.duration_ns > open_.peak_ns
    return msgspec.structs.replace(
        open_,
        start_ns=min(open_.start_ns, start_ns),
        end_ns=max(open_.end_ns, sample.time_ns),
        last_ns=max(open_.last_ns, sample.logged_ns),
        count=open_.count + 1,
        peak_ns=max(open_.peak_ns, sample.duration_ns),
        severity=max(open_.severity, hit.severity),
        cause=sample.cause if at_peak else open_.cause,
        stage=sample.stage if at_peak else open_.stage,
    )


def coalesce(
    open_: Episode | None,
    logged_ns: Sequence[int],
    hits: Sequence[Hit],
    *,
    live: str,
    attributes: Attributes,
    quiet_ns: int,
) -> tuple[Episode | None, tuple[Breach, ...], tuple[Episode, ...]]:
    """A run of samples in file order: returns (what is open behind it, its breaches, what it closed).

    Args:
        open_: What was open before.
        logged_ns: When the line of each sample was written, ok ones too: they also tell how far the log has come.
        hits: Those that are not ok, each with its index in the run.
        live: The live path.
        attributes: What its name says about its samples.
        quiet_ns: The quiet window.
    """
    breaches: list[Breach] = []
    closed: list[Episode] = []
    seen = 0
    for hit in hits:
        if open_ is not None and _is_over(open_, logged_ns[seen : hit.index + 1], quiet_ns):
            closed.append(open_)
            open_ = None
        open_ = extend(open_, hit, live=live, attributes=attributes)
        breaches.append(Breach(hit, open_.trace_id, open_.span_id))
        seen = hit.index + 1
    if open_ is not None and _is_over(open_, logged_ns[seen:], quiet_ns):
        closed.append(open_)
        open_ = None
    return open_, tuple(breaches), tuple(closed)


def _is_over(open_: Episode, logged_ns: Sequence[int], quiet_ns: int) -> bool:
    """Whether one of these lines is further than the quiet window from the last breach, to either side."""
    if not logged_ns:
        return False
    least_ns, most_ns, _ = extent(logged_ns)
    return most_ns > open_.last_ns + quiet_ns or least_ns < open_.last_ns - quiet_ns


def ids_of(uid: bytes) -> tuple[bytes, bytes]:
    """The trace id (16 bytes) and span id (8 bytes) of the episode that begins with the breach of this uid."""
    trace_id = hashlib.blake2b(uid, digest_size=16, person=b"logtail-trace").digest()
    return trace_id, hashlib.blake2b(uid, digest_size=8, person=b"logtail-span").digest()
