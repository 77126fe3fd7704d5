"""The generated tables of commands, variables, JSON keys and rejection reasons, for ``tools.reference``."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from otel_logtail.cli.program import program
from otel_logtail.cli.start import declared
from otel_logtail.engine.scan import IMPOSSIBLE
from otel_logtail.store.marks import TOO_MANY

ROOT = Path(__file__).resolve().parent.parent
_OBSERVERS = ROOT / "otel_logtail" / "observers"
_STABLE = ROOT / "docs" / "reference" / "stable.txt"

REASONS = {
    "bounds": "a duration or a part of it is negative, too long, or does not fit the others",
    "event": "the line has the form of a sample and the name of another event",
    "forged": "a client wrote text in the form of a log line into its request",
    "lists": "the lists of attempts at upstreams have different lengths",
    "misplaced": "text precedes the line, as if a client had written the line into another one",
    "quotes": "the line has quotes that the program escapes (nginx: `escape=none` is set)",
    "raised": "a function in the database raised a message in the form of a duration",
    "request_id": "the id of the request does not have the program's form",
    "time": "the date or the time of day does not exist",
    "unknown_path": "the path of the request is not in the observer's list: the program is newer, or a client chose it",
    IMPOSSIBLE: "the sample ends before it starts, is logged before it ends, or is later than the year 2261",
    TOO_MANY: "a mark: its hour has 60 marks",
}


BAR = "\\|"
"""A bar in a table, also in code."""


def cell(text: str) -> str:
    """Return a text for a cell of a table."""
    return text.replace("|", BAR).replace("<", "&lt;").replace("\n", " ")


# --- commands ---


def commands() -> str:
    """Return a section for each command, with its options."""
    root = typer.main.get_command(program())
    return "\n".join(_section(name, command) for name, command in walk(root) if name)


def walk(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each command below one, and its name without that of the program."""
    yield name, command
    for of, below in sorted(getattr(command, "commands", {}).items()):
        yield from walk(below, f"{name} {of}".strip())


def _section(name: str, command: Any) -> str:
    text, _, example = command.help.partition("Example:")
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    lines = [f"## {name}", "", *(cell(part) + "\n" for part in paragraphs if part)]
    rows = list(_rows(command))
    if rows:
        lines += ["| option | meaning |", "|---|---|", *rows, ""]
    if example:
        lines += ["```console", f"$ {' '.join(example.split())}", "```", ""]
    return "\n".join(lines)


def _rows(command: Any) -> Iterator[str]:
    for parameter in command.params:
        flags = [flag for flag in parameter.opts if flag.startswith("--")]
        choices = "|".join(getattr(parameter.type, "choices", None) or ())
        metavar = choices or parameter.metavar or ""
        shown = f"{flags[0]} {metavar}".strip() if flags else metavar or parameter.name.upper()
        meaning = getattr(parameter, "help", None) or ""
        yield f"| `{shown.replace('|', BAR)}` | {cell(meaning)} |"


# --- variables ---


def variables() -> str:
    """Return the table of the variables of all options."""
    rows = (f"| `{option.variable}` | `{option.flag}` |" for option in sorted(declared(), key=lambda one: one.variable))
    return "\n".join(["| variable | option |", "|---|---|", *rows]) + "\n"


# --- JSON ---


def json() -> str:
    """Return a section for each command that prints JSON, with the keys of the record of stable names."""
    keys: dict[str, list[str]] = {}
    for line in _STABLE.read_text().splitlines():
        if line.startswith("json "):
            command, _, key = line.removeprefix("json ").rpartition(" ")
            keys.setdefault(command, []).append(key)
    return "\n".join(f"## {command}\n\n```text\n" + "\n".join(found) + "\n```\n" for command, found in keys.items())


# --- rejected lines ---


def rejections() -> str:
    """Return the table of the reasons for which lines are rejected."""
    of = dict(reasons())
    rows = (f"| `{reason}` | {REASONS[reason]} | {', '.join(of[reason]) or 'all'} |" for reason in sorted(of))
    return "\n".join(["| reason | meaning | observers |", "|---|---|---|", *rows]) + "\n"


def reasons() -> Iterable[tuple[str, list[str]]]:
    """Return each reason, and the observers that have it; none: all have it."""
    found: dict[str, set[str]] = {IMPOSSIBLE: set(), TOO_MANY: set()}
    for path in _OBSERVERS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Rejected":
                (why,) = node.args
                word = ast.literal_eval(why)  # a reason is a fixed word
                found.setdefault(word, set()).add(path.relative_to(_OBSERVERS).parts[0])
    return [(reason, sorted(names)) for reason, names in found.items()]
