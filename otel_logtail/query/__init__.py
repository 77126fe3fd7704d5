"""Answer questions about the store, beside a running daemon; nothing is written.

Each answer is a function of a :class:`Reader`. Ranges are ``[since, until)`` in ns since the epoch, by the end of a
sample. The fields of the answers, in their order, are the keys that users see, and stable. Durations in answers are in
ms.
"""

from __future__ import annotations

from otel_logtail.query.breakdown import Breakdown, breakdown
from otel_logtail.query.episodes import EpisodeRow, EpisodeSpan, episode_spans, episodes, episodes_of
from otel_logtail.query.hours import Extent, Hour, Hours, extent, hours
from otel_logtail.query.marks import MarkRow, marks
from otel_logtail.query.over_time import longest_interval, over_time
from otel_logtail.query.reader import Damage, Reader
from otel_logtail.query.samples import SampleRow, samples
from otel_logtail.query.schema import ColumnRow, schema
from otel_logtail.query.selection import Selection
from otel_logtail.query.slowest import SlowestRow, SlowSample, slow_samples, slowest
from otel_logtail.query.sql import SqlResult, sql
from otel_logtail.query.status import status
from otel_logtail.query.summary import StageRow, Summary, stages, summary

__all__ = [
    "Breakdown",
    "ColumnRow",
    "Damage",
    "EpisodeRow",
    "EpisodeSpan",
    "Extent",
    "Hour",
    "Hours",
    "MarkRow",
    "Reader",
    "SampleRow",
    "Selection",
    "SlowSample",
    "SlowestRow",
    "SqlResult",
    "StageRow",
    "Summary",
    "breakdown",
    "episode_spans",
    "episodes",
    "episodes_of",
    "extent",
    "hours",
    "longest_interval",
    "marks",
    "over_time",
    "samples",
    "schema",
    "slow_samples",
    "slowest",
    "sql",
    "stages",
    "status",
    "summary",
]
