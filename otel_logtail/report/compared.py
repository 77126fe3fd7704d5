"""Read two periods of a store, and compare them."""

from __future__ import annotations

from datetime import tzinfo

import msgspec

from otel_logtail import query
from otel_logtail.counts import add
from otel_logtail.model import Counts, Severity
from otel_logtail.query import Hours, Reader
from otel_logtail.report.compare import Comparison, compare
from otel_logtail.report.deciding import deciding
from otel_logtail.report.periods import DAY_NS, Period

_DAYS_BACK = 42  # 28 of one kind, weekday or weekend, may be needed


def compare_periods(reader: Reader, before: Period, after: Period, tz: tzinfo | None = None) -> Comparison:
    """Compare two periods of the reader's source.

    Args:
        reader: The store and the source; its range is not used.
        before: The earlier period.
        after: The later period.
        tz: The time zone of days and hours; None: the local one.
    """
    with reader.snapshot():
        sides = tuple(query.hours(reader.within(period.since_ns, period.until_ns)) for period in (before, after))
        others = query.hours(reader.within(before.since_ns - _DAYS_BACK * DAY_NS, before.since_ns))
        thresholds = reader.conn.execute(
            "SELECT DISTINCT threshold_ns FROM source WHERE :source IS NULL OR id = :source",
            {"source": reader.source_id()},
        ).fetchall()
        earlier = reader.within(before.since_ns, before.until_ns)
        stalls = query.episodes(earlier, severities=(Severity.STALL,))
        summary = query.summary(earlier)
        figures = deciding(summary, [stall.duration_ms / 1e3 for stall in stalls])
    threshold_ns = thresholds[0][0] if len(thresholds) == 1 else None
    found = compare((sides[0], sides[1]), (before, after), others, threshold_ns=threshold_ns, tz=tz)
    return msgspec.structs.replace(found, earlier=figures, counts=_counts(sides[0]))


def _counts(hours: Hours) -> Counts:
    """Add up the durations of some hours; the shortest one is not known exactly."""
    total = Counts()
    for hour in hours.hours.values():
        more = Counts(hour.count, hour.sum_ns, 0, hour.max_ns, [], dict(hour.histogram), hour.zeros)
        add(total, more)
    return total
