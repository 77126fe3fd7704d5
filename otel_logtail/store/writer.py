"""The store's one writer: commits what pieces of log gave rise to.

Invariants:
  * ``commit`` is one transaction: all of a batch and the position behind it, or nothing;
  * one process has the write side of a store at a time (see ``storefile``);
  * ids of streams are given in the transaction in which a row becomes final, and never again.

Exporters' cursors are moved by ``outbox``, on connections of their own; questions are answered by ``query``; what is
old is merged and dropped by ``upkeep``.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import msgspec

from otel_logtail.counts import SampleKey, add, extent, merge_attributes, sample_key
from otel_logtail.errors import StoreGone, StoreUnavailable
from otel_logtail.model import (
    Attributes,
    Batch,
    Counts,
    FileState,
    OpenEpisodes,
    Samples,
    Severity,
    Shape,
    SourceInfo,
    Stream,
    Unfinished,
)
from otel_logtail.store import home
from otel_logtail.store.connection import sync_each_commit, transaction, translated
from otel_logtail.store.file import StoreFile, open_file
from otel_logtail.store.maintenance import Limits, Upkeep
from otel_logtail.store.rows import (
    COUNTS,
    EPISODE,
    FILE,
    OFFSET_BITS,
    counts_or_mean,
    counts_row,
    counts_to_read,
    decode_block,
    decode_bounds,
    encode_attributes,
    encode_columns,
    encode_json,
    episode_columns,
    episode_of,
    file_columns,
    file_of,
    marks,
    path_of_text,
    text_of_path,
)
from otel_logtail.store.series import SeriesTable
from otel_logtail.store.wal import Held, Wal

_PUT_OPEN = (
    f"INSERT INTO open_interval (series, start_ns, end_ns, {COUNTS}, first_breach, last_breach) VALUES ({marks(12)})"
    f" ON CONFLICT DO UPDATE SET ({COUNTS}) = (excluded.{', excluded.'.join(COUNTS.split(', '))}),"
    " first_breach = ifnull(nullif(first_breach, 0), excluded.first_breach),"
    " last_breach = max(last_breach, excluded.last_breach)"
)

_NO_BREACHES = (0, 0)

_Place = tuple[int, int, int]
"""An open interval: its series, its start and its end."""

_BACKLOG_BYTES = 256 * 1024
_BACKLOG_PAGES, _LIVE_PAGES = 4000, 250
"""After how many pages SQLite brings them back from the log of changes into the store: the commit in whose turn that
falls waits for it, a millisecond for each few hundred. A backlog waits for nobody, and brings the same pages back less
often; what is written live is to be seen soon. (SQLite's default is 1000.)"""

_MEMO = 2_000

_SEAL = 5_000
"""How many intervals become final in one transaction, about."""

_MEMO_BUCKETS = 60_000
"""Of all counts that are kept in memory: about 100 bytes each."""


class _Grown(msgspec.Struct, frozen=True):
    """The counts of an open interval that are to be written, and the ids of the first and last breach among them."""

    counts: Counts
    first: int
    last: int


class Committed(msgspec.Struct, frozen=True):
    """What a commit made final, so that exporters have something to do."""

    sealed: int = 0
    closed: int = 0
    breaches: int = 0
    mended: int = 0
    """How many counts that were damaged on disk are now only known by their number and sum."""
    overflowed: bool = False
    """Whether something was counted in the series of what is beyond the most series."""
    first_end_ns: int | None = None
    """The end of the source's earliest interval that is still open; None: there is none."""


class _Kinds(dict[tuple[str, str], int]):
    """The ids of kinds by cause and stage, each asked for once: nothing in it but a lookup for each sample."""

    def __init__(self, ask: Callable[[tuple[str, str]], int]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, pair: tuple[str, str]) -> int:
        self[pair] = found = self._ask(pair)
        return found


class Store:
    """The write side of one store. Not for use by two threads at once."""

    def __init__(self, path: Path, file: StoreFile) -> None:
        self.path = file.path
        self._file = file
        self._abandoned = False
        self._syncs = True
        self.wal = Wal(file.path, file.connection)
        self._db = file.connection
        self._kinds: dict[tuple[int, int, Attributes, Severity, str, str], tuple[Shape, int]] = {}
        self.series = SeriesTable(self._db)
        # open intervals as they are in the store: the daemon is the only one who changes them
        self._open: dict[tuple[int, int, int], Counts] = {}
        self._mended = 0
        self._together = False
        self._checkpoint_pages = 0
        self.home_change = home.settle(self._db, path)
        """Where the store was used last, if that was elsewhere."""
        self.instance = str(self._one("SELECT value FROM meta WHERE key = 'instance'"))
        self.set_aside = file.set_aside
        """Where a damaged store went, in whose place this one is new; None: nothing was wrong."""
        self.was_gone = file.was_gone
        """Whether a store was here before, and was not there any more when this one was opened."""
        self.replaces = self._one("SELECT value FROM meta WHERE key = 'set_aside'") is not None
        """Whether another store was here before, damaged or gone: what its logs still hold is to be read again."""

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store, making it and its folder (modes 0600 and 0700) where they are not there.

        Raises:
            StoreLocked: another process has it (its pid is in the message).
            StoreUnavailable: it can't be opened now, but may be later.
            StoreError: it can't be opened, is of a newer schema, or the file is something else.
        """
        file = open_file(path)
        try:
            with translated(path):
                return cls(path, file)
        except BaseException:
            file.close()
            raise

    def see_that_it_is_there(self) -> None:
        """See that the store's files are still at their path: to be asked every few seconds.

        Where only those beside it are not, what they held is brought into the store, so that it can be opened anew.

        Raises:
            StoreGone: they are not.
            StoreUnavailable: they are not, and another program's snapshot is in the way of bringing it there.
        """
        try:
            self._file.see_that_it_is_there(all_of_it=True)
        except StoreGone as gone:
            if gone.beside:
                with translated(self.path):
                    busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise StoreUnavailable(f"{gone}, and another program reads the store", hint=str(gone)) from None
            raise

    def abandon(self) -> None:
        """The store is gone: what is committed from here on goes where nobody but this process sees it."""
        self._abandoned = True

    def close(self) -> None:
        """Close it and free its lock."""
        self._file.close()

    # --- sources, files, episodes ---------------------------------------------------------------------------------

    def source(
        self, name: str, observer: str, event: str, *, threshold_ns: int, stall_ns: int, quiet_ns: int
    ) -> SourceInfo:
        """Make the source, or give it the settings of this start; returns it with its id."""
        with translated(self.path), transaction(self._db):
            self._db.execute(
                "INSERT INTO source (name, observer, event, threshold_ns, stall_ns, quiet_ns) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET observer = excluded.observer, event = excluded.event,"
                " threshold_ns = excluded.threshold_ns, stall_ns = excluded.stall_ns, quiet_ns = excluded.quiet_ns",
                (name, observer, event, threshold_ns, stall_ns, quiet_ns),
            )
            source = self._one("SELECT id FROM source WHERE name = ?", name)
        return SourceInfo(int(str(source)), name, observer, event, self.instance, threshold_ns, stall_ns, quiet_ns)

    def files(self, source: int) -> list[FileState]:
        """All files of a source that are known, in the order in which they were first seen."""
        with translated(self.path):
            rows = self._db.execute(f"SELECT id, {FILE} FROM file WHERE source = ? ORDER BY id", (source,))
            return [file_of(row) for row in rows]

    def add_files(self, source: int, states: list[FileState]) -> list[FileState]:
        """Remember files that were not known, all at once; returns them with their ids.

        The order is that of the list. An id is given once, even if the file is forgotten later.
        """
        added: list[FileState] = []
        with translated(self.path), self._for_files():
            for state in states:
                cursor = self._db.execute(
                    f"INSERT INTO file (source, {FILE}) VALUES ({marks(14)})", (source, *file_columns(state))
                )
                added.append(msgspec.structs.replace(state, id=cursor.lastrowid))
        return added

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction for all that is remembered of files within it: there may be thousands."""
        if self._together:
            yield
            return
        with translated(self.path), transaction(self._db):
            self._together = True
            try:
                yield
            finally:
                self._together = False

    def _for_files(self) -> AbstractContextManager[None]:
        return nullcontext() if self._together else transaction(self._db)

    def update_file(self, source: int, state: FileState) -> None:
        """Remember where a known file of a source is now, and whether it is done."""
        with translated(self.path), self._for_files():
            self._update_file(source, state)

    def unfinished(self, source: int) -> Unfinished:
        """What was not final at the last commit of a source."""
        episodes: dict[str, OpenEpisodes] = {}
        with translated(self.path):
            rows = self._db.execute(
                f"SELECT away, {EPISODE} FROM open_episode WHERE source = ? ORDER BY away", (source,)
            )
            for away, *row in rows:
                live = path_of_text(row[0])
                episode = msgspec.structs.replace(episode_of(tuple(row)), live=live)
                aside = episodes[live].current if live in episodes else None
                episodes[live] = OpenEpisodes(episode, aside, bool(away))
            first_end_ns, last_start_ns = (
                self._edge_of_open(source, "end_ns ASC"),
                self._edge_of_open(source, "start_ns DESC"),
            )
        return Unfinished(episodes, first_end_ns, last_start_ns)

    def first_look(self, source: int) -> bool:
        """Whether this source's files were never looked at; from now on they were.

        Noted before the look: dying in between makes files be read from their start, never be skipped.
        """
        with translated(self.path), transaction(self._db):
            cursor = self._db.execute("UPDATE source SET looked = 1 WHERE id = ? AND looked = 0", (source,))
        return cursor.rowcount == 1

    def _edge_of_open(self, source: int, edge: str) -> int | None:
        """The earliest end or latest start of the intervals that are still open, or None."""
        column, _, _ = edge.partition(" ")
        found = self._one(
            f"SELECT o.{column} FROM open_interval AS o JOIN series AS s ON s.id = o.series"
            f" WHERE s.source = ? ORDER BY o.{edge} LIMIT 1",
            source,
        )
        return None if found is None else int(str(found))

    def upkeep(self, limits: Limits, exporters: Collection[str]) -> Upkeep:
        """What merges and drops the old in this store, for a daemon with these exporters."""
        self.wal.limit(limits.max_bytes)
        if limits.max_bytes is not None:  # the bound is on all that the store takes
            limits = msgspec.structs.replace(limits, max_bytes=limits.max_bytes - self.wal.share_bytes)
        return Upkeep(self.path, self._db, limits, exporters, self._open.clear)

    def tend(self, now_s: float) -> Held | None:
        """Keep the log of changes small; returns what is in the way of that.

        Raises:
            StoreError: it could not be tried.
        """
        with translated(self.path):
            return self.wal.tend(now_s)

    def undelivered(self, exporters: Collection[str]) -> int:
        """How many items these exporters lack; 0 where nobody can tell."""
        tables = {Stream.INTERVALS: "interval", Stream.EPISODES: "episode", Stream.BREACHES: "breach"}
        number = 0
        try:
            for stream, table in tables.items():
                number += self._db.execute(
                    f"SELECT count(*) FROM cursor AS c JOIN {table} AS t ON t.id > c.position"
                    f" WHERE c.stream = ? AND c.exporter IN ({marks(len(exporters))})",
                    (stream.value, *exporters),
                ).fetchone()[0]
        except sqlite3.Error:
            pass
        return number

    def stored(self, source: int, file: FileState, samples: Samples) -> Counter[SampleKey]:
        """Count those of these samples (at least one) that other files with this file's live path gave.

        They are known by what they hold. However far apart their times are, nothing else is kept in memory.
        """
        first_ns, last_ns, _ = extent(samples.time_ns)
        wanted = set(map(sample_key, samples.time_ns, samples.duration_ns, samples.stage_ns))
        with translated(self.path):
            blocks = self._db.execute(
                "SELECT block.id, block.first_ns, block.samples FROM block JOIN file ON file.id = block.id >> ?"
                " WHERE block.source = ? AND file.live = ? AND file.id != ? AND last_ns >= ? AND first_ns <= ?",
                (OFFSET_BITS, source, text_of_path(file.live), file.id, first_ns, last_ns),
            )
            found: Counter[SampleKey] = Counter()
            for id_, from_ns, text in blocks:
                keys = (
                    sample_key(at_ns, took_ns, stages)
                    for _, at_ns, took_ns, _, stages in decode_block(id_, from_ns, text)
                )
                found.update(key for key in keys if key in wanted)
            return found

    # --- the one write path ---------------------------------------------------------------------------------------

    def commit(self, *batches: Batch) -> Committed:
        """Write all of some batches of one source, and the positions behind them, in one transaction.

        Raises:
            StoreUnavailable: it can't be written now (no room, a fault that may pass); nothing was written.
            StoreGone: the file is no longer at its path; nothing was written.
            StoreError: another failure; nothing was written.
        """
        try:
            with translated(self.path):
                size = sum(batch.tally.bytes for batch in batches)
                pages = _BACKLOG_PAGES if size > _BACKLOG_BYTES else _LIVE_PAGES
                self._checkpoint_every(self.wal.pages(pages))
                with transaction(self._db):
                    committed = self._write(batches)
                    if not self._abandoned:
                        self._file.see_that_it_is_there()
                if self._syncs:
                    # whatever later commits build on (which files are known, and from where they are read) is on the
                    # disk by now: a power cut makes lines be read again, never be skipped
                    sync_each_commit(self._db, False)
                    self._syncs = False
                return committed
        except BaseException:
            # what was made in a transaction which is gone must not be used
            self._kinds.clear()
            self.series.forget()
            self._open.clear()
            raise

    def _checkpoint_every(self, pages: int) -> None:
        if pages != self._checkpoint_pages:
            self._db.execute(f"PRAGMA wal_autocheckpoint = {pages}")
            self._checkpoint_pages = pages

    def _write(self, batches: Sequence[Batch]) -> Committed:
        self._mended, self.series.overflowed = 0, False
        grown: dict[_Place, _Grown] = {}
        sealed = sum([self._write_one(batch, grown) for batch in batches])
        self._put_open(grown)
        self._count(batches)
        closed, breaches = sum(len(batch.closed) for batch in batches), sum(len(batch.breaches) for batch in batches)
        first_end_ns = self._edge_of_open(batches[-1].source, "end_ns ASC")
        return Committed(sealed, closed, breaches, self._mended, self.series.overflowed, first_end_ns)

    def _write_one(self, batch: Batch, grown: dict[_Place, _Grown]) -> int:
        """Write a batch, and add its counts to ``grown``; return how many intervals became final."""
        breaches = _NO_BREACHES
        if batch.file is not None:
            self._update_file(batch.source, batch.file)
            breaches = self._add_samples(batch, batch.file.id)
        self._add_counts(batch, breaches, grown)
        for live, open_ in batch.open_episodes.items():
            self._db.execute(
                "DELETE FROM open_episode WHERE source = ? AND live = ?", (batch.source, text_of_path(live))
            )
            for episode, away in ((open_.current, open_.is_away), (open_.aside, False)):
                if episode is not None:
                    self._db.execute(
                        f"INSERT INTO open_episode (source, {EPISODE}, away) VALUES ({marks(14)})",
                        (*episode_columns(batch.source, episode), away),
                    )
        if batch.closed:
            # the same lines in another file (somebody's copy of a log) are further samples, but not another span
            self._db.executemany(
                f"INSERT INTO episode (source, {EPISODE}) VALUES ({marks(13)}) ON CONFLICT (span_id) DO NOTHING",
                [episode_columns(batch.source, episode) for episode in batch.closed],
            )
        if batch.seal_until_ns is None:
            return 0
        self._put_open(grown)
        return self._seal(batch.source, batch.seal_until_ns, batch.is_last)

    def _update_file(self, source: int, state: FileState) -> None:
        columns = file_columns(state)
        cursor = self._db.execute(f"UPDATE file SET ({FILE}) = ({marks(13)}) WHERE id = ?", (*columns, state.id))
        if not cursor.rowcount:
            # upkeep forgot it when it was gone for long, and now it is here again: without its row nobody would know
            # after a restart how far it was read
            self._db.execute(
                f"INSERT INTO file (id, source, {FILE}) VALUES ({marks(15)})", (state.id, source, *columns)
            )

    def _add_samples(self, batch: Batch, file: int) -> tuple[int, int]:
        """Returns the first and the last id of its breaches."""
        samples, number = batch.samples, len(batch.samples.offsets)
        if not number:
            return _NO_BREACHES
        kinds = self._kinds_of(batch)
        first, (first_ns, last_ns, _) = samples.offsets[0], extent(samples.time_ns)
        text = encode_columns(samples, kinds, first, first_ns)
        row = (file << OFFSET_BITS | first, batch.source, first_ns, last_ns, number, text)
        self._db.execute(f"INSERT INTO block VALUES ({marks(6)})", row)
        if not batch.breaches:
            return _NO_BREACHES
        self._db.executemany(
            "INSERT INTO breach (source, file, offset, uid, time_ns, duration_ns, kind, stages, trace_id, span_id)"
            f" VALUES ({marks(10)})",
            [
                (
                    batch.source,
                    file,
                    b.hit.offset,
                    b.hit.uid,
                    (sample := b.hit.sample).time_ns,
                    sample.duration_ns,
                    kinds[b.hit.index],
                    encode_json(sample.stage_ns),
                    b.trace_id,
                    b.span_id,
                )
                for b in batch.breaches
            ],
        )
        last = int(str(self._one("SELECT max(id) FROM breach")))
        return last - len(batch.breaches) + 1, last

    def _kinds_of(self, batch: Batch) -> list[int]:
        """The id of each sample's kind."""
        samples = batch.samples
        # shapes are made once, so their identity stands for their value: hashing each would cost more
        shapes = samples.shapes
        if shapes.count(shapes[0]) == len(shapes):
            ok = _Kinds(lambda pair: self._kind(batch, shapes[0], Severity.OK, *pair))
            kinds = list(map(ok.__getitem__, zip(samples.causes, samples.stages, strict=True)))
        else:
            of = {id(shape): shape for shape in shapes}
            keys = list(zip(map(id, shapes), samples.causes, samples.stages, strict=True))
            known = {key: self._kind(batch, of[key[0]], Severity.OK, key[1], key[2]) for key in dict.fromkeys(keys)}
            kinds = list(map(known.__getitem__, keys))
        for breach in batch.breaches:
            sample = breach.hit.sample
            kinds[breach.hit.index] = self._kind(batch, sample.shape, breach.hit.severity, sample.cause, sample.stage)
        return kinds

    def _kind(self, batch: Batch, shape: Shape, severity: Severity, cause: str, stage: str) -> int:
        # shapes are few and made once: looked up by identity, and kept so that the identity stays theirs
        key = (batch.source, id(shape), batch.attributes, severity, cause, stage)
        known = self._kinds.get(key)
        if known is not None:
            return known[1]
        attributes = encode_attributes(merge_attributes(shape.attributes, batch.attributes))
        columns = (batch.source, attributes, encode_json(shape.stages), int(severity), cause, stage)
        added = self._db.execute(
            "INSERT INTO kind (source, attributes, stages, severity, cause, stage) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            columns,
        )
        found = (
            added.lastrowid
            if added.rowcount
            else self._one(
                "SELECT id FROM kind WHERE source = ? AND attributes = ? AND stages = ? AND severity = ? AND cause = ?"
                " AND stage = ?",
                *columns,
            )
        )
        if len(self._kinds) >= _MEMO:  # an observer that makes its shapes anew for every line
            self._kinds.clear()
        self._kinds[key] = (shape, int(str(found)))
        return self._kinds[key][1]

    def _add_counts(self, batch: Batch, breaches: tuple[int, int], grown: dict[_Place, _Grown]) -> None:
        """Add a batch's counts to those of the open intervals, which are written once for many batches."""
        for key, more in batch.counts.items():
            series = self.series.of(batch.source, key)
            place = (series.id, key.start_ns, key.end_ns)
            before = grown.get(place)
            counts = before.counts if before else self._open.get(place)
            if counts is None:
                counts = Counts() if key.start_ns >= series.open_ns else self._read_counts(place)
                if len(self._open) >= _MEMO:
                    self._open.clear()
            add(counts, more)  # a copy where nothing was counted before: the batch is never changed
            first, last = (before.first or breaches[0], max(before.last, breaches[1])) if before else breaches
            grown[place] = _Grown(counts, first, last)
            self._open[place] = counts
            series.open_ns = max(series.open_ns, key.end_ns)

    def _put_open(self, grown: dict[_Place, _Grown]) -> None:
        """Write counts that have grown, and forget that they have."""
        if not grown:
            return
        rows = [(*place, *counts_row(each.counts), each.first, each.last) for place, each in grown.items()]
        self._db.executemany(_PUT_OPEN, rows)
        grown.clear()
        if sum(len(counts.exponential) for counts in self._open.values()) > _MEMO_BUCKETS:
            self._open.clear()

    def _read_counts(self, place: tuple[int, int, int]) -> Counts:
        row = self._db.execute(
            f"SELECT {counts_to_read()} FROM open_interval WHERE series = ? AND start_ns = ? AND end_ns = ?", place
        ).fetchone()
        if row is None:
            return Counts()
        bounds_ns = decode_bounds(str(self._one("SELECT bounds FROM series WHERE id = ?", place[0])))
        counts, whole = counts_or_mean(row, bounds_ns)
        self._mended += not whole  # damaged on disk where SQLite can't see it: no reason to stop reading for ever
        return counts

    def _mend(self, places: list[tuple[int, int, int]]) -> None:
        """Mend damaged counts once, before they become final, and not at each of their readers.

        Those that are in memory were read or written by this process, and are as good as they were then.
        """
        for place in places:
            if place not in self._open:
                before, counts = self._mended, self._read_counts(place)
                if self._mended > before:
                    self._db.execute(_PUT_OPEN, (*place, *counts_row(counts), *_NO_BREACHES))

    def _seal(self, source: int, until_ns: int, is_last: bool) -> int:
        places = self._db.execute(
            "SELECT series, o.start_ns, end_ns FROM open_interval AS o JOIN series AS s ON s.id = o.series"
            " WHERE o.end_ns <= ? AND s.source = ? ORDER BY o.end_ns LIMIT ?",
            (until_ns, source, _SEAL),
        ).fetchall()
        if len(places) == _SEAL:  # the clock was set forward: the rest follows, a bounded number in each transaction
            until_ns = places[-1][2]
        if places or not is_last:
            # not the latest that it ever was: where the machine's clock was ahead, it is set back some time
            log_ns = places[-1][2] if is_last else until_ns
            self._db.execute("UPDATE source SET sealed_ns = ? WHERE id = ?", (log_ns, source))
        if not places:
            return 0
        self._mend(places)
        # in order of time, so that an exporter meets each series' intervals in order
        cursor = self._db.execute(
            f"INSERT INTO interval (series, start_ns, end_ns, {COUNTS}, first_breach, last_breach)"
            f" SELECT series, o.start_ns, end_ns, {COUNTS}, first_breach, last_breach"
            " FROM open_interval AS o JOIN series AS s ON s.id = o.series"
            " WHERE o.end_ns <= ? AND s.source = ? ORDER BY o.end_ns, o.start_ns, o.series",
            (until_ns, source),
        )
        if cursor.rowcount:
            for place in [place for place in self._open if place[2] <= until_ns]:
                del self._open[place]
            self._db.execute(
                "DELETE FROM open_interval WHERE end_ns <= ? AND series IN (SELECT id FROM series WHERE source = ?)",
                (until_ns, source),
            )
        return cursor.rowcount

    def _count(self, batches: Sequence[Batch]) -> None:
        """Add what was read to the counters of the batches' source."""
        source, tallies = batches[-1].source, [batch.tally for batch in batches]
        if not any(tally.bytes or tally.oversized for tally in tallies):
            return
        names = ("bytes", "samples", "ignored", "drift", "oversized")
        self._db.execute(
            f"UPDATE source SET {', '.join(f'{name} = {name} + ?' for name in names)} WHERE id = ?",
            (*(sum(getattr(tally, name) for tally in tallies) for name in names), source),
        )
        rejected = [(source, *item) for tally in tallies for item in tally.rejected.items()]
        if rejected:
            self._db.executemany(
                "INSERT INTO rejected VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                rejected,
            )

    def _one(self, sql: str, *parameters: object) -> object:
        row = self._db.execute(sql, parameters).fetchone()
        return None if row is None else row[0]
