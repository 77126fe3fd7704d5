"""Options of an exporter that is not chosen: a flag is refused, a variable is for other runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import USAGE
from tests.support.forked import run
from tests.support.places import CAPTURES


def once(folder: Path, *arguments: object, **environ: str) -> tuple[int, str]:
    log = CAPTURES / "0.42.0-invalid.log"
    command = ("--observer", "headroom", "--path", log, "--once", "--db", folder / "s.db", *arguments)
    done = run(*command, home=folder, check=False, environ=environ)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--histogram", "foo"],
            "invalid --histogram 'foo': expected explicit or exponential\n\nhint: use explicit or exponential\n",
        ),
        (
            ["--events", "foo"],
            "invalid --events 'foo': expected span, log, both or spans\n\nhint: use span, log, both or spans\n",
        ),
        (
            ["--otlp-protocol", "grpc"],
            "--otlp-protocol is for otlp, and that is not chosen\n\nhint: add --exporter otlp\n",
        ),
        (
            ["--events", "log", "--exporter", "console"],
            "--events is for jsonl or otlp or sdk, and that is not chosen\n\n"
            "hint: add --exporter jsonl or otlp or sdk\n",
        ),
        (
            ["--jsonl-file", "x"],
            "--jsonl-file is for jsonl, and that is not chosen\n\nhint: add --exporter jsonl\n",
        ),
    ],
)
def test_a_flag_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert once(tmp_path, *arguments) == (2, f"otel-logtail: error: {said}{USAGE}")
    assert not (tmp_path / "s.db").exists()


@pytest.mark.parametrize("variable", ["OTLP_PROTOCOL", "HISTOGRAM", "JSONL_FILE"])
def test_a_variable_is_not(tmp_path: Path, variable: str) -> None:
    code, said = once(tmp_path, **{f"OTEL_LOGTAIL_{variable}": "foo"})
    assert code == 0
    assert "error" not in said


def test_a_flag_of_one_that_is_chosen_is_taken(tmp_path: Path) -> None:
    arguments = ("--exporter", "jsonl", "--jsonl-file", tmp_path / "x.jsonl", "--histogram", "exponential")
    assert once(tmp_path, *arguments)[0] == 0
    assert "exponentialHistogram" in (tmp_path / "x.jsonl").read_text()
