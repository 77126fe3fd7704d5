"""One exporter's thread: it drains the store into its receiver, stream by stream.

Each exporter has one, with a connection of its own, so that none can delay the tail or another exporter.

Invariant: a cursor moves only when the receiver has decided. Whatever else happens (a failure, a crash, a stop
halfway), the same items are sent again, with the same ids, times and totals. What happens to a single stream is in
:mod:`lane`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from otel_logtail.delivery.lane import Lane
from otel_logtail.errors import LogtailError, StoreCorrupt
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter
from otel_logtail.model import Delivery, ExportBatch, Partial, Retry, Stream
from otel_logtail.store.outbox import Outbox

HEALTH_S = 60.0
"""How often the daemon's own health is sent: as often as an SDK sends its metrics by default."""

RELEASED_S = 30.0
"""How often it is checked whether quarantined items were released, where nothing else gives a reason to."""


class Drain:
    """One exporter's thread."""

    def __init__(self, exporter: Exporter, outbox: Outbox, reporter: Reporter) -> None:
        self.name = exporter.name
        self.damage: StoreCorrupt | None = None
        """Damage of the store that was met here: whoever follows the log has to end."""
        self._exporter = exporter
        self._outbox = outbox
        self._reporter = reporter
        self._tells_health = Stream.SELF in exporter.wants
        self._health_due_s = 0.0
        self._work = threading.Event()
        self._stop = threading.Event()
        self._deadline_s = float("inf")
        self._patience_s = 0.0
        self.given_up = False
        """Whether the exporter was closed while it was sending; see :class:`~otel_logtail.lane.Sender`."""
        # a stream that fails waits by itself: a receiver may accept spans and not metrics
        self._lanes = [
            Lane(stream, outbox, reporter, self)
            for stream in Stream
            if stream in exporter.wants and stream is not Stream.SELF
        ]
        self._resumed = not self._lanes
        self._thread = threading.Thread(target=self._run, name=f"drain-{exporter.name}", daemon=True)

    def start(self) -> None:
        """Begin with what waits in the store."""
        self._work.set()
        self._thread.start()

    def notify(self) -> None:
        """There may be something new."""
        self._work.set()

    def stop(self, within_s: float, *, while_taken: bool = False) -> None:
        """Deliver what waits, but no longer than this; :meth:`join` waits for the end.

        With ``while_taken`` the bound begins anew whenever the receiver takes something, until :meth:`hurry`.
        """
        self._patience_s = within_s if while_taken else 0.0
        self._deadline_s = time.monotonic() + within_s
        self._stop.set()
        self._work.set()

    def hurry(self) -> None:
        """Let the bound of a stop be as it is now; may be called from a signal handler."""
        self._patience_s = 0.0

    def join(self) -> None:
        """Wait until it has ended; an export that still hangs at the deadline is given up."""
        if self._thread.ident is not None:
            while self._thread.is_alive() and (left_s := self._deadline_s - time.monotonic()) > 0:
                self._thread.join(left_s)
            if self._thread.is_alive():
                self.given_up = True
                self._close_exporter()
                self._thread.join(1.0)
        if not self._thread.is_alive():
            self._close_exporter()
            self._outbox.close()

    def _close_exporter(self) -> None:
        try:
            self._exporter.close()
        except Exception as problem:  # noqa: BLE001 - a plug-in's bug must not keep the others from being ended
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")

    def _run(self) -> None:
        stopping = False
        try:
            while True:
                self._work.wait(self._pause_s())
                self._work.clear()
                if not stopping and self._stop.is_set():
                    stopping = True
                    for lane in self._lanes:
                        lane.hasten()  # one more try, now
                if self._resumed or self._resume():
                    for lane in self._lanes:
                        self.damage = lane.run() or self.damage
                if self._tells_health and (stopping or time.monotonic() >= self._health_due_s):
                    self._tell_health()
                if stopping and (not any(lane.failing for lane in self._lanes) or self.over()):
                    return
        except Exception as problem:  # noqa: BLE001 - the last resort of a thread: said, not swallowed
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")
        finally:
            if skipped := sum(lane.skipped for lane in self._lanes):
                self._reporter.skipped(self.name, skipped)

    def _pause_s(self) -> float | None:
        """How long until there is something to do without being told: the next try of what failed."""
        due_s = [at_s for lane in self._lanes if (at_s := lane.due_s()) is not None]
        if due_s:
            due_s.append(self._deadline_s)
        if self._tells_health:
            due_s.append(self._health_due_s)
        if self._may_be_released():
            due_s.append(time.monotonic() + RELEASED_S)
        return max(0.0, min(due_s) - time.monotonic()) if due_s else None

    def _may_be_released(self) -> bool:
        try:
            return self._outbox.keeps_refused()
        except LogtailError:
            return False  # the tail reports what is wrong with the store

    def _tell_health(self) -> None:
        """Send what is now; if it can't be sent there is nothing to keep: the next time it is newer."""
        self._health_due_s = time.monotonic() + HEALTH_S
        # a receiver without traces still gets its metrics, and these are metrics
        metrics = [lane for lane in self._lanes if lane.stream is Stream.INTERVALS] or self._lanes
        if any(lane.blocked for lane in metrics) or self.over():
            return  # the receiver is in trouble: pending data goes first
        try:
            self.export(self._outbox.health(time.time_ns()))
        except LogtailError:
            pass  # the tail reports what is wrong with the store

    def _resume(self) -> bool:
        """Tell the exporter what its receiver knows already; returns whether it has been told."""
        first = self._lanes[0]
        if first.not_before_s is not None and time.monotonic() < first.not_before_s:
            return False
        try:
            told = self._outbox.told()
            self._say_mended()
            self._exporter.resume(told)
        except LogtailError as problem:
            why = str(problem)
        except Exception as problem:  # noqa: BLE001 - a plug-in's bug must not end the thread
            why = self._reporter.redact(f"{type(problem).__name__}: {problem}")
            self._reporter.crashed(self.name, why)
        else:
            self._resumed = True
            return True
        first.wait_after(Retry(why))
        return False

    def _say_mended(self) -> None:
        if mended := self._outbox.take_mended():
            self._reporter.counts_mended(self.name, mended)

    # --- what its lanes need ----------------------------------------------------------------------------------------

    def export(self, batch: ExportBatch) -> Delivery:
        """Have a batch sent."""
        self._say_mended()
        try:
            delivery = self._exporter.export(batch)
            if not isinstance(delivery, Delivery):
                raise TypeError(f"export() returned {delivery!r}")
            return without_secrets(delivery, self._reporter.redact)
        except Exception as problem:  # noqa: BLE001 - a plug-in's bug must not lose data or end the thread
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")
            return Retry(self._reporter.redact(f"{type(problem).__name__}: {problem}"), isolate=True)

    @property
    def accepted(self) -> int:
        """How often the receiver accepted something, of whatever stream."""
        return sum(lane.accepted for lane in self._lanes)

    def over(self) -> bool:
        """Whether the time for sending is over."""
        return self._stop.is_set() and time.monotonic() >= self._deadline_s

    def progressed(self) -> None:
        """Something was sent: with patience, the bound of a stop starts anew."""
        if self._patience_s:
            self._deadline_s = time.monotonic() + self._patience_s

    def works(self) -> None:
        """Say that what was wrong with a stream, or with all of them, is over."""
        if not any(lane.refuses_everything for lane in self._lanes):
            self._reporter.exporter_takes_again(self.name)
        for lane in self._lanes:
            if not lane.failing:
                self._reporter.exporter_works(self.name, lane.stream.value)


def without_secrets(delivery: Delivery, redact: Callable[[str], str]) -> Delivery:
    """The same outcome in words that may be stored and shown."""
    changes: dict[str, object] = {}
    if isinstance(delivery, Partial):
        changes["rest"] = without_secrets(delivery.rest, redact)
    if why := getattr(delivery, "why", ""):
        changes["why"] = redact(why)
    return msgspec.structs.replace(delivery, **changes)
