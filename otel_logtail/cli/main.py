"""The command line: arguments in, exit codes out. Data goes to stdout, everything else to stderr.

Heavy imports stand inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from otel_logtail.cli.doctor import doctor
from otel_logtail.cli.errors import ended, errors_as_exit, prepare_process, stop_early
from otel_logtail.cli.given import TAKES_ALL
from otel_logtail.cli.help import Sections
from otel_logtail.cli.plugins import exporters, observers
from otel_logtail.cli.prune import DEFAULT_MAX_DB_SIZE, DEFAULT_RETENTION, prune
from otel_logtail.cli.query import query_app, status
from otel_logtail.cli.report import report
from otel_logtail.cli.retry import retry
from otel_logtail.cli.service.command import service_app

app = typer.Typer(
    name="otel-logtail",
    cls=Sections,
    rich_markup_mode=None,
    help="Follow the log of a program that you may not touch, and turn its latency samples into OpenTelemetry.",
    epilog="Each option can also be given as OTEL_LOGTAIL_<NAME>; the standard OTEL_* variables are honoured.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(query_app)
app.add_typer(service_app)
app.command()(status)
app.command()(doctor)
app.command()(report)
app.command()(prune)
app.command()(retry)
app.command()(observers)
app.command()(exporters)

_FOLLOW = "Following"
_EXPORT = "Exporting"


@app.callback(invoke_without_command=True)
@errors_as_exit()
def follow(
    context: typer.Context,
    observer: Annotated[
        str,
        typer.Option(envvar="OTEL_LOGTAIL_OBSERVER", metavar="NAME", help="Whose log it is.", rich_help_panel=_FOLLOW),
    ] = "",
    path: Annotated[
        list[str] | None,
        typer.Option(
            envvar="OTEL_LOGTAIL_PATH",
            metavar="GLOB",
            help="The files that the program writes to; may be repeated. Default: the observer's.",
            rich_help_panel=_FOLLOW,
        ),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_SOURCE",
            metavar="NAME",
            help="The name of what is followed, sent as service.name. Default: OTEL_SERVICE_NAME, else the observer's.",
            rich_help_panel=_FOLLOW,
        ),
    ] = "",
    event: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_EVENT",
            metavar="NAME",
            help="What metrics and spans are called.",
            rich_help_panel=_FOLLOW,
        ),
    ] = "log.overhead",
    threshold_ms: Annotated[
        float,
        typer.Option(
            envvar="OTEL_LOGTAIL_THRESHOLD_MS", help="From here on a sample is degraded.", rich_help_panel=_FOLLOW
        ),
    ] = 500,
    stall_ms: Annotated[
        float | None,
        typer.Option(
            envvar="OTEL_LOGTAIL_STALL_MS",
            help="From here on it is a stall. Default: 4 times the threshold.",
            rich_help_panel=_FOLLOW,
        ),
    ] = None,
    quiet_ms: Annotated[
        float,
        typer.Option(
            envvar="OTEL_LOGTAIL_QUIET_MS",
            help="An episode ends when no slow sample came for so long (at least 50).",
            rich_help_panel=_FOLLOW,
        ),
    ] = 3000,
    from_start: Annotated[
        bool,
        typer.Option(
            "--from-start",
            envvar="OTEL_LOGTAIL_FROM_START",
            help="At the first start read what the logs hold already, rotated files too, not only what comes.",
            rich_help_panel=_FOLLOW,
        ),
    ] = False,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            envvar="OTEL_LOGTAIL_ONCE",
            help="Read what is there (from the start), deliver it, and end: 0 when all is delivered, else 1.",
            rich_help_panel=_FOLLOW,
        ),
    ] = False,
    timezone: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_TIMEZONE",
            metavar="ZONE",
            help="Of lines that don't say their own, such as Europe/Vienna. Default: this machine's.",
            rich_help_panel=_FOLLOW,
        ),
    ] = "",
    db: Annotated[
        Path | None,
        typer.Option(
            "--db",
            envvar="OTEL_LOGTAIL_DB",
            help="The store; default: the one in your state directory.",
            rich_help_panel=_FOLLOW,
        ),
    ] = None,
    retention: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_RETENTION",
            metavar="DURATION",
            help="How long delivered things stay in the store: 30d, 12h, or none (for ever).",
            rich_help_panel=_FOLLOW,
        ),
    ] = DEFAULT_RETENTION,
    max_db_size: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_MAX_DB_SIZE",
            metavar="SIZE",
            help="The oldest leaves the store when it is larger: 1GiB, 500MB, or none.",
            rich_help_panel=_FOLLOW,
        ),
    ] = DEFAULT_MAX_DB_SIZE,
    max_series: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_MAX_SERIES",
            metavar="NUMBER",
            help="Most series of one source; further ones are counted together: 2000.",
            rich_help_panel=_FOLLOW,
        ),
    ] = "2000",
    exporter: Annotated[
        list[str] | None,
        typer.Option(
            envvar="OTEL_LOGTAIL_EXPORTER",
            metavar="NAME",
            help="Where to send to; may be repeated. Default: otlp where an endpoint is given, else nowhere.",
            rich_help_panel=_EXPORT,
        ),
    ] = None,
    exporter_from: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_EXPORTER_FROM",
            metavar="start|now",
            help="Where a destination that is new begins: with all that the store holds, or with what comes.",
            rich_help_panel=_EXPORT,
        ),
    ] = "start",
    otlp_endpoint: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_OTLP_ENDPOINT",
            metavar="URL",
            help="The collector: http://localhost:4318, or :4317 for gRPC. Default: OTEL_EXPORTER_OTLP_ENDPOINT.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    otlp_protocol: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_OTLP_PROTOCOL",
            metavar="PROTOCOL",
            help="grpc or http/protobuf. Default: OTEL_EXPORTER_OTLP_PROTOCOL, else grpc for port 4317.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    histogram: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_HISTOGRAM", metavar="KIND", help="explicit or exponential.", rich_help_panel=_EXPORT
        ),
    ] = "",
    hex_url: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_HEX_URL",
            metavar="URL",
            help="hex's engine, for --exporter hex. Default: III_URL, else ws://127.0.0.1:49134.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    hex_max_age: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_HEX_MAX_AGE",
            metavar="DURATION",
            help="An older event is not sent to hex, but counted: 10m, 1h, or none. Default: 10m.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    hex_db: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_HEX_DB",
            metavar="FILE",
            help="hex's telemetry database, for --exporter hex-telemetry. Default: the one in HEX_DIR.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    events: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_EVENTS",
            metavar="span|log|both",
            help="Each breach as an event of its episode's span, as a log record with the span's ids, or as both.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    prometheus_port: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_PROMETHEUS_PORT",
            metavar="PORT",
            help="Where the exporter prometheus listens. Default: OTEL_EXPORTER_PROMETHEUS_PORT, else 9464.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    prometheus_host: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_PROMETHEUS_HOST",
            metavar="ADDRESS",
            help="The address it listens on. Default: OTEL_EXPORTER_PROMETHEUS_HOST, else this machine only.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    jsonl_file: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_JSONL_FILE",
            metavar="PATH",
            help="Where the exporter jsonl writes OTLP as JSON lines.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    jsonl_max_size: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_JSONL_MAX_SIZE",
            metavar="SIZE",
            help="The file is rotated before it grows beyond this. Default: 100MiB.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    jsonl_keep: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_JSONL_KEEP",
            metavar="NUMBER",
            help="How many rotated files are kept; the oldest is removed. Default: 10.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    export_interval: Annotated[
        str,
        typer.Option(
            envvar="OTEL_LOGTAIL_EXPORT_INTERVAL",
            metavar="DURATION",
            help="The log's time that one point covers: 500ms, 1m. Default: OTEL_METRIC_EXPORT_INTERVAL, else 10s"
            " (1m where no exporter is told them).",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            envvar="OTEL_LOGTAIL_CONFIG",
            metavar="FILE",
            help="Several sources in one daemon, and all of the above, out of a TOML file.",
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Say the version and end.")] = False,
) -> None:
    """Follow the log of a program that you may not touch, and turn its latency samples into OpenTelemetry.

    The main job: otel-logtail --observer headroom --otlp-endpoint http://localhost:4318
    """
    if version:
        from otel_logtail.cli.follow import version as installed

        typer.echo(f"otel-logtail {installed()}")
        return
    if context.invoked_subcommand is not None and context.invoked_subcommand not in TAKES_ALL:
        return
    if context.invoked_subcommand is None:
        for number in (signal.SIGTERM, signal.SIGINT):  # until the run has its own: nothing is begun yet
            signal.signal(number, lambda number, frame: stop_early(number, once=context.params["once"]))
    from otel_logtail.cli.follow import run, settings_of

    given = given_as(context)
    if context.invoked_subcommand in TAKES_ALL:
        context.obj = (dict(context.params), given)
        return
    raise typer.Exit(run(*settings_of(context.params, given)))


@app.command()
@errors_as_exit()
def demo() -> None:
    """Follow a real captured log as it grows, for half a minute; needs no collector."""
    from otel_logtail.cli import demo as shown

    signal.signal(signal.SIGINT, signal.default_int_handler)  # it ends its follower
    raise typer.Exit(shown.run(sys.stdout))


def given_as(context: typer.Context) -> dict[str, str]:
    """How each option that was given was given: as a flag, or as a variable; by the option's name."""
    found = {}
    for parameter in context.command.params:
        name = str(parameter.name)
        source = getattr(context.get_parameter_source(name), "name", "")
        if source == "COMMANDLINE":
            found[name] = "--" + name.replace("_", "-")
        elif source == "ENVIRONMENT":
            found[name] = f"OTEL_LOGTAIL_{name.upper()}"
    return found


def main() -> NoReturn:
    """The console script: runs the command; whatever it raises ends in one line and an exit code."""
    prepare_process()
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="otel-logtail", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as end:  # typer ends with 1 when the reader of --help has left
        code = ended(end.__context__) if isinstance(end.__context__, BrokenPipeError) else end.code
    except BaseException as problem:  # noqa: BLE001 - each is said in one line
        code = ended(problem)
    sys.exit(code if isinstance(code, int) else 0)
