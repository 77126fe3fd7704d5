"""Add up a range by hour, so that two periods can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from otel_logtail.counts import add_to, count, thresholds_among
from otel_logtail.model import Instrument, Severity
from otel_logtail.query.blocks import at_edges
from otel_logtail.query.edges import TABLES, Coverage, cover, id_list
from otel_logtail.query.episodes import EpisodeSpan, episode_spans
from otel_logtail.query.intervals import series_of
from otel_logtail.query.reader import Reader
from otel_logtail.store.rows import decode_bounds

HOUR_NS = 3600 * 10**9
_ROWS = 4096  # read at a time: limits memory


class Hour(msgspec.Struct):
    """The sums of one hour that starts at ``start_ns``.

    ``histogram`` maps the index of an exponential bucket to its count, without the ``zeros``. ``slow`` are the samples
    from the threshold on, ``causes`` their causes; ``stages`` counts the samples that have each stage. An episode, and
    a stall among them, counts in the hour in which it began; its time counts in the hours in which it passed.
    ``squares`` are the squared durations of the episodes (ns²).
    """

    start_ns: int
    first_ns: int = 0
    last_ns: int = 0
    histogram: Counter[int] = msgspec.field(default_factory=Counter)
    zeros: int = 0
    sum_ns: int = 0
    max_ns: int = 0
    slow: int = 0
    causes: Counter[str] = msgspec.field(default_factory=Counter)
    stages: Counter[str] = msgspec.field(default_factory=Counter)
    episodes: int = 0
    stalls: int = 0
    episode_ns: int = 0
    length_ns: int = 0
    squares: int = 0

    @property
    def count(self) -> int:
        """The number of samples."""
        return self.histogram.total() + self.zeros


class Hours(msgspec.Struct, frozen=True):
    """The hours of a range that have samples or episodes, by their start.

    ``thresholds`` are those among the bounds of the histograms: more than one if the thresholds changed.
    """

    hours: dict[int, Hour]
    thresholds: frozenset[tuple[int, ...]]


def hours(reader: Reader) -> Hours:
    """Add up the reader's range by hour (UTC). Rows that cannot be read are left out and noted in the reader."""
    with reader.snapshot():
        duration = [id_ for id_, _ in series_of(reader, Instrument.DURATION)]
        causes = {id_: str(attributes.get("cause")) for id_, attributes in series_of(reader, Instrument.BREACHES)}
        stages = {id_: str(attributes.get("stage")) for id_, attributes in series_of(reader, Instrument.STAGE)}
        coverage = cover(reader, [*duration, *causes, *stages])
        found: dict[int, Hour] = {}
        used = _add_intervals(reader, duration, coverage, found)
        for id_, start_ns, number in _numbers(reader, list(causes), coverage):
            hour = _hour(found, start_ns)
            hour.slow += number
            hour.causes[causes[id_]] += number
        for id_, start_ns, number in _numbers(reader, list(stages), coverage):
            _hour(found, start_ns).stages[stages[id_]] += number
        for sample, kind in at_edges(reader, coverage):
            _add_sample(_hour(found, sample[1]), sample, kind)
        for episode in episode_spans(reader):
            _add_episode(found, episode, reader.bounds)
        bounds = reader.conn.execute(f"SELECT DISTINCT bounds FROM series WHERE id IN ({id_list(sorted(used))})")
        thresholds = frozenset(thresholds_among(decode_bounds(text)) for (text,) in bounds)
    return Hours(dict(sorted(found.items())), thresholds)


class Extent(msgspec.Struct, frozen=True):
    """The time that a store covers, in ns, and the starts (s) of the hours of a range that have samples.

    ``first_ns`` and ``last_ns`` are None if the store has no sample.
    """

    first_ns: int | None
    last_ns: int | None
    sampled: tuple[int, ...]


def extent(reader: Reader) -> Extent:
    """Return the time that the whole store covers, and the hours of the reader's range with samples."""
    with reader.snapshot():
        series = id_list([id_ for id_, _ in series_of(reader, Instrument.DURATION)])
        since_ns, until_ns = reader.bounds
        first, last, sampled = [], [], set()
        for table in TABLES:
            where = f"FROM {table} WHERE series IN ({series}) AND count > 0"
            first_ns, last_ns = reader.conn.execute(f"SELECT min(start_ns), max(end_ns) {where}").fetchone()
            first += [first_ns] if first_ns is not None else []
            last += [last_ns] if last_ns is not None else []
            sampled |= {
                row[0] * HOUR_NS // 10**9
                for row in reader.conn.execute(
                    f"SELECT DISTINCT start_ns / {HOUR_NS} {where} AND start_ns < ? AND end_ns > ?",
                    (until_ns, since_ns),
                )
            }
    return Extent(min(first, default=None), max(last, default=None), tuple(sorted(sampled)))


def _hour(found: dict[int, Hour], time_ns: int) -> Hour:
    start_ns = time_ns - time_ns % HOUR_NS
    hour = found.get(start_ns)
    if hour is None:
        hour = found[start_ns] = Hour(start_ns)
    return hour


def _add_intervals(reader: Reader, series: Sequence[int], coverage: Coverage, found: dict[int, Hour]) -> set[int]:
    """Add the intervals of some series to the hours in which they start. Returns the ids of those that have any."""
    used = set()
    for id_, start_ns, end_ns, sum_ns, max_ns, zeros, text in _rows(
        reader, "end_ns, sum_ns, max_ns, zeros, CAST(exponential AS BLOB)", series, coverage
    ):
        try:
            buckets = msgspec.json.decode(text, type=dict[int, int])
        except (TypeError, msgspec.MsgspecError):
            reader.damage.counts((id_, start_ns, end_ns), 0)
            continue
        hour = _hour(found, start_ns)
        used.add(id_)
        add_to(hour.histogram, buckets)
        hour.zeros += zeros
        hour.sum_ns += sum_ns
        hour.max_ns = max(hour.max_ns, max_ns)
        _extend(hour, start_ns, end_ns)
    return used


def _numbers(reader: Reader, series: Sequence[int], coverage: Coverage) -> Iterator[tuple[int, int, int]]:
    return ((id_, start_ns, number) for id_, start_ns, number in _rows(reader, "count", series, coverage))


def _rows(reader: Reader, columns: str, series: Sequence[int], coverage: Coverage) -> Iterator[Any]:
    statements = (
        f"SELECT series, start_ns, {columns} FROM {table} WHERE series IN ({id_list(series)})"
        " AND start_ns >= ? AND end_ns <= ? AND count > 0"
        for table in TABLES
    )
    for statement in statements:
        cursor = reader.conn.execute(statement, (coverage.start_ns, coverage.end_ns))
        yield from chain.from_iterable(iter(lambda cursor=cursor: cursor.fetchmany(_ROWS), []))  # type: ignore[misc]


def _add_sample(hour: Hour, sample: Any, kind: Any) -> None:
    duration_ns = sample[2]
    counts = count([duration_ns], ())
    hour.histogram.update(counts.exponential)
    hour.zeros += counts.zeros
    hour.sum_ns += duration_ns
    hour.max_ns = max(hour.max_ns, duration_ns)
    if kind.severity is not Severity.OK:
        hour.slow += 1
        hour.causes[kind.cause] += 1
    hour.stages.update(name for name, ns in zip(kind.stages, sample[4], strict=False) if ns is not None)
    _extend(hour, sample[1], sample[1])


def _extend(hour: Hour, first_ns: int, last_ns: int) -> None:
    hour.first_ns = min(hour.first_ns or first_ns, first_ns)
    hour.last_ns = max(hour.last_ns, last_ns)


def _add_episode(found: dict[int, Hour], episode: EpisodeSpan, bounds: tuple[int, int]) -> None:
    start_ns, end_ns = episode.start_ns, episode.end_ns
    if start_ns >= bounds[0]:
        hour = _hour(found, start_ns)
        hour.episodes += 1
        hour.stalls += episode.is_stall
        hour.length_ns += end_ns - start_ns
        hour.squares += (end_ns - start_ns) ** 2
    at_ns, until_ns = max(start_ns, bounds[0]), min(end_ns, bounds[1])
    while at_ns < until_ns:
        hour = _hour(found, at_ns)
        next_ns = min(until_ns, hour.start_ns + HOUR_NS)
        hour.episode_ns += next_ns - at_ns
        at_ns = next_ns
