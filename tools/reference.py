"""Write the generated tables of docs/reference: ``python -m tools.reference``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otel_logtail.cli.settings import help_of
from otel_logtail.cli.start import declared
from otel_logtail.daemon.options import OF_A_RUN, OF_A_SOURCE, SOURCE
from otel_logtail.option import Option
from otel_logtail.plugins import exporters, observers
from otel_logtail.query import schema
from tools.reference_tables import commands, json, rejections, variables

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
_TABLE = re.compile(r"(<!-- (\w+): python -m tools.reference -->\n).*?(?=<!-- end -->)", re.DOTALL)


def keys_of(option: Option[Any]) -> Iterator[str]:
    """Yield the places of an option in a configuration: a table and a key."""
    if option in OF_A_RUN:
        yield option.key_of("")
    if option is SOURCE:
        yield "[source.NAME]"
    elif option in OF_A_SOURCE:
        yield f"[source.NAME] {option.key_of('')}"
    for name, observer in observers().items():
        if option in observer.options:
            yield f"[source.NAME] {option.key_of(name)}"
    for name, exporter in exporters().items():
        if option in exporter.options:
            yield f"[exporter.{name}] {option.key_of(name)}"


def options() -> str:
    """Return the table of all options of the daemon."""
    lines = ["| option | key in the file | default | meaning |", "|---|---|---|---|"]
    for option in declared():
        keys = "<br>".join(f"`{key}`" for key in keys_of(option))
        metavar = option.kind.metavar.replace("|", "\\|")
        default = f"`{option.default}`" if option.default else ""
        meaning = help_of(option).replace("|", "\\|")
        lines.append(f"| `{option.flag}{' ' if metavar else ''}{metavar}` | {keys} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def views() -> str:
    """Return the table of all views and their columns."""
    lines = ["| view | column | unit | meaning |", "|---|---|---|---|"]
    before = ""
    for row in schema():
        view = "" if row.view == before else f"`{row.view}`"
        lines.append(f"| {view} | `{row.column}` | {row.unit} | {row.meaning} |")
        before = row.view
    return "\n".join(lines) + "\n"


TABLES = {
    "options": options,
    "views": views,
    "commands": commands,
    "variables": variables,
    "json": json,
    "rejections": rejections,
}
"""Each generated table by its name in the comment before it."""


def pages() -> list[Path]:
    """Return the pages that have a generated table."""
    return [path for path in sorted(FOLDER.glob("*.md")) if _TABLE.search(path.read_text())]


def page(text: str) -> str:
    """Return the text of a page with the tables of now."""
    return _TABLE.sub(lambda match: match[1] + TABLES[match[2]](), text)


if __name__ == "__main__":
    for path in pages():
        path.write_text(page(path.read_text()))
