"""Builds the parts of a run from its settings. If a step fails, the parts built so far are closed in reverse order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import msgspec

from otel_logtail.daemon.safety import Read, check_outputs
from otel_logtail.daemon.settings import INTERVAL_NS, UNTOLD_NS, Settings, SourceSettings, explain
from otel_logtail.daemon.source import SourceRun, clock
from otel_logtail.daemon.sources import Sources
from otel_logtail.delivery.sender import Drain
from otel_logtail.engine.engine import Engine
from otel_logtail.errors import StoreUnavailable, UsageError
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.model import FileState, Stream
from otel_logtail.observer import Observer, PathRule
from otel_logtail.plugins import advice, make_exporter, make_observer
from otel_logtail.store.home import here
from otel_logtail.store.maintenance import Maintenance
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from otel_logtail.tail.checkpoints import Checkpoints
from otel_logtail.tail.discover import check_paths, with_rotated
from otel_logtail.tail.firstlook import FirstLooks, Found
from otel_logtail.tail.lines import new_buffer
from otel_logtail.tail.patterns import expand
from otel_logtail.tail.tailer import Tail
from otel_logtail.text import iso


class ResolvedSource(msgspec.Struct, frozen=True):
    """The settings of a source, its observer, and the patterns of its files on this machine."""

    settings: SourceSettings
    name: str
    observer: Observer
    rule: PathRule
    patterns: list[str]

    @property
    def is_trusted(self) -> bool:
        """True if the user gave the patterns, so that every matching file is intended."""
        return bool(self.settings.patterns)

    @property
    def read(self) -> Read:
        """The files that are read for this source."""
        return Read(self.patterns, self.rule, self.is_trusted)

    def with_rotated(self) -> ResolvedSource:
        """Return the source with the rotated files of patterns that match nothing else."""
        return msgspec.structs.replace(self, patterns=with_rotated(self.patterns, self.rule))

    def check(self, *, once: bool) -> None:
        """Check that the patterns can match a file; with ``once``, that a file matches now.

        Raises:
            UsageError: they cannot, or no file matches.
        """
        try:
            check_paths(self.patterns, self.rule, trusted=self.is_trusted, once=once)
        except UsageError as problem:
            raise UsageError(str(problem), hint=problem.hint, setting=f"path {self.name}") from None

    def first_look(self, first_looks: FirstLooks) -> Found:
        """Return the files that this start found first, and scan for them if it has not yet."""
        return first_looks.of(self.name, self.patterns, self.rule, trusted=self.is_trusted)


def resolve(settings: SourceSettings, context: ExporterContext, home: str) -> ResolvedSource:
    """Make the observer of a source and expand its patterns.

    Raises:
        UsageError: there is no such observer, or its options are wrong.
    """
    try:
        observer = make_observer(settings.observer, settings.context(context.environ))
    except UsageError as problem:
        raise explain(problem, settings.places) from None
    rule = observer.paths()
    patterns = expand(settings.patterns or rule.patterns, context.environ, home)
    return ResolvedSource(settings, settings.name or observer.source, observer, rule, patterns)


class StopFlag:
    """Return whether the run must stop. A plain attribute, since a signal handler that sets an Event can deadlock."""

    def __init__(self) -> None:
        self.is_set = False


class Parts(msgspec.Struct, frozen=True):
    """The parts of one run. ``is_complete``: all sources of the settings can be read.

    Closing ``delivery`` waits for the delivery workers; ``resources`` holds the store and the open files.
    """

    settings: Settings
    store: Store
    maintenance: Maintenance
    sources: Sources
    drains: tuple[Drain, ...]
    first_looks: FirstLooks
    stop: StopFlag
    is_complete: bool
    delivery: ExitStack
    resources: ExitStack

    def close(self) -> None:
        """Close all parts, the last one built first. Delivery may be closed already."""
        self.delivery.close()
        self.resources.close()


def build(
    settings: Settings,
    *,
    exporter_context: ExporterContext,
    home: str,
    reporter: Reporter,
    first_looks: FirstLooks | None = None,
) -> Parts:
    """Open the store, and build a source run per source and a delivery worker per exporter; none is started.

    If the store is unavailable, call it again with the same ``first_looks``: lines that are written meanwhile are read.

    Raises:
        UsageError: a setting has no valid meaning on this machine.
        StoreUnavailable: the store can't be opened now, but may be later.
        StoreError: the store can't be used.
    """
    asked = [resolve(source, exporter_context, home) for source in settings.sources]
    if settings.once:
        asked = [source.with_rotated() if source.is_trusted else source for source in asked]
    readable = _readable(asked, reporter, once=settings.once)
    check_outputs(settings, [source.read for source in asked])
    first_looks = first_looks or FirstLooks()
    with ExitStack() as resources, ExitStack() as delivery, ExitStack() as unused:
        exporters = []
        for name in settings.exporters:
            options = settings.exporter_options.get(name, {})
            own = msgspec.structs.replace(exporter_context, options=options, places=settings.places)
            exporters.append(make_exporter(name, own))
            unused.callback(exporters[-1].close)
        builder = _Builder(settings, reporter, first_looks, resources, delivery)
        try:
            parts = builder.parts(readable, exporters, is_complete=len(readable) == len(asked))
        except StoreUnavailable:
            for source in readable:  # lines from here on are new, whenever the store can be opened
                source.first_look(first_looks)
            raise
        unused.pop_all()  # their workers close them
        return parts


def _readable(asked: Sequence[ResolvedSource], reporter: Reporter, *, once: bool) -> list[ResolvedSource]:
    """Return the sources that can be read: following waits for files to appear, reading once does not."""
    found, problems = [], []
    for source in asked:
        source.check(once=False)
        try:
            source.check(once=once)
        except UsageError as problem:
            problems.append((source.name, problem))
        else:
            found.append(source)
    if not found:
        raise problems[0][1]
    for name, why in problems:
        reporter.source_failed(name, str(why))
    return found


class _Builder:
    """The values that all steps of building need."""

    def __init__(
        self,
        settings: Settings,
        reporter: Reporter,
        first_looks: FirstLooks,
        resources: ExitStack,
        delivery: ExitStack,
    ) -> None:
        self._settings = settings
        self._reporter = reporter
        self._first_looks = first_looks
        self._resources = resources
        self._delivery = delivery
        self._stop = StopFlag()
        self._buffer = new_buffer()  # for all sources: each of them commits its chunks before the next one reads

    def parts(self, sources: Sequence[ResolvedSource], exporters: Sequence[Exporter], *, is_complete: bool) -> Parts:
        """Build the store, the source runs and the delivery workers."""
        settings = self._settings
        store = self._open_store()
        maintenance = store.maintenance(settings.limits, [exporter.name for exporter in exporters])
        is_wanted = any(Stream.INTERVALS in exporter.wants for exporter in exporters)
        is_sent = is_wanted or maintenance.has_receiver(Stream.INTERVALS)
        interval_ns = settings.interval_ns or (INTERVAL_NS if is_sent else UNTOLD_NS)
        runs = [self._source_run(source, store, interval_ns) for source in sources]
        drains = tuple(self._drain(exporter) for exporter in exporters)
        return Parts(
            settings=settings,
            store=store,
            maintenance=maintenance,
            sources=Sources(runs),
            drains=drains,
            first_looks=self._first_looks,
            stop=self._stop,
            is_complete=is_complete,
            delivery=self._delivery.pop_all(),
            resources=self._resources.pop_all(),
        )

    def _open_store(self) -> Store:
        settings, reporter = self._settings, self._reporter
        store = Store.open(settings.db)
        self._resources.callback(store.close)
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
        return store

    def _source_run(self, source: ResolvedSource, store: Store, interval_ns: int) -> SourceRun:
        """Build one source, which continues where the store has it."""
        settings = source.settings
        info = store.source(
            source.name,
            source.observer.name,
            settings.event,
            threshold_ns=settings.threshold_ns,
            stall_ns=settings.stall_ns,
            quiet_ns=settings.quiet_ns,
            options=settings.as_texts(),
        )
        (files, unread), stop = self._files_of(source, store, info.id), self._stop
        tail = Tail(
            source.patterns,
            source.rule,
            files,
            Checkpoints(partial(store.add_files, info.id), partial(store.update_file, info.id), store.together),
            self._reporter,
            trusted=source.is_trusted,
            from_start=True,
            unread=unread,
            buffer=self._buffer,
            stopping=lambda: stop.is_set,
        )
        self._resources.callback(tail.close)
        engine = Engine(
            *(info, source.observer),
            interval_ns=interval_ns,
            unfinished=store.unfinished(info.id),
            now=clock(),
            framing=settings.framing,
        )
        return SourceRun(engine, tail, store, self._reporter, advice(settings.observer))

    def _files_of(self, source: ResolvedSource, store: Store, id_: int) -> tuple[list[FileState], frozenset[str]]:
        """Return the known files of a source, and the live paths that its first scan could not open."""
        first_looks = self._first_looks
        if store.first_look(id_):
            first_looks.due.add(source.name)
        files, unread = store.files(id_), frozenset[str]()
        from_start = source.settings.from_start or self._settings.once or store.replaces
        if source.name in first_looks.due and (source.name in first_looks.kept or not from_start):
            found = source.first_look(first_looks)
            files, unread = store.add_files(id_, found.states), found.unread
            self._reporter.follows_each([(state.path, state.offset) for state in files if not state.done])
        first_looks.due.discard(source.name)
        return files, unread

    def _drain(self, exporter: Exporter) -> Drain:
        """Build the delivery worker of an exporter, and register its cursor."""
        reporter, from_now = self._reporter, self._settings.exporters_from_now
        outbox = Outbox.open(self._settings.db, exporter.name)
        drain = Drain(exporter, outbox, reporter)
        self._delivery.callback(drain.join)
        form = getattr(exporter, "form", "")  # a plug-in need not inherit from Exporter
        begun = outbox.register(exporter.wants, time.time_ns(), from_now=from_now, form=form)
        if begun.held:
            reporter.begins(exporter.name, begun.held, left_out=from_now)
        if begun.ahead_ns is not None:
            reporter.older_copy(exporter.name, iso(begun.ahead_ns))
        return drain
