"""The command line: arguments in, exit codes out. Data goes to stdout, everything else to stderr.

Heavy imports are inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Any, NoReturn

import typer

from otel_logtail.cli.detect import detect
from otel_logtail.cli.doctor import doctor
from otel_logtail.cli.errors import ended, errors_as_exit, prepare_process, stop_early
from otel_logtail.cli.exporters import exporters
from otel_logtail.cli.given import TAKES_ALL
from otel_logtail.cli.help import Group, give_help
from otel_logtail.cli.mark import mark
from otel_logtail.cli.observers.command import observers_app
from otel_logtail.cli.prune import prune
from otel_logtail.cli.query import query_app, status
from otel_logtail.cli.report import ReportCommand, report
from otel_logtail.cli.retry import retry
from otel_logtail.cli.service.command import service_app
from otel_logtail.cli.settings import given_by, takes_all_settings
from otel_logtail.cli.watch.command import watch
from otel_logtail.daemon.options import ONCE

app = typer.Typer(
    name="otel-logtail",
    cls=Group,
    rich_markup_mode=None,
    epilog="Each option --some-name is also the variable OTEL_LOGTAIL_SOME_NAME. OTEL_* variables are honored, too.",
    pretty_exceptions_enable=False,
)
_ASK, _SET_UP, _MAINTAIN = "Questions", "Setup", "Maintenance"

app.command(cls=ReportCommand, rich_help_panel=_ASK)(report)
app.add_typer(query_app, rich_help_panel=_ASK)
app.command(rich_help_panel=_ASK)(watch)
app.command(rich_help_panel=_ASK)(status)
app.command(rich_help_panel=_SET_UP)(detect)
app.command(rich_help_panel=_SET_UP)(doctor)
app.add_typer(observers_app, rich_help_panel=_SET_UP)
app.command(rich_help_panel=_SET_UP)(exporters)
app.add_typer(service_app, rich_help_panel=_SET_UP)
app.command(rich_help_panel=_MAINTAIN)(mark)
app.command(rich_help_panel=_MAINTAIN)(prune)
app.command(rich_help_panel=_MAINTAIN)(retry)


@app.callback(invoke_without_command=True)
@errors_as_exit()
@takes_all_settings
def follow(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    **settings: Any,
) -> None:
    """Measure the latency of a program from the log that it writes.

    Example: otel-logtail --observer headroom --otlp-endpoint http://localhost:4318
    """
    if version:
        from otel_logtail.cli.follow import version as installed

        typer.echo(f"otel-logtail {installed()}")
        raise typer.Exit
    if context.invoked_subcommand in TAKES_ALL:
        context.obj = given_by(context)
    elif context.invoked_subcommand is None:
        given = given_by(context)
        once = given.get(ONCE) or False
        for number in (signal.SIGTERM, signal.SIGINT):  # until the run has its own handlers
            signal.signal(number, lambda number, frame: stop_early(number, once=once))
        from otel_logtail.cli.follow import run
        from otel_logtail.daemon.merge import settings_of

        raise typer.Exit(run(settings_of(given)))


@app.command(rich_help_panel=_SET_UP)
@errors_as_exit()
def demo() -> None:
    """Follow a captured log for half a minute; no collector.

    Example: otel-logtail demo
    """
    from otel_logtail.cli import demo as shown

    signal.signal(signal.SIGINT, signal.default_int_handler)  # the demo stops its follower
    raise typer.Exit(shown.run(sys.stdout))


give_help(app)


def main() -> NoReturn:
    """Run the command of the console script; any exception becomes one line and an exit code."""
    prepare_process()
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="otel-logtail", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as end:  # typer exits with 1 if the reader of --help is gone
        code = ended(end.__context__) if isinstance(end.__context__, BrokenPipeError) else end.code
    except BaseException as problem:  # noqa: BLE001 - each becomes one line
        code = ended(problem)
    sys.exit(code if isinstance(code, int) else 0)
