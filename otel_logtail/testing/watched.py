"""An exporter that records what another one answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from otel_logtail.exporter import Exporter
from otel_logtail.model import Delivered, Delivery, ExportBatch, Point, Stream
from otel_logtail.testing.compare import check


class WatchedExporter(Exporter):
    """An exporter that records the answers of another one. Used by a delivery worker's thread and by the test's."""

    def __init__(self, exporter: Exporter, patience_s: float) -> None:
        self.name, self.wants = exporter.name, exporter.wants - {Stream.SELF}
        self.begun = 0
        self.resumed = False
        self.answers: list[Delivery | Exception] = []
        self._exporter = exporter
        self._patience_s = patience_s
        self._changed = threading.Condition()

    def resume(self, points: Sequence[Point]) -> None:
        self._exporter.resume(points)
        with self._changed:
            self.resumed = True
            self._changed.notify_all()

    def export(self, batch: ExportBatch) -> Delivery:
        with self._changed:
            self.begun += 1
            self._changed.notify_all()
        answer: Delivery | Exception
        try:
            answer = self._exporter.export(batch)
        except Exception as problem:  # noqa: BLE001 - noted, and raised again below
            answer = problem
        with self._changed:
            self.answers.append(answer)
            self._changed.notify_all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self._exporter.close()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; check it after each call and each answer.

        Raises:
            AssertionError: it does not hold in time.
        """
        with self._changed:
            check(self._changed.wait_for(condition, self._patience_s), f"timed out; it answered {self.answers!r}")

    def first_failure(self) -> Delivery | Exception:
        """Wait for the first answer that is not ``Delivered``, and return it."""

        def failures() -> list[Delivery | Exception]:
            return [answer for answer in self.answers if not isinstance(answer, Delivered)]

        self.wait_for(lambda: bool(failures()))
        return failures()[0]
