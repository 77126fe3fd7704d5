"""From a chunk to a batch: files, episodes, counts, and the results that are committed together."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from otel_logtail.model.samples import Attributes, Hits, Mark, Samples, Severity


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


class Tally(msgspec.Struct, frozen=True):
    """Counters of a source while reading; ``rejected`` is by reason."""

    bytes: int = 0
    samples: int = 0
    ignored: int = 0
    drift: int = 0
    oversized: int = 0
    rejected: Mapping[str, int] = {}


class Breaches(msgspec.Struct, frozen=True, gc=False):
    """A run of hits, ``[begin:end]``, with the span of their episode and the number of the part that they belong to."""

    begin: int
    end: int
    trace_id: bytes
    span_id: bytes
    part: int = 1


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


class SparseInterval(msgspec.Struct, frozen=True, gc=False):
    """The few samples of one stretch of event time, ``[start_ns, end_ns)``, as values: counting them would cost more.

    ``samples`` is a JSON array with an array of durations (at least one) for each of the ``series``.
    """

    series: tuple[SeriesKey, ...]
    start_ns: int
    end_ns: int
    samples: str


class Batch(msgspec.Struct, frozen=True):
    """The results of one piece of a source's log. They are committed in one transaction, or not at all.

    ``samples`` belong to ``file``, whose name gives them ``attributes`` in addition to those of their shapes.
    ``counts`` and ``sparse`` are of other intervals or series; the latter end at or before ``seal_until_ns``.
    ``hits`` are the samples that are not ok, and ``breaches`` the runs of them that belong to an episode: each is in
    one. ``open_episodes`` has the open episodes of each live path on which they changed, and ``parts`` the parts of
    episodes that are complete (the last part of a closed episode is in the episode). ``continued`` is that of the
    chunk. ``drifted`` is the first line that drifted, as (offset, why).
    Intervals that end at or before ``seal_until_ns`` become final, and idle series are repeated at that time.
    ``is_last``: no more lines are read for now, so they are repeated no later than the end of the last such interval.
    """

    source: int
    file: FileState | None = None
    continued: FileState | None = None
    attributes: Attributes = ()
    samples: Samples = msgspec.field(default_factory=Samples)
    hits: Hits = msgspec.field(default_factory=Hits)
    breaches: tuple[Breaches, ...] = ()
    counts: Mapping[IntervalKey, Counts] = {}
    sparse: tuple[SparseInterval, ...] = ()
    open_episodes: Mapping[str, OpenEpisodes] = {}
    closed: tuple[Episode, ...] = ()
    parts: tuple[tuple[Episode, Part], ...] = ()
    marks: tuple[Mark, ...] = ()
    tally: Tally = Tally()
    drifted: tuple[int, str] | None = None
    seal_until_ns: int | None = None
    is_last: bool = False
