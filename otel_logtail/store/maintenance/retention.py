"""Retention: expired data is deleted once every exporter has it.

The age of data counts back from the second newest sample, or from the clock if that is earlier. So an old log is not
deleted while it is read, an idle log stays, and one line with a wrong date deletes nothing.

Data that an exporter does not have is deleted only if the exporter no longer counts, or over the size limit. Its cursor
is moved past the data before.

Known limit: a block is deleted as a whole, when its last sample has expired.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Generator

import msgspec

from otel_logtail.model import Instrument, Stream
from otel_logtail.store import quarantine
from otel_logtail.store.blocks import decode_block
from otel_logtail.store.connection import one, transaction
from otel_logtail.store.cursors import Cursors
from otel_logtail.store.maintenance.steps import NOTHING, Delivered, Done, Steps, Tuning
from otel_logtail.store.progress import ALL, first_behind
from otel_logtail.store.rows import OFFSET_BITS
from otel_logtail.store.sparse import sparse_rows
from otel_logtail.store.streams import TABLES

EVER_NS = ALL

Gone = Callable[[], Collection[int]]
"""Returns the ids of finished files that are no longer on disk."""


class Retention:
    """Deletes data by age, in transactions of bounded size."""

    def __init__(self, db: sqlite3.Connection, delivered: Delivered, tuning: Tuning) -> None:
        self._db = db
        self._delivered = delivered
        self._tuning = tuning

    def expire(self, before_ns: int) -> Steps:
        """Delete data that is older and was delivered."""
        while self.delete_blocks(before_ns) is not None:
            yield NOTHING
        for stream in TABLES:
            while (yield from self.delete(stream, before_ns)):
                pass
        yield from self._expire_quarantined(before_ns)

    def _expire_quarantined(self, before_ns: int) -> Steps:
        lanes = self._db.execute("SELECT DISTINCT exporter, stream FROM refused WHERE time_ns < ?", (before_ns,))
        for exporter, stream in lanes.fetchall():
            with transaction(self._db):
                drop = quarantine.drop(self._db, exporter, Stream(stream), time.time_ns(), "time_ns < ?", before_ns)
            yield Done((drop,)) if drop else NOTHING

    def delete_blocks(self, before_ns: int, samples: int | None = None) -> int | None:
        """Delete the oldest blocks that end before, of about so many samples; returns the last time in them."""
        left = self._tuning.samples if samples is None else samples
        ids: list[tuple[int]] = []
        ended_ns = None
        for id_, last_ns, count in self._db.execute(
            "SELECT id, last_ns, count FROM block WHERE last_ns < ? ORDER BY last_ns LIMIT ?",
            (before_ns, self._tuning.rows),
        ):
            ids.append((id_,))
            ended_ns = int(last_ns)
            left -= count
            if left <= 0:
                break
        if ids:
            with transaction(self._db):
                self._db.executemany("DELETE FROM block WHERE id = ?", ids)
        return ended_ns

    def delete(self, stream: Stream, before_ns: int) -> Generator[Done, None, int]:
        """Delete some rows of a stream that are older and were delivered; returns how many."""
        table = TABLES[stream]
        if stream is Stream.BREACHES:  # an episode is sent with its breaches
            before_ns = min(before_ns, self._oldest_needed_ns())
        deleted = 0
        for name in table.names:
            ids = self._db.execute(
                f"SELECT id FROM {name} WHERE {table.end} < ? AND id <= ? ORDER BY {table.end} LIMIT ?",
                (before_ns, self._delivered(stream), self._tuning.rows),
            ).fetchall()
            deleted += len(ids)
            if ids:
                yield from self.pass_over(stream, max(id_ for (id_,) in ids))
                with transaction(self._db):
                    self._db.executemany(f"DELETE FROM {name} WHERE id = ?", ids)
                yield NOTHING
        return deleted

    def pass_over(self, stream: Stream, up_to_id: int) -> Steps:
        """Move all cursors past this id, before rows up to it are deleted or merged.

        An exporter that was away for long lacks many rows: its cursor moves some rows in each transaction. If the
        process dies meanwhile, the next pass continues there.
        """
        while (exporter := first_behind(self._db, stream, up_to_id)) is not None:
            with transaction(self._db):
                drop, repaired = Cursors(self._db, exporter).skip(stream, up_to_id, self._tuning.rows)
            yield Done((drop,) if drop else (), repaired=repaired)

    def _oldest_needed_ns(self) -> int:
        """Return the start of the oldest episode, or part of one, that is open or not delivered."""
        needed = one(
            self._db,
            "SELECT min(start_ns) FROM (SELECT start_ns FROM episode WHERE id > ?"
            " UNION ALL SELECT start_ns FROM part WHERE id > ? UNION ALL SELECT start_ns FROM open_episode)",
            self._delivered(Stream.EPISODES),
            self._delivered(Stream.PARTS),
        )
        return EVER_NS if needed is None else int(needed)

    def forget_files(self, before_ns: int, gone: Gone | None) -> Steps:
        """Delete the rows of finished files that left the disk before, and that no data in the store is from."""
        ids = [
            int(id_)
            for (id_,) in self._db.execute(
                "SELECT id FROM file WHERE done AND gone_ns AND gone_ns < ?"
                f" AND NOT EXISTS (SELECT 1 FROM block WHERE block.id >= file.id << {OFFSET_BITS}"
                f" AND block.id < (file.id + 1) << {OFFSET_BITS})"
                " AND id NOT IN (SELECT file FROM breach)",
                (before_ns,),
            )
        ]
        for at in range(0, len(ids), self._tuning.rows):
            page = ids[at : at + self._tuning.rows]
            if gone is not None:  # a file may be on disk again
                now_gone = gone()
                page = [id_ for id_ in page if id_ in now_gone]
            with transaction(self._db):
                self._db.executemany("DELETE FROM file WHERE id = ?", [(id_,) for id_ in page])
            yield Done(forgotten=tuple(page))


def log_time(db: sqlite3.Connection) -> int | None:
    """Return the time of the second newest sample, or of the only one; None if the store holds no counts.

    A client that can write a line can date it, so one line does not age the others (docs/decisions/0104).
    """
    newest = db.execute("SELECT id, first_ns, last_ns, count FROM block ORDER BY last_ns DESC LIMIT 2").fetchall()
    times = [last_ns for _, _, last_ns, _ in newest]
    if newest and newest[0][3] > 1:
        times += _times_in_block(db, newest[0][0], newest[0][1])[:-1]
    if len(times) < 2:
        counted = db.execute(
            # "+" selects the newest by the index on end_ns: by series all intervals would be sorted
            "SELECT end_ns, count FROM interval WHERE +series IN (SELECT id FROM series WHERE instrument = ?)"
            " ORDER BY end_ns DESC LIMIT 2",
            (Instrument.DURATION.value,),
        ).fetchall()
        counted += [
            (row.end_ns, max(map(len, row.values or [[0]])))
            for row in sparse_rows(db, "1 ORDER BY end_ns DESC LIMIT 2")
        ]
        times = [end_ns for end_ns, count in counted for _ in range(min(count, 2))] or times
    return sorted(times)[-2:][0] if times else None


def _times_in_block(db: sqlite3.Connection, id_: int, first_ns: int) -> list[int]:
    """Return the times of a block's samples in order, or twice its first time if the block is damaged."""
    text = one(db, "SELECT CAST(samples AS BLOB) FROM block WHERE id = ?", id_)
    try:
        return sorted(sample[1] for sample in decode_block(id_, first_ns, text))
    except msgspec.MsgspecError:
        return [first_ns, first_ns]
