"""Benchmarks are programs too: they count correctly, report a missed target, and the page shows their figures."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as program
from benchmarks import data, observers, page, quick, rest
from benchmarks.figures import Figure, at_least, at_most, table
from benchmarks.floors import decode, store
from benchmarks.growth import _report, multiply
from benchmarks.ingest import ROOT, TINY, check, measure, ours
from benchmarks.process import run
from benchmarks.quick_work import Work


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    """The whole of one group, in a tiny size."""
    found = measure(tmp_path_factory.mktemp("ingest"), TINY)
    return {figure.name: figure for figure in found}


def test_each_data_set_is_read_and_has_its_floor(figures: dict[str, Figure]) -> None:
    for name in ("all hits", "2 % hits", "0 hits", "captures", "many files"):
        assert figures[f"{name}: into the store"].value
    assert figures["all hits: CPU relative to the decode floor"].bar == at_most(3.3)
    assert figures["2 % hits: CPU relative to grep -c -F"].bar == at_most(5)
    assert figures["0 hits: CPU relative to grep -c -F"].bar == at_most(3)


def test_a_peer_that_is_not_there_is_named_in_the_table(figures: dict[str, Figure]) -> None:
    vector = figures["all hits, peers: CPU of Vector, relative to ours"]
    assert vector.value is None
    assert "not measured" in table([vector])


def test_the_same_seed_makes_the_same_log_with_the_counted_lines(tmp_path: Path) -> None:
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    lines, samples = data.write_log(one, 300_000, data.Shape(hits=0.3, seed=7))
    assert (lines, samples) == data.write_log(two, 300_000, data.Shape(hits=0.3, seed=7))
    text = one.read_bytes()
    assert text == two.read_bytes()
    assert (text.count(b"\n"), text.count(data.MARKER)) == (lines, samples)
    assert 0.25 < samples / lines < 0.35
    assert data.MARKER in text.splitlines()[-1]


def test_the_floors_find_every_sample(tmp_path: Path) -> None:
    log = data.made(tmp_path, "log", 3_000_000, data.Shape(hits=0.5))
    assert decode(log.files[0]) == log.samples
    rows, spent_s = store(log.files[0], tmp_path / "floor.db")
    assert (rows, spent_s > 0) == (log.samples, True)


def test_a_run_that_loses_a_sample_is_rejected(tmp_path: Path) -> None:
    log = data.made(tmp_path, "log", 100_000, data.Shape())
    ours(log, tmp_path)
    log.files[0].write_bytes(b"")
    with pytest.raises(RuntimeError, match="has"):
        check(tmp_path / "store.db", data.Log("log", log.files, log.lines, log.samples + 1, log.bytes))


def test_the_cost_of_a_program_is_its_own_and_that_of_its_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    alone = run(["python3", "-c", burn])
    inside = run(["python3", "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"])
    assert 0.3 <= alone.cpu_s < 2
    assert 0.3 <= inside.cpu_s < 2
    assert alone.peak_mib > 3


def test_a_store_is_multiplied_sample_by_sample(tmp_path: Path) -> None:
    log = data.made(tmp_path, "log", 200_000, data.Shape(a_second=10))
    ours(log, tmp_path)
    multiply(tmp_path / "store.db", tmp_path / "large.db", 4)
    answer = run([*program_words(), "query", "summary", "--format", "json", "--db", str(tmp_path / "large.db")])
    assert json.loads(answer.output)["count"] == 4 * log.samples
    count = "SELECT (SELECT count(*) FROM breach), (SELECT count(*) FROM episode)"
    with (
        closing(sqlite3.connect(tmp_path / "store.db")) as one,
        closing(sqlite3.connect(tmp_path / "large.db")) as four,
    ):
        assert four.execute(count).fetchone() == tuple(4 * n for n in one.execute(count).fetchone())
    found = list(_report(tmp_path / "large.db", 4 * log.samples, 1))
    assert [figure.bar for figure in found] == [at_most(1.0), at_most(2.0)]


def program_words() -> list[str]:
    from benchmarks.ingest import PROGRAM

    return list(PROGRAM)


@pytest.mark.parametrize(
    ("value", "code", "verdict"),
    [(0.9, 0, "met"), (1.05, 0, "just missed"), (1.2, 1, "missed"), (None, 1, "not measured")],
)
def test_it_ends_with_1_when_a_bar_is_missed_by_more_than_a_tenth(
    value: float | None,
    code: int,
    verdict: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def found(folder: Path, size: str) -> Iterator[Figure]:
        yield Figure("a group", "a figure", value, "s", at_most(1.0), "a note")

    monkeypatch.setitem(program.GROUPS, "rest", found)
    out = tmp_path / "made" / "bench.json"
    assert program.main(["--only", "rest", "--size", "tiny", "--json", str(out)]) == code
    shown = capsys.readouterr().out
    assert f" {verdict} " in shown
    assert "≤ 1.00" in shown
    assert page.read(out).figures == (Figure("a group", "a figure", value, "s", at_most(1.0), "a note"),)


def test_a_failing_group_fails_the_run_and_keeps_earlier_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(folder: Path, size: str) -> Iterator[Figure]:
        yield Figure("a group", "a figure", 1.0, "s")
        raise RuntimeError("no collector")

    monkeypatch.setitem(program.GROUPS, "rest", found)
    assert program.main(["--only", "rest", "--size", "tiny", "--json", str(tmp_path / "bench.json")]) == 1
    first, second = page.read(tmp_path / "bench.json").figures
    assert (first.value, second.name, second.note) == (1.0, "rest broke off", "RuntimeError: no collector")


def test_a_figure_that_should_be_large_misses_its_bar_below_it() -> None:
    assert at_least(300).missed_by(240) == pytest.approx(0.2)
    assert at_least(300).missed_by(400) < 0


def test_an_observer_is_measured_with_the_captured_lines_of_its_program(tmp_path: Path) -> None:
    found = list(observers.measure(tmp_path, observers.TINY, ["caddy"]))
    assert [figure.name for figure in found] == ["headroom: proxy-8787.log", "caddy: access.log"]
    assert all(figure.value and figure.bar == at_least(60_000) for figure in found)
    lines = (tmp_path / "caddy-access.log" / "access.log").read_bytes().splitlines()
    assert (len(lines), len(set(lines))) == (500, 77)  # lines that are ignored are left out


def test_a_log_with_few_samples_is_measured_if_no_other_has_more(tmp_path: Path) -> None:
    size = observers.Size(samples=100, runs=1, least=1000)
    found = [figure.name for figure in observers.measure(tmp_path, size, ["traefik"])]
    assert found == ["headroom: proxy-8787.log", "traefik: clf.log"]


def test_starts_are_measured(tmp_path: Path) -> None:
    found = list(rest._starts(tmp_path, rest.TINY))
    assert [figure.name for figure in found] == ["start to first committed line", "--once, no new line", "--help"]
    assert all(0 < (figure.value or 0) < 60 for figure in found)


def test_a_run_of_some_groups_replaces_their_figures_alone() -> None:
    kept = page.read(page.RESULTS)
    group = kept.figures[0].group
    more = (Figure("new", "n", 1.0, "s"), Figure(group, "g", 2.0, "s"))
    found = page.merged(kept, msgspec.structs.replace(kept, size="tiny", figures=more))
    rest = tuple(figure for figure in kept.figures if figure.group != group)
    assert found == msgspec.structs.replace(kept, figures=(more[1], *rest, more[0]))
    assert page.merged(found, kept) == msgspec.structs.replace(kept, figures=(*kept.figures, more[0]))
    assert page.merged(msgspec.structs.replace(kept, figures=()), kept) == kept


def test_the_page_shows_the_figures_of_the_run_that_is_kept() -> None:
    text = page.PAGE.read_text()
    report = page.read(page.RESULTS)
    assert text == page.written(text, report)
    assert all(figure.name in text for figure in report.figures)


def test_each_ratio_of_the_quick_run_is_recorded(tmp_path: Path) -> None:
    out = tmp_path / "quick.json"
    command = ["-m", "benchmarks", "--quick", "--size", "tiny", "--json", str(out), "--folder", str(tmp_path)]
    run([sys.executable, *command], cwd=ROOT)  # it forks, which a process with threads should not
    found = page.read(out).figures
    assert {figure.name for figure in found} == set(quick.recorded())
    assert all(figure.value and figure.bar is None for figure in found)


def test_backlogs_and_growth_are_measured(tmp_path: Path) -> None:
    out = tmp_path / "some.json"
    command = ["-m", "benchmarks", "--only", "sparse", "storms", "out", "curves", "--size", "tiny", "--json", str(out)]
    run([sys.executable, *command, "--folder", str(tmp_path)], cwd=ROOT, codes=(0, 1))  # so little work misses limits
    found = {(figure.group, figure.name): figure for figure in page.read(out).figures}
    # a tiny run may cost so little that its exponent is 0
    assert all(figure.value for (group, _), figure in found.items() if group != "growth curves")
    assert None not in {figure.value for figure in found.values()}
    assert found["sparse", "the same, counts per 10 s: CPU per sample relative to dense"].bar == at_most(6)
    assert found["storms", "breaches delivered over OTLP"].bar == at_least(20_000)
    curves = [name for group, name in found if group == "growth curves"]
    assert curves == [f"{name}: exponent" for name in ("files", "samples", "series", "sources")]


@pytest.mark.parametrize(
    ("costs", "value", "rounds", "fails"),
    [
        ([1.2], 1.2, 1, False),
        ([1.4, 1.3, 1.1], 1.1, 3, False),
        ([1.4, 1.4, 1.4], 1.4, 3, True),
    ],
)
def test_a_ratio_fails_if_it_is_a_quarter_worse_in_three_rounds(
    costs: list[float], value: float, rounds: int, fails: bool
) -> None:
    left = iter(costs)
    found = quick.compared(Work("a pair", lambda: next(left), lambda: 1.0), expected=1.0, pairs=1)
    assert (found.value, len(costs) - len(list(left)), found.fails) == (value, rounds, fails)


def test_a_measured_process_that_fails_prints_why() -> None:
    burn = "import os\nfrom benchmarks.forks import cpu_s\ncpu_s(lambda: {}['a key'])"
    with pytest.raises(RuntimeError, match="KeyError: 'a key'"):
        run([sys.executable, "-c", burn], cwd=ROOT)
