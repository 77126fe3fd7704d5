"""Streams and their items, as exporters get them."""

from __future__ import annotations

from enum import Enum
from typing import Literal

import msgspec

from otel_logtail.model.batch import Counts, Episode, Part, SeriesKey
from otel_logtail.model.samples import Attributes, Severity


class Stream(Enum):
    """The streams of an exporter. Each is append-only; the value is its name in the store."""

    INTERVALS = "intervals"
    EPISODES = "episodes"
    PARTS = "parts"
    """Parts of episodes that last: see :class:`Part`."""
    BREACHES = "breaches"
    MARKS = "marks"
    SELF = "self"
    """The daemon's own health. Only the present state is sent, so nothing is stored."""


class Dropped(msgspec.Struct, frozen=True):
    """Data that was deleted from the store before an exporter had sent it, with its range of time."""

    exporter: str
    stream: Stream
    count: int
    from_ns: int
    to_ns: int


class SourceInfo(msgspec.Struct, frozen=True):
    """A source, as exporters see it. ``instance`` is the id of the store."""

    id: int
    name: str
    observer: str
    event: str
    instance: str
    threshold_ns: int
    stall_ns: int
    quiet_ns: int


class Point(msgspec.Struct, frozen=True):
    """A closed interval of one series, ready to be sent.

    ``id`` is its place in the stream; 0 marks the start of a series or a repetition (``delta`` is then empty).
    ``total`` is the series' count from ``start_ns`` to here, as this exporter's cursor sees it; ``delta`` is the
    interval's own. ``time_ns`` is the interval's end in event time, moved just past the series' last point if that
    was later (a late sample): per series it always grows. ``previous_ns`` is the time of the series' point before this
    one (``start_ns`` for the first): where a delta begins. ``exemplars`` are the interval's worst breaches, by
    time.
    """

    id: int
    source: SourceInfo
    series: SeriesKey
    start_ns: int
    previous_ns: int
    time_ns: int
    delta: Counts
    total: Counts
    exemplars: tuple[BreachRecord, ...] = ()


class BreachRecord(msgspec.Struct, frozen=True):
    """One breach, as exporters see it, with the ids of its episode's span (known before the episode is over).

    ``trace`` is the trace context of its line, or empty. A client may have chosen it, so it is a link only.
    """

    id: int
    source: SourceInfo
    live: str
    path: str
    offset: int
    uid: bytes
    time_ns: int
    duration_ns: int
    severity: Severity
    cause: str
    stage: str
    attributes: Attributes
    trace_id: bytes
    span_id: bytes
    trace: bytes = b""


class EpisodeRecord(msgspec.Struct, frozen=True):
    """A closed episode with its breaches; ``episode.count`` is their number.

    ``parts`` is the number of its parts, which then have the breaches; 0: it has none. An exporter that does not
    request parts gets the breaches of the first one here.
    """

    id: int
    source: SourceInfo
    episode: Episode
    breaches: tuple[BreachRecord, ...]
    parts: int = 0


class PartRecord(msgspec.Struct, frozen=True):
    """A complete part of an episode with its breaches. ``trace_id`` and ``parent_id`` are those of the episode."""

    id: int
    source: SourceInfo
    live: str
    attributes: Attributes
    trace_id: bytes
    parent_id: bytes
    part: Part
    breaches: tuple[BreachRecord, ...]


class MarkRecord(msgspec.Struct, frozen=True):
    """One mark, as exporters see it. ``uid`` (16 bytes) is the same each time it is sent."""

    id: int
    source: SourceInfo
    uid: bytes
    time_ns: int
    text: str


HEALTH_NAMES = ("otel_logtail.", "otel.sdk.")
"""The names of health metrics start with one of these."""


class HealthValue(msgspec.Struct, frozen=True):
    """One number of the daemon's own health. ``source`` is empty if it belongs to none.

    ``kind`` is the instrument: a counter only grows, an updowncounter can fall, values of a gauge do not add up. The
    value of a histogram is its sum, with its bounds, the counts of its buckets, and its least and its greatest value
    (``extremes``) if they are known.
    """

    name: str
    unit: str
    description: str
    kind: Literal["counter", "updowncounter", "gauge", "histogram"]
    attributes: Attributes
    value: float
    source: str = ""
    bounds: tuple[float, ...] = ()
    buckets: tuple[int, ...] = ()
    extremes: tuple[float, float] | None = None


class HealthRecord(msgspec.Struct, frozen=True):
    """All of them at one moment; sums count from ``start_ns``, when the store was made. ``id`` is always 0."""

    id: int
    instance: str
    start_ns: int
    time_ns: int
    values: tuple[HealthValue, ...]


Item = Point | EpisodeRecord | PartRecord | BreachRecord | MarkRecord | HealthRecord


class ExportBatch(msgspec.Struct, frozen=True):
    """Items of one stream, in the order of their ids (repeated points, with id 0, are between them)."""

    stream: Stream
    items: tuple[Item, ...]
