"""A third party's package with an observer and an exporter, installed beside our wheel, and used by name."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import otel_logtail
from otel_logtail import plugins
from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.installed import EntryPoint, entry_points, version
from otel_logtail.observer import ObserverContext, ObserverPlugin
from otel_logtail.observers.headroom.observer import HeadroomObserver
from tests.support import forked
from tests.support.command import USAGE
from tests.support.places import CAPTURES, ROOT
from tests.support.waiting import bound_s

EXAMPLE = ROOT / "examples" / "plugin"


def environment(**more: str) -> dict[str, str]:
    """Return an environment without settings of the program or of the tests' Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    return {**kept, **more}


def new_process(*command: object) -> subprocess.CompletedProcess[str]:
    """Run any command to its end."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=bound_s(300),
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def result(installed: Path, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program, forked from one that the Python of its venv has started."""
    return forked.completed(arguments, environment(**environ), Path("/"), python=str(installed / "python"))


def run(installed: Path, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program; it succeeds."""
    done = result(installed, *arguments, **environ)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin of a venv with both wheels; what they depend on is lent from here, so that no index is needed."""
    folder = tmp_path_factory.mktemp("plugin")
    for project in (ROOT, EXAMPLE):
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist"]
        new_process(*build, project)
    new_process(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    wheels = sorted((folder / "dist").glob("*.whl"))
    assert [wheel.name.split("-")[0] for wheel in wheels] == ["logtail_acme", "otel_logtail"]
    new_process(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", *wheels
    )
    (site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    (site / "lent.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    where = new_process(
        python, "-c", "import otel_logtail, logtail_acme; print(otel_logtail.__file__, logtail_acme.__file__)"
    )
    assert all(path.startswith(str(site)) for path in where.stdout.split())
    return python.parent


def test_both_are_listed_by_name_with_the_package_that_brings_them(installed: Path) -> None:
    for command, name, what in (
        ("observers", "acme", "The web server acme: "),
        ("exporters", "csv", "A CSV file (--csv-file) with a row for each episode."),
    ):
        listed = json.loads(new_process(installed / "otel-logtail", command, "--format", "json").stdout)
        (mine,) = [entry for entry in listed if entry["name"] == name]
        assert mine["what"].startswith(what)
        assert mine["package"] == "logtail-acme 1.0.0"
        assert {entry["package"].split(" ")[0] for entry in listed} == {"logtail-acme", "otel-logtail"}


def test_both_are_used_on_a_log(installed: Path, tmp_path: Path) -> None:
    log, db, out = tmp_path / "access-2.log", tmp_path / "store.db", tmp_path / "stalls.csv"
    took = [0.020, 0.700, 2.900, 0.010] + [0.010] * 10 + [0.600]
    log.write_text(
        "".join(
            f"2025-11-25T12:00:{second:02}.000Z acme request route=/search took={seconds:.3f} db=0.005\n"
            for second, seconds in enumerate(took)
        )
        + "2025-11-25T12:00:30.000Z acme request route=/made-up took=9.000 db=0.005\n"
    )
    command = ["--observer", "acme", "--path", log, "--once", "--db", db]
    run(installed, *command, "--exporter", "csv", OTEL_LOGTAIL_CSV_FILE=str(out))
    summary = json.loads(run(installed, "query", "summary", "--db", db, "--format", "json").stdout)
    assert (summary["count"], summary["degraded"], summary["stall"]) == (15, 2, 1)
    stages = run(installed, "query", "stages", "--db", db, "--format", "jsonl").stdout
    assert {json.loads(line)["stage"] for line in stages.splitlines()} == {"db", "render"}
    status = json.loads(run(installed, "status", "--db", db, "--format", "json").stdout)
    (source,) = status["sources"]
    assert (source["name"], source["rejected"]) == ("acme", 1)
    with out.open() as file:
        rows = list(csv.reader(file))
    assert [row[3:] for row in rows] == [["2", "2900.0", "stall", "render"], ["1", "600.0", "degraded", "render"]]
    episodes = json.loads(run(installed, "query", "episodes", "--db", db, "--format", "json").stdout)
    assert [row[0] for row in rows] == [episode["span_id"] for episode in episodes]
    run(installed, *command, "--exporter", "csv", OTEL_LOGTAIL_CSV_FILE=str(out))
    assert len(out.read_text().splitlines()) == 2  # no item is sent twice


def test_both_are_used_by_a_configuration_whose_keys_are_handed_on(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "access-2.log").write_text("2025-11-25T12:00:01.000Z acme request route=/search took=2.900 db=0.005\n")
    file = tmp_path / "x.toml"
    file.write_text(
        f"db = 'store.db'\n[source.web]\nobserver = 'acme'\npaths = ['access-*.log']\n"
        f"[exporter.csv]\nfile = '{tmp_path / 'out.csv'}'\n"
    )
    run(installed, "--config", file, "--once")
    with (tmp_path / "out.csv").open() as out:
        assert [row[3:] for row in csv.reader(out)] == [["1", "2900.0", "stall", "render"]]


def test_a_plug_ins_usage_error_is_one_like_ours(installed: Path, tmp_path: Path) -> None:
    log = str(tmp_path / "access.log")
    done = result(installed, "--observer", "acme", "--path", log, "--exporter", "csv")
    assert done.returncode == 2
    assert done.stderr == ("otel-logtail: error: --csv-file is missing\n\nhint: pass --csv-file PATH\n" + USAGE)


def refused(installed: Path, *arguments: object, **environ: str) -> str:
    """Return the error of a command that is refused."""
    done = result(installed, *arguments, **environ)
    assert done.returncode == 2, done.stderr
    start = "otel-logtail: error: "
    assert done.stderr.startswith(start), done.stderr
    usage = (
        USAGE.replace("[OPTIONS] COMMAND [ARGS]...", "service systemd [OPTIONS]") if "service" in arguments else USAGE
    )
    assert done.stderr.endswith(usage)
    return done.stderr.removeprefix(start).removesuffix(usage)


def test_the_options_of_an_exporter_are_flags_with_help(installed: Path, tmp_path: Path) -> None:
    shown = " ".join(run(installed, "--help", COLUMNS="200").stdout.split())
    assert "--csv-file PATH CSV file that episodes are appended to." in shown
    assert "--csv-separator ,|; Separator of the columns." in shown
    log, out = tmp_path / "access-2.log", tmp_path / "out.csv"
    log.write_text("2025-11-25T12:00:01.000Z acme request route=/search took=2.900 db=0.005\n")
    command = ["--observer", "acme", "--path", log, "--once", "--db", tmp_path / "s.db"]
    run(installed, *command, "--exporter", "csv", "--csv-file", out, "--csv-separator", ";")
    assert out.read_text().endswith(";1;2900.0;stall;render\n")


def test_a_wrong_value_of_an_option_names_its_place(installed: Path, tmp_path: Path) -> None:
    common = ("--observer", "acme", "--path", tmp_path / "access.log", "--exporter", "csv", "--csv-file", "/x")
    why = "expected , or ;\n\nhint: use , or ;\n"
    assert refused(installed, *common, "--csv-separator", "x") == f"invalid --csv-separator 'x': {why}"
    by_variable = refused(installed, *common, OTEL_LOGTAIL_CSV_SEPARATOR="x")
    assert by_variable == f"invalid OTEL_LOGTAIL_CSV_SEPARATOR 'x': {why}"
    file = tmp_path / "x.toml"
    source = "[source.web]\nobserver = 'acme'\n"
    file.write_text(f"{source}[exporter.csv]\nfile = 'x'\nseparator = 'x'\n")
    assert refused(installed, "--config", file) == f"{file}:5: exporter.csv.separator 'x': {why}"
    file.write_text(f"{source}[exporter.csv]\nseperator = ';'\n")
    error = refused(installed, "--config", file)
    assert error == f"{file}:4: exporter.csv.seperator is not known\n\nhint: did you mean separator?\n"


LINES = (
    "2025-11-25T12:00:01.000Z acme request route=/search took=0.300 db=0.005\n"
    "2025-11-25T12:00:02.000Z acme request route=/search took=2.900 db=0.400\n"
)


def summary_of(installed: Path, db: Path, *arguments: object) -> dict[str, float]:
    """Return the answer of ``query summary``."""
    command = ("query", "summary", "--db", db, "--format", "json", *arguments)
    answer: dict[str, float] = json.loads(run(installed, *command).stdout)
    return answer


def test_the_options_of_an_observer_are_flags_with_help_and_variables(installed: Path, tmp_path: Path) -> None:
    shown = " ".join(run(installed, "--help", COLUMNS="200").stdout.split())
    assert (
        "--acme-part total|db Part of a request that a sample measures: all of it (total), or its queries (db)."
        in shown
    )
    log = tmp_path / "access-2.log"
    log.write_text(LINES)
    command = ["--observer", "acme", "--path", log, "--once", "--db"]
    run(installed, *command, tmp_path / "total.db", OTEL_LOGTAIL_ACME_PART=" ")
    run(installed, *command, tmp_path / "flag.db", "--acme-part", "db", OTEL_LOGTAIL_ACME_PART="total")
    run(installed, *command, tmp_path / "variable.db", OTEL_LOGTAIL_ACME_PART="db")
    longest = {name: summary_of(installed, tmp_path / f"{name}.db")["max_ms"] for name in ("total", "flag", "variable")}
    assert longest == {"total": 2900.0, "flag": 400.0, "variable": 400.0}


def test_each_source_of_a_configuration_has_its_own_options_and_thresholds(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "access-2.log").write_text(LINES)
    (tmp_path / "proxy.log").write_bytes((CAPTURES / "0.42.0-mixed.log").read_bytes())
    file, db = tmp_path / "x.toml", tmp_path / "store.db"
    file.write_text(
        "db = 'store.db'\nretention = 'none'\n"
        "[source.web]\nobserver = 'acme'\npaths = ['access-*.log']\n"
        "[source.database]\nobserver = 'acme'\npaths = ['access-*.log']\npart = 'db'\nthreshold_ms = 401\n"
        "[source.proxy]\nobserver = 'headroom'\npaths = ['proxy.log']\n"
    )
    run(installed, "--config", file, "--once")
    longest = {name: summary_of(installed, db, "--source", name)["max_ms"] for name in ("web", "database")}
    assert longest == {"web": 2900.0, "database": 400.0}
    slow = {name: summary_of(installed, db, "--source", name)["degraded"] for name in ("web", "database")}
    assert slow == {"web": 1, "database": 0}
    status = json.loads(run(installed, "status", "--db", db, "--format", "json").stdout)
    kept = {one["name"]: (one["threshold_ms"], one["stall_ms"], one["quiet_ms"]) for one in status["sources"]}
    assert kept == {"web": (250, 1000, 3000), "database": (401, 1604, 3000), "proxy": (500, 2000, 3000)}


def test_thresholds_that_an_observer_suggests_are_shown_and_can_be_overridden(installed: Path, tmp_path: Path) -> None:
    shown = " ".join(run(installed, "--help", COLUMNS="200").stdout.split())
    assert re.search(r"a sample counts as degraded\. Default of acme: 250[;.]", shown)
    log = tmp_path / "access-2.log"
    log.write_text(LINES)
    command = ["--observer", "acme", "--path", log, "--once", "--db"]
    run(installed, *command, tmp_path / "suggested.db")
    run(installed, *command, tmp_path / "given.db", "--threshold-ms", "500")
    assert summary_of(installed, tmp_path / "suggested.db")["degraded"] == 1
    assert summary_of(installed, tmp_path / "given.db")["degraded"] == 0


def test_a_wrong_value_of_an_observers_option_names_its_place(installed: Path, tmp_path: Path) -> None:
    common = ("--observer", "acme", "--path", tmp_path / "access.log")
    why = "expected total or db\n\nhint: use total or db\n"
    assert refused(installed, *common, "--acme-part", "x") == f"invalid --acme-part 'x': {why}"
    by_variable = refused(installed, *common, OTEL_LOGTAIL_ACME_PART="x")
    assert by_variable == f"invalid OTEL_LOGTAIL_ACME_PART 'x': {why}"
    file = tmp_path / "x.toml"
    file.write_text("[source.web]\nobserver = 'acme'\npart = 'x'\n")
    assert refused(installed, "--config", file) == f"{file}:3: source.web.part 'x': {why}"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "[source.web]\nobserver = 'acme'\nprt = 'db'\n",
            "3: source.web.prt is not known\n\nhint: did you mean part?\n",
        ),
        (
            "[source.web]\nobserver = 'acme'\nacme_part = 'db'\n",
            "3: source.web.acme_part is not known\n\nhint: write part: the table has the observer\n",
        ),
        (
            "[source.proxy]\nobserver = 'headroom'\npart = 'db'\n",
            "3: source.proxy.part is not known\n\n"
            "hint: it is an option of acme: leave it out, or change the observer\n",
        ),
        (
            "[source.web]\npart = 'db'\n",
            "2: source.web.part is not known\n\nhint: it is an option of acme: add observer = NAME\n",
        ),
        (
            "[source.web]\nobserver = 'amce'\npart = 'db'\n",
            "2: source.web.observer: unknown observer 'amce'\n\nhint: did you mean acme? known: acme, ",
        ),
        (
            "acme_part = 'db'\n[source.web]\nobserver = 'acme'\n",
            "1: acme_part is not known\n\nhint: put it under the [source.NAME] of acme\n",
        ),
        (
            "part = 'db'\n[source.web]\nobserver = 'acme'\n",
            "1: part is not known\n\nhint: put it under the [source.NAME] of acme\n",
        ),
    ],
    ids=["misspelled", "with the name", "of another", "without one", "unknown", "at the top", "its key at the top"],
)
def test_a_key_that_the_observer_of_a_source_does_not_have_is_refused(
    text: str, error: str, installed: Path, tmp_path: Path
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    assert refused(installed, "--config", file).startswith(f"{file}:{error}")


def test_a_flag_of_an_observer_that_is_not_used_is_refused(installed: Path, tmp_path: Path) -> None:
    common = ("--observer", "headroom", "--path", tmp_path / "proxy.log")
    error = refused(installed, *common, "--acme-part", "db")
    assert error == "--acme-part is for acme, and that is not chosen\n\nhint: add --observer acme\n"
    file = tmp_path / "x.toml"
    file.write_text("[source.web]\nobserver = 'acme'\n")
    error = refused(installed, "--config", file, "--acme-part", "db")
    assert error == (
        "--acme-part beside --config: the file has the sources\n\nhint: write it in the file, under [source.NAME]\n"
    )


def test_doctor_and_service_units_use_the_options_of_an_observer(installed: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(LINES)
    source = ("--observer", "acme", "--path", log, "--db", tmp_path / "s.db", "--acme-part")
    done = run(installed, *source, "db", "doctor", "--format", "json")
    checks = {check["area"]: check["level"] for check in json.loads(done.stdout)}
    assert checks["logs of acme"] == "ok"
    unit = run(installed, "service", "systemd", *source, "db").stdout
    assert "--acme-part db" in unit
    assert refused(installed, "service", "systemd", *source, "x").startswith("invalid --acme-part 'x': ")


def test_a_file_of_an_exporter_is_never_a_followed_log(installed: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("2025-11-25T12:00:01.000Z acme request route=/search took=2.900 db=0.005\n")
    before = log.read_bytes()
    source = ("--observer", "acme", "--path", log, "--db", tmp_path / "s.db", "--exporter", "csv")
    error = refused(installed, *source, "--csv-file", log)
    assert error.startswith(f"--csv-file {log}: {log} is a log that is followed\n")
    assert log.read_bytes() == before


def test_doctor_checks_the_options_and_files_of_an_exporter(installed: Path, tmp_path: Path) -> None:
    log, out = tmp_path / "access.log", tmp_path / "out.csv"
    log.write_text("2025-11-25T12:00:01.000Z acme request route=/search took=0.100 db=0.005\n")
    source = ("--observer", "acme", "--path", log, "--db", tmp_path / "s.db", "--exporter", "csv")
    done = run(installed, *source, "--csv-file", out, "doctor", "--format", "json")
    checks = {check["area"]: (check["level"], check["what"]) for check in json.loads(done.stdout)}
    assert checks["exporter csv"] == ("ok", f"{out} can be written")


def test_a_service_may_write_the_file_of_an_exporter(installed: Path, tmp_path: Path) -> None:
    source = ("--observer", "acme", "--path", "/var/log/acme/access.log", "--exporter", "csv")
    unit = run(installed, "service", "systemd", *source, "--csv-file", "/srv/acme/out.csv").stdout
    assert 'ReadWritePaths="-/srv/acme"' in unit.splitlines()
    assert "--csv-file 'out.csv' is relative" in refused(
        installed, "service", "systemd", *source, "--csv-file", "out.csv"
    )


def test_only_the_package_of_a_plug_in_names_its_options() -> None:
    """A plug-in with options touches its own package, its entry point and its tests, and nothing else."""
    sources = [path for path in (ROOT / "otel_logtail").rglob("*") if path.suffix in (".py", ".toml", ".service")]
    assert sources
    named = [
        path for path in sources if re.search(r"csv_separator|csv-separator|acme_part|logtail_acme", path.read_text())
    ]
    assert {path.name for path in named} == {"exporter.py", "observer.py"}  # examples in docstrings
    assert {path.parent for path in named} == {ROOT / "otel_logtail"}


def test_its_own_tests_pass_with_the_contract_suite(installed: Path) -> None:
    done = new_process(installed / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests")
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_a_name_that_is_not_the_exporters_own_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cursors are kept under its own name: with another one nothing would be found again."""
    (point,) = [point for point in entry_points(plugins.EXPORTERS) if point.name == "console"]
    renamed = type(point)("mine", point.value, point.group)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [renamed])
    with pytest.raises(UsageError, match="the exporter 'mine' calls itself 'console'"):
        plugins.make_exporter("mine", ExporterContext({}))


def test_an_option_that_is_not_named_after_its_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its flag could be one of the program's own."""
    (point,) = [point for point in entry_points(plugins.EXPORTERS) if point.name == "otlp"]
    renamed = type(point)("mine", point.value, point.group)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [renamed])
    with pytest.raises(UsageError, match="the name of its option 'otlp_endpoint' does not start with 'mine_'"):
        plugins.find_exporter("mine")
    assert plugins.exporters() == {}


@pytest.mark.parametrize(
    ("group", "value", "why"),
    [
        (
            plugins.OBSERVERS,
            "otel_logtail.observers.headroom.observer:HeadroomObserver",
            "the observer 'headroom' can't be loaded: its entry point is a class, not an ObserverPlugin",
        ),
        (
            plugins.OBSERVERS,
            "otel_logtail.exporters.console:CONSOLE",
            "the observer 'headroom' can't be loaded: its entry point is an ExporterPlugin, not an ObserverPlugin",
        ),
        (
            plugins.EXPORTERS,
            "otel_logtail.observers.headroom:HEADROOM",
            "the exporter 'headroom' can't be loaded: its entry point is an ObserverPlugin, not an ExporterPlugin",
        ),
    ],
    ids=["a class", "an exporter as an observer", "an observer as an exporter"],
)
def test_an_entry_point_without_a_declaration_is_one_error(
    group: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (point,) = [point for point in entry_points(plugins.OBSERVERS) if point.name == "headroom"]
    wrong = type(point)("headroom", value, group)
    monkeypatch.setattr(plugins, "entry_points", lambda asked: [wrong] if asked == group else [])
    find = plugins.find_observer if group == plugins.OBSERVERS else plugins.find_exporter
    with pytest.raises(UsageError) as problem:
        find("headroom")
    assert str(problem.value) == why
    assert not plugins.observers()
    assert not plugins.exporters()


@pytest.mark.parametrize("causes", [{"wait": "the queue"}, "wait"], ids=["text", "no mapping"])
def test_causes_that_reports_cannot_show_are_one_error(causes: object, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ObserverPlugin(summary="", make=plugins.find_observer("headroom").make, causes=causes)  # type: ignore[arg-type]
    point = EntryPoint("mine", "otel_logtail.observers.headroom:MINE", plugins.OBSERVERS)
    monkeypatch.setattr("otel_logtail.observers.headroom.MINE", plugin, raising=False)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    with pytest.raises(UsageError, match="its causes are not a mapping of names to Explanation"):
        plugins.find_observer("mine")
    assert plugins.explain("mine", "wait") is None


def test_a_cause_is_explained_by_its_observer_and_no_file_of_a_store_is_run(tmp_path: Path) -> None:
    found = plugins.explain("headroom", "wait")
    assert found is not None
    assert found.title == "waiting for a slot"
    assert plugins.explain("headroom", "nowhere") is None
    assert plugins.explain("removed", "wait") is None
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    assert plugins.explain(f"{tmp_path}/mine.py:Mine", "wait") is None
    assert not (tmp_path / "was_run").exists()


def test_an_observer_with_another_name_than_its_entry_points_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    (point,) = [point for point in entry_points(plugins.OBSERVERS) if point.name == "headroom"]
    renamed = type(point)("mine", point.value, point.group)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [renamed])
    with pytest.raises(UsageError, match="the observer 'mine' calls itself 'headroom'"):
        plugins.make_observer("mine", ObserverContext())


@pytest.mark.parametrize("marker", [b"two\nlines", "text", None])
def test_an_observer_with_a_marker_that_no_line_can_hold_is_refused(
    marker: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HeadroomObserver, "marker", marker)
    with pytest.raises(UsageError, match="the observer 'headroom' has the marker"):
        plugins.make_observer("headroom", ObserverContext())


def test_one_that_cannot_be_loaded_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    (point,) = [point for point in entry_points(plugins.EXPORTERS) if point.name == "otlp"]
    broken = type(point)("broken", "otel_logtail.nowhere:make", point.group)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [broken, point])
    listed = plugins.describe(plugins.EXPORTERS)
    assert [(one.name, one.what) for one in listed if one.name == "broken"] == [
        ("broken", "can't be loaded: No module named 'otel_logtail.nowhere'")
    ]
    assert [one.package for one in listed] == ["", f"otel-logtail {version()}"]


def blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "reference" / "plugins.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def test_all_code_on_the_page_for_authors_is_the_examples() -> None:
    sources = [path.read_text() for path in EXAMPLE.rglob("*.py")] + [(EXAMPLE / "pyproject.toml").read_text()]
    found = blocks("python") + blocks("toml")
    assert len(found) == 13
    assert [block for block in found if not any(block in source for source in sources)] == []


def test_the_example_needs_only_what_is_public() -> None:
    used = set()
    for path in EXAMPLE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otel_logtail"):
                used |= {(node.module, alias.name) for alias in node.names}
    assert {module for module, _ in used} == {"otel_logtail", "otel_logtail.testing"}
    assert {name for module, name in used if module == "otel_logtail"} <= set(otel_logtail.__all__)
