"""Bursts of slow samples become episodes. Pure: (open episodes, samples) -> (open episodes, closed episodes).

Each live path has episodes of its own: one process, one event loop. An episode is a run of breaches in the log whose
lines were written at most the quiet window apart. It is over when two consecutive lines were written further than that
from its last breach: later because the log continued, or earlier because the clock of its machine was set back. One
such line proves nothing, since a client that can write a line can date it. If that line is a breach, it starts a second
open episode, ``aside``. The next line closes ``aside`` if it contradicts it; otherwise ``aside`` continues.

Once a log is read to its end, an episode is also over when the quiet window has passed since its last breach was read.
Lines and clock use the same axis, the time at which lines were written, which grows along a log. So a backlog that is
read at once gives the same episodes as a log that is followed live. Event time does not grow along a log: a request
that waits for its upstream is logged long after its overhead ended. Start, end and duration are event time.

An episode that lasts is exported in parts, runs of breaches in their order in the log. Parts, too, depend on the log
alone. A part is complete once a further breach does not belong to it, or with the episode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from otel_logtail.counts import extent
from otel_logtail.model import Attributes, Breach, Episode, Hit, OpenEpisodes, Part, Severity

MOST_BREACHES = 128
"""Breaches of a part: OpenTelemetry's limit on the events of a span."""

PART_NS = 45 * 10**9
"""The longest time between the first and the last breach of a part: with delivery, its span arrives within a minute."""

_EpisodeOrPart = TypeVar("_EpisodeOrPart", Episode, Part)


def close_over(open_: OpenEpisodes, is_over: Callable[[Episode], bool]) -> tuple[OpenEpisodes, tuple[Episode, ...]]:
    """Close the episodes that are over by a clock; return the open and the closed ones."""
    episodes = [episode for episode in (open_.current, open_.aside) if episode is not None]
    left = [episode for episode in episodes if not is_over(episode)]
    if len(left) == len(episodes):
        return open_, ()
    closed = tuple(episode for episode in episodes if episode not in left)
    if not left:
        return OpenEpisodes(), closed
    return OpenEpisodes(left[0], is_away=open_.is_away and left[0] is open_.current), closed


def extend(open_: Episode | None, hit: Hit, *, live: str, attributes: Attributes) -> Episode:
    """Return the open episode with one more breach, or a new episode that starts with it."""
    sample = hit.sample
    if open_ is None:
        trace_id, span_id = ids_of(hit.uid)
        part = _part(span_id, 1, hit)
        return Episode(
            live=live,
            attributes=attributes,
            trace_id=trace_id,
            span_id=span_id,
            start_ns=part.start_ns,
            end_ns=part.end_ns,
            last_ns=sample.logged_ns,
            count=1,
            peak_ns=part.peak_ns,
            severity=part.severity,
            cause=part.cause,
            stage=part.stage,
            part=part,
        )
    part = part_of(open_)
    part = _part(open_.span_id, part.number + 1, hit) if _is_complete(part, hit) else _with(part, hit)
    return msgspec.structs.replace(_with(open_, hit), last_ns=max(open_.last_ns, sample.logged_ns), part=part)


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


def _is_complete(part: Part, hit: Hit) -> bool:
    """Return whether a further breach of the episode does not belong to this part."""
    return part.count >= MOST_BREACHES or abs(hit.sample.time_ns - part.begun_ns) > PART_NS


def _part(span_id: bytes, number: int, hit: Hit) -> Part:
    """Return the part of an episode that begins with a breach."""
    sample = hit.sample
    return Part(
        number=number,
        span_id=_id_of_part(span_id, number),
        begun_ns=sample.time_ns,
        start_ns=sample.time_ns - sample.duration_ns,
        end_ns=sample.time_ns,
        count=1,
        peak_ns=sample.duration_ns,
        severity=hit.severity,
        cause=sample.cause,
        stage=sample.stage,
    )


def _with(one: _EpisodeOrPart, hit: Hit) -> _EpisodeOrPart:
    sample = hit.sample
    at_peak = sample.duration_ns > one.peak_ns
    return msgspec.structs.replace(
        one,
        start_ns=min(one.start_ns, sample.time_ns - sample.duration_ns),
        end_ns=max(one.end_ns, sample.time_ns),
        count=one.count + 1,
        peak_ns=max(one.peak_ns, sample.duration_ns),
        severity=max(one.severity, hit.severity),
        cause=sample.cause if at_peak else one.cause,
        stage=sample.stage if at_peak else one.stage,
    )


class Growth(NamedTuple):
    """By how much a breach made the time within episodes of at least this severity grow, at the time of the breach."""

    time_ns: int
    severity: Severity
    more_ns: int


class Coalesced(NamedTuple):
    """The episodes that are open after a run of samples, its breaches, and the episodes and parts that it completed."""

    open: OpenEpisodes
    breaches: tuple[Breach, ...]
    closed: tuple[Episode, ...]
    parts: tuple[tuple[Episode, Part], ...]
    growth: tuple[Growth, ...]


def coalesce(
    open_: OpenEpisodes,
    logged_ns: Sequence[int],
    hits: Sequence[Hit],
    *,
    live: str,
    attributes: Attributes,
    quiet_ns: int,
) -> Coalesced:
    """Group a run of samples in file order.

    Args:
        open_: The episodes that were open before.
        logged_ns: When the line of each sample was written, ok ones included: they show the time of the log.
        hits: The samples that are not ok, each with its index in the run.
        live: The live path.
        attributes: The attributes that its name gives to its samples.
        quiet_ns: The quiet window.
    """
    run = _Run(open_, quiet_ns, live, attributes)
    breaches = []
    seen = 0
    for hit in hits:
        run.pass_lines(logged_ns, seen, hit.index)
        episode = run.take(hit)
        breaches.append(Breach(hit, episode.trace_id, episode.span_id, part_of(episode).number))
        seen = hit.index + 1
    run.pass_lines(logged_ns, seen, len(logged_ns))
    open_ = OpenEpisodes(run.current, run.aside, run.is_away)
    return Coalesced(open_, tuple(breaches), tuple(run.closed), tuple(run.parts), tuple(run.growth))


class _Run:
    """The open episodes while a run of samples passes. ``aside`` exists only if the last line was away."""

    def __init__(self, open_: OpenEpisodes, quiet_ns: int, live: str, attributes: Attributes) -> None:
        self.current, self.aside, self.is_away = open_.current, open_.aside, open_.is_away
        self.closed: list[Episode] = []
        self.parts: list[tuple[Episode, Part]] = []
        self.growth: list[Growth] = []
        self._quiet_ns = quiet_ns
        self._live = live
        self._attributes = attributes

    def take(self, hit: Hit) -> Episode:
        """Add a breach and return its episode."""
        while self.current is not None:
            if abs(hit.sample.logged_ns - self.current.last_ns) <= self._quiet_ns:
                self._agree()
                self.current = self._extend(self.current, hit)
                return self.current
            if not self.is_away:
                self.is_away = True
                self.aside = self._extend(None, hit)
                return self.aside
            self._go_on()
        self.current = self._extend(None, hit)
        return self.current

    def pass_lines(self, logged_ns: Sequence[int], begin: int, end: int) -> None:
        """Pass the ok lines from ``begin`` to ``end``."""
        while self.current is not None and begin < end:
            earliest_ns, latest_ns = self.current.last_ns - self._quiet_ns, self.current.last_ns + self._quiet_ns
            least_ns, most_ns, _ = extent(logged_ns[begin:end])
            if earliest_ns <= least_ns and most_ns <= latest_ns:
                self._agree()
                return
            for at in range(begin, end):
                if earliest_ns <= logged_ns[at] <= latest_ns:
                    self._agree()
                elif self.is_away:
                    self._go_on()
                    begin = at
                    break
                else:
                    self.is_away = True
            else:
                return

    def _agree(self) -> None:
        """Close ``aside``: a line belongs to the time of the current episode."""
        self.is_away = False
        if self.aside is not None:
            self.closed.append(self.aside)
            self.aside = None

    def _go_on(self) -> None:
        """Close the current episode: a second consecutive line was away from it."""
        if self.current is not None:
            self.closed.append(self.current)
        self.current, self.aside, self.is_away = self.aside, None, False

    def _extend(self, episode: Episode | None, hit: Hit) -> Episode:
        after = extend(episode, hit, live=self._live, attributes=self._attributes)
        if episode is not None and part_of(after).number > (part := part_of(episode)).number:
            self.parts.append((episode, part))
        # an older version, which stored no part, counted no time of the episode
        counted = episode if episode is not None and episode.part is not None else None
        for severity in (Severity.DEGRADED, Severity.STALL):
            more_ns = _time_ns(after, severity) - _time_ns(counted, severity)
            if more_ns:
                self.growth.append(Growth(hit.sample.time_ns, severity, more_ns))
        return after


def _time_ns(episode: Episode | None, severity: Severity) -> int:
    """Return the length of an episode of at least this severity; 0: it is none."""
    return episode.end_ns - episode.start_ns if episode is not None and episode.severity >= severity else 0


def ids_of(uid: bytes) -> tuple[bytes, bytes]:
    """Return the trace id (16 bytes) and the span id (8 bytes) of the episode that starts with this breach."""
    trace_id = hashlib.blake2b(uid, digest_size=16, person=b"logtail-trace").digest()
    return trace_id, hashlib.blake2b(uid, digest_size=8, person=b"logtail-span").digest()


def _id_of_part(span_id: bytes, number: int) -> bytes:
    """Return the span id (8 bytes) of a part of the episode with this span id."""
    return hashlib.blake2b(span_id + number.to_bytes(8, "big"), digest_size=8, person=b"logtail-part").digest()
