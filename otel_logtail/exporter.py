"""The seam of destinations: ``Exporter`` sends data, and ``ExporterPlugin`` declares everything around it.

The entry point of an exporter (group ``otel_logtail.exporters``) names an ``ExporterPlugin``. The program loads all of
them at each start, for ``--help`` too. So the module of a plug-in imports little, and ``make`` and ``probe`` import
what takes time::

    FILE = Option("csv_file", File(), "CSV file that episodes are appended to.")

    def make(context: ExporterContext) -> Exporter:
        from logtail_acme.exporter import CsvExporter

        return CsvExporter(context.require(FILE))

    CSV = ExporterPlugin(summary="A CSV file with a row for each episode.", make=make, options=(FILE,))
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from otel_logtail.option import Choice, File, Integer, Option, Options

if TYPE_CHECKING:  # ``--help`` needs no records
    from otel_logtail.check import Check
    from otel_logtail.model import Attributes, Delivery, ExportBatch, Point, Stream

REPEAT_NS = 120 * 10**9
"""How long a series may be idle before its last point is sent again: twice within the 5 minutes of Prometheus. While
a log is idle, the time of its closed intervals advances as often, so that there is a time to send it for."""


HISTOGRAM = Option(
    "histogram",
    Choice(("explicit", "exponential")),
    "Kind of histogram. Default: OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION, else explicit.",
)
MAX_BUCKETS = Option(
    "max_buckets",
    Integer(2, 4096),
    "Most buckets of an exponential histogram. Percentiles are within 9 % with 160, and within 1.1 % with 1280.",
    default="160",
)
EVENTS = Option(
    "events",
    Choice(("span", "log", "both", "spans")),
    "Form of a breach: an event of its episode's span, a log record with the span's ids, both, or a child span.",
    default="span",
)
SHARED_OPTIONS = (HISTOGRAM, MAX_BUCKETS, EVENTS)
"""Options that several exporters have under one name. The name of any other option starts with that of its exporter."""


class ExporterContext(Options, frozen=True):
    """The options that an exporter was given, and the environment.

    ``host`` is the name of this machine, ``version`` the version of otel-logtail. ``detected`` are the attributes that
    resource detectors found; some describe this process and not the followed program. ``started_ns`` is the start of
    this process.
    """

    host: str = ""
    version: str = "0"
    detected: Mapping[str, Any] = {}
    started_ns: int = 0


class Exporter(Protocol):
    """A destination. An exporter keeps nothing that must survive a restart: the store does.

    ``name`` is the name of the entry point; the store keeps the exporter's cursors under it. ``wants`` are the streams
    that the exporter receives.
    """

    name: str
    wants: frozenset[Stream]
    form: str = ""
    """The settings that decide, beside metric and attributes, which series a point belongs to at the receiver: kind of
    histogram, temporality, resource. If the form differs from that of the last start, all series start again."""
    receiver: str = ""
    """The address of the receiver for messages, without secrets; empty if nothing is connected to."""

    def resume(self, points: Sequence[Point]) -> None:
        """Take over the last point of each series that the receiver has; called once, before the first batch.

        Only an exporter that serves totals from memory needs it: after a restart the totals are right at once. The
        points are like those of idle series (id 0), ordered by time. They must not be sent.
        """
        return  # a statement, so that the method is not abstract

    def component(self, stream: Stream) -> Attributes:
        """Return the attributes of a stream's exports in the own telemetry, sorted by name."""
        return (("otel.component.type", f"{type(self).__module__}.{type(self).__qualname__}"),)

    def records(self, batch: ExportBatch) -> int:
        """Return the number of data points, spans or log records that carry a batch, for the own telemetry."""
        return len(batch.items)

    @abstractmethod
    def export(self, batch: ExportBatch) -> Delivery:
        """Send one batch and return the receiver's decision.

        Called from one thread, one batch at a time. The call may block up to the exporter's own timeout. An exporter
        does not retry: ``Retry`` means that the receiver may accept the batch later, ``Refused`` that it never will. If
        the outcome is unknown (a timeout, a closed connection), return ``Retry``: the same items are passed again with
        the same ids, times and totals. Nothing that a receiver does may raise; an exception counts as ``Retry``.
        """

    @abstractmethod
    def close(self) -> None:
        """Cancel a batch in flight and free connections; may be called from another thread during ``export``."""


class ExporterPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """An exporter as its entry point declares it.

    Args:
        summary: One sentence for ``otel-logtail exporters``.
        make: Creates the exporter. Raises UsageError if a value is wrong or a package is missing.
        options: The options of the exporter. Those of the kind ``File`` are the files that it writes.
        probe: Checks for ``doctor`` whether the receiver accepts data, without changing anything there. The second
            argument is true if a daemon runs with these options. An empty ``area`` means the exporter.
        is_asked_for: Returns true if the environment or the options name a receiver of this exporter. It is then
            selected if the user selects none.
    """

    summary: str
    make: Callable[[ExporterContext], Exporter]
    options: tuple[Option[Any], ...] = ()
    probe: Callable[[ExporterContext, bool], Iterable[Check]] | None = None
    is_asked_for: Callable[[ExporterContext], bool] = lambda context: False

    def files(self, context: Options) -> Iterator[tuple[Option[Path], Path]]:
        """Yield the files that the exporter writes, each with its option.

        Raises:
            UsageError: an option is not a path.
        """
        for option in self.options:
            if isinstance(option.kind, File) and (path := context.get(option)) is not None:
                yield from ((option, one) for one in option.kind.paths(path).values())
