"""Lines for people on standard output: each breach, closed episode and mark, and a summary of each interval.

Only a whole line counts as delivered. A slow reader delays no other exporter. If the reader has left (a closed pipe),
pending data stays in the store.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from fcntl import F_GETFL, fcntl

from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.model import (
    Attributes,
    BreachRecord,
    Delivered,
    Delivery,
    EpisodeRecord,
    ExportBatch,
    Instrument,
    Item,
    MarkRecord,
    Partial,
    Point,
    Retry,
    Stream,
)
from otel_logtail.trace import ids_of

_PIECE = select.PIPE_BUF
"""The bytes that a pipe accepts without blocking once it is ready."""


class ConsoleExporter(Exporter):
    """Writes text to a file descriptor, usually standard output."""

    name = "console"
    wants = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES, Stream.MARKS})

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._closed, self._close = os.pipe()

    def export(self, batch: ExportBatch) -> Delivery:
        """Write the lines of the items, up to the first that can't be written."""
        for number, item in enumerate(batch.items):
            try:
                self._write("".join(f"{line}\n" for line in lines(item)).encode())
            except OSError as problem:
                why = Retry(f"standard output can't be written: {problem.strerror or problem}")
                return Partial(number, why) if number else why
        return Delivered()

    def close(self) -> None:
        """Wake a write that waits for its reader; the write fails."""
        if self._close >= 0:
            os.close(self._close)
            self._close = -1

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            ready = select.poll()
            ready.register(self._closed, select.POLLIN)
            ready.register(self._fd, select.POLLOUT)
            if any(fd == self._closed for fd, _ in ready.poll()):
                raise OSError("the exporter is closed")
            try:
                rest = rest[os.write(self._fd, rest[:_PIECE]) :]
            except BlockingIOError:
                continue  # another process made the pipe non-blocking, and wrote first


def lines(item: Item) -> Iterator[str]:
    """Yield the line of an item, if it has one."""
    if isinstance(item, EpisodeRecord):
        episode = item.episode
        yield (
            f"{_time(episode.end_ns)} {item.source.name} episode: {episode.severity.label} of"
            f" {_ms(episode.end_ns - episode.start_ns)}, breaches {episode.count}, peak {_ms(episode.peak_ns)},"
            f" cause {_text(episode.cause)}, stage {_text(episode.stage)}{_pairs(episode.attributes)}"
            f" trace={episode.trace_id.hex()}"
        )
    elif isinstance(item, BreachRecord):
        yield (
            f"{_time(item.time_ns)} {item.source.name} breach: {item.severity.label} {_ms(item.duration_ns)},"
            f" cause {_text(item.cause)}, stage {_text(item.stage)}{_pairs(item.attributes)}"
            f" trace={item.trace_id.hex()}" + (f" link={ids_of(item.trace)[0].hex()}" if item.trace else "")
        )
    elif isinstance(item, MarkRecord):
        yield f"{_time(item.time_ns)} {item.source.name} mark: {_text(item.text)}"
    elif isinstance(item, Point) and item.id and item.series.instrument is Instrument.DURATION:
        counts = item.delta
        yield (
            f"{_time(item.time_ns)} {item.source.name} interval: samples {counts.count},"
            f" mean {_ms(counts.sum_ns // max(counts.count, 1))}, max {_ms(counts.max_ns)}"
            f"{_pairs(item.series.attributes)}"
        )


def _time(ns: int) -> str:
    seconds, rest = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest // 10**6:03}Z"


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.1f} ms"


def _pairs(attributes: Attributes) -> str:
    return "".join(f" {_text(key)}={_text(value)}" for key, value in attributes)


def _text(value: object) -> str:
    """Return untrusted text without control characters."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def make(context: ExporterContext) -> ConsoleExporter:
    """Create the exporter.

    Raises:
        UsageError: standard output is closed.
    """
    try:
        fd = sys.stdout.fileno()
        if fcntl(fd, F_GETFL) & os.O_ACCMODE == os.O_RDONLY:  # the command line opened it, since it was closed
            raise OSError("closed")
        return ConsoleExporter(fd)
    except (AttributeError, OSError, ValueError) as problem:
        raise UsageError(
            "the exporter console needs standard output, which is closed", hint="leave it open"
        ) from problem
