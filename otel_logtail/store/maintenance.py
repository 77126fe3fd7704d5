"""What is old is made small and leaves the store: in small transactions of its one writer, never in the tail's way.

In this order: intervals merge into minutes and then hours; small blocks of samples are put together; what is older
than the retention and has reached every exporter leaves; then, while the store is over its size, the oldest leaves.

Invariants:
  * only what every exporter has is changed or leaves. An exporter that no daemon has run with for
    :data:`FORGOTTEN_NS` no longer counts; and the size bound forces what else could not be held;
  * what leaves before an exporter has it is counted for that exporter (``dropped``), with the time that it was about,
    in the same transaction; its counts go into the totals that the exporter's next points carry, so sums stay true;
  * an id that was given never comes back: merging keeps the highest one of the rows that it merges.

Age counts back from the second newest sample in the store (or the clock, where that is earlier): an old log that is
read as a whole does not vanish while it is read, a log that is silent keeps what it has, and one line with a wrong date
deletes nothing.

Known limits: a block leaves as a whole, when its last sample is old; between two looks at the size a backlog can take
the file over its bound for a moment; what an exporter was given and had not yet confirmed when it was dropped counts as
dropped, though the receiver may have it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from otel_logtail.counts import add
from otel_logtail.model import Counts, Dropped, Instrument, Stream
from otel_logtail.store import quarantine
from otel_logtail.store.connection import series_bounds, transaction, translated
from otel_logtail.store.rows import (
    COUNTS,
    IDS,
    OFFSET_BITS,
    STEP_NS,
    SampleColumns,
    counts_or_mean,
    counts_row,
    counts_to_read,
    decode_block,
    encode_block,
    json_ids,
    marks,
    whole_in_all,
)

FORGOTTEN_NS = 7 * 86_400 * 10**9
"""How long what an exporter lacks is kept for it after the last run with it."""

EVERY_S = 60.0
"""How often there is something to do."""

SIZE_EVERY_S = 1.0
"""How often a store that is too large is made smaller: a backlog can bring much in a minute."""

FAR_AHEAD_NS = 86_400 * 10**9
"""Counts that are dated further ahead of the clock than this are deleted before those that wait for an exporter."""

_SECOND = 10**9
_MERGES = ((60 * _SECOND, 3600 * _SECOND), (3600 * _SECOND, 24 * 3600 * _SECOND))
"""Into intervals of this length, once they are older than this."""

_COMPACT_AFTER_NS = 600 * _SECOND
_COMPACT_WITHIN_NS = 3600 * _SECOND
_SMALL, _BLOCK = 250, 1000

# of one transaction: some tens of milliseconds, in which the tail stands still
_ROWS = 2000
_INTERVALS = 500  # of kilobytes each
_SAMPLES = 20_000
_SPARE_PAGES = 64
_LONGEST_BITE_S, _LEAST_PAGES = 0.05, 8
_EVER_NS = _ALL = 2**63 - 1

_STREAMS = {
    Stream.INTERVALS: ("interval", "end_ns", "start_ns"),
    Stream.EPISODES: ("episode", "end_ns", "start_ns"),
    Stream.BREACHES: ("breach", "time_ns", "time_ns"),
}

_Gone = Callable[[], Collection[int]]


class Limits(msgspec.Struct, frozen=True):
    """How much is kept; None: no bound."""

    retention_ns: int | None = None
    max_bytes: int | None = None


class _Group(msgspec.Struct, frozen=True):
    """Intervals that become one: which of a day's slots, their ids, what they add up to."""

    slot: int
    ids: list[int]
    counts: Counts
    first_breach: int
    last_breach: int


class Upkeep:
    """The upkeep of one store, on its writer's connection and in its writer's thread."""

    def __init__(
        self,
        path: Path,
        db: sqlite3.Connection,
        limits: Limits,
        exporters: Collection[str],
        forget_open: Callable[[], None],
    ) -> None:
        self._path = path
        self._forget_open = forget_open
        self._db = db
        self._limits = limits
        self._exporters = tuple(exporters)
        self._running: Iterator[None] | None = None
        self._bite_pages = _SPARE_PAGES
        self._next_s = self._next_size_s = 0.0
        self.failing = False
        """Whether the last try to do something failed."""
        self.dropped: list[Dropped] = []
        """What left undelivered since somebody took it from here."""
        self.forgotten: list[int] = []
        """Ids of files that are known no more, since somebody took them from here."""
        self.mended = 0
        """How many damaged counts went into an exporter's totals as what is left of them, likewise."""

    def step(self, now_s: float, gone: _Gone | None = None) -> bool:
        """Do one small transaction if it is time; returns whether there is more to do at once.

        Args:
            now_s: A monotonic clock.
            gone: Tells the ids of finished files that are no longer on disk, when that is needed; None: nobody has
                looked.

        Raises:
            StoreError: it could not be written; tried again at the next time.
        """
        try:
            with translated(self._path):
                if self._running is None:
                    self._running = self._begin(now_s, gone)
                if self._running is None:
                    return False
                next(self._running)
        except StopIteration:
            self._running, self.failing = None, False
            return False
        except BaseException:
            self._running, self.failing = None, True
            raise
        return True

    def _begin(self, now_s: float, gone: _Gone | None) -> Iterator[None] | None:
        """What there is to do now, if there is something."""
        if now_s >= self._next_s:
            self._next_s = now_s + EVERY_S
            self._next_size_s = now_s + SIZE_EVERY_S
            return self._run(gone)
        if self._limits.max_bytes is not None and now_s >= self._next_size_s:
            self._next_size_s = now_s + SIZE_EVERY_S
            if self._used_bytes() > self._limits.max_bytes:
                return self._shrink(self._limits.max_bytes, time.time_ns())
        return None

    def run(self) -> None:
        """Do all of it now."""
        self._running, self._next_s = None, 0.0
        while self.step(0.0):
            pass

    # --- one pass ---------------------------------------------------------------------------------------------------

    def _run(self, gone: _Gone | None) -> Iterator[None]:
        wall_ns = time.time_ns()
        with transaction(self._db):
            self._seen(wall_ns)
            if gone is not None:
                self._note_gone(gone(), wall_ns)
        newest_ns = self._one("SELECT max(last_ns) FROM block")
        if newest_ns is None:
            newest_ns = self._one("SELECT max(end_ns) FROM interval")
        yield
        if newest_ns is not None:
            now_ns = min(newest_ns, wall_ns)
            for length_ns, after_ns in _MERGES:
                yield from self._merge(length_ns, now_ns - after_ns)
            yield from self._compact(now_ns - _COMPACT_AFTER_NS)
        log_ns = self._log_time()
        if log_ns is not None and self._limits.retention_ns is not None:
            yield from self._age(min(log_ns, wall_ns) - self._limits.retention_ns, wall_ns)
        yield from self._forget_files(wall_ns - (self._limits.retention_ns or FORGOTTEN_NS), gone)
        if self._limits.max_bytes is not None:
            yield from self._shrink(self._limits.max_bytes, wall_ns)
        yield from self._give_back()

    def _log_time(self) -> int | None:
        """Return the time of the second newest sample, or of the only one; None if the store holds no counts.

        Whoever can write a line can date it, so one line does not age the others (docs/decisions/0104).
        """
        newest = self._db.execute(
            "SELECT id, first_ns, last_ns, count FROM block ORDER BY last_ns DESC LIMIT 2"
        ).fetchall()
        times = [last_ns for _, _, last_ns, _ in newest]
        if newest and newest[0][3] > 1:
            times += self._times_in_block(newest[0][0], newest[0][1])[:-1]
        if len(times) < 2:
            counted = self._db.execute(
                "SELECT end_ns, count FROM interval WHERE series IN (SELECT id FROM series WHERE instrument = ?)"
                " ORDER BY end_ns DESC LIMIT 2",
                (Instrument.DURATION.value,),
            ).fetchall()
            times = [end_ns for end_ns, count in counted for _ in range(min(count, 2))] or times
        return sorted(times)[-2:][0] if times else None

    def _times_in_block(self, id_: int, first_ns: int) -> list[int]:
        """Return the times of a block's samples in order, or only the first one if the block is damaged."""
        (text,) = self._db.execute("SELECT CAST(samples AS BLOB) FROM block WHERE id = ?", (id_,)).fetchone()
        try:
            return sorted(sample[1] for sample in decode_block(id_, first_ns, text))
        except msgspec.MsgspecError:
            return [first_ns, first_ns]

    def _meta(self, key: str) -> int:
        return int(self._one("SELECT value FROM meta WHERE key = ?", key) or 0)

    def _set_meta(self, key: str, value: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))

    def _seen(self, wall_ns: int) -> None:
        self._db.execute(
            f"UPDATE exporter SET last_seen_ns = ? WHERE name IN ({marks(len(self._exporters))})",
            (wall_ns, *self._exporters),
        )

    def _note_gone(self, gone: Collection[int], wall_ns: int) -> None:
        ids = json_ids(gone)
        self._db.execute(f"UPDATE file SET gone_ns = 0 WHERE gone_ns AND id NOT IN {IDS}", (ids,))
        self._db.execute(f"UPDATE file SET gone_ns = ? WHERE NOT gone_ns AND id IN {IDS}", (wall_ns, ids))

    def tells(self, stream: Stream) -> bool:
        """Whether an exporter that counts has been told this stream before: one of this daemon, or one of late."""
        with translated(self._path):
            return self._delivered(stream, time.time_ns()) < _ALL

    def _delivered(self, stream: Stream, wall_ns: int) -> int:
        """The highest id that all exporters which count have; all ids where there are none."""
        configured = set(self._exporters)
        rows = self._db.execute(
            "SELECT c.position, e.name, e.last_seen_ns FROM cursor AS c JOIN exporter AS e ON e.name = c.exporter"
            " WHERE c.stream = ?",
            (stream.value,),
        )
        counting = [at for at, name, seen_ns in rows if name in configured or seen_ns > wall_ns - FORGOTTEN_NS]
        return min(counting, default=_ALL)

    # --- merging ----------------------------------------------------------------------------------------------------

    def _merge(self, length_ns: int, until_ns: int) -> Iterator[None]:
        """Merge what every exporter has into intervals of this length, up to ``until_ns``, some rows at a time."""
        key = f"merged_{length_ns // _SECOND}_ns"
        until_ns -= until_ns % length_ns
        self._begin_behind_late_ones(length_ns, key)
        while True:
            since_ns = self._meta(key)
            first_ns = self._one("SELECT min(end_ns) FROM interval WHERE end_ns > ?", since_ns)
            if first_ns is None or first_ns > until_ns:
                return
            start_ns = max(since_ns, (first_ns - 1) // length_ns * length_ns)
            end_ns = min(self._end_of_some(start_ns, length_ns), until_ns)
            waiting = self._one(
                "SELECT 1 FROM interval WHERE end_ns > ? AND end_ns <= ? AND id > ? LIMIT 1",
                start_ns,
                end_ns,
                self._delivered(Stream.INTERVALS, time.time_ns()),
            )
            if waiting is not None:
                return  # an exporter has still to get these as they are
            groups = self._groups(length_ns, start_ns, end_ns)
            yield from self._behind(Stream.INTERVALS, max((max(group.ids) for group in groups), default=0))
            with transaction(self._db):
                self._merge_groups(length_ns, groups)
                self._set_meta(key, end_ns)
            yield

    def _begin_behind_late_ones(self, length_ns: int, key: str) -> None:
        """Rows that came since the last pass may belong where all was merged: a log that was found late."""
        known_id, last_id = self._meta(f"{key}_id"), self._one("SELECT max(id) FROM interval") or 0
        if last_id > known_id:
            # + : by id, of which few are new; by the index on end_ns the newest would come last
            late_ns = self._one("SELECT min(+end_ns) FROM interval WHERE id > ?", known_id)
            with transaction(self._db):
                if late_ns is not None and late_ns <= self._meta(key):
                    self._set_meta(key, (late_ns - 1) // length_ns * length_ns)
                self._set_meta(f"{key}_id", last_id)

    def _end_of_some(self, start_ns: int, length_ns: int) -> int:
        """The end of the intervals of this length that hold the next rows: not many more than what one bite holds."""
        last_ns = self._one(
            "SELECT max(end_ns) FROM (SELECT end_ns FROM interval WHERE end_ns > ? ORDER BY end_ns LIMIT ?)",
            start_ns,
            _INTERVALS,
        )
        return max(start_ns + length_ns, (last_ns or 0) // length_ns * length_ns)

    def _groups(self, length_ns: int, since_ns: int, until_ns: int) -> list[_Group]:
        """What becomes one row each."""
        groups: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        rows = self._db.execute(
            f"SELECT id, series, start_ns, first_breach, last_breach, {counts_to_read()} FROM interval"
            " WHERE end_ns > ? AND end_ns <= ? AND end_ns - start_ns < ? AND start_ns / ? = (end_ns - 1) / ?",
            (since_ns, until_ns, length_ns, length_ns, length_ns),
        )
        for row in rows:
            groups.setdefault((row[1], row[2] // length_ns), []).append(row)
        bounds_ns, found = series_bounds(self._db), []
        for (series, slot), members in groups.items():
            if len(members) > 1:
                # damaged on disk where SQLite can't see it: it stays, so that who reads it can say so
                counts, whole = whole_in_all([row[5:] for row in members], bounds_ns[series])
                taken = [members[place] for place in whole]
                first = min((row[3] for row in taken if row[3]), default=0)
                last = max((row[4] for row in taken), default=0)
                found.append(_Group(slot, [row[0] for row in taken], counts, first, last))
        return [group for group in found if len(group.ids) > 1]

    def _merge_groups(self, length_ns: int, groups: list[_Group]) -> None:
        gone, merged = [], []
        for group in groups:
            highest = max(group.ids)
            gone += [(id_,) for id_ in group.ids if id_ != highest]
            begin_ns = group.slot * length_ns
            breaches = (group.first_breach, group.last_breach)
            merged.append((begin_ns, begin_ns + length_ns, *counts_row(group.counts), *breaches, highest))
        self._db.executemany("DELETE FROM interval WHERE id = ?", gone)
        columns = f"start_ns, end_ns, {COUNTS}, first_breach, last_breach"
        self._db.executemany(f"UPDATE interval SET ({columns}) = ({marks(11)}) WHERE id = ?", merged)

    def _compact(self, until_ns: int) -> Iterator[None]:
        """Put small blocks of a file (live ones hold a line each) together, up to ``until_ns``."""
        while True:
            rows, samples = self._small_blocks(self._meta("compacted_ns"), until_ns)
            if not rows or (samples < _BLOCK and rows[0][1] > until_ns - _COMPACT_WITHIN_NS):
                return  # a log with few lines: the block will hold more of them later
            # not over hours: a block leaves as a whole, when its last sample is old
            groups: dict[tuple[int, int], list[int]] = {}
            for id_, last_ns in sorted(rows):
                groups.setdefault((id_ >> OFFSET_BITS, last_ns // _COMPACT_WITHIN_NS), []).append(id_)
            with transaction(self._db):
                for ids in groups.values():
                    self._put_together(ids)
                # with a full page, more may end at the very time of the last one: they stay small
                self._set_meta("compacted_ns", rows[-1][1])
            yield

    def _small_blocks(self, since_ns: int, until_ns: int) -> tuple[list[tuple[int, int]], int]:
        """Id and last_ns of the next ones, by time, and how many samples they hold."""
        found, samples = [], 0
        for id_, last_ns, count in self._db.execute(
            "SELECT id, last_ns, count FROM block WHERE last_ns > ? AND last_ns <= ? AND count < ?"
            " ORDER BY last_ns LIMIT ?",
            (since_ns, until_ns, _SMALL, _ROWS),
        ):
            found.append((id_, last_ns))
            samples += count
            if samples >= _SAMPLES:
                break
        return found, samples

    def _put_together(self, ids: list[int]) -> None:
        taken: list[int] = []
        samples: list[SampleColumns] = []
        source = 0
        for id_ in ids:
            source, first_ns, text = self._db.execute(  # a file belongs to one source
                "SELECT source, first_ns, CAST(samples AS BLOB) FROM block WHERE id = ?", (id_,)
            ).fetchone()
            try:
                samples += decode_block(id_, first_ns, text)
            except msgspec.MsgspecError:
                continue  # damaged on disk where SQLite can't see it: it stays as it is
            taken.append(id_)
        if len(taken) < 2:
            return
        samples.sort()
        self._db.executemany("DELETE FROM block WHERE id = ?", [(id_,) for id_ in taken])
        self._db.executemany(
            f"INSERT INTO block VALUES ({marks(6)})",
            [encode_block(source, samples[at : at + _BLOCK]) for at in range(0, len(samples), _BLOCK)],
        )

    # --- leaving ----------------------------------------------------------------------------------------------------

    def _age(self, before_ns: int, wall_ns: int) -> Iterator[None]:
        """Let go of what is older and has reached everybody who counts."""
        while self._delete_blocks(before_ns) is not None:
            yield
        for stream in _STREAMS:
            while (yield from self._delete(stream, before_ns, self._delivered(stream, wall_ns))):
                pass
        yield from self._age_quarantine(before_ns)

    def _age_quarantine(self, before_ns: int) -> Iterator[None]:
        """Delete items that a receiver did not accept and that nobody sent again: they count as dropped."""
        lanes = self._db.execute("SELECT DISTINCT exporter, stream FROM refused WHERE time_ns < ?", (before_ns,))
        for exporter, stream in lanes.fetchall():
            with transaction(self._db):
                drop = quarantine.drop(self._db, exporter, Stream(stream), time.time_ns(), "time_ns < ?", before_ns)
            if drop is not None:
                self._note(drop)
            yield

    def _delete_blocks(self, before_ns: int, samples: int = _SAMPLES) -> int | None:
        """Delete the oldest blocks that end before, about so many samples; returns when the last one ended."""
        ids: list[tuple[int]] = []
        ended_ns = None
        for id_, last_ns, count in self._db.execute(
            "SELECT id, last_ns, count FROM block WHERE last_ns < ? ORDER BY last_ns LIMIT ?", (before_ns, _ROWS)
        ):
            ids.append((id_,))
            ended_ns = int(last_ns)
            samples -= count
            if samples <= 0:
                break
        if ids:
            with transaction(self._db):
                self._db.executemany("DELETE FROM block WHERE id = ?", ids)
        return ended_ns

    def _delete(self, stream: Stream, before_ns: int, up_to_id: int) -> Generator[None, None, int]:
        """Delete some rows of a stream that are older and have no higher id; returns how many."""
        table, time_column, _ = _STREAMS[stream]
        if stream is Stream.BREACHES:  # an episode that is not delivered yet takes its breaches along
            before_ns = min(before_ns, self._oldest_needed_ns())
        ids = self._db.execute(
            f"SELECT id FROM {table} WHERE {time_column} < ? AND id <= ? ORDER BY {time_column} LIMIT ?",
            (before_ns, up_to_id, _ROWS),
        ).fetchall()
        if ids:
            yield from self._behind(stream, max(id_ for (id_,) in ids))
            with transaction(self._db):
                self._db.executemany(f"DELETE FROM {table} WHERE id = ?", ids)
            yield
        return len(ids)

    def _oldest_needed_ns(self) -> int:
        delivered = self._delivered(Stream.EPISODES, time.time_ns())
        needed = self._one(
            "SELECT min(start_ns) FROM (SELECT start_ns FROM episode WHERE id > ?"
            " UNION ALL SELECT start_ns FROM open_episode)",
            delivered,
        )
        return _EVER_NS if needed is None else int(needed)

    def _forget_files(self, before_ns: int, gone: _Gone | None) -> Iterator[None]:
        """Finished files that left the disk long ago, once nothing in the store is from them."""
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
        for at in range(0, len(ids), _ROWS):
            page = ids[at : at + _ROWS]
            if gone is not None:  # one may have come back since it was noted
                now_gone = gone()
                page = [id_ for id_ in page if id_ in now_gone]
            with transaction(self._db):
                self._db.executemany("DELETE FROM file WHERE id = ?", [(id_,) for id_ in page])
            self.forgotten += page
            yield

    def _shrink(self, max_bytes: int, wall_ns: int) -> Iterator[None]:
        """While the store is too large, delete the oldest data.

        Samples and data that every exporter has go first, then counts that are dated far ahead, then data that waits.
        """
        while self._used_bytes() > max_bytes:
            if not (
                (yield from self._drop_oldest_samples(wall_ns))
                or (yield from self._drop_far_ahead(wall_ns))
                or (yield from self._drop_oldest_waiting())
            ):
                break
        while self._pages("page_count") * self._pages("page_size") > max_bytes and self._give_back_some():
            yield
        self._cut_off()

    def _pages(self, what: str) -> int:
        return int(self._db.execute(f"PRAGMA {what}").fetchone()[0])

    def _used_bytes(self) -> int:
        return (self._pages("page_count") - self._pages("freelist_count")) * self._pages("page_size")

    def _drop_oldest_samples(self, wall_ns: int) -> Generator[None, None, bool]:
        """A fiftieth of the samples, and what is as old and delivered; returns whether anything left."""
        number = int(self._one("SELECT ifnull(sum(count), 0) FROM block") or 0)
        ended_ns = self._delete_blocks(_EVER_NS, min(max(number // 50, 1), _SAMPLES))
        yield
        before_ns = _EVER_NS if ended_ns is None else ended_ns + 1
        deleted = 0
        for stream in _STREAMS:
            deleted += yield from self._delete(stream, before_ns, self._delivered(stream, wall_ns))
        return ended_ns is not None or deleted > 0

    def _drop_far_ahead(self, wall_ns: int) -> Generator[None, None, bool]:
        """Delete open intervals of lines that are dated far ahead, the furthest first; returns whether there were any.

        They would wait for years. Their counts go into the totals that the next points carry, dated now.
        """
        places = self._db.execute(
            "SELECT end_ns, start_ns, series FROM open_interval WHERE end_ns > ? ORDER BY end_ns DESC LIMIT ?",
            (wall_ns + FAR_AHEAD_NS, _INTERVALS),
        ).fetchall()
        if not places:
            return False
        from_ns, to_ns = min(place[1] for place in places), places[0][0]
        exporters = self._db.execute("SELECT exporter FROM cursor WHERE stream = ?", (Stream.INTERVALS.value,))
        with transaction(self._db):
            for (exporter,) in exporters.fetchall():
                self._fold(exporter, self._open_rows(exporter, places, wall_ns))
                self._note(self._count_dropped(Dropped(exporter, Stream.INTERVALS, len(places), from_ns, to_ns)))
            self._db.executemany("DELETE FROM open_interval WHERE end_ns = ? AND start_ns = ? AND series = ?", places)
            self._db.execute(  # an exporter that is told of them must not begin them ahead
                "UPDATE series SET start_ns = (SELECT min(ifnull(nullif(sealed_ns, 0), ?1), ?1) FROM source"
                " WHERE source.id = series.source)"
                f" WHERE start_ns > ?1 AND id IN {IDS.replace('?', '?2')}",
                (wall_ns, json_ids({place[2] for place in places})),
            )
            self._forget_open()
        yield
        return True

    def _open_rows(self, exporter: str, places: list[tuple[int, int, int]], wall_ns: int) -> list[tuple[Any, ...]]:
        """Return open intervals as :meth:`_fold` takes them, at the time of the last point that was sent, or now."""
        found: list[tuple[Any, ...]] = []
        for place in places:
            series, told_ns, sealed_ns, *columns = self._db.execute(
                f"SELECT i.series, ifnull(t.time_ns, 0), source.sealed_ns, {counts_to_read('i')}"
                " FROM open_interval AS i JOIN series AS s ON s.id = i.series JOIN source ON source.id = s.source"
                " LEFT JOIN sent AS t ON t.exporter = ? AND t.source = source.name"
                " WHERE i.end_ns = ? AND i.start_ns = ? AND i.series = ?",
                (exporter, *place),
            ).fetchone()
            at_ns = told_ns or min(sealed_ns or wall_ns, wall_ns)
            found.append((series, at_ns, at_ns, told_ns, *columns))
        return found

    def _drop_oldest_waiting(self) -> Generator[None, None, bool]:
        """Some of what waits for an exporter: the last to go; returns whether anything left."""
        deleted = 0
        for stream, (table, _, _) in _STREAMS.items():
            last = self._one(f"SELECT max(id) FROM (SELECT id FROM {table} ORDER BY id LIMIT {_ROWS // 4})")
            if last is not None:
                yield from self._behind(stream, int(last))
                with transaction(self._db):
                    deleted += self._db.execute(f"DELETE FROM {table} WHERE id <= ?", (last,)).rowcount
                yield
        return deleted > 0

    def _behind(self, stream: Stream, up_to_id: int) -> Iterator[None]:
        """Rows up to this id leave next or are merged: move cursors that lack some of them, and count what they lack.

        An exporter that was away for long lacks much: its cursor goes there some rows at a time. Rows leave only after
        it has passed them, and nobody else moves them meanwhile; dying in between, the next pass goes on from there.
        """
        while True:
            behind = self._db.execute(
                "SELECT exporter FROM cursor WHERE stream = ? AND position < ? LIMIT 1", (stream.value, up_to_id)
            ).fetchone()
            if behind is None:
                return
            with transaction(self._db):
                drop = self._skip(stream, behind[0], up_to_id)
            if drop is not None:
                self._note(drop)
            yield

    def _note(self, drop: Dropped) -> None:
        """One line for each exporter and stream, however many bites it took."""
        for at, known in enumerate(self.dropped):
            if (known.exporter, known.stream) == (drop.exporter, drop.stream):
                from_ns, to_ns = min(known.from_ns, drop.from_ns), max(known.to_ns, drop.to_ns)
                self.dropped[at] = Dropped(drop.exporter, drop.stream, known.count + drop.count, from_ns, to_ns)
                return
        self.dropped.append(drop)

    def _skip(self, stream: Stream, exporter: str, up_to_id: int) -> Dropped | None:
        table, to_column, from_column = _STREAMS[stream]
        position = self._one(  # read again: it may have been moved by the exporter's own thread
            "SELECT position FROM cursor WHERE exporter = ? AND stream = ?", exporter, stream.value
        )
        if position is None or position >= up_to_id:
            return None
        count, last, from_ns, to_ns = self._db.execute(
            f"SELECT count(*), max(id), min({from_column}), max({to_column}) FROM"
            f" (SELECT id, {from_column}, {to_column} FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT {_ROWS})",
            (position, up_to_id),
        ).fetchone()
        until_id = last if count == _ROWS else up_to_id
        if stream is Stream.INTERVALS:
            self._fold(exporter, self._rows_between(exporter, position, until_id))
        self._db.execute(
            "UPDATE cursor SET position = ? WHERE exporter = ? AND stream = ?", (until_id, exporter, stream.value)
        )
        if not count:
            return None
        return self._count_dropped(Dropped(exporter, stream, count, from_ns, to_ns))

    def _rows_between(self, exporter: str, position: int, up_to_id: int) -> list[tuple[Any, ...]]:
        """Return closed intervals as :meth:`_fold` takes them."""
        return self._db.execute(
            f"SELECT i.series, max(i.start_ns, s.start_ns), i.end_ns, ifnull(t.time_ns, 0), {counts_to_read('i')}"
            " FROM interval AS i JOIN series AS s ON s.id = i.series JOIN source ON source.id = s.source"
            " LEFT JOIN sent AS t ON t.exporter = ? AND t.source = source.name"
            # the others were told by a newer copy of this store
            " WHERE i.id > ? AND i.id <= ? AND i.end_ns > ifnull(t.skip_ns, 0) ORDER BY i.id",
            (exporter, position, up_to_id),
        ).fetchall()

    def _count_dropped(self, drop: Dropped) -> Dropped:
        """Count what an exporter will never be given, and let its batch on the way be read again."""
        self._db.execute("UPDATE exporter SET generation = generation + 1 WHERE name = ?", (drop.exporter,))
        quarantine.count_dropped(self._db, drop, time.time_ns())
        return drop

    def _fold(self, exporter: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Note the counts of intervals that an exporter will never be given: its next points carry them.

        A row is a series, the start and the end of what it counts, the time of the last point that was sent, and the
        counts. Damaged ones count as they would have for the exporter: with what is left of them.
        """
        bounds_ns = series_bounds(self._db)
        owed: dict[int, tuple[int, int, Counts]] = {}
        for series, start_ns, end_ns, told_ns, *columns in rows:
            if series not in owed:
                known = self._owed(exporter, series, bounds_ns[series])
                owed[series] = known or (start_ns, told_ns + STEP_NS, Counts())
            begin_ns, time_ns, total = owed[series]
            counts, whole = counts_or_mean(columns, bounds_ns[series])
            self.mended += not whole
            add(total, counts)
            # a point with these counts may be on its way now: begun where that one begins, and told later
            owed[series] = (begin_ns, max(end_ns, time_ns) + STEP_NS, total)
        self._db.executemany(
            f"INSERT OR REPLACE INTO owed (exporter, series, start_ns, time_ns, {COUNTS}) VALUES ({marks(11)})",
            [
                (exporter, series, begin_ns, time_ns, *counts_row(total))
                for series, (begin_ns, time_ns, total) in owed.items()
            ],
        )

    def _owed(self, exporter: str, series: int, bounds_ns: tuple[int, ...]) -> tuple[int, int, Counts] | None:
        found = self._db.execute(
            f"SELECT start_ns, time_ns, {counts_to_read()} FROM owed WHERE exporter = ? AND series = ?",
            (exporter, series),
        ).fetchone()
        if found is None:
            return None
        counts, whole = counts_or_mean(found[2:], bounds_ns)
        self.mended += not whole
        return found[0], found[1], counts

    def _give_back(self) -> Iterator[None]:
        """Give free pages back to the file system, but not what the next minutes need anyway."""
        while self._pages("freelist_count") > _SPARE_PAGES and self._give_back_some():
            yield
        self._cut_off()

    def _cut_off(self) -> None:
        """Make the file as short as it says: without this it is when somebody writes much the next time."""
        if self._pages("page_count") * self._pages("page_size") < self._path.stat().st_size:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _give_back_some(self) -> bool:
        """Returns whether that helped: a store without auto_vacuum uses its free pages again, but keeps them."""
        free, began_s = self._pages("freelist_count"), time.monotonic()
        # not execute(): that takes the statement as done at its first page
        self._db.executescript(f"PRAGMA incremental_vacuum({self._bite_pages})")
        took_s = time.monotonic() - began_s
        # a page costs up to some milliseconds where very many are free: SQLite looks through the list of them
        if took_s > _LONGEST_BITE_S:
            self._bite_pages = max(_LEAST_PAGES, self._bite_pages // 2)
        elif took_s < _LONGEST_BITE_S / 4:
            self._bite_pages = min(_ROWS, self._bite_pages * 2)
        return self._pages("freelist_count") < free

    def _one(self, sql: str, *parameters: object) -> int | None:
        row = self._db.execute(sql, parameters).fetchone()
        return None if row is None else row[0]
