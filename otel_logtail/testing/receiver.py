"""The other side of an exporter, as its author plays it for the contract suite."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from enum import Enum
from typing import Protocol

from otel_logtail.exporter import Exporter
from otel_logtail.model import Item, Stream

RETRY_AFTER_S = 7.0
"""How long a receiver asks to be left alone under :attr:`Fault.RETRY_AFTER`."""

Told = tuple[Hashable, object]
"""The name under which a receiver holds something, and what it holds, both in the receiver's own terms."""


class Fault(Enum):
    """What a receiver can do wrong, from :meth:`Receiver.play` until :meth:`Receiver.recover`."""

    LATER = "it takes nothing, and says or shows that it may take it later"
    RETRY_AFTER = "it takes nothing, and asks to be left alone for RETRY_AFTER_S seconds"
    UNCLEAR = "it takes what comes, and hangs up before it says so"
    REFUSE = "it refuses for ever whatever holds one given item, and takes the rest"
    PARTIAL = "it takes the first request (or the first part of it), and then nothing"
    HANG = "it takes nothing and does not answer"


class Receiver(Protocol):
    """The other side of an exporter, as tests play it; made anew for each test, and closed at its end."""

    @abstractmethod
    def exporter(self) -> Exporter:
        """A new exporter to this receiver, as after a start of the daemon."""

    @abstractmethod
    def told(self, item: Item) -> Iterable[Told]:
        """What the receiver holds once it has this item; nothing for what the exporter leaves out."""

    def lane(self, name: Hashable) -> Hashable:
        """Within what the order is kept: all of a stream, unless said otherwise (for points: their series)."""
        return None

    @abstractmethod
    def received(self, stream: Stream) -> Sequence[Told]:
        """All that it took of a stream, in the order in which it came; what came twice is in it twice."""

    @abstractmethod
    def play(self, fault: Fault, item: Item | None = None) -> None:
        """Fail from now on; ``item`` is the one to refuse."""

    @abstractmethod
    def recover(self) -> None:
        """Take everything again."""

    @abstractmethod
    def close(self) -> None:
        """End it."""
