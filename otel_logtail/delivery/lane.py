"""One stream of one exporter: read a batch, send it, move the cursor, back off, isolate what is not accepted.

Invariants:

- The cursor moves only when the receiver has decided, or in the transaction that takes an item out of the stream.
- A batch that was accepted in part is never sent again, in whole or in part.
- One bad item does not hold up the others. While a batch fails, smaller ones are tried. An item that fails alone is put
  on trial: the stream goes on, and the item is sent again now and then. Only if it keeps failing while others are
  accepted, it is quarantined.
- A receiver that accepts nothing is not a matter of single items. Nothing is quarantined for it, and items on trial are
  sent first when the receiver is back: the least tried ones first, in their order, before the rest of the stream.

An item that the receiver refuses (``Refused``) is quarantined at once, when it is alone. After some refusals in a row
without a success, one more is quarantined for each time of backing off.
"""

from __future__ import annotations

import random
import time
from typing import Protocol

import msgspec

from otel_logtail.errors import LogtailError, StoreCorrupt
from otel_logtail.events import Reporter
from otel_logtail.exporter import REPEAT_NS
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    Dropped,
    EpisodeRecord,
    ExportBatch,
    HealthRecord,
    Item,
    Partial,
    Refused,
    Retry,
    Stream,
)
from otel_logtail.store import quarantine
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.quarantine import is_repeat

BATCH_ITEMS = 100  # an interval with its totals is some 20 KB in memory, and its request as much again
_REPEATS = 4
"""How many times as many points may be in a batch of repeats: they have no counts of their own beside the total."""

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 30.0
LONGEST_WAIT_S = 3600.0
"""The most that a receiver can ask us to wait."""

REFUSALS_IN_A_ROW = 5
"""So many items of a stream refused, and none accepted in between: it is no longer a matter of single items."""

PATIENT_FAILURES = 8
"""So many failures in a row that speak of the receiver alone (502, no connection): a minute and a half. After that the
batch is suspected, if other streams are accepted: one item may make a server behind a proxy fall over each time."""

ALONE = 2
"""So often in a row an item fails alone before it is put on trial: a single failure says nothing of it."""

TRIES = 10
"""So often an item fails alone while others are accepted before it is quarantined: two minutes at least."""

UNPROVEN = 100
"""How many items are put on trial at most without one that was accepted since: a receiver that is out of order."""


class Backoff:
    """How long to wait before the next try: exponential with jitter, not less than the receiver asked for."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._ceiling_s = FIRST_BACKOFF_S

    def next_s(self, after_s: float) -> float:
        """The wait after one more failure."""
        ceiling_s, self._ceiling_s = self._ceiling_s, min(self._ceiling_s * 2, LAST_BACKOFF_S)
        return max(min(after_s, LONGEST_WAIT_S), self._random.uniform(ceiling_s / 2, ceiling_s))

    def reset(self) -> None:
        """After a success."""
        self._ceiling_s = FIRST_BACKOFF_S


class Trial(msgspec.Struct):
    """An item on trial: how often it failed while others were accepted, and how many were when it failed last."""

    tries: int
    accepted: int


class Sender(Protocol):
    """Whoever runs the lanes of one exporter."""

    given_up: bool
    """Whether the exporter was closed: what it answers then is not the receiver's answer."""

    def export(self, batch: ExportBatch) -> Delivery:
        """Send a batch; does not raise."""

    @property
    def accepted(self) -> int:
        """How often the receiver accepted something, of whatever stream."""

    def over(self) -> bool:
        """Whether the time for sending is over."""

    def progressed(self) -> None:
        """A cursor moved, or an item on trial was accepted."""

    def works(self) -> None:
        """A lane has nothing left that failed, or was told to go on."""


class Lane:
    """The way of one stream to one exporter's receiver; used by the exporter's thread alone."""

    def __init__(self, stream: Stream, outbox: Outbox, reporter: Reporter, sender: Sender) -> None:
        self.stream = stream
        self.not_before_s: float | None = None
        """Until when nothing is sent, since the last attempt failed (None: it did not)."""
        self.refusals = 0
        """How many items were refused in a row."""
        self.skipped = 0
        """How many items were not sent in all: too old for the receiver."""
        self.accepted = 0
        """How often something was accepted."""
        self._outbox = outbox
        self._reporter = reporter
        self._name = outbox.exporter
        self._sender = sender
        self._backoff = Backoff()
        self._limit = BATCH_ITEMS
        self._isolating = False  # smaller batches are sent, since a larger one failed
        self._failures = 0
        self._accepted_then = 0  # how often the exporter's receiver had accepted something at the first of them
        self._alone = 0  # so often in a row a single item failed
        self._trials: dict[int, Trial] = {}
        self._unproven = 0  # so many were put on trial since something was accepted
        self._trial_backoff = Backoff()
        self._trial_due_s = 0.0
        self._last_trial = (0, 0)  # the next one is behind it: each has its turn

    @property
    def blocked(self) -> bool:
        """Whether the stream as a whole waits for its receiver."""
        return self.not_before_s is not None

    @property
    def failing(self) -> bool:
        """Whether something of the stream failed and was not delivered since."""
        return self.blocked or self._isolating or bool(self._trials)

    @property
    def refuses_everything(self) -> bool:
        """Whether the receiver refused the last items, however many were tried."""
        return self.refusals >= REFUSALS_IN_A_ROW

    def due_s(self) -> float | None:
        """When there is something to do without new items; None: nothing is."""
        if self.not_before_s is not None:
            return self.not_before_s
        return self._trial_due_s if self._trials else None

    def hasten(self) -> None:
        """Try once more now, whatever was to be waited for."""
        if self.not_before_s is not None:
            self.not_before_s = 0.0
        self._trial_due_s = 0.0

    def run(self) -> StoreCorrupt | None:
        """Send what waits, until something fails or the time is over; returns damage of the store that was met."""
        if self.not_before_s is not None and time.monotonic() < self.not_before_s:
            return None
        try:
            self._look_for_trials()
            while not self._sender.over():
                if self._send_trial():
                    continue
                batch = self._next()
                if batch is None:
                    break
                if not self._settle(batch, self._sender.export(batch)):
                    return None
            if not self._sender.over():
                self._has_nothing()
        except LogtailError as problem:
            self.wait_after(Retry(str(problem)))
            return problem if isinstance(problem, StoreCorrupt) else None
        except Exception as problem:  # noqa: BLE001 - a row that can't be read must not end the other streams
            why = f"{type(problem).__name__}: {problem}"
            self._reporter.crashed(self._name, why)
            self.wait_after(Retry(why))
        return None

    def _next(self) -> ExportBatch | None:
        batch = self._outbox.read(self.stream, self._limit)
        if batch is None and self.stream is Stream.INTERVALS:
            # no more of repeats than of others while one that is not accepted is looked for
            most = self._limit if self._limit < BATCH_ITEMS else self._limit * _REPEATS
            batch = self._outbox.silent(REPEAT_NS, most)
        return batch

    # --- what became of a batch -------------------------------------------------------------------------------------

    def _settle(self, batch: ExportBatch, delivery: Delivery) -> bool:
        """Note what became of a batch; returns whether the stream goes on now."""
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
                self._limit = max(1, min(len(batch.items), BATCH_ITEMS) // 2)
                return True
            return self._refused(batch, delivery.why)
        return self._retry(batch, delivery)

    def _advance(self, batch: ExportBatch, count: int, delivered: Delivered) -> None:
        skipped = min(max(delivered.skipped, 0), count)
        self._outbox.advance(
            batch, count, time.time_ns(), skipped=skipped, rejected=delivered.rejected, why=delivered.why
        )
        if skipped:
            self.skipped += skipped
            self._reporter.skips(self._name)
        self._say_decision(delivered)
        self._sender.progressed()
        if count == len(batch.items):
            self._limit = min(self._limit * 2, BATCH_ITEMS)
            self._isolating = self._isolating and self._limit < BATCH_ITEMS
        if skipped < count:
            self._succeeded()

    def _say_decision(self, delivered: Delivered) -> None:
        if delivered.rejected:
            self._reporter.rejects(self._name, self.stream.value, delivered.why)
        elif delivered.why:
            self._reporter.warned(self._name, self.stream.value, delivered.why)

    def _refused(self, batch: ExportBatch, why: str) -> bool:
        """The one item of a batch is refused; returns whether its stream goes on now."""
        self._dropped(self._outbox.set_aside(batch, why, time.time_ns(), held=True))
        self.refusals += 1
        if self.refusals <= REFUSALS_IN_A_ROW:
            self._reporter.quarantined(self._name, describe(batch.items[0]), why)
        if not self.refuses_everything:
            self._works()
            return True
        self._reporter.refuses_everything(self._name, why)
        self.not_before_s = time.monotonic() + self._backoff.next_s(0.0)
        return False

    def _retry(self, batch: ExportBatch, retry: Retry) -> bool:
        """A batch failed; returns whether the stream goes on now, with a smaller one or another one."""
        if self._sender.given_up:
            return False
        if not self._failures:
            self._accepted_then = self._sender.accepted
        self._failures += 1
        reachable = self._failures > PATIENT_FAILURES and self._sender.accepted > self._accepted_then
        suspect = retry.isolate or reachable or self._isolating
        if len(batch.items) > 1:
            if suspect:
                self._isolating = True
                self._limit = max(1, min(len(batch.items), BATCH_ITEMS) // 2)
            on = retry.isolate
        else:
            self._alone += 1
            on = suspect and self._alone >= ALONE and self._put_on_trial(batch, retry)
        if on:
            self._reporter.exporter_failed(self._name, retry.why, self.stream.value)
            self._note_failure(retry.why)
            return True
        self.wait_after(retry)
        return False

    def _put_on_trial(self, batch: ExportBatch, retry: Retry) -> bool:
        """Take the one item of a batch out of the stream; returns whether the one behind it is sent now."""
        if self._unproven >= UNPROVEN:
            return False
        self._make_room_on_trial()
        self._outbox.set_aside(batch, retry.why, time.time_ns(), held=False)
        self._look_for_trials()
        self._trial_due_s = time.monotonic() + self._trial_backoff.next_s(retry.after_s)
        self._alone = 0
        self._unproven += 1
        return self._unproven == 1 and retry.isolate

    def wait_after(self, retry: Retry) -> None:
        """Let the stream wait, since something failed."""
        self._reporter.exporter_failed(self._name, retry.why, self.stream.value)
        self._note_failure(retry.why)
        self.not_before_s = time.monotonic() + self._backoff.next_s(retry.after_s)
        self._trial_due_s, self._last_trial = self.not_before_s, (0, 0)  # the least tried one goes first then

    def _note_failure(self, why: str) -> None:
        try:
            self._outbox.failed(why, time.time_ns())
        except LogtailError:
            pass  # the store itself is what failed: the tail says so

    def _succeeded(self) -> None:
        self.accepted += 1
        self.refusals = self._failures = self._alone = 0
        if self._unproven:  # the receiver is back: those on trial go before the rest
            self._unproven, self._last_trial, self._trial_due_s = 0, (0, 0), 0.0
            self._trial_backoff.reset()
        self._works()

    def _has_nothing(self) -> None:
        """Nothing of the stream waits any more: what failed was delivered, is on trial or is gone."""
        self._isolating = False
        if not self.refuses_everything:
            self._works()
        else:
            self.not_before_s = None  # asleep until something comes, and not a bit more confident then

    def _works(self) -> None:
        self._backoff.reset()
        self.not_before_s = None
        self._sender.works()

    def _dropped(self, drop: Dropped | None) -> None:
        if drop is not None:
            self._reporter.quarantine_full(self._name)

    # --- items on trial ---------------------------------------------------------------------------------------------

    def _look_for_trials(self) -> None:
        """Take over what is on trial in the store: of the last start, or released by `otel-logtail retry`."""
        known = self._trials
        self._trials = {
            id_: known.get(id_) or Trial(tries, self.accepted)
            for id_, tries in self._outbox.trials(self.stream).items()
        }

    def _make_room_on_trial(self) -> None:
        """Where all places are taken, quarantine the oldest item that failed while others were accepted.

        A receiver that fails on one series each time brings an item with each interval, faster than they are tried.
        """
        if len(self._trials) < quarantine.MOST_ON_TRIAL:
            return
        tried = [id_ for id_, one in self._trials.items() if one.tries > 1]
        passed = [id_ for id_, one in self._trials.items() if self.accepted > one.accepted]
        if not (tried or passed):
            return  # nothing was accepted since: how many there are is bounded by UNPROVEN
        id_ = min(tried or passed)
        batch = self._outbox.trial(self.stream, id_)
        what = "an item" if batch is None else describe(batch.items[0])
        self._hold(id_, what, f"more than {quarantine.MOST_ON_TRIAL} items fail each time", keep_why=True)

    def _send_trial(self) -> bool:
        """Send the next item on trial if one is due; returns whether it is done with, so that the next one is due."""
        if not self._trials or time.monotonic() < self._trial_due_s:
            return False
        # least tried first: a run that is short must not spend its time on the items that always fail
        waiting = [(one.tries, id_) for id_, one in self._trials.items()]
        self._last_trial = min((one for one in waiting if one > self._last_trial), default=min(waiting))
        id_ = self._last_trial[1]
        batch = self._outbox.trial(self.stream, id_)
        if batch is None:
            if id_ in self._outbox.trials(self.stream):
                self._hold(id_, "an item", "how it was sent can't be read from the store")
            else:
                del self._trials[id_]  # it left the store, which counted it as dropped
            return True
        delivery = self._sender.export(batch)
        if isinstance(delivery, Partial):
            own = Delivered(delivery.skipped, delivery.rejected, delivery.why)
            delivery = own if delivery.count > 0 else delivery.rest
        item = batch.items[0]
        if isinstance(delivery, Refused) and is_repeat(item):
            delivery = Delivered()  # nothing is missing without it
        if isinstance(delivery, Delivered):
            self._trial_over(id_, delivery)
            return True
        if isinstance(delivery, Refused):
            self._hold(id_, describe(item), delivery.why)
            return True
        self._trial_failed(id_, item, delivery)
        return False

    def _trial_over(self, id_: int, delivered: Delivered) -> None:
        self._outbox.trial_over(id_, delivered, time.time_ns())
        del self._trials[id_]
        if delivered.skipped:
            self.skipped += 1
            self._reporter.skips(self._name)
        self._say_decision(delivered)
        self._trial_backoff.reset()
        self._sender.progressed()
        if delivered.skipped:  # it was not sent: that says nothing of the receiver, and its place is free
            self._unproven = max(0, self._unproven - 1)
        else:
            self._succeeded()

    def _trial_failed(self, id_: int, item: Item, retry: Retry) -> None:
        if self._sender.given_up:
            self._trial_due_s = float("inf")
            return
        one = self._trials[id_]
        if self.accepted > one.accepted:
            one.tries, one.accepted = one.tries + 1, self.accepted
        self._reporter.exporter_failed(self._name, retry.why, self.stream.value)
        self._outbox.trial_failed(id_, one.tries, retry.why, time.time_ns())
        self._trial_due_s = time.monotonic() + self._trial_backoff.next_s(retry.after_s)
        if one.tries >= TRIES:
            self._hold(id_, describe(item), retry.why)

    def _hold(self, id_: int, what: str, why: str, *, keep_why: bool = False) -> None:
        self._dropped(self._outbox.hold(self.stream, id_, "" if keep_why else why, time.time_ns()))
        del self._trials[id_]
        self._reporter.quarantined(self._name, what, why)
        if not self.blocked:
            self._works()


def describe(item: Item) -> str:
    """An item in a few words, for a message."""
    if isinstance(item, HealthRecord):
        return "its own health"
    if isinstance(item, EpisodeRecord):
        return f"episode {item.id} (span {item.episode.span_id.hex()})"
    if isinstance(item, BreachRecord):
        return f"breach {item.id} ({item.uid.hex()})"
    return f"interval {item.id} of {item.series.instrument.value} {dict(item.series.attributes)}"
