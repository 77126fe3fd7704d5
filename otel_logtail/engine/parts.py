"""The parts of an episode. Pure.

An episode that lasts is exported in parts, runs of breaches in their order in the log. Like episodes, parts depend on
the log alone. A part is complete once a further breach does not belong to it, or with the episode.
"""

from __future__ import annotations

from operator import sub
from typing import TypeVar

import msgspec

from otel_logtail.digest import blake2b
from otel_logtail.model import Attributes, Episode, Hits, Part, Severity

MOST_BREACHES = 128
"""Breaches of a part: OpenTelemetry's limit on the events of a span."""

PART_NS = 45 * 10**9
"""The longest time between the first and the last breach of a part: with delivery, its span arrives within a minute."""

_EpisodeOrPart = TypeVar("_EpisodeOrPart", Episode, Part)


class Run(msgspec.Struct, frozen=True):
    """A run of breaches of one part: the first of the longest gives the cause and the stage."""

    uid: bytes
    first_ns: int
    start_ns: int
    end_ns: int
    logged_ns: int
    count: int
    peak_ns: int
    severity: Severity
    cause: str
    stage: str


def run_of(hits: Hits, begin: int, end: int) -> Run:
    """Return the breaches ``hits[begin:end]`` (at least one)."""
    samples = hits.samples
    times, durations = samples.time_ns[begin:end], samples.duration_ns[begin:end]
    peak_ns = max(durations)
    peak = begin + durations.index(peak_ns)
    return Run(
        uid=hits.uids[begin],
        first_ns=times[0],
        start_ns=min(map(sub, times, durations)),
        end_ns=max(times),
        logged_ns=max(samples.logged_ns[begin:end]),
        count=end - begin,
        peak_ns=peak_ns,
        severity=max(hits.severities[begin:end]),
        cause=samples.causes[peak],
        stage=samples.stages[peak],
    )


def extend(open_: Episode | None, run: Run, *, live: str, attributes: Attributes) -> Episode:
    """Return the open episode with more breaches of one part, or a new episode that starts with them."""
    if open_ is None:
        trace_id, span_id = ids_of(run.uid)
        part = _part(span_id, 1, run)
        return Episode(
            live=live,
            attributes=attributes,
            trace_id=trace_id,
            span_id=span_id,
            start_ns=part.start_ns,
            end_ns=part.end_ns,
            last_ns=run.logged_ns,
            count=part.count,
            peak_ns=part.peak_ns,
            severity=part.severity,
            cause=part.cause,
            stage=part.stage,
            part=part,
        )
    part = part_of(open_)
    part = _part(open_.span_id, part.number + 1, run) if is_complete(part, run.first_ns) else _with(part, run)
    return msgspec.structs.replace(_with(open_, run), last_ns=max(open_.last_ns, run.logged_ns), part=part)


def part_of(episode: Episode) -> Part:
    """Return the open part of an episode; one that an older version stored is all in its first part."""
    return episode.part or Part(
        number=1,
        span_id=_id_of_part(episode.span_id, 1),
        begun_ns=episode.start_ns,
        start_ns=episode.start_ns,
        end_ns=episode.end_ns,
        count=episode.count,
        peak_ns=episode.peak_ns,
        severity=episode.severity,
        cause=episode.cause,
        stage=episode.stage,
    )


def is_complete(part: Part, time_ns: int) -> bool:
    """Return whether a further breach of the episode, at this time, does not belong to this part."""
    return part.count >= MOST_BREACHES or abs(time_ns - part.begun_ns) > PART_NS


def _part(span_id: bytes, number: int, run: Run) -> Part:
    """Return the part of an episode that begins with these breaches."""
    return Part(
        number=number,
        span_id=_id_of_part(span_id, number),
        begun_ns=run.first_ns,
        start_ns=run.start_ns,
        end_ns=run.end_ns,
        count=run.count,
        peak_ns=run.peak_ns,
        severity=run.severity,
        cause=run.cause,
        stage=run.stage,
    )


def _with(one: _EpisodeOrPart, run: Run) -> _EpisodeOrPart:
    at_peak = run.peak_ns > one.peak_ns
    return msgspec.structs.replace(
        one,
        start_ns=min(one.start_ns, run.start_ns),
        end_ns=max(one.end_ns, run.end_ns),
        count=one.count + run.count,
        peak_ns=max(one.peak_ns, run.peak_ns),
        severity=max(one.severity, run.severity),
        cause=run.cause if at_peak else one.cause,
        stage=run.stage if at_peak else one.stage,
    )


def ids_of(uid: bytes) -> tuple[bytes, bytes]:
    """Return the trace id (16 bytes) and the span id (8 bytes) of the episode that starts with this breach."""
    trace_id = blake2b(uid, digest_size=16, person=b"logtail-trace").digest()
    return trace_id, blake2b(uid, digest_size=8, person=b"logtail-span").digest()


def _id_of_part(span_id: bytes, number: int) -> bytes:
    """Return the span id (8 bytes) of a part of the episode with this span id."""
    return blake2b(span_id + number.to_bytes(8, "big"), digest_size=8, person=b"logtail-part").digest()
