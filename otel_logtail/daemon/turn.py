"""One turn of the main loop: scan the files, read new lines, close what is over by the clock, maintain the store."""

from __future__ import annotations

import time

from otel_logtail.daemon.build import Parts
from otel_logtail.daemon.once import Progress
from otel_logtail.daemon.pace import Pace, pause_s
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.daemon.work import Work
from otel_logtail.errors import StoreCorrupt, StoreError, StoreFull, StoreGone
from otel_logtail.events import Reporter
from otel_logtail.store.wal import Held
from otel_logtail.tail.watch import TimedWatcher, Watcher
from otel_logtail.text import iso, number

ONCE_MAINTENANCE_S = 10.0
"""How long maintenance may take at the end of a run with ``--once``, in seconds. The next run continues it."""


class Turn:
    """The stages of one turn. ``watcher`` is replaced by one without file system events if watching fails."""

    def __init__(self, parts: Parts, watcher: Watcher, reporter: Reporter, supervisor: Supervisor, pace: Pace) -> None:
        self.watcher = watcher
        self.held: Held | None = None
        """The reader whose snapshot makes the write-ahead log grow, if there is one."""
        self._parts = parts
        self._reporter = reporter
        self._supervisor = supervisor
        self._pace = pace
        self._progress = Progress(parts.sources.runs, reporter) if parts.settings.once else None
        self.work = Work(
            parts.sources.runs,
            parts.drains,
            lambda exporter: parts.store.undelivered([exporter]),
            reporter,
            time.monotonic(),
        )

    def every_s(self) -> float:
        """Return the seconds between periodic scans."""
        return self._pace.every_s(has_events=self.watcher.alive())

    def take(self, changed: frozenset[str] | None) -> float:
        """Scan the paths that changed (None: all), read everything that is there, and maintain the store.

        Returns:
            The seconds until the next turn has something to do, if no file changes before.

        Raises:
            StoreError: the store can't be read or written now.
        """
        parts = self._parts
        for drain in parts.drains:
            if drain.damage is not None:
                raise drain.damage
        began_s = time.monotonic()
        if changed is None:
            parts.store.check_files()
        self._limit_wal(began_s)
        self.work.step(began_s)
        cpu_s = time.thread_time()
        self._scan(changed, began_s)
        if changed is None:
            self._pace.scanned(time.thread_time() - cpu_s)
            self._supervisor.ready(self.status())
        self._read(began_s)
        if parts.stop.is_set or parts.settings.once:
            return 0.0
        if parts.sources.tick():
            self.notify()
        if self.maintain(time.monotonic()):
            return 0.0
        return parts.sources.due_s()

    def _scan(self, changed: frozenset[str] | None, now_s: float) -> None:
        """Watch, then scan: the scan sees changes up to then, and events report later ones."""
        sources = self._parts.sources
        if changed is not None:
            sources.scan(changed, now_s)
            return
        watched = sources.directories()
        self._watch(watched)
        sources.scan(None, now_s)
        found = sources.directories()
        if found != watched:
            self._watch(found)
        if found - watched and not self._parts.settings.once:  # files that appeared there before it was watched
            sources.scan(None, now_s)

    def _watch(self, directories: set[str]) -> None:
        if self._parts.settings.once:
            return
        try:
            self.watcher.watch(directories)
        except OSError as problem:
            self._reporter.watcher_failed(problem.strerror or str(problem))
            blind, self.watcher = self.watcher, TimedWatcher()
            blind.close()

    def _read(self, scanned_s: float) -> None:
        """Read and commit until all files are read to their end; scan again in between, since files may be rotated."""
        parts = self._parts
        scan_due_s = pause_s(time.monotonic() - scanned_s)
        while not parts.stop.is_set:
            now_s = time.monotonic()
            self._supervisor.turned(now_s, self.status)
            if now_s - scanned_s >= scan_due_s:
                parts.store.check_files()
                parts.sources.scan(None, now_s)
                scanned_s = time.monotonic()
                scan_due_s = pause_s(scanned_s - now_s)
            self._limit_wal(now_s)
            self.work.step(now_s)
            if self._progress is not None:
                self._progress.step(now_s)
            has_new = parts.sources.step(now_s)
            if has_new is None:
                return
            if has_new:
                self.notify()
            if not parts.settings.once:
                self.maintain(now_s)

    def _limit_wal(self, now_s: float) -> None:
        """Keep the store's write-ahead log within its limit.

        Raises:
            StoreFull: it has reached the limit, and a reader keeps it from shrinking.
        """
        store = self._parts.store
        held = self.held = store.tend(now_s)
        if held is None:
            self._reporter.store_let_go()
            return
        self._reporter.store_held(held.mib, str(held))
        if held.full:
            raise StoreFull(
                f"{store.path}-wal has {held.mib}, which --max-db-size has no room for: {held} holds a snapshot",
                hint="end that program",
            )

    def maintain(self, now_s: float) -> bool:
        """Do a small piece of maintenance; return whether more is due at once."""
        if self.held:
            return False  # each change would make the write-ahead log longer
        maintenance, reporter = self._parts.maintenance, self._reporter
        done = None
        try:
            done = maintenance.step(now_s, self._parts.sources.gone)
        except (StoreCorrupt, StoreGone):
            raise
        except StoreError as problem:  # reading continues: if the disk is full, the next commit fails and reports it
            reporter.maintenance_failed(str(problem))
        if not maintenance.is_failing:
            reporter.maintenance_works()
        if done is None:
            return False
        if done.forgotten:
            self._parts.sources.forget(frozenset(done.forgotten))
        reporter.counts_damaged("maintenance", done.repaired.kept, done.repaired.lost)
        for drop in done.dropped:
            span = f"{iso(drop.from_ns)} to {iso(drop.to_ns)}"
            reporter.dropped(drop.exporter, drop.stream.value, drop.count, span)
        return True

    def maintain_once(self) -> None:
        """Do the maintenance that is due, for a limited time: runs with ``--once`` may be the only ones."""
        end_s = time.monotonic() + ONCE_MAINTENANCE_S
        while self.maintain(time.monotonic()) and time.monotonic() < end_s and not self._parts.stop.is_set:
            pass

    def notify(self) -> None:
        """Wake the delivery workers."""
        for drain in self._parts.drains:
            drain.notify()

    def status(self) -> str:
        """Return the status line for the supervisor."""
        runs = self._parts.sources.runs
        files = sum(run.tail.following for run in runs)
        troubles = self._reporter.troubles()
        text = f"{', '.join(run.info.name for run in runs)}: following {number(files, 'file')}"
        if troubles:
            text += f"; {troubles[-1]}" + (f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else "")
        return text
