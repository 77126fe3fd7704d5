"""The streams that exporters read from the store: each is a table, in which an item gets an id when it is final."""

from __future__ import annotations

from typing import NamedTuple

from otel_logtail.model import BreachRecord, EpisodeRecord, MarkRecord, PartRecord, Point, Stream

Stored = Point | EpisodeRecord | PartRecord | BreachRecord | MarkRecord
"""An item of a stream that is stored."""


class Table(NamedTuple):
    """The table of a stream: its columns with the start and the end of an item, and the record that exporters get."""

    name: str
    start: str
    end: str
    record: type[Stored]


TABLES: dict[Stream, Table] = {
    Stream.INTERVALS: Table("interval", "start_ns", "end_ns", Point),
    Stream.EPISODES: Table("episode", "start_ns", "end_ns", EpisodeRecord),
    Stream.PARTS: Table("part", "start_ns", "end_ns", PartRecord),
    Stream.BREACHES: Table("breach", "time_ns", "time_ns", BreachRecord),
    Stream.MARKS: Table("mark", "time_ns", "time_ns", MarkRecord),
}
STREAMS: dict[type, Stream] = {table.record: stream for stream, table in TABLES.items()}
"""The stream of each kind of record."""
