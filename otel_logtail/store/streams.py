"""The streams that exporters read from the store: each is a table, in which an item gets an id when it is final."""

from __future__ import annotations

from typing import NamedTuple

from otel_logtail.model import BreachRecord, EpisodeRecord, MarkRecord, PartRecord, Point, Stream
from otel_logtail.store.rows import CLOSED

Stored = Point | EpisodeRecord | PartRecord | BreachRecord | MarkRecord
"""An item of a stream that is stored."""


class Table(NamedTuple):
    """The table of a stream: its columns with the start and the end of an item, and the record that exporters get.

    ``names`` are its name, and that of the table with the rest of the stream, if there is one.
    """

    names: tuple[str, ...]
    start: str
    end: str
    record: type[Stored]


TABLES: dict[Stream, Table] = {
    Stream.INTERVALS: Table(CLOSED, "start_ns", "end_ns", Point),
    Stream.EPISODES: Table(("episode",), "start_ns", "end_ns", EpisodeRecord),
    Stream.PARTS: Table(("part",), "start_ns", "end_ns", PartRecord),
    Stream.BREACHES: Table(("breach",), "time_ns", "time_ns", BreachRecord),
    Stream.MARKS: Table(("mark",), "time_ns", "time_ns", MarkRecord),
}
STREAMS: dict[type, Stream] = {table.record: stream for stream, table in TABLES.items()}
"""The stream of each kind of record."""
