"""Samples and breaches of a batch as rows: one block for all samples, one row for each breach."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import chain

import msgspec

from otel_logtail.counts import SampleKey, extent, merge_attributes, sample_key
from otel_logtail.model import OVERFLOW, Attributes, Batch, FileState, Samples, Severity, Shape
from otel_logtail.store.blocks import decode_block, encode_columns
from otel_logtail.store.connection import one
from otel_logtail.store.rows import OFFSET_BITS, encode_attributes, encode_json, marks, text_of_path
from otel_logtail.store.series import SeriesTable

_MOST_KINDS = 2_000

_MOST_ROWS = 16
"""Breaches that one statement inserts: it costs a third of a statement for each, and more save no more."""

_OVERFLOW = encode_attributes(OVERFLOW)


@cache
def _insert(rows: int) -> str:
    """Return the statement that inserts breaches of one part: their common values, then the others of each."""
    values = ", ".join([f"(?1, ?2, ?3, ?4, ?5, {marks(7)})"] * rows)
    columns = "source, file, trace_id, span_id, part, offset, uid, time_ns, duration_ns, kind, stages, trace"
    return f"INSERT INTO breach ({columns}) VALUES {values}"


_encode_lines = msgspec.json.Encoder().encode_lines


class _Ids(dict[tuple[str, str], int]):
    """The ids of kinds by cause and stage. Each is requested once, so a sample takes one access."""

    def __init__(self, request: Callable[[tuple[str, str]], int]) -> None:
        super().__init__()
        self._request = request

    def __missing__(self, pair: tuple[str, str]) -> int:
        self[pair] = found = self._request(pair)
        return found


class SampleTables:
    """The tables kind, block and breach of one store, on its writer's connection."""

    def __init__(self, db: sqlite3.Connection, series: SeriesTable) -> None:
        self._db = db
        self._series = series
        # the attributes of the kinds in the store, as text, by source
        self._attributes: dict[int, set[bytes]] = {}
        self._kinds: dict[tuple[int, int, Attributes, Severity, str, str], tuple[Shape, int]] = {}

    def forget(self) -> None:
        """Forget rows of a transaction that was rolled back."""
        self._kinds.clear()
        self._attributes.clear()

    def add(self, batch: Batch, file: int) -> tuple[int, int]:
        """Write the samples of a batch; returns the first and the last id of its breaches (0: it has none)."""
        samples, number = batch.samples, len(batch.samples.offsets)
        if not number:
            return 0, 0
        kinds = self._kinds_of(batch)
        first, (first_ns, last_ns, _) = samples.offsets[0], extent(samples.time_ns)
        text = encode_columns(samples, kinds, first, first_ns)
        row = (file << OFFSET_BITS | first, batch.source, first_ns, last_ns, number, text)
        self._db.execute(f"INSERT INTO block VALUES ({marks(6)})", row)
        if not batch.breaches:
            return 0, 0
        self._add_breaches(batch, file, kinds)
        last = int(one(self._db, "SELECT max(id) FROM breach"))
        return last - len(batch.hits) + 1, last

    def _add_breaches(self, batch: Batch, file: int, kinds: list[int]) -> None:
        samples = batch.hits.samples
        own_kinds = [kinds[place] for place in batch.hits.places]
        stages = _encode_lines(samples.stage_ns).decode().splitlines()
        traces = [samples.traces.get(offset, b"") for offset in samples.offsets]
        columns = (samples.offsets, batch.hits.uids, samples.time_ns, samples.duration_ns, own_kinds, stages, traces)
        rows = list(zip(*columns, strict=True))
        for run in batch.breaches:
            common = (batch.source, file, run.trace_id, run.span_id, run.part)
            for begin in range(run.begin, run.end, _MOST_ROWS):
                several = rows[begin : min(begin + _MOST_ROWS, run.end)]
                self._db.execute(_insert(len(several)), (*common, *chain.from_iterable(several)))

    def _kinds_of(self, batch: Batch) -> list[int]:
        """Return the id of each sample's kind."""
        samples = batch.samples
        # shapes are created once, so their identity stands for their value: hashing them would take longer
        shapes = samples.shapes
        if shapes.count(shapes[0]) == len(shapes):
            ok = _Ids(lambda pair: self._kind(batch, shapes[0], Severity.OK, *pair))
            kinds = list(map(ok.__getitem__, zip(samples.causes, samples.stages, strict=True)))
        else:
            of = {id(shape): shape for shape in shapes}
            keys = list(zip(map(id, shapes), samples.causes, samples.stages, strict=True))
            known = {key: self._kind(batch, of[key[0]], Severity.OK, key[1], key[2]) for key in dict.fromkeys(keys)}
            kinds = list(map(known.__getitem__, keys))
        slow = batch.hits.samples
        of = {id(shape): shape for shape in slow.shapes}
        of_hits = list(zip(map(id, slow.shapes), batch.hits.severities, slow.causes, slow.stages, strict=True))
        ids = {key: self._kind(batch, of[key[0]], key[1], key[2], key[3]) for key in dict.fromkeys(of_hits)}
        for place, key in zip(batch.hits.places, of_hits, strict=True):
            kinds[place] = ids[key]
        return kinds

    def _kind(self, batch: Batch, shape: Shape, severity: Severity, cause: str, stage: str) -> int:
        # shapes are few: they are found by identity, and kept so that no other shape gets the same identity
        key = (batch.source, id(shape), batch.attributes, severity, cause, stage)
        known = self._kinds.get(key)
        if known is not None:
            return known[1]
        attributes = self._limited(
            batch.source, encode_attributes(merge_attributes(shape.attributes, batch.attributes))
        )
        columns = (batch.source, attributes, encode_json(shape.stages), int(severity), cause, stage)
        added = self._db.execute(
            "INSERT INTO kind (source, attributes, stages, severity, cause, stage) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            columns,
        )
        found = added.lastrowid
        if not added.rowcount:
            found = one(
                self._db,
                "SELECT id FROM kind WHERE source = ? AND attributes = ? AND stages = ? AND severity = ? AND cause = ?"
                " AND stage = ?",
                *columns,
            )
        if len(self._kinds) >= _MOST_KINDS:  # an observer that creates new shapes for every line
            self._kinds.clear()
        self._kinds[key] = (shape, int(found or 0))
        return self._kinds[key][1]

    def _limited(self, source: int, attributes: str) -> str:
        """Return attributes, or those of the series beyond the limit if the source has kinds with as many others.

        Kinds are never deleted, so their number may not depend on the log. A sample loses its attributes later than
        its series does, since a series of durations comes with one for each stage.
        """
        if source not in self._attributes:
            rows = self._db.execute("SELECT DISTINCT CAST(attributes AS BLOB) FROM kind WHERE source = ?", (source,))
            self._attributes[source] = {text for (text,) in rows} - {_OVERFLOW.encode()}
        known, text = self._attributes[source], attributes.encode()
        if text not in known and attributes != _OVERFLOW:
            if len(known) >= self._series.most:
                return _OVERFLOW
            known.add(text)
        return attributes

    def count_stored(self, source: int, file: FileState, samples: Samples) -> Counter[SampleKey]:
        """Count those of these samples (at least one) that are stored from other files with the same live path.

        Samples are compared by their values. However far apart their times are, nothing else is kept in memory.
        """
        first_ns, last_ns, _ = extent(samples.time_ns)
        wanted = set(map(sample_key, samples.time_ns, samples.duration_ns, samples.stage_ns))
        blocks = self._db.execute(
            "SELECT block.id, block.first_ns, block.samples FROM block JOIN file ON file.id = block.id >> ?"
            " WHERE block.source = ? AND file.live = ? AND file.id != ? AND last_ns >= ? AND first_ns <= ?",
            (OFFSET_BITS, source, text_of_path(file.live), file.id, first_ns, last_ns),
        )
        found: Counter[SampleKey] = Counter()
        for id_, from_ns, text in blocks:
            keys = (
                sample_key(at_ns, took_ns, stages) for _, at_ns, took_ns, _, stages in decode_block(id_, from_ns, text)
            )
            found.update(key for key in keys if key in wanted)
        return found
