"""All that a report shows, gathered in one moment of the store."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone, tzinfo
from fractions import Fraction

import msgspec

from otel_logtail import query
from otel_logtail.counts import add
from otel_logtail.model import Counts
from otel_logtail.query import Damage, EpisodeRow, StageRow, Summary
from otel_logtail.query.counts import percentiles_ns
from otel_logtail.query.database import snapshot
from otel_logtail.query.sums import figures
from otel_logtail.report.slo import Slo, Verdict
from otel_logtail.text import parse_when

WORST = 10
_HOURLY_UP_TO_S = 3 * 86_400
_MOST_DAYS = 400


class Slot(msgspec.Struct, frozen=True):
    """One hour or day of the local calendar, and the episodes that began in it."""

    label: str
    stalls: int = 0
    degraded: int = 0


class Part(msgspec.Struct, frozen=True):
    """One of the things that a whole is made of; durations in ms."""

    name: str
    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Cause(msgspec.Struct, frozen=True):
    """How many breaches had this cause."""

    name: str
    degraded: int
    stall: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One report. ``share`` is that of time within episodes, from the first to the last sample (None: no time)."""

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
    stages: tuple[StageRow, ...]
    worst: tuple[EpisodeRow, ...]
    verdicts: tuple[Verdict, ...] = ()


def gather(
    conn: sqlite3.Connection,
    *,
    since_ns: int | None,
    until_ns: int | None,
    source: str | None,
    slos: Sequence[Slo],
    tz: tzinfo | None = None,
    damage: Damage | None = None,
) -> Report:
    """Ask all that is to be shown; the figures are those of ``query summary`` and its like.

    Args:
        conn: The store.
        since_ns: Where the range begins; None: with the first sample.
        until_ns: Where it ends.
        source: Of which source; None: all together.
        slos: What is to be judged.
        tz: The zone of days and hours; None: the local one.
        damage: Where to note what can't be read.
    """
    with snapshot(conn):
        summary = query.summary(conn, since_ns=since_ns, until_ns=until_ns, source=source, damage=damage)
        parts = query.parts(conn, since_ns=since_ns, until_ns=until_ns, source=source, damage=damage)
        stages = query.stages(conn, since_ns=since_ns, until_ns=until_ns, source=source, damage=damage)
        known = conn.execute("SELECT name, threshold_ns, stall_ns FROM source ORDER BY name").fetchall()
        episodes = _Episodes(tz)
        for episode in query.episodes(conn, since_ns=since_ns, until_ns=until_ns, source=source):
            episodes.take(episode)
        sources = []
        if source is None and len(known) > 1:
            for name, *_ in known:
                of_it = query.summary(conn, since_ns=since_ns, until_ns=until_ns, source=name, damage=damage)
                if of_it.count:
                    sources.append(Part(name, of_it.count, of_it.p50_ms, of_it.p90_ms, of_it.p99_ms, of_it.max_ms))
    total = Counts()
    for counts in parts.durations.values():
        add(total, counts)
    thresholds = {(d / 1e6, s / 1e6) for name, d, s in known if source in (None, name)}
    first_ns = parse_when(summary.from_, 0) if summary.from_ else 0
    last_ns = parse_when(summary.to, 0) if summary.to else 0
    seen_ms = (last_ns - first_ns) / 1e6
    hourly, slots = episodes.slots(first_ns // 10**9, last_ns // 10**9)
    report = Report(
        title=source or (known[0][0] if len(known) == 1 else "all sources"),
        summary=summary,
        counts=total,
        thresholds_ms=thresholds.pop() if len(thresholds) == 1 else None,
        share=summary.stalled_ms / seen_ms if seen_ms else None,
        stalls=episodes.stalls,
        slots=slots,
        hourly=hourly,
        peaks=episodes.peaks(),
        causes=_causes(parts.breaches),
        sources=tuple(sources),
        paths=_paths(parts.durations),
        stages=tuple(stages),
        worst=episodes.worst,
    )
    return msgspec.structs.replace(report, verdicts=tuple(_judge(slo, report) for slo in slos))


class _Episodes:
    """Counts episodes as they come, by the local calendar: they are not all kept."""

    def __init__(self, tz: tzinfo | None) -> None:
        self._tz = tz
        self._days: dict[date, Counter[str]] = {}
        self._hours: dict[int, Counter[str]] = {}  # by their beginning, in s: an hour may come twice
        self._worst: list[tuple[float, float, str, EpisodeRow]] = []
        self.stalls = 0

    def take(self, episode: EpisodeRow) -> None:
        hour = self._hour(parse_when(episode.start, 0) // 10**9)
        self._hours.setdefault(int(hour.timestamp()), Counter())[episode.severity] += 1
        self._days.setdefault(hour.date(), Counter())[episode.severity] += 1
        self.stalls += episode.severity == "stall"
        heapq.heappush(self._worst, (episode.peak_ms, episode.duration_ms, episode.span_id, episode))
        if len(self._worst) > WORST:
            heapq.heappop(self._worst)

    @property
    def worst(self) -> tuple[EpisodeRow, ...]:
        return tuple(entry[3] for entry in sorted(self._worst, key=lambda entry: entry[:3], reverse=True))

    def slots(self, first_s: int, last_s: int) -> tuple[bool, tuple[Slot, ...]]:
        """Hours (True) or days, whichever shows the range better; empty ones too, so that a silent day is seen."""
        if not last_s:
            return True, ()
        begin_s, end_s = min([first_s, *self._hours]), max([last_s, *self._hours])
        if end_s - begin_s <= _HOURLY_UP_TO_S:
            begin_s = int(self._hour(begin_s).timestamp())
            return True, tuple(self._slot_of_hour(at) for at in range(begin_s, end_s + 1, 3600))
        begin, end = self._hour(begin_s).date(), self._hour(end_s).date()
        dates = (end - timedelta(days=ago) for ago in range(min((end - begin).days, _MOST_DAYS - 1), -1, -1))
        return False, tuple(_slot(f"{at}", self._days.get(at)) for at in dates)

    def peaks(self) -> dict[str, tuple[int, str]]:
        """The most ``stalls`` and ``episodes`` of any ``/day`` and ``/hour``, and when that was."""
        days = [_slot(f"{at}", counted) for at, counted in self._days.items()]
        hours = [self._slot_of_hour(at) for at in self._hours]
        found = {}
        for per, slots in (("day", days), ("hour", hours)):
            if slots:
                worst, fullest = max(slots, key=lambda s: s.stalls), max(slots, key=lambda s: s.stalls + s.degraded)
                found[f"stalls/{per}"] = (worst.stalls, worst.label)
                found[f"episodes/{per}"] = (fullest.stalls + fullest.degraded, fullest.label)
        return found

    def _slot_of_hour(self, at_s: int) -> Slot:
        return _slot(f"{self._hour(at_s):%Y-%m-%d %H:00}", self._hours.get(at_s))

    def _hour(self, time_s: int) -> datetime:
        moment = datetime.fromtimestamp(time_s, timezone.utc).astimezone(self._tz)
        return moment.replace(minute=0, second=0, microsecond=0)


def _slot(label: str, counted: Counter[str] | None) -> Slot:
    return Slot(label, counted["stall"], counted["degraded"]) if counted else Slot(label)


def _causes(breaches: dict[tuple[str, str], int]) -> tuple[Cause, ...]:
    names = {cause for _, cause in breaches}
    found = [Cause(name, breaches.get(("degraded", name), 0), breaches.get(("stall", name), 0)) for name in names]
    return tuple(sorted(found, key=lambda cause: (-cause.degraded - cause.stall, cause.name)))


def _paths(durations: dict[tuple[tuple[str, str | int], ...], Counts]) -> tuple[Part, ...]:
    found = []
    for labels, counts in durations.items():
        values = figures(counts)
        del values["mean_ms"]
        found.append(Part(", ".join(f"{key}={value}" for key, value in labels) or "-", counts.count, **values))
    return tuple(sorted(found, key=lambda part: (-part.count, part.name)))


def _judge(slo: Slo, report: Report) -> Verdict:
    summary = report.summary
    if not summary.count:
        return Verdict(slo.text, False, "no sample in this range")
    percent = slo.percent
    if percent is not None or slo.subject in ("mean", "max"):
        value = (
            {"mean": summary.mean_ms, "max": summary.max_ms}[slo.subject]
            if percent is None
            else _percentile(report.counts, percent)
        )
        return Verdict(slo.text, slo.holds(value), f"{value:,.3f} ms")
    if slo.subject == "breaches":
        value = 100 * (summary.degraded + summary.stall) / summary.count
        return Verdict(slo.text, slo.holds(value), f"{value:.3g} %")
    if slo.subject == "stalled":
        value = 100 * (report.share or 0.0)
        return Verdict(slo.text, slo.holds(value), f"{value:.3g} %")
    return _judge_count(slo, report)


def _percentile(counts: Counts, percent: Fraction) -> float:
    return percentiles_ns(counts, [percent])[0] / 1e6


def _judge_count(slo: Slo, report: Report) -> Verdict:
    if not slo.per:
        number = report.stalls if slo.subject == "stalls" else report.summary.episodes
        return Verdict(slo.text, slo.holds(number), f"{number}")
    number, when = report.peaks.get(f"{slo.subject}/{slo.per}", (0, ""))
    return Verdict(slo.text, slo.holds(number), f"{number} in the worst {slo.per}" + (f", {when}" if number else ""))
