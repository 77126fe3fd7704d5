"""A valid command line for every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from otel_logtail.cli.program import program

ROOT: Any = typer.main.get_command(program())


def commands(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))
        else:
            yield (*names, name), command


COMMANDS = dict(commands(ROOT))


def nodes(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each group and each command, the program itself first."""
    yield names, group
    for name, command in getattr(group, "commands", {}).items():
        yield from nodes(command, (*names, name))


NODES = dict(nodes(ROOT))
