"""The generated tables of docs/reference, and the texts of ``--help``, follow the declarations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from otel_logtail.cli.program import program
from otel_logtail.cli.start import declared
from otel_logtail.option import Choice, Flag, Option
from tools.reference import FOLDER, TABLES, page, pages
from tools.reference_tables import REASONS, reasons, walk

OPTIONS = list(declared())


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_a_page_has_the_tables_of_now(path: Path) -> None:
    text = path.read_text()
    assert text == page(text), "run: python -m tools.reference"


def test_each_table_is_on_one_page() -> None:
    found = [name for path in pages() for name in re.findall(r"<!-- (\w+): python", path.read_text())]
    assert sorted(found) == sorted(TABLES)


def test_each_reason_of_a_rejected_line_is_explained() -> None:
    assert {reason for reason, _ in reasons()} == set(REASONS)
    assert all(re.fullmatch(r"[a-z`].*[^.]", text) for text in REASONS.values())


def test_each_command_has_a_section() -> None:
    named = re.findall(r"^## (.*)$", (FOLDER / "commands.md").read_text(), re.MULTILINE)
    assert named == sorted(name for name, _ in walk(typer.main.get_command(program())) if name)


def test_the_configuration_has_all_options() -> None:
    text = (FOLDER / "configuration.md").read_text()
    assert all(f"| `{option.flag}" in text for option in OPTIONS)


def commands(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    for name, command in group.commands.items():
        yield " ".join((*names, name)), command.help
        if hasattr(command, "commands"):
            yield from commands(command, (*names, name))


@pytest.mark.parametrize(("name", "text"), list(commands(typer.main.get_command(program()))))
def test_a_command_opens_with_a_verb_and_fits_in_a_line(name: str, text: str) -> None:
    summary = text.partition("\n")[0]
    assert re.match(r"(Check|Delete|Find|Follow|List|Print|Query|Report|Run|Send|Show|Watch|Write) ", summary)
    assert len(summary) <= 60 and summary.endswith(".")


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_has_a_default_or_an_example(option: Option[Any]) -> None:
    assert option.help.endswith((".", ").")) and option.help[0].isupper()
    says_how = option.default or "Default: " in option.help or "e.g. " in option.help
    assert says_how or isinstance(option.kind, Flag | Choice)
    if option.default and "$" not in option.default:
        option.parse(option.default)
