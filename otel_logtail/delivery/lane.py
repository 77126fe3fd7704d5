"""One stream of one exporter: read a batch, send it, move the cursor, back off, isolate what is not accepted.

Invariants:

- The cursor moves only when the receiver has decided, or in the transaction that takes an item out of the stream.
- A batch that was accepted in part is never sent again, in whole or in part.
- One bad item does not delay the others. While a batch fails, smaller ones are tried (:mod:`isolation`). An item that
  fails alone is put on trial (:mod:`trials`): the stream continues, and the item is sent again now and then. Only if it
  keeps failing while others are accepted, it is quarantined.
- If a receiver accepts nothing, no single item is the cause. Nothing is quarantined then, and items on trial are sent
  first when the receiver is back, before the rest of the stream.

An item that the receiver refuses (``Refused``) is quarantined at once, when it is alone. After some refusals in a row
without a success, one more item is quarantined per attempt.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from otel_logtail.delivery.isolation import Isolation
from otel_logtail.delivery.rules import RULES, Backoff, Rules
from otel_logtail.delivery.trials import Trials, Turn, decision, describe, report_dropped
from otel_logtail.errors import LogtailError, StoreCorrupt
from otel_logtail.events import Reporter
from otel_logtail.exporter import REPEAT_NS
from otel_logtail.model import Delivered, Delivery, ExportBatch, Partial, Refused, Retry, Stream
from otel_logtail.store.outbox import Outbox


class Sender(Protocol):
    """The worker that runs the lanes of one exporter."""

    @property
    def given_up(self) -> bool:
        """True if the exporter was closed, so that its answers are not the receiver's."""

    def export(self, batch: ExportBatch) -> Delivery:
        """Send a batch; does not raise."""

    @property
    def accepted(self) -> int:
        """How often the receiver accepted something, in any stream."""

    def over(self) -> bool:
        """Return whether the time for sending is over."""

    def progressed(self) -> None:
        """Note that a cursor moved, or that an item on trial was accepted."""

    def works(self) -> None:
        """Note that nothing in a lane waits because of a failure."""


class Decided(msgspec.Struct):
    """How often something was accepted; items that the receiver has (no repeats); too old ones; refusals in a row."""

    accepted: int = 0
    delivered: int = 0
    skipped: int = 0
    refusals: int = 0


class Lane:
    """The delivery of one stream to one exporter's receiver; used by the exporter's thread alone."""

    def __init__(
        self, stream: Stream, outbox: Outbox, reporter: Reporter, sender: Sender, rules: Rules = RULES
    ) -> None:
        self.stream = stream
        self.not_before_s: float | None = None
        """The time of the next attempt, if the last one failed."""
        self.decided = Decided()
        self._outbox = outbox
        self._reporter = reporter
        self._sender = sender
        self._rules = rules
        self._backoff = Backoff(rules)
        self._isolation = Isolation(rules)
        self._trials = Trials(stream, outbox, reporter, rules)

    @property
    def blocked(self) -> bool:
        """True if the stream as a whole waits for its receiver."""
        return self.not_before_s is not None

    @property
    def failing(self) -> bool:
        """True if something of the stream failed and was not delivered since."""
        return self.blocked or self._isolation.is_active or bool(self._trials)

    @property
    def refuses_everything(self) -> bool:
        """True if the receiver refused the last items, however many were tried."""
        return self.decided.refusals >= self._rules.refusals_in_a_row

    def due_s(self) -> float | None:
        """Return the time of the next attempt that needs no new items; None if there is none."""
        if self.not_before_s is not None:
            return self.not_before_s
        return self._trials.due_s if self._trials else None

    def hasten(self) -> None:
        """Make the next attempt now."""
        if self.not_before_s is not None:
            self.not_before_s = 0.0
        self._trials.due_s = 0.0

    def run(self, *, has_trials: bool = True) -> StoreCorrupt | None:
        """Send until nothing is left, something fails or the time is over; return damage of the store.

        ``has_trials`` is False if the store has no items on trial but those that the lane added itself.
        """
        if self.not_before_s is not None and self._rules.clock.monotonic() < self.not_before_s:
            return None
        try:
            if has_trials or self._trials:
                self._trials.load(self.decided.accepted)
            self._send_all()
        except LogtailError as problem:
            self.wait_after(Retry(str(problem)))
            return problem if isinstance(problem, StoreCorrupt) else None
        except Exception as problem:  # noqa: BLE001 - a row that can't be read must not end the other streams
            why = f"{type(problem).__name__}: {problem}"
            self._reporter.crashed(self._outbox.exporter, why)
            self.wait_after(Retry(why))
        return None

    def wait_after(self, retry: Retry) -> None:
        """Let the stream wait, since something failed."""
        self._note_failure(retry)
        self.not_before_s = self._rules.clock.monotonic() + self._backoff.next_s(retry.after_s)
        self._trials.restart_at(self.not_before_s)

    def _send_all(self) -> None:
        while not self._sender.over():
            if self._send_trial():
                continue
            batch = self._next()
            if batch is None:
                break
            delivery = self._sender.export(batch)
            if not self._settle(batch, delivery):
                return
            if self._outbox.is_last and isinstance(delivery, Delivered) and not self._trials:
                break  # later commits have set the worker's event
        if not self._sender.over():
            self._has_nothing()

    def _next(self) -> ExportBatch | None:
        limit = self._isolation.limit
        batch = self._outbox.read(self.stream, limit)
        if batch is None and self.stream is Stream.INTERVALS and not self._outbox.is_last:
            # while an item is isolated, a batch holds no more repeats than other points
            most = limit if self._isolation.is_reduced else limit * self._rules.repeats
            batch = self._outbox.silent(REPEAT_NS, most)
        return batch

    # --- what became of a batch -------------------------------------------------------------------------------------

    def _settle(self, batch: ExportBatch, delivery: Delivery) -> bool:
        """Note what became of a batch; return whether the stream continues now."""
        if isinstance(delivery, Partial):
            done = min(max(delivery.count, 0), len(batch.items))
            own = Delivered(min(max(delivery.skipped, 0), done), delivery.rejected, delivery.why)
            if done == len(batch.items):
                return self._settle(batch, own)
            if done:
                self._advance(batch, done, own)
            rest = msgspec.structs.replace(batch, items=batch.items[done:])
            return self._settle(rest, delivery.rest)
        if isinstance(delivery, Delivered):
            self._advance(batch, len(batch.items), delivery)
            return True
        if isinstance(delivery, Refused):
            if len(batch.items) > 1:
                self._isolation.halve(len(batch.items))
                return True
            return self._refused(batch, delivery.why)
        return self._retry(batch, delivery)

    def _advance(self, batch: ExportBatch, count: int, delivered: Delivered) -> None:
        skipped = min(max(delivered.skipped, 0), count)
        self._outbox.advance(
            batch,
            count,
            self._rules.clock.time_ns(),
            skipped=skipped,
            rejected=delivered.rejected,
            why=delivered.why,
        )
        self._report(delivered, skipped)
        new = sum(item.id > 0 for item in batch.items[:count])  # the others are repeats
        self.decided.delivered += max(0, new - skipped - delivered.rejected)
        self._reporter.delivered(self._outbox.exporter, self.stream.value, count)
        if count == len(batch.items):
            self._isolation.grow()
        if skipped < count:
            self._succeeded()

    def _report(self, delivered: Delivered, skipped: int) -> None:
        """Log what the receiver decided, beyond accepting it."""
        exporter = self._outbox.exporter
        if skipped:
            self.decided.skipped += skipped
            self._reporter.skips(exporter)
        if delivered.rejected:
            self._reporter.rejects(exporter, self.stream.value, delivered.why)
        elif delivered.why:
            self._reporter.warned(exporter, self.stream.value, delivered.why)
        self._sender.progressed()

    def _refused(self, batch: ExportBatch, why: str) -> bool:
        """Quarantine the one item of a batch; return whether its stream continues now."""
        exporter, now_ns = self._outbox.exporter, self._rules.clock.time_ns()
        report_dropped(self._reporter, self._outbox.set_aside(batch, why, now_ns, held=True))
        self.decided.refusals += 1
        if self.decided.refusals <= self._rules.refusals_in_a_row:
            self._reporter.quarantined(exporter, describe(batch.items[0]), why)
        if not self.refuses_everything:
            self._works()
            return True
        self._reporter.refuses_everything(exporter, why)
        self.not_before_s = self._rules.clock.monotonic() + self._backoff.next_s(0.0)
        return False

    def _retry(self, batch: ExportBatch, retry: Retry) -> bool:
        """Note that a batch failed; return whether the stream continues now, with a smaller batch or another item."""
        if self._sender.given_up:
            return False
        is_suspect = self._isolation.fail(len(batch.items), retry, self._sender.accepted)
        continues = retry.isolate
        if len(batch.items) == 1:
            continues = is_suspect and self._put_on_trial(batch, retry)
        if continues:
            self._note_failure(retry)
            return True
        self.wait_after(retry)
        return False

    def _put_on_trial(self, batch: ExportBatch, retry: Retry) -> bool:
        """Take the one item of a batch out of the stream; return whether the next item is sent now."""
        if self._trials.are_full:
            return False
        if self._trials.make_room(self.decided.accepted) and not self.blocked:
            self._works()
        is_first = self._trials.add(batch, retry, self.decided.accepted)
        self._isolation.start_next_item()
        return is_first and retry.isolate

    def _send_trial(self) -> bool:
        """Send the next item on trial if one is due; return whether it is over, so that the next one is due."""
        due = self._trials.next()
        if due is None:
            return False
        id_, batch = due
        turn = self._trials.drop_lost(id_) if batch is None else self._try(id_, batch)
        if turn.is_accepted:
            self._succeeded()
        elif turn.is_quarantined and not self.blocked:
            self._works()
        return turn.is_over

    def _try(self, id_: int, batch: ExportBatch) -> Turn:
        """Send an item on trial."""
        (item,) = batch.items
        delivery = decision(item, self._sender.export(batch))
        if isinstance(delivery, Retry):
            if self._sender.given_up:
                self._trials.due_s = float("inf")
                return Turn()
            self._reporter.exporter_failed(self._outbox.exporter, delivery.why, self.stream.value, is_about_data=True)
        turn = self._trials.settle(id_, item, delivery, self.decided.accepted)
        if isinstance(delivery, Delivered):
            self._report(delivery, int(turn.is_skipped))
            if turn.is_accepted:
                self.decided.delivered += max(0, int(item.id > 0) - delivery.rejected)
        return turn

    def _note_failure(self, retry: Retry) -> None:
        self._reporter.exporter_failed(self._outbox.exporter, retry.why, self.stream.value, is_about_data=retry.isolate)
        try:
            self._outbox.failed(retry.why, self._rules.clock.time_ns())
        except LogtailError:
            pass  # the store itself failed, which the tail reports

    def _succeeded(self) -> None:
        self.decided.accepted += 1
        self.decided.refusals = 0
        self._isolation.succeed()
        self._trials.prove()
        self._works()

    def _has_nothing(self) -> None:
        """Note that nothing of the stream waits: what failed was delivered, is on trial or was deleted."""
        self._isolation.is_active = False
        if not self.refuses_everything:
            self._works()
        else:
            self.not_before_s = None  # wait for new items; the receiver is trusted no more than before

    def _works(self) -> None:
        self._backoff.reset()
        self.not_before_s = None
        self._sender.works()
