"""A made-up log that goes through the real engine into a real store: the data that the contract suite delivers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from otel_logtail.engine.engine import Engine, Now
from otel_logtail.model import Chunk, FileState
from otel_logtail.store import marker
from otel_logtail.store.writer import Store
from otel_logtail.testing.fakes import FakeObserver, fake_line, fake_mark

_SECOND = 10**9
_NOON_NS = 1_795_608_000 * _SECOND
_STRETCH_S = 90


class SampleLog:
    """A log whose lines are committed to a store as they are written: three series, with episodes of each severity."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "store.db")
        self._number = 0
        self._info = self.store.source(
            "contract",
            "fake",
            "log.overhead",
            threshold_ns=_SECOND // 2,
            stall_ns=2 * _SECOND,
            quiet_ns=3 * _SECOND,
        )
        live = "/logs/fake-8787.log"
        (self._file,) = self.store.add_files(self._info.id, [FileState(0, live, live, 1, 2, 0)])
        self._engine = Engine(
            self._info,
            FakeObserver(),
            interval_ns=10 * _SECOND,
            unfinished=self.store.unfinished(self._info.id),
            now=Now(_NOON_NS, 0),
        )

    def next_number(self) -> int:
        """Return a number that was not returned before."""
        self._number += 1
        return self._number

    def refused(self) -> list[tuple[str, int]]:
        """Return the stream and the id of each item that is quarantined or on trial."""
        with closing(sqlite3.connect(self.store.path)) as connection:
            return connection.execute("SELECT stream, item FROM refused ORDER BY stream, item").fetchall()

    def rejected(self) -> int:
        """Return how many items the store counted as rejected or refused, of all exporters."""
        with closing(sqlite3.connect(self.store.path)) as connection:
            return int(connection.execute("SELECT coalesce(sum(refused), 0) FROM exporter").fetchone()[0])

    def forget_exporters(self) -> None:
        """Delete the cursors and totals of all exporters, so that each starts as a new one."""
        with closing(sqlite3.connect(self.store.path)) as connection, connection:
            for table in ("cursor", "total", "sent", "owed", "refused", "exporter"):
                connection.execute(f"DELETE FROM {table}")
        marker.remove(self.store.path)

    def write(self, stretch: int) -> None:
        """Write 90 seconds of log and close its intervals.

        It has breaches of both severities, four closed episodes, one of them in two parts, and nine marks.
        """
        begin_s = stretch * _STRETCH_S
        lines = []
        for second in range(_STRETCH_S):
            slow = {3: 600, 4: 700, 12: 2500, 13: 900, 22: 5000}.get(second, 20 + second)
            if second in range(31, 83, 2):
                slow = 550 + second
            time_ns = _NOON_NS + (begin_s + second) * _SECOND
            lines.append(
                fake_line(time_ns, slow * 10**6, key=("", "a", "b")[second % 3], cause="read" if slow > 800 else "")
            )
            if second % 10 == 0:
                lines.append(fake_mark(time_ns, f"version 1.{begin_s + second} started"))
        data = b"".join(lines)
        after = msgspec.structs.replace(self._file, offset=self._file.offset + len(data))
        now = Now(_NOON_NS + (begin_s + _STRETCH_S) * _SECOND, 0)
        batch = self._engine.feed(Chunk(bytearray(data), 0, len(data), self._file.offset, after, len(data)), now)
        batch = msgspec.structs.replace(batch, seal_until_ns=now.wall_ns)
        self._engine.committed(batch, now, self.store.commit(batch).first_end_ns)
        self._file = after
