"""The content of the screen at one moment. Pure."""

from __future__ import annotations

import msgspec

from otel_logtail.query.episodes import EpisodeRow
from otel_logtail.query.recent import ExporterState
from otel_logtail.report.answer import Answer

RECENT_NS = 300 * 10**9
"""The time that the figures cover."""

STEPS_S = (10, 30, 60, 120, 300, 600)
"""The time that one column of the plot covers, for each zoom."""

DEFAULT_ZOOM = 2

MOST_COLUMNS = 512
"""The columns that are kept for a wider screen."""


class Column(msgspec.Struct):
    """The samples of one column of the plot: their number by exponential bucket, and all of them."""

    buckets: dict[int, int] = msgspec.field(default_factory=dict)
    count: int = 0


class Recent(msgspec.Struct, frozen=True):
    """The figures of the last minutes; all are 0 without a sample."""

    per_minute: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The store at one moment.

    ``columns`` are those of the plot, the oldest first; the last one holds ``now_ns``. ``episodes`` are the newest
    ones, the newest first. ``today`` is the verdict since midnight, None if it is not made yet.
    """

    now_ns: int
    title: str
    files: int
    behind: int
    is_running: bool
    step_s: int
    columns: tuple[Column, ...]
    recent: Recent
    thresholds_ms: tuple[float, float] | None
    episodes: tuple[EpisodeRow, ...]
    exporters: tuple[ExporterState, ...]
    today: Answer | None
    damage: str = ""


class Waiting(msgspec.Struct, frozen=True):
    """There is nothing to show yet: why, and what to do."""

    now_ns: int
    why: str
    hint: str = ""
