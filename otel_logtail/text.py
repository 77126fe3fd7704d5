"""Durations, sizes and points in time as people write and read them, and text that is safe on a terminal.

One grammar and one table of units each, for flags, variables, files and SLOs:

- a duration is numbers with units: ``500ms``, ``90s``, ``30min``, ``1d12h``; ``m`` is minutes, ``w`` weeks
- a size is a number with a unit: ``500MB`` (10**6), ``1GiB`` or ``1G`` (2**30 and 10**9); bytes need no unit
- a point in time is how long ago it was, a date with or without a time of day, or seconds since the epoch

Pure, but for the local time zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from otel_logtail.errors import invalid

_END_NS = 2**63 - 1  # the last time that the store can hold
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NUMBER = r"[0-9]{1,20}(?:\.[0-9]+)?(?![0-9.])"
_QUANTITY = rf"({_NUMBER})\s*(?:([^\W\d_]+)\s*)?"
_UNIX = re.compile(rf"@({_NUMBER})")
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,]([0-9]{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_WHEN = (
    "use 30s, 90m, 24h, 7d or 2w (ago), now, today, yesterday, "
    "2026-11-24, '2026-11-24 18:30', 2026-11-24T18:30:00Z or @1795457770"
)

_BRIEF_BYTES = 200

_SECOND = 10**9
DURATIONS = {
    "us": 1000,
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "min": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86_400 * _SECOND,
    "w": 604_800 * _SECOND,
}
"""The units of durations, in nanoseconds."""

SIZES = {"": 1, "b": 1} | {
    prefix + end: base**power
    for power, prefix in enumerate("kmgt", 1)
    for end, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}
"""The units of sizes, in bytes, in lower case."""


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as ``500ms`` or ``1d12h``; spaces and capitals do not matter.

    Raises:
        ValueError: the text is not a duration; the message has the reason.
    """
    return sum(_quantities(text, DURATIONS, most=20, example="30s"))


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``1GiB``, ``500MB`` or ``4096``; spaces and capitals do not matter.

    Raises:
        ValueError: the text is not a size; the message has the reason.
    """
    return sum(_quantities(text, SIZES, most=1, example="1GiB"))


def _quantities(text: str, units: Mapping[str, int], *, most: int, example: str) -> Iterator[int]:
    text = text.strip().lower()
    if re.fullmatch(rf"(?:{_QUANTITY}){{1,{most}}}", text) is None:
        raise ValueError(f"expected a number and a unit, e.g. {example}")
    for number, unit in re.findall(_QUANTITY, text):
        if unit not in units:
            raise ValueError(f"unknown unit '{unit}'" if unit else "missing unit")
        yield round(Decimal(number) * units[unit])


def parse_when(text: str, now_ns: int, tz: tzinfo | None = None, *, where: str = "time") -> int:
    """Return a point in time as nanoseconds since the epoch.

    Args:
        text: How long ago (``90m``, ``1d12h``), ``now``, ``today``, ``yesterday`` (midnight), an ISO date or date-time,
            or seconds since the epoch (``@1795457770``).
        now_ns: The time of ``now``.
        tz: The zone of a time without an offset; None is the local one.
        where: The name that the user gave the text under, such as a flag.

    Raises:
        UsageError: the text is none of these.
    """
    word = text.strip().lower()
    if word == "now":
        return now_ns
    if unix := _UNIX.fullmatch(word):
        return _within(int(Decimal(unix[1]) * _SECOND))
    try:
        if word in ("today", "yesterday"):
            date = (_EPOCH + timedelta(microseconds=now_ns // 1000)).astimezone(tz).date()
            if word == "yesterday":
                date -= timedelta(days=1)
            return _since_epoch(_in_zone(datetime(date.year, date.month, date.day), tz))
        if parts := _DATE.fullmatch(word):
            date_text, clock, fraction, offset = parts.groups()
            if offset:
                tz = timezone.utc if offset == "z" else datetime.strptime(offset, "%z").tzinfo
            moment = _in_zone(datetime.fromisoformat(f"{date_text}T{clock or '00:00'}"), tz)
            return _within(_since_epoch(moment) + int((fraction or "0").ljust(9, "0")))
        if re.fullmatch(r"[0-9][\w. ]*", word):
            return _within(now_ns - parse_duration(word))
    except (ValueError, OverflowError) as problem:
        raise invalid(where, text, str(problem), _WHEN) from None
    raise invalid(where, text, "expected a time", _WHEN)


def parse_past(text: str, now_ns: int, *, where: str) -> int:
    """Return a point in time as :func:`parse_when` does, up to a day ahead: clocks of machines differ.

    Raises:
        UsageError: the text is not a time, or one in the future.
    """
    time_ns = parse_when(text, now_ns, where=where)
    if time_ns > now_ns + DURATIONS["d"]:
        raise invalid(where, text, "the time is in the future", _WHEN)
    return time_ns


def iso(time_ns: int) -> str:
    """Return a time as the store's views show it: ISO 8601, UTC, nine decimals."""
    seconds, rest_ns = divmod(time_ns, 10**9)
    return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]}.{rest_ns:09d}Z"


def moment(time_ns: int) -> str:
    """Return a time as a line of the log shows it: ISO 8601, UTC, milliseconds."""
    return f"{iso(time_ns)[:23]}Z"


def local(time_ns: int, tz: tzinfo | None = None) -> str:
    """Return a time in a zone (None: the local one), in milliseconds, with the offset."""
    moment = (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(tz)
    return moment.isoformat(sep=" ", timespec="milliseconds")


def reason_of(problem: OSError) -> str:
    """Return an error of the system without its number, in lower case as the other messages."""
    text = problem.strerror or str(problem)
    return text[:1].lower() + text[1:]


def is_text(value: object) -> bool:
    """Return whether a value is text that can be encoded, which a lone surrogate cannot."""
    return type(value) is str and (value.isascii() or value.encode(errors="replace").decode() == value)


def is_text_or_integer(value: object) -> bool:
    """Return whether a text or a whole number can be sent as an attribute: a number has 64 bits."""
    return -(1 << 63) <= value < 1 << 63 if type(value) is int else is_text(value)


def escaped(text: str) -> str:
    r"""Return a text of the system, such as a file's name, with bytes that are not UTF-8 escaped: ``\xff``."""
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


def printable(text: str) -> str:
    """Return the text on one line, with escapes for characters that do not print.

    So text of a log, a file name or a receiver cannot move the cursor of a terminal or start a line.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def brief(text: str) -> str:
    """Return a name in a few words: printable, on one line, at most 200 bytes (a longer one ends with an ellipsis)."""
    line = printable(" ".join(text.split()))
    if len(line.encode()) <= _BRIEF_BYTES:
        return line
    return line.encode()[: _BRIEF_BYTES - len("…".encode())].decode(errors="ignore") + "…"


def duration(value: object) -> str:
    """Return milliseconds in their units: ``12.345 ms``, ``2.500 s``, ``3 min 02.500 s``, ``1 h 03 min 02.500 s``."""
    micros = round(float(str(value)) * 1000)
    if micros < 1_000_000:
        return f"{micros // 1000}.{micros % 1000:03d} ms"
    minutes, millis = divmod(round(micros / 1000), 60_000)
    seconds = f"{millis // 1000}.{millis % 1000:03d} s"
    if not minutes:
        return seconds
    seconds = seconds.rjust(len("00.000 s"), "0")
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min {seconds}" if hours else f"{minutes} min {seconds}"


def pairs(value: object) -> str:
    """Return a mapping as ``key=value key=value``."""
    return " ".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)


def span(seconds: float) -> str:
    """Return a long duration, rounded to one unit: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    for unit in ("d", "h", "min"):
        if seconds >= 2 * (length := DURATIONS[unit] / _SECOND):
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def short(ms: float) -> str:
    """Return a duration in three figures: ``15.6 ms``, ``500 ms``, ``2 s``, ``1.5 min``."""
    unit = "ms" if ms < 1000 else "s" if ms < 120_000 else "min"
    return f"{ms * DURATIONS['ms'] / DURATIONS[unit]:.3g} {unit}"


def number(count: int, noun: str) -> str:
    """Return a number of things: ``1 sample``, ``2,100 samples``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(number: float) -> str:
    """Return a number of bytes in its unit: ``12 B``, ``3.4 MiB``."""
    for unit in ("GiB", "MiB", "KiB"):
        if number >= (length := SIZES[unit.lower()]):
            return f"{number / length:.1f} {unit}"
    return f"{number:.0f} B"


def _in_zone(naive: datetime, tz: tzinfo | None) -> datetime:
    return naive.astimezone() if tz is None else naive.replace(tzinfo=tz)


def _since_epoch(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _within(time_ns: int) -> int:
    """Return the time, or the first or last possible time if it is out of range."""
    return min(max(time_ns, 0), _END_NS)
