"""``--help`` of each group and command: 80 columns, panels, an example that works, and ``-h``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.cli.help import example_of
from otel_logtail.table import cells
from tests.support.commands import COMMANDS, NODES, ROOT
from tests.support.forked import run

GROUPS = [names for names in NODES if names not in COMMANDS]
SHELLS = {"--install-completion", "--show-completion"}


def path_of(names: tuple[str, ...]) -> str:
    return " ".join(("otel-logtail", *names))


def words_of(text: str) -> set[str]:
    return set(text.split())


@pytest.mark.parametrize("names", NODES, ids=path_of)
def test_the_help_fits_eighty_columns_and_breaks_no_word(names: tuple[str, ...], tmp_path: Path) -> None:
    text = run(*names, "--help", home=tmp_path).stdout
    assert text == run(*names, "-h", home=tmp_path).stdout
    assert [line for line in text.splitlines() if cells(line) > 80] == []
    assert text.startswith(f"Usage: {path_of(names)} ")
    assert "OTEL_LOGTAIL_" not in text.partition("  Each option ")[0]
    context = ROOT.make_context("otel-logtail", [], resilient_parsing=True)
    for parameter in NODES[names].params:
        record = parameter.get_help_record(context)
        if record is not None:
            assert words_of(record[1]) <= words_of(text), parameter.name
            assert {flag for flag in parameter.opts if flag.startswith("-")} <= {*re.findall(r"--?[a-z][a-z-]*", text)}


@pytest.mark.parametrize("names", NODES, ids=path_of)
def test_all_commands_of_a_group_are_listed_with_their_summary(names: tuple[str, ...], tmp_path: Path) -> None:
    text = run(*names, "--help", home=tmp_path).stdout
    for name, command in getattr(NODES[names], "commands", {}).items():
        summary = command.help.partition("\n")[0]
        assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE)


@pytest.mark.parametrize("names", NODES, ids=path_of)
def test_the_example_is_a_command_line_of_the_command(names: tuple[str, ...], tmp_path: Path) -> None:
    example = shlex.split(example_of(NODES[names]))
    assert example[:1] == ["otel-logtail"]
    assert [word for word in example if word in names][: len(names)] == [*names]
    arguments = example[1 + len(names) :] if names[:1] != ("doctor",) else []
    NODES[names].make_context("otel-logtail", arguments, parent=ROOT.make_context("x", [], resilient_parsing=True))
    shown = run(*names, "--help", home=tmp_path).stdout.partition("\nExample:\n")[2]
    assert shlex.split(shown.partition("\n\n")[0].replace("\\\n", " ")) == example


def test_options_and_commands_are_in_panels(tmp_path: Path) -> None:
    headings = re.findall(r"^(\w+):$", run("--help", home=tmp_path).stdout, re.MULTILINE)
    assert headings[:3] == ["Questions", "Setup", "Maintenance"]
    assert {"Following", "Observing", "Exporting"} <= {*headings}
    headings = re.findall(r"^(\w+):$", run("query", "samples", "--help", home=tmp_path).stdout, re.MULTILINE)
    assert headings == ["Rows", "Output", "Options", "Example"]


def test_variables_are_named_once(tmp_path: Path) -> None:
    text = run("--help", home=tmp_path).stdout
    assert text.count("OTEL_LOGTAIL_") == 1
    assert "--some-name is also the variable OTEL_LOGTAIL_SOME_NAME" in text.replace("\n", " ").replace("  ", " ")


@pytest.mark.parametrize("names", [names for names in GROUPS if names], ids=path_of)
def test_a_group_without_a_command_shows_its_help_or_answers(names: tuple[str, ...], tmp_path: Path) -> None:
    group: Any = NODES[names]
    done = run(*names, home=tmp_path, check=False)
    if group.invoke_without_command:
        assert done.returncode == 0
    else:
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == run(*names, "--help", home=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "what", "hint", "usage"),
    [
        (["query", "samples", "--sinc", "1h"], "no such option: --sinc", "did you mean --since?", "query samples [OPT"),
        (
            ["--since", "1h", "report"],
            "no such option: --since",
            "it is an option of 'otel-logtail report'",
            "[OPTIONS]",
        ),
        (
            ["query", "--db", "x", "samples"],
            "no such option: --db",
            "an option of 'otel-logtail query samples'",
            "query ",
        ),
        (
            ["doctor", "--observer", "x"],
            "no such option: --observer",
            "pass --observer before 'doctor'",
            "doctor [OPTIONS]",
        ),
        (["status", "--observer", "x"], "no such option: --observer", "otel-logtail status --help", "status [OPTIONS]"),
        (
            ["report", "--config", "x.toml"],
            "no such option: --config",
            "name the store instead: otel-logtail report --db FILE",
            "report [OPTIONS]",
        ),
        (
            ["query", "summary", "--where", "1"],
            "no such option: --where",
            "'otel-logtail query summary' has none; it is an option of 'otel-logtail query samples'",
            "query summary ",
        ),
        (["report", "--slo"], "option '--slo' requires an argument", "otel-logtail report --help", "report [OPTIONS]"),
        (["qury"], "no such command: otel-logtail qury", "did you mean query?", "[OPTIONS] COMMAND"),
        (
            ["query", "sampels"],
            "no such command: otel-logtail query sampels",
            "did you mean samples?",
            "query ",
        ),
        (["query", "samples", "--limit", "x"], "invalid value for '--limit': 'x' is not a number", "--help", "query "),
        (["query", "samples", "--format", "xml"], "invalid value for '--format'", "--help", "query samples "),
        (["detect"], "missing argument 'PATH...'", "otel-logtail detect --help", "detect "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_explained(words: list[str], what: str, hint: str, usage: str, tmp_path: Path) -> None:
    done = run(*words, home=tmp_path, check=False)
    said = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert said[0].startswith(f"otel-logtail: error: {what}")
    assert said[1] == said[3] == ""
    assert said[2].startswith("hint: ") and hint in said[2]
    assert said[4].startswith("Usage: otel-logtail ") and usage in said[4]
