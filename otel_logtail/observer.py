"""The ``Observer`` protocol: the seam of upstreams.

An observer is the typed knowledge of one upstream's log. It is pure: bytes of a line in, a value out; no clock, no
file, no configuration but what its constructor was given. Severity is not its business: the engine classifies.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from datetime import tzinfo
from typing import Protocol

import msgspec

from otel_logtail.model import (
    Attributes,
    Columns,
    Observed,
)


class PathRule(msgspec.Struct, frozen=True):
    r"""Where an upstream writes, and what the names there mean.

    ``patterns`` are the default globs (``~`` and ``$VARIABLES`` are expanded). ``live`` matches the whole name of a
    file that the upstream writes to; with default patterns nothing else is followed. ``ignore`` matches names that hold
    copies of the same lines: never followed, whatever pattern found them. A rotated name is a live name with a
    suffix: that rule is the same for every upstream, and the tail's. ``attributes`` maps named groups of
    ``live`` to attributes of the samples (digits become int).
    """

    patterns: tuple[str, ...]
    live: str
    ignore: str = r"(?!)"
    attributes: tuple[tuple[str, str], ...] = ()

    def is_live(self, name: str) -> bool:
        """Whether the upstream itself would write to a file of this (base) name."""
        return re.fullmatch(self.live, name) is not None

    def is_copy(self, name: str) -> bool:
        """Whether a file of this (base) name, or a rotated one of it, only repeats what a live file holds."""
        return re.match(self.ignore, name) is not None

    def attributes_of(self, name: str) -> Attributes:
        """What the (base) name of a live file says about its samples; empty for a name that the rule doesn't know."""
        match = re.fullmatch(self.live, name)
        if match is None:
            return ()
        found = [(attribute, match[group]) for group, attribute in self.attributes if match[group] is not None]
        return tuple(sorted((attribute, _value(text)) for attribute, text in found))


def _value(text: str) -> str | int:
    """Part of a name as the value of an attribute: different names give different values, and each can be sent.

    A number of more than 64 bits, or one that is written unusually (``007``), stays text. Bytes that are not UTF-8 are
    escaped.
    """
    if text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and len(text) < _INT_DIGITS:
        return int(text)
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


_INT_DIGITS = 19  # the first number of so many can be beyond 64 bits


class ObserverContext(msgspec.Struct, frozen=True):
    """What an observer is made with. ``timezone`` is for lines that don't say their own; None is the machine's."""

    timezone: tzinfo | None = None


class Observer(Protocol):
    """One upstream's log format. Made by its entry point (group ``otel_logtail.observers``) with a context."""

    name: str
    source: str
    """The name of a source that the user did not name (``headroom-proxy``)."""
    marker: bytes
    """A line without it is never looked at; ``b""``: every line is."""

    @abstractmethod
    def paths(self) -> PathRule:
        """Where the upstream writes by default, and which names are live."""

    @abstractmethod
    def observe(self, line: bytes) -> Observed:
        """Read one line (without its newline or carriage return; any bytes, at most the bound on lines long).

        Raises:
            Drift: the line has the marker in its place, and can't be read: the format changed.
        """

    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        """Read many lines at once, if that is faster: the same as :meth:`observe` says of each, in their order.

        Optional. None wherever that is not so simple (a line is rejected, drifts, or is of another kind): then they are
        read in smaller parts, and at last one by one.
        """
        return None
