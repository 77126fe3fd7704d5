"""What a range is made of: its durations by path, its breaches by cause. Adds up to what ``summary`` says of it."""

from __future__ import annotations

import sqlite3
from collections import Counter

import msgspec

from otel_logtail.model import Counts, Instrument, Severity
from otel_logtail.query.counts import add_values, count_of, cover, interval_counts
from otel_logtail.query.database import Damage, snapshot, source_id
from otel_logtail.query.rows import Kinds, in_range
from otel_logtail.query.sums import series_of

Labels = tuple[tuple[str, str | int], ...]


class Parts(msgspec.Struct, frozen=True):
    """Durations by the attributes of their series, and how many breaches there were of each severity and cause."""

    durations: dict[Labels, Counts]
    breaches: dict[tuple[str, str], int]


def parts(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    source: str | None = None,
    damage: Damage | None = None,
) -> Parts:
    """What a range is made of (without a source: all sources together)."""
    damage = damage or Damage()
    only = source_id(conn, source)
    with snapshot(conn):
        by_labels: dict[Labels, list[int]] = {}
        for id_, attributes in series_of(conn, Instrument.DURATION, only):
            by_labels.setdefault(_labels(attributes), []).append(id_)
        by_cause: dict[tuple[str, str], list[int]] = {}
        for id_, attributes in series_of(conn, Instrument.BREACHES, only):
            by_cause.setdefault((str(attributes.get("severity")), str(attributes.get("cause"))), []).append(id_)
        everything = [id_ for ids in (*by_labels.values(), *by_cause.values()) for id_ in ids]
        coverage = cover(conn, everything, since_ns, until_ns)
        durations = {labels: interval_counts(conn, ids, coverage, damage).counts for labels, ids in by_labels.items()}
        breaches = Counter({cause: count_of(conn, ids, coverage) for cause, ids in by_cause.items()})
        kinds = Kinds(conn, only)
        for edge in coverage.edges:
            values: dict[Labels, list[int]] = {}
            for sample in in_range(conn, *edge, kinds, damage):
                kind = kinds.get(sample[3])
                if kind is None:
                    continue
                values.setdefault(_labels(kind.attributes), []).append(sample[2])
                if kind.severity is not Severity.OK:
                    breaches[kind.severity.label, kind.cause] += 1
            for labels, found in values.items():
                add_values(durations.setdefault(labels, Counts()), found)
    return Parts(
        {labels: counts for labels, counts in durations.items() if counts.count},
        {cause: number for cause, number in breaches.items() if number},
    )


def _labels(attributes: dict[str, str | int]) -> Labels:
    return tuple(sorted(attributes.items()))
