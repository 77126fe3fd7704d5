"""What is old is made small and leaves the store: in small transactions of its one writer, never in the tail's way.

In this order: intervals merge into minutes and then hours; small blocks of samples are put together; what is older
than the retention and has reached every exporter leaves; then, while the store is over its size, the oldest leaves.

Invariants:
  * only what every exporter has is changed or leaves. An exporter that no daemon has run with for
    :data:`FORGOTTEN_NS` no longer counts; and the size bound forces what else could not be held;
  * what leaves before an exporter has it is counted for that exporter (``dropped``), with the time that it was about,
    in the same transaction; its counts go into the totals that the exporter's next points carry, so sums stay true;
  * an id that was given never comes back: merging keeps the highest one of the rows that it merges.

Age counts back from the newest sample in the store (or the clock, where that is earlier): an old log that is read as a
whole does not vanish while it is read, and a log that is silent keeps what it has.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from otel_logtail import aggregate
from otel_logtail.database import transaction, translated
from otel_logtail.model import Counts, Dropped, Stream
from otel_logtail.rows import COUNTS, counts_of, counts_row, decode_block, encode_block, marks

FORGOTTEN_NS = 7 * 86_400 * 10**9
"""How long what an exporter lacks is kept for it after the last run with it."""

EVERY_S = 60.0
"""How often there is something to do."""

_SECOND = 10**9
_MERGES = ((60 * _SECOND, 3600 * _SECOND), (3600 * _SECOND, 24 * 3600 * _SECOND))
"""Into intervals of this length, once they are older than this."""

_WINDOW_NS = 6 * 3600 * _SECOND
_COMPACT_AFTER_NS = 600 * _SECOND
_SMALL, _BLOCK = 250, 1000
_ROWS = 2000

_STREAMS = {
    Stream.INTERVALS: ("interval", "end_ns", "start_ns"),
    Stream.EPISODES: ("episode", "end_ns", "start_ns"),
    Stream.BREACHES: ("breach", "time_ns", "time_ns"),
}


class Limits(msgspec.Struct, frozen=True):
    """How much is kept; None: no bound."""

    retention_ns: int | None = None
    max_bytes: int | None = None


class Upkeep:
    """The upkeep of one store, on its writer's connection and in its writer's thread."""

    def __init__(self, path: Path, db: sqlite3.Connection, limits: Limits, exporters: Collection[str]) -> None:
        self._path = path
        self._db = db
        self._limits = limits
        self._exporters = tuple(exporters)
        self._running: Iterator[None] | None = None
        self._next_s = 0.0
        self.dropped: list[Dropped] = []
        """What left undelivered since somebody took it from here."""

    def step(self, now_s: float, gone: Collection[int] = ()) -> bool:
        """Do one small transaction if it is time; returns whether there is more to do at once.

        Args:
            now_s: A monotonic clock.
            gone: Ids of finished files that are no longer on disk.

        Raises:
            StoreError: it could not be written; tried again at the next time.
        """
        if self._running is None:
            if now_s < self._next_s:
                return False
            self._next_s = now_s + EVERY_S
            self._running = self._run(frozenset(gone))
        try:
            with translated(self._path):
                next(self._running)
        except StopIteration:
            self._running = None
            return False
        except BaseException:
            self._running = None
            raise
        return True

    def run(self) -> None:
        """Do all of it now."""
        self._running, self._next_s = None, 0.0
        while self.step(0.0):
            pass

    # --- one pass ---------------------------------------------------------------------------------------------------

    def _run(self, gone: frozenset[int]) -> Iterator[None]:
        wall_ns = time.time_ns()
        with transaction(self._db):
            self._seen(wall_ns)
            self._note_gone(gone, wall_ns)
        newest_ns = self._one("SELECT max(last_ns) FROM block")
        if newest_ns is None:
            newest_ns = self._one("SELECT max(end_ns) FROM interval")
        if newest_ns is None:
            return
        now_ns = min(newest_ns, wall_ns)
        yield
        for length_ns, after_ns in _MERGES:
            yield from self._merge(length_ns, now_ns - after_ns)
        yield from self._compact(now_ns - _COMPACT_AFTER_NS)
        if self._limits.retention_ns is not None:
            yield from self._age(now_ns - self._limits.retention_ns, wall_ns)
            yield from self._forget_files(wall_ns - self._limits.retention_ns)
        if self._limits.max_bytes is not None:
            yield from self._shrink(self._limits.max_bytes, wall_ns)
        yield from self._give_back()

    def _seen(self, wall_ns: int) -> None:
        self._db.execute(
            f"UPDATE exporter SET last_seen_ns = ? WHERE name IN ({marks(len(self._exporters))})",
            (wall_ns, *self._exporters),
        )

    def _note_gone(self, gone: frozenset[int], wall_ns: int) -> None:
        ids = tuple(gone)
        self._db.execute(f"UPDATE file SET gone_ns = 0 WHERE gone_ns AND id NOT IN ({marks(len(ids))})", ids)
        self._db.execute(
            f"UPDATE file SET gone_ns = ? WHERE NOT gone_ns AND id IN ({marks(len(ids))})", (wall_ns, *ids)
        )

    def _delivered(self, stream: Stream, wall_ns: int) -> int:
        """The highest id that all exporters which count have; all ids where there are none."""
        configured = set(self._exporters)
        rows = self._db.execute(
            "SELECT c.position, e.name, e.last_seen_ns FROM cursor AS c JOIN exporter AS e ON e.name = c.exporter"
            " WHERE c.stream = ?",
            (stream.value,),
        )
        counting = [at for at, name, seen_ns in rows if name in configured or seen_ns > wall_ns - FORGOTTEN_NS]
        return min(counting, default=2**63 - 1)

    # --- merging ----------------------------------------------------------------------------------------------------

    def _merge(self, length_ns: int, until_ns: int) -> Iterator[None]:
        """Merge what every exporter has into intervals of this length, up to ``until_ns``, a window at a time."""
        key = f"merged_{length_ns // _SECOND}_ns"
        until_ns -= until_ns % length_ns
        while True:
            since_ns = int(self._one("SELECT value FROM meta WHERE key = ?", key) or 0)
            first_ns = self._one("SELECT min(end_ns) FROM interval WHERE end_ns > ?", since_ns)
            if first_ns is None or first_ns > until_ns:
                return
            start_ns = max(since_ns, (first_ns - 1) // length_ns * length_ns)
            end_ns = min(start_ns + max(_WINDOW_NS, length_ns), until_ns)
            if end_ns <= start_ns:
                return
            with transaction(self._db):
                delivered = self._delivered(Stream.INTERVALS, time.time_ns())
                waiting = self._one(
                    "SELECT 1 FROM interval WHERE end_ns > ? AND end_ns <= ? AND id > ? LIMIT 1",
                    start_ns,
                    end_ns,
                    delivered,
                )
                if waiting is not None:
                    return  # an exporter has still to get these as they are
                self._merge_window(length_ns, start_ns, end_ns)
                self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(end_ns)))
            yield

    def _merge_window(self, length_ns: int, since_ns: int, until_ns: int) -> None:
        groups: dict[tuple[int, int], tuple[int, list[int], Counts]] = {}
        rows = self._db.execute(
            f"SELECT id, series, start_ns, {COUNTS} FROM interval"
            " WHERE end_ns > ? AND end_ns <= ? AND end_ns - start_ns < ? AND start_ns / ? = (end_ns - 1) / ?",
            (since_ns, until_ns, length_ns, length_ns, length_ns),
        ).fetchall()
        for id_, series, start_ns, *columns in rows:
            counts = counts_of((columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6]))
            group = groups.get((series, start_ns // length_ns))
            if group is None:
                groups[series, start_ns // length_ns] = (id_, [], counts)
                continue
            highest, others, total = group
            aggregate.add(total, counts)
            groups[series, start_ns // length_ns] = (max(highest, id_), [*others, min(highest, id_)], total)
        self._behind(Stream.INTERVALS, max((group[0] for group in groups.values() if group[1]), default=0))
        for (_, slot), (id_, others, counts) in groups.items():
            if not others:
                continue
            self._db.executemany("DELETE FROM interval WHERE id = ?", [(other,) for other in others])
            self._db.execute(
                f"UPDATE interval SET (start_ns, end_ns, {COUNTS}) = ({marks(9)}) WHERE id = ?",
                (slot * length_ns, (slot + 1) * length_ns, *counts_row(counts), id_),
            )

    def _compact(self, until_ns: int) -> Iterator[None]:
        """Put small blocks of a file (live ones hold a line each) together, up to ``until_ns``."""
        while True:
            since_ns = int(self._one("SELECT value FROM meta WHERE key = 'compacted_ns'") or 0)
            rows = self._db.execute(
                "SELECT id, last_ns FROM block WHERE last_ns > ? AND last_ns <= ? AND count < ?"
                " ORDER BY last_ns LIMIT ?",
                (since_ns, until_ns, _SMALL, _ROWS),
            ).fetchall()
            if not rows:
                return
            by_file: dict[int, list[int]] = {}
            for id_, _ in sorted(rows):
                by_file.setdefault(id_ >> 40, []).append(id_)
            with transaction(self._db):
                for ids in by_file.values():
                    self._put_together(ids)
                # with a full page, more may end at the very time of the last one: they stay small
                self._db.execute("INSERT OR REPLACE INTO meta VALUES ('compacted_ns', ?)", (str(rows[-1][1]),))
            yield

    def _put_together(self, ids: list[int]) -> None:
        for at in range(0, len(ids), _BLOCK):
            part = ids[at : at + _BLOCK]
            if len(part) < 2:
                continue
            sources, samples = set(), []
            for id_ in part:
                source, first_ns, text = self._db.execute(
                    "SELECT source, first_ns, samples FROM block WHERE id = ?", (id_,)
                ).fetchone()
                sources.add(source)
                samples += decode_block(id_, first_ns, text)
            self._db.executemany("DELETE FROM block WHERE id = ?", [(id_,) for id_ in part])
            samples.sort()
            (source,) = sources  # a file belongs to one source
            for begin in range(0, len(samples), _BLOCK):
                self._db.execute(
                    f"INSERT INTO block VALUES ({marks(6)})", encode_block(source, samples[begin : begin + _BLOCK])
                )

    # --- leaving ----------------------------------------------------------------------------------------------------

    def _age(self, before_ns: int, wall_ns: int) -> Iterator[None]:
        """Let go of what is older and has reached everybody who counts."""
        while self._delete_blocks(before_ns):
            yield
        for stream in Stream:
            if stream in _STREAMS:
                while self._delete(stream, before_ns, self._delivered(stream, wall_ns)):
                    yield
        with transaction(self._db):
            self._db.execute("DELETE FROM refused WHERE time_ns < ?", (before_ns,))
        yield

    def _delete_blocks(self, before_ns: int) -> int:
        with transaction(self._db):
            return self._db.execute(
                "DELETE FROM block WHERE id IN (SELECT id FROM block WHERE last_ns < ? ORDER BY last_ns LIMIT ?)",
                (before_ns, _ROWS),
            ).rowcount

    def _delete(self, stream: Stream, before_ns: int, up_to_id: int) -> int:
        """Delete some rows of a stream that are older and have no higher id; returns how many."""
        table, time_column, _ = _STREAMS[stream]
        if stream is Stream.BREACHES:  # an episode that is not delivered yet takes its breaches along
            before_ns = min(before_ns, self._oldest_needed_ns())
        with transaction(self._db):
            ids = [
                id_
                for (id_,) in self._db.execute(
                    f"SELECT id FROM {table} WHERE {time_column} < ? AND id <= ? ORDER BY {time_column} LIMIT ?",
                    (before_ns, up_to_id, _ROWS),
                )
            ]
            if ids:
                self._behind(stream, max(ids))
                self._db.execute(f"DELETE FROM {table} WHERE id IN ({marks(len(ids))})", ids)
            return len(ids)

    def _oldest_needed_ns(self) -> int:
        delivered = self._delivered(Stream.EPISODES, time.time_ns())
        needed = self._one(
            "SELECT min(start_ns) FROM (SELECT start_ns FROM episode WHERE id > ?"
            " UNION ALL SELECT start_ns FROM open_episode)",
            delivered,
        )
        return 2**63 - 1 if needed is None else int(needed)

    def _forget_files(self, before_ns: int) -> Iterator[None]:
        """Finished files that left the disk long ago, once nothing in the store is from them."""
        with transaction(self._db):
            self._db.execute(
                "DELETE FROM file WHERE done AND gone_ns AND gone_ns < ?"
                " AND NOT EXISTS (SELECT 1 FROM block"
                " WHERE block.id >= file.id << 40 AND block.id < (file.id + 1) << 40)"
                " AND NOT EXISTS (SELECT 1 FROM breach WHERE breach.file = file.id)",
                (before_ns,),
            )
        yield

    def _shrink(self, max_bytes: int, wall_ns: int) -> Iterator[None]:
        """While the store is too large, let the oldest go: samples and what everybody has, then what is left."""
        while self._used_bytes() > max_bytes:
            if not (self._drop_oldest_samples(wall_ns) or self._drop_oldest_waiting()):
                return
            yield

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _drop_oldest_samples(self, wall_ns: int) -> int:
        """A fiftieth of the samples' blocks, and what is as old and delivered; returns how many rows left."""
        number = int(self._one("SELECT count(*) FROM block") or 0)
        horizon_ns = self._one(
            "SELECT max(last_ns) FROM (SELECT last_ns FROM block ORDER BY last_ns LIMIT ?)",
            min(max(number // 50, 100), _ROWS),
        )
        if horizon_ns is None:
            before_ns = 2**63 - 1
            deleted = 0
        else:
            before_ns = int(horizon_ns) + 1
            deleted = self._delete_blocks(before_ns)
        for stream in _STREAMS:
            deleted += self._delete(stream, before_ns, self._delivered(stream, wall_ns))
        return deleted

    def _drop_oldest_waiting(self) -> int:
        """Some of what waits for an exporter: the last to go."""
        deleted = 0
        for stream, (table, _, _) in _STREAMS.items():
            last = self._one(f"SELECT max(id) FROM (SELECT id FROM {table} ORDER BY id LIMIT {_ROWS // 4})")
            if last is not None:
                with transaction(self._db):
                    self._behind(stream, int(last))
                    deleted += self._db.execute(f"DELETE FROM {table} WHERE id <= ?", (last,)).rowcount
        return deleted

    def _behind(self, stream: Stream, up_to_id: int) -> None:
        """Rows up to this id leave now or are merged: move cursors that lack some of them, and count what they lack."""
        table, to_column, from_column = _STREAMS[stream]
        behind = self._db.execute(
            "SELECT exporter, position FROM cursor WHERE stream = ? AND position < ?", (stream.value, up_to_id)
        ).fetchall()
        for exporter, position in behind:
            count, from_ns, to_ns = self._db.execute(
                f"SELECT count(*), min({from_column}), max({to_column}) FROM {table} WHERE id > ? AND id <= ?",
                (position, up_to_id),
            ).fetchone()
            if stream is Stream.INTERVALS:
                self._fold(exporter, position, up_to_id)
            self._db.execute(
                "UPDATE cursor SET position = ? WHERE exporter = ? AND stream = ?", (up_to_id, exporter, stream.value)
            )
            self._db.execute("UPDATE exporter SET generation = generation + 1 WHERE name = ?", (exporter,))
            if count:
                self._db.execute(
                    "INSERT INTO dropped VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " count = count + excluded.count, from_ns = min(from_ns, excluded.from_ns),"
                    " to_ns = max(to_ns, excluded.to_ns), time_ns = excluded.time_ns",
                    (exporter, stream.value, count, from_ns, to_ns, time.time_ns()),
                )
                self.dropped.append(Dropped(exporter, stream, count, from_ns, to_ns))

    def _fold(self, exporter: str, position: int, up_to_id: int) -> None:
        """Add the counts of intervals that an exporter will never be given to the totals that it is told next."""
        rows = self._db.execute(
            f"SELECT series, end_ns, {COUNTS} FROM interval WHERE id > ? AND id <= ? ORDER BY id", (position, up_to_id)
        ).fetchall()
        totals: dict[int, tuple[int, Counts]] = {}
        for series, end_ns, *columns in rows:
            counts = counts_of((columns[0], columns[1], columns[2], columns[3], columns[4], columns[5], columns[6]))
            if series not in totals:
                known = self._db.execute(
                    f"SELECT time_ns, {COUNTS} FROM total WHERE exporter = ? AND series = ?", (exporter, series)
                ).fetchone()
                totals[series] = (end_ns, Counts()) if known is None else (known[0], counts_of(known[1:]))
            last_ns, total = totals[series]
            aggregate.add(total, counts)
            totals[series] = (max(last_ns, end_ns), total)
        self._db.executemany(
            f"INSERT OR REPLACE INTO total (exporter, series, time_ns, {COUNTS}) VALUES ({marks(10)})",
            [(exporter, series, last_ns, *counts_row(total)) for series, (last_ns, total) in totals.items()],
        )

    def _give_back(self) -> Iterator[None]:
        """Give free pages back to the file system."""
        while (free := self._db.execute("PRAGMA freelist_count").fetchone()[0]) > 64:
            self._db.execute("PRAGMA incremental_vacuum(2000)").fetchall()
            if self._db.execute("PRAGMA freelist_count").fetchone()[0] >= free:
                return  # a store without auto_vacuum: the pages are used again
            yield

    def _one(self, sql: str, *parameters: object) -> int | None:
        row = self._db.execute(sql, parameters).fetchone()
        return None if row is None else row[0]
