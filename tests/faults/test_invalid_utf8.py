"""Bytes that are not UTF-8, in other lines and in headroom's own; a character split over two reads (scenario 64)."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines


def test_bad_bytes_cost_at_most_their_own_line(tmp_path: Path) -> None:
    bad = (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80" * 100, bytes(range(128, 256)))
    with Daemon(tmp_path) as daemon:
        for number, piece in enumerate(bad):
            broken = line(1000 + number, more='"model": "?", ').replace(b"?", piece)
            daemon.write(piece + b"\n", broken, line(number))
        daemon.once()
        found = daemon.samples()
        assert durations(0, len(bad)) <= found
        assert found <= durations(0, len(bad)) + durations(1000, 1000 + len(bad))
        lost = 2 * len(bad) - found.total()
        assert daemon.counter("drift") + sum(daemon.rejected().values()) == lost


def test_a_character_split_between_two_writes_is_complete(tmp_path: Path) -> None:
    whole = line(1, more='"model": "Äß→𝄞", ')
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.start()
        daemon.write(line(0), whole[: whole.index("𝄞".encode()) + 2])
        daemon.wait_for(durations(0, 1))
        daemon.write(whole[whole.index("𝄞".encode()) + 2 :], lines(2, 3))
        daemon.wait_for(durations(0, 3))
        daemon.stop()


def test_a_log_in_another_encoding_is_never_taken_for_samples(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(lines(0, 3).decode().encode("utf-16"), b"\n", lines(3, 5))
        daemon.once()
        assert daemon.samples() == durations(3, 5)
