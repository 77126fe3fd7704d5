"""Rows of samples and episodes that meet a condition: the newest ones, in short reads beside a writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logtail import query
from otel_logtail.query import Reader, Selection
from otel_logtail.store.blocks import decode_block, encode_block
from tests.support.store_builder import BLOCK, NOON, SECOND, Stall, Written, fill, make_file

MS = 10**6
SAMPLES = st.lists(
    st.tuples(
        st.integers(NOON, NOON + 100 * SECOND),
        st.integers(0, 3 * SECOND),
        st.just((("wait", 5),)),
        st.sampled_from(["proxy", "other"]),
        st.sampled_from(["wait", "read"]),
    ).map(lambda fields: Written(*fields)),
    max_size=30,
    unique_by=lambda sample: sample.time_ns,
)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.integers(0, 5))
def test_the_newest_samples_that_meet_a_condition(samples: list[Written], limit: int) -> None:
    selection = Selection(query.SampleRow, where="cause = 'wait' AND duration_ms < 2500", limit=limit)
    expected = sorted(s.time_ns for s in samples if s.cause == "wait" and s.duration_ns < 2500 * MS)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, samples)
        rows = query.samples(Reader(conn), limit=selection.newest, keep=selection.keep)
        assert [row.time_unix_nano for row in selection.ordered(rows)] == expected[-limit:]


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.integers(0, 5), st.sampled_from(["", "source = 'proxy'"]))
def test_the_slowest_samples_come_first(samples: list[Written], limit: int, where: str) -> None:
    keep = Selection(query.SlowestRow, where=where).keep
    slow = [s.duration_ns for s in samples if s.severity and (not where or s.source == "proxy")]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, samples)
        rows = list(query.slowest(Reader(conn), limit=limit, keep=keep))
    assert [row.duration_ms for row in rows] == [ns / MS for ns in sorted(slow, reverse=True)][: limit or None]
    assert all((row.trace_id, row.span_id, row.link_trace_id) == ("02", "03", "") for row in rows)


def test_a_slow_sample_has_the_trace_of_its_line(tmp_path: Path) -> None:
    path = make_file(tmp_path / "s.db", [Written(NOON, 3 * SECOND, (("wait", SECOND),), "proxy")])
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE breach SET trace = ?", (b"\xab" * 16 + b"\xcd" * 8,))
    with Reader.open(path) as reader:
        (row,) = query.slowest(reader)
    assert (row.link_trace_id, row.stages, row.duration_ms, row.source) == (
        "ab" * 16,
        {"wait": 1000.0},
        3000.0,
        "proxy",
    )


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_the_newest_episodes_that_meet_a_condition(limit: int) -> None:
    stalls = [Stall(NOON + n * SECOND, NOON + (n + 1) * SECOND, peak_ns=n * SECOND) for n in range(6)]
    keep = Selection(query.EpisodeRow, where="peak_ms IN (1000, 2000, 5000)").keep
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, [], stalls)
        rows = [row.peak_ms for row in query.episodes(Reader(conn), limit=limit, keep=keep)]
    assert rows == [1000.0, 2000.0, 5000.0][-limit:]


MANY = [Written(NOON + n * SECOND, (600 if n % 3 else 5) * MS) for n in range(BLOCK * 150)]
ANSWERS: dict[str, Callable[[Reader, Any], Iterator[msgspec.Struct]]] = {
    "all samples": lambda reader, keep: query.samples(reader, keep=keep),
    "newest samples": lambda reader, keep: query.samples(reader, keep=keep, limit=400),
    "slowest": lambda reader, keep: query.slowest(reader, keep=keep, limit=400),
    "episodes": lambda reader, keep: query.episodes(reader, keep=keep),
    "sorted": lambda reader, keep: Selection(query.SampleRow, sort="id").ordered(query.samples(reader, keep=keep)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_snapshot_is_held_while_rows_are_judged_and_taken(name: str, tmp_path: Path) -> None:
    path = make_file(tmp_path / "s.db", MANY, [Stall(NOON, NOON + SECOND)])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, Reader.open(path) as reader:

        def is_free(row: msgspec.Struct) -> bool:
            writer.execute("UPDATE meta SET value = value || 'x' WHERE key = 'instance'")
            busy, *_ = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy, "a snapshot is held"
            return True

        rows = [row for row in ANSWERS[name](reader, is_free) if is_free(row)]
    assert len(rows) == {"episodes": 1, "slowest": 300, "newest samples": 400}.get(name, len(MANY))


def merge(writer: sqlite3.Connection, number: int) -> None:
    """Merge the oldest blocks into one, as the daemon does."""
    rows = writer.execute(
        "SELECT id, source, first_ns, samples FROM block ORDER BY first_ns LIMIT ?", (number,)
    ).fetchall()
    samples = [sample for id_, _, first_ns, text in rows for sample in decode_block(id_, first_ns, text)]
    writer.executemany("DELETE FROM block WHERE id = ?", [(row[0],) for row in rows])
    writer.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", encode_block(rows[0][1], samples))


@pytest.mark.parametrize("limit", [3, 200, 440, 1000])
def test_each_sample_is_found_once_if_blocks_are_merged_meanwhile(limit: int, tmp_path: Path) -> None:
    path = make_file(tmp_path / "s.db", MANY)
    judged = 0
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, Reader.open(path) as reader:

        def keep(row: msgspec.Struct) -> bool:
            nonlocal judged
            judged += 1
            if judged in (1, 50, 230, 300):
                merge(writer, 90 if judged == 1 else 20)
            return True

        found = [row.time_unix_nano for row in query.samples(reader, limit=limit, keep=keep)]
    assert found == [sample.time_ns for sample in MANY][-limit:]
