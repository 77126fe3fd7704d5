"""The help of all commands, in at most 80 columns: options by panel, commands by panel, an example.

It is printed without rich, because the import of rich takes longer than the rest of the program.
"""

from __future__ import annotations

import inspect
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from otel_logtail.cli.errors import ended
from otel_logtail.cli.given import moved
from otel_logtail.table import cells, shell_lines, wrap

_BEFORE = "otel_logtail.before"
_WIDTH = 80
_NAMES = 18
"""The width of the column of names; the text of a longer name starts on the next line."""

_EXAMPLE = re.compile(r"\s*Example:\s+")


def example_of(command: Any) -> str:
    """Return the command line that the help of a command shows, or nothing."""
    return " ".join(_parts(command)[1].split())


def _parts(command: Any) -> tuple[str, str]:
    """Return the description of a command, and its example."""
    text, *example = _EXAMPLE.split(inspect.cleandoc(command.help or ""), 1)
    return text, "".join(example)


@contextmanager
def _errors_as_exit(context: Any) -> Iterator[None]:
    """Turn the exceptions of a command into messages and exit codes; a closed pipe on stdout exits silently.

    Stdout is flushed, so that a pipe that was closed late is detected here. Errors of typer about the arguments pass:
    the program that parsed them may be a part of all commands (``program.run``).

    Args:
        context: Typer's context of the command.
    """
    try:
        yield
        sys.stdout.flush()
    except Exception as problem:
        if hasattr(problem, "format_message") or isinstance(problem, (typer.Exit, typer.Abort)):
            raise
        raise typer.Exit(ended(problem, context.get_usage)) from None


class _Sectioned:
    """The help of a command whose options and commands have a section per ``rich_help_panel``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; an error names this command, also one of typer's parser, which has no command."""
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except Exception as problem:
            if hasattr(problem, "ctx") and problem.ctx is None:
                problem.ctx = ctx
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an exception becomes a message and an exit code."""
        with _errors_as_exit(ctx):
            return super().invoke(ctx)  # type: ignore[misc]

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage; typer writes a required argument in braces."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]  # type: ignore[misc]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the description, without the example."""
        text, _ = _parts(self)
        formatter.write("\n")
        for number, paragraph in enumerate(filter(None, (part.strip() for part in text.split("\n\n")))):
            formatter.write("\n" * bool(number))
            formatter.write("".join(f"  {line}\n" for line in wrap(" ".join(paragraph.split()), _WIDTH - 2)))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, the commands and the example."""
        options: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):  # type: ignore[attr-defined]
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None)
                is_argument = parameter.param_type_name == "argument"
                options.setdefault(panel or ("Arguments" if is_argument else "Options"), []).append(record)
        commands: dict[str, list[tuple[str, str]]] = {}
        for name, command in getattr(self, "commands", {}).items():
            panel = getattr(command, "rich_help_panel", None) or "Commands"
            commands.setdefault(panel, []).append((name, command.get_short_help_str(_WIDTH)))
        for title, records in (*_last(commands, "Commands"), *_last(options, "Options")):
            formatter.write(f"\n{title}:\n{_listed(records)}")
        if example := example_of(self):
            formatter.write(
                "\nExample:\n" + "".join(f"{line}\n" for line in shell_lines(shlex.split(example, posix=False), _WIDTH))
            )


def _last(sections: dict[str, list[tuple[str, str]]], title: str) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """Return sections with the one of this title at the end: it has what belongs to no panel."""
    return sorted(sections.items(), key=lambda section: section[0] == title)


def _listed(records: Sequence[tuple[str, str]]) -> str:
    """Return names and texts as lines, the texts in a column."""
    widest = min(_NAMES, max(cells(name) for name, _ in records))
    lines = []
    for name, text in records:
        first, *rest = wrap(" ".join(text.split()), _WIDTH - widest - 4)
        if cells(name) > widest:
            lines.append(f"  {name}")
            name = ""
        lines.append(f"  {name:<{widest}}  {first}".rstrip())
        lines += [" " * (widest + 4) + line for line in rest]
    return "".join(f"{line}\n" for line in lines)


class Command(_Sectioned, TyperCommand):
    """A command."""


class Group(_Sectioned, TyperGroup):
    """A group of commands. Its options before the name of a command mean the same as after it, or are an error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options, and keep the words of the user."""
        words = list(args)
        after = super().parse_args(ctx, args)
        protected = getattr(ctx, "_protected_args", [])  # the name of the next command
        ctx.meta[f"{_BEFORE} {ctx.command_path}"] = words[: len(words) - len(protected) - len(ctx.args)]
        return after

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the next command, its name and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None or ctx.resilient_parsing:
            return name, command, rest
        return name, command, moved(ctx, ctx.meta[f"{_BEFORE} {ctx.command_path}"], name, command, rest)


def give_help(app: typer.Typer, *, is_root: bool = True) -> None:
    """Give all commands and groups of an app this help, and ``-h`` beside ``--help``."""
    if is_root:
        app.info.context_settings = {"help_option_names": ["-h", "--help"]}
    for command in app.registered_commands:
        command.cls = command.cls if isinstance(command.cls, type) and issubclass(command.cls, Command) else Command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            info = group.typer_instance.info
            info.cls = info.cls if isinstance(info.cls, type) and issubclass(info.cls, Group) else Group
            if not isinstance(info.invoke_without_command, bool) or not info.invoke_without_command:
                info.no_args_is_help = True
            give_help(group.typer_instance, is_root=False)
