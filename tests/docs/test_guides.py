"""Commands in guides and tutorials: those of a marked block work as printed, and all others fit the real parser.

A block behind ``<!-- run: NAME -->`` runs in a folder with the captures and with the configuration that the page shows.
Lines below a command are its output; ``…`` stands for any further lines.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from typer.testing import CliRunner

from otel_logtail.cli.program import program
from otel_logtail.cli.start import declared
from otel_logtail.errors import UsageError
from tests.support.places import ROOT

ROOT_COMMAND: Any = typer.main.get_command(program())
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("README.md")]
ALL = re.DOTALL | re.MULTILINE
GUIDES = [*(ROOT / "docs" / "tutorials").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")]
DECLARED = {option.name: option for option in declared()}
RUN_ELSEWHERE = {"acme", "backup", "restore"}
"""Blocks that ``test_observers_page`` and ``test_operations`` run."""


class Printed(NamedTuple):
    """A command of a page, and the output below it."""

    command: str
    output: list[str]


def printed(block: str) -> Iterator[Printed]:
    """Yield the commands of a console block; a command may continue behind a backslash."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *output = re.sub(r"\\\n *", "", part).splitlines()
        yield Printed(command, output)


def console(text: str) -> Iterator[Printed]:
    for block in re.findall(r"^```console\n(.*?)^```", text, ALL):
        yield from printed(block)


PROGRAM = re.compile(r"(?:^|[|;&] *|\bsudo |-- )(?:[A-Z_]+=\S+ )*(?:/opt/otel-logtail/bin/)?otel-logtail( .*|$)")


def invocations() -> Iterator[tuple[str, list[str]]]:
    """Yield the page and the words of each call of otel-logtail."""
    for page in sorted(PAGES):
        for command, _ in console(page.read_text()):
            for found in PROGRAM.finditer(command):
                words = shlex.split(re.split(r" \|\|? | >>? | && |  #", found[1])[0])
                yield page.relative_to(ROOT).as_posix(), words


CALLS = list(invocations())


def is_valid(option: Any, value: str) -> bool:
    if choices := getattr(option.type, "choices", None):
        return value in choices
    try:
        return option.name not in DECLARED or DECLARED[option.name].parse(value) is not None
    except UsageError:
        return False


def wrong(words: list[str]) -> list[str]:
    """Return the words of a call that the program does not have: commands, options and choices."""
    command, found = ROOT_COMMAND, []
    options = {flag: one for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        flag, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word.startswith("-"):
            option = options.get(flag)
            if option is None and flag not in ("--help", "-h"):
                found.append(flag)
            elif option is not None and not option.is_flag:
                value = value if has_value else waiting.pop(0)
                found += [f"{flag} {value}"] if not is_valid(option, value) else []
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return [*found, word]
            command = command.commands[word]
            options |= {flag: one for one in command.params for flag in one.opts}
    return found


@pytest.mark.parametrize("page", sorted({page for page, _ in CALLS}))
def test_a_page_names_commands_and_options_that_exist(page: str) -> None:
    calls = [words for of, words in CALLS if of == page]
    assert [(shlex.join(words), bad) for words in calls if (bad := wrong(words))] == []


@pytest.mark.parametrize(
    ("call", "bad"),
    [
        ("query smaples", ["smaples"]),
        ("report --slos p99", ["--slos"]),
        ("--observer nginx --framing rsyslog", ["--framing rsyslog"]),
        ("query samples --format=yaml", ["--format yaml"]),
        ("--observer nginx --db a.db doctor --format json", []),
        ("service systemd --user alice --observer nginx", []),
    ],
)
def test_a_wrong_word_is_found(call: str, bad: list[str]) -> None:
    assert wrong(shlex.split(call)) == bad


def test_most_pages_have_commands() -> None:
    assert len(CALLS) > 80
    assert len({page for page, _ in CALLS}) > 20


# --- blocks that run ---


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    for name, block in re.findall(r"<!-- run: (\w+) -->\n```console\n(.*?)^```", page.read_text(), ALL):
        if name not in RUN_ELSEWHERE:
            yield name, block


RUNNING = sorted(page for page in GUIDES if any(blocks(page)))


def matches(shown: list[str], actual: list[str]) -> bool:
    """Return whether the output begins as shown; without ``…`` at the end it must be equal."""
    if shown[-1:] == ["…"]:
        return actual[: len(shown) - 1] == shown[:-1]
    return not shown or actual == shown


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.stem)
def test_the_commands_of_a_guide_work_as_printed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "tests" / "captures", tmp_path / "tests" / "captures")
    for name, content in re.findall(r"^```toml\n# (\S+\.toml)\n(.*?)^```", page.read_text(), ALL):
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("HOME", str(tmp_path))
    runner = CliRunner(env={"XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "120"})
    for _, block in blocks(page):
        for command, output in printed(block):
            name, *words = shlex.split(command)
            assert name == "otel-logtail"
            done = runner.invoke(program(), words)
            assert done.exit_code == 0, f"{command}\n{done.output}"
            assert matches(output, done.stdout.splitlines()), f"{command}\n{done.stdout}"


def test_some_guides_run() -> None:
    assert {"first-report", "pipeline", "before-and-after", "several-sources"} <= {page.stem for page in RUNNING}
