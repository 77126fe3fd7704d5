"""The parts of ``watch``: its reads, its plot, and its screen, which the documentation shows."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.cli.watch import terminal
from otel_logtail.cli.watch.feed import Feed
from otel_logtail.cli.watch.model import STEPS_S, Column, Moment, Recent, Waiting
from otel_logtail.cli.watch.plot import ASCII, Glyphs, plot, sparkline
from otel_logtail.cli.watch.screen import View, columns_of, line, lines
from otel_logtail.cli.watch.terminal import MOST_S, REFRESH_S, pause_s
from otel_logtail.counts import count
from otel_logtail.errors import UsageError
from otel_logtail.query import Reader, summary
from otel_logtail.query.recent import ExporterState
from tests.support.moments import NOW, proxy_store
from tests.support.places import ROOT
from tests.support.store_builder import NOON, SECOND, Stall, Written, fill, make_file

UTC = timezone.utc


def moment_of(path: Path, now_ns: int = NOW, width: int = 80, *, step_s: int = 60) -> Moment:
    """Return what a store shows once the verdict is made."""
    feed = Feed(path, tz=UTC)
    feed.read(now_ns, step_s, columns_of(width))
    found = feed.read(now_ns, step_s, columns_of(width))
    assert isinstance(found, Moment), found
    return found


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return proxy_store(tmp_path_factory.mktemp("hour"))


def running(moment: Moment) -> Moment:
    """Return the moment beside a daemon that delivers."""
    return msgspec.structs.replace(
        moment, is_running=True, behind=0, exporters=(ExporterState("otlp", 0, None),), title="headroom-proxy"
    )


def drawn(moment: Moment | Waiting, width: int, height: int, glyphs: Glyphs | None = None, shows: str = "plot") -> str:
    view = View(width, height, tz=UTC, glyphs=glyphs or Glyphs(), shows=shows)
    return "\n".join(text.plain.rstrip() for text in lines(moment, view))


# --- the screen -----------------------------------------------------------------------------------------------------


def test_the_screen_in_the_documentation_is_the_one_that_is_drawn(hour: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "watch.md").read_text()
    found = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert found is not None
    screen = drawn(running(moment_of(hour)), 80, 24)
    assert found[1] == screen + "\n", screen


def test_a_small_screen_keeps_what_matters_most(hour: Path) -> None:
    moment = running(moment_of(hour, width=40))
    small = drawn(moment, 40, 10).split("\n")
    assert len(small) == 10
    assert all(len(text) <= 39 for text in small)
    assert small[0].startswith(" headroom-proxy  1 file, up to date")
    assert small[1].startswith(" ✗ Today not tolerable: p99 ")
    assert re.fullmatch(r" \d+/min  p50 \S+ ms  p99 \S+ s", small[3])
    assert small[4].startswith("samples  ")
    assert small[5].split()[:2] == ["start", "ago"]
    assert small[6].split()[0] == "12:57:47"
    assert small[-1] == " otlp: up to date        q quit  ? help"


def test_a_large_screen_has_a_taller_plot_and_more_episodes(hour: Path) -> None:
    large = drawn(running(moment_of(hour, width=120)), 120, 40).split("\n")
    assert len(large) == 40
    assert sum("┤" in text for text in large) == 20
    assert max(map(len, large)) == 119
    assert "stall" in "".join(text for text in large if "┤" in text)


@pytest.mark.parametrize("shows", ["plot", "episodes", "help"])
@pytest.mark.parametrize("glyphs", [Glyphs(), ASCII], ids=["unicode", "ascii"])
def test_any_size_is_filled_exactly(hour: Path, glyphs: Glyphs, shows: str) -> None:
    moments = {width: running(moment_of(hour, width=width)) for width in (1, 9, 20, 40, 60, 80, 200)}
    waiting = Waiting(NOW, "no store yet: " + "/a" * 100, "wait")
    for width, moment in moments.items():
        for height in (1, 2, 3, 5, 8, 10, 14, 24, 60):
            for shown in (moment, waiting):
                view = View(width, height, tz=UTC, glyphs=glyphs, shows=shows)
                texts = lines(shown, view)
                assert len(texts) == height
                assert all(text.cell_len <= width for text in texts), (width, height)


def test_ascii_needs_nothing_else(hour: Path) -> None:
    moment = running(moment_of(hour))
    view = View(80, 24, tz=UTC, glyphs=ASCII, fit=lambda text: text.encode("ascii", "replace").decode())
    texts = [text.plain for text in lines(moment, view)]
    assert all(text.isascii() for text in texts)
    assert any("X" in text for text in texts)


def test_text_of_a_log_cannot_control_the_terminal(hour: Path) -> None:
    moment = running(moment_of(hour))
    hostile = "\x1b[2J\r\n\u202e[red]x[/red]"
    episode = msgspec.structs.replace(moment.episodes[0], cause=hostile, severity="stall")
    moment = msgspec.structs.replace(
        moment, title=hostile, episodes=(episode,), exporters=(ExporterState(hostile, 1, hostile),)
    )
    for shows in ("plot", "episodes"):
        screen = drawn(moment, 200, 24, shows=shows)
        assert "\\x1b[2J\\r\\n\\u202e[red]x[/red]" in screen
        assert all(text.isprintable() for text in screen.split("\n"))
    assert line(moment, UTC).isprintable()


def test_an_exporter_that_fails_comes_first_with_its_error(hour: Path) -> None:
    states = (ExporterState("jsonl", 0, None), ExporterState("otlp", 1204, "connection refused"))
    moment = msgspec.structs.replace(running(moment_of(hour)), exporters=states)
    footer = drawn(moment, 160, 24).split("\n")[-1]
    assert footer.startswith(" otlp: failing, 1,204 waiting (connection refused); jsonl: up to date  ")


def test_a_moment_as_one_line(hour: Path) -> None:
    text = line(running(moment_of(hour)), UTC)
    assert text.startswith("2026-11-25 13:00:00  headroom-proxy  ")
    assert "/min  p50 " in text
    assert "  3 episodes in 24 h, 0 open  otlp: up to date  1 file, up to date  Today not tolerable: p99 " in text
    waiting = Waiting(NOW, "store removed: /x.db", "wait")
    assert line(waiting, UTC) == "2026-11-25 13:00:00  store removed: /x.db"


# --- the plot -------------------------------------------------------------------------------------------------------


def column(*ms: float) -> dict[int, int]:
    return count([int(value * 10**6) for value in ms], ()).exponential


def test_one_slow_sample_among_thousands_is_seen() -> None:
    columns = [{**column(*[10.0] * 5000)}, {**column(*[10.0] * 5000, 700)}, {**column(*[10.0] * 5000, 3000)}]
    found = plot(columns, (500, 2000), 11, Glyphs())
    signs = ["".join(row.cells[at] for row in found).translate({32: "", ord("╌"): ""}) for at in range(3)]
    assert signs == ["█", "○█", "●█"]


def test_each_threshold_has_a_line_with_its_name() -> None:
    found = plot([column(10.0), {}], (500, 2000), 11, Glyphs())
    assert [(row.label, row.threshold) for row in found if row.threshold] == [("2 s", "stall"), ("500 ms", "degraded")]
    assert all(row.cells[1] == ("╌" if row.threshold else " ") for row in found)
    assert not any(row.threshold for row in plot([column(10.0)], None, 11, Glyphs()))


def test_darker_is_more() -> None:
    columns = [column(*[10.0] * number) for number in (1, 10, 100, 1000)]
    row = next(row.cells for row in plot(columns, (500, 2000), 8, Glyphs()) if "█" in row.cells)
    shades = [Glyphs().density.index(sign) for sign in row]
    assert shades == sorted(shades)
    assert len(set(shades)) == 4


@given(
    st.lists(st.dictionaries(st.integers(-2500, 800), st.integers(1, 10**9), max_size=5), max_size=5),
    st.one_of(st.none(), st.tuples(st.floats(0.001, 1e6), st.floats(1, 1e6))),
    st.integers(1, 40),
)
def test_any_samples_can_be_plotted(
    columns: list[dict[int, int]], thresholds_ms: tuple[float, float] | None, rows: int
) -> None:
    found = plot(columns, thresholds_ms, rows, Glyphs())
    assert len(found) == rows
    assert all(len(row.cells) == len(columns) and len(row.label) <= 7 for row in found)
    for at, buckets in enumerate(columns):
        assert bool(buckets) == any(row.cells[at] not in " ╌" for row in found)


def test_a_sparkline_shows_any_sample() -> None:
    assert sparkline([0, 1, 500, 1000], Glyphs()) == " ▁▄█"
    assert sparkline([], Glyphs()) == ""


# --- reading --------------------------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_queries(hour: Path) -> None:
    moment = moment_of(hour)
    with Reader.open(hour, since_ns=NOW - 300 * SECOND) as reader:
        expected = summary(reader)
    recent = moment.recent
    assert recent.per_minute == pytest.approx(expected.count / 5)
    assert (recent.p50_ms, recent.p99_ms, recent.max_ms) == (expected.p50_ms, expected.p99_ms, expected.max_ms)
    assert sum(column.count for column in moment.columns) == 1_450
    assert [episode.severity for episode in moment.episodes] == ["stall", "degraded", "stall"]


def some_time(number: int, at: int) -> list[Written]:
    return [Written(NOON + (at + n) * SECOND, (5 + n % 7) * 10**6, is_open=n % 3 == 0, part=at) for n in range(number)]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.sampled_from(STEPS_S))
def test_reading_on_gives_what_a_fresh_read_gives(numbers: list[int], step_s: int) -> None:
    """The store grows between reads; open intervals become closed ones with the same counts, and new ones follow."""
    now_ns = NOON + 200 * SECOND
    with closing(sqlite3.connect(":memory:")) as conn:
        fill(conn, [sample for at, number in enumerate(numbers) for sample in some_time(number, at * 40)])
        rows = conn.execute("SELECT * FROM interval ORDER BY id").fetchall()
        opened = conn.execute("SELECT * FROM open_interval").fetchall()
        conn.execute("DELETE FROM interval")
        feed = _FeedOf(conn)
        for row in rows:
            conn.execute(f"INSERT INTO interval VALUES ({','.join('?' * len(row))})", row)
            feed.moment(now_ns, step_s)
        for number, row in enumerate(opened, 10_000):
            conn.execute("DELETE FROM open_interval WHERE series = ? AND start_ns = ? AND end_ns = ?", row[:3])
            conn.execute(f"INSERT INTO interval VALUES (?,{','.join('?' * len(row))})", (number, *row))
            followed, fresh = feed.moment(now_ns, step_s), _FeedOf(conn).moment(now_ns, step_s)
            assert (followed.columns, followed.recent) == (fresh.columns, fresh.recent)


class _FeedOf(Feed):
    """A feed of a store in memory."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        super().__init__(Path("/nowhere"), tz=UTC)
        self._conn = conn

    def moment(self, now_ns: int, step_s: int) -> Moment:
        found = self._read(Reader(self._conn), now_ns, step_s, 60)
        assert isinstance(found, Moment)
        return found


def test_old_columns_are_loaded_little_by_little(hour: Path) -> None:
    feed = Feed(hour, tz=UTC, loading_s=0.0)
    counts: list[int] = []
    while not counts or counts[-1] < 1450:
        found = feed.read(NOW, 60, 61)
        assert isinstance(found, Moment)
        counts.append(sum(column.count for column in found.columns))
    assert len(counts) > 5
    assert counts == sorted(counts)


def test_nothing_stays_open_between_two_reads(hour: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        fill(writer, [Written(NOON, SECOND)])
        feed = Feed(tmp_path / "s.db", tz=UTC)
        for number in range(3):
            assert isinstance(feed.read(NOON + SECOND, 60, 60), Moment)
            writer.execute("INSERT INTO meta VALUES (?, '')", (f"key{number}",))
            assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


def test_lines_repeat_moments_but_not_why_there_is_none(hour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "REFRESH_S", 0)
    moment, none, gone = moment_of(hour), Waiting(NOW, "no store yet: /x"), Waiting(NOW, "store removed: /x")
    shown: list[Moment | Waiting] = [none, none, moment, moment, gone, gone, moment, gone]
    reads = iter(shown)

    class Reads(Feed):
        def read(self, now_ns: int, step_s: int, columns: int) -> Moment | Waiting:
            return next(reads)

    written: list[Moment | Waiting] = []
    with pytest.raises(StopIteration):
        terminal.follow_lines(Reads(hour), written.append)
    assert written == [none, moment, moment, gone, moment, gone]


def test_a_store_that_is_not_there_removed_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    feed = Feed(path, tz=UTC)
    found = feed.read(NOW, 60, 60)
    assert isinstance(found, Waiting) and found.why == f"no store yet: {path}"
    make_file(path, [Written(NOON, SECOND)])
    found = feed.read(NOON, 60, 60)
    assert isinstance(found, Moment) and found.columns[-1].count == 1
    path.unlink()
    found = feed.read(NOON, 60, 60)
    assert isinstance(found, Waiting) and found.why == f"store removed: {path}"
    make_file(path, [Written(NOON, SECOND), Written(NOON + 1, SECOND)])
    found = feed.read(NOON, 60, 60)
    assert isinstance(found, Moment) and found.columns[-1].count == 2
    make_file(tmp_path / "other.db", [Written(NOON, SECOND)] * 3).replace(path)
    found = feed.read(NOON, 60, 60)
    assert isinstance(found, Moment) and found.columns[-1].count == 3


def test_a_store_without_a_source_and_a_file_that_is_not_a_store(tmp_path: Path) -> None:
    found = Feed(make_file(tmp_path / "s.db")).read(NOW, 60, 60)
    assert isinstance(found, Waiting) and found.why.startswith("no source yet: ")
    (tmp_path / "text").write_text("not a store, and long enough to be read as the header of a database" * 10)
    found = Feed(tmp_path / "text").read(NOW, 60, 60)
    assert isinstance(found, Waiting) and "is not a store" in found.why


def test_a_statement_that_starts_after_an_interrupt_ends_too(hour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(hour, tz=UTC)

    def progress(reader: Reader) -> None:
        feed.interrupt()
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        reader.conn.execute(endless).fetchone()

    monkeypatch.setattr("otel_logtail.cli.watch.feed.progress", progress)
    assert isinstance(feed.read(NOW, 60, 60), Waiting)


def test_one_source_alone(tmp_path: Path) -> None:
    samples = [Written(NOON, SECOND), Written(NOON, SECOND, source="other"), Written(NOON, SECOND, source="other")]
    path = make_file(tmp_path / "s.db", samples, [Stall(NOON - SECOND, NOON, source="other")])
    found = Feed(path, "other").read(NOON + 1, 60, 60)
    assert isinstance(found, Moment)
    assert (found.title, found.columns[-1].count, len(found.episodes), found.files) == ("other", 2, 1, 1)
    both = Feed(path).read(NOON + 1, 60, 60)
    assert isinstance(both, Moment)
    assert (both.title, both.columns[-1].count, both.files) == ("2 sources", 3, 2)
    with pytest.raises(UsageError, match="no source 'third'"):
        Feed(path, "third").read(NOON, 60, 60)


def test_intervals_that_are_longer_than_a_column_set_its_time(tmp_path: Path) -> None:
    path = make_file(tmp_path / "s.db", [Written(NOON, SECOND, length_ns=60 * SECOND, is_open=True)])
    assert moment_of(path, NOON + 1, step_s=10).step_s == 60


def test_damaged_counts_are_shown_and_named(tmp_path: Path) -> None:
    path = make_file(tmp_path / "s.db", [Written(NOON, SECOND)])
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE interval SET exponential = x'ff'")
        conn.commit()
    moment = moment_of(path, NOON + SECOND)
    assert moment.columns[-1].count == 1
    assert "the store is damaged: 1 sample counted at their mean" in drawn(moment, 120, 24)


def test_a_refresh_takes_at_most_a_sixtieth_of_the_time() -> None:
    assert pause_s(0.0) == REFRESH_S
    assert pause_s(0.01) == REFRESH_S
    assert pause_s(0.1) == pytest.approx(6.0)
    assert pause_s(10.0) == MOST_S


def test_an_empty_moment_has_no_figures() -> None:
    moment = Moment(
        now_ns=NOW,
        title="x",
        files=0,
        behind=0,
        is_running=False,
        step_s=60,
        columns=(Column(),) * 61,
        recent=Recent(),
        thresholds_ms=None,
        episodes=(),
        exporters=(),
        today=None,
    )
    screen = drawn(moment, 80, 24)
    assert "no samples in the last 5 min" in screen
    assert "no episodes in the last 24 h" in screen
    assert "0 files, up to date, no daemon runs" in screen
    assert screen.split("\n")[-1].startswith(" no exporter ")
