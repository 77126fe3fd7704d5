"""Text for people: points in time, durations and sizes as people write and read them; terminal-safe text.

Pure, but for the local zone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from otel_logtail.errors import UsageError

_END_NS = 2**63 - 1  # what the store can hold
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_AGO = re.compile(rf"(?:{_NUMBER}[smhdw])+")
_PART = re.compile(rf"({_NUMBER})([smhdw])")
_MS = {"ms": 1, "min": 60_000, **{unit: seconds * 1000 for unit, seconds in _SECONDS.items()}}
_UNIT = "|".join(sorted(_MS, key=len, reverse=True))
_UNIX = re.compile(rf"@({_NUMBER})")
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,]([0-9]{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_ACCEPTED = (
    "write 30s, 90m, 24h, 7d or 2w (ago), now, today, yesterday, "
    "2026-11-24, '2026-11-24 18:30', 2026-11-24T18:30:00Z or @1795457770"
)
_BYTES = {"": 1, "b": 1} | {
    f"{prefix}{i}b": base**power for power, prefix in enumerate("kmgt", 1) for i, base in (("", 1000), ("i", 1024))
}


def parse_when(text: str, now_ns: int, tz: tzinfo | None = None) -> int:
    """The point in time that a text means, as nanoseconds since the epoch.

    Args:
        text: How long ago (``90m``, ``1d12h``), ``now``, ``today``, ``yesterday`` (midnight), an ISO date or date-time,
            or seconds since the epoch (``@1795457770``).
        now_ns: What ``now`` is.
        tz: The zone of what has no offset; None is the local one.

    Raises:
        UsageError: the text is none of these.
    """
    word = text.strip().lower()
    if word == "now":
        return now_ns
    if _AGO.fullmatch(word):
        return _within(now_ns - sum(_ns(number) * _SECONDS[unit] for number, unit in _PART.findall(word)))
    if unix := _UNIX.fullmatch(word):
        return _within(_ns(unix[1]))
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
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no time: {error}", hint=_ACCEPTED) from None
    raise UsageError(f"{text!r} is no time that can be understood", hint=_ACCEPTED)


def iso(time_ns: int) -> str:
    """A time as the store's views show it: ISO 8601, UTC, nine decimals."""
    return f"{_EPOCH + timedelta(seconds=time_ns // 10**9):%Y-%m-%dT%H:%M:%S}.{time_ns % 10**9:09d}Z"


def local(time_ns: int, tz: tzinfo | None = None) -> str:
    """A time for people: in their zone (None: the local one), to the millisecond, with the offset."""
    moment = (_EPOCH + timedelta(microseconds=time_ns // 1000)).astimezone(tz)
    return moment.isoformat(sep=" ", timespec="milliseconds")


def printable(text: str) -> str:
    """Return the text on one line, with escapes for whatever does not print.

    Text of a log, a file name or a receiver can so neither move a terminal's cursor nor begin a line of its own.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def duration(value: object) -> str:
    """Milliseconds for people: ``12.345 ms``, ``2.500 s``, ``3 min 02.500 s``, ``1 h 03 min 02.500 s``."""
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
    """A mapping as ``key=value key=value``."""
    return " ".join(f"{key}={item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)


def span(seconds: float) -> str:
    """A stretch of time for people: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def size(number: float) -> str:
    """Bytes for people: ``12 B``, ``3.4 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def parse_bytes(text: str) -> int | None:
    """The bytes that a text such as 1GiB, 500MB or 4096 means; None if it means no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)", text.strip().lower())
    if match is None:
        return None
    unit = match[2] if not match[2] or match[2].endswith("b") else match[2] + "b"
    return int(float(match[1]) * _BYTES[unit]) if unit in _BYTES else None


def parse_duration(text: str) -> int | None:
    """Return the nanoseconds that a text such as 500ms, 90s, 10min or 1d12h means, or None if it is not a duration."""
    word = text.strip().lower()
    if re.fullmatch(rf"(?:{_NUMBER}(?:{_UNIT}))+", word) is None:
        return None
    return sum(_ns(number) * _MS[unit] for number, unit in re.findall(rf"({_NUMBER})({_UNIT})", word)) // 1000


def _ns(seconds: str) -> int:
    return int(Decimal(seconds) * 10**9)


def _in_zone(naive: datetime, tz: tzinfo | None) -> datetime:
    return naive.astimezone() if tz is None else naive.replace(tzinfo=tz)


def _since_epoch(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _within(time_ns: int) -> int:
    """A bound before everything or after everything is as good as the first or last time that there is."""
    return min(max(time_ns, 0), _END_NS)
