"""Each option of each command, at each place of a command line: it means the same, or it is an error."""

from __future__ import annotations

from typing import Any

import pytest
from typer._click.exceptions import UsageError as WrongArguments

from otel_logtail.cli.given import TAKES_ALL
from otel_logtail.errors import UsageError
from tests.support.commands import COMMANDS, NODES, ROOT

EXIT = {"--help", "-h", "--version", "--install-completion", "--show-completion"}
"""Options that answer in place of the command."""

SAMPLE = {"float": "1234", "integer": "7", "integer range": "7", "choice": None}


def words(option: Any) -> list[str]:
    """The option as it is given on a command line, with a value that is not its default."""
    if option.is_flag or option.count:
        return [option.opts[0]]
    choices = [str(choice) for choice in getattr(option.type, "choices", ())]
    value = choices[-1] if choices else SAMPLE.get(option.type.name) or "something"
    return [option.opts[0], value]


OPTIONS = {
    option.opts[0]: words(option)
    for command in NODES.values()
    for option in command.params
    if option.param_type_name == "option" and not EXIT & {*option.opts}
}


def read(line: list[str]) -> tuple[tuple[str, ...], dict[str, Any], list[str]]:
    """Return the command of a command line, its parameters, and its further words."""
    context = ROOT.make_context("otel-logtail", list(line))
    path: list[str] = []
    while hasattr(context.command, "resolve_command") and (rest := [*context._protected_args, *context.args]):
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        path.append(name)
    return tuple(path), context.params, list(context.args)


def outcome(line: list[str]) -> tuple[object, ...] | str:
    try:
        return read(line)
    except (UsageError, WrongArguments):
        return "error"


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_an_option_means_the_same_at_each_place_or_is_an_error(names: tuple[str, ...]) -> None:
    required = ["something" for option in COMMANDS[names].params if option.param_type_name == "argument"]
    plain = outcome([*names, *required])
    for flag, given in OPTIONS.items():
        after = outcome([*names, *given, *required])
        if after not in ("error", plain):
            assert after[0] == names
        for place in range(len(names)):
            found = outcome([*names[:place], *given, *names[place:], *required])
            if place == 0 and names[0] in TAKES_ALL and flag in {f for p in ROOT.params for f in p.opts}:
                continue  # it reads the options of the program itself
            assert found in ("error", after), f"{flag} before {names[place]}"


def test_all_options_and_commands_are_tried() -> None:
    assert {"--db", "--since", "--format", "--where", "--observer", "--once", "--sample", "--list"} <= OPTIONS.keys()
    assert len(COMMANDS) > 15


def test_the_option_of_a_group_that_answers_itself_is_not_dropped_before_its_commands() -> None:
    path, parameters, _ = read(["observers", "--format", "json", "show", "jvm"])
    assert path == ("observers", "show")
    assert parameters["form"] == "json"
