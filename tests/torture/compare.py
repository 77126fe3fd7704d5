"""Compare the written lines, the store and the data that the collector received, one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from otel_logtail import query
from tests.support.collector import Collector, ReceivedPoint, ReceivedSpan
from tests.torture.parts import faults, stored_breaches, stored_parts
from tests.torture.picky import Picky, Series
from tests.torture.stored import number_of

EVENT = "torture"


@dataclass(frozen=True)
class Result:
    """The result of a run: samples, points and span events lost and doubled, and all faults as text."""

    kills: int
    lines: int
    lost: int
    doubled: int
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"kills {self.kills}, lines {self.lines}, lost {self.lost}, doubled {self.doubled}"


class _Book:
    """Adds up what is lost and doubled."""

    def __init__(self) -> None:
        self.lost = self.doubled = 0
        self.details: list[str] = []

    def numbers(self, what: str, found: Iterable[int], expected: set[int]) -> None:
        """Each of the expected ones must be there once, and nothing else."""
        times = Counter(found)
        lost = expected - times.keys()
        doubled = {number for number, many in times.items() if many > 1 or number not in expected}
        self._note(what, lost, doubled)

    def total(self, what: str, found: int, expected: int) -> None:
        """A count must be this."""
        if found != expected:
            self.lost += max(0, expected - found)
            self.doubled += max(0, found - expected)
            self.details.append(f"{what}: {found} instead of {expected}")

    def same(self, what: str, one: object, other: object) -> None:
        """Data that is sent again must be the same."""
        if one != other:
            self.doubled += 1
            self.details.append(f"{what} was sent again as another: {one!r}, then {other!r}")

    def wrong(self, what: str) -> None:
        self.details.append(what)

    def _note(self, what: str, lost: set[int], doubled: set[int]) -> None:
        self.lost += len(lost)
        self.doubled += len(doubled)
        if lost or doubled:
            self.details.append(
                f"{what}: lost {len(lost)} {sorted(lost)[:10]}, doubled {len(doubled)} {sorted(doubled)[:10]}"
            )


def compare(
    kills: int,
    lines: int,
    slow: set[int],
    db: Path,
    collector: Collector,
    picky: Picky,
    complaints: Iterable[str],
) -> Result:
    """Compare the lines from 1 to ``lines``, of which those in ``slow`` are breaches, with both ends."""
    book = _Book()
    _store(book, db, lines, slow)
    _points(book, collector.metrics(), lines, slow, picky.rejected_counts)
    _spans(book, collector.spans(), slow, picky.withheld)
    _parts(book, db, collector.spans(), picky.withheld)
    for complaint in complaints:
        book.wrong(f"it said: {complaint}")
    return Result(kills, lines, book.lost, book.doubled, tuple(book.details))


def _store(book: _Book, db: Path, lines: int, slow: set[int]) -> None:
    with query.Reader.open(db) as reader:
        rows = list(query.samples(reader))
        book.numbers("store", (number_of(_ns(row.duration_ms)) for row in rows), set(range(1, lines + 1)))
        book.numbers("store's breaches", (number_of(_ns(r.duration_ms)) for r in rows if r.severity != "ok"), slow)
        summary = query.summary(reader)
        book.total("summary", summary.count, lines)
        book.total("summary's breaches", summary.degraded + summary.stall, len(slow))
        episodes = list(query.episodes(reader))
        book.total("breaches of the store's episodes", sum(episode.count for episode in episodes), len(slow))
        book.total("open episodes", sum(episode.open for episode in episodes), 0)
        samples, drift, oversized = reader.conn.execute("SELECT samples, drift, oversized FROM source").fetchone()
        rejected = reader.conn.execute("SELECT ifnull(sum(count), 0) FROM rejected").fetchone()[0]
    book.total("the source's counter", samples, lines)
    for what, number in (("drifted", drift), ("oversized", oversized), ("rejected", rejected)):
        if number:
            book.wrong(f"{number} lines {what}, and none of them is")


def _points(
    book: _Book, points: Iterable[ReceivedPoint], lines: int, slow: set[int], rejected: Mapping[Series, int]
) -> None:
    series: dict[tuple[str, str], dict[int, ReceivedPoint]] = {}
    for point in points:
        by_time = series.setdefault((point.name, str(sorted(point.attributes.items()))), {})
        told = by_time.setdefault(point.time_ns, point)
        if told is not point:
            book.same(f"point of {point.name} at {point.time_ns}", told.raw, point.raw)
    totals: Counter[str] = Counter()
    for (name, attributes), by_time in series.items():
        # in the order of their times: an item that failed alone is sent behind those that passed it
        values = [by_time[time].value for time in sorted(by_time)]
        if values != sorted(values) or len({point.start_ns for point in by_time.values()}) != 1:
            book.wrong(f"{name} {attributes}: a cumulative series went back or began anew")
        totals[name] += max(values[-1], rejected.get((name, attributes), 0))
    book.total("the collector's last counts", totals[f"{EVENT}.duration"], lines)
    book.total("the collector's last counts of breaches", totals[f"{EVENT}.breaches"], len(slow))


def _spans(book: _Book, received: Iterable[ReceivedSpan], slow: set[int], withheld: Mapping[str, set[int]]) -> None:
    if not withheld:
        book.wrong("the receiver rejected no span: the run was too short")
    slow = slow.difference(*withheld.values())
    spans: dict[str, ReceivedSpan] = {}
    for span in received:
        book.same(f"span {span.span_id}", spans.setdefault(span.span_id, span), span)
    events = [event for span in spans.values() for event in span.events]
    book.total("breaches that did not fit into their span", sum(span.dropped_events for span in spans.values()), 0)
    book.total("ids of span events", len({str(event.attributes["log.record.uid"]) for event in events}), len(slow))
    book.numbers("span events", (number_of(_ns(float(event.attributes["value_ms"]))) for event in events), slow)


def _parts(book: _Book, db: Path, spans: Iterable[ReceivedSpan], withheld: Mapping[str, set[int]]) -> None:
    if stored_parts(db) < 2:
        book.wrong("the store has no episode in parts")
    lines = set().union(*withheld.values())
    expected = {uid: breach for uid, breach in stored_breaches(db).items() if breach.line not in lines}
    for fault in islice(faults(spans, expected, withheld.keys()), 10):
        book.wrong(fault)


def _ns(ms: float) -> int:
    return round(ms * 1e6)
