"""Exit codes and messages of commands whose output cannot be written, or that fail unexpectedly."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_logtail.cli.errors import ended
from otel_logtail.errors import UsageError
from tests.support.command import HEADROOM, PROGRAM, environ, words_of
from tests.support.commands import COMMANDS
from tests.support.forked import CLOSED, UNREAD, exit_code
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file
from tests.support.waiting import bound_s

WITHOUT_STORE = {"detect", "observers", "exporters", "service", "demo"}
TO_STDOUT = [
    names for names in COMMANDS if names not in (("mark",), ("prune",), ("retry",), ("demo",), ("observers", "new"))
]
HELP = [("--help",), ("--version",), ("observers",), ("query", "--help"), ("report", "--help")]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [Written(NOON + n * SECOND, (600 if n == 30 else 5) * 10**6, ()) for n in range(60)]
    return make_file(tmp_path_factory.mktemp("store") / "s.db", samples, [Stall(NOON, NOON + SECOND)])


def run(words: list[str], home: Path, store: Path, shell: str) -> tuple[int, list[str]]:
    """Run it with the shell's redirections; returns the exit code and the lines on stderr."""
    command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *PROGRAM, *words]
    done = subprocess.run(
        command, env=environ(home, store), stderr=subprocess.PIPE, text=True, timeout=bound_s(60), check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr.splitlines()


NOWHERE = "otel-logtail: error: cannot write to standard output: "
EACH = pytest.mark.parametrize("words", [*map(words_of, TO_STDOUT), *map(list, HELP)], ids=" ".join)


@EACH
def test_output_to_a_full_disk_is_one_error(words: list[str], tmp_path: Path, store: Path) -> None:
    errors = tmp_path / "stderr"
    code = exit_code(words, environ=environ(tmp_path, store), streams=(os.devnull, "/dev/full", str(errors)))
    assert (code, errors.read_text()) == (1, f"{NOWHERE}No space left on device\n")


@pytest.mark.parametrize("shell", [">&-", "<&- >&-"])
def test_a_closed_output_is_one_error(shell: str, tmp_path: Path, store: Path) -> None:
    assert run(["query", "samples"], tmp_path, store, shell) == (1, [NOWHERE + "it is closed"])


@EACH
@pytest.mark.parametrize("stdin", [os.devnull, CLOSED], ids=["stdin is open", "stdin is closed"])
def test_a_closed_output_is_one_error_of_every_command(
    stdin: str | None, words: list[str], tmp_path: Path, store: Path
) -> None:
    errors = tmp_path / "stderr"
    code = exit_code(words, environ=environ(tmp_path, store), streams=(stdin, CLOSED, str(errors)))
    assert (code, errors.read_text()) == (1, f"{NOWHERE}it is closed\n")


def without_a_reader(words: list[str], home: Path, store: Path) -> int:
    """Run it with a pipe without a reader; return the exit code."""
    errors = home / "stderr"
    code = exit_code(words, environ=environ(home, store), streams=(os.devnull, UNREAD, str(errors)))
    assert "error" not in errors.read_text().lower(), errors.read_text()
    return code


@EACH
def test_a_pipe_without_a_reader_is_not_an_error(words: list[str], tmp_path: Path, store: Path) -> None:
    expected = 1 if words == ["doctor"] else 0  # doctor fails because no daemon runs
    assert without_a_reader(words, tmp_path, store) == expected


def test_a_reader_that_exits_is_not_an_error(tmp_path: Path, store: Path) -> None:
    code, lines = run(["query", "samples", "--format", "json"], tmp_path, store, "| true; exit ${PIPESTATUS[0]}")
    assert (code, lines) == (0, [])


def test_the_verdict_sets_the_exit_code_without_a_reader_too(tmp_path: Path, store: Path) -> None:
    words = ["report", "--since", "@0", "--slo", "max<1ms"]
    assert without_a_reader(words, tmp_path, store) == 1
    assert without_a_reader([*words[:-1], "max<9s"], tmp_path, store) == 3  # too few samples
    assert without_a_reader(words[:-2], tmp_path, store) == 0


@pytest.mark.parametrize("shell", ["2>&-", ">&- 2>&-", "2> /dev/full"])
def test_unread_messages_change_no_exit_code(shell: str, tmp_path: Path, store: Path) -> None:
    assert run(["query", "summary", "--db", "/nowhere"], tmp_path, store, shell)[0] == 2
    assert run(["prune"], tmp_path, store, shell)[0] == 0


def test_a_closed_stream_is_not_replaced_by_a_file(tmp_path: Path, store: Path) -> None:
    """A file that is opened gets the lowest free number: a message must not end up in the store."""
    before = store.read_bytes()
    assert run(["query", "samples"], tmp_path, store, "<&- >&- 2>&-")[0] == 1
    assert run(["prune", "--db", "/nowhere"], tmp_path, store, "<&- >&- 2>&-")[0] == 2
    assert store.read_bytes() == before


# --- unexpected errors ---

UNFORESEEN = """
import importlib.abc, json, os, re, sys
from otel_logtail.cli.main import main

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if re.match("otel_logtail[.](?!observers|exporters)[a-z]+[.]", name):
            sys.meta_path.remove(self)
            raise KeyError('x\\nforged')

sys.meta_path.insert(0, Finder())
for words in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if not os.fork():
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(read)
        os.close(write)
        sys.argv[1:] = words
        main()
    os.close(write)
    with open(read, encoding="utf-8") as printed:
        text = printed.read()
    print(json.dumps([os.waitstatus_to_exitcode(os.wait()[1]), text]))
"""
"""The program itself, where the first of its own modules that a command imports can't be: a process for each of the
given commands prints its exit code and its output. A plug-in that can't be imported is another error."""


@pytest.fixture(scope="module")
def unforeseen(tmp_path_factory: pytest.TempPathFactory, store: Path) -> dict[tuple[str, ...], tuple[int, str]]:
    """Return the exit code and the output of each command."""
    each = [(), *COMMANDS]
    words = [words_of(names) if names else [*HEADROOM, "--once"] for names in each]
    done = subprocess.run(
        [sys.executable, "-c", UNFORESEEN, json.dumps(words)],
        env=environ(tmp_path_factory.mktemp("home"), store),
        capture_output=True,
        text=True,
        timeout=bound_s(60),
        check=True,
    )
    ended = [json.loads(line) for line in done.stdout.splitlines()]
    return {names: (code, printed) for names, (code, printed) in zip(each, ended, strict=True)}


@pytest.mark.parametrize("names", [(), *COMMANDS], ids=lambda names: " ".join(names) or "follow")
def test_any_other_exception_of_any_command_is_one_line_and_a_hint(
    names: tuple[str, ...], unforeseen: dict[tuple[str, ...], tuple[int, str]]
) -> None:
    code, printed = unforeseen[names]
    assert code == 1
    error, _, hint = printed.splitlines()
    assert error.startswith("otel-logtail: error: internal error: KeyError: 'x\\nforged' (at <string>:9 < ")
    assert hint.startswith("hint: ")


class Odd(Exception):
    def __str__(self) -> str:
        return "two\nlines \x1b[31m \u202e \udcff"


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (UsageError("bad \x1b[2J", hint="x\ny"), 2, ["otel-logtail: error: bad \\x1b[2J", "", "hint: x\\ny"]),
        (KeyboardInterrupt(), 130, []),
        (MemoryError(), 1, ["otel-logtail: error: out of memory"]),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a\nb"),
            1,
            ["otel-logtail: error: Permission denied: /a"],
        ),
        (OSError("odd"), 1, ["otel-logtail: error: odd"]),
        (
            Odd(),
            1,
            [r"otel-logtail: error: internal error: Odd: two lines \x1b[31m \u202e \udcff (at an unknown place)"],
        ),
        (RecursionError(), 1, ["otel-logtail: error: internal error: RecursionError (at an unknown place)"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_each_kind_of_exception_has_its_code_and_its_line(
    problem: BaseException, code: int, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(problem) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 3
    assert [line[: len(wanted)] for line, wanted in zip(lines, said, strict=False)] == said


def test_an_error_in_a_thread_is_one_line_too() -> None:
    code = (
        "import threading\nfrom otel_logtail.cli.errors import prepare_process\nprepare_process()\n"
        "thread = threading.Thread(target=lambda: {}['x'])\nthread.start()\nthread.join()\n"
        "class Bad:\n    def __del__(self): raise ValueError('late')\nBad()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [line.partition(" (at ")[0] for line in done.stderr.splitlines() if line.startswith("otel")] == [
        "otel-logtail: error: internal error: KeyError: 'x'",
        "otel-logtail: error: internal error: ValueError: late",
    ]


def test_a_group_of_commands_alone_shows_its_help(tmp_path: Path, store: Path) -> None:
    code, said = run(["query"], tmp_path, store, "")
    assert code == 2
    assert said[0].startswith("Usage: ")
