"""Events of files and of the lines in them: a part of :class:`~otel_logtail.events.Reporter`."""

from __future__ import annotations

from collections.abc import Sequence

from otel_logtail.messages import Message, Messages, begin, end, event, say
from otel_logtail.text import number, size

_MANY = 100
"""If more files than this are found at once, only their number is logged."""


class FileEvents(Messages):
    """Events of files and lines."""

    @event("file.followed")
    def follows(self, path: str, offset: int) -> Message:
        """A file is read from this offset on."""
        return say("info", f"following {path} from byte {offset}")

    def follows_each(self, files: Sequence[tuple[str, int]]) -> None:
        """Each of these files is read from its offset on. If there are many, only their number is logged."""
        if len(files) > _MANY:
            self.follows_many(len(files), files[0][0])
        else:
            for path, offset in files:
                self.follows(path, offset)

    @event("files.followed")
    def follows_many(self, number: int, path: str) -> Message:
        """Many files are read; one of them is named."""
        return say("info", f"following {number} files, such as {path}")

    @event("file.rotated")
    def rotated(self, path: str) -> Message:
        """A live path has a new file; the rest of the old one is read first."""
        return say("info", f"{path} was rotated")

    @event("file.truncated")
    def truncated(self, path: str) -> Message:
        """A live file was truncated and rewritten."""
        return say("info", f"{path} was truncated: reading it from its start")

    @event("file.changed")
    def changed(self, path: str, offset: int, doubt: int) -> Message:
        """A part of a file changed; reading continues after the part that was read before.

        ``doubt`` bytes from there on may have been read: their samples are compared with those in the store.
        """
        compared = f"; comparing the samples of the next {doubt} bytes with the store" if doubt else ""
        return say("info", f"{path} changed in part: continuing at byte {offset}{compared}")

    @event("file.lost")
    def gone(self, path: str, unread: int) -> Message:
        """A file was truncated or deleted before it was read to its end."""
        return say("warning", f"{path} is gone with {unread} unread bytes")

    @event("file.unseen")
    def unseen(self, path: str, size: int, unread: int) -> Message:
        """A file was deleted or truncated between two scans, so data after the first of them may be lost.

        ``size`` is its size at that scan, and ``unread`` the number of those bytes that were not read.
        """
        known = f", and the {unread} bytes before it were not read" if unread else ""
        return say(
            "warning",
            f"{path} was deleted or truncated between two scans: data after byte {size} may be lost{known}",
        )

    @event("file.unreadable")
    def unreadable(self, path: str, why: str) -> Message:
        """A file can't be read now; it is tried again."""
        return begin(f"read {path}", "warning", f"can't read {path}: {why}; waiting for it")

    @event("file.readable")
    def readable(self, path: str) -> Message:
        """It can be read again."""
        return end(f"read {path}", f"{path} can be read again")

    @event("file.damaged")
    def damaged(self, path: str, why: str) -> Message:
        """A compressed file is incomplete or corrupt; the part that can be read was read."""
        return say("warning", f"{path} is damaged, its rest can't be read: {why}")

    @event("files.missing")
    def nothing_to_follow(self, patterns: str) -> Message:
        """No file matches yet."""
        return begin(f"follow {patterns}", "warning", f"no file matches {patterns} yet: waiting for one")

    def something_to_follow(self, patterns: str) -> None:
        """A file matches; if all files disappear later, that is logged again."""
        self.forget(f"follow {patterns}")

    @event("source.failed")
    def source_failed(self, source: str, why: str) -> Message:
        """One of several sources can't be read; the others are."""
        return say("error", f"{source}: {why}; the other sources are read")

    @event("file.same")
    def same_file(self, path: str, other: str) -> Message:
        """Two names of one file: it is followed once."""
        return begin(f"same {path}", "info", f"{path} is the same file as {other}: followed once")

    @event("watch.failed")
    def watcher_failed(self, why: str) -> Message:
        """The file system sends no more events."""
        return begin("watch", "warning", f"file system events failed ({why}): scanning the files every second instead")

    @event("source.drift")
    def drift(self, source: str, path: str, offset: int, why: str) -> Message:
        """A line with the marker in its place can't be read."""
        return begin(
            f"drift {source}",
            "error",
            f"{source}: the log has an unknown format, first seen in {path} at byte {offset}: {why}"
            " (further lines are only counted: see `otel-logtail status`)",
        )

    @event("source.rejected")
    def rejected(self, source: str, reason: str) -> Message:
        """A line was rejected because it cannot be true."""
        return begin(
            f"rejected {source} {reason}",
            "warning",
            f"{source}: a line was rejected as '{reason}' (further ones are only counted: see `otel-logtail status`)",
        )

    @event("source.silent")
    def no_sample(self, source: str, lines: int, advice: str) -> Message:
        """A source had no sample so far: its log may have a format without durations."""
        return begin(f"silence {source}", "warning", f"{source}: no sample in {number(lines, 'line')}: {advice}")

    @event("source.first_sample")
    def has_samples(self, source: str) -> Message:
        """A source that was reported has its first sample."""
        return end(f"silence {source}", f"{source}: the log has its first sample")

    @event("source.ahead")
    def ahead(self, source: str, seconds: int) -> Message:
        """A line is dated later than this machine's clock; either may be wrong."""
        return begin(
            f"ahead {source}",
            "warning",
            f"{source}: a line is {seconds} s ahead of this machine's clock; its sample is stored, and its counts"
            " are exported when the clock reaches that time (if more lines are ahead, check the clocks)",
        )

    @event("source.not_ahead")
    def not_ahead(self, source: str) -> Message:
        """The clock has reached the time of all lines."""
        return end(f"ahead {source}", f"{source}: this machine's clock has reached the time of all lines")

    @event("source.overflow")
    def overflowed(self, source: str, most: int) -> Message:
        """A source has more series than its limit."""
        return begin(
            f"overflow {source}",
            "warning",
            f"{source}: more than {most} series: further ones are counted together, as otel.metric.overflow=true"
            " (--max-series sets how many)",
        )

    @event("file.oversized_line")
    def oversized(self, path: str, offset: int) -> Message:
        """A line longer than the bound was skipped."""
        return begin(f"oversized {path}", "warning", f"{path}: a line of more than 1 MiB at byte {offset} was skipped")

    @event("source.read")
    def read(self, source: str, path: str, advanced: int, samples: int) -> Message:
        """Lines of a file are committed, as the last ones of this number of bytes."""
        return say("debug", f"{source}: read {size(advanced)} up to {path}: {number(samples, 'sample')}")
