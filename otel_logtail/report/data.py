"""Gather the figures of a report from one snapshot of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

import msgspec

from otel_logtail import query
from otel_logtail.counts import add
from otel_logtail.model import Counts
from otel_logtail.query import EpisodeRow, Reader, StageRow, Summary
from otel_logtail.query.breakdown import Labels
from otel_logtail.query.intervals import figures_ms, percentiles_ns
from otel_logtail.report.calendar import Calendar, Slot
from otel_logtail.report.slo import Slo, Verdict
from otel_logtail.text import parse_when


class Part(msgspec.Struct, frozen=True):
    """The figures of one source, path or stage; durations in ms."""

    name: str
    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Cause(msgspec.Struct, frozen=True):
    """The number of breaches with one cause."""

    name: str
    degraded: int
    stall: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a report.

    ``share`` is the part of the time from the first to the last sample that is within episodes; None: there is no such
    time. ``thresholds_ms`` are None if the sources have different ones.
    """

    title: str
    summary: Summary
    counts: Counts
    thresholds_ms: tuple[float, float] | None
    share: float | None
    stalls: int
    slots: tuple[Slot, ...]
    hourly: bool
    peaks: Mapping[str, tuple[int, str]]
    causes: tuple[Cause, ...]
    sources: tuple[Part, ...]
    paths: tuple[Part, ...]
    stages: tuple[Part, ...]
    worst: tuple[EpisodeRow, ...]
    verdicts: tuple[Verdict, ...] = ()


def gather(reader: Reader, slos: Sequence[Slo] = (), *, tz: tzinfo | None = None) -> Report:
    """Gather a report of the reader's range and source; its figures are those of ``query``.

    Args:
        reader: The store, the range and the source.
        slos: The targets to judge.
        tz: The time zone of days and hours; None: the local one.
    """
    with reader.snapshot():
        summary = query.summary(reader)
        breakdown = query.breakdown(reader)
        stages = tuple(_part(stage.stage, stage) for stage in query.stages(reader))
        settings = reader.conn.execute("SELECT name, threshold_ns, stall_ns FROM source ORDER BY name").fetchall()
        names = [name for name, *_ in settings]
        calendar = Calendar(tz)
        for episode in query.episodes(reader):
            calendar.add(episode)
        sources = _sources(reader, names) if reader.source is None and len(names) > 1 else ()
    first_ns, last_ns = (parse_when(time, 0) if time else 0 for time in (summary.from_, summary.to))
    hourly, slots = calendar.slots(first_ns // 10**9, last_ns // 10**9)
    thresholds = {(slow / 1e6, stall / 1e6) for name, slow, stall in settings if reader.source in (None, name)}
    report = Report(
        title=reader.source or (names[0] if len(names) == 1 else "all sources"),
        summary=summary,
        counts=_total(breakdown.durations.values()),
        thresholds_ms=thresholds.pop() if len(thresholds) == 1 else None,
        share=summary.stalled_ms * 1e6 / (last_ns - first_ns) if last_ns > first_ns else None,
        stalls=calendar.stalls,
        slots=slots,
        hourly=hourly,
        peaks=calendar.peaks(),
        causes=_causes(breakdown.breaches),
        sources=sources,
        paths=_paths(breakdown.durations),
        stages=stages,
        worst=calendar.worst,
    )
    return msgspec.structs.replace(report, verdicts=tuple(_judge(slo, report) for slo in slos))


def _total(all_counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for counts in all_counts:
        add(total, counts)
    return total


def _sources(reader: Reader, names: Iterable[str]) -> tuple[Part, ...]:
    found = ((name, query.summary(reader.of(name))) for name in names)
    return tuple(_part(name, summary) for name, summary in found if summary.count)


def _part(name: str, figures: Summary | StageRow) -> Part:
    return Part(name, figures.count, figures.p50_ms, figures.p90_ms, figures.p99_ms, figures.max_ms)


def _causes(breaches: Mapping[tuple[str, str], int]) -> tuple[Cause, ...]:
    names = {cause for _, cause in breaches}
    found = [Cause(name, breaches.get(("degraded", name), 0), breaches.get(("stall", name), 0)) for name in names]
    return tuple(sorted(found, key=lambda cause: (-cause.degraded - cause.stall, cause.name)))


def _paths(durations: Mapping[Labels, Counts]) -> tuple[Part, ...]:
    found = []
    for labels, counts in durations.items():
        figures = figures_ms(counts)
        del figures["mean_ms"]
        found.append(Part(", ".join(f"{key}={value}" for key, value in labels) or "-", counts.count, **figures))
    return tuple(sorted(found, key=lambda part: (-part.count, part.name)))


def _judge(slo: Slo, report: Report) -> Verdict:
    summary = report.summary
    if not summary.count:
        return Verdict(slo.text, False, "no samples in this range")
    durations_ms = {"mean": summary.mean_ms, "max": summary.max_ms}
    shares = {
        "breaches": (summary.degraded + summary.stall) / summary.count,
        "stalled": report.share or 0.0,
    }
    if slo.percent is not None or slo.subject in durations_ms:
        ms = durations_ms[slo.subject] if slo.percent is None else percentiles_ns(report.counts, [slo.percent])[0] / 1e6
        return Verdict(slo.text, slo.is_met(ms), f"{ms:,.3f} ms")
    if slo.subject in shares:
        percent = 100 * shares[slo.subject]
        return Verdict(slo.text, slo.is_met(percent), f"{percent:.3g} %")
    return _judge_count(slo, report)


def _judge_count(slo: Slo, report: Report) -> Verdict:
    if not slo.per:
        number = report.stalls if slo.subject == "stalls" else report.summary.episodes
        return Verdict(slo.text, slo.is_met(number), f"{number}")
    number, when = report.peaks.get(f"{slo.subject}/{slo.per}", (0, ""))
    return Verdict(slo.text, slo.is_met(number), f"{number} in the worst {slo.per}" + (f", {when}" if number else ""))
