"""Signals of a run, and its exit code."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING

from otel_logtail.cli.errors import stop_early

if TYPE_CHECKING:
    from otel_logtail.daemon.loop import Loop


class Signals:
    """Handlers of one run: SIGTERM and SIGINT stop it in order, a second SIGINT exits at once, SIGHUP scans now.

    An exit at once is safe, because the store is consistent after every instruction. Before the run is built, SIGTERM
    and SIGINT exit at once, too. A stopped daemon has done its work and exits with 0. A stopped run with ``once`` has
    not, and exits with 128 plus the number of the signal.
    """

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._running: Loop | None = None
        self._interrupts = 0
        self._stopped_by = 0
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, self._scan_now)

    def stop_with(self, running: Loop) -> None:
        """Stop this run from now on."""
        self._running = running
        if self._stopped_by:  # before, where the exception of the handler was lost (in a destructor)
            running.stop()

    def exit_code(self, code: int) -> int:
        """Return the exit code of a run that returned ``code``."""
        return 128 + self._stopped_by if self._stopped_by and self._once else code

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped_by = self._stopped_by or number
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 1:
            os._exit(130)
        if self._running is None:
            stop_early(number, once=self._once)
        self._running.stop()

    def _scan_now(self, number: int, frame: FrameType | None) -> None:
        if self._running is not None:
            self._running.scan_now()
