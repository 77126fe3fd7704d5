"""The contract that every exporter keeps, as a suite of tests with a real store and a real delivery worker.

The author of an exporter writes a :class:`Receiver`, which can be made to fail, and one class::

    class TestMine(ExporterContract):
        def receiver(self) -> Receiver:
            return MyReceiver()

``cannot`` names the faults that cannot happen at such a receiver, each with the reason. Their tests are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

from otel_logtail.exporter import Exporter
from otel_logtail.model import Delivered, Delivery, ExportBatch, Partial, Refused, Retry, Stream
from otel_logtail.testing.bench import Bench, Items
from otel_logtail.testing.compare import check, check_equal
from otel_logtail.testing.receiver import RETRY_AFTER_S, Fault
from otel_logtail.testing.watched import WatchedExporter

_Test = TypeVar("_Test", bound=Callable[..., None])


def _needs(fault: Fault) -> Callable[[_Test], _Test]:
    def mark(test: _Test) -> _Test:
        test.__dict__["needs"] = fault
        return test

    return mark


class ExporterContract(Bench):
    """Inherit it as ``Test…``, and return your receiver. Runs under pytest; each test has its own store."""

    cannot: ClassVar[Mapping[Fault, str]] = {}
    """The faults that cannot happen at the receiver, and why."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, member in vars(ExporterContract).items():
            if getattr(member, "needs", None) in cls.cannot:
                setattr(cls, name, None)

    # --- what every exporter does ---

    def test_it_has_a_name_and_streams(self) -> None:
        """The store keeps its cursors under its name, so the name stays the same."""
        first = self._receiver.exporter()
        first.close()
        check(bool(first.name) and first.name.isprintable(), f"its name is {first.name!r}")
        check(bool(first.wants) and first.wants <= frozenset(Stream), f"its streams are {first.wants!r}")
        again = self._receiver.exporter()
        again.close()
        check_equal((again.name, again.wants), (first.name, first.wants), "name and streams of a second one")

    def test_every_item_arrives_in_its_order(self) -> None:
        """The items of a stream arrive in the order of their ids."""
        self._log.write(0)
        self._run()
        self._compare(twice=False)

    def test_small_batches_have_the_same_result(self) -> None:
        """The result does not depend on how the items are cut into batches."""
        self._log.write(0)
        self._batches(3, lambda exporter, batch: _delivered(exporter.export(batch)))
        self._compare(twice=False)

    def test_what_is_sent_again_has_the_same_names_and_values(self) -> None:
        """After a crash between the receiver's answer and the move of the cursor, the same batch is sent again."""
        self._log.write(0)

        def export(exporter: Exporter, batch: ExportBatch) -> Delivery:
            _delivered(exporter.export(batch))
            return _delivered(exporter.export(batch))

        self._batches(100, export)
        self._compare(twice=True)

    def test_a_restart_needs_nothing_but_the_store(self) -> None:
        """A new exporter continues where the last one stopped, and the data that was sent before is still there."""
        self._log.write(0)
        self._run()
        self._log.write(1)
        self._run()
        self._compare(twice=False)
        self._run(look=lambda: self._compare(twice=False))

    def test_closing_twice_is_harmless(self) -> None:
        """So is closing an exporter that was never used."""
        exporter = self._receiver.exporter()
        exporter.close()
        exporter.close()

    # --- what it does when the receiver fails ---

    @_needs(Fault.LATER)
    def test_nothing_is_lost_while_the_receiver_accepts_nothing(self) -> None:
        """Everything arrives once the receiver is back."""
        self._log.write(0)

        def then(watched: WatchedExporter) -> None:
            check(bool(_retry_in(watched.first_failure()).why), "it gave no reason")
            self._receiver.recover()

        self._run(then, lambda: self._receiver.play(Fault.LATER))
        self._compare(twice=False)

    @_needs(Fault.RETRY_AFTER)
    def test_a_requested_delay_is_passed_on(self) -> None:
        """The delay is in seconds."""
        self._log.write(0)
        self._receiver.play(Fault.RETRY_AFTER)

        def export(exporter: Exporter, batch: ExportBatch) -> Delivery:
            delivery = exporter.export(batch)
            check(_retry_in(delivery).after_s == RETRY_AFTER_S, f"it answered {delivery!r}")
            return delivery

        self._batches(100, export)

    @_needs(Fault.UNCLEAR)
    def test_after_an_unknown_outcome_the_same_is_sent_again(self) -> None:
        """Names and values are the same, so that the receiver can recognize what it has."""
        self._log.write(0)

        def then(watched: WatchedExporter) -> None:
            _retry_in(watched.first_failure())
            self._receiver.recover()

        self._run(then, lambda: self._receiver.play(Fault.UNCLEAR))
        self._compare(twice=True)

    @_needs(Fault.REFUSE)
    def test_a_refused_item_is_quarantined_and_all_others_arrive(self) -> None:
        """In each stream in turn: the item is isolated by halving."""
        for stream, item in self._play_at_an_item(Fault.REFUSE):
            self._run()
            self._compare(twice=True, without=item)
            check_equal(self._log.refused(), [(stream.value, item.id)], "the quarantined items")

    @_needs(Fault.REJECT)
    def test_a_rejected_item_is_counted_and_nothing_is_sent_again(self) -> None:
        """In each stream in turn: a partial success is final."""
        for _, item in self._play_at_an_item(Fault.REJECT):
            self._run()
            self._compare(twice=False, without=item)
            check(self._log.rejected() > 0, "export() did not return the number of rejected items")
            check_equal(self._log.refused(), [], "the quarantined items")

    @_needs(Fault.FAIL)
    def test_an_item_that_always_fails_delays_no_other_item(self) -> None:
        """In each stream in turn. The item arrives once the receiver accepts it."""
        for _, bad in self._play_at_an_item(Fault.FAIL):
            everything: Items = [(stream, item) for stream in self._wants for item in self._items(stream)]
            others: Items = [(stream, item) for stream, item in everything if item != bad]

            def then(watched: WatchedExporter, others: Items = others) -> None:
                watched.wait_for(lambda: self._has(others))
                self._receiver.recover()

            self._run(then)
            check(self._has(everything), "an item is missing after the receiver recovered")
            check_equal(self._log.refused(), [], "the items that were not sent")

    @_needs(Fault.PARTIAL)
    def test_items_accepted_before_a_failure_are_not_sent_again(self) -> None:
        """The exporter returns the number of items that the receiver has."""
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
        check(not any(isinstance(answer, Delivered) for answer in watched.answers), f"it answered {watched.answers!r}")
        self._receiver.recover()
        self._run()
        self._compare(twice=True)


def _delivered(delivery: Delivery) -> Delivery:
    check_equal(delivery, Delivered(), "the answer for a batch")
    return delivery


def _retry_in(delivery: object) -> Retry:
    """Return the request to send again; an omitted item counts as delivered."""
    rest = delivery.rest if isinstance(delivery, Partial) else delivery
    if not isinstance(rest, Retry):
        raise AssertionError(f"it answered {delivery!r}")
    return rest
