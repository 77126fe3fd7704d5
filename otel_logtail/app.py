"""Builds the stages and runs them: the only module that knows them all.

One thread follows the logs (look, read, observe, coalesce, aggregate, commit). Each exporter drains the store in a
thread of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import msgspec

from otel_logtail.drain import Drain
from otel_logtail.errors import StoreCorrupt, StoreError
from otel_logtail.export import ExporterContext
from otel_logtail.notify import Supervisor
from otel_logtail.observe import ObserverContext
from otel_logtail.outbox import Outbox
from otel_logtail.pathtail import Book
from otel_logtail.pipeline import SourceRun
from otel_logtail.plugins import make_exporter, make_observer
from otel_logtail.reporter import Reporter
from otel_logtail.store import Store
from otel_logtail.storefile import suspect
from otel_logtail.tail import Tail, check_paths, expand
from otel_logtail.upkeep import Limits
from otel_logtail.wake import TimedWaker, Waker
from otel_logtail.when import iso

LOOK_S = 2.0
"""The slow timed look that stands behind the events."""

LOOK_SHARE = 0.0005
"""What the timed look may take of a core where there are events: one that costs more (many files) comes less often."""

LONGEST_LOOK_S = 20.0
"""How seldom that may be."""

BLIND_LOOK_S = 1.0
"""The same where there are no events."""

UPKEEP_ONCE_S = 10.0
"""How long the upkeep may take at the end of ``--once``: what it does not finish, the next run goes on with."""

RETRY_STORE_S = 1.0
"""How long until a store that could not be written is tried again."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one run is asked to do. ``patterns`` empty: the observer's own."""

    observer: str
    db: Path
    source: str = ""
    event: str = "log.overhead"
    patterns: tuple[str, ...] = ()
    threshold_ns: int = 500_000_000
    stall_ns: int = 2_000_000_000
    quiet_ns: int = 3_000_000_000
    interval_ns: int = 10_000_000_000
    from_start: bool = False
    once: bool = False
    exporters: tuple[str, ...] = ()
    exporters_from_now: bool = False
    exporter_options: Mapping[str, str] = {}
    drain_s: float = 5.0
    limits: Limits = Limits()


class App:
    """A run of the whole: made, run, closed."""

    def __init__(
        self,
        settings: Settings,
        *,
        observer_context: ObserverContext,
        exporter_context: ExporterContext,
        home: str,
        waker: Waker,
        reporter: Reporter,
        supervisor: Supervisor | None = None,
    ) -> None:
        self._settings = settings
        self._waker = waker
        self._supervisor = supervisor or Supervisor({})
        self._reporter = reporter
        self._stopping = False
        self._look_s = LOOK_S
        observer = make_observer(settings.observer, observer_context)
        rule = observer.paths()
        self._patterns = expand(settings.patterns or rule.patterns, exporter_context.environ, home)
        exporters = [make_exporter(name, exporter_context) for name in settings.exporters]
        check_paths(self._patterns, rule, trusted=bool(settings.patterns), once=settings.once)
        self._drains: list[Drain] = []
        self._store = Store.open(settings.db)
        try:
            if self._store.set_aside is not None:
                reporter.store_set_aside(str(settings.db), str(self._store.set_aside))
            info = self._store.source(
                settings.source or observer.source,
                settings.observer,
                settings.event,
                threshold_ns=settings.threshold_ns,
                stall_ns=settings.stall_ns,
                quiet_ns=settings.quiet_ns,
            )
            tail = Tail(
                self._patterns,
                rule,
                self._store.files(info.id),
                Book(lambda states: self._store.add_files(info.id, states), partial(self._store.update_file, info.id)),
                reporter,
                trusted=bool(settings.patterns),
                first=self._store.first_look(info.id),
                from_start=settings.from_start or settings.once or self._store.replaces,
            )
            self._upkeep = self._store.upkeep(settings.limits, [exporter.name for exporter in exporters])
            self._source = SourceRun(
                info, observer, rule, tail, self._store, reporter, interval_ns=settings.interval_ns
            )
            for exporter in exporters:
                outbox = Outbox(settings.db, exporter.name)
                self._drains.append(Drain(exporter, outbox, reporter))
                from_now = settings.exporters_from_now
                if held := outbox.register(exporter.wants, time.time_ns(), from_now=from_now):
                    reporter.begins(exporter.name, held, left_out=from_now)
        except BaseException:
            for drain in self._drains:
                drain.join()
            self._store.close()
            raise

    def stop(self) -> None:
        """Stop after what is being read now; may be called from a signal handler."""
        self._stopping = True
        for drain in self._drains:
            drain.hurry()
        self._waker.wake()

    def look_now(self) -> None:
        """Look at all files now; may be called from a signal handler."""
        self._waker.wake()

    def run(self) -> int:
        """Follow until stopped, or read once; returns the exit code."""
        settings, info = self._settings, self._source.info
        where = ", ".join(settings.exporters)
        self._reporter.started(
            f"{info.name}: observer {info.observer}, store {settings.db}, "
            + (f"exporting to {where}" if where else "no exporter: the store alone answers")
        )
        for drain in self._drains:
            drain.start()
        try:
            code = self._once() if settings.once else self._follow()
        finally:
            self._supervisor.stopping()
            for drain in self._drains:
                drain.stop(settings.drain_s, while_taken=settings.once and not self._stopping)
            for drain in self._drains:
                drain.join()
        if settings.once and not self._stopping:
            self._attempt(self._keep_up_once)
        if settings.once and (pending := self._pending()):
            self._reporter.finished(f"{pending} items still wait in the store for delivery")
            return 1
        return code

    def close(self) -> None:
        """Free everything."""
        self._source.tail.close()
        self._waker.close()
        self._store.close()

    def _once(self) -> int:
        if self._attempt(partial(self._pump, None)) is None:
            return 1
        if not self._stopping:
            self._source.finish(time.time_ns())
            self._notify()
        return 0

    def _follow(self) -> int:
        hints: frozenset[str] | None = None
        looked_s = -math.inf
        while not self._stopping:
            now_s = time.monotonic()
            look_s = self._look_s if self._waker.alive() else BLIND_LOOK_S
            if now_s - looked_s >= look_s:
                hints = None
            if hints is None:
                looked_s = now_s
            wait_s = looked_s + look_s - now_s
            due_s = self._attempt(partial(self._pump, hints))
            if due_s is not None:
                wait_s = min(wait_s, due_s)
            else:
                looked_s = -math.inf
                wait_s = RETRY_STORE_S
            now_s = time.monotonic()
            self._supervisor.turned(now_s, self._status)
            if not self._stopping:
                hints = self._waker.wait(max(min(wait_s, self._supervisor.due_s(now_s)), 0.001))
        self._reporter.stopping(
            "stopping" + (": what can't be delivered in time stays in the store" if self._drains else "")
        )
        return 0

    def _pump(self, hints: frozenset[str] | None) -> float:
        """Look, read all that is there, and let the clock do its part; returns after how many seconds there is more."""
        for drain in self._drains:
            if drain.damage is not None:
                raise drain.damage
        source = self._source
        looked_s = time.monotonic()
        begun_s = time.thread_time()
        self._look(hints, looked_s)
        if hints is None:
            cost_s = time.thread_time() - begun_s
            self._look_s = min(max(LOOK_S, cost_s / LOOK_SHARE), LONGEST_LOOK_S)
            self._supervisor.ready(self._status())
        while not self._stopping:
            now_s = time.monotonic()
            self._supervisor.turned(now_s, self._status)
            if now_s - looked_s >= LOOK_S:  # a backlog takes its time, and the files go on being rotated meanwhile
                source.tail.look(None, now_s)
                looked_s = now_s
            news = source.step(now_s)
            if news is None:
                break
            if news:
                self._notify()
            if not self._settings.once:
                self._keep_up(now_s)
        if self._stopping or self._settings.once:
            return 0.0
        if source.tick():
            self._notify()
        if self._keep_up(time.monotonic()):
            return 0.0
        return source.due_s()

    def _look(self, hints: frozenset[str] | None, now_s: float) -> None:
        """Watch first, then look: what comes in between is seen by the look, what comes later brings an event."""
        tail = self._source.tail
        if hints is not None:
            tail.look(hints, now_s)
            return
        watched = tail.directories()
        self._watch(watched)
        tail.look(None, now_s)
        found = tail.directories()
        if found != watched:
            self._watch(found)
        if found - watched:  # what came there before it was watched
            tail.look(None, now_s)

    def _keep_up_once(self) -> float:
        """After a run that does not stay: what is old leaves all the same, where such runs are all there is."""
        end_s = time.monotonic() + UPKEEP_ONCE_S
        while self._keep_up(time.monotonic()) and time.monotonic() < end_s:
            pass
        return 0.0

    def _keep_up(self, now_s: float) -> bool:
        """Let the old merge and leave, a small piece at a time; returns whether there is more to do at once."""
        more = False
        try:
            more = self._upkeep.step(now_s, self._source.tail.gone)
        except StoreCorrupt:
            raise
        except StoreError as problem:  # no reason to stop reading: where there is no room, the next commit says so
            self._reporter.upkeep_failed(str(problem))
        if not self._upkeep.failing:
            self._reporter.upkeep_works()
        while self._upkeep.dropped:
            drop = self._upkeep.dropped.pop()
            span = f"{iso(drop.from_ns)} to {iso(drop.to_ns)}"
            self._reporter.dropped(drop.exporter, drop.stream.value, drop.count, span)
        return more

    def _watch(self, directories: set[str]) -> None:
        if self._settings.once:
            return
        try:
            self._waker.watch(directories)
        except OSError as problem:
            self._reporter.watcher_failed(problem.strerror or str(problem))
            blind, self._waker = self._waker, TimedWaker()
            blind.close()

    def _attempt(self, work: Callable[[], float]) -> float | None:
        """Do it; returns what it returns, or None where the store can't be written now.

        That is said once, and tried again: the log itself is the buffer.
        """
        try:
            done = work()
        except StoreCorrupt:
            suspect(self._settings.db)
            raise
        except StoreError as problem:
            self._reporter.store_failed(str(problem))
            return None
        self._reporter.store_works()
        return done

    def _status(self) -> str:
        files = sum(map(bool, self._source.tail.held.values()))
        troubles = self._reporter.troubles()
        text = f"{self._source.info.name}: following {files} file{'' if files == 1 else 's'}"
        if troubles:
            text += f"; {troubles[-1]}" + (f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else "")
        return text

    def _notify(self) -> None:
        for drain in self._drains:
            drain.notify()

    def _pending(self) -> int:
        pending = 0
        for name in self._settings.exporters:
            outbox = Outbox(self._settings.db, name)
            pending += outbox.pending()
            outbox.close()
        return pending
