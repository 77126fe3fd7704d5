"""A destination, and how the store is drained into it.

``Exporter`` is the seam. ``Drain`` reads one exporter's next items, has them exported, and moves its cursor on the
receiver's word alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from otel_logtail.model import Delivery, ExportBatch, Point, Stream

REPEAT_NS = 120 * 10**9
"""How long a series may be silent before its last point is told again: twice within the 5 minutes of Prometheus. While
a log is silent, its sealed time moves on as often, so that there is a time to tell it for."""


class ExporterContext(msgspec.Struct, frozen=True):
    """What an exporter is made with: the environment, and the command line's options for exporters.

    ``options`` holds only what was given (``otlp_endpoint``, ``otlp_protocol`` ...): it wins over the environment.
    ``host`` is this machine's name, ``version`` this project's.
    """

    environ: Mapping[str, str]
    options: Mapping[str, str] = {}
    host: str = ""
    version: str = "0"


class Exporter(Protocol):
    """A destination. It keeps nothing that must outlive it: the store does.

    ``name`` names its cursors in the store; ``wants`` the streams it is given.
    """

    name: str
    wants: frozenset[Stream]
    form: str = ""
    """What makes its points other series at the receiver beside metric and attributes: kind of histogram,
    temporality, resource. With another form than at the last start all series begin anew."""

    def resume(self, points: Sequence[Point]) -> None:
        """Take what the receiver has been told of each series so far; called once, before the first batch.

        For an exporter that shows totals out of its memory: after a restart they are right again at once. The points
        are as for silent series (id 0), by time; it must not send them. Does nothing unless it is overridden.
        """
        return  # said, so that the method is not an abstract one

    @abstractmethod
    def export(self, batch: ExportBatch) -> Delivery:
        """Send one batch and say what became of it.

        Called from one thread, one batch at a time; may block up to its own timeout. It does not retry: ``Retry`` says
        that the receiver may take the batch later, ``Refused`` that it never will. An unclear end (a time-out, a
        connection that closed) is ``Retry``: the same items come again with the same ids, times and totals.
        It must not raise for what a receiver does; what it raises is counted as ``Retry``.
        """

    @abstractmethod
    def close(self) -> None:
        """Give up what is on the way and free connections; may be called from another thread while exporting."""
