"""Lines beyond the bound are skipped and counted, their neighbours kept; memory stays bounded (scenario 62)."""

from __future__ import annotations

from pathlib import Path

from otel_logtail.tail.lines import CHUNK_BYTES
from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines

TWO_MIB = 2 << 20


def long_line(number: int, size: int) -> bytes:
    """A true line of headroom's of exactly ``size`` bytes, its newline among them."""
    short = line(number, more='"padding": "", ')
    return line(number, more=f'"padding": "{"x" * (size - len(short))}", ')


def test_it_is_skipped_and_its_neighbours_are_kept(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 3), long_line(3, TWO_MIB), lines(4, 6), b"x" * TWO_MIB + b"\n", lines(7, 9))
        daemon.start()
        daemon.wait_for(durations(0, 3) + durations(4, 6) + durations(7, 9))
        assert daemon.counter("oversized") == 2
        assert "a line of more than 1 MiB" in daemon.said()
        daemon.stop()
        assert daemon.counter("bytes") == daemon.log.stat().st_size


def test_the_longest_line_that_is_read_is_one_mebibyte(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(lines(0, 1), long_line(1, CHUNK_BYTES), lines(2, 3))
        daemon.write(long_line(3, CHUNK_BYTES + 1), lines(4, 5))
        daemon.once()
        assert daemon.samples() == durations(0, 3) + durations(4, 5)
        assert daemon.counter("oversized") == 1


def test_a_long_line_that_is_still_being_written_is_skipped_to_its_end(tmp_path: Path) -> None:
    """Piece by piece, with a restart in its midst."""
    endless = long_line(1, 3 * TWO_MIB)
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 1), endless[:TWO_MIB])
        daemon.start()
        daemon.wait_until(lambda: "a line of more than 1 MiB" in daemon.said())
        daemon.write(endless[TWO_MIB : 2 * TWO_MIB])
        daemon.kill()
        daemon.start()
        daemon.write(endless[2 * TWO_MIB :], lines(2, 4))
        daemon.wait_for(durations(0, 1) + durations(2, 4))
        daemon.stop()
        assert daemon.counter("oversized") == 1
        assert daemon.rejected() == {}


def test_memory_does_not_grow_with_a_line(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.is_measured = True
        daemon.start()
        daemon.write(lines(0, 1))
        daemon.wait_for(durations(0, 1))
        before_mib = daemon.peak_mib()
        with daemon.log.open("ab") as log:
            log.truncate(log.tell() + (400 << 20))  # a hole of NULs: no newline in 400 MiB
            log.seek(0, 2)
            log.write(b"\n" + lines(1, 2))
            log.write(b"x" * (60 << 20) + b"\n" + lines(2, 3))
        daemon.wait_for(durations(0, 3))
        assert daemon.peak_mib() < min(before_mib + 20, 80)
        daemon.stop()
