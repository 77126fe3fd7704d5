"""Declarations as options of the command line, and the values that the user gave."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Annotated, Any, TypeVar, cast

import typer

from otel_logtail.cli.complete import complete_exporters, complete_observers
from otel_logtail.daemon.options import (
    CONFIG,
    EXPORTER,
    EXPORTING,
    FOLLOWING,
    HEALTH,
    LOGGING,
    OBSERVER,
    SUGGESTED,
    Several,
)
from otel_logtail.option import Choice, Flag, Option, Options
from otel_logtail.plugins import exporters, observers, options_of

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

    The command finds them with :func:`given_by`.
    """

    @wraps(command)
    def taking(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    own = inspect.signature(command, eval_str=True)
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = [_parameter(option, panel) for panel, option in _sections()] if all_of_them else []
    taking.__signature__ = own.replace(parameters=[*parameters, *settings])  # type: ignore[attr-defined]
    return cast(Command, taking)


def _sections() -> Iterator[tuple[str | None, Option[Any]]]:
    """Yield all options of a daemon, each with its section of the help."""
    yield None, CONFIG
    for option in FOLLOWING:
        yield "Following", option
    for option in options_of(observers()):
        yield "Observing", option
    for option in (*EXPORTING, *options_of(exporters())):
        yield "Exporting", option
    for option in HEALTH:
        yield "Health", option
    for option in LOGGING:
        yield "Logging", option


def declared() -> Iterator[Option[Any]]:
    """Yield all options of a daemon."""
    yield from (option for _, option in _sections())


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


def given_by(context: Any, *, variables: bool = True) -> Options:
    """Return the options of a daemon that the user gave, as texts with their places.

    ``variables``: the values of variables are included.
    """
    texts, places = {}, {}
    for option in declared():
        source = getattr(context.get_parameter_source(option.name), "name", "")
        value = context.params.get(option.name)
        if source == "COMMANDLINE":
            places[option.name] = option.flag
            if isinstance(option.kind, Several):
                value = option.kind.separator.join(value)
        elif source == "ENVIRONMENT" and variables and os.environ[option.variable].strip():
            places[option.name] = option.variable
            if isinstance(option.kind, Several):  # the parser would split it at spaces
                value = option.kind.of_variable(os.environ[option.variable])
        else:
            continue
        texts[option.name] = str(value).lower() if isinstance(value, bool) else str(value)
    return Options(os.environ, texts, places)
