"""Declarations as options of the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar, cast

import typer

from otel_logtail.cli.complete import complete_exporters, complete_observers
from otel_logtail.cli.start import sections
from otel_logtail.daemon.options import EXPORTER, OBSERVER, SUGGESTED, Several
from otel_logtail.option import Choice, Flag, Option
from otel_logtail.plugins import observers

Command = TypeVar("Command", bound=Callable[..., None])


def flag(option: Option[Any], *, panel: str | None = None, variable: bool = True) -> Any:
    """Return typer's form of an option: an annotation of a parameter. ``variable`` is whether a variable gives it."""
    return typer.Option(
        *filter(None, (option.flag, option.short)),
        envvar=option.variable if variable else None,
        show_envvar=False,
        autocompletion=_completion(option),
        metavar=option.kind.metavar or None,
        help=help_of(option),
        rich_help_panel=panel,
    )


def _completion(option: Option[Any]) -> Callable[..., list[str]] | None:
    """Return the function that lists the values of an option for a shell; None: a file, or any value."""
    if isinstance(option.kind, Choice):
        words = option.kind.words
        return lambda incomplete: [word for word in words if word.startswith(incomplete)]
    return {OBSERVER.name: complete_observers, EXPORTER.name: complete_exporters}.get(option.name)


def help_of(option: Option[Any]) -> str:
    """Return the help of an option, with the values that observers suggest (``Default of jvm: 100.``)."""
    if option not in SUGGESTED:
        return option.help
    users: dict[str, list[str]] = {}
    for name, plugin in observers().items():
        users.setdefault(getattr(plugin, option.name), []).append(name)
    values = "; ".join(f"of {' and '.join(names)}: {text}" for text, names in users.items() if text)
    return f"{option.help} Default {values}." if values else option.help


def with_settings(command: Command, *, all_of_them: bool) -> Command:
    """Return a command that takes all options of a daemon in place of its ``**settings``, or none of them.

    The command finds them with :func:`~otel_logtail.cli.given.given_by`.
    """

    @wraps(command)
    def taking(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    own = inspect.signature(command, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = [_parameter(option, panel) for panel, option in sections()] if all_of_them else []
    taking.__signature__ = own.replace(parameters=[*parameters, *settings])  # type: ignore[attr-defined]
    return cast(Command, taking)


def _parameter(option: Option[Any], panel: str | None) -> inspect.Parameter:
    default: Any = option.default if "$" not in option.default else ""
    type_: Any = str
    if isinstance(option.kind, Flag):
        default, type_ = option.default == "true", bool
    elif isinstance(option.kind, Several):
        default, type_ = None, list[str] | None
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[type_, flag(option, panel=panel)],
    )
