"""The end of a worker: the time that it has to send what waits. It is set by one thread and read by another."""

from __future__ import annotations

import threading
import time


class Ending:
    """A deadline once a stop was requested; until then there is none."""

    def __init__(self) -> None:
        self.deadline_s = float("inf")
        self._requested = threading.Event()
        self._patience_s = 0.0

    def request(self, within_s: float, *, while_taken: bool) -> None:
        """Stop within this time, which starts again whenever the receiver accepts something if ``while_taken``."""
        self._patience_s = within_s if while_taken else 0.0
        self.deadline_s = time.monotonic() + within_s
        self._requested.set()

    def hurry(self) -> None:
        """Do not extend the time any more; may be called from a signal handler."""
        self._patience_s = 0.0

    @property
    def is_patient(self) -> bool:
        """True if the time starts again whenever something is accepted: the run ends by itself."""
        return self._patience_s > 0

    def progressed(self) -> None:
        """Note that something was accepted."""
        if self._patience_s:
            self.deadline_s = time.monotonic() + self._patience_s

    @property
    def is_requested(self) -> bool:
        """True once a stop was requested."""
        return self._requested.is_set()

    @property
    def is_over(self) -> bool:
        """True if the time for sending is over."""
        return self.is_requested and time.monotonic() >= self.deadline_s
