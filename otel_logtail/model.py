"""The values that pass between the stages: plain frozen records without behavior, all in one module.

Times are nanoseconds since the Unix epoch (``*_ns``, int), always from the log. Durations are nanoseconds too.
Nothing here reads a clock, a file or the environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from typing import Literal

import msgspec

Attributes = tuple[tuple[str, str | int], ...]
"""Attributes of low cardinality, sorted by name. They name a series, so no client may choose their values."""

OVERFLOW: Attributes = (("otel.metric.overflow", True),)
"""The attributes of the series that counts all others beyond the limit (OpenTelemetry's cardinality limits)."""


class Severity(IntEnum):
    """How bad one sample is: ``ok`` < threshold <= ``degraded`` < stall threshold <= ``stall``."""

    OK = 0
    DEGRADED = 1
    STALL = 2

    @property
    def label(self) -> str:
        """The word for users: ``ok``, ``degraded`` or ``stall``."""
        return self.name.lower()


class Shape(msgspec.Struct, frozen=True, cache_hash=True):
    """The common part of all samples of one kind of line; an observer creates each shape once and reuses it.

    ``stages`` are the names that belong to ``Sample.stage_ns``, by position; ``attributes`` are those of the series.
    """

    stages: tuple[str, ...] = ()
    attributes: Attributes = ()


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One measured overhead, as an observer reads it from one line.

    ``time_ns`` is its end and ``duration_ns`` its duration, so it started at ``time_ns - duration_ns``.
    ``logged_ns`` is when its line was written (never before ``time_ns``): the order of the log, which decides when an
    episode is over. ``cause`` is its largest part and ``stage`` its longest stage, both from fixed sets. ``trace`` is
    the trace context of its line (:mod:`otel_logtail.trace`), or empty: a link to a trace, never an identity.
    """

    time_ns: int
    duration_ns: int
    logged_ns: int
    cause: str
    stage: str
    shape: Shape
    stage_ns: tuple[int | None, ...] = ()
    trace: bytes = b""


class Ignored(msgspec.Struct, frozen=True):
    """The line is known and contains no sample."""


class Rejected(msgspec.Struct, frozen=True):
    """The line can be read but cannot be true; ``why`` is one word from the observer's small fixed set."""

    why: str


Observed = Sample | Ignored | Rejected


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A point in time that may explain a change, such as a start of the program with its version.

    ``text`` names it in a few words: at most 200 bytes on one line (:func:`otel_logtail.text.brief`).
    """

    time_ns: int
    text: str


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A sample where it was found. ``offset`` is the absolute byte offset of its line in its file.

    ``uid`` (16 bytes) is the permanent id of a breach: a hash of source, offset and line, which is the same each time
    the line is read. Samples that are ``ok`` are never named outside the store and have none. ``index`` is its place
    among the samples of its piece of log.
    """

    offset: int
    sample: Sample
    severity: Severity
    uid: bytes = b""
    index: int = 0


class Columns(msgspec.Struct, frozen=True):
    """The samples of one shape that an observer read from many lines at once, column by column.

    ``kept`` are the indices of the lines that the samples are from (None: of all lines); the others were ignored. The
    other columns have one value a sample, with the meaning that it has in :class:`Sample`.
    """

    shape: Shape
    kept: Sequence[int] | None
    time_ns: Sequence[int]
    duration_ns: Sequence[int]
    logged_ns: Sequence[int]
    causes: Sequence[str]
    stages: Sequence[str]
    stage_ns: Sequence[tuple[int | None, ...]]
    bounded: bool = False
    """True if the observer guarantees, for example by the types that it decodes into, that all values have the types of
    :class:`Sample` and that no stage is negative or longer than a hundred days. Otherwise each value is checked.
    """


class Samples(msgspec.Struct):
    """The samples of a piece of log, column by column, in file order: most of them are only counted.

    Like :class:`Sample`, with one list a field. ``stage_ns`` holds a tuple a sample. ``traces`` are the trace contexts
    of the lines that have one, by offset.
    """

    offsets: list[int] = []
    time_ns: list[int] = []
    duration_ns: list[int] = []
    logged_ns: list[int] = []
    causes: list[str] = []
    stages: list[str] = []
    shapes: list[Shape] = []
    stage_ns: list[tuple[int | None, ...]] = []
    traces: dict[int, bytes] = {}


class Breach(msgspec.Struct, frozen=True):
    """A hit that is not ok, the span of its episode, and the number of the part that it belongs to."""

    hit: Hit
    trace_id: bytes
    span_id: bytes
    part: int = 1


class Tally(msgspec.Struct, frozen=True):
    """Counters of a source while reading; ``rejected`` is by reason."""

    bytes: int = 0
    samples: int = 0
    ignored: int = 0
    drift: int = 0
    oversized: int = 0
    rejected: Mapping[str, int] = {}


class Fingerprint(msgspec.Struct, frozen=True):
    """A hash (blake2b, 16 bytes) of ``length`` bytes of a file."""

    length: int = 0
    digest: bytes = b""


class FileState(msgspec.Struct, frozen=True):
    """A checkpoint: one file of a source and the position read up to, which is committed with the samples.

    ``live`` is the path that the program writes to, and ``path`` the last known path of this file (the same until it is
    rotated). ``head`` covers the first bytes, ``anchor`` the last ones before ``offset``. ``done`` means rotated and
    read to its end. ``trail`` (see the module of that name) has hashes of the lines that were read. If the offset is 0,
    it is the trail of another file, which this one replaces and may continue. ``doubt`` is an offset: samples of lines
    before it may already be in the store, since another file with this live path had them, too. (For the trail of
    another file, it is the number of bytes behind that file's position that are in doubt.) ``parts`` are the parts of
    unfinished lines that were read (:mod:`otel_logtail.engine.joiner`): the position is behind them.
    """

    id: int
    live: str
    path: str
    device: int
    inode: int
    offset: int
    size: int = 0
    head: Fingerprint = Fingerprint()
    anchor: Fingerprint = Fingerprint()
    done: bool = False
    trail: bytes = b""
    doubt: int = 0
    parts: bytes = b""


class Chunk(msgspec.Struct, frozen=True):
    """Whole lines of one file, at their absolute offset, and the file's state behind them.

    They are ``buffer[start:end]``; the buffer is used again for the next chunk. ``advanced`` is the
    number of bytes that the position moves by, skipped ones included; ``oversized`` the number of lines whose start was
    skipped here. ``continued`` is the state of the file before this one, without the unfinished lines that this one
    continues.
    """

    buffer: bytearray
    start: int
    end: int
    base: int
    after: FileState
    advanced: int
    oversized: int = 0
    continued: FileState | None = None

    @property
    def data(self) -> bytes:
        """A copy of the lines."""
        return bytes(memoryview(self.buffer)[self.start : self.end])


class Part(msgspec.Struct, frozen=True):
    """A run of breaches of an episode, which is exported as a span of its own while the episode lasts.

    ``number`` counts from 1, ``span_id`` (8 bytes) comes from the episode's and the number, and ``begun_ns`` is the end
    of its first breach. The rest is as in :class:`Episode`.
    """

    number: int
    span_id: bytes
    begun_ns: int
    start_ns: int
    end_ns: int
    count: int
    peak_ns: int
    severity: Severity
    cause: str
    stage: str


class Episode(msgspec.Struct, frozen=True):
    """Breaches of one live path whose gaps stay within the quiet window.

    ``start_ns`` is the earliest start of a breach and ``end_ns`` the latest end. ``cause`` and ``stage`` are those of
    the peak. ``last_ns`` is when the last breach's line was written: the episode is over once the log is more than the
    quiet window past it. ``trace_id`` (16 bytes) and ``span_id`` (8 bytes) come from the first breach, so they are
    known while it is still open, and stay the same when the log is read again. ``part`` has its latest breaches (None:
    it was read from a store that did not keep it).
    """

    live: str
    attributes: Attributes
    trace_id: bytes
    span_id: bytes
    start_ns: int
    end_ns: int
    last_ns: int
    count: int
    peak_ns: int
    severity: Severity
    cause: str
    stage: str
    part: Part | None = None


class OpenEpisodes(msgspec.Struct, frozen=True):
    """The episodes of one live path that are not over.

    ``is_away``: the last line was further than the quiet window from the current episode. If that line was a breach, it
    is the first of the episode ``aside``, until the next line decides to which of the two it belongs.
    """

    current: Episode | None = None
    aside: Episode | None = None
    is_away: bool = False


class Unfinished(msgspec.Struct, frozen=True):
    """The state that was not final at the last commit.

    ``episodes`` are by live path, ``first_end_ns`` is the end of the earliest open interval (None: there is none), and
    ``last_start_ns`` the start of the latest one.
    """

    episodes: Mapping[str, OpenEpisodes] = {}
    first_end_ns: int | None = None
    last_start_ns: int | None = None


class Instrument(Enum):
    """The kinds of counts of an interval; the value is the name in the store."""

    DURATION = "duration"
    STAGE = "stage"
    BREACHES = "breaches"
    EPISODES = "episodes"
    EPISODE_TIME = "episode_time"
    """The sum is the time within episodes of at least the severity in the attributes."""

    __hash__ = object.__hash__  # of the one object for each kind: Enum's own is slow, and every key of a series has it


class SeriesKey(msgspec.Struct, frozen=True, cache_hash=True):
    """One instrument and one set of attribute values of a source.

    ``bounds_ns`` are the upper-inclusive bounds of the explicit histogram; other bounds are another series, so that
    counts of different bounds are never added up. It is empty for counts without a histogram.
    """

    instrument: Instrument
    attributes: Attributes = ()
    bounds_ns: tuple[int, ...] = ()


class Counts(msgspec.Struct):
    """Counts of one series: the one record that is changed in place while it is added up.

    ``explicit`` has one count more than the series has bounds. ``exponential`` is sparse: index at
    :data:`otel_logtail.engine.intervals.SCALE` (of the value in seconds) to count; zeros are in ``zeros``.
    """

    count: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    explicit: list[int] = []
    exponential: dict[int, int] = {}
    zeros: int = 0


class IntervalKey(msgspec.Struct, frozen=True):
    """One series in one stretch of event time, ``[start_ns, end_ns)``."""

    series: SeriesKey
    start_ns: int
    end_ns: int


class Batch(msgspec.Struct, frozen=True):
    """The results of one piece of a source's log. They are committed in one transaction, or not at all.

    ``samples`` belong to ``file``, whose name gives them ``attributes`` in addition to those of their shapes.
    ``breaches`` are the samples that are not ok, each with the ids of its episode. ``open_episodes`` has the open
    episodes of each live path on which they changed, and ``parts`` the parts of episodes that are complete (the last
    part of a closed episode is in the episode). ``continued`` is that of the chunk. ``drifted`` is the first line that
    drifted, as (offset, why).
    Intervals that end at or before ``seal_until_ns`` become final, and idle series are repeated at that time.
    ``is_last``: no more lines are read for now, so they are repeated no later than the end of the last such interval.
    """

    source: int
    file: FileState | None = None
    continued: FileState | None = None
    attributes: Attributes = ()
    samples: Samples = msgspec.field(default_factory=Samples)
    breaches: tuple[Breach, ...] = ()
    counts: Mapping[IntervalKey, Counts] = {}
    open_episodes: Mapping[str, OpenEpisodes] = {}
    closed: tuple[Episode, ...] = ()
    parts: tuple[tuple[Episode, Part], ...] = ()
    marks: tuple[Mark, ...] = ()
    tally: Tally = Tally()
    drifted: tuple[int, str] | None = None
    seal_until_ns: int | None = None
    is_last: bool = False


# --- what exporters get and answer ------------------------------------------------------------------------------


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


class HealthValue(msgspec.Struct, frozen=True):
    """One number of the daemon's own health. ``source`` is empty if it belongs to none.

    ``kind`` is the instrument: a counter only grows, an updowncounter can fall, values of a gauge do not add up.
    """

    name: str
    unit: str
    description: str
    kind: Literal["counter", "updowncounter", "gauge"]
    attributes: Attributes
    value: float
    source: str = ""


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


class Delivered(msgspec.Struct, frozen=True):
    """The receiver has decided about all of them: the batch is never sent again, in whole or in part.

    ``skipped`` items were not sent, since they are too old to act on. ``rejected`` is the number that the receiver
    discarded, in its own units (data points, spans), and ``why`` is its reason. If nothing was rejected, ``why`` is a
    warning.
    """

    skipped: int = 0
    rejected: int = 0
    why: str = ""


class Retry(msgspec.Struct, frozen=True):
    """The receiver may accept them later: after ``after_s`` seconds if it requested a delay (0: it did not).

    ``isolate``: a single item may be the cause, so smaller batches are tried at once. Without it they are tried only
    after some failures.
    """

    why: str
    after_s: float = 0.0
    isolate: bool = False


class Refused(msgspec.Struct, frozen=True):
    """The receiver will never accept this batch as it is."""

    why: str


class Partial(msgspec.Struct, frozen=True):
    """The first ``count`` items are done, as in :class:`Delivered`; ``rest`` is the answer about the next item."""

    count: int
    rest: Retry | Refused
    skipped: int = 0
    rejected: int = 0
    why: str = ""


Delivery = Delivered | Retry | Refused | Partial


class Deliveries(msgspec.Struct, frozen=True):
    """The items that an exporter delivered in some time, and those that wait now."""

    delivered: int
    waiting: int


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """The work of a run within ``seconds``, and the bytes that are still to be read. ``exporters`` is by name."""

    seconds: int
    bytes: int
    samples: int
    slow: int
    episodes: int
    behind: int
    exporters: Mapping[str, Deliveries] = {}
