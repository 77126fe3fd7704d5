"""The decorations in front of a message of Java's unified log: ``[2026-11-29T15:27:33.798+0000][11.332s][info][gc]``.

The user chooses which decorations there are, and in which order. So the time of day is recognized by its form:

=================  ==================================  =====================================
decoration         form
=================  ==================================  =====================================
``time``           ``2026-11-29T20:57:33.798+0530``    local, with the offset
``utctime``        ``2026-11-29T15:27:33.798+0000``
``timemillis``     ``1795966053798ms``                 ``uptimemillis`` has fewer digits
=================  ==================================  =====================================

All others (uptimes, ``timenanos``, host, pid, thread, level, tags) do not give the time of day.
"""

from __future__ import annotations

import re
from functools import lru_cache

from otel_logtail.errors import Drift
from otel_logtail.model import Rejected
from otel_logtail.observers.local_time import IMPOSSIBLE, iso_ns

MISPLACED = Rejected("misplaced")
TIME = Rejected("time")

_SECOND = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})([+-]\d{4})"
_OTHERS = rb"(?:\[[^\[\]]*\])"
_TIME_FIRST = re.compile(rb"\[%s\]%s*" % (_SECOND, _OTHERS))
_DECORATIONS = re.compile(rb"%s+" % _OTHERS)
_TIME = re.compile(_SECOND)
_MILLISECONDS = re.compile(rb"(\d{13})ms")
_MINUTE_NS = 60 * 10**9
_MOST_MINUTES = 18 * 60
"""No zone is further than 18 hours from UTC (Java's own limit)."""


def are_decorations(line: bytes, end: int) -> bool:
    """Return whether the text before ``end`` consists of ``[...]`` alone, at least one, none of them within another."""
    return _DECORATIONS.fullmatch(line, 0, end) is not None


def written_ns(line: bytes, end: int) -> int | Rejected:
    """Return when a line was written, in UTC, or why that cannot be true. Its decorations have to end at ``end``.

    Raises:
        Drift: the decorations have no time of day.
    """
    match = _TIME_FIRST.fullmatch(line, 0, end)
    if match is not None:
        found: int | None = _stamp_ns(match)
    elif are_decorations(line, end):
        found = _any_ns(line[1 : end - 1].split(b"]["))
    else:
        return MISPLACED
    if found is None:
        raise Drift(
            "jvm: the log has no time of day: add :utctime,uptime,level,tags to -Xlog",
            hint="see: otel-logtail observers show jvm",
        )
    return TIME if found < 0 else found


def _any_ns(decorations: list[bytes]) -> int | None:
    """Return the first time of day among decorations; negative: there is no such time; None: there is none."""
    for text in decorations:
        if (match := _TIME.fullmatch(text)) is not None:
            return _stamp_ns(match)
        if (match := _MILLISECONDS.fullmatch(text)) is not None:
            return int(match[1]) * 10**6
    return None


def _stamp_ns(match: re.Match[bytes]) -> int:
    second, millisecond, offset = match.groups()
    return _second_ns(second, offset) + int(millisecond) * 10**6


_NEVER = -(10**9)
"""Negative with any milliseconds added."""


@lru_cache(maxsize=64)  # lines of one second follow each other
def _second_ns(second: bytes, offset: bytes) -> int:
    """Return a local time in UTC; negative: there is no such time."""
    local_ns = iso_ns(second)
    hours, minutes = int(offset[1:3]), int(offset[3:])
    ahead = hours * 60 + minutes
    if local_ns is None or local_ns == IMPOSSIBLE or minutes > 59 or ahead > _MOST_MINUTES:
        return _NEVER
    return local_ns - (ahead if offset[:1] == b"+" else -ahead) * _MINUTE_NS
