"""Options given before the name of a command: every option of the program, before every command.

Each option means the same as after the name, or it is an error. Options that are added later are covered, too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.cli.given import TAKES_ALL
from otel_logtail.errors import UsageError
from tests.support.commands import COMMANDS, ROOT
from tests.support.forked import run
from tests.support.store_builder import NOON, SECOND, Written, make_file

ANSWERS = ("--version", "--help", "--install-completion", "--show-completion")
OPTIONS = [option for option in ROOT.params if option.opts[0] not in ANSWERS]
SAMPLE = {"float": "1234", "integer": "7"}


def words(option: Any) -> list[str]:
    """The option as it is given on a command line."""
    return [option.opts[0]] if option.is_flag else [option.opts[0], SAMPLE.get(option.type.name, "something")]


def arguments_of(given: list[str]) -> list[str]:
    """Return the parameters of the command when the program is called with these arguments."""
    context = ROOT.make_context("otel-logtail", list(given))
    rest = [*getattr(context, "_protected_args", []), *context.args]
    name, _, arguments = ROOT.resolve_command(context, rest)
    return [name, *arguments]


def read(names: tuple[str, ...], given: list[str]) -> dict[str, Any]:
    """Return the meaning that the command gives its arguments."""
    command = COMMANDS[names]
    required = ["SELECT 1"] if any(parameter.param_type_name == "argument" for parameter in command.params) else []
    with ROOT.make_context("otel-logtail", [], resilient_parsing=True) as parent:
        context = command.make_context(names[-1], [*given, *required], parent=parent)
        return {**context.params, "": [word for word in context.args if word not in required]}


def test_all_commands_and_options_are_tried() -> None:
    assert {("prune",), ("report",), ("status",), ("query", "sql"), ("service", "systemd")} <= set(COMMANDS)
    assert {"--db", "--config", "--path", "--once"} <= {option.opts[0] for option in OPTIONS}


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: str(option.opts[0]))
def test_an_option_means_the_same_before_the_command_as_after_it_or_it_is_an_error(
    names: tuple[str, ...], option: Any
) -> None:
    command = COMMANDS[names]
    given = words(option)
    if names[0] in TAKES_ALL:  # it reads the options of the program itself
        assert arguments_of([*given, *names]) == [*names]
        return
    takes = {flag for parameter in command.params for flag in parameter.opts}
    if given[0] not in takes and not command.context_settings.get("ignore_unknown_options"):
        with pytest.raises(UsageError) as refused:
            arguments_of([*given, *names])
        assert f"{given[0]} is given before '{' '.join(names)}'" in str(refused.value)
        assert f"otel-logtail {' '.join(names)} --help" in refused.value.hint
        return
    found = arguments_of([*given, *names])
    assert found[: len(names)] == [*names]
    assert read(names, found[len(names) :]) == read(names, given)
    assert read(names, given) != read(names, []), "the option must make a difference"


def test_an_option_after_the_command_wins() -> None:
    found = arguments_of(["--db", "/a", "--db=/b", "query", "summary", "--db", "/c", "--source", "x"])
    assert found[:2] == ["query", "summary"]
    assert read(("query", "summary"), found[2:])["db"] == "/c"


def test_a_variable_is_for_the_daemon_and_no_reason_to_refuse(tmp_path: Path) -> None:
    listed = run("observers", home=tmp_path, environ={"OTEL_LOGTAIL_PATH": "/x", "OTEL_LOGTAIL_CONFIG": "/y"})
    assert "headroom" in listed.stdout


def test_the_named_store_is_pruned_and_queried_despite_the_variable(tmp_path: Path) -> None:
    stores = []
    for name, number in (("named", 3), ("other", 5)):
        samples = [Written(NOON + n * SECOND, 10**6, ()) for n in range(number)]
        stores.append(make_file(tmp_path / f"{name}.db", samples, []))
    named, other = stores
    environ = {"OTEL_LOGTAIL_DB": str(other)}
    before = other.read_bytes()
    asked = run("--db", named, "query", "summary", "--format", "json", home=tmp_path, environ=environ)
    assert json.loads(asked.stdout)["count"] == 3
    assert f"{named}: " in run("--db", named, "prune", home=tmp_path, environ=environ).stderr
    assert other.read_bytes() == before


def test_where_a_configuration_belongs_is_part_of_the_error(tmp_path: Path) -> None:
    done = run("--config", "x.toml", "status", home=tmp_path, check=False)
    assert (done.returncode, done.stderr.splitlines()[:3]) == (
        2,
        [
            "otel-logtail: error: --config is given before 'status', which has no such option",
            "",
            "hint: name the store instead: otel-logtail status --db FILE; otel-logtail status --help lists its options",
        ],
    )
