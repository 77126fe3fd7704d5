"""The breaches at the receiver: each is a span event once, by its id, in the trace and the part of its episode."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tests.support.collector import ReceivedSpan
from tests.torture.stored import number_of


class Breach(NamedTuple):
    """A breach as the store has it: its time and line, and the trace, span and part of its episode."""

    time_ns: int
    line: int
    trace_id: str
    span_id: str
    part: int


def stored_breaches(db: Path) -> dict[str, Breach]:
    """Return the breaches of a store by their ids."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT uid, time_ns, duration_ns, trace_id, span_id, part FROM breach").fetchall()
    return {
        uid.hex(): Breach(time_ns, number_of(duration_ns), trace_id.hex(), span_id.hex(), part)
        for uid, time_ns, duration_ns, trace_id, span_id, part in rows
    }


def stored_parts(db: Path) -> int:
    """Return how many parts of episodes the store has."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM part").fetchone()[0])


def faults(
    received: Iterable[ReceivedSpan], breaches: Mapping[str, Breach], withheld: Collection[str] = ()
) -> Iterator[str]:
    """Yield everything that is wrong with the spans at a receiver.

    Args:
        received: The spans, in any order and any number of times.
        breaches: The breaches that must be there, by id.
        withheld: The ids of spans that the receiver rejected.
    """
    spans = {span.span_id: span for span in received}
    events = [
        (str(event.attributes["log.record.uid"]), event, span) for span in spans.values() for event in span.events
    ]
    times = Counter(uid for uid, _, _ in events)
    for uid in breaches.keys() - times.keys():
        yield f"breach {uid} of line {breaches[uid].line} is lost"
    for uid, number in times.items():
        if number > 1:
            yield f"breach {uid} is {number} span events"
        if uid not in breaches:
            yield f"breach {uid} is not in the store"
    for uid, event, span in events:
        breach = breaches.get(uid)
        if breach is None:
            continue
        found = Breach(event.time_ns, breach.line, span.trace_id, span.parent_id or span.span_id, _part(span))
        if found != breach:
            yield f"breach {uid} is an event of {found} instead of {breach}"
    yield from _faults_of_episodes(spans, withheld)


def _part(span: ReceivedSpan) -> int:
    return int(span.attributes.get("part", 1))


def _faults_of_episodes(spans: Mapping[str, ReceivedSpan], withheld: Collection[str]) -> Iterator[str]:
    """Yield episodes that lack parts, and parts without an episode."""
    parts: dict[str, list[ReceivedSpan]] = {}
    for span in spans.values():
        if span.parent_id:
            parts.setdefault(span.parent_id, []).append(span)
    for parent, children in parts.items():
        numbers = [_part(span) for span in children]
        if len(set(numbers)) < len(numbers):
            yield f"episode {parent} has two parts of one number: {sorted(numbers)}"
        if parent not in spans and parent not in withheld:
            yield f"episode {parent} has parts and no span"
    for span in spans.values():
        expected = int(span.attributes.get("parts", 0))
        numbers = sorted(_part(child) for child in parts.get(span.span_id, ()))
        if not set(numbers) <= set(range(1, expected + 1)):
            yield f"episode {span.span_id} has {expected} parts, and received are {numbers}"
        if expected and span.events:
            yield f"episode {span.span_id} has parts and events of its own"
