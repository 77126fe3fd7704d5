"""Logs of containers: long lines in parts, with a kill, a rotation or another stream between the parts."""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.testing.wrappers import cri, docker
from tests.support.daemon import Daemon, Program
from tests.support.lines import SLOW_MS, durations, line

Wrap = Callable[[bytes, str, bool], bytes]
PART_BYTES = 80
ROTATED = "0.log.20261129-150647"


def in_cri(text: bytes, stream: str, part: bool) -> bytes:
    return cri(text, stream, "P" if part else "F") + b"\n"


def in_docker(text: bytes, stream: str, part: bool) -> bytes:
    return docker(text, stream, part=part) + b"\n"


WRAPS = pytest.mark.parametrize("wrap", [in_cri, in_docker], ids=["cri", "docker"])


def pieces(wrap: Wrap, number: int, *, ms: int = 20, stream: str = "stdout") -> list[bytes]:
    """Return the line of this number as a runtime writes it: in parts."""
    text = line(number, ms=ms).rstrip(b"\n")
    parts = [text[at : at + PART_BYTES] for at in range(0, len(text), PART_BYTES)]
    return [wrap(part, stream, at < len(parts) - 1) for at, part in enumerate(parts)]


def whole(wrap: Wrap, first: int, end: int, *, ms: int = 20) -> bytes:
    """Return the lines of these numbers, each uncut."""
    return b"".join(wrap(line(number, ms=ms).rstrip(b"\n"), "stdout", False) for number in range(first, end))


def followed(folder: Path, *arguments: object) -> Daemon:
    return Daemon(folder, "--from-start", *arguments, log=folder / "container" / "0.log")


def has_read(daemon: Daemon) -> None:
    """Wait until all bytes of the log are read, those of unfinished lines too."""
    size = daemon.log.stat().st_size
    daemon.wait_until(lambda: (size,) in daemon.rows("SELECT offset FROM file WHERE NOT done"))


def breaches(daemon: Daemon) -> list[tuple[object, ...]]:
    return daemon.rows("SELECT lower(hex(uid)), offset FROM breach ORDER BY uid")


@WRAPS
def test_a_line_whose_parts_are_cut_by_a_kill_is_one_sample(tmp_path: Path, wrap: Wrap) -> None:
    parts = pieces(wrap, 5, ms=SLOW_MS)
    assert len(parts) == 4
    with followed(tmp_path) as daemon:
        daemon.write(whole(wrap, 0, 5), parts[0])
        daemon.start()
        for part in parts[1:]:
            has_read(daemon)
            daemon.kill()
            daemon.write(part)
            daemon.start()
        expected = durations(0, 5) + durations(5, 6, ms=SLOW_MS)
        daemon.wait_for(expected)
        daemon.write(whole(wrap, 6, 8))
        daemon.wait_for(expected + durations(6, 8))
        assert daemon.rows("SELECT offset FROM breach") == [(len(whole(wrap, 0, 5)),)]  # of the first part
        daemon.stop()
        later = Daemon(tmp_path, log=daemon.log, db=tmp_path / "later.db")
        later.once()
        assert later.samples() == daemon.samples()
        assert breaches(later) == breaches(daemon)


@WRAPS
@pytest.mark.parametrize("between", ["follows", "restarts", "was down"])
@pytest.mark.parametrize("cut", [1, 3])
def test_a_rotation_between_the_parts_of_a_line(tmp_path: Path, wrap: Wrap, between: str, cut: int) -> None:
    """The runtime renames the file; the kubelet compresses the older ones."""
    first, second = pieces(wrap, 5, ms=SLOW_MS), pieces(wrap, 10, ms=SLOW_MS)
    with followed(tmp_path) as daemon:
        daemon.write(whole(wrap, 0, 5))
        daemon.start()
        daemon.wait_for(durations(0, 5))
        if between == "was down":
            daemon.kill()
        daemon.write(*first[:cut])
        if between == "restarts":
            has_read(daemon)
            daemon.kill()
        daemon.log.rename(daemon.log.with_name(ROTATED))
        daemon.write(*first[cut:], whole(wrap, 6, 10), *second[:cut])
        if between == "restarts":
            daemon.start()
        expected = durations(0, 5) + durations(5, 6, ms=SLOW_MS) + durations(6, 10)
        if between != "was down":
            daemon.wait_for(expected)
            has_read(daemon)
        with gzip.open(daemon.log.with_name(ROTATED + ".gz"), "wb") as packed:
            packed.write(daemon.log.with_name(ROTATED).read_bytes())
        os.unlink(daemon.log.with_name(ROTATED))
        daemon.log.rename(daemon.log.with_name("0.log.20261129-160000"))
        daemon.write(*second[cut:], whole(wrap, 11, 13))
        if between == "was down":
            daemon.start()
        daemon.wait_for(expected + durations(10, 11, ms=SLOW_MS) + durations(11, 13))
        # parts that the next file continues do not add up
        daemon.wait_until(lambda: daemon.rows("SELECT max(length(parts)) FROM file") == [(0,)])
        daemon.stop()
        found = breaches(daemon)
        assert len(found) == 2
        # a day later, the same names
        later = Daemon(tmp_path, log=daemon.log, db=tmp_path / "later.db")
        later.once()
        assert later.samples() == daemon.samples()
        assert breaches(later) == found
        assert daemon.counter("drift") == later.counter("drift") == 0
        assert later.rows("SELECT max(length(parts)) FROM file") == [(0,)]


@WRAPS
def test_an_older_file_that_is_found_late_does_not_end_an_unfinished_line(tmp_path: Path, wrap: Wrap) -> None:
    parts = pieces(wrap, 5)
    with followed(tmp_path) as daemon:
        daemon.write(whole(wrap, 0, 5), parts[0])
        daemon.start()
        daemon.wait_for(durations(0, 5))
        has_read(daemon)
        daemon.log.with_name(ROTATED).write_bytes(whole(wrap, 20, 25))
        daemon.wait_for(durations(0, 5) + durations(20, 25))
        daemon.write(*parts[1:])
        daemon.wait_for(durations(0, 6) + durations(20, 25))
        daemon.stop()


@WRAPS
def test_unfinished_lines_that_are_damaged_in_the_store_are_read_again(tmp_path: Path, wrap: Wrap) -> None:
    parts = pieces(wrap, 5)
    daemon = Daemon(tmp_path, "--from-start", log=tmp_path / "container" / "0.log")
    daemon.write(whole(wrap, 0, 5), parts[0])
    daemon.once()
    with closing(sqlite3.connect(daemon.db)) as db, db:
        db.execute("UPDATE file SET parts = x'ff00aa'")
    daemon.write(*parts[1:])
    for _ in range(2):  # SQLite finds nothing, so the store is moved away only if the damage is met again
        assert "error: the store is damaged: the unfinished lines of a file: " in daemon.once(code=1)
    daemon.once()
    assert daemon.samples() == durations(0, 6)


@pytest.mark.parametrize("through", ["pods", "containers"])
def test_the_paths_of_kubernetes(tmp_path: Path, through: str) -> None:
    """The link in ``containers`` leads to the file in ``pods``, which is rotated while the program is down."""
    log, link = tmp_path / "pods" / "0.log", tmp_path / "containers" / "web.log"
    parts = pieces(in_cri, 5)
    link.parent.mkdir()
    link.symlink_to(log)
    with Daemon(tmp_path, "--from-start", "--path", tmp_path / through / "*.log", log=log) as daemon:
        daemon.write(whole(in_cri, 0, 5), parts[0])
        daemon.start()
        has_read(daemon)
        daemon.kill()
        daemon.write(parts[1])
        log.rename(log.with_name(ROTATED))
        daemon.write(*parts[2:], whole(in_cri, 6, 10))
        daemon.start()
        daemon.wait_for(durations(0, 10))
        daemon.stop()


@WRAPS
def test_both_streams_are_read_however_their_parts_are_mixed(tmp_path: Path, wrap: Wrap) -> None:
    with followed(tmp_path) as daemon:
        daemon.start()
        for number in range(0, 20, 2):
            out, err = pieces(wrap, number), pieces(wrap, number + 1, stream="stderr")
            daemon.write(out[0], err[0], err[1], out[1], out[2], err[2])
            has_read(daemon)
            daemon.write(err[3], out[3])
        daemon.wait_for(durations(0, 20))
        daemon.stop()
        assert daemon.counter("drift") == 0


@WRAPS
def test_a_line_that_never_ends_is_counted_and_holds_up_nothing(tmp_path: Path, wrap: Wrap) -> None:
    part = wrap(b"x" * 16_384, "stdout", True)
    expected = Counter[int]()
    with followed(tmp_path) as daemon:
        daemon.is_measured = True
        daemon.start()
        for number in range(0, 100, 10):
            daemon.write(part * 20, *pieces(wrap, number, stream="stderr"))
            expected += durations(number, number + 1)
            daemon.wait_for(expected)
        assert daemon.counter("oversized") == 1
        assert daemon.peak_mib() < 80
        daemon.wait_for_words("a line of more than 1 MiB")
        daemon.write(wrap(b"the end", "stdout", False), whole(wrap, 200, 203))
        daemon.wait_for(expected + durations(200, 203))
        daemon.stop()
        assert daemon.counter("oversized") == 1
        assert daemon.rows("SELECT length(parts) FROM file") == [(0,)]


@pytest.mark.parametrize(("framing", "is_read"), [("auto", True), ("cri", True), ("docker", False), ("none", False)])
def test_only_the_wrapper_that_the_user_named_is_removed(tmp_path: Path, framing: str, is_read: bool) -> None:
    config = tmp_path / "otel-logtail.toml"
    log = tmp_path / "0.log"
    log.write_bytes(whole(in_cri, 0, 5) + b"".join(pieces(in_cri, 5)))
    config.write_text(f'[source.web]\nobserver = "headroom"\npaths = ["{log}"]\nframing = "{framing}"\n')
    for number, arguments in enumerate(
        (["--config", config], ["--observer", "headroom", "--path", log, "--framing", framing])
    ):
        program = Program(tmp_path, *arguments, "--db", tmp_path / f"{number}.db", db=tmp_path / f"{number}.db")
        program.once()
        (source,) = program.ask("status")["sources"]
        assert source["samples"] == (6 if is_read else 0)
