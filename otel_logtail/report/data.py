"""Gather the figures of a report from one snapshot of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo

import msgspec

from otel_logtail import query
from otel_logtail.counts import add
from otel_logtail.model import Counts, Mark
from otel_logtail.observer import Explanation
from otel_logtail.plugins import explain
from otel_logtail.query import EpisodeSpan, Extent, Reader, StageRow, Summary
from otel_logtail.query.breakdown import Breaches, Breakdown, Labels
from otel_logtail.query.intervals import figures_ms
from otel_logtail.report.calendar import Calendar, Slot
from otel_logtail.report.deciding import Deciding, deciding
from otel_logtail.report.judge import Measured, Verdict, judge, worst_of
from otel_logtail.report.periods import DAY_NS
from otel_logtail.report.since import Since
from otel_logtail.report.slo import IN_STALLS, Slo, default_slos
from otel_logtail.report.stalls import DRAWN, Cause, LongStall, Stalls
from otel_logtail.report.timeline import Timeline, timeline


class Part(msgspec.Struct, frozen=True):
    """The figures of one source, path or stage; durations in ms."""

    name: str
    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a report.

    ``shares`` are the parts of the covered time (of samples and episodes) that are within episodes and within stalls;
    None: there is no such time. ``thresholds_ms`` are None if the sources have different ones. ``are_default``: the
    user gave no targets. ``newest_ns`` is the time of the newest sample in the store if the range has none. ``week``
    has the number of stalls that began in each hour of each day of the week. ``sources`` are the reports of all
    sources, if there are several. ``bounds_ns`` is the requested range. ``marks`` are the marks in it, oldest first,
    and ``since`` is what changed since the newest one (:func:`marked.with_marks` adds both).
    """

    title: str
    summary: Summary
    counts: Counts
    thresholds_ms: tuple[float, float] | None
    shares: tuple[float, float] | None
    stalls: int
    timeline: Timeline
    slots: tuple[Slot, ...]
    hourly: bool
    days: tuple[Slot, ...]
    week: tuple[tuple[int, ...], ...]
    deciding: Deciding
    peaks: Mapping[str, tuple[int, str]]
    causes: tuple[Cause, ...]
    paths: tuple[Part, ...]
    stages: tuple[Part, ...]
    longest: tuple[LongStall, ...]
    verdicts: tuple[Verdict, ...] = ()
    are_default: bool = False
    newest_ns: int | None = None
    sources: tuple[Report, ...] = ()
    bounds_ns: tuple[int | None, int | None] = (None, None)
    marks: tuple[Mark, ...] = ()
    since: Since | None = None

    @property
    def stalls_a_day(self) -> float | None:
        """The number of stalls in 24 hours; None: the log covers less than a day."""
        first_ns, last_ns = self.summary.span_ns
        return self.stalls * DAY_NS / (last_ns - first_ns) if last_ns - first_ns >= DAY_NS else None


def gather(reader: Reader, slos: Sequence[Slo] = (), *, tz: tzinfo | None = None) -> Report:
    """Gather a report of the reader's range and source; its figures are those of ``query``.

    If several sources have samples in the range, each is judged on its own, and the report has the worst verdict on
    each target.

    Args:
        reader: The store, the range and the source.
        slos: The targets to judge; none: the default ones.
        tz: The time zone of days and hours; None: the local one.
    """
    with reader.snapshot():
        rows = reader.conn.execute("SELECT name, observer, threshold_ns, stall_ns FROM source ORDER BY name").fetchall()
        settings = [_Source(*row) for row in rows if reader.source in (None, row[0])]
        report = _gather(reader, slos, settings, tz)
        if len(settings) < 2:
            return report
        each = (_gather(reader.of(source.name), slos, [source], tz) for source in settings)
        sources = tuple(found for found in each if found.summary.count)
    if len(sources) < 2:
        return sources[0] if sources else report
    verdicts = worst_of([(source.title, source.verdicts) for source in sources])
    return msgspec.structs.replace(report, sources=sources, verdicts=verdicts)


class _Source(msgspec.Struct, frozen=True):
    """A source with its settings."""

    name: str
    observer: str
    threshold_ns: int
    stall_ns: int


class _Found(msgspec.Struct, frozen=True):
    """The parts of a report that are in the store. ``thresholds_ms`` are None if the sources have different ones."""

    summary: Summary
    extent: Extent
    breakdown: Breakdown
    spans: Sequence[EpisodeSpan]
    calendar: Calendar
    stalls: Stalls
    thresholds_ms: tuple[float, float] | None


def _read(reader: Reader, settings: Sequence[_Source], tz: tzinfo | None) -> _Found:
    calendar, stalls = Calendar(tz), Stalls(reader.bounds, tz)
    spans = query.episode_spans(reader)
    for episode in spans:
        calendar.add(episode)
        stalls.add(episode)
    thresholds = {(source.threshold_ns / 1e6, source.stall_ns / 1e6) for source in settings}
    return _Found(
        summary=query.summary(reader),
        extent=query.extent(reader),
        breakdown=query.breakdown(reader),
        spans=spans,
        calendar=calendar,
        stalls=stalls,
        thresholds_ms=thresholds.pop() if len(thresholds) == 1 else None,
    )


def _measured(reader: Reader, found: _Found, counts: Counts, covered_ns: int) -> Measured:
    """Return the figures that the targets of a report need."""
    calendar, extent = found.calendar, found.extent
    return Measured(
        summary=found.summary,
        counts=counts,
        covered_s=covered_ns / 1e9,
        hours=len(extent.sampled),
        is_complete=_is_complete(reader, extent),
        peaks_ms=[episode.peak_ms for episode in calendar.began],
        lengths_s=calendar.lengths_s,
        stalls=calendar.stalls,
        periods=calendar.periods(*_covered_s(reader, extent, found.summary.span_ns), extent.sampled),
    )


def _gather(reader: Reader, slos: Sequence[Slo], settings: Sequence[_Source], tz: tzinfo | None) -> Report:
    found = _read(reader, settings, tz)
    summary, breakdown, calendar, stalls = found.summary, found.breakdown, found.calendar, found.stalls
    first_ns, last_ns = summary.span_ns
    hourly, slots = calendar.slots(first_ns // 10**9, last_ns // 10**9)
    counts = _total(breakdown.durations.values())
    covered_ns = _covered_ns(reader, summary.span_ns, found.spans) if summary.count else 0
    measured = _measured(reader, found, counts, covered_ns)
    targets = slos or default_slos(found.thresholds_ms[0] if found.thresholds_ms else None)
    return Report(
        title=reader.source or (settings[0].name if len(settings) == 1 else "all sources"),
        summary=summary,
        counts=counts,
        thresholds_ms=found.thresholds_ms,
        shares=_shares(summary, covered_ns),
        stalls=calendar.stalls,
        timeline=timeline(reader, summary.span_ns, summary.count, calendar.began, found.thresholds_ms, tz),
        slots=slots,
        hourly=hourly,
        days=calendar.days(first_ns // 10**9, last_ns // 10**9),
        week=calendar.week(),
        deciding=deciding(summary, calendar.lengths_s[IN_STALLS]),
        peaks=calendar.peaks(),
        causes=stalls.causes(breakdown.breaches, _explained(breakdown.breaches, settings)),
        paths=_paths(breakdown.durations),
        stages=tuple(part_of(stage.stage, stage) for stage in query.stages(reader)),
        longest=_longest(reader, stalls),
        verdicts=tuple(judge(slo, measured) for slo in targets),
        are_default=not slos,
        newest_ns=None if summary.count else _newest_ns(reader, found.extent),
        bounds_ns=(reader.since_ns, reader.until_ns),
    )


def _longest(reader: Reader, stalls: Stalls) -> tuple[LongStall, ...]:
    rows = query.episodes_of(reader, stalls.longest)
    return tuple(LongStall(row, tuple(query.slow_samples(reader, row.span_id, limit=DRAWN))) for row in rows)


def _newest_ns(reader: Reader, extent: Extent) -> int | None:
    """Return the time of the newest sample in the store, or of the newest interval if the samples have expired."""
    for sample in query.samples(reader.within(None, None), limit=1):
        return sample.time_unix_nano
    return None if extent.last_ns is None else extent.last_ns - 1


def _covered_ns(reader: Reader, samples_ns: tuple[int, int], episodes: Sequence[EpisodeSpan]) -> int:
    """Return the length of the time in which samples and episodes are; episodes can begin before the range."""
    since_ns, until_ns = reader.bounds
    first_ns = min([samples_ns[0], *(episode.start_ns for episode in episodes)])
    last_ns = max([samples_ns[1], *(episode.end_ns for episode in episodes)])
    return min(last_ns, until_ns) - max(first_ns, since_ns)


def _shares(summary: Summary, covered_ns: int) -> tuple[float, float] | None:
    if covered_ns <= 0:
        return None
    # episodes of several sources can overlap
    ns = (1e6 * summary.time_in_episodes_ms, 1e6 * summary.time_in_stalls_ms)
    return min(1.0, ns[0] / covered_ns), min(1.0, ns[1] / covered_ns)


def _is_complete(reader: Reader, extent: Extent) -> bool:
    """Return whether the store covers the whole range."""
    since_ns, until_ns = reader.since_ns, reader.until_ns
    if extent.first_ns is None or extent.last_ns is None:
        return False
    return (since_ns is None or extent.first_ns <= since_ns) and (until_ns is None or until_ns <= extent.last_ns)


def _covered_s(reader: Reader, extent: Extent, samples_ns: tuple[int, int]) -> tuple[int, int]:
    """Return the part of the range that the log covers: up to a bound of the range if the store has more beyond it."""
    if not extent.sampled:
        return 0, 0  # between a bound and the epoch would be half a million hours
    first_ns, last_ns = samples_ns
    since_ns, until_ns = reader.bounds
    if extent.first_ns is not None and extent.first_ns <= since_ns:
        first_ns = since_ns
    if extent.last_ns is not None and until_ns <= extent.last_ns:
        last_ns = until_ns
    return -(-first_ns // 10**9), last_ns // 10**9


def _total(all_counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for counts in all_counts:
        add(total, counts)
    return total


def part_of(name: str, figures: Summary | StageRow) -> Part:
    """Return the figures of a range or a stage under a name."""
    values = (figures.mean_ms, figures.p50_ms, figures.p90_ms, figures.p99_ms, figures.max_ms)
    return Part(name, figures.count, *(value or 0.0 for value in values))


def _explained(breaches: Breaches, settings: Sequence[_Source]) -> dict[str, Explanation]:
    """Return the meaning of each cause, unless two observers mean different things by it."""
    observers = {source.observer for source in settings}
    found = {}
    for name in {cause for _, cause in breaches}:
        texts = {text for observer in observers if (text := explain(observer, name))}
        if len(texts) == 1:
            found[name] = texts.pop()
    return found


def _paths(durations: Mapping[Labels, Counts]) -> tuple[Part, ...]:
    found = []
    for labels, counts in durations.items():
        name = ", ".join(f"{key}={value}" for key, value in labels) or "-"
        found.append(Part(name, counts.count, **figures_ms(counts)))
    return tuple(sorted(found, key=lambda part: (-part.count, part.name)))
