"""Detects a source whose lines hold no sample: a log format without durations, or the log of another program."""

from __future__ import annotations

from otel_logtail.events import Reporter
from otel_logtail.model import Chunk, Tally

MANY_LINES = 100
"""The number of lines without a sample after which a source is reported."""


class Silence:
    """Counts the lines of a source until its first sample. A source with rejected lines has another problem."""

    def __init__(self, source: str, advice: str, reporter: Reporter, *, is_over: bool) -> None:
        self._source = source
        self._advice = advice
        self._reporter = reporter
        self._lines = 0
        self._has_rejected = False
        self._is_over = is_over

    def lines_of(self, chunk: Chunk) -> int:
        """Return the lines of a chunk that was just read; 0 if they do not matter any more."""
        return 0 if self._is_over else chunk.buffer.count(b"\n", chunk.start, chunk.end)

    def add(self, lines: int, tally: Tally) -> None:
        """Count the lines of a chunk that is committed."""
        if self._is_over:
            return
        if tally.samples:
            self._is_over = True
            self._reporter.has_samples(self._source)
            return
        self._has_rejected = self._has_rejected or bool(tally.rejected)
        self._lines += lines
        if self._lines >= MANY_LINES:
            self.end()

    def end(self) -> None:
        """Report the source if it had lines and no sample: its logs are read to their end."""
        if self._lines and not self._is_over and not self._has_rejected:
            self._reporter.no_sample(self._source, self._lines, self._advice)
