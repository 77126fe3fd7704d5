"""All commands and their options, for typer.

Heavy imports are inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

from otel_logtail.cli.given import TAKES_ALL
from otel_logtail.cli.help import Group, give_help
from otel_logtail.cli.settings import with_settings
from otel_logtail.cli.start import given_by, start


class _Listed(NamedTuple):
    """A command or a group of commands: its panel in the help, and the place of its function or app in this room."""

    panel: str
    place: str
    needs_settings: bool = False
    """True if it needs the options of a daemon before its name, or behind it."""
    cls: str = ""
    """The name of a class of its own in the same module."""


_EPILOG = "Each option --some-name is also the variable OTEL_LOGTAIL_SOME_NAME. OTEL_* variables are honored, too."
_ASK, _SET_UP, _MAINTAIN = "Questions", "Setup", "Maintenance"
_COMMANDS = {
    "report": _Listed(_ASK, "report:report", cls="ReportCommand"),
    "query": _Listed(_ASK, "query:query_app"),
    "watch": _Listed(_ASK, "watch.command:watch"),
    "status": _Listed(_ASK, "status:status"),
    "detect": _Listed(_SET_UP, "detect:detect"),
    "doctor": _Listed(_SET_UP, "doctor:doctor", needs_settings=True),
    "observers": _Listed(_SET_UP, "observers.command:observers_app"),
    "exporters": _Listed(_SET_UP, "exporters:exporters"),
    "service": _Listed(_SET_UP, "service.command:service_app", needs_settings=True),
    "mark": _Listed(_MAINTAIN, "mark:mark"),
    "prune": _Listed(_MAINTAIN, "prune:prune"),
    "retry": _Listed(_MAINTAIN, "retry:retry"),
    "demo": _Listed(_SET_UP, "program:demo"),
}


def follow(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    **settings: Any,
) -> None:
    """Measure the latency of a program from the log that it writes.

    Example: otel-logtail --observer headroom --otlp-endpoint http://localhost:4318
    """
    if version:
        from otel_logtail.installed import version as installed

        typer.echo(f"otel-logtail {installed()}")
        raise typer.Exit
    if context.invoked_subcommand in TAKES_ALL:
        context.obj = given_by(context)
    elif context.invoked_subcommand is None:
        raise typer.Exit(start(given_by(context)))


def demo() -> None:
    """Follow a captured log for half a minute; no collector.

    Example: otel-logtail demo
    """
    from otel_logtail.cli import demo as shown

    signal.signal(signal.SIGINT, signal.default_int_handler)  # the demo stops its follower
    raise typer.Exit(shown.run(sys.stdout))


def program(words: Sequence[str] | None = None) -> typer.Typer:
    """Return the program.

    Args:
        words: Its arguments: what they cannot reach is left out, because building it takes longer than a question to
            the store. None: everything is built, as errors and completion need it.
    """
    names, has_settings = _reached(words)
    app = typer.Typer(
        name="otel-logtail",
        cls=Group,
        rich_markup_mode=None,
        epilog=_EPILOG,
        pretty_exceptions_enable=False,
    )
    app.callback(invoke_without_command=True)(with_settings(follow, all_of_them=has_settings))
    for name in names:
        panel, place, _, cls = _COMMANDS[name]
        file, _, attribute = place.partition(":")
        module = import_module(f"otel_logtail.cli.{file}")
        found = getattr(module, attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, rich_help_panel=panel)
        else:
            app.command(cls=getattr(module, cls) if cls else None, rich_help_panel=panel)(found)
    give_help(app)
    return app


def _reached(words: Sequence[str] | None) -> tuple[Sequence[str], bool]:
    """Return the commands that arguments may name, and whether they may hold an option of the daemon."""
    if words and words[0] in _COMMANDS:
        return words[:1], _COMMANDS[words[0]].needs_settings
    if words == ["--version"]:
        return (), False
    if not words or not {"-h", "--help", *_COMMANDS}.isdisjoint(words):
        return tuple(_COMMANDS), True
    return (), True


def run(words: Sequence[str] | None) -> Any:
    """Run the command that the arguments name; arguments that are wrong are parsed once more by the whole program."""
    try:
        return typer.main.get_command(program(words)).main(prog_name="otel-logtail", standalone_mode=False)
    except typer.Abort:
        return 130
    except Exception as problem:
        if words is None or not hasattr(problem, "format_message"):
            raise
    # typer raised it while it parsed: no command raises such an error in its body, which would run twice
    return run(None)
