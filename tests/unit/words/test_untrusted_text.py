"""Text from outside (logs, file names, receivers) in a terminal, a journal or systemd's status."""

from __future__ import annotations

import ast
import csv
import inspect
import io
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import otel_logtail
from otel_logtail.cli import answers
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.events import Reporter
from otel_logtail.log import FIXED, Style
from otel_logtail.model import Activity, Deliveries

SOURCES = Path(otel_logtail.__file__).parent
HOSTILE = (
    "\x1b]0;x\x07 \x1b[2J a\nMAINPID=1\r\notel-logtail: error: forged \u202e txt.\u2066 \x9b31m \u2028 \udcff \x00"
)


DONE = Activity(seconds=3, bytes=3, samples=3, slow=3, episodes=3, behind=3, exporters={HOSTILE: Deliveries(3, 3)})
VALUES = {
    "str": HOSTILE,
    "int": 3,
    "float": 3.0,
    "bool": True,
    "Sequence[tuple[str, int]]": [(HOSTILE, 3)],
    "Activity": DONE,
}
ANSWERS = {"troubles", "redact", "fails", "failing"}
"""Methods that log nothing."""


def methods() -> dict[str, Callable[..., None]]:
    found = inspect.getmembers(Reporter, inspect.isfunction)
    return {name: method for name, method in found if not name.startswith("_") and name not in ANSWERS}


def said_by(name: str, style: Style) -> str:
    """Return the output of a method whose arguments are all hostile text."""
    out = io.StringIO()
    reporter = Reporter(out, style, clock=lambda: 1_795_457_770_123_456_789)
    for before in methods():  # an object that has ended must have started
        for each in (before, name):
            signature = inspect.signature(getattr(reporter, each))
            given = {parameter.name: VALUES[str(parameter.annotation)] for parameter in signature.parameters.values()}
            getattr(reporter, each)(**given)
    return out.getvalue()


def lines_by(name: str, style: Style) -> list[str]:
    *lines, last = said_by(name, style).split("\n")
    assert (last, lines != []) == ("", True)
    assert [line for line in lines if not line.isprintable()] == []
    return lines


@pytest.mark.parametrize("name", methods())
def test_every_message_is_one_printable_line(name: str) -> None:
    lines = lines_by(name, Style(least="debug"))
    assert [line for line in lines if not line.startswith("otel-logtail: ")] == []
    assert [line for line in lines if line.startswith("otel-logtail: error: forged")] == []


@pytest.mark.parametrize("name", methods())
def test_every_line_of_the_log_begins_with_time_and_level(name: str) -> None:
    begin = re.compile(r"2026-11-23T18:16:10\.123Z (debug|info|warning|error): ")
    assert [line for line in lines_by(name, Style("text", "debug")) if not begin.match(line)] == []


@pytest.mark.parametrize("name", methods())
def test_every_line_of_the_journal_begins_with_its_priority(name: str) -> None:
    lines = lines_by(name, Style("text", "debug", in_journal=True))
    assert [line for line in lines if not re.match(r"<[3467]>(?!<)", line)] == []


@pytest.mark.parametrize("name", methods())
def test_every_line_as_json_is_an_object_with_the_text_unchanged(name: str) -> None:
    for line in lines_by(name, Style("json", "debug")):
        assert line.isascii()
        told = json.loads(line)
        assert tuple(told)[: len(FIXED)] == FIXED
        assert told["time"] == "2026-11-23T18:16:10.123Z"
        assert {value for value in told.values() if isinstance(value, str) and "forged" in value} <= {
            HOSTILE.replace("\udcff", r"\udcff"),  # strict parsers refuse half a character
            told["message"],
        }
        json.dumps(told, ensure_ascii=False).encode()


def test_the_status_line_can_not_become_a_field_of_its_own(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")}).ready(f"following {HOSTILE}")
        fields = systemd.recv(65536).decode().split("\n")
    assert [field.partition("=")[0] for field in fields] == ["READY", "STATUS"]
    assert all(field.isprintable() for field in fields)


class Terminal(io.TextIOWrapper):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def written(form: str, *, to: type[io.TextIOWrapper], encoding: str = "utf-8") -> str:
    buffer = io.BytesIO()
    out = to(buffer, encoding=encoding)
    rows = [(1, "plain é"), (2, HOSTILE.replace("\udcff", "\U000e0001"))]
    answers.write_rows(out, ("id", "text"), rows, form, width=200)  # type: ignore[arg-type]  # each format, by name
    out.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_a_terminal_gets_no_character_that_moves_it(form: str) -> None:
    shown = written(form, to=Terminal).replace("\x1b[1m", "").replace("\x1b[0m", "")  # the heading of a table is bold
    assert [line for line in shown.split("\n") if not line.isprintable()] == []
    assert "plain é" in shown


@pytest.mark.parametrize("to", [Terminal, io.TextIOWrapper])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_stays_json_with_the_same_text(to: type[io.TextIOWrapper], encoding: str) -> None:
    text = HOSTILE.replace("\udcff", "\U000e0001")
    assert json.loads(written("json", to=to, encoding=encoding)) == [
        {"id": 1, "text": "plain é"},
        {"id": 2, "text": text},
    ]


def test_a_file_gets_csv_as_it_is() -> None:
    text = HOSTILE.replace("\udcff", "\U000e0001")
    content = written("csv", to=io.TextIOWrapper)
    assert content.count("\0") == text.count("\0") > 0
    rows = list(csv.reader(io.StringIO(content.replace("\0", "NUL"), newline="")))  # Python 3.10 reads no NUL
    assert rows[2] == ["2", text.replace("\0", "NUL")]


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_stream_with_another_encoding_is_accepted(form: str, encoding: str) -> None:
    assert "plain" in written(form, to=io.TextIOWrapper, encoding=encoding)


class Record(msgspec.Struct):
    text: str


def test_single_records_are_covered_too() -> None:
    text = HOSTILE.replace("\udcff", "")
    for status in (False, True):
        out = Terminal(io.BytesIO(), encoding="utf-8")
        if status:
            answers.write_status(out, {"sources": [{"name": text}]}, "json")
        else:
            answers.write_summary(out, Record(text), "json")
        out.flush()
        out.seek(0)
        assert all(line.isprintable() for line in out.read().split("\n"))


ALLOWED = {"errors.py", "log.py"}
"""The modules that write to standard error: through one function each, which escapes."""


def test_nothing_else_writes_to_standard_error() -> None:
    found = []
    for path in SOURCES.rglob("*.py"):
        if path.name in ALLOWED:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("stderr", "__stderr__"):
                found.append(f"{path.name}:{node.lineno}")
            if isinstance(node, ast.keyword) and node.arg == "err":
                found.append(f"{path.name}:{node.value.lineno}")
    assert found == []


LIBRARY = """
import logging, warnings
from otel_logtail.cli.errors import logs_in_one_line, redact_logs
redact = lambda text: text.replace("secret", "***")
redact_logs(redact)
logs_in_one_line(redact)
logger = logging.getLogger("urllib3.connectionpool")
logger.warning("a %s", "line\\nforged \\x1b[2J secret")
try:
    raise ValueError("two\\nlines secret")
except ValueError:
    logger.exception("it failed")
logger.info("nobody asks for this")
warnings.warn("odd\\nthing secret")
"""


def test_what_a_library_logs_or_warns_of_is_one_line_too() -> None:
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, check=True)
    warned, failed, odd, end = done.stderr.split("\n")
    assert end == ""
    assert warned == r"otel-logtail: warning: urllib3.connectionpool: a line\nforged \x1b[2J ***"
    assert failed.startswith(
        r"otel-logtail: error: urllib3.connectionpool: it failed: ValueError: two\nlines *** (at <string>:10)"
    )
    assert odd.startswith(r"otel-logtail: warning: UserWarning: odd\nthing *** (at ")


def test_a_file_name_can_not_forge_a_line_of_the_journal(tmp_path: Path) -> None:
    from tests.support.forked import run

    log = os.path.join(tmp_path, "a\notel-logtail: error: forged\x1b[2J.log")
    Path(log).write_bytes(b"")
    done = run("--observer", "headroom", "--path", log, "--once", "--db", tmp_path / "s.db", home=tmp_path, check=False)
    assert all(line.isprintable() for line in done.stderr.split("\n")), done.stderr
    assert "otel-logtail: error: forged" not in done.stderr.split("\n")
    missing = run("--observer", "headroom", "--path", f"{log}2", "--once", "--db", "/x", home=tmp_path, check=False)
    assert len(missing.stderr.splitlines()) == 5
    assert missing.stderr.replace("\n", "").isprintable()
