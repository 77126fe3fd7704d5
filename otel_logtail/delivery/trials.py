"""Items on trial: taken out of one stream, and sent again alone until they are accepted or quarantined.

Invariants:

- An item on trial is in the store as it was sent, so a restart loses none.
- An attempt counts against an item only if something else was accepted since its last attempt.
- The items that were tried least are sent first, in their order. A short run does not spend its time on items that
  always fail.
"""

from __future__ import annotations

import msgspec

from otel_logtail.delivery.rules import Backoff, Rules
from otel_logtail.events import Reporter
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    Dropped,
    EpisodeRecord,
    ExportBatch,
    HealthRecord,
    Item,
    MarkRecord,
    Partial,
    PartRecord,
    Refused,
    Retry,
    Stream,
)
from otel_logtail.store import quarantine
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.quarantine import is_repeat


class Trial(msgspec.Struct):
    """An item on trial.

    ``tries`` counts its failures while others were accepted. ``accepted`` is the number of accepted batches of the
    stream at its last failure.
    """

    tries: int
    accepted: int


class Turn(msgspec.Struct, frozen=True):
    """The outcome of one attempt with an item on trial.

    ``is_over``: it is no longer on trial. ``is_accepted``: the receiver accepted it. ``is_skipped``: it was too old for
    the receiver. ``is_quarantined``: this item was quarantined.
    """

    is_over: bool = False
    is_accepted: bool = False
    is_skipped: bool = False
    is_quarantined: bool = False


class Trials:
    """The items of one stream that are on trial; used by the exporter's thread alone."""

    def __init__(self, stream: Stream, outbox: Outbox, reporter: Reporter, rules: Rules) -> None:
        self.due_s = 0.0
        """When the next item is sent, if there is one."""
        self._stream = stream
        self._outbox = outbox
        self._reporter = reporter
        self._rules = rules
        self._trials: dict[int, Trial] = {}
        self._unproven = 0  # the items that were put on trial since something was accepted
        self._backoff = Backoff(rules)
        self._last = (0, 0)  # the next item is the one behind it, so that each has its turn

    def __len__(self) -> int:
        return len(self._trials)

    @property
    def are_full(self) -> bool:
        """True if no further item may be put on trial, since the receiver accepts nothing at all."""
        return self._unproven >= self._rules.unproven

    def load(self, accepted: int) -> None:
        """Take over the items on trial in the store: those of the last start, and those that ``retry`` released."""
        known = self._trials
        self._trials = {
            id_: known.get(id_) or Trial(tries, accepted)
            for id_, tries in self._outbox.on_trial.tries(self._stream).items()
        }

    def restart_at(self, due_s: float) -> None:
        """Send the item that was tried least at this time."""
        self.due_s, self._last = due_s, (0, 0)

    def prove(self) -> None:
        """Note that the receiver accepted something: if it was out of order, items on trial are sent first."""
        if self._unproven:
            self._unproven = 0
            self.restart_at(0.0)
            self._backoff.reset()

    def make_room(self, accepted: int) -> bool:
        """If all places are taken, quarantine the oldest item that failed while others were accepted.

        A receiver that always fails on one series fails on one item per interval, which is faster than items are tried.

        Args:
            accepted: The number of accepted batches of the stream.

        Returns:
            True if an item was quarantined.
        """
        if len(self._trials) < quarantine.MOST_ON_TRIAL:
            return False
        tried = [id_ for id_, one in self._trials.items() if one.tries > 1]
        passed = [id_ for id_, one in self._trials.items() if accepted > one.accepted]
        if not (tried or passed):
            return False  # nothing was accepted since: `are_full` limits their number
        id_ = min(tried or passed)
        batch = self._outbox.on_trial.item(id_)
        what = "an item" if batch is None else describe(batch.items[0])
        self._quarantine(id_, what, f"more than {quarantine.MOST_ON_TRIAL} items fail each time", keep_why=True)
        return True

    def add(self, batch: ExportBatch, retry: Retry, accepted: int) -> bool:
        """Take the one item of a batch out of the stream; return whether it is the first since something was accepted.

        Args:
            batch: The batch that failed.
            retry: The failure.
            accepted: The number of accepted batches of the stream.
        """
        self._outbox.set_aside(batch, retry.why, self._rules.clock.time_ns(), held=False)
        self.load(accepted)
        self._wait(retry)
        self._unproven += 1
        return self._unproven == 1

    def next(self) -> tuple[int, ExportBatch | None] | None:
        """Return the id of the item that is due, and its batch (None if the batch is lost); None if no item is due."""
        if not self._trials or self._rules.clock.monotonic() < self.due_s:
            return None
        waiting = [(one.tries, id_) for id_, one in self._trials.items()]
        self._last = min((one for one in waiting if one > self._last), default=min(waiting))
        return self._last[1], self._outbox.on_trial.item(self._last[1])

    def drop_lost(self, id_: int) -> Turn:
        """Quarantine an item whose batch cannot be read, or forget it if it was deleted (and counted as dropped)."""
        if id_ in self._outbox.on_trial.tries(self._stream):
            return self._quarantine(id_, "an item", "how it was sent can't be read from the store")
        del self._trials[id_]
        return Turn(is_over=True)

    def settle(self, id_: int, item: Item, delivery: Delivered | Refused | Retry, accepted: int) -> Turn:
        """Note what became of an item, in memory and in the store; :func:`decision` returns what it was."""
        if isinstance(delivery, Refused):
            return self._quarantine(id_, describe(item), delivery.why)
        if isinstance(delivery, Retry):
            return self._fail(id_, item, delivery, accepted)
        self._outbox.on_trial.over(id_, delivery, self._rules.clock.time_ns())
        del self._trials[id_]
        self._backoff.reset()
        if delivery.skipped:  # it was not sent, so the receiver decided nothing; its place is free
            self._unproven = max(0, self._unproven - 1)
        return Turn(is_over=True, is_accepted=not delivery.skipped, is_skipped=bool(delivery.skipped))

    def _fail(self, id_: int, item: Item, retry: Retry, accepted: int) -> Turn:
        one = self._trials[id_]
        if accepted > one.accepted:
            one.tries, one.accepted = one.tries + 1, accepted
        self._outbox.on_trial.failed(id_, one.tries, retry.why, self._rules.clock.time_ns())
        self._wait(retry)
        if one.tries < self._rules.tries:
            return Turn()
        self._quarantine(id_, describe(item), retry.why)
        return Turn(is_quarantined=True)

    def _wait(self, retry: Retry) -> None:
        self.due_s = self._rules.clock.monotonic() + self._backoff.next_s(retry.after_s)

    def _quarantine(self, id_: int, what: str, why: str, *, keep_why: bool = False) -> Turn:
        now_ns = self._rules.clock.time_ns()
        report_dropped(self._reporter, self._outbox.on_trial.hold(self._stream, id_, "" if keep_why else why, now_ns))
        del self._trials[id_]
        self._reporter.quarantined(self._outbox.exporter, what, why)
        return Turn(is_over=True, is_quarantined=True)


def decision(item: Item, delivery: Delivery) -> Delivered | Refused | Retry:
    """Return what a delivery of one item means for the item."""
    if isinstance(delivery, Partial):
        own = Delivered(delivery.skipped, delivery.rejected, delivery.why)
        return own if delivery.count > 0 else decision(item, delivery.rest)
    if isinstance(delivery, Refused) and is_repeat(item):
        return Delivered()  # without it, nothing is missing at the receiver
    return delivery


def report_dropped(reporter: Reporter, drop: Dropped | None) -> None:
    """Log that an item was deleted from a full quarantine."""
    if drop is not None:
        reporter.quarantine_full(drop.exporter)


def describe(item: Item) -> str:
    """Return a few words about an item, for a message."""
    if isinstance(item, HealthRecord):
        return "its own health"
    if isinstance(item, EpisodeRecord):
        return f"episode {item.id} (span {item.episode.span_id.hex()})"
    if isinstance(item, PartRecord):
        return f"part {item.part.number} of an episode (span {item.part.span_id.hex()})"
    if isinstance(item, BreachRecord):
        return f"breach {item.id} ({item.uid.hex()})"
    if isinstance(item, MarkRecord):
        return f"mark {item.id} ({item.uid.hex()})"
    return f"interval {item.id} of {item.series.instrument.value} {dict(item.series.attributes)}"
