"""The contract that every exporter keeps, as one suite of tests over a real store and a real drain.

The author of an exporter writes a :class:`Receiver` (the other side, which can be made to fail) and one class::

    class TestMine(ExporterContract):
        def receiver(self) -> Receiver:
            return MyReceiver()

What can't happen at such a receiver is named in ``cannot``, each with the reason; the tests that need it are left out.
"""

from __future__ import annotations

import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import ClassVar, TypeVar

from otel_logtail.delivery.sender import Drain
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter
from otel_logtail.model import Delivered, Item, Partial, Refused, Retry, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.testing.compare import check, check_equal, check_same, firsts
from otel_logtail.testing.log import SampleLog
from otel_logtail.testing.receiver import RETRY_AFTER_S, Fault, Receiver
from otel_logtail.testing.watched import WatchedExporter

_Test = TypeVar("_Test", bound=Callable[..., None])


def _needs(fault: Fault) -> Callable[[_Test], _Test]:
    def mark(test: _Test) -> _Test:
        test.__dict__["needs"] = fault
        return test

    return mark


class ExporterContract:
    """Inherit it as ``Test…``, and give it your receiver. Runs under pytest; each test has a store of its own."""

    cannot: ClassVar[Mapping[Fault, str]] = {}
    """What can't happen with such a receiver, and why."""

    patience_s: ClassVar[float] = 20.0
    """How long a test waits for something that should happen at once."""

    newest_only: ClassVar[bool] = False
    """Whether the receiver holds only the newest of each name: a scrape has no history."""

    @abstractmethod
    def receiver(self) -> Receiver:
        """A new receiver that takes everything."""
        raise NotImplementedError

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, member in vars(ExporterContract).items():
            if getattr(member, "needs", None) in cls.cannot:
                setattr(cls, name, None)

    def setup_method(self) -> None:
        """Make a store and a receiver."""
        self._folder = tempfile.TemporaryDirectory()
        self._log = SampleLog(Path(self._folder.name))
        self._receiver = self.receiver()
        exporter = self._receiver.exporter()
        self._wants = [stream for stream in Stream if stream in exporter.wants and stream is not Stream.SELF]
        exporter.close()

    def teardown_method(self) -> None:
        """End them."""
        self._receiver.close()
        self._log.store.close()
        self._folder.cleanup()

    # --- what every exporter does ---

    def test_it_has_a_name_and_wants_something(self) -> None:
        """The name is what its cursors are kept under; it stays the same."""
        first = self._receiver.exporter()
        first.close()
        check(bool(first.name) and first.name.isprintable(), f"its name is {first.name!r}")
        check(bool(first.wants) and first.wants <= frozenset(Stream), f"it wants {first.wants!r}")
        again = self._receiver.exporter()
        again.close()
        check_equal((again.name, again.wants), (first.name, first.wants), "name and streams of a second one")

    def test_every_item_arrives_in_its_order(self) -> None:
        """One stream's items are told in the order of their ids."""
        self._log.write(0)
        self._run()
        self._compare(twice=False)

    def test_small_batches_tell_the_same(self) -> None:
        """However the items are cut into batches."""
        self._log.write(0)
        exporter, outbox = self._by_hand()
        try:
            for stream in self._wants:
                while (batch := outbox.read(stream, 3)) is not None:
                    check_equal(exporter.export(batch), Delivered(), "the answer for a small batch")
                    outbox.advance(batch, len(batch.items), time.time_ns())
        finally:
            exporter.close()
            outbox.close()
        self._compare(twice=False)

    def test_what_is_sent_again_has_the_same_names_and_values(self) -> None:
        """A crash after the receiver's word and before the cursor moved: the same batch comes once more."""
        self._log.write(0)
        exporter, outbox = self._by_hand()
        try:
            for stream in self._wants:
                while (batch := outbox.read(stream, 100)) is not None:
                    for _ in range(2):
                        check_equal(exporter.export(batch), Delivered(), "the answer for a batch")
                    outbox.advance(batch, len(batch.items), time.time_ns())
        finally:
            exporter.close()
            outbox.close()
        self._compare(twice=True)

    def test_a_restart_needs_nothing_but_the_store(self) -> None:
        """A new exporter goes on where the last one was, and what was told before is still there."""
        self._log.write(0)
        self._run()
        self._log.write(1)
        self._run()
        self._compare(twice=False)
        self._run(look=lambda: self._compare(twice=False))

    def test_closing_twice_does_no_harm(self) -> None:
        """Nor does closing one that was never used."""
        exporter = self._receiver.exporter()
        exporter.close()
        exporter.close()

    # --- what it does when the receiver fails ---

    @_needs(Fault.LATER)
    def test_nothing_is_lost_while_the_receiver_takes_nothing(self) -> None:
        """It comes when the receiver is back."""
        self._log.write(0)

        def then(watched: WatchedExporter) -> None:
            delivery = watched.first_failure()
            rest = delivery.rest if isinstance(delivery, Partial) else delivery  # what is left out counts as delivered
            check(isinstance(rest, Retry), f"it answered {delivery!r}")
            check(bool(isinstance(rest, Retry) and rest.why), "it did not say why")
            self._receiver.recover()

        self._run(then, lambda: self._receiver.play(Fault.LATER))
        self._compare(twice=False)

    @_needs(Fault.RETRY_AFTER)
    def test_the_patience_that_the_receiver_asks_for_is_passed_on(self) -> None:
        """In seconds."""
        self._log.write(0)
        self._receiver.play(Fault.RETRY_AFTER)
        exporter, outbox = self._by_hand()
        try:
            for stream in self._wants:
                batch = outbox.read(stream, 100)
                if batch is not None:
                    delivery = exporter.export(batch)
                    rest = delivery.rest if isinstance(delivery, Partial) else delivery
                    check(isinstance(rest, Retry) and rest.after_s == RETRY_AFTER_S, f"it answered {delivery!r}")
        finally:
            exporter.close()
            outbox.close()

    @_needs(Fault.UNCLEAR)
    def test_after_an_unclear_end_the_same_comes_again(self) -> None:
        """At least once, under the same names and with the same values: the receiver can tell that it has it."""
        self._log.write(0)

        def then(watched: WatchedExporter) -> None:
            delivery = watched.first_failure()
            rest = delivery.rest if isinstance(delivery, Partial) else delivery
            check(isinstance(rest, Retry), f"it answered {delivery!r}")
            self._receiver.recover()

        self._run(then, lambda: self._receiver.play(Fault.UNCLEAR))
        self._compare(twice=True)

    @_needs(Fault.REFUSE)
    def test_an_item_that_is_refused_for_ever_is_set_aside_and_all_others_arrive(self) -> None:
        """Of each stream in turn: the poisonous item is isolated by halving."""
        self._log.write(0)
        for stream in self._wants:
            items = [item for item in self._items(stream) if item.id and list(self._receiver.told(item))]
            poison = items[len(items) // 2]
            self._receiver.close()
            self._log.forget_exporters()
            self._receiver = self.receiver()
            self._receiver.play(Fault.REFUSE, poison)
            self._run()
            self._compare(twice=True, without=poison)
            check_equal(self._log.refused(), [(stream.value, poison.id)], "what was set aside")

    @_needs(Fault.PARTIAL)
    def test_what_was_taken_before_a_failure_is_not_sent_again(self) -> None:
        """The exporter says how many items the receiver has."""
        self._log.write(0)

        def then(watched: WatchedExporter) -> None:
            delivery = watched.first_failure()
            check(
                isinstance(delivery, Partial) and delivery.count > 0 and not isinstance(delivery.rest, Refused),
                f"it answered {delivery!r}",
            )
            self._receiver.recover()

        self._run(then, lambda: self._receiver.play(Fault.PARTIAL))
        self._compare(twice=False)

    @_needs(Fault.HANG)
    def test_a_stop_while_sending_ends_soon_and_loses_nothing(self) -> None:
        """``close`` from another thread ends the export; the next start delivers."""
        self._log.write(0)
        self._receiver.play(Fault.HANG)
        watched = WatchedExporter(self._receiver.exporter(), self.patience_s)
        drain = self._drain(watched)
        drain.start()
        watched.wait_for(lambda: watched.begun > 0)
        before_s = time.monotonic()
        drain.stop(0.3)
        drain.join()
        took_s = time.monotonic() - before_s
        check(took_s < 5.0, f"it took {took_s:.1f} s to end")
        watched.wait_for(lambda: watched.begun == len(watched.answers))
        check(not any(isinstance(answer, Delivered) for answer in watched.answers), f"it said {watched.answers!r}")
        self._receiver.recover()
        self._run()
        self._compare(twice=True)

    # --- how ---

    def _by_hand(self) -> tuple[Exporter, Outbox]:
        exporter = self._receiver.exporter()
        outbox = Outbox(self._log.store.path, exporter.name)
        outbox.register(exporter.wants, time.time_ns())
        exporter.resume(outbox.told())
        return exporter, outbox

    def _drain(self, exporter: Exporter) -> Drain:
        outbox = Outbox(self._log.store.path, exporter.name)
        outbox.register(exporter.wants, time.time_ns())
        return Drain(exporter, outbox, Reporter(StringIO()))

    def _run(
        self,
        then: Callable[[WatchedExporter], None] = lambda _: None,
        before: Callable[[], None] = lambda: None,
        look: Callable[[], None] | None = None,
    ) -> None:
        """A run of the daemon as this exporter sees it.

        ``before`` comes before it begins, ``then`` once it has begun, and ``look`` before it ends.
        """
        watched = WatchedExporter(self._receiver.exporter(), self.patience_s)
        before()
        drain = self._drain(watched)
        drain.start()
        try:
            then(watched)
            if look is not None:
                watched.wait_for(lambda: watched.resumed)
                look()
        finally:
            drain.stop(self.patience_s)
            drain.join()

    def _items(self, stream: Stream) -> list[Item]:
        """All items of a stream, as a receiver that never fails would be told."""
        outbox = Outbox(self._log.store.path, f"contract-{stream.value}-{self._log.next_number()}")
        outbox.register([stream], time.time_ns())
        items: list[Item] = []
        try:
            while (batch := outbox.read(stream, 1000)) is not None:
                items += batch.items
                outbox.advance(batch, len(batch.items), time.time_ns())
        finally:
            outbox.close()
        return items

    def _compare(self, *, twice: bool, without: Item | None = None) -> None:
        """Hold what was received against the store; ``twice``: the same may have come again."""
        some = False
        for stream in self._wants:
            items = [item for item in self._items(stream) if without is None or item != without]
            expected = [told for item in items for told in self._receiver.told(item)]
            received = list(self._receiver.received(stream))
            if self.newest_only:
                received, expected = sorted(dict(received).items(), key=repr), sorted(dict(expected).items(), key=repr)
            elif twice:
                received = firsts(received)
            for lane in {self._receiver.lane(name): None for name, _ in [*expected, *received]}:
                is_, should = ([t for t in all_ if self._receiver.lane(t[0]) == lane] for all_ in (received, expected))
                check_same(is_, should, f"what was received of {stream.value}")
            some = some or bool(expected)
        check(some, "the receiver expects nothing at all: see told()")
