"""Stores with a long life behind them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_logtail.model import ExportBatch, Point, Stream
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.maintenance.steps import Done
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.pieces import NOON, SECOND, Piece, line, rows

MINUTE, HOUR, DAY = 60, 3600, 86_400


PAST = (1_704_067_200 * SECOND - NOON) // SECOND  # 2024 began so many seconds past noon: long before any clock


KEPT = [stream for stream in Stream if stream is not Stream.SELF]


NO_LIMITS = Limits()


def ns(second: float) -> int:
    """A second of 2024 as the store has it."""
    return NOON + round((PAST + second) * SECOND)


class Life:
    """A store whose clock is in seconds of 2024, and the results of its maintenance."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store.open(path)
        self.piece = Piece(self.store)

    def say(self, *samples: tuple[float, float], seal: float | None = None, key: str = "") -> None:
        """One piece of log: (second, duration in seconds) each."""
        logged = max((second for second, _ in samples), default=0)
        data = b"".join(line(PAST + s, d, logged=PAST + logged, key=key) for s, d in samples)
        self.piece.commit(data, None if seal is None else PAST + seal)

    def keep_up(self, limits: Limits = NO_LIMITS, exporters: Iterable[str] = ()) -> Done:
        return self.store.maintenance(limits, tuple(exporters)).run()

    def restart(self) -> None:
        self.store.close()
        self.store = Store.open(self.path)
        self.piece = Piece(self.store)

    def count(self, table: str) -> int:
        return int(str(rows(self.path, f"SELECT count(*) FROM {table}")[0][0]))


@contextmanager
def living(folder: Path | str) -> Iterator[Life]:
    life = Life(Path(folder, "store.db"))
    try:
        yield life
    finally:
        life.store.close()


@contextmanager
def outbox_of(life: Life, exporter: str = "fake", *, seen_ns: int | None = None) -> Iterator[Outbox]:
    outbox = Outbox.open(life.path, exporter)
    try:
        outbox.register(KEPT, time.time_ns() if seen_ns is None else seen_ns)
        yield outbox
    finally:
        outbox.close()


def deliver(outbox: Outbox, *streams: Stream, limit: int = 1000) -> list[Point]:
    """All that waits; the points of it."""
    points = []
    for stream in streams or KEPT:
        while (batch := outbox.read(stream, limit)) is not None:
            points += points_of(batch)
            outbox.advance(batch, len(batch.items), NOON)
    return points


def points_of(batch: ExportBatch) -> list[Point]:
    return [item for item in batch.items if isinstance(item, Point)]
