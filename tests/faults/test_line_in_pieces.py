"""Lines that are written in several pieces, or cross the edge of a read (scenarios 60, 61)."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.tail.lines import CHUNK_BYTES
from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines


def test_a_line_in_two_writes_is_read_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.start()
        for number, cut in enumerate((1, 23, 60, 100, 200, -2, -1)):
            whole = line(2 * number + 1)
            daemon.write(line(2 * number) + whole[:cut])
            daemon.wait_for(durations(0, 2 * number + 1))  # it has looked, and half a line was there
            daemon.write(whole[cut:])
            daemon.wait_for(durations(0, 2 * number + 2))
        daemon.stop()
        assert daemon.rejected() == {}
        assert daemon.counter("drift") == 0


def test_a_line_written_byte_by_byte_is_read_once(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.start()
        daemon.write(*(bytes([byte]) for byte in lines(0, 3)))
        daemon.wait_for(durations(0, 3))
        daemon.stop()
        assert daemon.counter("bytes") == daemon.log.stat().st_size


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_across_the_edge_of_a_chunk_are_complete(tmp_path: Path, end: bytes) -> None:
    """One file for each way in which a line and its end can lie across the edge."""
    first, second = lines(0, 1).replace(b"\n", end), lines(1, 2).replace(b"\n", end)
    behind = (-1, 0, 1, 2, 3, 100, len(second) - 1, len(second))
    for number, after in enumerate(behind):
        padding = CHUNK_BYTES + after - len(first) - len(second) - len(end)
        data = first + b"-" * padding + end + second + lines(2, 4).replace(b"\n", end)
        assert data[:CHUNK_BYTES].count(b"\n") == (3 if after <= 0 else 2)
        (tmp_path / f"proxy-{9000 + number}.log").write_bytes(data)
    with Daemon(tmp_path, "--path", tmp_path / "proxy-*.log") as daemon:
        daemon.once()
        assert daemon.samples() == dict.fromkeys(durations(0, 4), len(behind))
        assert daemon.counter("drift") == 0
        assert daemon.rejected() == {}
