"""Break a range down: durations by the attributes of their series, breaches by severity and cause."""

from __future__ import annotations

from collections import Counter

import msgspec

from otel_logtail.model import Counts, Instrument, Severity
from otel_logtail.query.blocks import at_edges
from otel_logtail.query.edges import cover
from otel_logtail.query.intervals import add_values, count_of, interval_counts, series_of
from otel_logtail.query.reader import Reader

Labels = tuple[tuple[str, str | int], ...]
Breaches = Counter[tuple[str, str]]


class Breakdown(msgspec.Struct, frozen=True):
    """Durations by attributes, and the number of breaches by severity and cause; they add up to the summary."""

    durations: dict[Labels, Counts]
    breaches: Breaches


def breakdown(reader: Reader) -> Breakdown:
    """Break the reader's range down."""
    with reader.snapshot():
        by_labels: dict[Labels, list[int]] = {}
        for id_, attributes in series_of(reader, Instrument.DURATION):
            by_labels.setdefault(_labels(attributes), []).append(id_)
        by_cause: dict[tuple[str, str], list[int]] = {}
        for id_, attributes in series_of(reader, Instrument.BREACHES):
            by_cause.setdefault((str(attributes.get("severity")), str(attributes.get("cause"))), []).append(id_)
        coverage = cover(reader, [id_ for ids in (*by_labels.values(), *by_cause.values()) for id_ in ids])
        durations = {labels: interval_counts(reader, ids, coverage).counts for labels, ids in by_labels.items()}
        breaches = Counter({cause: count_of(reader, ids, coverage) for cause, ids in by_cause.items()})
        at_edge: dict[Labels, list[int]] = {}
        for sample, kind in at_edges(reader, coverage):
            at_edge.setdefault(_labels(kind.attributes), []).append(sample[2])
            if kind.severity is not Severity.OK:
                breaches[kind.severity.label, kind.cause] += 1
        for labels, values in at_edge.items():
            add_values(durations.setdefault(labels, Counts()), values)
    return Breakdown({labels: counts for labels, counts in durations.items() if counts.count}, +breaches)


def _labels(attributes: dict[str, str | int]) -> Labels:
    return tuple(sorted(attributes.items()))
