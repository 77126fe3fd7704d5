"""Answers of the store are compared with what plain Python makes of the same samples."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logtail import query
from otel_logtail.errors import NotAStore, StoreCorrupt, StoreError, UsageError
from otel_logtail.model import Severity
from otel_logtail.query import Reader
from otel_logtail.query.edges import LONGEST_NS
from otel_logtail.store.connection import SCHEMA_VERSION
from otel_logtail.text import iso, local, parse_when
from tests.support.store_builder import NOON, SECOND, Stall, Written, fill, make_file

MS = 1_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def few(path: Path) -> Iterator[Reader]:
    """Three samples of two sources, a closed episode and an open one."""
    samples = [
        Written(
            NOON, 12 * MS, (("wait", 10 * MS), ("read", None), ("rest", 2 * MS)), attributes=(("headroom.path", "a"),)
        ),
        Written(NOON + SECOND, 600 * MS, (("wait", 1 * MS), ("read", 599 * MS)), cause="read"),
        Written(NOON + 2 * SECOND, 2500 * MS, source="other", is_open=True),
    ]
    stalls = [Stall(NOON, NOON + SECOND, severity=1), Stall(NOON + 60 * SECOND, NOON + 62 * SECOND, is_open=True)]
    with Reader.open(make_file(path, samples, stalls)) as reader:
        yield reader


# --- what a range adds up to --------------------------------------------------------------------------------------

TIMES = st.integers(NOON, NOON + 180 * SECOND - 1)
BOUND = (
    st.none()
    | st.integers(NOON - 5 * SECOND, NOON + 190 * SECOND)
    | st.integers(0, 19).map(lambda tens: NOON + tens * 10 * SECOND)
)
WRITTEN = st.builds(
    Written,
    time_ns=TIMES,
    duration_ns=st.one_of(st.integers(0, 3 * SECOND), st.integers(1, 10**6), st.just(0)),
    stages=st.sampled_from(["wait", "read"]).flatmap(
        lambda name: st.tuples(st.tuples(st.just(name), st.none() | st.integers(0, SECOND)))
    ),
    source=st.sampled_from(["proxy", "other"]),
    length_ns=st.sampled_from([10 * SECOND, 60 * SECOND, 25 * SECOND]),
    part=st.integers(0, 1),
    is_open=st.booleans(),
)


def nearest_rank(values: list[int], percent: int) -> int:
    return sorted(values)[max(1, -(-len(values) * percent // 100)) - 1]


def assert_figures(answer: query.Summary | query.StageRow, values: list[int]) -> None:
    assert answer.count == len(values)
    if not values:
        assert (answer.mean_ms, answer.p50_ms, answer.p99_ms, answer.max_ms) == (None,) * 4
    else:
        assert answer.max_ms == max(values) / 1e6
        assert answer.mean_ms == pytest.approx(sum(values) / len(values) / 1e6)
        found = [answer.p50_ms, answer.p90_ms, answer.p99_ms]
        assert found == pytest.approx([nearest_rank(values, p) / 1e6 for p in (50, 90, 99)], rel=0.01, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(st.lists(WRITTEN, max_size=40), BOUND, BOUND, st.sampled_from([None, "proxy"]))
def test_summary_and_stages_of_any_range_are_those_of_its_samples(
    samples: list[Written], since: int | None, until: int | None, source: str | None
) -> None:
    samples = [*samples, Written(NOON + 7 * SECOND, 3 * MS)]  # so that the source is known
    if since is not None and until is not None and since > until:
        since, until = until, since
    inside = [
        s
        for s in samples
        if (since is None or s.time_ns >= since) and (until is None or s.time_ns < until) and source in (None, s.source)
    ]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, samples)
        reader = Reader(conn, since_ns=since, until_ns=until, source=source)
        answer = query.summary(reader)
        by_stage = {row.stage: row for row in query.stages(reader)}
    assert_figures(answer, [s.duration_ns for s in inside])
    assert (answer.degraded, answer.stall) == (
        sum(s.severity == 1 for s in inside),
        sum(s.severity == 2 for s in inside),
    )
    times = [s.time_ns for s in inside]
    assert (answer.from_, answer.to) == ((iso(min(times)), iso(max(times))) if times else (None, None))
    expected: dict[str, list[int]] = {}
    for stage, ns in (pair for s in inside for pair in s.stages):
        if ns is not None:
            expected.setdefault(stage, []).append(ns)
    assert by_stage.keys() == expected.keys()
    for stage, values in expected.items():
        assert_figures(by_stage[stage], values)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-6, 80_000, allow_nan=False), min_size=1, max_size=300))
def test_percentiles_are_within_one_percent_over_eleven_orders_of_magnitude(seconds: list[float]) -> None:
    values = [max(1, round(value * SECOND)) for value in seconds]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, [Written(NOON, value) for value in values])
        assert_figures(query.summary(Reader(conn)), values)


def test_whole_intervals_are_counted_without_their_samples(path: Path) -> None:
    make_file(path, [Written(NOON + n * SECOND, 600 * MS) for n in range(30)])
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("DELETE FROM block")
    with Reader.open(path) as reader:
        answer = query.summary(Reader(reader.conn, since_ns=NOON + 10 * SECOND, until_ns=NOON + 30 * SECOND))
        cut = query.summary(Reader(reader.conn, since_ns=NOON + 11 * SECOND, until_ns=NOON + 30 * SECOND))
    assert (answer.count, answer.degraded) == (20, 20)
    assert (answer.from_, answer.to) == (iso(NOON + 10 * SECOND), iso(NOON + 30 * SECOND))  # as near as is known
    assert cut.count == 10


def test_an_interval_as_long_as_may_be_is_cut_as_well() -> None:
    start = NOON // LONGEST_NS * LONGEST_NS
    samples = [Written(start + n * 3600 * SECOND, MS, length_ns=LONGEST_NS) for n in range(24)]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, samples)
        assert query.summary(Reader(conn, since_ns=start + LONGEST_NS - 1)).count == 0
        assert query.summary(Reader(conn, since_ns=start + 23 * 3600 * SECOND)).count == 1
        assert query.summary(Reader(conn, until_ns=start + 1)).count == 1
        assert query.summary(Reader(conn, until_ns=start + LONGEST_NS - 1)).count == 24


def test_summary_of_an_empty_store_has_no_figures() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn)
        assert query.summary(Reader(conn)) == query.Summary(
            0, None, None, None, None, None, 0, 0, 0, 0, 0, from_=None, to=None
        )
        assert query.stages(Reader(conn, since_ns=5)) == []


def test_episodes_are_clipped_to_the_range_in_the_summary(few: Reader) -> None:
    def stalled(since: int | None, until: int | None, source: str | None = None) -> tuple[int, float]:
        answer = query.summary(Reader(few.conn, since_ns=since, until_ns=until, source=source))
        return answer.episodes, answer.time_in_episodes_ms

    assert stalled(None, None) == (2, 3000.0)
    assert stalled(NOON + SECOND // 4, NOON + 61 * SECOND) == (2, 1750.0)
    assert stalled(NOON + SECOND, NOON + 60 * SECOND) == (1, 0.0)  # it ended just then
    assert stalled(NOON + 2 * SECOND, None) == (1, 2000.0)
    assert stalled(None, None, "other") == (0, 0.0)


# --- rows -----------------------------------------------------------------------------------------------------------


def test_samples_have_all_that_is_known_of_them(few: Reader) -> None:
    first = next(query.samples(few))
    assert first == query.SampleRow(
        id=2 << 40,
        time="2026-11-25T12:00:00.000000000Z",
        time_unix_nano=NOON,
        source="proxy",
        duration_ms=12.0,
        severity="ok",
        cause="wait",
        stage="wait",
        attributes={"headroom.path": "a"},
        stages={"wait": 10.0, "rest": 2.0},
        file="/logs/proxy.log",
        offset=0,
    )


def test_sample_rows_agree_with_the_view(few: Reader) -> None:
    view = few.conn.execute("SELECT id, time, duration_ms, severity, file, offset FROM samples ORDER BY time_unix_nano")
    ours = [(s.id, s.time, s.duration_ms, s.severity, s.file, s.offset) for s in query.samples(few)]
    assert view.fetchall() == ours


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WRITTEN, max_size=25, unique_by=lambda s: s.time_ns),
    BOUND,
    BOUND,
    st.frozensets(st.sampled_from(Severity)),
    st.integers(0, 5),
)
def test_samples_are_the_newest_matching_ones_oldest_first(
    samples: list[Written], since: int | None, until: int | None, severities: frozenset[Severity], limit: int
) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn, [*samples, Written(NOON - 10**12, 1)])
        for source in (None, "proxy"):
            reader = Reader(conn, since_ns=since, until_ns=until, source=source)
            rows = query.samples(reader, severities=severities, limit=limit)
            expected = sorted(
                s.time_ns
                for s in [*samples, Written(NOON - 10**12, 1)]
                if (since is None or s.time_ns >= since)
                and (until is None or s.time_ns < until)
                and (not severities or s.severity in severities)
                and source in (None, s.source)
            )
            assert [row.time_unix_nano for row in rows] == expected[-limit:]


def test_samples_use_the_time_index_for_any_filter(few: Reader) -> None:
    plans: list[str] = []
    narrow = Reader(few.conn, since_ns=1, source="proxy")
    for reader, options in (
        (few, {}),
        (few, {"limit": 5}),
        (narrow, {}),
        (few, {"severities": [Severity.OK], "limit": 1}),
    ):
        traced: list[str] = []
        few.conn.set_trace_callback(traced.append)
        list(query.samples(reader, **options))
        few.conn.set_trace_callback(None)
        plans.append(
            " ".join(
                row[3]
                for row in few.conn.execute(f"EXPLAIN QUERY PLAN {next(text for text in traced if 'block' in text)}")
            )
        )
    assert all("INDEX block_" in plan for plan in plans), plans


def test_episodes_hold_closed_and_open_ones(few: Reader) -> None:
    closed, still_open = query.episodes(few)
    assert closed == query.EpisodeRow(
        id=1,
        start=iso(NOON),
        end=iso(NOON + SECOND),
        duration_ms=1000.0,
        count=3,
        peak_ms=2500.0,
        severity="degraded",
        cause="wait",
        dominant_stage="read",
        trace_id="00000000000000000000000000000001",
        span_id="0000000000000001",
        open=False,
        source="proxy",
    )
    assert (still_open.id, still_open.open, still_open.duration_ms) == (None, True, 2000.0)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"since_ns": NOON + SECOND}, [1, 2]),
        ({"since_ns": NOON + SECOND + 1}, [2]),
        ({"until_ns": NOON + 60 * SECOND}, [1]),
        ({"until_ns": NOON}, []),
        ({"severities": [Severity.STALL]}, [2]),
        ({"source": "other"}, []),
        ({"limit": 1}, [2]),
    ],
)
def test_episodes_are_found_by_range_severity_and_source(
    few: Reader, options: dict[str, Any], found: list[int]
) -> None:
    how = {name: options.pop(name) for name in ("severities", "limit") if name in options}
    assert [int(row.span_id, 16) for row in query.episodes(Reader(few.conn, **options), **how)] == found


def test_a_source_that_is_not_there_is_an_error_that_names_those_that_are(few: Reader) -> None:
    for ask in (query.samples, query.episodes, query.summary, query.stages):
        with pytest.raises(UsageError, match="no source 'nope'") as caught:
            ask(few.of("nope"))
        assert caught.value.hint == "known: other, proxy"


# --- sql ------------------------------------------------------------------------------------------------------------


def test_sql_gives_names_and_rows(few: Reader) -> None:
    answer = query.sql(few, "SELECT 1 AS one, x'0aff' AS blob, 1 AS one, count FROM minutes WHERE source = 'other'")
    assert answer.columns == ("one", "blob", "one_3", "count")
    assert list(answer.rows) == [(1, "0aff", 1, 1)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT nothing FROM samples",
        "DELETE FROM block",
        "SELECT 1; SELECT 2",
        "",
        "ATTACH 'new.db' AS other",
        "VACUUM INTO 'new.db'",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA user_version(1)",
        "SELECT * FROM pragma_journal_mode('delete')",
        "CREATE TEMP TABLE t (x)",
        "SELECT '\0'",
    ],
)
def test_sql_that_does_not_read_is_a_usage_error_and_changes_nothing(
    few: Reader, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        list(query.sql(few, statement).rows)
    assert "samples, breaches, episodes, marks and minutes" in caught.value.hint
    assert not Path("new.db").exists()
    assert few.conn.execute("SELECT count(*) FROM samples").fetchone() == (3,)


def test_a_pragma_that_sets_something_is_named_and_one_that_reads_is_answered(few: Reader) -> None:
    with pytest.raises(UsageError, match="the statement changes a setting or another file"):
        query.sql(few, "PRAGMA journal_mode=delete")
    assert list(query.sql(few, "PRAGMA journal_mode").rows) == [("wal",)]
    for name in (
        "PRAGMA table_info(samples)",
        "PRAGMA TABLE_INFO = samples",
        "SELECT * FROM pragma_table_info('samples')",
    ):
        assert [row[1] for row in query.sql(few, name).rows][:2] == ["id", "time"]


def test_sql_that_fails_half_way_is_a_usage_error(few: Reader) -> None:
    with pytest.raises(UsageError, match="malformed JSON"):
        list(query.sql(few, "SELECT json(CASE id & 0xFFFF WHEN 0 THEN '1' ELSE '{' END) FROM samples").rows)


# --- opening --------------------------------------------------------------------------------------------------------


def test_a_reader_sees_the_last_commit_beside_an_open_transaction(path: Path) -> None:
    make_file(path, [Written(NOON, MS)])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM block")
        with Reader.open(path) as reader:
            assert len(list(query.samples(reader))) == 1
            writer.execute("COMMIT")
            assert list(query.samples(reader)) == []


def test_an_answer_is_one_snapshot_while_intervals_close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_file(path, [Written(NOON, MS, is_open=True)])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, Reader.open(path) as reader:

        def seal(*_: object) -> None:
            writer.execute("INSERT INTO interval SELECT NULL, * FROM open_interval")
            writer.execute("DELETE FROM open_interval")

        moments = [seal]
        reader.conn.set_trace_callback(
            lambda text: moments.pop()() if "FROM open_interval WHERE" in text and moments else None
        )
        assert query.summary(reader).count == 1
        assert not moments
        reader.conn.set_trace_callback(None)
        assert query.summary(reader).count == 1


def test_a_missing_store_is_an_error_with_a_hint_to_create_one(path: Path) -> None:
    with pytest.raises(StoreError, match="no store at") as caught:
        Reader.open(path)
    assert "--observer" in caught.value.hint
    assert not path.exists()


def test_a_file_that_is_not_a_database_is_recognized(path: Path) -> None:
    path.write_bytes(b"just a log line\n" * 100)
    with pytest.raises(StoreCorrupt, match="not a store"):
        Reader.open(path)


def test_an_empty_file_and_another_programs_database_are_rejected(path: Path) -> None:
    path.touch()
    with pytest.raises(NotAStore):
        Reader.open(path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("CREATE TABLE source (x)")
        conn.execute("PRAGMA user_version = 1")
    with pytest.raises(NotAStore):
        Reader.open(path)


def test_a_newer_schema_is_refused(path: Path) -> None:
    make_file(path)
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}") as caught:
        Reader.open(path)
    assert "upgrade" in caught.value.hint


def test_a_store_with_odd_characters_in_its_path_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a ?b#c%41 é"
    folder.mkdir()
    with Reader.open(make_file(folder / "store.db", [Written(NOON, 1)])) as reader:
        assert query.summary(reader).count == 1


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only directory, for a root user too: sqlite can't make the -shm file that a reader needs."""
    connect = sqlite3.connect

    def no_shm(database: str, **options: object) -> sqlite3.Connection:
        if "immutable" not in database:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(database, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", no_shm)


def test_a_store_in_a_read_only_directory_is_read_if_it_has_no_writer(
    path: Path, request: pytest.FixtureRequest
) -> None:
    make_file(path, [Written(NOON, 1)])
    request.getfixturevalue("unwritable")
    with Reader.open(path) as reader:
        assert query.summary(reader).count == 1
    Path(f"{path}-wal").touch()
    with pytest.raises(StoreError, match="unable to open"):
        Reader.open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_store_in_a_directory_that_really_is_read_only_is_read(path: Path) -> None:
    make_file(path, [Written(NOON, 1)])
    path.parent.chmod(0o500)
    try:
        with Reader.open(path) as reader:
            assert query.summary(reader).count == 1
    finally:
        path.parent.chmod(0o700)


def test_damage_found_while_reading_is_reported_as_ours(path: Path) -> None:
    make_file(path, [Written(NOON + n, MS) for n in range(2000)])
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    with pytest.raises(StoreError), Reader.open(path) as reader:
        list(query.samples(reader))


# --- status ---------------------------------------------------------------------------------------------------------


def test_status_shows_sources_exporters_and_the_store(tmp_path: Path, path: Path) -> None:
    log = tmp_path / "proxy.log"
    log.write_bytes(b"x" * 500)
    samples = [Written(NOON + n * 10 * SECOND, 600 * MS, (("unknown", 1), ("wait", 2))) for n in range(4)]
    make_file(path, samples, [Stall(NOON, NOON + SECOND)])
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE source SET drift = 2, oversized = 1, ignored = 9")
        writer.execute("INSERT INTO rejected VALUES (1, 'time', 3), (1, 'bounds', 4)")
        seen = (str(log), str(log), log.stat().st_dev, log.stat().st_ino)
        writer.execute("UPDATE file SET live = ?, path = ?, device = ?, inode = ?", seen)
        writer.execute(
            "INSERT INTO file (id, source, live, path, device, inode, offset, size, head_length, head_digest,"
            " anchor_length, anchor_digest, done) VALUES (7, 1, ?, '/gone.log', 1, 1, 5, 6, 0, x'', 0, x'', 0),"
            " (8, 1, '/old.log', '/old.log', 1, 1, 5, 6, 0, x'', 0, x'', 1)",
            (str(log),),
        )
        writer.execute(
            "INSERT INTO exporter (name, delivered, skipped, last_success_ns, last_error, last_error_ns)"
            " VALUES ('otlp', 7, 3, ?, 'refused it', 5), ('idle', 0, 0, NULL, NULL, NULL)",
            (NOON,),
        )
        writer.execute(
            "INSERT INTO cursor VALUES ('otlp', 'breaches', 1), ('otlp', 'episodes', 0), ('otlp', 'gone', 0)"
        )
        writer.execute(
            "INSERT INTO refused (exporter, stream, item, about_ns, held, tries, why, time_ns, data)"
            " VALUES ('otlp', 'breaches', 1, 5, 1, 1, 'too odd', 5, x''),"
            " ('otlp', 'breaches', 2, 5, 0, 3, 'no', 5, x'')"
        )
        writer.execute("UPDATE exporter SET refused = 4 WHERE name = 'otlp'")
        writer.commit()
        with Reader.open(path) as reader:
            answer = query.status(reader)
        wal = Path(f"{path}-wal").stat().st_size
        size = path.stat().st_size + wal
    assert answer["sources"] == [
        {
            "name": "proxy",
            "observer": "headroom",
            "files": [
                {"path": str(log), "offset": 400, "size": 500},
                {"path": "/gone.log", "offset": 5, "size": 6},
            ],
            "bytes": 400,
            "samples": 4,
            "drift": 2,
            "rejected": 7,
            "oversized": 1,
            "ignored": 9,
            "rejected_by": {"bounds": 4, "time": 3},
            "unknown_stages": 4,
            "no_sample": None,
            "threshold_ms": 500.0,
            "stall_ms": 2000.0,
            "quiet_ms": 3000.0,
        }
    ]
    assert answer["exporters"] == [
        {
            "name": "idle",
            "delivered": 0,
            "pending": 0,
            "refused": 0,
            "quarantined": 0,
            "skipped": 0,
            "last_success": None,
            "last_error": None,
            "failures": 0,
            "last_seen": None,
            "dropped": [],
        },
        {
            "name": "otlp",
            "delivered": 7,
            "pending": 5,  # one of them on trial
            "refused": 4,
            "quarantined": 1,
            "skipped": 3,
            "last_success": iso(NOON),
            "last_error": "refused it",
            "failures": 0,
            "last_seen": None,
            "dropped": [],
        },
    ]
    assert answer["db"] == {
        "path": str(path),
        "size_bytes": size,
        "wal_bytes": wal,
        "wal_readers": [],
        "samples": 4,
        "dropped": 0,
    }


# --- points in time -------------------------------------------------------------------------------------------------

CET = timezone(timedelta(hours=1))
NOW = NOON + 1_234_567_891


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("30s", NOW - 30 * SECOND),
        ("90m", NOW - 5400 * SECOND),
        ("24h", NOW - 86_400 * SECOND),
        ("1.5h", NOW - 5400 * SECOND),
        ("1d12h", NOW - 129_600 * SECOND),
        ("2w", NOW - 14 * 86_400 * SECOND),
        ("9000w", 0),
        ("today", NOON - 13 * 3600 * SECOND),
        ("Yesterday", NOON - 37 * 3600 * SECOND),
        ("2026-11-25", NOON - 13 * 3600 * SECOND),
        ("2026-11-25 13:00", NOON),
        ("2026-11-25T13:00:01.5", NOON + 1_500_000_000),
        ("2026-11-25T12:00:00.000000007Z", NOON + 7),
        ("2026-11-25T10:00:00-02:00", NOON),
        ("2026-11-25 14:30+0230", NOON),
        ("0001-01-01", 0),
        ("9999-12-31T23:59:59Z", 2**63 - 1),
        ("@1795608000", NOON),
        ("@1795608000.25", NOON + SECOND // 4),
    ],
)
def test_a_time_is_understood(text: str, expected: int) -> None:
    assert parse_when(text, NOW, CET) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "24", "-5m", "5y", "2026-13-01", "2026-11-25T25:00", "@", "h", "2026-11-25T10:00+99:00", "٣h"]
)
def test_an_invalid_time_is_an_error_with_valid_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_when(text, NOW, CET)
    assert "24h" in caught.value.hint


@given(st.integers(0, 2**63 - 1))
def test_a_printed_time_can_be_passed_again(time_ns: int) -> None:
    assert parse_when(iso(time_ns), 0) == time_ns
    assert parse_when(local(time_ns, CET), 0) == time_ns // MS * MS


def test_the_local_zone_holds_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC-3")
        time.tzset()
        assert parse_when("2026-11-25 15:00", NOW) == NOON
        assert parse_when("today", NOW) == NOON - 15 * 3600 * SECOND
    time.tzset()
