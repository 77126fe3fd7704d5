"""The local questions and their answers: reads the store beside a running daemon, and never writes.

Every answer is one snapshot. Ranges are ``[since, until)`` in ns since the epoch, by the time at which a sample ended;
None as a bound means no bound. The fields of the answers, in their order, are the keys that users see, and stable.
Durations in answers are milliseconds.
"""

from __future__ import annotations

from otel_logtail.query.database import Damage, open_readonly
from otel_logtail.query.parts import Parts, parts
from otel_logtail.query.rows import EpisodeRow, SampleRow, SqlResult, episodes, samples, sql
from otel_logtail.query.status import status
from otel_logtail.query.sums import StageRow, Summary, stages, summary
from otel_logtail.text import parse_when

__all__ = [
    "Damage",
    "EpisodeRow",
    "Parts",
    "SampleRow",
    "SqlResult",
    "StageRow",
    "Summary",
    "episodes",
    "open_readonly",
    "parse_when",
    "parts",
    "samples",
    "sql",
    "stages",
    "status",
    "summary",
]
