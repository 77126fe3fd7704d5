"""A row that is damaged where SQLite cannot detect it delays nothing, and every reader reports it."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail import query
from otel_logtail.delivery.sender import Drain
from otel_logtail.events import Reporter
from otel_logtail.model import Instrument, Point, Stream
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.rows import Repaired
from otel_logtail.store.writer import Store
from otel_logtail.testing import FakeExporter
from tests.support import forked
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows

DAMAGES = {
    "cut off": "exponential = substr(exponential, 1, 3)",
    "a blob": "exponential = x'ff00'",
    "no UTF-8": "explicit = CAST(x'5bff5d' AS TEXT), exponential = CAST(x'7bff7d' AS TEXT)",
    "a bracket": "explicit = replace(explicit, '[', '{')",
    "a comma became a point": "explicit = '[0.' || substr(explicit, 4)",
    "another number": "exponential = replace(exponential, '}', '0}')",
}
OF_DURATION = "series IN (SELECT id FROM series WHERE instrument = 'duration')"
MENDED = "error: fake: 1 counts were damaged in the store: their number and sum are kept"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def piece(store: Store) -> Piece:
    """Four intervals of 10 s with two samples each: 0.1 and 0.3 s."""
    piece = Piece(store)
    for begin in (0, 10, 20, 30):
        piece.commit(line(begin + 1, 0.1) + line(begin + 2, 0.3), seal_s=begin + 10)
    return piece


def damage(path: Path, table: str, what: str, where: str = "1") -> None:
    with closing(sqlite3.connect(path)) as conn, conn:
        changed = conn.execute(f"UPDATE {table} SET {what} WHERE {where}")
        assert changed.rowcount == 1


def second_interval() -> str:
    return f"{OF_DURATION} AND end_ns = {NOON + 20 * SECOND}"


def drained(store: Store, within_s: float = 10.0) -> tuple[list[Point], str]:
    """Return the durations that a new exporter's receiver has in the end, and the messages."""
    said, exporter = io.StringIO(), FakeExporter(wants=frozenset({Stream.INTERVALS}))
    outbox = Outbox.open(store.path, exporter.name)
    outbox.register(exporter.wants, time.time_ns())
    drain = Drain(exporter, outbox, Reporter(said))
    drain.start()
    drain.stop(within_s)
    drain.join()
    points = [item for item in exporter.delivered(Stream.INTERVALS) if isinstance(item, Point)]
    return [p for p in points if p.series.instrument is Instrument.DURATION and p.id], said.getvalue()


# --- exporters ---


@pytest.mark.parametrize("what", DAMAGES.values(), ids=DAMAGES.keys())
def test_an_exporter_continues_after_damaged_counts_and_reports_them_once(
    store: Store, piece: Piece, what: str
) -> None:
    damage(store.path, "interval", what, second_interval())
    points, said = drained(store)
    assert [(p.delta.count, p.delta.sum_ns) for p in points] == [(2, 400_000_000)] * 4
    assert [(p.total.count, p.total.sum_ns) for p in points] == [(2 * n, n * 400_000_000) for n in (1, 2, 3, 4)]
    for p in points:
        for counts in (p.delta, p.total):
            assert sum(counts.explicit) == sum(counts.exponential.values()) + counts.zeros == counts.count
            assert len(counts.explicit) == len(p.series.bounds_ns) + 1
    assert (points[1].delta.min_ns, points[1].delta.max_ns) == (100_000_000, 300_000_000)
    assert said.count("error") == said.count(MENDED) == 1


@pytest.mark.parametrize("what", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_total_continues_with_its_number_and_sum(store: Store, piece: Piece, what: str) -> None:
    drained(store)
    damage(store.path, "total", what, OF_DURATION)
    piece.commit(line(41, 0.2), seal_s=50)
    (point,), said = drained(store)
    assert (point.total.count, point.total.sum_ns) == (9, 1_800_000_000)
    assert sum(point.total.explicit) == sum(point.total.exponential.values()) == 9
    assert said.count("error") == said.count(MENDED) == 1
    piece.commit(line(51, 0.2), seal_s=60)
    (after,), said = drained(store)
    assert (after.total.count, after.total.min_ns, after.total.max_ns) == (10, 100_000_000, 300_000_000)
    assert after.previous_ns == point.time_ns
    assert "error" not in said  # the next point has correct totals again


def test_a_silent_series_with_a_damaged_total_is_repeated_and_told_all_the_same(store: Store, piece: Piece) -> None:
    drained(store)
    damage(store.path, "total", DAMAGES["no UTF-8"], OF_DURATION)
    with closing(Outbox.open(store.path, "fake")) as outbox:
        told = outbox.told()
        piece.seal(200)
        batch = outbox.silent(60 * SECOND, 100)
        assert batch is not None
        for found in (told, batch.items):
            (of_duration,) = [p for p in found if isinstance(p, Point) and p.series.instrument is Instrument.DURATION]
            assert (of_duration.total.count, of_duration.total.sum_ns) == (8, 1_600_000_000)
        assert (outbox.take_repaired(), outbox.take_repaired()) == (Repaired(1), Repaired())


def test_all_intervals_that_end_together_are_repaired_before_they_become_final(tmp_path: Path) -> None:
    """More of them than a transaction usually makes final."""
    path = tmp_path / "store.db"
    with opened(path) as store:
        for port in (8787, 8788, 8789):
            Piece(store, live=f"/logs/fake-{port}.log").commit(line(1, 0.1) + line(2, 3, cause=str(port)))
        ((number, ends),) = rows(path, "SELECT count(*), count(DISTINCT end_ns) FROM open_interval")
        assert (int(str(number)) > 4, ends) == (True, 1)
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE open_interval SET exponential = '{bad'")
    with opened(path) as store:
        store._intervals.most_closed = 4
        Piece(store).seal(1000)
    assert rows(path, "SELECT count(*) FROM interval WHERE exponential = '{bad'") == [(0,)]
    assert rows(path, "SELECT count(*) FROM interval") == [(number,)]


def test_an_exporter_that_begins_behind_damaged_counts_counts_them(store: Store, piece: Piece) -> None:
    damage(store.path, "interval", DAMAGES["cut off"], second_interval())
    with closing(Outbox.open(store.path, "fake")) as outbox:
        outbox.register([Stream.INTERVALS], NOON, from_now=True)
        assert outbox.take_repaired() == Repaired(1)
    assert rows(store.path, f"SELECT count, sum_ns FROM total WHERE {OF_DURATION}") == [(8, 1_600_000_000)]


def test_counts_without_a_readable_number_delay_nothing(store: Store, piece: Piece) -> None:
    damage(store.path, "interval", "count = 'x', explicit = '['", second_interval())
    points, said = drained(store)
    assert [p.total.count for p in points] == [2, 2, 4, 6]
    assert "internal error" not in said


def test_a_first_interval_of_which_nothing_is_known_has_empty_buckets(store: Store, piece: Piece) -> None:
    damage(store.path, "interval", "count = 'x'", f"{OF_DURATION} AND end_ns = {NOON + 10 * SECOND}")
    points, _ = drained(store)
    for counts in (points[0].delta, points[0].total):
        assert counts.explicit == [0] * (len(points[0].series.bounds_ns) + 1)


# --- maintenance ---


@pytest.mark.parametrize("table", ["interval", "owed"])
def test_maintenance_adds_up_damaged_counts_as_an_exporter_would(store: Store, piece: Piece, table: str) -> None:
    with closing(Outbox.open(store.path, "fake")) as outbox:
        outbox.register([Stream.INTERVALS], time.time_ns())
    if table == "owed":
        store.maintenance(Limits(max_bytes=1), ["fake"]).run()
        piece.commit(line(41, 0.2), seal_s=50)
    damage(store.path, table, DAMAGES["no UTF-8"], OF_DURATION if table == "owed" else second_interval())
    done = store.maintenance(Limits(max_bytes=1), ["fake"]).run()
    assert rows(store.path, "SELECT count(*) FROM interval") == [(0,)]
    known = (9, 1_800_000_000) if table == "owed" else (8, 1_600_000_000)
    assert rows(store.path, f"SELECT count, sum_ns FROM owed WHERE {OF_DURATION}") == [known]
    assert done.repaired == Repaired(1)


def test_maintenance_leaves_damaged_blocks_and_counts_as_they_are(store: Store) -> None:
    piece, long_ago = Piece(store), -40 * 3600
    for second in range(long_ago, long_ago + 40, 10):
        piece.commit(line(second + 1, 0.1) + line(second + 2, 0.3), seal_s=second + 10)
    damage(store.path, "block", "samples = CAST(x'5bff5d' AS TEXT)", "id = (SELECT min(id) FROM block)")
    second_s = f"{OF_DURATION} AND end_ns = {NOON + (long_ago + 20) * SECOND}"
    damage(store.path, "interval", DAMAGES["another number"], second_s)
    piece.commit(line(-1, 0.001), seal_s=0)
    maintenance = store.maintenance(Limits(), [])
    maintenance.run()
    assert not maintenance.is_failing
    assert rows(store.path, "SELECT count FROM block ORDER BY id") == [(2,), (6,), (1,)]
    lengths = rows(store.path, f"SELECT end_ns - start_ns, count FROM interval WHERE {OF_DURATION} ORDER BY 1, 2")
    assert lengths == [(10 * SECOND, 1), (10 * SECOND, 2), (60 * SECOND, 6)]
    with query.Reader.open(store.path) as reader:
        assert query.summary(reader).count == 9
    assert "2 samples counted at their mean" in str(reader.damage)


# --- questions ---


def run(path: Path, *words: str) -> tuple[int, str, str]:
    done = forked.run(*words, "--db", path, home=path.parent, check=False)
    return done.returncode, done.stdout, done.stderr


NOT_SHOWN = "otel-logtail: error: the store is damaged: 2 samples in 1 block cannot be read and are left out\n"
AT_MEAN = (
    "otel-logtail: error: the store is damaged: 2 samples counted at their mean because their distribution is lost\n"
)


@pytest.mark.parametrize("what", ["'[[0,'", "x'ff'", "CAST(x'5bff5d' AS TEXT)"])
@pytest.mark.parametrize("limit", ["0", "50"])
def test_samples_of_a_damaged_block_are_left_out_and_that_is_one_line(
    store: Store, piece: Piece, what: str, limit: str
) -> None:
    damage(store.path, "block", f"samples = {what}", "id = (SELECT min(id) FROM block)")
    code, out, err = run(store.path, "query", "samples", "--format", "jsonl", "--limit", limit)
    assert (code, len(out.splitlines()), err) == (1, 6, NOT_SHOWN)


@pytest.mark.parametrize(
    "what", [text for name, text in DAMAGES.items() if name not in ("a bracket", "a comma became a point")]
)
@pytest.mark.parametrize("asked", ["summary", "stages"])
def test_damaged_counts_are_taken_at_their_mean_and_that_is_one_line(
    store: Store, piece: Piece, what: str, asked: str
) -> None:
    instrument = "duration" if asked == "summary" else "stage"
    series = f"(SELECT min(id) FROM series WHERE instrument = '{instrument}')"
    (whole,) = [out for code, out, _ in [run(store.path, "query", asked, "--format", "csv")] if code == 0]
    damage(store.path, "interval", what, f"series = {series} AND end_ns = {NOON + 20 * SECOND}")
    code, out, err = run(store.path, "query", asked, "--format", "csv")
    assert (code, err) == (1, AT_MEAN)
    for before, after in zip(whole.splitlines(), out.splitlines(), strict=True):
        mean = 2 if asked == "stages" else 1
        assert after.split(",")[:mean] == before.split(",")[:mean]


def test_explicit_buckets_do_not_affect_queries(store: Store, piece: Piece) -> None:
    damage(store.path, "interval", DAMAGES["a bracket"], second_interval())
    assert (run(store.path, "query", "summary")[0], run(store.path, "query", "summary")[2]) == (0, "")


def test_an_edge_that_cuts_a_damaged_block_is_counted_without_it(store: Store, piece: Piece) -> None:
    damage(store.path, "block", "samples = '['", "id = (SELECT min(id) FROM block)")
    with query.Reader.open(store.path, since_ns=NOON + SECOND) as reader:
        answer = query.summary(reader)
    assert (answer.count, reader.damage.left_out) == (6, 2)


def test_a_report_of_a_damaged_store_is_written_and_shows_it(store: Store, piece: Piece, tmp_path: Path) -> None:
    damage(store.path, "block", "samples = '['", "id = (SELECT min(id) FROM block)")
    damage(store.path, "interval", DAMAGES["cut off"], second_interval())
    page = tmp_path / "page.html"
    code, out, err = run(store.path, "report", "--since", "2020-01-01", "--html", str(page))
    assert (code, bool(out)) == (0, True)
    assert err.splitlines()[-1] == (
        "otel-logtail: error: the store is damaged: 2 samples in 1 block cannot be read and are left out;"
        " 2 samples counted at their mean because their distribution is lost"
    )
    assert page.is_file()


def test_episodes_and_status_do_not_depend_on_what_is_damaged(store: Store, piece: Piece) -> None:
    drained(store)
    for table in ("interval", "total"):
        damage(store.path, table, DAMAGES["cut off"], OF_DURATION if table == "total" else second_interval())
    damage(store.path, "block", "samples = '['", "id = (SELECT min(id) FROM block)")
    assert run(store.path, "status")[::2] == (0, "")
    assert run(store.path, "query", "episodes")[::2] == (0, "no episodes\n")


@pytest.mark.parametrize("words", [["query", "samples"], ["report", "--since", "2020-01-01"]])
def test_labels_that_are_damaged_end_in_one_line(store: Store, piece: Piece, words: list[str]) -> None:
    for table, column in (("kind", "attributes"), ("series", "attributes")):
        with closing(sqlite3.connect(store.path)) as conn, conn:
            conn.execute(f"UPDATE {table} SET {column} = '{{'")
    code, _, err = run(store.path, *words)
    first, _, second = err.splitlines()
    assert (code, second.startswith("hint: ")) == (1, True)
    assert first.startswith("otel-logtail: error: the store is damaged: ")


# --- the other end of the pipe ---


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("words", [["query", "summary"], ["query", "samples"], ["status"]])
def test_an_answer_that_finds_no_room_is_one_line_and_an_exit_code(
    store: Store, piece: Piece, words: list[str], form: str, tmp_path: Path
) -> None:
    errors = tmp_path / "stderr"
    code = forked.exit_code(
        [*words, "--format", form, "--db", str(store.path)],
        environ={"HOME": str(tmp_path)},
        streams=(os.devnull, "/dev/full", str(errors)),
    )
    assert code == 1
    assert errors.read_text() == "otel-logtail: error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_a_reader_that_takes_one_line_gets_no_error(store: Store, piece: Piece, form: str) -> None:
    piece.commit(b"".join(line(50 + n / 100, 0.01) for n in range(3000)))  # more than a pipe holds
    words = f"{sys.executable} -m otel_logtail query samples --limit 0 --format {form} --db {store.path} | head -1"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")
