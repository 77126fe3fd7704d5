"""An error about a wrong value names the place that the value came from: the flag, the variable, or the file's line."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otel_logtail.cli.errors import ended
from otel_logtail.plugins import find_exporter
from tests.support.command import USAGE
from tests.support.commands import ROOT
from tests.support.forked import run
from tests.support.places import CAPTURES


def flag_of(option: str) -> str:
    return "--" + option.replace("_", "-")


LOG = CAPTURES / "0.42.0-stall.log"


class Wrong(NamedTuple):
    """A value that an option cannot have; ``exporter`` or ``observer`` is chosen, ``besides`` is given with it."""

    value: str
    exporter: str = ""
    besides: tuple[str, ...] = ()
    observer: str = "headroom"


JSONL = ("--jsonl-file", "{}/x.jsonl")
WRONG = {
    "observer": Wrong("nope"),
    "path": Wrong("/nowhere/at-all.log"),
    "source": Wrong("$(POD_NAME)"),
    "event": Wrong("a b"),
    "threshold_ms": Wrong("0"),
    "stall_ms": Wrong("1"),
    "quiet_ms": Wrong("1"),
    "timezone": Wrong("Mars"),
    "framing": Wrong("xml"),
    "db": Wrong("/dev/null/s.db"),
    "retention": Wrong("30"),
    "max_db_size": Wrong("1"),
    "max_series": Wrong("many"),
    "exporter": Wrong("nope"),
    "exporter_from": Wrong("yesterday"),
    "export_interval": Wrong("10"),
    "log_format": Wrong("xml"),
    "health_port": Wrong("x"),
    "health_host": Wrong("$(POD_IP)"),
    "otlp_endpoint": Wrong("localhost", "otlp"),
    "otlp_protocol": Wrong("smoke", "otlp"),
    "histogram": Wrong("round", "otlp"),
    "max_buckets": Wrong("1", "otlp"),
    "events": Wrong("all", "otlp"),
    "hex_url": Wrong("localhost", "hex"),
    "hex_max_age": Wrong("old", "hex"),
    "hex_db": Wrong("/var/$(NAME)/events.db", "hex-telemetry"),
    "prometheus_port": Wrong("x", "prometheus"),
    "prometheus_host": Wrong("$(POD_IP)", "prometheus"),
    "jsonl_file": Wrong("/nowhere/x.jsonl", "jsonl"),
    "jsonl_max_size": Wrong("big", "jsonl", JSONL),
    "jsonl_keep": Wrong("all", "jsonl", JSONL),
    "sdk_exporter": Wrong("nothing", "sdk"),
    "config": Wrong("/nowhere/x.toml"),
    **{f"{name}_measure": Wrong("x", observer=name) for name in ("caddy", "haproxy", "jvm", "nginx", "traefik")},
    "asyncio_format": Wrong("%(nothing", observer="asyncio"),
    "postgresql_locks": Wrong("maybe", observer="postgresql"),
    "postgresql_checkpoints": Wrong("maybe", observer="postgresql"),
    "postgresql_databases": Wrong("$(DATABASE)", observer="postgresql"),
}
NO_NUMBER = {"threshold_ms", "stall_ms", "quiet_ms"}
"""Options whose values are numbers: the command line's parser refuses other words, in words of its own."""
ANY_TEXT = {"source", "postgresql_databases", "health_host"}
"""Options that are wrong only as a variable or a flag in which Kubernetes did not replace a name."""
YES_OR_NO = {"from_start", "once", "verbose", "quiet"}
"""Options without a value: only a variable can be wrong."""


def test_each_option_has_its_wrong_value() -> None:
    of_typer = {"typer.completion"}  # the module of the callbacks of options that typer adds by itself
    options = {
        str(parameter.name)
        for parameter in ROOT.params
        if getattr(parameter.callback, "__module__", "") not in of_typer
    } - {"help", "version"}
    assert options == WRONG.keys() | YES_OR_NO


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def error_of(
    arguments: list[str], environ: Mapping[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> tuple[str, str]:
    """Return the one line that the command line prints for an error, and its hint, as the console script does."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("OTEL", "III_", "HEX_"))]:
            patch.delenv(name)
        for name, value in {"HOME": str(tmp_path), **environ}.items():
            patch.setenv(name, value)
        try:
            code = ROOT.main(arguments, prog_name="otel-logtail", standalone_mode=False)
        except Exception as problem:  # noqa: BLE001 - what the parser itself raises
            code = ended(problem)
    said = capsys.readouterr().err
    assert code == 2, said
    (error,) = [text for text in said.splitlines() if text.startswith("otel-logtail: error: ")]
    assert "\nhint: " in said
    # a store that can't be opened is an error about a file: its command was written correctly
    assert said.endswith(USAGE) == ("the store can't be opened" not in error)
    return error, said.partition("\nhint: ")[2].removesuffix(USAGE)


def daemon(option: str, tmp_path: Path) -> list[str]:
    """A command line that is right but for one option, which is not given."""
    wrong = WRONG[option]
    given = {"observer": wrong.observer, "path": str(LOG), "db": str(tmp_path / "s.db")}
    if option == "config":
        del given["observer"], given["path"]
    if wrong.exporter:
        given["exporter"] = wrong.exporter
    words = [word for name, value in given.items() if name != option for word in (flag_of(name), value)]
    return [*words, *(word.format(tmp_path) for word in wrong.besides), "--once"]


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_flag_is_named(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error, hint = error_of([*daemon(option, tmp_path), flag_of(option), WRONG[option].value], {}, capsys, tmp_path)
    assert flag_of(option) in error + hint


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_variable_is_named_and_not_a_flag(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variable = f"OTEL_LOGTAIL_{option.upper()}"
    error, hint = error_of(daemon(option, tmp_path), {variable: WRONG[option].value}, capsys, tmp_path)
    assert variable in error and hint
    assert flag_of(option) not in error


@pytest.mark.parametrize("option", sorted(NO_NUMBER | YES_OR_NO))
def test_a_variable_that_the_parser_refuses_is_named(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variable = f"OTEL_LOGTAIL_{option.upper()}"
    words = [word for word in daemon("observer", tmp_path) if word != "--once"]
    error, hint = error_of([*words, "--observer", "headroom"], {variable: "perhaps"}, capsys, tmp_path)
    assert f"invalid {variable} 'perhaps': expected " in error
    assert flag_of(option) not in error + hint.partition("\n")[0]


def in_a_file(option: str) -> tuple[str, str]:
    """Lines of a configuration that give an option its wrong value in the last of them, and the key there."""
    value, exporter = WRONG[option].value, WRONG[option].exporter
    observer = WRONG[option].observer
    source = f'[source.a]\nobserver = "{observer}"\npaths = ["{LOG}"]\n'
    if observer != "headroom":
        key = option.removeprefix(f"{observer}_")
        return f'{source}{key} = "{value}"\n', f"source.a.{key}"
    if exporter:
        key = next(one.key_of(exporter) for one in find_exporter(exporter).options if one.name == option)
        besides = 'file = "x.jsonl"\n' if WRONG[option].besides else ""
        return f'{source}[exporter.{exporter}]\n{besides}{key} = "{value}"\n', f"exporter.{exporter}.{key}"
    if option in ("observer", "path"):
        own = f'observer = "{value}"' if option == "observer" else f'observer = "headroom"\npaths = ["{value}"]'
        return f"[source.a]\n{own}\n", f"source.a.{'paths' if option == 'path' else option}"
    if option in ("event", "timezone", "framing", "threshold_ms", "stall_ms", "quiet_ms"):
        shown = value if option in NO_NUMBER else f'"{value}"'
        return f"{source}{option} = {shown}\n", f"source.a.{option}"
    if option == "exporter":
        return f"{source}[exporter.{value}]\n", f"exporter.{value}"
    return f'{option} = "{value}"\n', option


@pytest.mark.parametrize("option", [option for option in WRONG if option not in ANY_TEXT | {"config"}])
def test_a_wrong_line_of_a_file_is_named_and_not_a_flag(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, key = in_a_file(option)
    file, number = tmp_path / "x.toml", lines.count("\n")
    rest = "" if "[source.a]" in lines else f'[source.a]\nobserver = "headroom"\npaths = ["{LOG}"]\n'
    file.write_text(lines + rest)
    db = [] if option == "db" else ["--db", str(tmp_path / "s.db")]
    error, _ = error_of(["--config", str(file), *db, "--once"], {}, capsys, tmp_path)
    assert f"{file}:{number}: {key}" in error
    assert flag_of(option) not in error


@pytest.mark.parametrize(
    ("command", "option", "value", "error"),
    [
        ("prune", "retention", "30", "OTEL_LOGTAIL_RETENTION '30': missing unit"),
        ("prune", "max_db_size", "1", "OTEL_LOGTAIL_MAX_DB_SIZE '1': the value is too small"),
        ("prune", "db", "/nowhere/s.db", "no store at /nowhere/s.db (OTEL_LOGTAIL_DB)"),
        ("status", "db", "/nowhere/s.db", "(OTEL_LOGTAIL_DB)"),
        ("report", "db", "/nowhere/s.db", "(OTEL_LOGTAIL_DB)"),
        ("retry", "db", "/nowhere/s.db", "(OTEL_LOGTAIL_DB)"),
        ("mark upgrade", "db", "/nowhere/s.db", "(OTEL_LOGTAIL_DB)"),
        ("query samples", "db", "/nowhere/s.db", "(OTEL_LOGTAIL_DB)"),
        ("query sql SELECT/**/1", "db", "/nowhere/s.db", "(OTEL_LOGTAIL_DB)"),
    ],
)
def test_so_does_every_other_command(tmp_path: Path, command: str, option: str, value: str, error: str) -> None:
    variable = f"OTEL_LOGTAIL_{option.upper()}"
    done = run(*command.split(), home=tmp_path, check=False, environ={variable: value})
    assert (done.returncode, error in done.stderr) == (2, True), done.stderr
    done = run(*command.split(), flag_of(option), value, home=tmp_path, check=False, environ={variable: "x"})
    assert done.returncode == 2
    assert variable not in done.stderr and flag_of(option) in done.stderr


def test_every_command_with_a_variable_is_among_them() -> None:
    def with_variables(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        for name, one in getattr(command, "commands", {}).items():
            yield from with_variables(one, (*path, name))
        if path:
            yield from ((path[0], str(p.envvar)) for p in command.params if getattr(p, "envvar", None))

    (marked,) = [mark for mark in test_so_does_every_other_command.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    tested = {(command.split()[0], f"OTEL_LOGTAIL_{option.upper()}") for command, option, _, _ in marked.args[1]}
    waits = {("watch", "OTEL_LOGTAIL_DB")}  # until there is a store
    assert set(with_variables(ROOT, ())) == tested | waits


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (["a b.log"], "{0}/a b.log"),
        (["a b.log", "c d.log"], "{0}/a b.log:{0}/c d.log"),
        (["a.log", "b c.log"], "{0}/*.log"),
        (["tab\there.log"], "{0}/tab\there.log:"),
    ],
)
def test_a_variable_holds_paths_with_spaces_separated_by_colons(tmp_path: Path, names: list[str], value: str) -> None:
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(LOG.read_bytes().splitlines(keepends=True)[number] + LOG.read_bytes())
    db = tmp_path / "s.db"
    run(
        *("--observer", "headroom", "--db", db, "--once"),
        home=tmp_path,
        environ={"OTEL_LOGTAIL_PATH": value.format(tmp_path)},
    )
    answer = run("query", "sql", "SELECT path FROM file ORDER BY path", "--format", "jsonl", "--db", db, home=tmp_path)
    assert [text.partition('"path":')[2].strip(' "}') for text in answer.stdout.splitlines()] == [
        str(tmp_path / name).replace("\t", "\\t") for name in sorted(names)
    ]


def test_a_variable_holds_exporters_separated_by_commas_or_spaces(tmp_path: Path) -> None:
    for value in ("console,jsonl", "console jsonl", " console , jsonl "):
        done = run(
            *("--observer", "headroom", "--path", LOG, "--db", tmp_path / "s.db", "--once"),
            *("--jsonl-file", tmp_path / "x.jsonl"),
            home=tmp_path,
            environ={"OTEL_LOGTAIL_EXPORTER": value},
        )
        assert "exporting to console, jsonl" in done.stderr


# --- time zones -------------------------------------------------------------------------------------------------------


def test_a_machine_without_time_zones_reports_it_and_has_utc(tmp_path: Path) -> None:
    daemon = ["--observer", "headroom", "--path", LOG, "--db", tmp_path / "s.db", "--once", "--timezone"]
    environ = {"PYTHONTZPATH": ""}
    refused = run(*daemon, "Europe/Vienna", home=tmp_path, check=False, environ=environ)
    assert refused.returncode == 2
    assert refused.stderr == (
        "otel-logtail: error: invalid --timezone 'Europe/Vienna': this machine has no time zone database\n\n"
        "hint: install the system's tzdata package, or: pip install tzdata\n" + USAGE
    )
    for name in ("UTC", "utc", "Etc/UTC"):
        run(*daemon, name, home=tmp_path, environ=environ)
    unknown = run(*daemon, "Europe/Nowhere", home=tmp_path, check=False)
    assert "'Europe/Nowhere': unknown time zone" in unknown.stderr


@pytest.mark.parametrize(
    ("tz", "zone", "said"),
    [
        ("Europe/Nowhere", "", True),
        (":Europe/Nowhere", "", True),
        ("Europe/Nowhere", "UTC", False),  # the machine's zone is not used
        ("Europe/Vienna", "", False),
        ("CET-1CEST", "", False),
        ("UTC", "", False),
        ("", "", False),
    ],
)
def test_a_local_zone_that_the_machine_lacks_is_reported(tmp_path: Path, tz: str, zone: str, said: bool) -> None:
    """The C library silently uses UTC instead: lines in local time would be hours off."""
    daemon = ["--observer", "headroom", "--path", LOG, "--db", tmp_path / "s.db"]
    given = ["--timezone", zone] if zone else []
    done = run(*daemon, *given, "--once", home=tmp_path, environ={"TZ": tz})
    checks = run(*daemon, *given, "doctor", home=tmp_path, environ={"TZ": tz}, check=False)
    for text in (done.stderr, checks.stdout):
        assert ("ignoring the variable TZ: 'Europe/Nowhere' is not a time zone of this machine" in text) == said, text
