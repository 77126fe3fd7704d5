"""Messages about everything that can happen, one method each, on standard error.

Names and reasons are untrusted text: each message is one line, in which unprintable characters are escaped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from otel_logtail.delivery_events import DeliveryEvents
from otel_logtail.file_events import FileEvents
from otel_logtail.log import COMMAND, Log, Style
from otel_logtail.messages import Message, begin, end, event, say
from otel_logtail.model import Activity
from otel_logtail.text import number, size, span

_NO_EXPORTER = "no exporter configured: data is kept in the local store only"


class Reporter(FileEvents, DeliveryEvents):
    """Logs events. Thread-safe.

    A condition that lasts (a collector that is down, a file that can't be read) is logged when it starts and when it is
    over.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        style: Style = COMMAND,
        *,
        redact: Callable[[str], str] | None = None,
        clock: Callable[[], int] = time.time_ns,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(Log(stream, style, redact=redact, clock=clock), clock_s)

    @event("store.failed")
    def store_failed(self, why: str) -> Message:
        """A commit failed; nothing is read until one succeeds."""
        return begin("store", "error", f"{why}; reading stops until it can be written")

    @event("store.recovered")
    def store_works(self) -> Message:
        """A commit succeeded."""
        return end("store", "the store can be written again; reading continues")

    @event("store.missing")
    def store_missing(self, path: str) -> Message:
        """The store of an earlier run is missing; it is recreated and the logs are read again."""
        return say("error", f"{path} is missing, though a store was used here before; rebuilding from the logs")

    @event("store.gone")
    def store_gone(self, why: str) -> Message:
        """The store was deleted, moved or replaced while the program runs."""
        return say("error", f"{why}; reopening it, reading continues at the same position")

    @event("store.undelivered")
    def left_behind(self, count: int) -> Message:
        """Undelivered data of a deleted store could not be sent in time."""
        return say("error", f"{count} items of the deleted store could not be delivered and are lost to the exporters")

    @event("store.wal_held")
    def store_held(self, size: str, by: str) -> Message:
        """A reader's snapshot makes the write-ahead log grow."""
        return begin(
            "wal",
            "warning",
            f"the store's -wal file has {size} and can't shrink: {by} holds a snapshot; committing less often",
        )

    @event("store.wal_released")
    def store_let_go(self) -> Message:
        """No reader keeps the write-ahead log from shrinking any longer."""
        return end("wal", "the store's -wal file can shrink again")

    @event("store.corrupt")
    def store_set_aside(self, path: str, aside: str) -> Message:
        """The store is corrupt and was moved; it is recreated and the logs are read again."""
        return say("error", f"{path} is corrupt, moved to {aside}; rebuilding from the logs")

    @event("store.moved")
    def store_elsewhere(self, path: str, host: str, before: str, *, is_copy: bool) -> Message:
        """The store was last used on another machine, or at another path of this one (``host`` is empty)."""
        where = f"on another machine ({host}, {before})" if host else f"as {before}"
        if is_copy:
            return say(
                "warning",
                f"{path} was last used {where}: it may be a copy, so it sends under a new service.instance.id and all"
                " series start again",
            )
        return say("info", f"{path} was last used {where}: its files moved with it, so all series continue")

    def counts_damaged(self, who: str, kept: int, lost: int) -> None:
        """Counts were damaged on disk: those whose number and sum are kept, and those that are lost. Both may be 0."""
        if kept:
            self.counts_repaired(who, kept)
        if lost:
            self.counts_lost(who, lost)

    @event("store.counts_damaged")
    def counts_repaired(self, who: str, count: int) -> Message:
        """Counts were damaged on disk; a source, an exporter or maintenance continues with their number and sum."""
        return say(
            "error",
            f"{who}: {count} counts were damaged in the store: their number and sum are kept, their"
            " distribution is lost (the samples themselves are not touched)",
        )

    @event("store.counts_lost")
    def counts_lost(self, who: str, count: int) -> Message:
        """Counts were damaged on disk with their number and sum; a source, an exporter or maintenance skips them."""
        return say(
            "error", f"{who}: {count} counts in the store cannot be read: their samples are missing in the totals"
        )

    @event("exporter.dropped")
    def dropped(self, exporter: str, stream: str, count: int, span: str) -> Message:
        """The limits of the store deleted undelivered items."""
        return begin(
            f"dropped {exporter} {stream}",
            "error",
            f"{exporter}: {count} {stream} of {span} were deleted undelivered: the store is full, or no daemon ran with"
            " this exporter for 7 days (further ones are only counted: see `otel-logtail status`)",
        )

    @event("maintenance.failed")
    def maintenance_failed(self, why: str) -> Message:
        """Maintenance of the store failed; it is tried again."""
        return begin("maintenance", "warning", f"maintenance of the store failed: {why}; will retry")

    @event("maintenance.recovered")
    def maintenance_works(self) -> Message:
        """It could."""
        return end("maintenance", "maintenance of the store works again")

    @event("run.started")
    def started(self, source: str, observer: str, store: str, exporters: str) -> Message:
        """A source is running; ``exporters`` are names, or empty."""
        where = f"exporting to {exporters}" if exporters else _NO_EXPORTER
        return say("info", f"{source}: observer {observer}, store {store}, {where}")

    @event("run.stopping")
    def stopping(self, text: str) -> Message:
        """A signal was received."""
        return say("info", text)

    @event("run.activity")
    def activity(self, done: Activity) -> Message:
        """The work of the last hour."""
        return say("info", f"in the last {span(done.seconds)}: {_activity(done)}")

    @event("run.stopped")
    def stopped(self, done: Activity) -> Message:
        """The work of a run that has ended."""
        return say("info", f"stopped after {span(done.seconds)}: {_activity(done)}")

    @event("variable.ignored")
    def ignored(self, text: str) -> Message:
        """An environment variable has no valid value, and is ignored."""
        return say("warning", f"ignoring the variable {text}")

    @event("detector.failed")
    def detector_failed(self, detector: str, why: str) -> Message:
        """A resource detector raised an error, or took too long."""
        return say("warning", f"resource detector {detector} failed: {why}; its attributes are missing")

    @event("detector.ignored")
    def attributes_ignored(self, detector: str, attributes: str) -> Message:
        """A resource detector found attributes that cannot be sent."""
        why = "not text, a number of 64 bits or a flat list"
        return say("warning", f"resource detector {detector}: ignoring {attributes}: {why}")

    @event("run.interrupted")
    def interrupted(self, read: int, unread: int) -> Message:
        """A signal ended a run with ``--once``.

        ``read`` are the bytes that this run read, ``unread`` those of the logs that it did not.
        """
        at = f" at {read / 2**20:.1f} of {(read + unread) / 2**20:.1f} MiB" if unread else ""
        return say("warning", f"interrupted{at}; run again to resume")

    @property
    def is_on_terminal(self) -> bool:
        """True if people see the messages as they are written."""
        return self.log.is_on_terminal

    def progress(self, text: str) -> None:
        """The progress of a run with ``--once``, on a terminal only. The line is replaced by the next message."""
        if self.log.style.form == "command" and self.log.style.least != "warning":
            self.log.progress(text)

    @event("run.finished")
    def finished(self, text: str, done: Activity) -> Message:
        """A run with ``--once`` is over; ``text`` is its result."""
        return say("info", text)

    @event("run.undelivered")
    def undelivered(self, count: int) -> Message:
        """A run with ``--once`` is over, and exporters lack items."""
        return say("warning", f"{number(count, 'item')} in the store {'is' if count == 1 else 'are'} not delivered yet")

    @event("run.next")
    def next_step(self, command: str) -> Message:
        """The command that shows what a run with ``--once`` read."""
        return say("info", f"next: {command}")


def _activity(done: Activity) -> str:
    read = (
        f"{size(done.bytes)} read, {number(done.samples, 'sample')}, {done.slow:,} slow,"
        f" {number(done.episodes, 'episode')}, {size(done.behind)} behind"
    )
    sent = (
        f"; {name}: {each.delivered:,} delivered, {each.waiting:,} waiting" for name, each in done.exporters.items()
    )
    return read + "".join(sent)
