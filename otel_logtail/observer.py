"""The seam of upstreams: ``Observer`` reads a log format, and ``ObserverPlugin`` declares everything around it.

An observer is pure: it turns the bytes of a line into a value, without a clock or a file, and its only configuration is
that of its constructor. The engine decides about severity.

The entry point of an observer (group ``otel_logtail.observers``) names an ``ObserverPlugin``. The program loads all of
them at each start, for ``--help`` too. So the module of a plug-in imports little, and ``make`` imports what takes
time::

    PART = Option("acme_part", Choice(("total", "db")), "Part of a request to measure.", default="total")

    def make(context: ObserverContext) -> Observer:
        from logtail_acme.observer import AcmeObserver

        return AcmeObserver(context.require(PART))

    ACME = ObserverPlugin(summary="The web server acme: the duration of each request.", make=make, options=(PART,))
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from otel_logtail.option import Option, Options
from otel_logtail.text import escaped

if TYPE_CHECKING:  # ``--help`` needs no records
    from otel_logtail.model import Attributes, Columns, Mark, Observed


class PathRule(msgspec.Struct, frozen=True):
    r"""The paths that an upstream writes to, and the meaning of their names.

    ``patterns`` are the default globs (``~`` and ``$VARIABLES`` are expanded). ``live`` matches the whole name of a
    file that the upstream writes to; with default patterns no other file is followed. ``ignore`` matches names of files
    with copies of the same lines, which are never followed, for any pattern. A rotated name is a live name with a
    suffix; the tail has this rule for every upstream. ``attributes`` maps named groups of ``live`` to attributes of the
    samples (digits become int).

    ``ring``: rotated files get the same few numbers again and again (the JVM's ``gc.log.0`` to ``.4``), so a larger
    number is not an older file: the times of the files show their order. ``successive``: after a while the
    upstream continues in a file with a new live name (PostgreSQL's file of each day, the pid of a JVM), and does not
    move the one before out of its directory. A file that is idle for an hour and has a successor is closed until it
    changes.
    """

    patterns: tuple[str, ...]
    live: str
    ignore: str = r"(?!)"
    attributes: tuple[tuple[str, str], ...] = ()
    ring: bool = False
    successive: bool = False

    def is_live(self, name: str) -> bool:
        """Return whether the upstream itself would write to a file of this (base) name."""
        return re.fullmatch(self.live, name) is not None

    def is_copy(self, name: str) -> bool:
        """Return whether a file of this (base) name, or a rotated one of it, only repeats the lines of a live file."""
        return re.match(self.ignore, name) is not None

    def attributes_of(self, name: str) -> Attributes:
        """Return the attributes in the (base) name of a live file; empty for a name that the rule does not match."""
        match = re.fullmatch(self.live, name)
        if match is None:
            return ()
        found = [(attribute, match[group]) for group, attribute in self.attributes if match[group] is not None]
        return tuple(sorted((attribute, _value(text)) for attribute, text in found))


def _value(text: str) -> str | int:
    """Return a part of a name as the value of an attribute. Different parts give different values that can be sent.

    A number of more than 64 bits, or with leading zeros (``007``), stays text. Bytes that are not UTF-8 are escaped.
    """
    if text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and len(text) < _INT_DIGITS:
        return int(text)
    return escaped(text)


_INT_DIGITS = 19  # a number of this many digits can exceed 64 bits


class ObserverContext(Options, frozen=True):
    """The options that an observer was given. ``timezone`` is for lines that carry none; None means the machine's."""

    timezone: tzinfo | None = None


class Frame(msgspec.Struct, frozen=True, gc=False):
    """The stamp of a wrapper around a line: syslog, CRI or Docker.

    ``time_ns`` is when the wrapper was written, in UTC (None: unknown). ``zone`` is the fixed offset of its stamp
    (None: the stamp has none, or is that of a container runtime, whose zone is not the container's).
    """

    time_ns: int | None = None
    zone: tzinfo | None = None


class Observer(Protocol):
    """One upstream's log format."""

    name: str
    source: str
    """The default name of a source (``headroom-proxy``)."""
    marker: bytes
    """A line without it is not passed to the observer; ``b""`` passes every line."""

    mark_needle: bytes = b""
    """Text in each line that marks a start or a deployment of the program; empty: the log has no such line.

    Such a line need not hold the marker. If it does, it is passed to :meth:`observe` as well.
    """

    @abstractmethod
    def paths(self) -> PathRule:
        """Return the upstream's default paths, and the rule for live names."""

    @abstractmethod
    def observe(self, line: bytes) -> Observed:
        """Read one line: any bytes up to the limit of a line, without the newline or carriage return.

        Raises:
            Drift: the line has the marker in its place and cannot be read: the format changed.
        """

    def observe_framed(self, line: bytes, frame: Frame) -> Observed:
        """Read one line that was in a wrapper, which is removed already.

        Optional, for formats that lack something that the wrapper has. The result depends on both arguments alone.

        Raises:
            Drift: as :meth:`observe` does.
        """
        return self.observe(line)

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return the mark of a line that contains ``mark_needle``; None: the line is something else.

        Match the line from its start to its end: a client may be able to write the needle into the log. The text is a
        name in a few words, such as ``headroom 0.42.0 started``.

        Args:
            line: As for :meth:`observe`.
            frame: The wrapper that the line was in; None: it had none.
        """
        return None

    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        """Read many lines at once, if that is faster, with the same result as :meth:`observe` for each, in their order.

        Optional. Return None if a line is not ordinary (it is rejected, drifts, or is of another kind): the lines are
        then read in smaller parts, and finally one by one.
        """
        return None


class Explanation(msgspec.Struct, frozen=True):
    """The meaning of a cause, for the user of a report.

    ``title`` is a short noun phrase in lower case (``garbage collection``), ``meaning`` and ``advice`` are a sentence
    each: where the time goes, and what to do about it.
    """

    title: str
    meaning: str
    advice: str


class ObserverPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """An observer as its entry point declares it.

    Args:
        summary: One sentence for ``otel-logtail observers``.
        make: Creates the observer. Raises UsageError if a value is wrong.
        options: The options of the observer. Their names start with the name of the observer.
        configuration: Returns the log configuration of the program that is recommended, ready to paste.
        no_sample: One sentence for a log without any sample: what the format lacks, and what to add.
        causes: Explains the causes of its samples by their names. Reports show a cause without explanation by its name.
        threshold_ms: The threshold for ``degraded`` if the user gives none. Empty: the default of the program.
        stall_ms: The same for ``stall``.
        quiet_ms: The same for the time without a slow sample that ends an episode.
    """

    summary: str
    make: Callable[[ObserverContext], Observer]
    options: tuple[Option[Any], ...] = ()
    configuration: Callable[[], str] = lambda: ""
    no_sample: str = ""
    causes: Mapping[str, Explanation] = {}
    threshold_ms: str = ""
    stall_ms: str = ""
    quiet_ms: str = ""


def packaged(package: str, name: str) -> Callable[[], str]:
    """Return a function that reads a text file of a package, for ``ObserverPlugin.configuration``.

    Args:
        package: The name of the package, usually ``__name__`` of its ``__init__``.
        name: The name of the file in it.
    """

    def read() -> str:
        from importlib.resources import files  # ``--help`` reads no file

        return files(package).joinpath(name).read_text(encoding="utf-8")

    return read
