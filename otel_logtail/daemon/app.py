"""Builds the stages and runs them: the only module that knows them all.

One thread follows the logs (look, read, observe, coalesce, aggregate, commit). Each exporter drains the store in a
thread of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import msgspec

from otel_logtail.daemon.safety import Read, check_outputs
from otel_logtail.daemon.settings import INTERVAL_NS, UNTOLD_NS, Settings, SourceSettings
from otel_logtail.daemon.source import SourceRun
from otel_logtail.daemon.sources import Sources
from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.delivery.sender import Drain
from otel_logtail.errors import StoreCorrupt, StoreError, StoreFull, StoreGone, StoreUnavailable, UsageError
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.model import Stream
from otel_logtail.observer import Observer, ObserverContext, PathRule
from otel_logtail.plugins import make_exporter, make_observer
from otel_logtail.store.file import suspect
from otel_logtail.store.health import behind
from otel_logtail.store.home import here
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.wal import Held
from otel_logtail.store.writer import Store
from otel_logtail.tail.discover import check_paths
from otel_logtail.tail.firstlook import FirstLooks, Found
from otel_logtail.tail.live import Book
from otel_logtail.tail.patterns import expand
from otel_logtail.tail.tailer import Tail
from otel_logtail.tail.watch import TimedWaker, Waker
from otel_logtail.text import iso

LOOK_S = 2.0
"""The slow timed look that stands behind the events."""

LOOK_SHARE = 0.0002
"""What the timed look may take of a core where there are events: one that costs more (many files) comes less often."""

LONGEST_LOOK_S = 120.0
"""How seldom that may be."""

SECOND_LOOK_S = 20.0
"""The same after the first look, which opens all files and costs more than those that follow: it may take
``BACKLOG_LOOK_SHARE`` of a core."""

BLIND_LOOK_S = 1.0
"""The same where there are no events."""

BLIND_LOOK_SHARE = 0.01
"""What that may take of a core before it comes less often."""

BACKLOG_LOOK_SHARE = 0.05
"""What looks may take of the time while a backlog is read."""

UPKEEP_ONCE_S = 10.0
"""How long the upkeep may take at the end of ``--once``: what it does not finish, the next run goes on with."""

HELD_S = 10.0
"""How often is committed while a reader makes the store's log of changes grow with each commit."""

RETRY_STORE_S = 1.0
"""How long until a store that could not be written is tried again."""


_EVER_NS = 2**62
"""Later than all: what is open is made final."""


class Wanted(msgspec.Struct, frozen=True):
    """A source that is asked for: who knows its log, and where that lies."""

    settings: SourceSettings
    name: str
    observer: Observer
    rule: PathRule
    patterns: list[str]

    @property
    def read(self) -> Read:
        """Which files are read for it."""
        return Read(self.patterns, self.rule, bool(self.settings.patterns))

    def check(self, *, once: bool) -> None:
        """See that its files can be looked for; ``once``: that there are some.

        Raises:
            UsageError: they cannot.
        """
        try:
            check_paths(self.patterns, self.rule, trusted=bool(self.settings.patterns), once=once)
        except UsageError as problem:
            raise UsageError(str(problem), hint=problem.hint, setting=f"path {self.name}") from None


def wanted_of(settings: SourceSettings, context: ExporterContext, home: str) -> Wanted:
    """What a source's settings come to on this machine.

    Raises:
        UsageError: there is no such observer.
    """
    observer = make_observer(settings.observer, ObserverContext(timezone=settings.timezone))
    rule = observer.paths()
    patterns = expand(settings.patterns or rule.patterns, context.environ, home)
    return Wanted(settings, settings.name or observer.source, observer, rule, patterns)


class App:
    """A run of the whole: made, run, closed.

    Where making it fails with :class:`StoreUnavailable`, or running it with :class:`StoreGone`, it may be made again:
    with the same ``first_looks``, what comes to the logs meanwhile is read.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        exporter_context: ExporterContext,
        home: str,
        waker: Waker,
        reporter: Reporter,
        supervisor: Supervisor | None = None,
        first_looks: FirstLooks | None = None,
    ) -> None:
        self._settings = settings
        self._waker = waker
        self._supervisor = supervisor or Supervisor({})
        self._reporter = reporter
        self._stopping = False
        self._look_s, self._blind_look_s = LOOK_S, BLIND_LOOK_S
        self._cost_s = 0.0
        self._unreadable = False
        self._held: Held | None = None
        self._first_looks = first_looks or FirstLooks()
        asked = [wanted_of(source, exporter_context, home) for source in settings.sources]
        wanted = self._readable(asked)
        check_outputs(settings, [source.read for source in asked])
        exporters = [
            make_exporter(
                name, msgspec.structs.replace(exporter_context, options=settings.exporter_options.get(name, {}))
            )
            for name in settings.exporters
        ]
        self._drains: list[Drain] = []
        store: Store | None = None
        try:
            store = self._store = Store.open(settings.db)
            store.series.most = settings.max_series
            if store.set_aside is not None:
                reporter.store_set_aside(str(settings.db), str(store.set_aside))
            elif store.was_gone and not self._first_looks.kept:
                reporter.store_missing(str(settings.db))
            if (change := store.home_change) is not None:
                is_here = change.before.is_on(here(settings.db))
                reporter.store_elsewhere(
                    str(settings.db), "" if is_here else change.before.host, change.before.path, is_copy=change.is_copy
                )
            self._upkeep = store.upkeep(settings.limits, [exporter.name for exporter in exporters])
            told = any(Stream.INTERVALS in exporter.wants for exporter in exporters)
            told = told or self._upkeep.tells(Stream.INTERVALS)
            self._interval_ns = settings.interval_ns or (INTERVAL_NS if told else UNTOLD_NS)
            self._sources = Sources([self._begin(source) for source in wanted])
            for exporter in exporters:
                outbox = Outbox(settings.db, exporter.name)
                self._drains.append(Drain(exporter, outbox, reporter))
                from_now = settings.exporters_from_now
                form = getattr(exporter, "form", "")  # a plug-in need not inherit from Exporter
                begun = outbox.register(exporter.wants, time.time_ns(), from_now=from_now, form=form)
                if begun.held:
                    reporter.begins(exporter.name, begun.held, left_out=from_now)
                if begun.ahead_ns is not None:
                    reporter.older_copy(exporter.name, iso(begun.ahead_ns))
        except BaseException as problem:
            if isinstance(problem, StoreUnavailable):  # nothing that comes from here on may be skipped
                for source in wanted:
                    self._first_look(source)
            for drain in self._drains:
                drain.join()
            for exporter in exporters[len(self._drains) :]:  # what it holds (a port) is free for the next try
                exporter.close()
            if store is not None:
                store.close()
            raise

    def _readable(self, wanted: list[Wanted]) -> list[Wanted]:
        """Those that can be read: following waits for what is not there yet, reading once does not."""
        found, problems = [], []
        for source in wanted:
            source.check(once=False)
            try:
                source.check(once=self._settings.once)
            except UsageError as problem:
                problems.append((source.name, problem))
            else:
                found.append(source)
        if not found:
            raise problems[0][1]
        for name, why in problems:
            self._reporter.source_failed(name, str(why))
            self._unreadable = True
        return found

    def _begin(self, wanted: Wanted) -> SourceRun:
        """One source, where it left off."""
        store, settings, run = self._store, wanted.settings, self._settings
        info = store.source(
            wanted.name,
            settings.observer,
            settings.event,
            threshold_ns=settings.threshold_ns,
            stall_ns=settings.stall_ns,
            quiet_ns=settings.quiet_ns,
        )
        if store.first_look(info.id):
            self._first_looks.due.add(wanted.name)
        files, unread = store.files(info.id), frozenset[str]()
        from_start = settings.from_start or run.once or store.replaces
        if wanted.name in self._first_looks.due and (wanted.name in self._first_looks.kept or not from_start):
            found = self._first_look(wanted)
            files, unread = store.add_files(info.id, found.states), found.unread
            self._reporter.follows_each([(state.path, state.offset) for state in files if not state.done])
        self._first_looks.due.discard(wanted.name)
        tail = Tail(
            wanted.patterns,
            wanted.rule,
            files,
            Book(lambda states: store.add_files(info.id, states), partial(store.update_file, info.id), store.together),
            self._reporter,
            trusted=bool(settings.patterns),
            from_start=True,
            unread=unread,
            stopping=lambda: self._stopping,
        )
        return SourceRun(info, wanted.observer, tail, store, self._reporter, interval_ns=self._interval_ns)

    def _first_look(self, wanted: Wanted) -> Found:
        """What was there at this start's first look at a source."""
        trusted = bool(wanted.settings.patterns)
        return self._first_looks.of(wanted.name, wanted.patterns, wanted.rule, trusted=trusted)

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
        settings = self._settings
        where = ", ".join(settings.exporters)
        for info in (run.info for run in self._sources.runs):
            self._reporter.started(
                f"{info.name}: observer {info.observer}, store {settings.db}, "
                + (f"exporting to {where}" if where else "no exporter: the store alone answers")
            )
        for drain in self._drains:
            drain.start()
        try:
            code = self._once() if settings.once else self._follow()
        except StoreGone as gone:
            self._leave(gone)
            raise
        except BaseException:
            self._supervisor.stopping()
            self._end_drains()
            raise
        self._supervisor.stopping()
        self._end_drains()
        if settings.once and not self._stopping:
            self._attempt(self._keep_up_once)
        if settings.once and self._stopping:
            self._reporter.interrupted(self._unread())
        if settings.once and (pending := self._pending()):
            self._reporter.finished(f"{pending} items still wait in the store for delivery")
            return 1
        return code or int(self._unreadable)

    def _end_drains(self) -> None:
        for drain in self._drains:
            drain.stop(self._settings.drain_s, while_taken=self._settings.once and not self._stopping)
        for drain in self._drains:
            drain.join()

    def _leave(self, gone: StoreGone) -> None:
        """The store is gone: keep in memory how far each file was read, and deliver what nobody else knows of.

        What was committed before is still in the file that is open. Its counts are made final and its episodes closed,
        since the next store begins without them.
        """
        self._reporter.store_gone(str(gone))
        store = self._store
        if not gone.beside:
            store.abandon()
            for run in self._sources.runs:
                self._first_looks.keep(run.info.name, [])  # where it can't be read: all that the logs hold
            try:
                for run in self._sources.runs:
                    self._first_looks.keep(run.info.name, store.files(run.info.id))
                self._sources.finish(_EVER_NS)
            except StoreError:
                pass  # said by the next store, which begins with what it is given
            self._notify()
        self._end_drains()
        if not gone.beside and (left := store.undelivered([drain.name for drain in self._drains])):
            self._reporter.left_behind(left)

    def close(self) -> None:
        """Free everything."""
        self._sources.close()
        self._waker.close()
        self._store.close()

    def _once(self) -> int:
        if self._attempt(partial(self._pump, None)) is None:
            return 1
        if not self._stopping:
            self._sources.finish(time.time_ns())
            self._notify()
        return 0

    def _follow(self) -> int:
        hints: frozenset[str] | None = None
        looked_s = -math.inf
        while not self._stopping:
            now_s = time.monotonic()
            look_s = self._look_s if self._waker.alive() else self._blind_look_s
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
            hints = self._wait(wait_s)
        self._reporter.stopping(
            "stopping" + (": what can't be delivered in time stays in the store" if self._drains else "")
        )
        return 0

    def _wait(self, wait_s: float) -> frozenset[str] | None:
        """Wait for something to do; while the store is held, for more of it at once."""
        until_s = time.monotonic() + (HELD_S if self._held else wait_s)
        while True:
            now_s = time.monotonic()
            self._supervisor.turned(now_s, self._status)
            if self._stopping:
                return None
            hints = self._waker.wait(max(min(until_s - now_s, self._supervisor.due_s(now_s)), 0.001))
            if not self._held:
                return hints
            if time.monotonic() >= until_s:
                return None

    def _see_to_the_wal(self, now_s: float) -> None:
        """See that the store's log of changes does not grow without a bound.

        Raises:
            StoreFull: it has taken what room there is for it.
        """
        held = self._held = self._store.tend(now_s)
        if held is None:
            self._reporter.store_let_go()
            return
        self._reporter.store_held(held.mib, str(held))
        if held.full:
            raise StoreFull(
                f"{self._store.path}-wal has {held.mib}, which --max-db-size has no room for: {held} holds a snapshot",
                hint="end that program",
            )

    def _pump(self, hints: frozenset[str] | None) -> float:
        """Look, read all that is there, and let the clock do its part; returns after how many seconds there is more."""
        for drain in self._drains:
            if drain.damage is not None:
                raise drain.damage
        sources = self._sources
        looked_s = time.monotonic()
        if hints is None:
            self._store.see_that_it_is_there()
        self._see_to_the_wal(looked_s)
        begun_s = time.thread_time()
        self._look(hints, looked_s)
        if hints is None:
            cost_s = time.thread_time() - begun_s
            self._space_looks(cost_s)
            self._supervisor.ready(self._status())
        pause_s = max(LOOK_S, (time.monotonic() - looked_s) / BACKLOG_LOOK_SHARE)
        while not self._stopping:
            now_s = time.monotonic()
            self._supervisor.turned(now_s, self._status)
            # a backlog takes its time, and the files go on being rotated meanwhile
            if now_s - looked_s >= pause_s:
                self._store.see_that_it_is_there()
                sources.look(None, now_s)
                looked_s = time.monotonic()
                pause_s = max(LOOK_S, (looked_s - now_s) / BACKLOG_LOOK_SHARE)
            self._see_to_the_wal(now_s)
            news = sources.step(now_s)
            if news is None:
                break
            if news:
                self._notify()
            if not self._settings.once:
                self._keep_up(now_s)
        if self._stopping or self._settings.once:
            return 0.0
        if sources.tick():
            self._notify()
        if self._keep_up(time.monotonic()):
            return 0.0
        return sources.due_s()

    def _space_looks(self, cost_s: float) -> None:
        """Say when the next timed look is due, after one that has cost so much."""
        is_first, before_s, self._cost_s = self._cost_s == 0.0, self._cost_s, cost_s
        usual_s = cost_s if is_first else min(cost_s, before_s)  # not what it costs to open what is new
        share, longest_s = (BACKLOG_LOOK_SHARE, SECOND_LOOK_S) if is_first else (LOOK_SHARE, LONGEST_LOOK_S)
        self._look_s = min(max(LOOK_S, usual_s / share), longest_s)
        self._blind_look_s = BLIND_LOOK_S
        if not is_first:
            self._blind_look_s = min(max(BLIND_LOOK_S, usual_s / BLIND_LOOK_SHARE), LONGEST_LOOK_S)

    def _look(self, hints: frozenset[str] | None, now_s: float) -> None:
        """Watch first, then look: what comes in between is seen by the look, what comes later brings an event."""
        sources = self._sources
        if hints is not None:
            sources.look(hints, now_s)
            return
        watched = sources.directories()
        self._watch(watched)
        sources.look(None, now_s)
        found = sources.directories()
        if found != watched:
            self._watch(found)
        if found - watched and not self._settings.once:  # what came there before it was watched
            sources.look(None, now_s)

    def _keep_up_once(self) -> float:
        """After a run that does not stay: what is old leaves all the same, where such runs are all there is."""
        end_s = time.monotonic() + UPKEEP_ONCE_S
        while self._keep_up(time.monotonic()) and time.monotonic() < end_s and not self._stopping:
            pass
        return 0.0

    def _keep_up(self, now_s: float) -> bool:
        """Let the old merge and leave, a small piece at a time; returns whether there is more to do at once."""
        if self._held:
            return False  # each change would make the log of changes longer
        more = False
        try:
            more = self._upkeep.step(now_s, self._sources.gone)
        except (StoreCorrupt, StoreGone):
            raise
        except StoreError as problem:  # no reason to stop reading: where there is no room, the next commit says so
            self._reporter.upkeep_failed(str(problem))
        if not self._upkeep.failing:
            self._reporter.upkeep_works()
        if self._upkeep.forgotten:
            self._sources.forget(frozenset(self._upkeep.forgotten))
            self._upkeep.forgotten.clear()
        if self._upkeep.mended:
            self._reporter.counts_mended("upkeep", self._upkeep.mended)
            self._upkeep.mended = 0
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
        except StoreGone:
            raise
        except StoreError as problem:
            self._reporter.store_failed(str(problem))
            return None
        self._reporter.store_works()
        return done

    def _status(self) -> str:
        runs = self._sources.runs
        files = sum(run.tail.following for run in runs)
        troubles = self._reporter.troubles()
        text = f"{', '.join(run.info.name for run in runs)}: following {files} file{'' if files == 1 else 's'}"
        if troubles:
            text += f"; {troubles[-1]}" + (f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else "")
        return text

    def _notify(self) -> None:
        for drain in self._drains:
            drain.notify()

    def _unread(self) -> int:
        """Bytes of the files that are open now and were not read."""
        held = [state for run in self._sources.runs for states in run.tail.held.values() for state in states]
        return sum(behind(state.path, state.device, state.inode, state.offset, state.size) for state in held)

    def _pending(self) -> int:
        pending = 0
        for name in self._settings.exporters:
            outbox = Outbox(self._settings.db, name)
            pending += outbox.pending()
            outbox.close()
        return pending
