"""`otel-logtail service`: what to give a supervisor, so that it keeps the daemon running. Prints, and installs nothing.

What follows the kind is the daemon's own command line.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from otel_logtail.cli_errors import errors_as_exit
from otel_logtail.errors import UsageError

service_app = typer.Typer(name="service", no_args_is_help=True, help="Print what keeps the daemon running.")

_DAEMONS_OPTIONS = {"ignore_unknown_options": True, "allow_extra_args": True}
_HEX_DEFAULT = ("--observer", "headroom", "--exporter", "hex", "--event", "headroom.overhead")


@service_app.command("hex", context_settings=_DAEMONS_OPTIONS)
@errors_as_exit()
def hex_(context: typer.Context) -> None:
    """Print the entry for hex's engine-workers.yaml; the daemon's options follow, or it is headroom's to the hex bus.

    Example: otel-logtail service hex --observer headroom --exporter hex --event headroom.overhead --quiet-ms 5000
    """
    from otel_logtail.services import hex_stanza

    typer.echo(hex_stanza(_command(context.args or _HEX_DEFAULT)), nl=False)


def _command(options: Sequence[str]) -> list[str]:
    """The daemon's command line, so that it works in whatever folder and with whatever PATH.

    Raises:
        UsageError: the options are none of a daemon.
    """
    if "--once" in options:
        raise UsageError("--once ends by itself: a supervisor would start it again for ever", hint="leave --once out")
    if not any(option.partition("=")[0] in ("--observer", "--config") for option in options):
        raise UsageError("no observer is named: whose log is it?", hint="such as --observer headroom")
    beside = Path(sys.executable).with_name("otel-logtail")
    found = str(beside) if beside.is_file() else shutil.which("otel-logtail")
    return [*([found] if found else [sys.executable, "-m", "otel_logtail"]), *options]
