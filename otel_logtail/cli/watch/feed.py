"""Read what the screen shows, a little at a time: nothing stays open between two reads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

from otel_logtail.cli.watch.model import MOST_COLUMNS, RECENT_NS, STEPS_S, Column, Moment, Recent, Waiting
from otel_logtail.counts import add
from otel_logtail.errors import StoreError
from otel_logtail.model import Counts
from otel_logtail.query import Reader, episodes
from otel_logtail.query.intervals import percentiles_ns
from otel_logtail.query.reader import STEPS
from otel_logtail.query.recent import Slice, closed_after, closed_within, newest_id, progress, still_open
from otel_logtail.report.answer import Answer
from otel_logtail.report.data import gather
from otel_logtail.report.rows import answer_of
from otel_logtail.report.slo import Slo
from otel_logtail.store.lock import identity
from otel_logtail.store.place import holder
from otel_logtail.text import parse_when

_SECOND = 10**9
_EPISODES = 100
_EPISODES_NS = 24 * 3600 * _SECOND
_LOADING_S = 0.2
_VERDICT_S = 30.0
_VERDICT_SHARE = 100
"""The verdict takes at most this part of the time (1 %)."""


class History:
    """The closed intervals that were read so far: by column of the plot, and by their start for the last minutes.

    Older columns are loaded after newer ones, some at each read, so that a read is short.
    """

    def __init__(self, step_s: int, first_id: int, now_ns: int) -> None:
        self.step_ns = step_s * _SECOND
        self._first_id = self._last_id = first_id
        self._loaded_ns = now_ns  # rows that end after it are loaded
        self._until_ns = 2**63 - 1
        self._columns: dict[int, Column] = {}
        self._recent: dict[tuple[int, int], Counts] = {}

    def read(self, reader: Reader, since_ns: int, now_ns: int, loading_s: float) -> list[Slice]:
        """Read new rows, load some more of the old ones, and return the open intervals."""
        oldest_ns = now_ns - MOST_COLUMNS * self.step_ns
        opened = still_open(reader, oldest_ns)
        newest = newest_id(reader)
        for row in closed_after(reader, self._last_id, oldest_ns):
            self._add(row, now_ns)
        self._last_id = newest
        deadline_s = time.monotonic() + loading_s
        while self._loaded_ns > since_ns:
            from_ns = max(since_ns, self._loaded_ns - max(self.step_ns, RECENT_NS))
            for row in closed_within(reader, self._first_id, from_ns, self._until_ns):
                self._add(row, now_ns)
            self._loaded_ns = self._until_ns = from_ns
            if time.monotonic() > deadline_s:
                break
        self._forget(oldest_ns, now_ns)
        return opened

    def columns(self, opened: Sequence[Slice], number: int, now_ns: int) -> tuple[Column, ...]:
        """Return the newest columns, the oldest first."""
        last = now_ns // self.step_ns
        more: dict[int, Column] = {}
        for row in opened:
            place = row.start_ns // self.step_ns
            if place not in more:
                known = self._columns.get(place, Column())
                more[place] = Column(dict(known.buckets), known.count)
            _add_to(more[place], row.counts)
        places = range(last - number + 1, last + 1)
        return tuple(more.get(place) or self._columns.get(place) or Column() for place in places)

    def recent(self, opened: Sequence[Slice], now_ns: int) -> Recent:
        """Return the figures of the last minutes."""
        total = Counts()
        rows = [*(Slice(*place, counts) for place, counts in self._recent.items()), *opened]
        rows = [row for row in rows if row.start_ns >= now_ns - RECENT_NS]
        for row in rows:
            add(total, row.counts)
        if not total.count:
            return Recent()
        length_ns = max(row.end_ns - row.start_ns for row in rows)
        first_ns = -(-(now_ns - RECENT_NS) // length_ns) * length_ns  # the first interval that is not cut
        p50, p99 = percentiles_ns(total, (50, 99))
        minutes = max(now_ns - first_ns, length_ns) / (60 * _SECOND)
        return Recent(total.count / minutes, p50 / 1e6, p99 / 1e6, total.max_ns / 1e6)

    def _add(self, row: Slice, now_ns: int) -> None:
        _add_to(self._columns.setdefault(row.start_ns // self.step_ns, Column()), row.counts)
        if row.start_ns >= now_ns - RECENT_NS:
            add(self._recent.setdefault((row.start_ns, row.end_ns), Counts()), row.counts)

    def _forget(self, oldest_ns: int, now_ns: int) -> None:
        for place in [place for place in self._columns if place * self.step_ns < oldest_ns]:
            del self._columns[place]
        for start_ns, end_ns in [key for key in self._recent if key[0] < now_ns - RECENT_NS]:
            del self._recent[start_ns, end_ns]


def _add_to(column: Column, counts: Counts) -> None:
    buckets = column.buckets
    for index, number in counts.exponential.items():
        buckets[index] = buckets.get(index, 0) + number
    column.count += counts.count


class Feed:
    """A store that may not exist yet, or be replaced.

    Args:
        path: The store's file.
        source: The name of a source; None: all of them.
        slos: The targets of the verdict; none: the default ones.
        tz: The time zone of days; None: the local one.
        loading_s: The time that one read spends on old intervals, in seconds.
    """

    def __init__(
        self,
        path: Path,
        source: str | None = None,
        slos: Sequence[Slo] = (),
        *,
        tz: tzinfo | None = None,
        loading_s: float = _LOADING_S,
    ) -> None:
        self._path = path
        self._tz = tz
        self._source = source
        self._slos = slos
        self._loading_s = loading_s
        self._store: tuple[object, ...] | None = None
        self._history: History | None = None
        self._today: Answer | None = None
        self._judge_at_s: float | None = None
        self._interval_s = 0
        self._damage = ""
        self._is_interrupted = False

    def interrupt(self) -> None:
        """End the read that is running or about to start; a signal handler may call it.

        SQLite checks it while a statement runs: ``sqlite3_interrupt`` would miss a statement that is about to start.
        """
        self._is_interrupted = True

    def read(self, now_ns: int, step_s: int, columns: int) -> Moment | Waiting:
        """Return the moment. ``step_s`` is the time that a column of the plot covers.

        Raises:
            UsageError: the store has sources, but not the given one.
        """
        try:
            with Reader.open(self._path, source=self._source) as reader:
                reader.conn.set_progress_handler(lambda: self._is_interrupted, STEPS)
                return self._read(reader, now_ns, step_s, columns)
        except StoreError as problem:
            return self._waiting(problem, now_ns)

    def _waiting(self, problem: StoreError, now_ns: int) -> Waiting:
        if self._path.exists():
            return Waiting(now_ns, str(problem), problem.hint)
        was_there, self._history = self._store is not None, None
        why = f"{'store removed' if was_there else 'no store yet'}: {self._path}"
        return Waiting(now_ns, why, "waiting for a daemon to create it; --db FILE names another store")

    def _read(self, reader: Reader, now_ns: int, step_s: int, columns: int) -> Moment | Waiting:
        step_s = next((step for step in STEPS_S if step >= max(step_s, self._interval_s)), STEPS_S[-1])
        since_ns = min((now_ns // (step_s * _SECOND) - columns + 1) * step_s * _SECOND, now_ns - RECENT_NS)
        with reader.snapshot():
            if not reader.conn.execute("SELECT 1 FROM source").fetchone():
                return Waiting(now_ns, f"no source yet: {self._path}", "waiting for a daemon to read a log")
            state = progress(reader)
            self._notice(state.instance)
            history = self._history
            if history is None or history.step_ns != step_s * _SECOND:
                history = self._history = History(step_s, newest_id(reader), now_ns)
            opened = history.read(reader, since_ns, now_ns, self._loading_s)
            newest = tuple(episodes(reader.within(now_ns - _EPISODES_NS, None), limit=_EPISODES))
        self._interval_s = max((row.end_ns - row.start_ns for row in opened), default=0) // _SECOND
        today = self._judged(reader, now_ns)
        self._damage = str(reader.damage) or self._damage
        return Moment(
            now_ns=now_ns,
            title=state.sources[0] if len(state.sources) == 1 else f"{len(state.sources)} sources",
            files=state.files,
            behind=state.behind,
            is_running=holder(self._path) is not None,
            step_s=step_s,
            columns=history.columns(opened, columns, now_ns),
            recent=history.recent(opened, now_ns),
            thresholds_ms=state.thresholds_ms,
            episodes=newest[::-1],
            exporters=state.exporters,
            today=today,
            damage=self._damage,
        )

    def _notice(self, instance: str) -> None:
        """Start again if another store is at the path."""
        store = (identity(self._path), instance)
        if store != self._store:
            self._store, self._history, self._today, self._judge_at_s = store, None, None, None

    def _judged(self, reader: Reader, now_ns: int) -> Answer | None:
        """Return the verdict since midnight, renewed after a while."""
        start_s = time.monotonic()
        if self._judge_at_s is None:  # the first screen does not wait for it
            self._judge_at_s = start_s
        elif start_s >= self._judge_at_s:
            report = gather(reader.within(parse_when("today", now_ns, self._tz), None), self._slos, tz=self._tz)
            found = answer_of(report)
            self._today = found if report.summary.count else Answer(found.outcome, "Not judged: no samples yet")
            end_s = time.monotonic()
            self._judge_at_s = end_s + max(_VERDICT_S, _VERDICT_SHARE * (end_s - start_s))
        return self._today
