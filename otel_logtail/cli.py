"""The command line: arguments in, exit codes out. Data goes to stdout, everything else to stderr.

Heavy imports stand inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import math
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from otel_logtail.cli_errors import errors_as_exit
from otel_logtail.cli_help import Sections
from otel_logtail.cli_plugins import exporters, observers
from otel_logtail.cli_prune import DEFAULT_MAX_DB_SIZE, DEFAULT_RETENTION, limits_of, prune
from otel_logtail.cli_query import query_app, status
from otel_logtail.cli_service import service_app
from otel_logtail.errors import LogtailError, StoreFull, UsageError
from otel_logtail.paths import default_db, home_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo
    from types import FrameType

    from otel_logtail.app import App, Settings
    from otel_logtail.reporter import Reporter
    from otel_logtail.wake import Waker

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
app.command()(prune)
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
            help="The log's time that one point covers: 500ms, 1m. Default: OTEL_METRIC_EXPORT_INTERVAL, else 10s.",
            rich_help_panel=_EXPORT,
        ),
    ] = "",
    version: Annotated[bool, typer.Option("--version", help="Say the version and end.")] = False,
) -> None:
    """Follow the log of a program that you may not touch, and turn its latency samples into OpenTelemetry.

    The main job: otel-logtail --observer headroom --otlp-endpoint http://localhost:4318
    """
    if version:
        typer.echo(f"otel-logtail {_version()}")
        return
    if context.invoked_subcommand is not None:
        return
    from otel_logtail.app import Settings
    from otel_logtail.otel import asks_for_otlp, service_name
    from otel_logtail.plugins import OBSERVERS, names

    if not observer:
        raise UsageError(
            "no observer is named: whose log is it?",
            hint=f"--observer {' | '.join(names(OBSERVERS))}; --help shows all",
        )
    environ = os.environ
    chosen = tuple(dict.fromkeys(exporter or (["otlp"] if otlp_endpoint or asks_for_otlp(environ) else [])))
    given = {
        "otlp_endpoint": otlp_endpoint,
        "otlp_protocol": otlp_protocol,
        "histogram": histogram,
        "events": events,
        "hex_url": hex_url,
        "hex_max_age": hex_max_age,
        "hex_db": hex_db,
        "prometheus_port": prometheus_port,
        "prometheus_host": prometheus_host,
        "jsonl_file": jsonl_file,
        "jsonl_max_size": jsonl_max_size,
        "jsonl_keep": jsonl_keep,
    }
    threshold_ns = _ns(threshold_ms, "--threshold-ms", least_ms=0.001)
    stall_ns = 4 * threshold_ns if stall_ms is None else _ns(stall_ms, "--stall-ms", least_ms=0.001)
    if stall_ns <= threshold_ns:
        raise UsageError(
            f"--stall-ms {stall_ns / 1e6:g} is not above --threshold-ms {threshold_ns / 1e6:g}",
            hint="a stall is worse than degraded: leave --stall-ms out for 4 times the threshold",
        )
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]{0,200}", event):
        raise UsageError(
            f"--event {event!r} can't be the name of a metric", hint="letters, digits and _ . - /, such as log.overhead"
        )
    if exporter_from not in ("start", "now"):
        raise UsageError(f"--exporter-from {exporter_from!r} is not known", hint="use start or now")
    settings = Settings(
        observer=observer,
        db=(db or default_db()).absolute(),
        source=source or service_name(environ),
        event=event,
        patterns=tuple(path or ()),
        threshold_ns=threshold_ns,
        stall_ns=stall_ns,
        quiet_ns=_ns(quiet_ms, "--quiet-ms", least_ms=50),
        interval_ns=_interval_ns(export_interval, environ),
        from_start=from_start,
        once=once,
        limits=limits_of(retention, max_db_size),
        exporters=chosen,
        exporters_from_now=exporter_from == "now",
        exporter_options={name: value for name, value in given.items() if value},
    )
    raise typer.Exit(_run(settings, _zone(timezone)))


@app.command()
@errors_as_exit()
def demo() -> None:
    """Follow a real captured log as it grows, for half a minute; needs no collector."""
    from otel_logtail import demo as shown

    raise typer.Exit(shown.run(sys.stdout))


def _interval_ns(text: str, environ: Mapping[str, str]) -> int:
    from otel_logtail.otel import export_interval

    if text:
        return _duration_ns(text, "--export-interval")
    return _duration_ns(export_interval(environ) or "10s", "OTEL_METRIC_EXPORT_INTERVAL")


def _run(settings: Settings, zone: tzinfo | None) -> int:
    import socket

    from otel_logtail.app import App
    from otel_logtail.export import ExporterContext
    from otel_logtail.files import allow_many_files
    from otel_logtail.notify import Supervisor
    from otel_logtail.observe import ObserverContext
    from otel_logtail.reporter import Reporter
    from otel_logtail.wake import TimedWaker, WatchdogWaker

    allow_many_files()
    reporter = Reporter()
    waker: Waker
    try:
        waker = TimedWaker() if settings.once else WatchdogWaker()
    except OSError as problem:
        reporter.watcher_failed(problem.strerror or str(problem))
        waker = TimedWaker()
    make = partial(
        App,
        settings,
        observer_context=ObserverContext(timezone=zone),
        exporter_context=ExporterContext(os.environ, settings.exporter_options, socket.gethostname(), _version()),
        home=home_directory(),
        waker=waker,
        reporter=reporter,
        supervisor=Supervisor(os.environ),
    )
    try:
        running = _when_there_is_room(make, waker, reporter, patient=not settings.once)
    except BaseException:
        waker.close()
        raise
    _on_signals(running)
    try:
        return running.run()
    finally:
        running.close()


def _when_there_is_room(make: Callable[[], App], waker: Waker, reporter: Reporter, *, patient: bool) -> App:
    """A full disk at the start is no other than later: it is said once, and waited for."""
    from otel_logtail.app import RETRY_STORE_S

    while True:
        try:
            running = make()
        except StoreFull as problem:
            if not patient:
                raise
            reporter.store_failed(str(problem))
            waker.wait(RETRY_STORE_S)
        else:
            reporter.store_works()
            return running


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("otel-logtail")
    except PackageNotFoundError:  # run from a checkout
        return "0"


def _on_signals(running: App) -> None:
    """SIGTERM and SIGINT end the run in order; a second SIGINT at once (the store is right at every instruction)."""
    interrupts = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts > 1:
            os._exit(130)
        running.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, lambda number, frame: running.look_now())


def _ns(value_ms: float, flag: str, *, least_ms: float) -> int:
    if not math.isfinite(value_ms) or not least_ms <= value_ms <= 86_400_000:
        raise UsageError(
            f"{flag} {value_ms:g} is out of range", hint=f"milliseconds from {least_ms:g} to 86400000 (a day)"
        )
    return round(value_ms * 1_000_000)


_UNITS_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}


def _duration_ns(text: str, flag: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|min|h)", text.strip())
    ns = round(float(match[1]) * _UNITS_NS[match[2]]) if match else 0
    if not 10 * 10**6 <= ns <= 3600 * 10**9:
        raise UsageError(f"{flag} {text!r} is no duration from 10ms to 1h", hint="write 500ms, 10s or 1m")
    return ns


def _zone(name: str) -> tzinfo | None:
    if not name:
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"unknown time zone '{name}'", hint="a name such as Europe/Vienna or UTC") from None


def main() -> NoReturn:
    """The console script: runs the command, and says usage errors in one line too."""
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="otel-logtail", standalone_mode=False)
    except LogtailError as problem:
        code = _say(str(problem), problem.hint, problem.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception as problem:
        # what typer raises for wrong arguments knows its message and exit code; anything else is a bug, shown whole
        format_message = getattr(problem, "format_message", None)
        if format_message is None:
            raise
        code = _say(format_message(), "otel-logtail --help shows what there is", getattr(problem, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, hint: str, code: int) -> int:
    lines = " ".join(message.split())
    print(f"otel-logtail: error: {lines}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return code
