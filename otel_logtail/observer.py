"""The ``Observer`` protocol: the seam of upstreams.

An observer reads one upstream's log format. It is pure: it turns the bytes of a line into a value, without a clock or a
file, and its only configuration is that of its constructor. The engine decides about severity.
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
    r"""The paths that an upstream writes to, and the meaning of their names.

    ``patterns`` are the default globs (``~`` and ``$VARIABLES`` are expanded). ``live`` matches the whole name of a
    file that the upstream writes to; with default patterns no other file is followed. ``ignore`` matches names of files
    with copies of the same lines, which are never followed, for any pattern. A rotated name is a live name with a
    suffix; the tail has this rule for every upstream. ``attributes`` maps named groups of ``live`` to attributes of the
    samples (digits become int).
    """

    patterns: tuple[str, ...]
    live: str
    ignore: str = r"(?!)"
    attributes: tuple[tuple[str, str], ...] = ()

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
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


_INT_DIGITS = 19  # a number of this many digits can exceed 64 bits


class ObserverContext(msgspec.Struct, frozen=True):
    """The input for creating an observer. ``timezone`` is for lines that carry none; None means the machine's."""

    timezone: tzinfo | None = None


class Observer(Protocol):
    """One upstream's log format. Its entry point (group ``otel_logtail.observers``) makes it from a context."""

    name: str
    source: str
    """The default name of a source (``headroom-proxy``)."""
    marker: bytes
    """A line without it is not passed to the observer; ``b""`` passes every line."""

    @abstractmethod
    def paths(self) -> PathRule:
        """Return the upstream's default paths, and the rule for live names."""

    @abstractmethod
    def observe(self, line: bytes) -> Observed:
        """Read one line: any bytes up to the limit of a line, without the newline or carriage return.

        Raises:
            Drift: the line has the marker in its place and cannot be read: the format changed.
        """

    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        """Read many lines at once, if that is faster, with the same result as :meth:`observe` for each, in their order.

        Optional. Return None if a line is not ordinary (it is rejected, drifts, or is of another kind): the lines are
        then read in smaller parts, and finally one by one.
        """
        return None
