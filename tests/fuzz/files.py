"""Targets that read files: compressed logs, stores with damaged pages, descriptions of packages."""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache, partial
from pathlib import Path

from otel_logtail import installed, query
from otel_logtail.errors import LogtailError
from otel_logtail.query.episodes import episodes
from otel_logtail.query.marks import marks
from otel_logtail.query.reader import Reader
from otel_logtail.query.samples import samples
from otel_logtail.query.slowest import slowest
from otel_logtail.tail.reader import Reader as FileReader
from otel_logtail.tail.reader import ending, open_reader
from tests.fuzz.corpus import lines_of
from tests.fuzz.target import Target
from tests.support import store_builder
from tests.support.store_builder import NOON, SECOND, Stall, Written

_BLOCK = 64 << 10
_MOST = 4 << 20  # bytes that are read of a bomb


@cache
def _folder() -> Path:
    """Return a folder in memory, if the machine has one."""
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None)
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _unpack(extension: str, data: bytes) -> None:
    """Any bytes are a file: it is read up to the damage, and twice the same."""
    path = _folder() / f"log{extension}"
    path.write_bytes(data)
    with closing(open_reader(str(path))) as reader:
        first = _read(reader)
        damage = reader.damage
        assert reader.read_at(0, 100) == first[:100], "the start differs when it is read again"
        assert _read(reader) == first and reader.damage == damage, "the second reading differs"
        if len(first) < _MOST:
            assert ending(reader, 1)[0] == len(first)


def _read(reader: FileReader) -> bytes:
    found = bytearray()
    while len(found) < _MOST and (block := reader.read_at(len(found), _BLOCK)):
        found += block
    return bytes(found)


@cache
def _store() -> bytes:
    """Return a small store."""
    path = _folder() / "sound.db"
    stages = (("pre_upstream_wait", 4_000_000), ("read_request_json", None))
    written = [Written(NOON + at * SECOND, at * SECOND // 4, stages) for at in range(1, 12)]
    store_builder.make_file(path, written, [Stall(NOON + 4 * SECOND, NOON + 9 * SECOND)])
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE")
        conn.execute("VACUUM")
    return path.read_bytes()


def _ask_store(data: bytes) -> None:
    """Every question ends. Four bytes change one of the store: its place, its value.

    Values that a disk has changed may be of any type, so an error may be, too: a command prints it as one line.
    """
    store = bytearray(_store())
    for at in range(0, len(data) - 3, 4):
        place = int.from_bytes(data[at : at + 3], "little") % len(store)
        store[place] = data[at + 3]
    path = _folder() / "damaged.db"
    path.write_bytes(store)
    try:
        with Reader.open(path, traceless=True) as reader:
            for ask in _QUESTIONS:
                _answer(ask, reader)
    except LogtailError:
        pass


def _answer(ask: Callable[[Reader], object], reader: Reader) -> None:
    try:
        ask(reader)
    except Exception:  # noqa: BLE001, S110 - see above
        pass


_QUESTIONS: tuple[Callable[[Reader], object], ...] = (
    query.summary,
    query.status,
    query.breakdown,
    query.hours,
    query.stages,
    lambda reader: list(samples(reader)),
    lambda reader: list(episodes(reader)),
    lambda reader: list(marks(reader)),
    lambda reader: list(slowest(reader)),
)


def _describe(data: bytes) -> None:
    """The description of a package is never an error: lines that are not readable are left out."""
    points, _, metadata = data.partition(b"\0")
    about = _folder() / "packages" / "some_plugin-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "entry_points.txt").write_bytes(points)
    (about / "METADATA").write_bytes(metadata)
    for _, found in installed._in_folder(os.fspath(about.parent)):
        assert all(point.group.startswith("otel_logtail.") for point in found)


def _packed(extension: str) -> Iterator[bytes]:
    packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    pack = packers[extension]
    text = b"\n".join(lines_of("headroom", 2)[:4]) + b"\n"
    for plain in (b"", b"a\n", text, bytes(1 << 20)):
        yield pack(plain)
    yield pack(text)[:-5]
    yield pack(b"one\n") + pack(b"two\n") + b"\0" * 9
    yield pack(b"one\n") + b"rubbish"


def _damages() -> Iterator[bytes]:
    choose = random.Random(1)  # noqa: S311 - repeatable, not secret
    for number in (1, 1, 1, 2, 4, 8) * 4:
        yield choose.randbytes(4 * number)


def _packages() -> Iterator[bytes]:
    yield b"[otel_logtail.observers]\nacme = acme:ACME\n\0Metadata-Version: 2.1\nName: acme\nVersion: 1\n\ntext\n"
    yield b"[console_scripts]\na = b:c\n[otel_logtail.exporters]\n# x = y\nx = y:z [extra]\n\0Name: a\n b: c\n"


TARGETS = (
    *(
        Target(f"unpack{extension}", partial(_unpack, extension), partial(_packed, extension), is_grown=False)
        for extension in (".gz", ".bz2", ".xz")
    ),
    Target("store", _ask_store, _damages, is_grown=False, longest=64),
    Target("packages", _describe, _packages),
)
