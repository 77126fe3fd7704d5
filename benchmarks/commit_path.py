"""Compare sqlite3 with apsw: replay recorded statements of real commits on both and print samples per CPU second.

    python benchmarks/commit_path.py          needs: pip install apsw

Records what `Store` executes while it reads a log of many samples in chunks of 2000 lines and of one, then runs the
very same statements with the same parameters through each library, in turn, five times.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from otel_logtail.engine.engine import Engine, Now
from otel_logtail.model import Chunk, FileState, Unfinished
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.headroom.observer import HeadroomObserver
from otel_logtail.store.writer import Store

CAPTURE = Path(__file__).parent.parent / "tests" / "captures" / "0.42.0-stall.log"
Statement = tuple[str, list[Any], bool]


class Recorder:
    """A replacement for the store's connection that records the statements it executes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.statements: list[Statement] = []

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        self.statements.append((sql, [tuple(parameters)], False))
        return self.db.execute(sql, parameters)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        rows = list(rows)
        self.statements.append((sql, rows, True))
        return self.db.executemany(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


def record(folder: Path, log: bytes, lines_a_commit: int) -> list[Statement]:
    """The statements of reading ``log`` with so many lines a commit."""
    store = Store.open(folder / f"record-{lines_a_commit}.db")
    info = store.source("s", "headroom", "log.overhead", threshold_ns=5 * 10**8, stall_ns=2 * 10**9, quiet_ns=3 * 10**9)
    (state,) = store.add_files(info.id, [FileState(0, "/l", "/l", 1, 1, 0)])
    recorder = Recorder(store._db)
    for part in (store, store.series, store._samples, store._intervals):
        part._db = recorder  # type: ignore[assignment]
    engine = Engine(
        info, HeadroomObserver(ObserverContext()), interval_ns=10**10, unfinished=Unfinished(), now=Now(0, 0)
    )
    now = Now(time.time_ns(), 0)
    lines = log.splitlines(keepends=True)
    for start in range(0, len(lines), lines_a_commit):
        data = b"".join(lines[start : start + lines_a_commit])
        before, state = state, msgspec.structs.replace(state, offset=state.offset + len(data))
        batch = engine.feed(Chunk(bytearray(data), 0, len(data), before.offset, state, len(data)), now)
        batch = msgspec.structs.replace(batch, seal_until_ns=None)
        engine.committed(batch, now, store.commit(batch).first_end_ns)
    store._db = recorder.db
    store.close()
    return recorder.statements


def replay(connect: Callable[[str], Any], path: Path, statements: list[Statement]) -> float:
    """CPU seconds of running them on an empty store."""
    path.unlink(missing_ok=True)
    db = connect(str(path))
    setup = sqlite3.connect(path)
    setup.executescript(files("otel_logtail.store").joinpath("schema.sql").read_text() + "PRAGMA journal_mode = WAL;")
    setup.close()
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute(
        "INSERT INTO source (name, observer, event, threshold_ns, stall_ns, quiet_ns) VALUES ('s','o','e',1,2,3)"
    )
    db.execute(
        "INSERT INTO file (source, live, path, device, inode, offset, size, head_length, head_digest, anchor_length,"
        " anchor_digest, done) VALUES (1, '', '', 0, 0, 0, 0, 0, x'', 0, x'', 0)"
    )
    begun = time.process_time()
    for sql, rows, many in statements:
        if many:
            db.executemany(sql, rows)
        else:
            db.execute(sql, rows[0]).fetchall()
    spent = time.process_time() - begun
    db.close()
    return spent


def main() -> int:
    """Print the table; returns the exit code."""
    try:
        import apsw
    except ImportError:
        print("needs: pip install apsw", file=sys.stderr)
        return 2
    hits = b"".join(line for line in CAPTURE.read_bytes().splitlines(keepends=True) if b"STAGE_TIMINGS" in line)
    log = hits * 400
    libraries: dict[str, Callable[[str], Any]] = {
        "sqlite3": lambda path: sqlite3.connect(path, isolation_level=None),
        "apsw": apsw.Connection,
    }
    print(f"sqlite3: SQLite {sqlite3.sqlite_version}; apsw: SQLite {apsw.sqlite_lib_version()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for lines_a_commit, part in ((2000, log), (1, log[: len(hits) * 30])):
            statements = record(folder, part, lines_a_commit)
            samples = part.count(b"\n")
            spent: dict[str, list[float]] = {library: [] for library in libraries}
            for _ in range(5):
                for library, connect in libraries.items():
                    spent[library].append(replay(connect, folder / "replay.db", statements))
            ratio = statistics.median(a / b for a, b in zip(spent["sqlite3"], spent["apsw"], strict=True))
            for library, times in spent.items():
                rate = samples / statistics.median(times)
                print(f"{lines_a_commit:5} lines a commit, {library:8} {rate:10,.0f} samples/s")
            print(f"{lines_a_commit:5} lines a commit, apsw is {ratio:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
