"""`otel-logtail service`: what to give a supervisor, so that it keeps the daemon running. Prints, and installs nothing.

What follows the kind is the daemon's own command line.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from otel_logtail.cli.errors import errors_as_exit
from otel_logtail.daemon.paths import home_directory
from otel_logtail.errors import UsageError
from otel_logtail.tail.patterns import folder_of

if TYPE_CHECKING:
    from otel_logtail.cli.service.units import Daemon


class _Kinds(TyperGroup):
    """The kinds of supervisor, which an unknown one is told."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # click's types; typer brings its own copy of it
        if self.get_command(ctx, args[0]) is None:
            raise UsageError(f"unknown supervisor '{args[0]}'", hint=f"known: {', '.join(self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


service_app = typer.Typer(name="service", cls=_Kinds, help="Print what keeps the daemon running.")

_DAEMONS_OPTIONS = {"ignore_unknown_options": True, "allow_extra_args": True}
_HEX_DEFAULT = ("--observer", "headroom", "--exporter", "hex", "--event", "headroom.overhead")

_Program = Annotated[
    str,
    typer.Option(metavar="PATH", help="Where otel-logtail will lie, if not where this one does."),
]
_Group = Annotated[str, typer.Option(metavar="NAME", help="The group that may read the log.")]
_SYSTEMD_DB = "/var/lib/otel-logtail/otel-logtail.db"


@service_app.command("systemd", context_settings=_DAEMONS_OPTIONS)
@errors_as_exit()
def systemd(
    context: typer.Context,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Whom it runs as, such as the log's owner. Default: one of its own.")
    ] = "",
    group: _Group = "",
    program: _Program = "",
) -> None:
    """Print a hardened unit for systemd; the daemon's options follow.

    Example: otel-logtail service systemd --user alice --observer headroom --otlp-endpoint http://localhost:4318
    """
    from otel_logtail.cli.service.units import systemd_unit

    given = _given(context)
    home = _home_of(user) if user else ""
    logs = _patterns(given, home)
    if not logs and user and not home:
        raise UsageError(
            f"--user {user!r}: this machine has no such user, and the log is looked for in that user's home directory",
            hint="name a user of this machine, or the files with --path '/home/NAME/.headroom/logs/proxy*.log'",
        )
    if not logs:
        raise UsageError(
            "the log is looked for in a home directory, and a user of the service's own has none",
            hint="name the log's owner with --user, or the files with --path",
        )
    store = [] if "db" in given else ["--db", _SYSTEMD_DB]
    typer.echo(systemd_unit(_daemon([*context.args, *store], given, logs, user, group, program)), nl=False)


@service_app.command("launchd", context_settings=_DAEMONS_OPTIONS)
@errors_as_exit()
def launchd(
    context: typer.Context,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Whom it runs as, at boot. Default: you, once you are logged in.")
    ] = "",
    group: _Group = "",
    program: _Program = "",
) -> None:
    """Print a property list for macOS's launchd; the daemon's options follow.

    Example: otel-logtail service launchd --observer headroom --otlp-endpoint http://localhost:4318
    """
    from otel_logtail.cli.service.units import launchd_plist

    daemon = _daemon(context.args, _given(context), [], user, group, program)
    typer.echo(launchd_plist(daemon, home_directory()), nl=False)


@service_app.command("hex", context_settings=_DAEMONS_OPTIONS)
@errors_as_exit()
def hex_(context: typer.Context, program: _Program = "") -> None:
    """Print the entry for hex's engine-workers.yaml; the daemon's options follow, or it is headroom's to the hex bus.

    Example: otel-logtail service hex --observer headroom --exporter hex --event headroom.overhead --quiet-ms 5000
    """
    from otel_logtail.cli.service.units import hex_stanza

    if context.args:
        _given(context)
    typer.echo(hex_stanza([*_program(program), *(context.args or _HEX_DEFAULT)]), nl=False)


def _given(context: typer.Context) -> dict[str, Any]:
    """The daemon's options as its own command line reads them: those that are given here, no variables.

    Raises:
        UsageError: the options are none of a daemon.
        Exception: they can't be read (what typer raises for wrong arguments).
    """
    from otel_logtail.daemon.settings import flag_of
    from otel_logtail.observer import ObserverContext
    from otel_logtail.plugins import EXPORTERS, make_observer, names
    from otel_logtail.redact import Redactor

    main = context.find_root()
    read = main.command.make_context(main.info_name, list(context.args))
    rest = [*getattr(read, "_protected_args", getattr(read, "protected_args", ())), *read.args]  # click 8.2 hides them
    if rest:
        raise UsageError(f"'{rest[0]}' is no option of the daemon", hint="a value with spaces needs quotes")
    given = {
        name: value
        for name, value in read.params.items()
        if (source := read.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    }
    if given.get("once"):
        raise UsageError("--once ends by itself: a supervisor would start it again for ever", hint="leave --once out")
    if not given.get("observer") and not given.get("config"):
        raise UsageError("no observer is named: whose log is it?", hint="such as --observer headroom")
    for name, value in given.items():
        if isinstance(value, str) and Redactor()(value) != value:
            raise UsageError(
                f"{flag_of(name)} holds a secret, and every user can read the file of a service",
                hint=f"set OTEL_LOGTAIL_{name.upper()} in the service's environment: /etc/otel-logtail.env, mode 0600",
            )
    for name in ("config", "path", "db", "jsonl_file", "hex_db"):
        values = given.get(name, ())
        for value in values if isinstance(values, (list, tuple)) else [values]:
            if not str(value).startswith(("/", "~/")):
                raise _relative("--" + name.replace("_", "-"), str(value))
    if given.get("config"):
        return {**_configured(Path(given["config"])), **given}
    make_observer(given["observer"], ObserverContext())
    for name in given.get("exporter", ()):
        if name not in names(EXPORTERS):
            raise UsageError(f"unknown exporter '{name}'", hint=f"known: {', '.join(names(EXPORTERS))}")
    return given


def _configured(file: Path) -> dict[str, Any]:
    """What a configuration says of the files that are read and written, under the names of the flags."""
    from otel_logtail.daemon.config import read_config

    config = read_config(file.expanduser(), os.environ, home_directory())
    found: dict[str, Any] = {"sources": config.sources, **{k: v for k, v in config.once.items() if k == "db"}}
    for options in config.exporters.values():
        found |= {name: options[name] for name in ("jsonl_file", "hex_db") if name in options}
    return found


def _relative(flag: str, value: str) -> UsageError:
    return UsageError(
        f"{flag} {value!r} begins in this folder, and the service runs in another", hint="begin it with /"
    )


def _patterns(given: dict[str, Any], home: str) -> list[str]:
    """The files that will be followed, as far as they can be told here."""
    from otel_logtail.observer import ObserverContext
    from otel_logtail.plugins import make_observer
    from otel_logtail.tail.patterns import expand

    if "sources" in given:
        asked = [(source.observer, source.patterns) for source in given["sources"]]
    else:
        asked = [(given["observer"], given.get("path"))]
    return [
        pattern
        for observer, patterns in asked
        for pattern in expand(patterns or make_observer(observer, ObserverContext()).paths().patterns, {}, home)
    ]


def _home_of(user: str) -> str:
    import pwd

    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return ""  # a user of the machine that it is for: then --path must say where the log is


def _daemon(
    options: Sequence[str], given: dict[str, Any], logs: Sequence[str], user: str, group: str, program: str
) -> Daemon:
    from otel_logtail.cli.service.units import Daemon

    command = _program(program)
    # what is written beside the store's own folder
    written = [given[name] for name in ("db", "jsonl_file", "hex_db") if given.get(name)]
    configured = [str(Path(given["config"]).parent)] if "config" in given else []
    # a virtual environment needs the interpreter that it was made with, and a checkout may lie elsewhere
    own = str(Path(__file__).resolve().parent)
    uses = [program] if program else [*command[:1], sys.prefix, sys.base_prefix, own]
    return Daemon(
        command=(*command, *options),
        user=user,
        group=group,
        reads=tuple(dict.fromkeys([*map(folder_of, logs), *configured])),
        writes=tuple(dict.fromkeys(str(Path(path).absolute().parent) for path in written)),
        uses=tuple(uses),
    )


def _program(named: str) -> list[str]:
    """The start of the command line, so that it works in whatever folder and with whatever PATH.

    Raises:
        UsageError: a supervisor would not find it.
    """
    if named:
        if not named.startswith("/"):
            raise _relative("--program", named)
        return [named]
    beside = Path(sys.executable).with_name("otel-logtail")
    found = str(beside) if beside.is_file() else shutil.which("otel-logtail")
    return [found] if found else [sys.executable, "-m", "otel_logtail"]
