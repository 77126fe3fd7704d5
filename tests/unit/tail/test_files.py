"""Recognizing a file, reading its bytes, and the names that belong to a live path."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.fingerprint import fingerprint, holds
from otel_logtail.tail.naming import is_rotated_name, rotated_of, siblings
from otel_logtail.tail.reader import CompressedReader, PlainReader, length, open_reader

CODECS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
    (".xz", lzma.compress),
]
LINES = b"".join(b"%08d some words of a line that is compressed well\n" % n for n in range(60_000))


@functools.cache
def all_packed(compress: Callable[[bytes], bytes]) -> bytes:
    """All lines, compressed; lzma takes a second for them."""
    return compress(LINES)


def state_at(data: bytes, offset: int) -> FileState:
    return FileState(
        id=1,
        live="/l",
        path="/l",
        device=0,
        inode=0,
        offset=offset,
        head=fingerprint(data[: min(1024, offset)]),
        anchor=fingerprint(data[max(0, offset - 256) : offset]),
    )


def names(live: Path) -> list[str]:
    return [os.path.basename(path) for path in siblings(str(live))]


def test_fingerprint_of_nothing_is_the_empty_one() -> None:
    assert fingerprint(b"") == Fingerprint()
    assert fingerprint(b"a") != fingerprint(b"b")
    assert fingerprint(b"ab").length == 2


def test_file_is_recognised_after_every_single_byte_that_was_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LINES[:3000])
    reader = PlainReader(str(path))
    assert all(holds(reader, state_at(LINES, offset)) for offset in range(1, 3000))
    assert not holds(reader, state_at(LINES, 3001))  # shorter than the position
    reader.close()


def test_nothing_read_recognises_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abc\n")
    reader = PlainReader(str(path))
    assert not holds(reader, state_at(b"", 0))
    reader.close()


@pytest.mark.parametrize("at", [0, 1023, 5000 - 256, 4999])
def test_other_byte_in_head_or_anchor_is_another_file(tmp_path: Path, at: int) -> None:
    data = bytearray(LINES[:6000])
    data[at] ^= 1
    path = tmp_path / "log"
    path.write_bytes(data)
    reader = PlainReader(str(path))
    assert not holds(reader, state_at(LINES, 5000))
    reader.close()


@pytest.mark.parametrize(("suffix", "compress"), CODECS)
def test_compressed_file_gives_the_bytes_that_were_written(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"log{suffix}"
    path.write_bytes(all_packed(compress))
    reader = open_reader(str(path))
    assert isinstance(reader, CompressedReader)
    assert reader.read_at(0, 10) == LINES[:10]
    assert reader.read_at(1_500_000, 1000) == LINES[1_500_000:1_501_000]
    assert reader.read_at(1_500_900, 200_000) == LINES[1_500_900:1_700_900]
    assert reader.read_at(5, 7) == LINES[5:12]
    assert reader.read_at(len(LINES) - 3, 100) == LINES[-3:]
    assert reader.read_at(len(LINES) + 9, 100) == b""
    assert length(reader) == len(LINES)
    assert reader.damage == ""
    assert holds(reader, state_at(LINES, 2_000_000))
    reader.close()


@pytest.mark.parametrize(("suffix", "compress"), CODECS)
def test_reading_from_just_before_the_last_end_does_not_restart(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"log{suffix}"
    path.write_bytes(all_packed(compress))
    reader = CompressedReader(str(path))
    monkeypatch.setattr(reader, "_rewind", lambda: pytest.fail("began anew"))
    for offset in range(256, len(LINES), 100_000):
        assert reader.read_at(offset - 256, 100_256) == LINES[offset - 256 : offset + 100_000]
    reader.close()


@pytest.mark.parametrize(("suffix", "compress"), CODECS)
def test_file_that_is_cut_off_gives_what_is_before_the_cut(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    noise = b"".join(os.urandom(30).hex().encode() + b"\n" for _ in range(30_000))
    path = tmp_path / f"log{suffix}"
    packed = compress(noise)
    path.write_bytes(packed[: len(packed) * 3 // 4])
    reader = open_reader(str(path))
    got = length(reader)
    assert got > len(noise) // 3
    assert reader.damage != ""
    assert reader.read_at(0, got) == noise[:got]
    reader.close()


@pytest.mark.parametrize(("suffix", "compress"), CODECS)
def test_bytes_before_damage_are_read_for_requests_of_any_size(
    tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"log{suffix}"
    packed = compress(LINES[:800_000])
    path.write_bytes(packed[:-4] + bytes(byte ^ 0xFF for byte in packed[-4:]))  # the checksum
    found = set()
    for size in (9_000, 100_000, 1_000_000):
        with closing(open_reader(str(path))) as reader:
            position = 0
            while block := reader.read_at(position, size):
                position += len(block)
            assert reader.damage != ""
            found |= {position, length(reader)}
    (number,) = found
    assert number > 790_000  # all but the step in which the codec fails


def test_a_file_that_does_not_match_its_suffix_is_damaged_from_its_start(tmp_path: Path) -> None:
    for suffix, _ in CODECS:
        path = tmp_path / f"log{suffix}"
        path.write_bytes(b"this is no compressed file at all, however long it is\n" * 100)
        reader = open_reader(str(path))
        assert (reader.read_at(0, 100), reader.damage != "") == (b"", True)
        reader.close()


def test_directory_fifo_and_missing_file_can_not_be_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, error in [(tmp_path, OSError), (fifo, OSError), (tmp_path / "none", FileNotFoundError)]:
        with pytest.raises(error):
            open_reader(str(path))


def test_plain_reader_keeps_a_deleted_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abc")
    reader = PlainReader(str(path))
    path.unlink()
    assert (reader.read_at(1, 5), reader.size()) == (b"bc", 3)
    reader.close()


def test_numbered_siblings_are_ordered_by_number_not_by_text(tmp_path: Path) -> None:
    for name in ["proxy.log", *(f"proxy.log.{n}" for n in range(1, 13))]:
        (tmp_path / name).touch()
    assert names(tmp_path / "proxy.log") == [f"proxy.log.{n}" for n in range(12, 0, -1)]


@pytest.mark.parametrize(
    "rotated",
    [
        ["proxy.log.2024-01-31", "proxy.log.2024-02-01", "proxy.log.2024-02-02_13"],
        ["proxy.log-20240131", "proxy.log-20240201.gz", "proxy.log-20240202"],
        ["proxy.log.2024-01-31_12-00-00", "proxy.log.2024-01-31_13-00-00"],
        ["proxy.log-1700000000", "proxy.log-1700000100.xz"],
        ["proxy-20240131.log", "proxy-20240201.log.gz", "proxy-20240202.log"],
        ["proxy-2024-01-31.log", "proxy-2024-02-01.log"],
        ["proxy-2024-01-31T12-00-00.001.log", "proxy-2024-02-01T12-00-00.000.log"],
        ["proxy-2024-01-31T12-00-00.001-size.log.gz", "proxy-2024-02-01T12-00-00.000-time.log"],
        ["proxy-2024-01-31T12-00-00.001.log.gz", "proxy-2024-02-01T12-00-00.000-reload-1.log"],
        ["proxy.log-2024-01-31T12-00-00.001-size.gz", "proxy.log-2024-02-01T12-00-00.000-size"],
        ["proxy.2.log", "proxy.1.log"],
        ["proxy.log.3.gz", "proxy.log.2.bz2", "proxy.log.1"],
    ],
)
def test_rotated_names_are_siblings_oldest_first(tmp_path: Path, rotated: list[str]) -> None:
    for name in ["proxy.log", *reversed(rotated)]:
        (tmp_path / name).touch()
    assert names(tmp_path / "proxy.log") == rotated
    assert all(is_rotated_name(str(tmp_path / name)) for name in rotated)


def test_of_a_plain_and_a_compressed_file_of_one_name_the_plain_one_is_taken(tmp_path: Path) -> None:
    for name in ["proxy.log.1", "proxy.log.1.gz", "proxy.log.2.gz"]:
        (tmp_path / name).touch()
    assert names(tmp_path / "proxy.log") == ["proxy.log.2.gz", "proxy.log.1"]


@pytest.mark.parametrize(
    "other",
    [
        "proxy-8787.log",
        "proxy-8787-123.log",
        "proxy-8787-1234.log",  # a pid, not the 34th of December 8787
        "proxy-8787-12345.log",
        "proxy-2024-1131.log",
        "proxy-2024-01-31-size.log",  # a reason follows a whole time only
        "proxy-stdio-8787.log",
        "proxy.log.bak",
        "proxy.log.1.old",
        "proxy.log~",
        "proxy.logger.1",
        "proxy2.log.1",
        "proxy-8787.log.1",
    ],
)
def test_names_of_other_files_are_not_siblings(tmp_path: Path, other: str) -> None:
    (tmp_path / "proxy.log").touch()
    (tmp_path / other).touch()
    assert names(tmp_path / "proxy.log") == []
    if other.endswith(".log"):
        assert not is_rotated_name(str(tmp_path / other))


@pytest.mark.parametrize("reason", ["size", "time"])
def test_reason_in_a_name_shows_a_rotated_file_while_its_live_file_is_away(tmp_path: Path, reason: str) -> None:
    assert is_rotated_name(str(tmp_path / f"access-2024-01-31T12-00-00.001-{reason}.log"))
    assert not is_rotated_name(str(tmp_path / "access-2024-01-31T12-00-00.001.log"))


def test_numbers_of_a_ring_are_ordered_by_the_times_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "gc.log").touch()
    for age, number in enumerate([1, 0, 4, 3, 2]):  # 1 is the newest, 2 is overwritten next
        (tmp_path / f"gc.log.{number}").touch()
        os.utime(tmp_path / f"gc.log.{number}", (1000 - age, 1000 - age))
    listed = Folders().beside(str(tmp_path / "gc.log"), 0.0, fresh=True)
    found = rotated_of(str(tmp_path / "gc.log"), listed, ring=True)
    assert [os.path.basename(path) for path in found] == ["gc.log.2", "gc.log.3", "gc.log.4", "gc.log.0", "gc.log.1"]


def test_two_schemes_at_once_are_ordered_by_their_times(tmp_path: Path) -> None:
    for age, name in enumerate(["proxy.log.1", "proxy.log.2024-01-31", "proxy.log.2"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert names(tmp_path / "proxy.log") == ["proxy.log.2", "proxy.log.2024-01-31", "proxy.log.1"]


def test_directories_and_dangling_links_are_not_siblings(tmp_path: Path) -> None:
    (tmp_path / "proxy.log.1").mkdir()
    (tmp_path / "proxy.log.2").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path / "proxy.log") == []
    assert names(tmp_path / "no" / "such" / "folder.log") == []


def test_date_before_the_extension_is_a_rotated_name_only_beside_its_live_file(tmp_path: Path) -> None:
    dated = str(tmp_path / "app-2024-01-31.log")
    assert not is_rotated_name(dated)
    (tmp_path / "app.log").touch()
    assert is_rotated_name(dated)


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    script = (
        "import resource; from otel_logtail.tail.descriptors import DESCRIPTORS, MANY_FILES\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); DESCRIPTORS.allow_many()\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); DESCRIPTORS.allow_many()\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (64, 64)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
