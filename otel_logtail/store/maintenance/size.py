"""The size limit: if the store exceeds it, the oldest data is deleted, delivered or not.

First samples and data that every exporter has, then data that waits for an exporter. Undelivered data that is deleted
is counted as dropped. Before waiting data is deleted, counts that are dated far ahead are added up at the log's time.

Known limit: between two checks a backlog can exceed the limit for a moment.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator

from otel_logtail.counts import add
from otel_logtail.model import Counts
from otel_logtail.store.connection import one, series_bounds, transaction
from otel_logtail.store.maintenance.retention import EVER_NS, Retention
from otel_logtail.store.maintenance.steps import NOTHING, SECOND, Done, Steps, Tuning
from otel_logtail.store.maintenance.vacuum import Vacuum
from otel_logtail.store.rows import COUNTS, IDS, Repaired, counts_or_mean, counts_row, counts_to_read, json_ids, marks
from otel_logtail.store.streams import TABLES

FAR_AHEAD_NS = 86_400 * SECOND
"""Counts that are dated further ahead of the clock than this are added up before data that waits is deleted."""

_LOG_NS = "(SELECT min(ifnull(nullif(sealed_ns, 0), ?1), ?1) FROM source WHERE source.id = series.source)"
"""The time of the log of a series, or the clock (the first parameter) if that is earlier."""

EVERY_S = 1.0
"""Time between two checks of the size: a backlog can add much in a minute."""


class SizeLimit:
    """Deletes data over a size limit (None: no limit).

    ``forget_open`` makes the writer read open intervals again, since some were deleted.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        max_bytes: int | None,
        retention: Retention,
        vacuum: Vacuum,
        tuning: Tuning,
        forget_open: Callable[[], None],
    ) -> None:
        self.vacuum = vacuum
        self._db = db
        self._max_bytes = max_bytes
        self._retention = retention
        self._tuning = tuning
        self._forget_open = forget_open
        self._next_s = 0.0

    def due(self, now_s: float) -> Steps | None:
        """Return the steps to do now, or None if the store keeps to the limit or was checked a moment ago."""
        if self._max_bytes is None or now_s < self._next_s:
            return None
        self._next_s = now_s + EVERY_S
        return self.shrink() if self.vacuum.used_bytes() > self._max_bytes else None

    def shrink(self) -> Steps:
        """Delete data until the store keeps to the limit, or nothing is left that may be deleted."""
        if self._max_bytes is None:
            return
        while self.vacuum.used_bytes() > self._max_bytes:
            if not (
                (yield from self._delete_oldest())
                or (yield from self._add_up_far_ahead())
                or (yield from self._delete_waiting())
            ):
                break
        yield from self.vacuum.shrink_to(self._max_bytes)

    def _delete_oldest(self) -> Generator[Done, None, bool]:
        """Delete a fiftieth of the samples, and delivered data of the same age; returns whether there was any."""
        number = int(one(self._db, "SELECT ifnull(sum(count), 0) FROM block"))
        ended_ns = self._retention.delete_blocks(EVER_NS, min(max(number // 50, 1), self._tuning.samples))
        yield NOTHING
        before_ns = EVER_NS if ended_ns is None else ended_ns + 1
        deleted = 0
        for stream in TABLES:
            deleted += yield from self._retention.delete(stream, before_ns)
        return ended_ns is not None or deleted > 0

    def _add_up_far_ahead(self) -> Generator[Done, None, bool]:
        """Close some open intervals of lines that are dated far ahead, the furthest first; returns whether any were.

        They would wait for years. Each series gets one closed interval with the sum of their counts, at the time of the
        log: a late interval for every exporter (docs/decisions/0104).
        """
        now_ns = time.time_ns()
        found = self._db.execute(
            f"SELECT i.end_ns, i.start_ns, i.series, {_LOG_NS}, {counts_to_read('i')}"
            " FROM open_interval AS i CROSS JOIN series ON series.id = i.series"
            " WHERE i.end_ns > ?2 ORDER BY i.end_ns DESC LIMIT ?3",
            (now_ns, now_ns + FAR_AHEAD_NS, self._tuning.intervals),
        ).fetchall()
        if not found:
            return False
        bounds_ns, repaired = series_bounds(self._db), Repaired()
        sums: dict[tuple[int, int], Counts] = {}
        for _, _, series, log_ns, *columns in found:
            counts, is_whole = counts_or_mean(columns, bounds_ns[series])
            if not is_whole:
                repaired += Repaired.of(counts)
            add(sums.setdefault((log_ns, series), Counts()), counts)
        with transaction(self._db):
            self._db.executemany(
                f"INSERT INTO interval (series, start_ns, end_ns, {COUNTS}) VALUES ({marks(10)})",
                [(series, log_ns - 1, log_ns, *counts_row(sums[log_ns, series])) for log_ns, series in sorted(sums)],
            )
            self._db.executemany(
                "DELETE FROM open_interval WHERE end_ns = ? AND start_ns = ? AND series = ?", [row[:3] for row in found]
            )
            self._db.execute(  # a new exporter must not begin these series in the future
                f"UPDATE series SET start_ns = {_LOG_NS} WHERE start_ns > ?1 AND id IN {IDS.replace('?', '?2')}",
                (now_ns, json_ids({series for _, series in sums})),
            )
            self._forget_open()
        yield Done(repaired=repaired)
        return True

    def _delete_waiting(self) -> Generator[Done, None, bool]:
        """Delete some data that waits for an exporter; returns whether there was any."""
        deleted = 0
        for stream, table in TABLES.items():
            ids = " UNION ALL ".join(f"SELECT id FROM {name}" for name in table.names)
            last = one(self._db, f"SELECT max(id) FROM ({ids} ORDER BY id LIMIT ?)", self._tuning.rows // 4)
            if last is not None:
                yield from self._retention.pass_over(stream, int(last))
                with transaction(self._db):
                    for name in table.names:
                        deleted += self._db.execute(f"DELETE FROM {name} WHERE id <= ?", (last,)).rowcount
                yield NOTHING
        return deleted > 0
