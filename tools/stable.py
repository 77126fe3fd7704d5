"""Record the names that docs/reference/stability.md promises to keep: ``python -m tools.stable``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from inspect import ismodule
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

import otel_logtail
from otel_logtail import testing
from otel_logtail.cli.program import program
from otel_logtail.daemon import options
from otel_logtail.option import Option
from otel_logtail.plugins import exporters, observers
from otel_logtail.query import schema
from tools.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs" / "reference" / "stable.txt"
_LOG = ROOT / "tests" / "captures" / "0.42.0-stall.log"
_MARK = "2026-11-23T18:16:55Z"
"""A time within the log."""

_OF_A_STORE = (
    "report --since 2026-11-01",
    *(f"query {name}" for name in ("summary", "samples", "slowest", "episodes", "stalls", "stages", "marks")),
    "status",
    "doctor",
)
_OF_NO_STORE = (f"detect {_LOG}", "observers", "observers show headroom", "exporters", "query schema")
_NAMED_ELSEWHERE = {"attributes", "stages", "rejected_by", "thresholds", "todo", "tried"}
"""Objects whose keys come from a log, an observer or the options."""


def names() -> Iterator[str]:
    """Yield each stable name, one per line of the record."""
    for module in (otel_logtail, testing):
        public = (name for name in dir(module) if not name.startswith("_") and name != "annotations")
        yield from (f"python {module.__name__}.{name}" for name in public if not ismodule(getattr(module, name)))
    yield from _commands(typer.main.get_command(program()), "otel-logtail")
    yield from _settings()
    yield from (f"view {row.view}.{row.column}" for row in schema())
    for signal in Registry.load().signals():
        yield f"{signal.type} {signal.name}"
        yield from (f"{signal.type} {signal.name} {attribute.name}" for attribute in signal.attributes)
    yield from _json()


def _commands(command: Any, name: str) -> Iterator[str]:
    yield f"command {name}"
    for parameter in command.params:
        yield from (f"command {name} {flag}" for flag in parameter.opts if flag.startswith("--"))
    for of, below in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(below, f"{name} {of}")


def _settings() -> Iterator[str]:
    """Yield each key of the configuration, and each variable."""
    tables: list[tuple[str, str, Iterable[Option[Any]]]] = [
        ("", "", options.OF_A_RUN),
        ("[source] ", "", [option for option in options.OF_A_SOURCE if option is not options.SOURCE]),
        *((f"[source] {name}: ", name, plugin.options) for name, plugin in observers().items()),
        *((f"[exporter.{name}] ", name, plugin.options) for name, plugin in exporters().items()),
    ]
    for table, plugin, declared in tables:
        yield from (f"key {table}{option.key_of(plugin)}" for option in declared)
        yield from (f"variable {option.variable}" for option in declared)
    yield f"variable {options.SOURCE.variable}"


def _json() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        db, file = (str(Path(folder) / name) for name in ("store.db", "out.jsonl"))
        runner = CliRunner(env={**os.environ, "HOME": folder})

        def run(*arguments: str) -> str:
            done = runner.invoke(program(), arguments)
            if done.exit_code > 1:  # 1: a check of doctor may fail on this machine
                raise SystemExit(done.output)
            return done.stdout

        output = ("--exporter", "jsonl", "--jsonl-file", file)
        run("--observer", "headroom", "--path", str(_LOG), "--once", "--db", db, *output)
        run("mark", "deployed", "--time", _MARK, "--db", db)
        stores = [(question, ("--db", db)) for question in _OF_A_STORE]
        for question, more in (*stores, *((question, ()) for question in _OF_NO_STORE)):
            answer = run(*question.split(), "--format", "json", *more)
            for path in sorted(set(_keys(json.loads(answer)))):
                yield f"json {question.partition(' --')[0].removesuffix(f' {_LOG}')} {path}"


def _keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and path.rpartition(".")[2] not in _NAMED_ELSEWHERE:
        for key, inside in value.items():
            yield f"{path}.{key}"
            yield from _keys(inside, f"{path}.{key}")
    elif isinstance(value, list):
        for inside in value:
            yield from _keys(inside, f"{path}[]")


def record(found: Iterable[str]) -> str:
    """Return the text of the record."""
    return "\n".join(sorted(set(found))) + "\n"


if __name__ == "__main__":
    RECORD.write_text(record(names()))
