"""The main loop: follow the logs until stopped, or read them once.

It owns the main thread, the only one that writes samples. Each exporter sends from the store in a thread of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from otel_logtail.daemon.build import Parts
from otel_logtail.daemon.once import next_command, result, unread
from otel_logtail.daemon.pace import Pace
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.daemon.turn import Turn
from otel_logtail.errors import StoreCorrupt, StoreError, StoreGone
from otel_logtail.events import Reporter
from otel_logtail.store.damage import suspect
from otel_logtail.store.outbox import Outbox
from otel_logtail.tail.watch import Watcher

HELD_S = 10.0
"""The time between commits while a reader makes the write-ahead log grow with each commit, in seconds."""

RETRY_STORE_S = 1.0
"""The time until a store that could not be written is tried again, in seconds."""

_FOREVER_NS = 2**62
"""A time later than any other, by which every interval and episode is over."""

_Result = TypeVar("_Result")


class Loop:
    """Runs the parts of one run. ``stop`` and ``scan_now`` may be called from a signal handler."""

    def __init__(
        self,
        parts: Parts,
        watcher: Watcher,
        reporter: Reporter,
        supervisor: Supervisor | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._reporter = reporter
        self._supervisor = supervisor or Supervisor({})
        self._turn = Turn(parts, watcher, reporter, self._supervisor, pace or Pace())

    def stop(self) -> None:
        """Stop after the current chunk."""
        self._parts.stop.is_set = True
        for drain in self._parts.drains:
            drain.hurry()
        self._turn.watcher.wake()

    def scan_now(self) -> None:
        """Scan all files now."""
        self._turn.watcher.wake()

    def close(self) -> None:
        """Close all parts."""
        self._turn.watcher.close()
        self._parts.close()

    def run(self) -> int:
        """Follow until stopped, or read once; return the exit code.

        Raises:
            StoreGone: the store was deleted, moved or replaced; its undelivered data was sent as far as possible.
            StoreError: the store is damaged.
        """
        settings, stop = self._settings, self._parts.stop
        began_s = time.monotonic()
        self._report_start()
        for drain in self._parts.drains:
            drain.start()
        try:
            code = self._once() if settings.once else self._follow()
        except StoreGone as gone:
            self._leave(gone)
            raise
        except BaseException:
            self._supervisor.stopping()
            self._end_delivery()
            raise
        self._supervisor.stopping()
        self._end_delivery()
        if settings.once and not stop.is_set:
            self._attempt(self._turn.maintain_once)
        if settings.once:
            return self._report_end(time.monotonic() - began_s) or code or int(not self._parts.is_complete)
        self._reporter.stopped(self._turn.work.done(time.monotonic()))
        return code

    def _report_start(self) -> None:
        settings = self._settings
        where = ", ".join(settings.exporters)
        for info in (run.info for run in self._parts.sources.runs):
            self._reporter.started(info.name, info.observer, str(settings.db), where)

    def _report_end(self, elapsed_s: float) -> int:
        """Report what a run with ``--once`` did; return 1 if data is not delivered."""
        runs, pending = self._parts.sources.runs, self._pending()
        if not self._parts.stop.is_set:
            self._reporter.finished(result(runs, elapsed_s), self._turn.work.done(time.monotonic()))
        if pending:
            self._reporter.undelivered(pending)
        if self._parts.stop.is_set:
            self._reporter.interrupted(sum(run.totals.bytes for run in runs), unread(runs))
        elif command := next_command(runs, self._settings.db, time.time_ns()):
            self._reporter.next_step(command)
        return int(pending > 0)

    def _once(self) -> int:
        if self._attempt(partial(self._turn.take, None)) is None:
            return 1
        if not self._parts.stop.is_set:
            self._parts.sources.finish(time.time_ns())
            self._turn.notify()
        return 0

    def _follow(self) -> int:
        changed: frozenset[str] | None = None
        scanned_s = -math.inf
        while not self._parts.stop.is_set:
            now_s = time.monotonic()
            every_s = self._turn.every_s()
            if now_s - scanned_s >= every_s:
                changed = None
            if changed is None:
                scanned_s = now_s
            wait_s = scanned_s + every_s - now_s
            due_s = self._attempt(partial(self._turn.take, changed))
            if due_s is not None:
                wait_s = min(wait_s, due_s)
            else:
                scanned_s = -math.inf
                wait_s = RETRY_STORE_S
            changed = self._wait(wait_s)
        self._reporter.stopping(
            "stopping" + (": data that is not delivered in time stays in the store" if self._parts.drains else "")
        )
        return 0

    def _wait(self, wait_s: float) -> frozenset[str] | None:
        """Wait for a change; while a reader holds the store, let changes add up first.

        Returns:
            The paths that changed; None: scan all files.
        """
        until_s = time.monotonic() + (HELD_S if self._turn.held else wait_s)
        while True:
            now_s = time.monotonic()
            self._supervisor.turned(now_s, self._turn.status)
            if self._parts.stop.is_set:
                return None
            changed = self._turn.watcher.wait(max(min(until_s - now_s, self._supervisor.due_s(now_s)), 0.001))
            if not self._turn.held:
                return changed
            if time.monotonic() >= until_s:
                return None

    def _attempt(self, work: Callable[[], _Result]) -> _Result | None:
        """Return what ``work`` returns, or None if the store can't be read or written now.

        The failure is reported once, and the work is tried again later: until then, the log itself is the buffer.
        """
        try:
            done = work()
        except StoreCorrupt:
            suspect(self._settings.db)
            raise
        except StoreGone:
            raise
        except StoreError as problem:
            self._reporter.store_failed(str(problem))
            return None
        self._reporter.store_works()
        return done

    def _leave(self, gone: StoreGone) -> None:
        """Keep the positions of a store that is gone in memory, and deliver what only this process still has.

        Committed data is still in the open file. Its intervals and episodes are closed, since the next store starts
        without them.
        """
        self._reporter.store_gone(str(gone))
        store, runs, first_looks = self._parts.store, self._parts.sources.runs, self._parts.first_looks
        if not gone.beside:
            store.abandon()
            for run in runs:
                first_looks.keep(run.info.name, [])  # if the positions can't be read: everything in the logs
            try:
                for run in runs:
                    first_looks.keep(run.info.name, store.files(run.info.id))
                self._parts.sources.finish(_FOREVER_NS)
            except StoreError:
                pass  # the next store reports the same, and starts from what it is given
            self._turn.notify()
        self._end_delivery()
        if not gone.beside and (left := store.undelivered([drain.name for drain in self._parts.drains])):
            self._reporter.left_behind(left)

    def _end_delivery(self) -> None:
        settings, drains = self._settings, self._parts.drains
        for drain in drains:
            drain.stop(settings.drain_s, while_taken=settings.once and not self._parts.stop.is_set)
        self._parts.delivery.close()

    def _pending(self) -> int:
        """Return the number of items that exporters have not delivered."""
        pending = 0
        for name in self._settings.exporters:
            outbox = Outbox.open(self._settings.db, name)
            pending += outbox.pending()
            outbox.close()
        return pending
