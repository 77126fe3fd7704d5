"""Floors: programs that do one part of the work and nothing else.

    python -m benchmarks.floors decode LOG    find every sample's line in chunks of the log and decode it with msgspec
    python -m benchmarks.floors store LOG DB  executemany of the same samples as plain rows, with nothing else timed
    python -m benchmarks.floors tail LOG DB   a row and a commit for each piece of the log that grows, until it is ended

``decode`` is measured from outside, as a whole process. ``store`` prints the CPU seconds of the inserts alone.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from http.client import HTTPConnection
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
    connection = _opened(db)
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
    connection = _opened(db)
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


def commit_each(log: Path, db: Path) -> None:
    """Insert and commit each line of a log by itself."""
    connection = _opened(db)
    connection.execute("CREATE TABLE sample (id INTEGER PRIMARY KEY, line BLOB)")
    with log.open("rb") as file:
        for text in file:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO sample (line) VALUES (?)", (text,))
            connection.execute("COMMIT")
    connection.close()


def visit(folder: Path, db: Path) -> int:
    """List, open, read and hash each log of a folder; insert a row for each and for each sample; returns how many."""
    connection = _opened(db)
    connection.execute("CREATE TABLE file (path TEXT PRIMARY KEY, inode INTEGER, size INTEGER, digest BLOB)")
    connection.execute("CREATE TABLE sample (id INTEGER PRIMARY KEY, duration REAL)")
    decode_ = msgspec.json.Decoder(Payload).decode
    files, samples = [], []
    for entry in os.scandir(folder):
        with Path(entry.path).open("rb", buffering=0) as file:
            found, text = os.fstat(file.fileno()), file.read(_CHUNK)
        files.append((entry.path, found.st_ino, found.st_size, blake2b(text[:256]).digest()))
        for line in text.splitlines():
            payload = line.partition(MARKER)[2]
            samples.append((decode_(payload).stages.total_pre_upstream,))
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO file VALUES (?, ?, ?, ?)", files)
    connection.executemany("INSERT INTO sample (duration) VALUES (?)", samples)
    connection.execute("COMMIT")
    return len(samples)


def send(port: int, intervals: int) -> None:
    """Send six histograms for each interval to a receiver on this machine, a hundred intervals in a request."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint

    series = [KeyValue(key=key, value={"string_value": key}) for key in ("path", "stage", "severity")]
    template = HistogramDataPoint(explicit_bounds=range(16), attributes=series, start_time_unix_nano=1)
    connection = HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/x-protobuf"}
    for start in range(0, intervals, 100):
        request = ExportMetricsServiceRequest()
        metrics = request.resource_metrics.add().scope_metrics.add().metrics
        series_points = [metrics.add(name=f"stage.{number}").histogram.data_points for number in range(6)]
        for interval in range(start, min(start + 100, intervals)):
            for points in series_points:
                point = points.add()
                point.CopyFrom(template)
                point.time_unix_nano = point.count = interval
                point.sum = 1.5
                point.bucket_counts.extend(range(17))
        connection.request("POST", "/v1/metrics", request.SerializeToString(), headers)
        connection.getresponse().read()
    connection.close()


def write_counts(db: Path, rows: int) -> None:
    """Write a table of counts as JSON, for :func:`add_up`."""
    connection = _opened(db)
    connection.execute("CREATE TABLE counts (id INTEGER PRIMARY KEY, buckets TEXT, exponential TEXT)")
    one = (json.dumps([*range(17)]), json.dumps({str(number): number for number in range(30)}))
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO counts (buckets, exponential) VALUES (?, ?)", [one] * rows)
    connection.execute("COMMIT")
    connection.close()


def add_up(db: Path) -> int:
    """Read all counts and add them up; returns the total."""
    total = 0
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        for buckets, exponential in connection.execute("SELECT buckets, exponential FROM counts"):
            total += sum(json.loads(buckets)) + sum(json.loads(exponential).values())
    return total


def _opened(db: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


if __name__ == "__main__":
    if sys.argv[1] == "decode":
        print(decode(Path(sys.argv[2])))
    elif sys.argv[1] == "tail":
        tail(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        print(*store(Path(sys.argv[2]), Path(sys.argv[3])))
