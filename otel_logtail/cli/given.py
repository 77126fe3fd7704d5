"""Options before the name of a command: they mean the same as after the name, or are an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_logtail.errors import UsageError

TAKES_ALL = frozenset({"doctor"})
"""Commands about a daemon. They take all of its options before their name."""


def as_flags(context: Any) -> dict[str, str]:
    """Return the flags on the command line of a context, by the name of the option."""
    return {
        str(parameter.name): parameter.opts[0]
        for parameter in context.command.params
        if getattr(context.get_parameter_source(str(parameter.name)), "name", "") == "COMMANDLINE"
    }


def moved(context: Any, before: Sequence[str], name: str, command: Any, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command, with the options before its name moved behind the name.

    Args:
        context: The context of the program, which has parsed these options as its own.
        before: The arguments before the command's name, unchanged.
        name: The command's name.
        command: The command, or a group of commands.
        arguments: The arguments after its name.

    Raises:
        UsageError: the command has no option of one of these names.
    """
    given = as_flags(context)
    if name in TAKES_ALL or not given:
        return list(arguments)
    path = str(context.command_path).partition(" ")[2].split()
    names = [name]
    while hasattr(command, "get_command"):
        inner = command.get_command(context, arguments[0]) if arguments else None
        if inner is None and command.invoke_without_command:
            break
        if inner is None:
            return list(arguments)  # not a command: the group reports the error
        command, arguments = inner, arguments[1:]
        names.append(str(inner.name))
    if not command.context_settings.get(
        "ignore_unknown_options"
    ):  # else the daemon's options follow the command's name
        known = {flag for parameter in command.params for flag in parameter.opts}
        for flag in given.values():
            if flag not in known:
                raise _unknown(flag, " ".join([*path, *names]), by_db=flag == "--config" and "--db" in known)
    return [*names[1:], *(word for word in before if word != "--"), *arguments]


def by_store(command: str) -> str:
    """Return what to do if a command has --db and not --config."""
    return f"name the store instead: {command} --db FILE"


def _unknown(flag: str, name: str, *, by_db: bool) -> UsageError:
    todo = by_store(f"otel-logtail {name}") if by_db else f"leave {flag} out"
    return UsageError(
        f"{flag} is given before '{name}', which has no such option",
        hint=f"{todo}; otel-logtail {name} --help lists its options",
    )
