"""The store, the receiver and the delivery worker of one contract test."""

from __future__ import annotations

import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import ClassVar

from otel_logtail.delivery.sender import Drain
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter
from otel_logtail.model import Delivered, Delivery, ExportBatch, Item, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.testing.compare import check, check_same, firsts
from otel_logtail.testing.log import SampleLog
from otel_logtail.testing.receiver import Fault, Receiver, Told
from otel_logtail.testing.watched import WatchedExporter

Items = Sequence[tuple[Stream, Item]]


class Bench:
    """The parts of a contract test: a store with a log in it, a receiver, and runs of a delivery worker."""

    patience_s: ClassVar[float] = 20.0
    """How long a test waits for something that takes no time, in seconds."""

    newest_only: ClassVar[bool] = False
    """True if the receiver has only the newest value of each name: a scrape has no history."""

    @abstractmethod
    def receiver(self) -> Receiver:
        """Return a new receiver that accepts everything."""
        raise NotImplementedError

    def setup_method(self) -> None:
        """Create a store and a receiver."""
        self._folder = tempfile.TemporaryDirectory()
        self._log = SampleLog(Path(self._folder.name))
        self._receiver = self.receiver()
        exporter = self._receiver.exporter()
        self._wants = [stream for stream in Stream if stream in exporter.wants and stream is not Stream.SELF]
        exporter.close()

    def teardown_method(self) -> None:
        """Free them."""
        self._receiver.close()
        self._log.store.close()
        self._folder.cleanup()

    def _batches(self, most: int, export: Callable[[Exporter, ExportBatch], Delivery]) -> None:
        """Export all items by hand, in batches of at most so many, while they are delivered."""
        with closing(self._receiver.exporter()) as exporter, closing(self._outbox(exporter)) as outbox:
            exporter.resume(outbox.told())
            for stream in self._wants:
                while (batch := outbox.read(stream, most)) is not None and export(exporter, batch) == Delivered():
                    outbox.advance(batch, len(batch.items), time.time_ns())

    def _outbox(self, exporter: Exporter) -> Outbox:
        outbox = Outbox.open(self._log.store.path, exporter.name)
        outbox.register(exporter.wants, time.time_ns())
        return outbox

    def _drain(self, exporter: Exporter) -> Drain:
        return Drain(exporter, self._outbox(exporter), Reporter(StringIO()))

    def _run(
        self,
        then: Callable[[WatchedExporter], None] = lambda _: None,
        before: Callable[[], None] = lambda: None,
        look: Callable[[], None] | None = None,
    ) -> None:
        """Run a delivery worker until everything is delivered.

        ``before`` is called before the start, ``then`` after it, and ``look`` before the stop.
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
        """Return all items of a stream, as an exporter gets them whose receiver never fails."""
        outbox = Outbox.open(self._log.store.path, f"contract-{stream.value}-{self._log.next_number()}")
        outbox.register([stream], time.time_ns())
        items: list[Item] = []
        try:
            while (batch := outbox.read(stream, 1000)) is not None:
                items += batch.items
                outbox.advance(batch, len(batch.items), time.time_ns())
        finally:
            outbox.close()
        return items

    def _play_at_an_item(self, fault: Fault) -> Iterator[tuple[Stream, Item]]:
        """Yield an item of each stream, with a new receiver that has the fault at this item."""
        self._log.write(0)
        for stream in self._wants:
            items = [item for item in self._items(stream) if item.id and list(self._receiver.told(item))]
            item = items[len(items) // 2]
            self._receiver.close()
            self._log.forget_exporters()
            self._receiver = self.receiver()
            self._receiver.play(fault, item)
            yield stream, item

    def _has(self, items: Items) -> bool:
        """Return whether the receiver has these items of these streams, in any order."""
        received: dict[Stream, Sequence[Told]] = {stream: self._receiver.received(stream) for stream in self._wants}
        return all(told in received[stream] for stream, item in items for told in self._receiver.told(item))

    def _compare(self, *, twice: bool, without: Item | None = None) -> None:
        """Compare what arrived with the store. ``twice``: an item may have arrived again."""
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
                check_same(is_, should, f"received of {stream.value}")
            some = some or bool(expected)
        check(some, "told() returns nothing for any item")
