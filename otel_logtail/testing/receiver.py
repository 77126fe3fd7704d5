"""The receiver of an exporter, as the exporter's author writes it for the contract suite."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from enum import Enum
from typing import Protocol

from otel_logtail.exporter import Exporter
from otel_logtail.model import Item, Stream

RETRY_AFTER_S = 7.0
"""The delay that a receiver requests under :attr:`Fault.RETRY_AFTER`."""

Told = tuple[Hashable, object]
"""A name and a value, as the receiver stores them."""


class Fault(Enum):
    """A fault of a receiver, from :meth:`Receiver.play` until :meth:`Receiver.recover`."""

    LATER = "it accepts nothing, and may accept it later"
    RETRY_AFTER = "it accepts nothing, and requests a delay of RETRY_AFTER_S seconds"
    UNCLEAR = "it accepts what arrives, and closes the connection without an answer"
    REFUSE = "it refuses each request that holds one given item, and accepts the others"
    REJECT = "it accepts a request, but rejects one given item of it in its answer"
    FAIL = "it fails at each request that holds one given item, and accepts the others"
    PARTIAL = "it accepts the first request (or the first part of it), and then nothing"
    HANG = "it accepts nothing and does not answer"


class Receiver(Protocol):
    """The receiver of an exporter. The suite creates one per test, and closes it at the end."""

    @abstractmethod
    def exporter(self) -> Exporter:
        """Create an exporter for this receiver, as a start of the daemon does."""

    @abstractmethod
    def told(self, item: Item) -> Iterable[Told]:
        """Return what the receiver stores for an item; nothing if the exporter leaves the item out."""

    def lane(self, name: Hashable) -> Hashable:
        """Return the group that keeps its order: all of a stream, unless overridden (for points: their series)."""
        return None

    @abstractmethod
    def received(self, stream: Stream) -> Sequence[Told]:
        """Return all that arrived of a stream, in the order of arrival, repetitions included."""

    @abstractmethod
    def play(self, fault: Fault, item: Item | None = None) -> None:
        """Start a fault; ``item`` is the one to refuse, to reject or to fail at."""

    @abstractmethod
    def recover(self) -> None:
        """Accept everything again."""

    @abstractmethod
    def close(self) -> None:
        """Free everything."""
