"""Events that are recorded as text."""

from __future__ import annotations

import io
import threading


class Said(io.StringIO):
    """Messages of a reporter, which a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def write(self, text: str) -> int:
        with self._changed:
            written = super().write(text)
            self._changed.notify_all()
        return written

    def wait_for(self, text: str, times: int = 1) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.getvalue().count(text) >= times, 10.0)

    def lines(self) -> list[str]:
        return [said.removeprefix("otel-logtail: ") for said in self.getvalue().splitlines()]
