"""Rotated files that were compressed: whole, cut off, damaged, or enormous when unpacked (scenario 66)."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import durations, lines


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_a_file_rotated_and_compressed_during_a_stop_is_read_once(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 10))
        daemon.start()
        daemon.wait_for(durations(0, 10))
        daemon.stop()
        daemon.log.with_name(f"proxy-8787.log.1{ending}").write_bytes(pack(lines(0, 20)))
        daemon.log.unlink()
        daemon.write(lines(20, 30))
        daemon.start()
        daemon.wait_for(durations(0, 30))
        daemon.stop()


def test_readable_parts_of_damaged_files_are_read_and_the_remainder_is_reported(tmp_path: Path) -> None:
    """One each, oldest first: cut off in its midst, bytes flipped, no gzip at all, nothing in it, then a whole one."""
    packed = gzip.compress(lines(0, 2000), 1)
    flipped = bytearray(gzip.compress(lines(2000, 4000), 1))
    flipped[len(flipped) // 2 : len(flipped) // 2 + 50] = b"\xff" * 50
    contents = (packed[: len(packed) // 2], bytes(flipped), b"this is no gzip\n", b"", gzip.compress(lines(4000, 4010)))
    with Daemon(tmp_path) as daemon:
        for age, content in zip((5, 4, 3, 2, 1), contents, strict=True):
            daemon.log.with_name(f"proxy-8787.log.{age}.gz").write_bytes(content)
        daemon.write(lines(5000, 5010))
        said = daemon.once()
        found = daemon.samples()
        assert durations(4000, 4010) + durations(5000, 5010) <= found
        assert found <= durations(0, 4010) + durations(5000, 5010)
        cut = sum(number for ns, number in found.items() if ns in durations(0, 2000))
        assert 500 < cut < 1500
        assert max(found.values()) == 1
        for age in (5, 4, 3):
            assert f"proxy-8787.log.{age}.gz is damaged" in said
        assert "is damaged" not in daemon.once()  # logged once, and not read again
        assert daemon.samples() == found


def test_memory_does_not_grow_with_what_is_unpacked(tmp_path: Path) -> None:
    """400 MiB of nothing, and as much of one line, in less than a megabyte."""
    with Daemon(tmp_path, "--from-start") as daemon:
        for age, block in ((2, b"\n" * (1 << 20)), (1, b"x" * (1 << 20))):
            with gzip.open(daemon.log.with_name(f"proxy-8787.log.{age}.gz"), "wb", 1) as bomb:
                bomb.write(lines(age * 10, age * 10 + 5))
                for _ in range(200):
                    bomb.write(block)
                bomb.write(b"\n" + lines(age * 10 + 5, age * 10 + 10))
        daemon.write(lines(30, 35))
        daemon.is_measured = True
        daemon.start()
        daemon.wait_for(durations(10, 35))
        assert daemon.peak_mib() < 80
        assert daemon.counter("oversized") == 1
        daemon.stop()
