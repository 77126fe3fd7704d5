"""The progress and the result of a run with ``--once``, for the person who started it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from otel_logtail.daemon.paths import STORE, default_db
from otel_logtail.daemon.source import SourceRun
from otel_logtail.errors import UsageError
from otel_logtail.events import Reporter
from otel_logtail.store.health import behind
from otel_logtail.text import iso, number, size, span

_EVERY_S = 0.2
_MIB = 2**20
_NAME = 24  # characters of a file's name in the progress
_WEEK_NS = 7 * 86_400 * 10**9


def unread(runs: Sequence[SourceRun]) -> int:
    """Return the number of bytes of the open files that were not read."""
    held = [state for run in runs for states in run.tail.held.values() for state in states]
    return sum(behind(state.path, state.device, state.inode, state.offset, state.size) for state in held)


class Progress:
    """One line on a terminal while the logs are read: file, percent, speed, samples and the time that is left."""

    def __init__(self, runs: Sequence[SourceRun], reporter: Reporter) -> None:
        self._runs = runs
        self._reporter = reporter
        self._began_s = self._shown_s = time.monotonic()
        self._all: int | None = None
        for run in runs:
            run.totals.files = set()

    def step(self, now_s: float) -> None:
        """Show the progress, a few times a second."""
        if now_s - self._shown_s < _EVERY_S or not self._reporter.is_on_terminal:
            return
        self._shown_s = now_s
        done = sum(run.totals.bytes for run in self._runs)
        if self._all is None:
            self._all = done + unread(self._runs)
        self._reporter.progress(self._text(done, max(self._all, done, 1), now_s - self._began_s))

    def _text(self, done: int, all_bytes: int, elapsed_s: float) -> str:
        name = next((run.totals.name for run in reversed(self._runs) if run.totals.name), "")
        samples = sum(run.totals.samples for run in self._runs)
        left_s = (all_bytes - done) * elapsed_s / done if done else 0.0
        return (
            f"{name[-_NAME:]}  {100 * done // all_bytes} %  {done / _MIB / elapsed_s:.0f} MiB/s"
            f"  {samples:,} samples  {span(left_s)} left"
        )


def result(runs: Sequence[SourceRun], elapsed_s: float) -> str:
    """Return the sums of everything that this run read, in one line."""
    totals = [run.totals for run in runs]
    samples, slow, episodes, files = (
        sum(numbers)
        for numbers in zip(
            *((each.samples, each.slow, each.episodes, len(each.files or ())) for each in totals), strict=True
        )
    )
    read = f"{size(sum(each.bytes for each in totals))} of {number(files, 'file')} in {elapsed_s:.1f} s"
    return f"read {number(samples, 'new sample')}, {slow:,} slow, {number(episodes, 'new episode')} ({read})"


def next_command(runs: Sequence[SourceRun], db: Path, now_ns: int) -> str:
    """Return the command that shows the new data; empty if there is none."""
    first = [run.totals.first_ns for run in runs if run.totals.first_ns]
    if not first:
        return ""
    words = ["otel-logtail", "report"]
    if min(first) < now_ns - _WEEK_NS:
        words += ["--since", iso(min(first))[:10]]
    return shlex.join(words + ([] if _is_default(db) else ["--db", str(db)]))


def _is_default(db: Path) -> bool:
    try:
        return db.name == STORE and db == default_db()
    except UsageError:  # there is no home directory, and so no default
        return False
