"""The command without a name, which starts a daemon: the options that the user gave, and the run.

Nothing here imports typer, which takes as long as all that a run with ``--once`` imports of this program.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

from otel_logtail.cli.errors import stop_early
from otel_logtail.daemon.options import CONFIG, EXPORTING, FOLLOWING, HEALTH, LOGGING, ONCE, Several
from otel_logtail.option import Flag, Option, Options
from otel_logtail.plugins import exporters, observers, options_of


def sections() -> Iterator[tuple[str | None, Option[Any]]]:
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
    yield from (option for _, option in sections())


def given_by(context: Any, *, variables: bool = True) -> Options:
    """Return the options of a daemon, parsed by typer, as texts with their places.

    Args:
        context: The context of the program.
        variables: Whether to include the values of variables.
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


def given_plainly(words: Sequence[str]) -> Options | None:
    """Return the same for arguments and variables that need no parser, or None if typer must parse them.

    Plain arguments are ``--name VALUE``, ``--name=VALUE``, and flags by themselves.
    """
    if words and (not words[0].startswith("--") or "--help" in words):
        return None  # before all plug-ins are loaded: a question needs none
    options = {option.flag: option for option in declared()}
    lines: dict[str, list[str]] = {}
    rest = iter(words)
    for word in rest:
        flag, equals, text = word.partition("=")
        is_flag = flag in options and isinstance(options[flag].kind, Flag)
        if not equals:
            text = "true" if is_flag else next(rest, "-")
        if flag not in options or (is_flag and equals) or (not equals and text.startswith("-")):
            return None
        lines.setdefault(flag, []).append(text)
    texts, places = {}, {}
    for flag, option in options.items():
        several = option.kind if isinstance(option.kind, Several) else None
        variable = os.environ.get(option.variable, "")
        if flag in lines:
            text, places[option.name] = several.separator.join(lines[flag]) if several else lines[flag][-1], flag
        elif isinstance(option.kind, Flag) and variable:
            if variable not in ("true", "false"):
                return None
            text, places[option.name] = variable, option.variable
        elif variable.strip():
            text, places[option.name] = several.of_variable(variable) if several else variable, option.variable
        else:
            continue
        texts[option.name] = text
    return Options(os.environ, texts, places)


def start(given: Options) -> int:
    """Run a daemon with options; return its exit code."""
    once = given.get(ONCE) or False
    for number in (signal.SIGTERM, signal.SIGINT):  # until the run has its own handlers
        signal.signal(number, lambda number, frame: stop_early(number, once=once))
    from otel_logtail.cli.follow import run
    from otel_logtail.daemon.merge import settings_of

    return run(settings_of(given))
