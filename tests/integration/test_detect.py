"""`otel-logtail detect`: the observer that reads a log, the command to run, and what is missing if none does."""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path

import pytest

from otel_logtail.plugins import OBSERVERS, names
from tests.support.forked import run
from tests.support.places import CAPTURES

STALL = CAPTURES / "0.42.0-stall.log"


def captures(name: str) -> list[Path]:
    """Return the captures of an observer that hold samples by their README."""
    return sorted(path for path in (CAPTURES / name).glob("*.expected.tsv"))


def found(home: Path, *paths: object, check: bool = True) -> list[dict[str, object]]:
    done = run("detect", *paths, "--format", "json", home=home, check=check)
    answer: list[dict[str, object]] = json.loads(done.stdout)
    return answer


KNOWN = [
    (name, path.with_name(path.name.removesuffix(".expected.tsv")))
    for name in names(OBSERVERS)
    for path in captures(name)
]


@pytest.mark.parametrize(("name", "log"), KNOWN, ids=lambda value: getattr(value, "name", value))
def test_the_observer_of_each_capture_is_found(tmp_path: Path, name: str, log: Path) -> None:
    (answer,) = found(tmp_path, log)
    assert answer["observer"] == name
    assert 0 < int(str(answer["samples"])) <= int(str(answer["lines"]))
    assert answer["command"] == f"otel-logtail --observer {name} --path {log}"


def test_the_command_reads_the_log(tmp_path: Path) -> None:
    log = tmp_path / "a log [1].log"
    log.write_bytes(STALL.read_bytes())
    shown = run("detect", log, home=tmp_path)
    assert shown.stdout.startswith(f"{log}: headroom, 46 samples in 537 lines\n")
    assert "the time stamps have no zone" not in shown.stdout  # headroom's ids hold the zone
    command = shlex.split(shown.stdout.splitlines()[-1])
    assert command[0] == "otel-logtail"
    done = run(*command[1:], "--once", home=tmp_path)
    assert f"following {log} from byte 0" in done.stderr


def test_a_compressed_log_is_read_once(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log.1.gz"
    log.write_bytes(gzip.compress(STALL.read_bytes()))
    (answer,) = found(tmp_path, log)
    assert answer["observer"] == "headroom"
    assert answer["command"] == f"otel-logtail --observer headroom --path {log} --once"


@pytest.mark.parametrize(
    ("framing", "prefix"),
    [
        ("syslog", b"2026-11-29T11:59:54.215217-03:30 host headroom[1205]: "),
        ("cri", b"2026-11-29T11:59:54.215217123Z stdout F "),
        ("none", b""),
    ],
)
def test_the_wrapper_of_lines_is_named(tmp_path: Path, framing: str, prefix: bytes) -> None:
    log = tmp_path / "wrapped.log"
    log.write_bytes(b"".join(prefix + line + b"\n" for line in STALL.read_bytes().splitlines()))
    (answer,) = found(tmp_path, log)
    assert (answer["observer"], answer["framing"]) == ("headroom", framing)
    shown = run("detect", log, home=tmp_path).stdout
    assert (f"the wrapper of each line ({framing}) is removed" in shown) == bool(prefix)


def test_a_log_of_no_observer_has_exit_code_1_and_the_names_that_were_tried(tmp_path: Path) -> None:
    log = tmp_path / "other.log"
    log.write_text("hello\nworld\n")
    done = run("detect", log, home=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{log}: no observer finds a sample in 2 lines\n")
    assert f"  tried: {', '.join(names(OBSERVERS))}\n" in done.stdout
    (answer,) = found(tmp_path, log, check=False)
    assert (answer["observer"], answer["command"], answer["samples"], answer["lines"]) == ("", "", 0, 2)
    assert set(answer["tried"]) == set(names(OBSERVERS))  # type: ignore[call-overload]


def test_advice_is_shown_if_the_path_holds_the_name_or_the_format_changed(tmp_path: Path) -> None:
    folder = tmp_path / "headroom"
    folder.mkdir()
    log = folder / "proxy.log"
    log.write_text("hello\n")
    done = run("detect", log, home=tmp_path, check=False)
    assert "  headroom: the observer finds no duration in it" in done.stdout
    log.write_bytes(STALL.read_bytes().replace(b'"stages": {', b'"stages": [').replace(b"}}", b"]}"))
    done = run("detect", log, home=tmp_path, check=False)
    assert "  headroom: 46 lines have an unknown format: " in done.stdout


def test_one_of_several_logs_is_enough(tmp_path: Path) -> None:
    log = tmp_path / "empty.log"
    log.touch()
    assert [answer["observer"] for answer in found(tmp_path, log, STALL)] == ["", "headroom"]
    assert run("detect", log, home=tmp_path, check=False).returncode == 1


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    done = run("detect", tmp_path / "nothing.log", home=tmp_path, check=False)
    assert done.returncode == 2
    assert f"error: cannot read {tmp_path}/nothing.log: no such file or directory" in done.stderr


def test_every_format_has_the_same_values(tmp_path: Path) -> None:
    forms = ("json", "jsonl", "csv")
    answers = [run("detect", STALL, "--format", form, home=tmp_path) for form in forms]
    assert json.loads(answers[0].stdout)[0] == json.loads(answers[1].stdout)
    assert answers[2].stdout.splitlines()[1].startswith(f"{STALL},headroom,46,537,")
