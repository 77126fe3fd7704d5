"""``--once`` reports its progress on a terminal, its result, and the next command."""

from __future__ import annotations

import gzip
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.command import environ
from tests.support.forked import run
from tests.support.lines import line, lines
from tests.support.places import CAPTURES

CAPTURE = "0.42.0-stall"


def said(text: str) -> list[str]:
    return [row.removeprefix("otel-logtail: ") for row in text.splitlines()]


def once(folder: Path, log: Path, *words: object) -> list[str]:
    done = run("--observer", "headroom", "--path", log, "--once", "--db", folder / "s.db", *words, home=folder)
    return said(done.stderr)


def test_the_result_is_one_line_and_the_next_command_works(tmp_path: Path) -> None:
    *_, result, following = once(tmp_path, CAPTURES / f"{CAPTURE}.log")
    assert re.fullmatch(
        r"read 111 new samples, 10 slow, 2 new episodes \(301\.0 KiB of 1 file in \d+\.\d s\)", result
    ), result
    assert following.startswith("next: otel-logtail report ")
    words = shlex.split(following.removeprefix("next: otel-logtail "))
    done = run(*words, home=tmp_path)
    assert ": 111 samples, " in done.stdout


def test_a_machine_without_a_home_gets_the_next_command_too(tmp_path: Path) -> None:
    words = (
        "--observer",
        "headroom",
        "--path",
        str(CAPTURES / f"{CAPTURE}.log"),
        "--once",
        "--db",
        str(tmp_path / "s"),
    )
    done = subprocess.run(
        [sys.executable, "-m", "otel_logtail", *words],
        env={"PATH": os.environ["PATH"], "HOME": "nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert said(done.stderr)[-1].startswith("next: otel-logtail report ")


def test_a_second_run_has_nothing_new(tmp_path: Path) -> None:
    once(tmp_path, CAPTURES / f"{CAPTURE}.log")
    again = once(tmp_path, CAPTURES / f"{CAPTURE}.log")
    assert again[-1].startswith("read 0 new samples, 0 slow, 0 new episodes (0 B of 0 files in ")


def test_several_files_are_counted(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"proxy-{8000 + number}.log").write_bytes(line(number, ms=900))
    result = once(tmp_path, tmp_path / "proxy*.log")[-2]
    assert result.startswith("read 3 new samples, 3 slow, 3 new episodes (")
    assert " of 3 files in " in result


def test_rotated_files_are_read_if_the_live_path_has_no_file(tmp_path: Path) -> None:
    (tmp_path / "proxy.log.1").write_bytes(lines(2, 5))
    (tmp_path / "proxy.log.2.gz").write_bytes(gzip.compress(lines(0, 2)))
    result = once(tmp_path, tmp_path / "proxy.log")[-2]
    assert result.startswith("read 5 new samples, ")
    assert " of 2 files in " in result


def test_the_error_of_a_pattern_for_rotated_files_only_names_the_way_to_read_them(tmp_path: Path) -> None:
    (tmp_path / "proxy.log.1").write_bytes(lines(2, 5))
    words = ("--observer", "headroom", "--path", tmp_path / "*.log", "--once", "--db", tmp_path / "s.db")
    done = run(*words, home=tmp_path, check=False)
    assert done.returncode == 2
    assert "only rotated files are there: name the path that they had, without wildcards" in done.stderr


def test_a_pattern_that_matches_only_rotated_files_reads_these(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_bytes(lines(5, 9))
    (tmp_path / "proxy[1].log.1").write_bytes(lines(20, 21))
    for number, part in ((1, lines(2, 5)), (2, lines(0, 2))):
        (tmp_path / f"proxy.log.{number}.gz").write_bytes(gzip.compress(part))
    (tmp_path / "proxy.log.2").write_bytes(lines(0, 2))
    assert once(tmp_path, tmp_path / "proxy.log.*")[-2].startswith("read 5 new samples, ")
    for name in ("s.db", "proxy.log.2"):
        (tmp_path / name).unlink()
    assert once(tmp_path, tmp_path / "proxy.log.*.gz")[-2].startswith("read 5 new samples, ")
    assert once(tmp_path, tmp_path / "proxy.log.[12].gz")[-1].startswith("read 0 new samples, ")
    assert once(tmp_path, tmp_path / "proxy[[]*.1")[-2].startswith("read 1 new sample, ")
    assert once(tmp_path, tmp_path / "proxy.log")[-2].startswith("read 4 new samples, ")  # the old ones are known


def test_undelivered_data_is_named_in_place_of_success(tmp_path: Path) -> None:
    done = run(
        *("--observer", "headroom", "--path", CAPTURES / f"{CAPTURE}.log", "--once", "--db", tmp_path / "s.db"),
        *("--otlp-endpoint", "http://127.0.0.1:1"),
        home=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert any(re.fullmatch(r"warning: \d+ items in the store are not delivered yet", row) for row in said(done.stderr))


def test_a_terminal_shows_the_progress_and_a_pipe_does_not(tmp_path: Path) -> None:
    piece = lines(0, 20_000)
    with (tmp_path / "proxy.log").open("wb") as log:
        for _ in range(8):
            log.write(piece)
    command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(tmp_path / "proxy.log")]
    terminal, side = pty.openpty()
    process = subprocess.Popen(
        [*command, "--once", "--db", str(tmp_path / "s.db")], env=environ(tmp_path, tmp_path / "s.db"), stderr=side
    )
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert process.wait() == 0
    text = shown.decode()
    assert re.search(r"\r\x1b\[Kproxy\.log  \d+ %  \d+ MiB/s  [\d,]+ samples  \d+ (s|min) left", text), text[:500]
    assert "\r\x1b[Kotel-logtail: read 160,000 new samples" in text
    piped = once(tmp_path, tmp_path / "proxy.log")
    assert not any("\x1b" in row or "\r" in row for row in piped)
