"""The exporter of a worker, guarded: a bug of a plug-in neither loses data nor ends the worker's thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from otel_logtail.errors import LogtailError
from otel_logtail.events import Reporter
from otel_logtail.exporter import Exporter
from otel_logtail.model import Attributes, Delivery, ExportBatch, Partial, Refused, Retry, Stream
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.rows import decode_attributes, encode_attributes


class Receiver:
    """One exporter with its outbox: used by the thread of its worker, and closed by another one."""

    def __init__(self, exporter: Exporter, outbox: Outbox, reporter: Reporter) -> None:
        self.name = exporter.name
        self.busy_since_s: float | None = None
        """The start of the export that has not returned yet."""
        self.is_closed = False
        self._exporter = exporter
        self._outbox = outbox
        self._reporter = reporter
        self._address = getattr(exporter, "receiver", "")  # a plug-in need not inherit from Exporter
        self._waited: dict[Stream, int] = {}  # the items that waited when a stream that failed was accepted again

    def resume(self) -> str | None:
        """Pass the totals that the receiver has to the exporter; returns why the exporter did not take them."""
        try:
            told = self._outbox.told()
            self._report_repaired()
            self._exporter.resume(told)
        except LogtailError as problem:
            return str(problem)
        except BaseException as problem:  # noqa: BLE001 - a plug-in's bug, or its sys.exit(), must not end the thread
            return self._crashed(problem)
        return None

    def export(self, batch: ExportBatch) -> Delivery:
        """Send a batch; does not raise."""
        self._report_repaired()
        self.busy_since_s = time.monotonic()
        try:
            delivery = self._exporter.export(batch)
            if not isinstance(delivery, Delivery):
                raise TypeError(f"export() returned {delivery!r}")
            if not isinstance(delivery, Retry | Refused):
                self._accepted(batch.stream)
            return without_secrets(delivery, self._reporter.redact)
        except BaseException as problem:  # noqa: BLE001 - a plug-in's bug, or its sys.exit(), must not end the thread
            return Retry(self._crashed(problem), isolate=True)
        finally:
            self.busy_since_s = None

    def component(self, stream: Stream) -> Attributes:
        """Return the exporter's attributes for the own telemetry; does not raise, since it is asked with the cursor."""
        try:
            # a plug-in need not inherit from Exporter, and may use the name for something else
            found = self._exporter.component(stream) if hasattr(self._exporter, "component") else ()
            return decode_attributes(encode_attributes(found))
        except BaseException as problem:  # noqa: BLE001 - an accepted batch would be sent again
            self._crashed(problem)
        return ()

    def records(self, batch: ExportBatch) -> int:
        """Return the number of records of a batch for the own telemetry; does not raise either."""
        try:
            found = self._exporter.records(batch) if hasattr(self._exporter, "records") else len(batch.items)
            if isinstance(found, int) and found >= 0:
                return found
            raise TypeError(f"records() returned {found!r}")
        except BaseException as problem:  # noqa: BLE001 - an accepted batch would be sent again
            self._crashed(problem)
        return len(batch.items)

    def works(self, stream: Stream) -> None:
        """Log that a stream works again, if it failed before."""
        if self._reporter.fails(self.name, stream.value):
            self._reporter.exporter_works(self.name, stream.value, self._address, self._waited.pop(stream, 0))

    def close(self) -> None:
        """Close the exporter; an answer that it still gives is not the receiver's."""
        self.is_closed = True
        try:
            self._exporter.close()
        except (Exception, SystemExit) as problem:  # noqa: BLE001 - a plug-in's bug must not keep the others from being closed
            self._crashed(problem)

    def _accepted(self, stream: Stream) -> None:
        self._reporter.connected(self.name, self._address)
        if stream not in self._waited and self._reporter.fails(self.name, stream.value):
            try:
                self._waited[stream] = self._outbox.pending()  # the cursor does not move before this is over
            except LogtailError:
                pass  # the tail reports what is wrong with the store

    def _report_repaired(self) -> None:
        repaired = self._outbox.take_repaired()
        self._reporter.counts_damaged(self.name, repaired.kept, repaired.lost)

    def _crashed(self, problem: BaseException) -> str:
        """Log a bug of the plug-in; returns it as text without secrets."""
        why = f"{type(problem).__name__}: {problem}"
        self._reporter.crashed(self.name, why)
        return self._reporter.redact(why)


def without_secrets(delivery: Delivery, redact: Callable[[str], str]) -> Delivery:
    """Return the same outcome without secrets, so that it can be stored and shown."""
    changes: dict[str, object] = {}
    if isinstance(delivery, Partial):
        changes["rest"] = without_secrets(delivery.rest, redact)
    if why := getattr(delivery, "why", ""):
        changes["why"] = redact(why)
    return msgspec.structs.replace(delivery, **changes)
