"""Confirmed data of the jsonl exporter survives a power cut, modelled as the data and names synced by then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.jsonl.exporter import JsonlExporter, make
from otel_logtail.model import Delivered, Retry
from tests.support.otlp_items import T0, intervals, point


class Disk:
    """The state of the disk: contents of files when they were synced, names when their folder was."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._contents: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        self._sync = os.fsync
        monkeypatch.setattr(os, "fsync", self._fsync)

    def _fsync(self, fd: int) -> None:
        self._sync(fd)  # the real one, too
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path == self._folder:
            self._names = {one.name: one.stat().st_ino for one in path.iterdir()}
        else:
            self._contents[os.fstat(fd).st_ino] = path.read_bytes()

    def after_a_power_cut(self) -> dict[str, bytes]:
        """Return the content of each file by name; a file that was never synced is empty."""
        return {name: self._contents.get(inode, b"") for name, inode in self._names.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def exporter_to(path: Path, **options: str) -> JsonlExporter:
    return make(ExporterContext({}, {"jsonl_file": str(path), **options}, host="box"))


def test_each_batch_is_on_the_disk_when_it_is_confirmed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(folder, monkeypatch)
    exporter = exporter_to(folder / "x.jsonl")
    for number in range(1, 5):
        assert exporter.export(intervals(point([1] * number, id=number, time_ns=T0 + number))) == Delivered()
        assert disk.after_a_power_cut() == {"x.jsonl": (folder / "x.jsonl").read_bytes()}
        assert (folder / "x.jsonl").read_bytes().count(b"\n") == number


def test_it_is_on_the_disk_across_rotations_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(folder, monkeypatch)
    exporter = exporter_to(folder / "x.jsonl", jsonl_max_size="1KiB", jsonl_keep="9")
    for number in range(1, 9):
        batch = intervals(*(point([1] * n, id=n, time_ns=T0 - n) for n in range(number, number + 3)))
        assert exporter.export(batch) == Delivered()  # three lines each: rotated within a batch
        assert disk.after_a_power_cut() == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert (folder / "x.jsonl.5").exists()


def test_data_accepted_before_a_failure_is_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(folder, monkeypatch)
    exporter = exporter_to(folder / "x.jsonl")
    write = os.write
    written: list[int] = []

    def full(fd: int, data: bytes) -> int:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(fd)
        return write(fd, data)

    monkeypatch.setattr(os, "write", full)
    answer = exporter.export(intervals(*(point([1] * n, id=n, time_ns=T0 - n) for n in (1, 2, 3))))
    assert getattr(answer, "count", 0) == 2
    assert disk.after_a_power_cut()["x.jsonl"].count(b"\n") == 2


def test_what_could_not_be_synced_is_not_confirmed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full batch was: the failure came when all of it was written."""
    failures = ["Input/output error"]
    sync = os.fsync

    def broken(fd: int) -> None:
        if failures:
            raise OSError(5, failures.pop())
        sync(fd)

    exporter = exporter_to(folder / "x.jsonl")
    monkeypatch.setattr(os, "fsync", broken)
    batch = intervals(point([1], id=1, time_ns=T0))
    assert exporter.export(batch) == Retry(f"{folder / 'x.jsonl'} can't be written: Input/output error")
    assert exporter.export(batch) == Delivered()


def test_data_synced_before_a_rotation_is_confirmed_though_the_next_file_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(folder, monkeypatch)
    exporter = exporter_to(folder / "x.jsonl", jsonl_max_size="1KiB", jsonl_keep="9")
    sync, calls = os.fsync, []

    def broken(fd: int) -> None:
        calls.append(fd)
        if len(calls) > 2:  # the first file, and its name
            raise OSError(5, "Input/output error")
        sync(fd)

    monkeypatch.setattr(os, "fsync", broken)
    answer = exporter.export(intervals(*(point([1] * n, id=n, time_ns=T0 - n) for n in range(1, 4))))
    on_disk = [content.count(b"\n") for content in disk.after_a_power_cut().values()]
    assert [getattr(answer, "count", 0)] == on_disk == [1]
