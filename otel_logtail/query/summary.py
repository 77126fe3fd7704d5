"""Answer ``query summary`` and ``query stages``: what a range adds up to, and each stage in it."""

from __future__ import annotations

import msgspec

from otel_logtail.model import Counts, Instrument, Severity
from otel_logtail.query.blocks import BLOCK, Kinds, at_edges, readable
from otel_logtail.query.edges import Coverage, cover
from otel_logtail.query.episodes import count_episodes
from otel_logtail.query.intervals import (
    Covered,
    add_values,
    count_of,
    figures_ms,
    interval_counts,
    series_of,
)
from otel_logtail.query.reader import Reader
from otel_logtail.text import iso, parse_when

_FIGURES = ("mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")


class Summary(msgspec.Struct, frozen=True):
    """The sum of a range.

    Percentiles are within 1 %; ``from`` and ``to`` are the first and the last sample. All are None without a sample.
    ``time_in_stalls_ms`` is the time in episodes of the severity stall.
    """

    count: int
    mean_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    degraded: int
    stall: int
    episodes: int
    time_in_episodes_ms: float
    time_in_stalls_ms: float
    from_: str | None = msgspec.field(name="from")
    to: str | None

    @property
    def span_ns(self) -> tuple[int, int]:
        """The times of the first and the last sample; both 0 without a sample."""
        return parse_when(self.from_ or "@0", 0), parse_when(self.to or "@0", 0)


class StageRow(msgspec.Struct, frozen=True):
    """The sum of one stage; percentiles are within 1 %."""

    stage: str
    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def summary(reader: Reader) -> Summary:
    """Add up the samples and episodes of the reader's range; rows that cannot be read are noted there."""
    with reader.snapshot():
        duration = [id_ for id_, _ in series_of(reader, Instrument.DURATION)]
        breaches = series_of(reader, Instrument.BREACHES)
        coverage = cover(reader, [*duration, *(id_ for id_, _ in breaches)])
        covered = interval_counts(reader, duration, coverage)
        slow = {
            severity: count_of(
                reader, [id_ for id_, attributes in breaches if attributes.get("severity") == severity.label], coverage
            )
            for severity in Severity
        }
        times, values = _first_and_last(reader, covered), []
        for sample, kind in at_edges(reader, coverage):
            values.append(sample[2])
            times.append(sample[1])
            slow[kind.severity] += 1
        add_values(covered.counts, values)
        number, time_ns, stall_ns = count_episodes(reader)
    return Summary(
        count=covered.counts.count,
        **(figures_ms(covered.counts) if covered.counts.count else dict.fromkeys(_FIGURES)),
        degraded=slow[Severity.DEGRADED],
        stall=slow[Severity.STALL],
        episodes=number,
        time_in_episodes_ms=time_ns / 1e6,
        time_in_stalls_ms=stall_ns / 1e6,
        from_=iso(min(times)) if times else None,
        to=iso(max(times)) if times else None,
    )


def stages(reader: Reader) -> list[StageRow]:
    """Add up each stage in the reader's range, the one with the most time first."""
    with reader.snapshot():
        by_stage: dict[str, list[int]] = {}
        for id_, attributes in series_of(reader, Instrument.STAGE):
            by_stage.setdefault(str(attributes.get("stage", "")), []).append(id_)
        coverage = cover(reader, [id_ for ids in by_stage.values() for id_ in ids])
        totals = {stage: interval_counts(reader, ids, coverage).counts for stage, ids in by_stage.items()}
        for stage, values in _stages_at_edges(reader, coverage).items():
            add_values(totals.setdefault(stage, Counts()), values)
    ordered = sorted(totals.items(), key=lambda item: (-item[1].sum_ns, item[0]))
    return [StageRow(stage=stage, count=sum_.count, **figures_ms(sum_)) for stage, sum_ in ordered if sum_.count]


def _stages_at_edges(reader: Reader, coverage: Coverage) -> dict[str, list[int]]:
    by_stage: dict[str, list[int]] = {}
    for sample, kind in at_edges(reader, coverage):
        for stage, ns in zip(kind.stages, sample[4], strict=False):
            if ns is not None:
                by_stage.setdefault(stage, []).append(ns)
    return by_stage


def _first_and_last(reader: Reader, covered: Covered) -> list[int]:
    """Return the times of the first and the last sample in some intervals; empty: there are no intervals.

    If their samples have expired, the bounds of the intervals replace them.
    """
    if not covered.first or not covered.last:
        return []
    first_ns = _time_of_sample(reader, covered.first, want_first=True)
    last_ns = _time_of_sample(reader, covered.last, want_first=False)
    return [first_ns or covered.first[0], last_ns or covered.last[1]]


def _time_of_sample(reader: Reader, interval: tuple[int, int], *, want_first: bool) -> int | None:
    """Return the time of the first or the last sample in an interval, or None if its samples have expired."""
    since_ns, until_ns = interval
    kinds = Kinds(reader)
    best: int | None = None
    blocks = reader.conn.execute(
        f"SELECT {BLOCK} FROM block WHERE first_ns < ? AND last_ns >= ?"
        f" ORDER BY {'first_ns' if want_first else 'last_ns DESC'}",
        (until_ns, since_ns),
    )
    for block in readable(blocks, reader.damage):
        if best is not None and (block.first_ns > best if want_first else block.last_ns < best):
            break  # no later block can hold a better one
        times = [
            time_ns
            for _, time_ns, _, kind, _ in block.samples
            if since_ns <= time_ns < until_ns and kinds.get(kind) is not None
        ]
        if best is not None:
            times.append(best)
        if times:
            best = min(times) if want_first else max(times)
    return best
