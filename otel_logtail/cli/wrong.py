"""Wrong arguments in plain words: the fault, and the closest option, command or place that exists."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from otel_logtail.cli.given import TAKES_ALL, by_store
from otel_logtail.errors import guess


def explained(problem: BaseException, context: Any, message: str) -> tuple[str, str]:
    """Return the fault of the arguments of a command, and a hint (or nothing). ``message`` is that of the parser."""
    if context is None:
        return message, ""
    if variable := _variable(problem, context):
        return (
            f"invalid {variable} {os.environ[variable]!r}: expected true or false",
            f"use {variable}=true or {variable}=false",
        )
    if type(problem).__name__ == "NoSuchOption":
        option = str(getattr(problem, "option_name", ""))
        return f"no such option: {option}", _for_option(context, option)
    if command := re.match(r"No such command '(.*?)'\.", message, re.DOTALL):
        # a word that is less close is another one: 'run' must not lead to 'prune', which deletes data
        closest = guess(command[1], context.command.list_commands(context), 0.76)
        return f"no such command: {context.command_path} {command[1]}", closest
    message = message.replace("is not a valid int range", "is not a number").removesuffix(".")
    return message[:1].lower() + message[1:], ""


def _variable(problem: BaseException, context: Any) -> str:
    """Return the variable that has the wrong value, or nothing. Only a flag has values that the parser refuses."""
    parameter = getattr(problem, "param", None)
    if parameter is None or not getattr(parameter, "is_flag", False):
        return ""
    source = getattr(context.get_parameter_source(parameter.name), "name", "")
    return str(parameter.envvar) if source == "ENVIRONMENT" else ""


def _for_option(context: Any, option: str) -> str:
    """Return the closest option of the command, or the commands that have the option."""
    if option == "--config" and "--db" in _flags(context.command):
        return by_store(context.command_path)
    name = str(context.info_name)
    if name in TAKES_ALL and option in _flags(context.find_root().command):
        return f"pass {option} before '{name}'"
    users = [path for path, command in _commands(context.find_root()) if option in _flags(command)]
    named = [path for path in users if set(path.split()[1:]) <= set(sys.argv[1:])]
    if named:
        return f"it is an option of '{named[0]}': pass it after this name"
    if closest := guess(option, _flags(context.command)):
        return closest
    return f"'{context.command_path}' has none; it is an option of '{users[0]}'" if users else ""


def _flags(command: Any) -> list[str]:
    return [flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)]


def _commands(context: Any) -> Iterator[tuple[str, Any]]:
    """Yield the path and the command of everything below the program."""

    def below(path: str, group: Any) -> Iterator[tuple[str, Any]]:
        for name, command in getattr(group, "commands", {}).items():
            yield f"{path} {name}", command
            yield from below(f"{path} {name}", command)

    return below(context.command_path, context.command)
