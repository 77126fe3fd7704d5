"""File names of any bytes: each is followed, stored, sent and shown, and none ends the daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from otel_logtail.observer import PathRule
from otel_logtail.store.rows import path_of_text, text_of_path
from tests.support.following import Following
from tests.support.forked import run
from tests.support.places import CAPTURES
from tests.support.tailing import rotate

NAMES = [
    b"caf\xe9",
    b"\xff\xfe\x80",
    b"half \xe2\x82",
    b"new\nline",
    b"\x1b[31mred\x07",
    b"caf\xc3\xa9",
    "cafe\u0301".encode(),
    "\u202efdp".encode(),
    "\uefe9\U0001f600".encode(),
    b"back\\xe9slash",
    b"%E9 %",
    b"file:",
    b"'quoted\" `x` $(y)",
    b" ",
    b"-option",
    b"x" * 200,
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_path_becomes_text_that_can_be_sent_and_is_the_same_path_again(name: bytes) -> None:
    path = "/logs/" + os.fsdecode(name)
    text = text_of_path(path)
    assert path_of_text(text) == path
    assert json.loads(json.dumps(text).encode()) == text
    assert text == path or (text.startswith("file:///logs/") and text.isascii())


def test_no_two_names_become_one_text() -> None:
    assert len({text_of_path("/logs/" + os.fsdecode(name)) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    ("name", "locale"), [*zip(NAMES, ["C", "C.UTF-8"] * len(NAMES), strict=False), (NAMES[0], "C.UTF-8")], ids=repr
)
def test_a_log_in_a_folder_of_that_name_is_read_once_and_reaches_every_exporter(
    tmp_path: Path, name: bytes, locale: str
) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    folder.mkdir()
    log, db, sent = folder / "proxy-8787.log", tmp_path / "store.db", tmp_path / "sent.jsonl"
    lines = (CAPTURES / "0.42.0-stall.log").read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    log.write_bytes(b"".join(lines[:half]))
    expected = sum(b"STAGE_TIMINGS" in line and b"openai_responses_ws" not in line for line in lines)
    environ = {"LC_ALL": locale}
    for pattern in (log, folder / "*.log"):
        done = run(
            *("--observer", "headroom", "--path", pattern, "--db", db, "--once", "--from-start"),
            *("--exporter", "jsonl", "--jsonl-file", sent),
            home=tmp_path,
            environ=environ,
        )
        assert "\x1b" not in done.stderr
        assert all(line.startswith("otel-logtail: ") for line in done.stderr.splitlines())
        with log.open("wb") if pattern == log else log.open("ab") as file:
            file.write(b"".join(lines[:half] if pattern == log else []))
            file.write(b"".join(lines[half:] if pattern == log else []))
    as_json, at = ("--format", "json"), ("--db", db)
    questions = [
        *(("query", what, *at, *as_json) for what in ("samples", "episodes")),
        *(("status", *at), ("status", *at, *as_json), ("query", "samples", *at, "--format", "csv"), ("doctor", *at)),
    ]
    in_samples, in_episodes, *others = (
        run(*question, home=tmp_path, environ=environ, check=False) for question in questions
    )
    samples, episodes = json.loads(in_samples.stdout), json.loads(in_episodes.stdout)
    assert len(samples) == expected
    assert {sample["file"] for sample in samples} == {text_of_path(str(log))}
    assert all(json.loads(line) for line in sent.read_bytes().splitlines())
    assert len(episodes) == 2
    assert all(done.stdout and "Traceback" not in done.stderr for done in others)


@pytest.mark.parametrize("name", [b"x\xff.log", b"proxy\xfe-1.log", b"new\nline.log"], ids=repr)
def test_such_a_name_beside_a_log_is_followed_and_holds_up_nothing(tmp_path: Path, name: bytes) -> None:
    with Following(tmp_path, patterns=[tmp_path / "logs" / "*.log"]) as following:
        following.write(3)
        following.start().caught_up()
        odd = Path(os.fsdecode(os.fsencode(following.logs) + b"/" + name))
        following.write(2, odd)
        following.write(2)
        following.caught_up()
        with following.away(killed=True):
            following.write(2, odd)
            rotate(odd)
            following.write(2, odd)
        following.finish()
        assert {path for (path,) in following.rows("SELECT DISTINCT live FROM file")} == {
            text_of_path(str(odd)),
            str(following.log),
        }


# --- labels -------------------------------------------------------------------------------------------------------

RULE = PathRule(patterns=(), live=r"proxy-(?P<port>.+)\.log", attributes=(("port", "server.port"),))


def test_different_ports_in_names_stay_different_series_and_fit_into_64_bits() -> None:
    big = "12345678901234567890123"
    texts = [
        "8787",
        "08787",
        "0",
        "00",
        "9" * 18,
        "9" * 19,
        str(2**63),
        big,
        big + "0",
        "\u0663",
        "3",
        "a",
        "-1",
        "1e3",
    ]
    values = [RULE.attributes_of(f"proxy-{text}.log")[0][1] for text in texts]
    assert len(set(values)) == len(values)
    assert values[0] == 8787
    assert values[7] == big
    assert all(isinstance(value, str) or value < 2**63 for value in values)


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_part_of_any_name_can_be_sent_as_an_attribute(name: bytes) -> None:
    ((_, value),) = RULE.attributes_of(f"proxy-{os.fsdecode(name)}.log") or (("", ""),)
    assert str(value).encode().decode() == value


def test_ports_beyond_64_bits_reach_the_store_as_series_of_their_own(tmp_path: Path) -> None:
    ports = ["8787", "12345678901234567890123", "12345678901234567890124"]
    with Following(tmp_path, patterns=[tmp_path / "logs" / "*.log"]) as following:
        for port in ports:
            following.write(2, following.logs / f"proxy-{port}.log")
        following.start().caught_up()
        following.finish()
        rows = following.rows("SELECT attributes FROM series WHERE instrument = 'duration'")
        assert {str(json.loads(text)["server.port"]) for (text,) in rows} == set(ports)
