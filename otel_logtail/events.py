"""Messages about everything that can happen, one method each, on standard error.

Names and reasons are untrusted text: each message is one line, in which unprintable characters are escaped.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from otel_logtail.redact import Redactor
from otel_logtail.text import printable

_SIGNAL_PATH = re.compile(r"/v1/(metrics|traces|logs)\b")
"""The part that differs between the URLs of one receiver."""

_MANY = 100
"""If more files than this are found at once, only their number is logged."""


class Reporter:
    """Logs events. Thread-safe.

    A condition that lasts (a collector that is down, a file that can't be read) is logged when it starts and when it is
    over. ``quiet`` leaves out messages that are only information.
    """

    def __init__(
        self, stream: TextIO | None = None, *, quiet: bool = False, redact: Callable[[str], str] | None = None
    ) -> None:
        self.redact = redact or Redactor()
        self._stream = stream
        self._quiet = quiet
        self._lock = threading.Lock()
        self._going_on: dict[str, tuple[str, str]] = {}
        self._has_progress = False
        self._failing: dict[str, dict[str, str]] = {}  # by exporter and stream, why

    # --- the tail ---

    def follows(self, path: str, offset: int) -> None:
        """A file is read from this offset on."""
        self._say("info", f"following {path} from byte {offset}")

    def follows_each(self, files: Sequence[tuple[str, int]]) -> None:
        """Each of these files is read from its offset on. If there are many, only their number is logged."""
        if len(files) > _MANY:
            self.follows_many(len(files), files[0][0])
        else:
            for path, offset in files:
                self.follows(path, offset)

    def follows_many(self, number: int, path: str) -> None:
        """Many files are read; one of them is named."""
        self._say("info", f"following {number} files, such as {path}")

    def rotated(self, path: str) -> None:
        """A live path has a new file; the rest of the old one is read first."""
        self._say("info", f"{path} was rotated")

    def truncated(self, path: str) -> None:
        """A live file was truncated and rewritten."""
        self._say("info", f"{path} was truncated: reading it from its start")

    def changed(self, path: str, offset: int, doubt: int) -> None:
        """A part of a file changed; reading continues after the part that was read before.

        ``doubt`` bytes from there on may have been read: their samples are compared with those in the store.
        """
        compared = f"; comparing the samples of the next {doubt} bytes with the store" if doubt else ""
        self._say("info", f"{path} changed in part: continuing at byte {offset}{compared}")

    def gone(self, path: str, unread: int) -> None:
        """A file was truncated or deleted before it was read to its end."""
        self._say("warning", f"{path} is gone with {unread} unread bytes")

    def unseen(self, path: str, size: int, unread: int) -> None:
        """A file was deleted or truncated between two scans, so data after the first of them may be lost.

        ``size`` is its size at that scan, and ``unread`` the number of those bytes that were not read.
        """
        known = f", and the {unread} bytes before it were not read" if unread else ""
        self._say(
            "warning",
            f"{path} was deleted or truncated between two scans: data after byte {size} may be lost{known}",
        )

    def unreadable(self, path: str, why: str) -> None:
        """A file can't be read now; it is tried again."""
        self._begin(f"read {path}", "warning", f"can't read {path}: {why}; waiting for it")

    def readable(self, path: str) -> None:
        """It can be read again."""
        self._end(f"read {path}", f"{path} can be read again")

    def damaged(self, path: str, why: str) -> None:
        """A compressed file is incomplete or corrupt; the part that can be read was read."""
        self._say("warning", f"{path} is damaged, its rest can't be read: {why}")

    def nothing_to_follow(self, patterns: str) -> None:
        """No file matches yet."""
        self._begin(f"follow {patterns}", "warning", f"no file matches {patterns} yet: waiting for one")

    def something_to_follow(self, patterns: str) -> None:
        """A file matches; if all files disappear later, that is logged again."""
        with self._lock:
            self._going_on.pop(f"follow {patterns}", None)

    def source_failed(self, source: str, why: str) -> None:
        """One of several sources can't be read; the others are."""
        self._say("error", f"{source}: {why}; the other sources are read")

    def same_file(self, path: str, other: str) -> None:
        """Two names of one file: it is followed once."""
        self._begin(f"same {path}", "info", f"{path} is the same file as {other}: followed once")

    def watcher_failed(self, why: str) -> None:
        """The file system sends no more events."""
        self._begin("watch", "warning", f"file system events failed ({why}): scanning the files every second instead")

    # --- observing ---

    def drift(self, source: str, path: str, offset: int, why: str) -> None:
        """A line with the marker in its place can't be read."""
        self._begin(
            f"drift {source}",
            "error",
            f"{source}: the log has an unknown format, first seen in {path} at byte {offset}: {why}"
            " (further lines are only counted: see `otel-logtail status`)",
        )

    def rejected(self, source: str, reason: str) -> None:
        """A line was rejected because it cannot be true."""
        self._begin(
            f"rejected {source} {reason}",
            "warning",
            f"{source}: a line was rejected as '{reason}' (further ones are only counted: see `otel-logtail status`)",
        )

    def no_sample(self, source: str, lines: int, advice: str) -> None:
        """A source had no sample so far: its log may have a format without durations."""
        self._begin(
            f"silence {source}", "warning", f"{source}: no sample in {lines} line{'' if lines == 1 else 's'}: {advice}"
        )

    def has_samples(self, source: str) -> None:
        """A source that was reported has its first sample."""
        self._end(f"silence {source}", f"{source}: the log has its first sample")

    def ahead(self, source: str, seconds: int) -> None:
        """A line is dated later than this machine's clock; either may be wrong."""
        self._begin(
            f"ahead {source}",
            "warning",
            f"{source}: a line is {seconds} s ahead of this machine's clock; its sample is stored, and its counts"
            " are exported when the clock reaches that time (if more lines are ahead, check the clocks)",
        )

    def not_ahead(self, source: str) -> None:
        """The clock has reached the time of all lines."""
        self._end(f"ahead {source}", f"{source}: this machine's clock has reached the time of all lines")

    def overflowed(self, source: str, most: int) -> None:
        """A source has more series than its limit."""
        self._begin(
            f"overflow {source}",
            "warning",
            f"{source}: more than {most} series: further ones are counted together, as otel.metric.overflow=true"
            " (--max-series sets how many)",
        )

    def oversized(self, path: str, offset: int) -> None:
        """A line longer than the bound was skipped."""
        self._begin(f"oversized {path}", "warning", f"{path}: a line of more than 1 MiB at byte {offset} was skipped")

    # --- the store and the exporters ---

    def store_failed(self, why: str) -> None:
        """A commit failed; nothing is read until one succeeds."""
        self._begin("store", "error", f"{why}; reading stops until it can be written")

    def store_works(self) -> None:
        """A commit succeeded."""
        self._end("store", "the store can be written again; reading continues")

    def store_missing(self, path: str) -> None:
        """The store of an earlier run is missing; it is recreated and the logs are read again."""
        self._say("error", f"{path} is missing, though a store was used here before; rebuilding from the logs")

    def store_gone(self, why: str) -> None:
        """The store was deleted, moved or replaced while the program runs."""
        self._say("error", f"{why}; reopening it, reading continues at the same position")

    def left_behind(self, count: int) -> None:
        """Undelivered data of a deleted store could not be sent in time."""
        self._say("error", f"{count} items of the deleted store could not be delivered and are lost to the exporters")

    def store_held(self, size: str, by: str) -> None:
        """A reader's snapshot makes the write-ahead log grow."""
        self._begin(
            "wal",
            "warning",
            f"the store's -wal file has {size} and can't shrink: {by} holds a snapshot; committing less often",
        )

    def store_let_go(self) -> None:
        """No reader keeps the write-ahead log from shrinking any longer."""
        self._end("wal", "the store's -wal file can shrink again")

    def store_set_aside(self, path: str, aside: str) -> None:
        """The store is corrupt and was moved; it is recreated and the logs are read again."""
        self._say("error", f"{path} is corrupt, moved to {aside}; rebuilding from the logs")

    def store_elsewhere(self, path: str, host: str, before: str, *, is_copy: bool) -> None:
        """The store was last used on another machine, or at another path of this one (``host`` is empty)."""
        where = f"on another machine ({host}, {before})" if host else f"as {before}"
        if is_copy:
            self._say(
                "warning",
                f"{path} was last used {where}: it may be a copy, so it sends under a new service.instance.id and all"
                " series start again",
            )
        else:
            self._say("info", f"{path} was last used {where}: its files moved with it, so all series continue")

    def counts_repaired(self, who: str, count: int) -> None:
        """Counts were damaged on disk; a source, an exporter or maintenance continues with their number and sum."""
        self._say(
            "error",
            f"{who}: {count} counts were damaged in the store: their number and sum are kept, their"
            " distribution is lost (the samples themselves are not touched)",
        )

    def dropped(self, exporter: str, stream: str, count: int, span: str) -> None:
        """The limits of the store deleted undelivered items."""
        self._begin(
            f"dropped {exporter} {stream}",
            "error",
            f"{exporter}: {count} {stream} of {span} were deleted undelivered: the store is full, or no daemon ran with"
            " this exporter for 7 days (further ones are only counted: see `otel-logtail status`)",
        )

    def maintenance_failed(self, why: str) -> None:
        """Maintenance of the store failed; it is tried again."""
        self._begin("maintenance", "warning", f"maintenance of the store failed: {why}; will retry")

    def maintenance_works(self) -> None:
        """It could."""
        self._end("maintenance", "maintenance of the store works again")

    def begins(self, exporter: str, held: int, *, left_out: bool) -> None:
        """An exporter is new to a store that already has data."""
        what = (
            f"the {held} items in the store are left out (--exporter-from now)"
            if left_out
            else f"sending the {held} items in the store first (--exporter-from now leaves them out)"
        )
        self._say("info", f"{exporter}: new to this store: {what}")

    def older_copy(self, exporter: str, until: str) -> None:
        """The store is older than what the receiver has: a restored backup, or a power cut."""
        self._say(
            "warning",
            f"{exporter}: the store is an older copy: the receiver has data up to {until} that the store lacks;"
            " all series start again after that time, and intervals before it are not sent again",
        )

    def exporter_failed(self, exporter: str, why: str, stream: str = "") -> None:
        """A delivery failed; it is tried again. Streams that fail for the same reason are one message."""
        reason = _SIGNAL_PATH.sub("", why)
        with self._lock:
            failing = self._failing.setdefault(exporter, {})
            if stream in failing:
                return
            failing[stream] = reason
        self._begin(f"export {exporter}: {reason}", "warning", f"{exporter}: {why}; buffering, will retry")

    def exporter_works(self, exporter: str, stream: str = "") -> None:
        """Deliveries of a stream succeed."""
        with self._lock:
            failing = self._failing.get(exporter, {})
            reason = failing.pop(stream, None)
            if reason is None or reason in failing.values():
                return
        self._end(f"export {exporter}: {reason}", f"{exporter}: delivering {f'{stream} ' if failing else ''}again")

    def skips(self, exporter: str) -> None:
        """Items were not sent because they are too old for the exporter."""
        self._begin(
            f"skip {exporter}",
            "warning",
            f"{exporter}: items that are too old for it are skipped (the store keeps them; the end logs their number)",
        )

    def skipped(self, exporter: str, count: int) -> None:
        """The number of items that an exporter skipped, when it ends."""
        self._say("info", f"{exporter}: {count} items were skipped, too old for it")

    def quarantined(self, exporter: str, item: str, why: str) -> None:
        """The receiver does not accept an item, although it accepts others."""
        self._say("error", f"{exporter}: {item} was quarantined: {why} (to send it again: `otel-logtail retry`)")

    def quarantine_full(self, exporter: str) -> None:
        """The oldest quarantined item was deleted, since more are not kept."""
        self._begin(
            f"quarantine {exporter}",
            "error",
            f"{exporter}: the quarantine is full: its oldest items are deleted and counted as dropped"
            " (see `otel-logtail status`)",
        )

    def rejects(self, exporter: str, stream: str, why: str) -> None:
        """The receiver accepted a request and rejected a part of it, which is final."""
        self._begin(
            f"rejects {exporter} {stream}",
            "error",
            f"{exporter}: rejected data is not sent again: {why} (further rejections are only counted:"
            " see `otel-logtail status`)",
        )

    def warned(self, exporter: str, stream: str, why: str) -> None:
        """The receiver accepted everything, and sent a warning."""
        key = f"warns {exporter} {stream}"
        self._begin(key, "warning", f"{exporter}: everything is accepted, with a warning: {why}")

    def refuses_everything(self, exporter: str, why: str) -> None:
        """The receiver accepts nothing at all; the other items wait instead of being quarantined."""
        self._begin(
            f"refuse {exporter}",
            "error",
            f"{exporter}: everything is refused: {why}; the rest is buffered and tried one by one from time to time"
            " (quarantined items: see `otel-logtail status`)",
        )

    def exporter_takes_again(self, exporter: str) -> None:
        """The receiver accepts items again after refusing everything."""
        self._end(f"refuse {exporter}", f"{exporter}: no longer refused")

    def crashed(self, exporter: str, why: str) -> None:
        """An exporter raised an unexpected error, which counts as a failed delivery."""
        self._begin(f"crash {exporter}", "error", f"{exporter}: internal error: {why}")

    # --- the daemon ---

    def started(self, text: str) -> None:
        """A source is running."""
        self._say("info", text)

    def stopping(self, text: str) -> None:
        """A signal was received."""
        self._say("info", text)

    def ignored(self, text: str) -> None:
        """An environment variable has no valid value, and is ignored."""
        self._say("warning", f"ignoring the variable {text}")

    def interrupted(self, read: int, unread: int) -> None:
        """A signal ended a run with ``--once``.

        ``read`` are the bytes that this run read, ``unread`` those of the logs that it did not.
        """
        at = f" at {read / 2**20:.1f} of {(read + unread) / 2**20:.1f} MiB" if unread else ""
        self._say("warning", f"interrupted{at}; run again to resume")

    @property
    def is_on_terminal(self) -> bool:
        """True if people see the messages as they are written."""
        return (self._stream or sys.stderr).isatty()

    def progress(self, text: str) -> None:
        """The progress of a run with ``--once``, on a terminal only. The line is replaced by the next message."""
        if not self.is_on_terminal:
            return
        self._write(f"\r\x1b[K{printable(self.redact(text))}", end="")
        self._has_progress = True

    def finished(self, text: str) -> None:
        """A run with ``--once`` is over."""
        self._say("info", text)

    def troubles(self) -> list[str]:
        """Return the warnings whose condition is not over, the oldest first."""
        with self._lock:
            return [text for level, text in self._going_on.values() if level != "info"]

    # --- logging ---

    def _begin(self, key: str, level: str, text: str) -> None:
        text = self.redact(text)
        with self._lock:
            if key in self._going_on:
                return
            self._going_on[key] = (level, text)
        self._say(level, text)

    def _end(self, key: str, text: str) -> None:
        with self._lock:
            if self._going_on.pop(key, None) is None:
                return
        self._say("info", text)

    def _say(self, level: str, text: str) -> None:
        if self._quiet and level == "info":
            return
        prefix = "" if level == "info" else f"{level}: "
        over, self._has_progress = "\r\x1b[K" if self._has_progress else "", False
        self._write(over + printable(f"otel-logtail: {prefix}{self.redact(text)}"))

    def _write(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, file=self._stream or sys.stderr, flush=True)
        except (OSError, ValueError):
            pass  # standard error is closed; the log is followed all the same
