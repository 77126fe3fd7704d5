"""The hex bus: sends each breach and each closed episode as an event, by calling ``state::set`` of the engine.

Subscribers act on events, so an event that is too old is skipped and counted; the store keeps it. The engine accepts
one event per call and does not keep the order of calls that overlap, so there is one call at a time. An event that was
not confirmed is sent again with the same ``data.id``.

Settings are from :mod:`config`, events and frames from :mod:`events`; :mod:`link` is the connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from otel_logtail.errors import missing_package
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.hex.config import read_bus
from otel_logtail.exporters.hex.events import Event, HexItem, Outcome, event_of, happened_ns
from otel_logtail.model import BreachRecord, Delivered, Delivery, EpisodeRecord, ExportBatch, Partial, Stream


class Sender(Protocol):
    """Sends one event and returns the outcome."""

    def send(self, event: Event) -> Outcome:
        """Send one event; does not raise because of the engine."""

    def close(self) -> None:
        """Cancel a call in flight; may be called from another thread."""


class HexExporter(Exporter):
    """Sends to hex's event bus. ``max_age_ns`` None: no event is too old. ``now_ns`` is the clock for ages."""

    name = "hex"
    wants = frozenset({Stream.BREACHES, Stream.EPISODES})

    def __init__(
        self, link: Sender, max_age_ns: int | None, now_ns: Callable[[], int] = time.time_ns, receiver: str = ""
    ) -> None:
        self.receiver = receiver
        self._link = link
        self._max_age_ns = max_age_ns
        self._now_ns = now_ns

    def export(self, batch: ExportBatch) -> Delivery:
        """Send the items one by one, up to the first that is not accepted."""
        skipped = 0
        for done, item in enumerate(batch.items):
            if not isinstance(item, BreachRecord | EpisodeRecord):
                raise TypeError(f"hex has no event for {type(item).__name__}")
            if self._too_old(item):
                skipped += 1
                continue
            outcome = self._link.send(event_of(item))
            if not isinstance(outcome, Delivered):
                return Partial(done, outcome, skipped) if done else outcome
        return Delivered(skipped)

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def _too_old(self, item: HexItem) -> bool:
        return self._max_age_ns is not None and self._now_ns() - happened_ns(item) > self._max_age_ns


def make(context: ExporterContext) -> HexExporter:
    """Create the exporter for the event bus.

    Raises:
        UsageError: a setting is wrong, or websockets is not installed.
    """
    settings = read_bus(context)
    try:
        from otel_logtail.exporters.hex.link import Link
    except ImportError:
        raise missing_package("hex", "websockets") from None
    return HexExporter(Link(settings), settings.max_age_ns, receiver=f"{settings.host}:{settings.port}")
