"""The settings of a configuration, and the errors of a wrong one: the file, the line, the key, and the valid values."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.daemon.config import read_config
from otel_logtail.errors import UsageError
from otel_logtail.plugins import OBSERVERS, names
from tests.support.command import USAGE
from tests.support.forked import ask, run
from tests.support.places import CAPTURES, ROOT

EXAMPLE = ROOT / "examples" / "otel-logtail.toml"
KNOWN = ", ".join(names(OBSERVERS))
SOURCE = '[source.a]\nobserver = "headroom"\n'


def test_it_sets_the_same_as_the_flags(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        """\
db = "stores/x.db"
retention = "7d"
[source.edge]
observer = "headroom"
paths = ["logs/*.log", "~/proxy.log", "${LOGS}/x.log", "/abs/y.log"]
event = "edge.overhead"
threshold_ms = 250.5
quiet_ms = 100
from_start = true
timezone = "Europe/Vienna"
[source.batch]
observer = "headroom"
stall_ms = 9000
[exporter.otlp]
endpoint = "http://localhost:4318"
[exporter.prometheus]
port = 9999
[exporter.jsonl]
file = "out.jsonl"
events = "both"
[exporter.console]
"""
    )
    config = read_config(file, {"LOGS": "/logs"}, "/home/me")
    edge, batch = config.sources
    assert edge.name == "edge"
    assert edge.patterns == (f"{tmp_path}/logs/*.log", "/home/me/proxy.log", "/logs/x.log", "/abs/y.log")
    assert (edge.event, edge.from_start, str(edge.timezone)) == ("edge.overhead", True, "Europe/Vienna")
    assert (edge.threshold_ns, edge.stall_ns, edge.quiet_ns) == (250_500_000, 1_002_000_000, 100_000_000)
    assert (batch.threshold_ns, batch.stall_ns, batch.quiet_ns) == (500_000_000, 9_000_000_000, 3_000_000_000)
    assert (batch.event, batch.patterns, batch.from_start, batch.timezone) == ("log.overhead", (), False, None)
    assert config.run == {"db": f"{tmp_path}/stores/x.db", "retention": "7d"}
    assert config.exporters == {
        "otlp": {"otlp_endpoint": "http://localhost:4318"},
        "prometheus": {"prometheus_port": "9999"},
        "jsonl": {"jsonl_file": f"{tmp_path}/out.jsonl", "events": "both"},
        "console": {},
    }


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        # keys
        ("retntion = '1d'\n" + SOURCE, 1, "retntion is not known", "did you mean retention?"),
        (SOURCE + "\n\ntreshold_ms = 5\n", 5, "source.a.treshold_ms is not known", "did you mean threshold_ms?"),
        (SOURCE + "path = 'x'\n", 3, "source.a.path is not known", "write paths = [...]"),
        (
            SOURCE + "colour = 1\n",
            3,
            "source.a.colour is not known",
            "known: observer, paths, event, threshold_ms, stall_ms, quiet_ms, from_start, timezone, framing",
        ),
        (
            "observer = 'headroom'\n" + SOURCE,
            1,
            "observer is not known",
            "it belongs to a source: put it under [source.NAME]",
        ),
        ("otlp_endpoint = 'x'\n" + SOURCE, 1, "otlp_endpoint is not known", "write endpoint under [exporter.otlp]"),
        (
            SOURCE + "[exporter.otlp]\notlp_endpoint = 'x'\n",
            4,
            "exporter.otlp.otlp_endpoint is not known",
            "write endpoint: the table is the exporter's",
        ),
        (SOURCE + "[exporter.console]\nx = 1\n", 4, "exporter.console.x is not known", "known: none"),
        ("once = true\n" + SOURCE, 1, "once is not known", "it is not a setting of a daemon: give --once"),
        # what is missing
        (SOURCE + "[source.b]\n", 3, "source.b: no observer given", f"add observer = NAME (known: {KNOWN})"),
        ("source = {}\n", None, "no source given", "add [source.headroom-proxy]"),
        (
            "[source.'']\nobserver = 'x'",
            1,
            'source."": the name of a source can\'t be empty',
            "it becomes service.name",
        ),
        # names
        (
            "[source.'a b']\nobserver = 'headrom'\n",
            2,
            "source.\"a b\".observer: unknown observer 'headrom'",
            f"did you mean headroom? known: {KNOWN}",
        ),
        ("[source.a]\nobserver = ''\n", 2, "source.a.observer: unknown observer ''", f"known: {KNOWN}"),
        (SOURCE + "[exporter.otpl]\n", 3, "exporter.otpl: unknown exporter 'otpl'", "did you mean otlp?"),
        # types
        (SOURCE + "threshold_ms = '500ms'\n", 3, "source.a.threshold_ms is a text", "it must be a number of millisec"),
        (SOURCE + "threshold_ms = true\n", 3, "source.a.threshold_ms is true or false", "it must be a number of mill"),
        ("max_series = true\n" + SOURCE, 1, "max_series is true or false", "it must be a whole number, such as 2000"),
        ("max_series = 2.5\n" + SOURCE, 1, "max_series is a number", "it must be a whole number, such as 2000"),
        ("max_series = 0\n" + SOURCE, 1, "max_series '0': expected a number from 1 to 100000", "use a number"),
        (
            SOURCE + "[exporter.jsonl]\nkeep = true\n",
            4,
            "exporter.jsonl.keep is true or false",
            "it must be a whole number, such as 10",
        ),
        (
            SOURCE + "[exporter.prometheus]\nport = true\n",
            4,
            "exporter.prometheus.port is true or false",
            "it must be a number from 1 to 65535",
        ),
        (SOURCE + "event = 5\n", 3, "source.a.event is a number", 'it must be a text in "quotes"'),
        (SOURCE + "paths = 'x.log'\n", 3, "source.a.paths is a text", "it must be a list of texts, such as"),
        (SOURCE + "paths = [\n'x', 1]\n", 3, "source.a.paths is a list", "it must be a list of texts, such as"),
        (SOURCE + "from_start = 'yes'\n", 3, "source.a.from_start is a text", "it must be true or false"),
        (SOURCE + "timezone = 2024-01-01\n", 3, "source.a.timezone is a date or time", "it must be a text"),
        ("source = 'headroom'\n", 1, "source is a text", "it must be a table: [source.headroom-proxy]"),
        (
            "exporter = ['otlp']\n" + SOURCE,
            1,
            "exporter: each exporter has a table of its own",
            "such as [exporter.otl",
        ),
        ("retention = 30\n" + SOURCE, 1, "retention is a number", 'it must be a text in "quotes"'),
        (
            SOURCE + "[exporter.otlp]\nendpoint = ['x']\n",
            4,
            "exporter.otlp.endpoint is a list",
            "it must be a text or a",
        ),
        # values and units
        (
            "retention = '30 moons'\n" + SOURCE,
            1,
            "retention '30 moons': unknown unit 'moons'",
            "use 30d, 12h, or none (at least 1m)",
        ),
        (
            "max_db_size = '1 barrel'\n" + SOURCE,
            1,
            "max_db_size '1 barrel': unknown unit 'barrel'",
            "use 1GiB, 500MB, or none",
        ),
        ("retention = ''\n" + SOURCE, 1, "retention '': ", "use 30d, 12h, or none"),
        ("db = ''\n" + SOURCE, 1, "db '': the path is empty", "use /var/lib/otel-logtail/"),
        (SOURCE + "event = ' '\n", 3, "source.a.event ' ': not a valid name of a metric", "use letters, digits"),
        ("export_interval = '10'\n" + SOURCE, 1, "export_interval '10': missing unit", "use 500ms, 10s or 1m"),
        ("exporter_from = 'then'\n" + SOURCE, 1, "exporter_from 'then': expected start or now", "use start or now"),
        (
            SOURCE + "threshold_ms = -1\n",
            3,
            "source.a.threshold_ms '-1': the value is out of range",
            "use 500 (milliseconds from 0.001",
        ),
        (
            SOURCE + "threshold_ms = nan\n",
            3,
            "source.a.threshold_ms 'nan': the value is out of range",
            "use 500 (milliseconds from 0.001",
        ),
        (
            SOURCE + "quiet_ms = 10\n",
            3,
            "source.a.quiet_ms '10': the value is out of range",
            "use 500 (milliseconds from 50",
        ),
        (SOURCE + "stall_ms = 100\n", 3, "source.a.stall_ms '100': not above the threshold of 500 ms", "leave it out"),
        (SOURCE + "event = 'a b'\n", 3, "source.a.event 'a b': not a valid name of a metric", "use letters, digits"),
        (SOURCE + "timezone = 'Mars'\n", 3, "source.a.timezone 'Mars': unknown time zone", "use a name such as"),
        (SOURCE + "paths = ['${NOT_SET}/x']\n", 3, "source.a.paths: the variable NOT_SET is not set", "set it, or"),
        (
            SOURCE + "[exporter.otlp]\nevents = 'log, span'\n",
            4,
            "exporter.otlp.events 'log, span'",
            "use span, log, both or spans",
        ),
        (
            SOURCE + "[exporter.otlp]\nhistogram = 'x'\n",
            4,
            "exporter.otlp.histogram 'x': expected",
            "use explicit or exp",
        ),
        # no TOML
        (SOURCE + "threshold_ms = 500ms\n", 3, "the line is not TOML: ", "write [a.table] or key = value"),
        (SOURCE + "event = 'x\n", 3, "the line is not TOML: ", "write [a.table] or key = value"),
        (SOURCE + SOURCE, 3, "the line is not TOML: ", "write [a.table] or key = value"),
    ],
)
def test_a_mistake_is_one_error_with_its_place(
    text: str, line: int | None, message: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_config(file, {}, "/home/me")
    place = f"{file}:{line}: " if line else f"{file}: "
    assert str(caught.value).startswith(place + message)
    assert caught.value.hint.startswith(hint)
    assert "\n" not in str(caught.value) + caught.value.hint


def test_a_file_that_is_not_text_and_a_missing_one(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"db = 1\n\xff")
    with pytest.raises(UsageError, match=r"x\.toml:2: the file is not UTF-8"):
        read_config(file, {}, "/")
    with pytest.raises(UsageError, match=r"cannot read the configuration .*: no such file"):
        read_config(tmp_path / "not-there.toml", {}, "/")


def check_error(folder: Path, config: str, *arguments: object, message: str, hint: str, **environ: str) -> None:
    """Check that the real program prints only this error and exits with 2."""
    file = folder / "x.toml"
    file.write_text(config)
    done = run("--config", file, *arguments, "--db", folder / "s.db", home=folder, check=False, environ=environ)
    assert done.stderr == f"otel-logtail: error: {message.format(file=file)}\n\nhint: {hint}\n{USAGE}"
    assert (done.returncode, done.stdout) == (2, "")
    assert not (folder / "s.db").exists()


def test_the_program_prints_the_error_and_exits_with_2(tmp_path: Path) -> None:
    check_error(
        tmp_path,
        SOURCE + "treshold_ms = 5\n",
        message="{file}:3: source.a.treshold_ms is not known",
        hint="did you mean threshold_ms?",
    )


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ("[exporter.otlp]\nprotocol = 'smoke'\n", "exporter.otlp.protocol", ""),
        ("[exporter.prometheus]\nport = 'x'\n", "exporter.prometheus.port", ""),
        ("[exporter.hex]\nmax_age = 'x'\n", "exporter.hex.max_age", ""),
        ("[exporter.jsonl]\nfile = 'x.jsonl'\nkeep = 'x'\n", "exporter.jsonl.keep", ""),
    ],
)
def test_an_exporters_error_about_a_flag_names_the_key(table: str, message: str, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(SOURCE + table)
    done = run("--config", file, "--db", tmp_path / "s.db", home=tmp_path, check=False)
    assert done.stderr.startswith(f"otel-logtail: error: {file}:{3 + table.count(chr(10)) - 1}: {message}")
    assert "--" not in done.stderr
    assert done.returncode == 2


def test_options_of_a_source_beside_a_file_are_refused(tmp_path: Path) -> None:
    hint = "write it in the file, under [source.NAME]"
    message = "{} beside --config: the file has the sources"
    check_error(tmp_path, SOURCE, "--threshold-ms", "500", message=message.format("--threshold-ms"), hint=hint)
    check_error(tmp_path, SOURCE, "--from-start", message=message.format("--from-start"), hint=hint)
    variable = "OTEL_LOGTAIL_OBSERVER"
    check_error(tmp_path, SOURCE, message=message.format(variable), hint=hint, **{variable: "headroom"})


def test_flags_and_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    log = CAPTURES / "0.42.0-stall.log"
    file.write_text(
        f'db = "file.db"\n[source.a]\nobserver = "headroom"\npaths = ["{log}"]\n'
        "[exporter.jsonl]\nfile = 'file.jsonl'\nevents = 'log'\n"
    )
    assert run("--config", file, "--once", home=tmp_path).returncode == 0
    assert ask(tmp_path / "file.db", "query", "summary", home=tmp_path)["count"] == 111
    assert "logRecords" in (tmp_path / "file.jsonl").read_text()

    environ = {"OTEL_LOGTAIL_DB": str(tmp_path / "variable.db"), "OTEL_LOGTAIL_CONFIG": str(file)}
    other = ("--once", "--jsonl-file", tmp_path / "flag.jsonl", "--events", "span")
    assert run(*other, home=tmp_path, environ=environ).returncode == 0
    assert ask(tmp_path / "variable.db", "query", "summary", home=tmp_path)["count"] == 111
    assert "logRecords" not in (tmp_path / "flag.jsonl").read_text()

    flags = ("--db", tmp_path / "flag.db", "--exporter", "console", "--export-interval", "1m")
    done = run("--config", file, "--once", *flags, home=tmp_path)
    assert done.stdout, "the exporter that the flag names, and not the file's"
    assert ask(tmp_path / "flag.db", "status", home=tmp_path)["exporters"][0]["name"] == "console"


def test_the_example_can_be_read() -> None:
    config = read_config(EXAMPLE, {}, "/home/me")
    assert [source.name for source in config.sources] == ["headroom-proxy", "headroom-batch"]
