"""The delivery worker: one thread per exporter, which sends the exporter's streams from the store to the receiver.

Each worker has its own connection to the store, so that no exporter delays the tail or another exporter.

Invariant: a cursor moves only when the receiver has decided. After a failure, a crash or a stop halfway, the same items
are sent again, with the same ids, times and totals. :mod:`lane` handles a single stream.
"""

from __future__ import annotations

import threading
import time

from otel_logtail.delivery.ending import Ending
from otel_logtail.delivery.lane import Lane
from otel_logtail.delivery.receiver import Receiver
from otel_logtail.delivery.rules import RULES, Rules
from otel_logtail.errors import LogtailError, StoreCorrupt
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter
from otel_logtail.model import Delivery, ExportBatch, Retry, Stream
from otel_logtail.store.outbox import Outbox

HEALTH_S = 60.0
"""How often the daemon's own health is sent: as often as an SDK sends its metrics by default."""

RELEASED_S = 30.0
"""The interval of the check whether quarantined items were released, if nothing else happens."""


class Drain:
    """The delivery worker of one exporter."""

    def __init__(self, exporter: Exporter, outbox: Outbox, reporter: Reporter, rules: Rules = RULES) -> None:
        self.damage: StoreCorrupt | None = None
        """Damage of the store that was found here: the daemon has to stop."""
        self._receiver = Receiver(exporter, outbox, reporter)
        self._outbox = outbox
        self._reporter = reporter
        self._ending = Ending()
        self._work = threading.Event()
        self._health_due_s = 0.0 if Stream.SELF in exporter.wants else None
        # a stream that fails waits by itself: a receiver may accept spans and not metrics
        self._lanes = [
            Lane(stream, outbox, reporter, self, rules)
            for stream in Stream
            if stream in exporter.wants and stream is not Stream.SELF
        ]
        self._resumed = not self._lanes
        self._keeps_refused = True
        """False if the store had no refused item of this exporter before the last pass: only lanes add some."""
        outbox.operations.describe(self._receiver)
        self._thread = threading.Thread(target=self._run, name=f"drain-{exporter.name}", daemon=True)

    @property
    def name(self) -> str:
        """The name of the exporter."""
        return self._receiver.name

    @property
    def given_up(self) -> bool:
        """True if the exporter was closed while it was sending; see :class:`lane.Sender`."""
        return self._receiver.is_closed

    @property
    def busy_since_s(self) -> float | None:
        """The start of the export that has not returned yet."""
        return self._receiver.busy_since_s

    @property
    def has_ended(self) -> bool:
        """True if the worker has ended although no stop was requested, which is a bug."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._ending.is_requested

    def start(self) -> None:
        """Start with the data that is pending in the store."""
        self._work.set()
        self._thread.start()

    def notify(self) -> None:
        """Check the store for new data."""
        self._work.set()

    def stop(self, within_s: float, *, while_taken: bool = False) -> None:
        """Deliver pending data for at most this time, then stop; :meth:`join` waits until the worker has stopped.

        ``while_taken`` starts the time again whenever the receiver accepts something, until :meth:`hurry`.
        """
        self._ending.request(within_s, while_taken=while_taken)
        self._work.set()

    def hurry(self) -> None:
        """Do not extend the time of a stop any more; may be called from a signal handler."""
        self._ending.hurry()

    def join(self) -> None:
        """Wait until the worker has stopped; an export that still hangs at the deadline is given up."""
        if self._thread.ident is not None:
            while self._thread.is_alive() and (left_s := self._ending.deadline_s - time.monotonic()) > 0:
                self._thread.join(left_s)
            if self._thread.is_alive():
                if self._ending.is_patient and (since_s := self.busy_since_s) is not None:
                    self._reporter.unanswered(self.name, time.monotonic() - since_s)
                self._receiver.close()
                self._thread.join(1.0)
        if not self._thread.is_alive():
            self._receiver.close()
            self._outbox.close()

    def _run(self) -> None:
        stopping = False
        try:
            while True:
                self._work.wait(self._pause_s())
                self._work.clear()
                if not stopping and self._ending.is_requested:
                    stopping = True
                    for lane in self._lanes:
                        lane.hasten()  # one more try, now
                if self._resumed or self._resume():
                    self._run_lanes()
                if self._health_due_s is not None and (stopping or time.monotonic() >= self._health_due_s):
                    self._tell_health()
                if stopping and (not any(lane.failing for lane in self._lanes) or self.over()):
                    return
        except BaseException as problem:  # noqa: BLE001 - the last resort of a thread: logged, not swallowed
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")
        finally:
            if skipped := sum(lane.decided.skipped for lane in self._lanes):
                self._reporter.skipped(self.name, skipped)

    def _run_lanes(self) -> None:
        """Let each lane send that has something to send. The lane of intervals also repeats idle series."""
        try:
            waiting = self._outbox.waiting()
        except LogtailError:
            waiting = frozenset(Stream)  # each lane reports it
        for lane in self._lanes:
            if lane.stream in waiting or lane.stream is Stream.INTERVALS or lane.failing or self._keeps_refused:
                self.damage = lane.run(has_trials=self._keeps_refused) or self.damage

    def _pause_s(self) -> float | None:
        """Return the time until the next attempt or check; None: wait for :meth:`notify`."""
        due_s = [at_s for lane in self._lanes if (at_s := lane.due_s()) is not None]
        if due_s:
            due_s.append(self._ending.deadline_s)
        if self._health_due_s is not None:
            due_s.append(self._health_due_s)
        try:
            self._keeps_refused = self._outbox.on_trial.any()
        except LogtailError:
            pass  # the tail reports what is wrong with the store
        if self._keeps_refused:
            due_s.append(time.monotonic() + RELEASED_S)
        return max(0.0, min(due_s) - time.monotonic()) if due_s else None

    def _tell_health(self) -> None:
        """Send the current health metrics. If that fails they are dropped, since the next ones are newer."""
        self._health_due_s = time.monotonic() + HEALTH_S
        # health is sent as metrics, also to a receiver that accepts no traces
        metrics = [lane for lane in self._lanes if lane.stream is Stream.INTERVALS] or self._lanes
        if any(lane.blocked for lane in metrics) or self.over():
            return  # the receiver is in trouble: pending data goes first
        try:
            self.export(self._outbox.health(time.time_ns()))
        except LogtailError:
            pass  # the tail reports what is wrong with the store
        except Exception as problem:  # noqa: BLE001 - a row that can't be read must not end the deliveries
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")

    def _resume(self) -> bool:
        """Pass the totals that the receiver has to the exporter; return whether the exporter took them."""
        first = self._lanes[0]
        if first.not_before_s is not None and time.monotonic() < first.not_before_s:
            return False
        why = self._receiver.resume()
        if why is None:
            self._resumed = True
        else:
            first.wait_after(Retry(why))
        return self._resumed

    # --- for the lanes ----------------------------------------------------------------------------------------

    def export(self, batch: ExportBatch) -> Delivery:
        """Send a batch; does not raise."""
        return self._receiver.export(batch)

    @property
    def accepted(self) -> int:
        """How often the receiver accepted something, in any stream."""
        return sum(lane.decided.accepted for lane in self._lanes)

    @property
    def delivered(self) -> int:
        """The items that the receiver accepted since the start."""
        return sum(lane.decided.delivered for lane in self._lanes)

    def over(self) -> bool:
        """Return whether the time for sending is over."""
        return self._ending.is_over

    def progressed(self) -> None:
        """Note that something was accepted: with patience, the time of a stop starts again."""
        self._ending.progressed()

    def works(self) -> None:
        """Log that a stream, or the whole exporter, works again."""
        if not any(lane.refuses_everything for lane in self._lanes):
            self._reporter.exporter_takes_again(self.name)
        for lane in self._lanes:
            if not lane.failing:
                self._receiver.works(lane.stream)
