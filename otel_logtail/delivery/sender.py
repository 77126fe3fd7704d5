"""The store, drained into one destination: read, export, advance, back off, set aside.

Each exporter has one drain, in a thread of its own with a connection of its own: none can hold up the tail or another.

Invariant: the cursor moves on the receiver's word alone. Whatever else happens (a failure, a crash, a stop in the
middle), the same items come again, with the same ids, times and totals.

An item that is refused for ever is set aside, so that it does not hold up the others. But a receiver that takes nothing
at all (another service behind the same port, a tenant that was closed) is not a matter of items: after some refusals in
a row without a success, one more is set aside for each time of backing off, to see whether the next one is taken.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import msgspec

from otel_logtail.errors import LogtailError, StoreCorrupt
from otel_logtail.events import Reporter
from otel_logtail.exporter import REPEAT_NS, Exporter
from otel_logtail.model import (
    BreachRecord,
    Delivered,
    Delivery,
    EpisodeRecord,
    ExportBatch,
    HealthRecord,
    Item,
    Partial,
    Refused,
    Retry,
    Stream,
)
from otel_logtail.store.outbox import Outbox

BATCH_ITEMS = 100  # an interval with its totals is some 20 KB in memory, and its request as much again
_REPEATS = 4
"""How many times as many points may be in a batch of repeats: they have no counts of their own beside the total."""

HEALTH_S = 60.0
"""How often the daemon's own health is sent: as often as an SDK sends its metrics by default."""

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 30.0
LONGEST_WAIT_S = 3600.0
"""The most that a receiver can ask us to wait."""

REFUSALS_IN_A_ROW = 5
"""So many items of a stream refused, and nothing taken in between: it is no longer a matter of single items."""


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


class Drain:
    """One exporter's thread."""

    def __init__(self, exporter: Exporter, outbox: Outbox, reporter: Reporter) -> None:
        self.name = exporter.name
        self.damage: StoreCorrupt | None = None
        """Damage of the store that was met here: whoever follows the log has to end."""
        self._exporter = exporter
        self._outbox = outbox
        self._reporter = reporter
        self._streams: list[Stream] = [
            stream for stream in Stream if stream in exporter.wants and stream is not Stream.SELF
        ]
        self._tells_health = Stream.SELF in exporter.wants
        self._health_due_s = 0.0
        self._work = threading.Event()
        self._stop = threading.Event()
        self._deadline_s = float("inf")
        self._patience_s = 0.0
        self._given_up = False
        self._resumed = not self._streams
        # a stream that fails waits by itself: a receiver may take spans and not metrics
        self._backoff = {stream: Backoff() for stream in self._streams}
        self._not_before_s: dict[Stream, float] = {}
        self._limit = dict.fromkeys(self._streams, BATCH_ITEMS)
        self._refusals = dict.fromkeys(self._streams, 0)
        self._skipped = 0
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
                self._given_up = True
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
                    self._not_before_s = dict.fromkeys(self._not_before_s, 0.0)  # one more try, now
                if self._resumed or self._resume():
                    for stream in self._streams:
                        self._drain(stream)
                if self._tells_health and (stopping or time.monotonic() >= self._health_due_s):
                    self._tell_health()
                if stopping and (not self._not_before_s or self._over()):
                    return
        except Exception as problem:  # noqa: BLE001 - the last resort of a thread: said, not swallowed
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")
        finally:
            if self._skipped:
                self._reporter.skipped(self.name, self._skipped)

    def _pause_s(self) -> float | None:
        """How long until there is something to do without being told: the next try of a stream that failed."""
        due_s = [*self._not_before_s.values()]
        if self._not_before_s:
            due_s.append(self._deadline_s)
        if self._tells_health:
            due_s.append(self._health_due_s)
        return max(0.0, min(due_s) - time.monotonic()) if due_s else None

    def _tell_health(self) -> None:
        """Send what is now; if it can't be sent there is nothing to keep: the next time it is newer."""
        self._health_due_s = time.monotonic() + HEALTH_S
        if self._not_before_s or self._over():
            return  # the receiver is in trouble: it has more important things to get first
        try:
            self._export(self._outbox.health(time.time_ns()))
        except LogtailError:
            pass  # the tail says what is wrong with the store

    def _resume(self) -> bool:
        """Tell the exporter what its receiver knows already; returns whether it has been told."""
        stream = self._streams[0]
        if time.monotonic() < self._not_before_s.get(stream, 0.0):
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
        self._failed(stream, Retry(why))
        return False

    def _drain(self, stream: Stream) -> None:
        if time.monotonic() < self._not_before_s.get(stream, 0.0):
            return
        try:
            while not self._over() and (batch := self._outbox.read(stream, self._limit[stream])) is not None:
                if not self._settle(batch, self._export(batch)):
                    return
            while (
                stream is Stream.INTERVALS
                and not self._over()
                and (batch := self._outbox.silent(REPEAT_NS, self._most_repeats())) is not None
            ):
                if not self._settle(batch, self._export(batch)):
                    return
            if not self._over():
                self._has_nothing(stream)
        except LogtailError as problem:
            if isinstance(problem, StoreCorrupt):
                self.damage = problem
            self._failed(stream, Retry(str(problem)))
        except Exception as problem:  # noqa: BLE001 - a row that can't be read must not end the other streams
            why = f"{type(problem).__name__}: {problem}"
            self._reporter.crashed(self.name, why)
            self._failed(stream, Retry(why))

    def _most_repeats(self) -> int:
        """How many repeats are sent at once: no more than of others while one that is refused is looked for."""
        limit = self._limit[Stream.INTERVALS]
        return limit if limit < BATCH_ITEMS else limit * _REPEATS

    def _say_mended(self) -> None:
        if mended := self._outbox.take_mended():
            self._reporter.counts_mended(self.name, mended)

    def _export(self, batch: ExportBatch) -> Delivery:
        self._say_mended()
        try:
            delivery = self._exporter.export(batch)
            if not isinstance(delivery, Delivery):
                raise TypeError(f"export() returned {delivery!r}")
            return without_secrets(delivery, self._reporter.redact)
        except Exception as problem:  # noqa: BLE001 - a plug-in's bug must not lose data or end the thread
            self._reporter.crashed(self.name, f"{type(problem).__name__}: {problem}")
            return Retry(self._reporter.redact(f"{type(problem).__name__}: {problem}"))

    def _settle(self, batch: ExportBatch, delivery: Delivery) -> bool:
        """Note what became of a batch; returns whether its stream goes on now."""
        stream = batch.stream
        if isinstance(delivery, Delivered):
            self._advance(batch, len(batch.items), delivery.skipped)
            self._limit[stream] = min(self._limit[stream] * 2, BATCH_ITEMS)
            if delivery.skipped < len(batch.items):
                self._succeeded(stream)
            return True
        if isinstance(delivery, Partial):
            if delivery.count >= len(batch.items):
                return self._settle(batch, Delivered(delivery.skipped))
            delivered = max(delivery.count, 0)
            if delivered:
                self._advance(batch, delivered, delivery.skipped)
                if delivery.skipped < delivered:
                    self._succeeded(stream)
            rest = msgspec.structs.replace(batch, items=batch.items[delivered:])
            return self._settle(rest, delivery.rest)
        if isinstance(delivery, Refused):
            if len(batch.items) > 1:
                self._limit[stream] = max(1, min(len(batch.items), BATCH_ITEMS) // 2)
                return True
            return self._set_aside(batch, delivery.why)
        self._failed(stream, delivery)
        return False

    def _set_aside(self, batch: ExportBatch, why: str) -> bool:
        """The one item of a batch is refused for ever; returns whether its stream goes on now."""
        stream = batch.stream
        self._outbox.set_aside(batch, why, time.time_ns())
        self._refusals[stream] += 1
        if self._refusals[stream] <= REFUSALS_IN_A_ROW:
            self._reporter.refused(self.name, describe(batch.items[0]), why)
        if self._refusals[stream] < REFUSALS_IN_A_ROW:
            self._answers(stream)
            return True
        self._reporter.refuses_everything(self.name, why)
        self._not_before_s[stream] = time.monotonic() + self._backoff[stream].next_s(0.0)
        return False

    def _advance(self, batch: ExportBatch, count: int, skipped: int) -> None:
        skipped = min(max(skipped, 0), count)
        self._outbox.advance(batch, count, time.time_ns(), skipped=skipped)
        if self._patience_s:
            self._deadline_s = time.monotonic() + self._patience_s
        if skipped:
            self._skipped += skipped
            self._reporter.skips(self.name)

    def _succeeded(self, stream: Stream) -> None:
        self._refusals[stream] = 0
        if not any(number >= REFUSALS_IN_A_ROW for number in self._refusals.values()):
            self._reporter.exporter_takes_again(self.name)
        self._answers(stream)

    def _has_nothing(self, stream: Stream) -> None:
        """Nothing of a stream waits any more: what failed was delivered, or is gone."""
        if self._refusals[stream] < REFUSALS_IN_A_ROW:
            self._answers(stream)
        else:
            self._not_before_s.pop(stream, None)  # asleep until something comes, and not a bit more confident then

    def _answers(self, stream: Stream) -> None:
        self._backoff[stream].reset()
        self._not_before_s.pop(stream, None)
        if not self._not_before_s:
            self._reporter.exporter_works(self.name)

    def _failed(self, stream: Stream, retry: Retry) -> None:
        if self._given_up:
            return  # by us, and not by the receiver: what it did last stays the last word on it
        self._reporter.exporter_failed(self.name, retry.why)
        try:
            self._outbox.failed(retry.why, time.time_ns())
        except LogtailError:
            pass  # the store itself is what failed: the tail says so
        self._not_before_s[stream] = time.monotonic() + self._backoff[stream].next_s(retry.after_s)

    def _over(self) -> bool:
        return self._stop.is_set() and time.monotonic() >= self._deadline_s


def without_secrets(delivery: Delivery, redact: Callable[[str], str]) -> Delivery:
    """The same outcome in words that may be stored and shown."""
    changes: dict[str, object] = {}
    if isinstance(delivery, Partial):
        changes["rest"] = without_secrets(delivery.rest, redact)
    if why := getattr(delivery, "why", ""):
        changes["why"] = redact(why)
    return msgspec.structs.replace(delivery, **changes)


def describe(item: Item) -> str:
    """An item in a few words, for a message."""
    if isinstance(item, HealthRecord):
        return "its own health"
    if isinstance(item, EpisodeRecord):
        return f"episode {item.id} (span {item.episode.span_id.hex()})"
    if isinstance(item, BreachRecord):
        return f"breach {item.id} ({item.uid.hex()})"
    return f"interval {item.id} of {item.series.instrument.value} {dict(item.series.attributes)}"
