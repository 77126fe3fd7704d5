"""Lines for people on standard output: each breach, each episode when it is over, what each interval was like.

Only a completely written line counts as delivered. A slow reader delays nothing else, and a reader that has left (a
closed pipe) gets no more lines: pending data stays in the store.
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
    Partial,
    Point,
    Retry,
    Stream,
)

_PIECE = select.PIPE_BUF
"""The number of bytes that a ready pipe accepts at once without blocking."""


class ConsoleExporter(Exporter):
    """A file descriptor that takes text, usually standard output."""

    name = "console"
    wants = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES})

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._closed, self._close = os.pipe()

    def export(self, batch: ExportBatch) -> Delivery:
        """Write a line for each item that has one, up to the first that cannot be written."""
        for number, item in enumerate(batch.items):
            try:
                self._write("".join(f"{line}\n" for line in lines(item)).encode())
            except OSError as problem:
                why = Retry(f"standard output can't be written: {problem.strerror or problem}")
                return Partial(number, why) if number else why
        return Delivered()

    def close(self) -> None:
        """Wake a write that waits for its reader; it ends as failed."""
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
                continue  # another process that shares it made it non-blocking and was faster


def lines(item: Item) -> Iterator[str]:
    """Return the line of an item, if it has one."""
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
            f" trace={item.trace_id.hex()}"
        )
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
    """A stranger's text that does nothing to a terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(value))


def make(context: ExporterContext) -> ConsoleExporter:
    """Lines for people on standard output: breaches, episodes, intervals.

    Raises:
        UsageError: standard output is closed.
    """
    try:
        fd = sys.stdout.fileno()
        if fcntl(fd, F_GETFL) & os.O_ACCMODE == os.O_RDONLY:  # what the command line opens where it was closed
            raise OSError("closed")
        return ConsoleExporter(fd)
    except (AttributeError, OSError, ValueError) as problem:
        raise UsageError(
            "the exporter console needs standard output, which is closed", hint="leave it open"
        ) from problem
