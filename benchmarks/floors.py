"""Floors: programs that do one part of the work and nothing else.

    python -m benchmarks.floors decode LOG    find every sample's line in chunks of the log and decode it with msgspec
    python -m benchmarks.floors store LOG DB  executemany of the same samples as plain rows, with nothing else timed
    python -m benchmarks.floors tail LOG DB   a row and a commit for each piece of the log that grows, until it is ended

``decode`` is measured from outside, as a whole process. ``store`` prints the CPU seconds of the inserts alone.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.data import MARKER

_CHUNK = 1 << 20
_ROWS = 5000  # a transaction


class Stages(msgspec.Struct, gc=False):
    """The durations of a line."""

    total_pre_upstream: float | None = None  # a WebSocket session has none
    pre_upstream_wait: float | None = None
    read_request_json: float | None = None
    deep_copy: float | None = None
    compression_first_stage: float | None = None
    memory_context: float | None = None
    upstream_connect: float | None = None
    upstream_first_byte: float | None = None


class Payload(msgspec.Struct, gc=False):
    """The JSON after the marker."""

    event: str
    path: str
    request_id: str
    stages: Stages


def payloads(log: Path) -> Iterator[Payload]:
    """Every payload of a log, found by its marker and decoded."""
    decode = msgspec.json.Decoder(Payload).decode
    past = len(MARKER) + 1
    rest = b""
    with log.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            chunk = rest + chunk
            end = chunk.rfind(b"\n") + 1
            view, at = memoryview(chunk), 0
            while (at := chunk.find(MARKER, at, end)) >= 0:
                stop = chunk.find(b"\n", at, end)
                yield decode(view[at + past : stop])
                at = stop
            rest = chunk[end:]


def decode(log: Path) -> int:
    """Find and decode; returns how many. The loop is written out: a generator would cost a tenth more."""
    decode_ = msgspec.json.Decoder(Payload).decode
    past, count, rest = len(MARKER) + 1, 0, b""
    with log.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            chunk = rest + chunk
            end = chunk.rfind(b"\n") + 1
            view, at = memoryview(chunk), 0
            find = chunk.find
            while (at := find(MARKER, at, end)) >= 0:
                stop = find(b"\n", at, end)
                decode_(view[at + past : stop])
                count += 1
                at = stop
            rest = chunk[end:]
    return count


def store(log: Path, db: Path) -> tuple[int, float]:
    """Insert a row for each sample; returns how many, and the CPU seconds of inserting and committing alone."""
    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(
        "CREATE TABLE sample (id INTEGER PRIMARY KEY, time_ns INTEGER, duration_ns INTEGER, cause TEXT, stage TEXT,"
        " path TEXT, stages TEXT)"
    )
    encode = msgspec.json.Encoder().encode
    rows: list[tuple[object, ...]] = []
    spent = 0.0
    count = 0

    def insert() -> None:
        nonlocal spent
        begun = time.process_time()
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        spent += time.process_time() - begun
        rows.clear()

    for found in payloads(log):
        count += 1
        total_ns = round((found.stages.total_pre_upstream or 0) * 1e6)
        stages = [None if ms is None else round(ms * 1e6) for ms in msgspec.structs.astuple(found.stages)[1:]]
        time_ns = 1_795_000_000_000_000_000 + count * 1_000_000
        rows.append((count, time_ns, total_ns, "wait", "pre_upstream_wait", found.path, encode(stages).decode()))
        if len(rows) == _ROWS:
            insert()
    if rows:
        insert()
    begun = time.process_time()
    connection.close()
    return count, spent + time.process_time() - begun


def tail(log: Path, db: Path) -> None:
    """Follow a log by polling every 0.2 ms, and insert and commit one row per line, forever."""
    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE sample (id INTEGER PRIMARY KEY, line BLOB)")
    rest = b""
    with log.open("rb", buffering=0) as file:
        while True:
            data = rest + file.read(_CHUNK)
            lines, newline, rest = data.rpartition(b"\n")
            if not newline:
                time.sleep(0.0002)
                continue
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO sample (line) VALUES (?)", [(line,) for line in lines.split(b"\n")])
            connection.execute("COMMIT")


if __name__ == "__main__":
    if sys.argv[1] == "decode":
        print(decode(Path(sys.argv[2])))
    elif sys.argv[1] == "tail":
        tail(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(*store(Path(sys.argv[2]), Path(sys.argv[3])))
