"""Figures and times in words, as the page shows them. Pure.

Measured figures have three digits, a space that does not break before the unit, and ``–`` if there is none. A share is
0 % or 100 % only if it is exactly that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo

from otel_logtail.text import short

SPACE = "\u00a0"
"""The space between a number and its unit, at which no line breaks."""

NONE = "–"
"""The sign for a value that does not exist."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000


def digits(value: float, places: int = 3) -> str:
    """Return a number with so many significant digits: ``9.57``, ``15.1``, ``202``, ``1,240``."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    power = math.floor(math.log10(abs(value)))
    rounded = round(value, places - 1 - power)
    if math.floor(math.log10(abs(rounded))) > power:  # 9.996 is 10.0
        power += 1
    return f"{rounded:,.{max(0, places - 1 - power)}f}"


def measured(ms: float | None) -> str:
    """Return a measured duration: ``9.57 s``, ``202 ms``, ``1 min 18 s``, ``3 h 12 min``."""
    if ms is None:
        return NONE
    if ms >= _HOUR_MS - 30_000:
        hours, minutes = divmod(round(ms / _MINUTE_MS), 60)
        return f"{hours:,}{SPACE}h{SPACE}{minutes}{SPACE}min" if minutes else f"{hours:,}{SPACE}h"
    if ms >= _MINUTE_MS - 50:
        minutes, seconds = divmod(round(ms / 1000), 60)
        return f"{minutes}{SPACE}min{SPACE}{seconds}{SPACE}s" if seconds else f"{minutes}{SPACE}min"
    return f"{digits(ms / 1000)}{SPACE}s" if ms >= 999.5 else f"{digits(ms)}{SPACE}ms"


def exact(ms: float) -> str:
    """Return a duration that a person chose, such as a threshold: ``500 ms``, ``2 s``, ``10 min``."""
    for unit, length in (("h", _HOUR_MS), ("min", _MINUTE_MS)):
        if ms >= length and ms % length == 0:
            return f"{ms / length:g}{SPACE}{unit}"
    return short(ms).replace(" ", SPACE)


def length(seconds: float) -> str:
    """Return the length of a range: ``28 days``, ``36 h``, ``3 h 12 min``, ``15.0 s``."""
    if seconds >= 6 * 3600:
        days = round(seconds / 86_400)
        return count(days, "day") if days >= 2 else f"{round(seconds / 3600)}{SPACE}h"
    return measured(1000 * seconds)


def count(number: int, noun: str) -> str:
    """Return a number of things: ``1 stall``, ``1,240 stalls``."""
    return f"{number:,}{SPACE}{noun}{'' if number == 1 else 's'}"


def share(part: float) -> str:
    """Return a share as a percentage; it is 0 % or 100 % only if it is exactly that."""
    percent = 100 * part
    if not 0 < part < 1:
        return f"{percent:.0f}{SPACE}%"
    text, places = digits(percent), 1
    while float(text) >= 100:  # 99.96 % would be 100 %: as many nines as it takes
        places += 1
        text = f"{percent:.{places}f}"
    return f"{text}{SPACE}%"


def one_in(number: int, total: int) -> str:
    """Return a share as ``1 in 4,800``, with two digits."""
    each = float(digits(total / number, 2).replace(",", ""))
    return f"1{SPACE}in{SPACE}{each:,.0f}" if each >= 10 else f"1{SPACE}in{SPACE}{each:g}"


def part_of(number: int, total: int) -> str:
    """Return a share as ``1 in 4,800``, or as a percentage if it is more than a half."""
    return one_in(number, total) if 2 * number <= total else share(number / total)


def column(values_ms: Sequence[float | None]) -> list[str]:
    """Return durations of one column in one unit, that of the largest one, with at most three decimals."""
    largest = max((value for value in values_ms if value is not None), default=0.0)
    unit, length = ("s", 1000.0) if largest >= 999.5 else ("ms", 1.0)

    def cell(value: float) -> str:
        scaled = value / length
        places = 3 if not scaled else min(3, max(0, 2 - math.floor(math.log10(scaled))))
        return f"{scaled:,.{places}f}{SPACE}{unit}"

    return [NONE if value is None else cell(value) for value in values_ms]


def moment(time_ns: int, tz: tzinfo | None) -> datetime:
    """Return a time in a zone (None: the local one)."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(tz)


def weekday(number: int) -> str:
    """Return the name of a day of the week; Monday is 0."""
    return _DAYS[number]


def month(at: datetime) -> str:
    """Return the name of a time's month."""
    return _MONTHS[at.month - 1]


def date(at: datetime) -> str:
    """Return a date: ``18 Nov``."""
    return f"{at.day}{SPACE}{month(at)}"


def day(at: datetime) -> str:
    """Return a day with its weekday: ``Tue 10 Nov``."""
    return f"{_DAYS[at.weekday()]}{SPACE}{date(at)}"


def second(at: datetime) -> str:
    """Return a time to the second: ``Tue 10 Nov 09:37:12``."""
    return f"{day(at)}{SPACE}{at:%H:%M:%S}"
