"""A breach keeps the trace context of its line, through restarts, older stores and every reader of the store."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from otel_logtail.model import BreachRecord, EpisodeRecord, Point, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.testing import fake_line
from tests.support.pieces import NOON, SECOND, Piece, opened, rows
from tests.support.places import STORES

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CONTEXT = bytes.fromhex(TRACE + SPAN)


def traced(second: int, duration_s: int, traceparent: str = "") -> bytes:
    return fake_line(NOON + second * SECOND, duration_s * SECOND, traceparent=traceparent)


LOG = traced(1, 1, PARENT) + traced(2, 1) + traced(3, 0, PARENT) + traced(4, 1, PARENT.upper())


def breaches_of(path: Path) -> list[BreachRecord]:
    outbox = Outbox.open(path, "fake")
    try:
        outbox.register(Stream, NOON)
        batch = outbox.read(Stream.BREACHES, 100)
    finally:
        outbox.close()
    return [item for item in batch.items if isinstance(item, BreachRecord)] if batch else []


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "line by line"])
def test_exporters_get_the_context_of_each_breach(at_once: bool, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        for data in [LOG] if at_once else LOG.splitlines(keepends=True):
            Piece(store).commit(data)
        assert [record.trace for record in breaches_of(path)] == [CONTEXT, b"", b""]  # the upper-case one is not valid
        Piece(store).commit(traced(60, 0) + traced(70, 0), seal_s=60)
        outbox = Outbox.open(path, "fake")
        points, episodes = outbox.read(Stream.INTERVALS, 100), outbox.read(Stream.EPISODES, 100)
        outbox.close()
    assert points is not None
    assert episodes is not None
    exemplars = [e for item in points.items if isinstance(item, Point) for e in item.exemplars]
    assert [exemplar.trace for exemplar in exemplars] == [CONTEXT, b"", b""]
    kept = [[one.trace for one in item.breaches] for item in episodes.items if isinstance(item, EpisodeRecord)]
    assert kept == [[CONTEXT, b"", b""]]


def test_the_view_shows_the_ids_in_hex(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with opened(path) as store:
        Piece(store).commit(LOG)
    shown = rows(path, "SELECT id, severity, cause, duration_ms, link_trace_id, link_span_id, offset FROM breaches")
    assert [row[1:6] for row in shown] == [
        ("degraded", "wait", 1000.0, TRACE, SPAN),
        ("degraded", "wait", 1000.0, "", ""),
        ("degraded", "wait", 1000.0, "", ""),
    ]
    assert shown[1][6] == len(traced(1, 1, PARENT))
    named = "SELECT id FROM samples WHERE severity = 'degraded' ORDER BY id"
    assert sorted(row[0] for row in shown) == [id_ for (id_,) in rows(path, named)]  # type: ignore[type-var]
    episodes = "SELECT count(*) FROM breaches JOIN episodes USING (trace_id, span_id)"
    assert rows(path, episodes) == [(3,)]


def test_a_context_never_decides_what_a_sample_is(tmp_path: Path) -> None:
    """The same line in another file is the same breach; two lines with one context are two."""
    path = tmp_path / "store.db"
    with opened(path) as store:
        Piece(store).commit(traced(1, 1, PARENT) + traced(1, 1, PARENT))
    assert rows(path, "SELECT count(*), count(DISTINCT uid), count(DISTINCT trace) FROM breach") == [(2, 2, 1)]
    assert rows(path, "SELECT count(*) FROM breaches WHERE trace_id = link_trace_id") == [(0,)]


@pytest.mark.parametrize("version", range(1, 6))
def test_breaches_of_older_stores_have_none(version: int, tmp_path: Path) -> None:
    path = Path(shutil.copy(STORES / f"{version}.db", tmp_path / "store.db"))
    with opened(path):
        pass
    assert rows(path, "SELECT DISTINCT trace FROM breach") == [(b"",)]
    assert {record.trace for record in breaches_of(path)} == {b""}


def test_a_users_own_view_of_this_name_stays(tmp_path: Path) -> None:
    path = Path(shutil.copy(STORES / "5.db", tmp_path / "store.db"))
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE VIEW breaches AS SELECT 1 AS mine")
    with opened(path):
        pass
    assert rows(path, "SELECT mine FROM breaches") == [(1,)]


def test_a_quarantined_breach_of_an_older_version_can_be_read() -> None:
    """Items are stored with their fields: one that was written before has no context."""
    old = {
        "id": 1,
        "source": {
            "id": 1,
            "name": "s",
            "observer": "o",
            "event": "e",
            "instance": "i",
            "threshold_ns": 1,
            "stall_ns": 2,
            "quiet_ns": 3,
        },
        "live": "l",
        "path": "p",
        "offset": 0,
        "uid": b"u",
        "time_ns": 1,
        "duration_ns": 1,
        "severity": 1,
        "cause": "c",
        "stage": "s",
        "attributes": [],
        "trace_id": b"t",
        "span_id": b"s",
    }
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=BreachRecord).trace == b""
