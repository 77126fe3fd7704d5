"""What a range adds up to: interval counts where they can be used, samples at its edges (see ``counts``)."""

from __future__ import annotations

import sqlite3
from collections import Counter

import msgspec

from otel_logtail.model import Counts, Instrument, Severity
from otel_logtail.query.counts import add_values, count_of, cover, interval_counts, percentiles_ns
from otel_logtail.query.database import Damage, snapshot, source_id
from otel_logtail.query.rows import BLOCK, EPISODES, OVERLAPS, Kinds, in_range, readable
from otel_logtail.text import iso

_PERCENTS = (50, 90, 99)
_BAD = {severity.label: severity for severity in Severity if severity is not Severity.OK}


class Summary(msgspec.Struct, frozen=True):
    """What a range adds up to. Percentiles are within 1 %; ``from`` and ``to`` are its first and last sample."""

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    degraded: int
    stall: int
    episodes: int
    stalled_ms: float
    from_: str | None = msgspec.field(name="from")
    to: str | None


class StageRow(msgspec.Struct, frozen=True):
    """What one stage adds up to; percentiles are within 1 %."""

    stage: str
    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def summary(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    source: str | None = None,
    damage: Damage | None = None,
) -> Summary:
    """What the samples and episodes of a range add up to (without a source: all sources together).

    What can't be read is noted in ``damage``: counts are taken at their mean, samples left out.
    """
    damage = damage or Damage()
    only = source_id(conn, source)
    with snapshot(conn):
        duration = series_of(conn, Instrument.DURATION, only)
        breaches = series_of(conn, Instrument.BREACHES, only)
        by_severity = {word: [id_ for id_, attrs in breaches if attrs.get("severity") == word] for word in _BAD}
        ids = [id_ for id_, _ in duration]
        coverage = cover(conn, [*ids, *(id_ for id_, _ in breaches)], since_ns, until_ns)
        covered = interval_counts(conn, ids, coverage, damage)
        counts = covered.counts
        bad = {word: count_of(conn, series, coverage) for word, series in by_severity.items()}
        times = []
        if covered.first and covered.last:
            times = [
                _sample_time(conn, covered.first, only, "ASC", damage) or covered.first[0],
                _sample_time(conn, covered.last, only, "DESC", damage) or covered.last[1],
            ]
        kinds = Kinds(conn, only)
        for edge in coverage.edges:
            found = list(in_range(conn, *edge, kinds, damage))
            add_values(counts, [sample[2] for sample in found])
            severities = Counter(kind.severity for sample in found if (kind := kinds.get(sample[3])) is not None)
            for word, severity in _BAD.items():
                bad[word] += severities[severity]
            times += [sample[1] for sample in found]
        number, stalled_ns = conn.execute(
            "SELECT count(*), ifnull(sum("
            "min(end_ns, ifnull(:until, end_ns)) - max(start_ns, ifnull(:since, start_ns))), 0)"
            f" FROM {EPISODES} WHERE {OVERLAPS} AND (:only IS NULL OR source = :only)",
            {"since": since_ns, "until": until_ns, "only": only},
        ).fetchone()
    return Summary(
        count=counts.count,
        **figures(counts),
        degraded=bad["degraded"],
        stall=bad["stall"],
        episodes=number,
        stalled_ms=stalled_ns / 1e6,
        from_=iso(min(times)) if times else None,
        to=iso(max(times)) if times else None,
    )


def stages(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    source: str | None = None,
    damage: Damage | None = None,
) -> list[StageRow]:
    """What each stage adds up to in a range, the one that took the most time first; ``damage`` as for a summary."""
    damage = damage or Damage()
    only = source_id(conn, source)
    with snapshot(conn):
        by_stage: dict[str, list[int]] = {}
        for id_, attributes in series_of(conn, Instrument.STAGE, only):
            by_stage.setdefault(str(attributes.get("stage", "")), []).append(id_)
        coverage = cover(conn, [id_ for ids in by_stage.values() for id_ in ids], since_ns, until_ns)
        totals = {stage: interval_counts(conn, ids, coverage, damage).counts for stage, ids in by_stage.items()}
        for edge in coverage.edges:
            for stage, values in _edge_stages(conn, edge, only, damage).items():
                add_values(totals.setdefault(stage, Counts()), values)
    ordered = sorted(totals.items(), key=lambda item: (-item[1].sum_ns, item[0]))
    return [StageRow(stage=stage, count=counts.count, **figures(counts)) for stage, counts in ordered if counts.count]


def series_of(
    conn: sqlite3.Connection, instrument: Instrument, source: int | None
) -> list[tuple[int, dict[str, str | int]]]:
    """The series of an instrument (of one source, or of all): their ids and attributes."""
    rows = conn.execute(
        "SELECT id, attributes FROM series WHERE instrument = :instrument AND (:source IS NULL OR source = :source)",
        {"instrument": instrument.value, "source": source},
    )
    return [(id_, msgspec.json.decode(text, type=dict[str, bool | int | str])) for id_, text in rows]


def _edge_stages(
    conn: sqlite3.Connection, edge: tuple[int, int], source: int | None, damage: Damage
) -> dict[str, list[int]]:
    by_stage: dict[str, list[int]] = {}
    kinds = Kinds(conn, source)
    for *_, kind_id, stage_ns in in_range(conn, *edge, kinds, damage):
        kind = kinds.get(kind_id)
        for stage, ns in zip(kind.stages if kind else (), stage_ns, strict=False):
            if ns is not None:
                by_stage.setdefault(stage, []).append(ns)
    return by_stage


def _sample_time(
    conn: sqlite3.Connection, interval: tuple[int, int], source: int | None, order: str, damage: Damage
) -> int | None:
    """The time of the first (ASC) or last (DESC) sample in an interval; None: they are no longer kept."""
    since_ns, until_ns = interval
    kinds, first = Kinds(conn, source), order == "ASC"
    best: int | None = None
    blocks = conn.execute(
        f"SELECT {BLOCK} FROM block WHERE first_ns < ? AND last_ns >= ?"
        f" ORDER BY {'first_ns' if first else 'last_ns DESC'}",
        (until_ns, since_ns),
    )
    for block in readable(blocks, damage):
        if best is not None and (block.first_ns > best if first else block.last_ns < best):
            break  # no later block can have a better one
        times = [
            time_ns
            for _, time_ns, _, kind, _ in block.samples
            if since_ns <= time_ns < until_ns and kinds.get(kind) is not None
        ]
        if best is not None:
            times.append(best)
        if times:
            best = min(times) if first else max(times)
    return best


def figures(counts: Counts) -> dict[str, float]:
    """What counts say of the durations in them, in milliseconds."""
    p50, p90, p99 = percentiles_ns(counts, _PERCENTS)
    return {
        "mean_ms": counts.sum_ns / counts.count / 1e6 if counts.count else 0.0,
        "p50_ms": p50 / 1e6,
        "p90_ms": p90 / 1e6,
        "p99_ms": p99 / 1e6,
        "max_ms": counts.max_ns / 1e6,
    }
