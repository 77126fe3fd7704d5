"""Record the names that docs/stability.md promises to keep in docs/stable.txt: ``python -m tools.stable``."""

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
from otel_logtail.cli.main import program
from otel_logtail.query import schema
from tools.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs" / "stable.txt"
_LOG = ROOT / "tests" / "captures" / "0.42.0-stall.log"
_QUESTIONS = (
    "report --since 2026-11-01",
    *(f"query {name}" for name in ("summary", "samples", "slowest", "episodes", "stalls", "stages")),
    "status",
    "doctor",
)
_NAMED_BY_A_LOG = {"attributes", "stages"}
"""Objects whose keys come from a log."""


def names() -> Iterator[str]:
    """Yield each stable name, one per line of the record."""
    for module in (otel_logtail, testing):
        public = (name for name in dir(module) if not name.startswith("_") and name != "annotations")
        yield from (f"python {module.__name__}.{name}" for name in public if not ismodule(getattr(module, name)))
    yield from _commands(typer.main.get_command(program()), "otel-logtail")
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


def _json() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        db = str(Path(folder) / "store.db")
        runner = CliRunner(env={**os.environ, "HOME": folder})
        runner.invoke(program(), ["--observer", "headroom", "--path", str(_LOG), "--once", "--db", db])
        for question in _QUESTIONS:
            answer = runner.invoke(program(), [*question.split(), "--format", "json", "--db", db])
            for path in sorted(set(_keys(json.loads(answer.stdout)))):
                yield f"json {question.partition(' --')[0]} {path}"


def _keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and path.rpartition(".")[2] not in _NAMED_BY_A_LOG:
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
