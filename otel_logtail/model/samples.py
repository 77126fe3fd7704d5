"""Samples: what an observer reads from lines, and how they are found in a piece of log."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

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


class Hits(msgspec.Struct, frozen=True):
    """The samples of a piece of log that are not ok, column by column.

    ``places`` are their places among all ``Samples`` of the piece. ``uids`` (16 bytes each) are their permanent ids:
    hashes of source, offset and line, which are the same each time the line is read. Samples that are ``ok`` are never
    named outside the store and have none.
    """

    samples: Samples = msgspec.field(default_factory=Samples)
    places: list[int] = []
    severities: list[Severity] = []
    uids: list[bytes] = []

    def __len__(self) -> int:
        return len(self.places)
