"""`otel-logtail service`: print the file with which a supervisor keeps the daemon running. Nothing is installed.

The options of the daemon follow the kind of supervisor.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_logtail.cli.help import Group
from otel_logtail.cli.start import declared, given_by
from otel_logtail.daemon.options import CONFIG, DB, OBSERVER, ONCE, PATH
from otel_logtail.daemon.paths import home_directory
from otel_logtail.errors import UsageError
from otel_logtail.observer_file import is_file, path_of
from otel_logtail.option import File, Options
from otel_logtail.tail.patterns import folder_of

if TYPE_CHECKING:
    from otel_logtail.cli.service.units import Daemon
    from otel_logtail.daemon.settings import Settings


class _Kinds(Group):
    """The kinds of supervisor. The error for an unknown kind lists them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # click's types; typer brings its own copy of it
        if self.get_command(ctx, args[0]) is None:
            raise UsageError(f"unknown supervisor '{args[0]}'", hint=f"known: {', '.join(self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


_HELP = "Print the file for a service manager.\n\nExample: otel-logtail service systemd --observer headroom"

service_app = typer.Typer(name="service", cls=_Kinds, help=_HELP)

_DAEMONS_OPTIONS = {"ignore_unknown_options": True, "allow_extra_args": True}
_HEX_DEFAULT = ("--observer", "headroom", "--exporter", "hex", "--event", "headroom.overhead")

_Program = Annotated[
    str,
    typer.Option(metavar="PATH", help="Path of otel-logtail on the target machine. Default: this program."),
]
_Group = Annotated[str, typer.Option(metavar="NAME", help="Group that may read the log, e.g. adm.")]
_SYSTEMD_DB = "/var/lib/otel-logtail/otel-logtail.db"


@service_app.command("systemd", context_settings=_DAEMONS_OPTIONS)
def systemd(
    context: typer.Context,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="User of the service, e.g. the log's owner. Default: a dynamic user.")
    ] = "",
    group: _Group = "",
    program: _Program = "",
) -> None:
    """Print a hardened unit for systemd.

    Add the daemon's options, as in the example.

    Example: otel-logtail service systemd --user alice --observer headroom --otlp-endpoint http://localhost:4318
    """
    from otel_logtail.cli.service.units import systemd_unit

    given, settings = _settings(context)
    home = _home_of(user) if user else ""
    logs = _patterns(settings, home)
    if not logs and user and not home:
        raise UsageError(
            f"--user {user!r}: this machine has no such user, and the default log is in the user's home directory",
            hint="use a user of this machine, or give the files with --path '/home/NAME/.headroom/logs/proxy*.log'",
        )
    if not logs:
        raise UsageError(
            "the default log is in a home directory, and a dynamic user has none",
            hint="give the log's owner with --user, or the files with --path",
        )
    store = [] if DB.name in settings.places else [DB.flag, _SYSTEMD_DB]
    typer.echo(systemd_unit(_daemon([*context.args, *store], given, settings, logs, user, group, program)), nl=False)


@service_app.command("launchd", context_settings=_DAEMONS_OPTIONS)
def launchd(
    context: typer.Context,
    user: Annotated[
        str, typer.Option(metavar="NAME", help="User of the service, started at boot. Default: you, at login.")
    ] = "",
    group: _Group = "",
    program: _Program = "",
) -> None:
    """Print a property list for macOS's launchd.

    Add the daemon's options, as in the example.

    Example: otel-logtail service launchd --observer headroom --otlp-endpoint http://localhost:4318
    """
    from otel_logtail.cli.service.units import launchd_plist

    daemon = _daemon(context.args, *_settings(context), [], user, group, program)
    typer.echo(launchd_plist(daemon, home_directory()), nl=False)


@service_app.command("hex", context_settings=_DAEMONS_OPTIONS)
def hex_(context: typer.Context, program: _Program = "") -> None:
    """Print the entry for hex's engine-workers.yaml.

    Add the daemon's options, as in the example. Without options, headroom's samples are sent to the hex bus.

    Example: otel-logtail service hex --observer headroom --exporter hex --event headroom.overhead --quiet-ms 5000
    """
    from otel_logtail.cli.service.units import hex_stanza

    if context.args:
        _settings(context)
    typer.echo(hex_stanza([*_program(program), *(context.args or _HEX_DEFAULT)]), nl=False)


def _settings(context: typer.Context) -> tuple[Options, Settings]:
    """Return the options of the daemon that follow the command, and its settings: flags only, no variables.

    Raises:
        UsageError: the options are not those of a daemon.
        Exception: the options cannot be parsed (typer's error for wrong arguments).
    """
    from otel_logtail.daemon.merge import settings_of
    from otel_logtail.plugins import find_exporter, make_observer
    from otel_logtail.redact import Redactor

    main = context.find_root()
    read = main.command.make_context(main.info_name, list(context.args))
    rest = [*getattr(read, "_protected_args", getattr(read, "protected_args", ())), *read.args]  # click 8.2 hides them
    if rest:
        raise UsageError(f"'{rest[0]}' is not an option of the daemon", hint="quote a value that has spaces")
    given = given_by(read, variables=False)
    if given.get(ONCE):
        raise UsageError("--once exits: a supervisor would restart it again and again", hint="leave --once out")
    for option in (option for option in declared() if option.name in given.options):
        text = given.options[option.name]
        if option.secret or Redactor()(text) != text:
            raise UsageError(
                f"{option.flag} holds a secret, and every user can read the file of a service",
                hint=f"set {option.variable} in the service's environment: /etc/otel-logtail.env, mode 0600",
            )
        if option is OBSERVER and is_file(text):
            if not text.startswith(("/", "~/")):
                raise _relative(option.flag, text)
        elif option in (CONFIG, PATH) or isinstance(option.kind, File):
            for path in PATH.kind.parse(text):
                if not path.startswith(("/", "~/")):
                    raise _relative(option.flag, path)
    store = {} if CONFIG.name in given.options else {DB.name: _SYSTEMD_DB}  # no home directory is needed
    settings = settings_of(Options(os.environ, {**store, **given.options}, given.places), is_template=True)
    for source in settings.sources:
        make_observer(source.observer, source.context({}))
    for name in settings.exporters:
        find_exporter(name)
    return given, settings


def _relative(flag: str, value: str) -> UsageError:
    return UsageError(
        f"{flag} {value!r} is relative to this folder, and the service runs in another", hint="use an absolute path"
    )


def _patterns(settings: Settings, home: str) -> list[str]:
    """Return the patterns of the logs that the daemon will follow, as far as this machine can resolve them."""
    from otel_logtail.plugins import make_observer
    from otel_logtail.tail.patterns import expand

    return [
        pattern
        for source in settings.sources
        for pattern in expand(
            source.patterns or make_observer(source.observer, source.context({})).paths().patterns, {}, home
        )
    ]


def _home_of(user: str) -> str:
    import pwd

    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return ""  # a user of the target machine: then --path must have the log


def _daemon(
    options: Sequence[str],
    given: Options,
    settings: Settings,
    logs: Sequence[str],
    user: str,
    group: str,
    program: str,
) -> Daemon:
    from otel_logtail.cli.service.units import Daemon

    command = _program(program)
    configured = [] if settings.config is None else [str(settings.config.parent)]
    configured += [str(Path(path_of(s.observer)).parent) for s in settings.sources if is_file(s.observer)]
    # A virtual environment needs the interpreter that it was made with, and a checkout may be elsewhere.
    own = str(Path(__file__).resolve().parents[3])  # the folder that contains the package otel_logtail
    uses = [program] if program else [*command[:1], sys.prefix, sys.base_prefix, own]
    files = [path for option, path in settings.files({}) if option.name in settings.places]
    # The exporter of a file may be chosen by a variable of the service.
    files += [path for option in declared() if isinstance(option.kind, File) and (path := given.get(option))]
    return Daemon(
        command=(*command, *options),
        user=user,
        group=group,
        reads=tuple(dict.fromkeys([*map(folder_of, logs), *configured])),
        writes=tuple(dict.fromkeys(str(path.parent) for path in files)),
        uses=tuple(uses),
    )


def _program(named: str) -> list[str]:
    """Return the start of the command line, which works in any folder and with any PATH.

    Raises:
        UsageError: the path is relative.
    """
    if named:
        if not named.startswith("/"):
            raise _relative("--program", named)
        return [named]
    beside = Path(sys.executable).with_name("otel-logtail")
    found = str(beside) if beside.is_file() else shutil.which("otel-logtail")
    return [found] if found else [sys.executable, "-m", "otel_logtail"]
