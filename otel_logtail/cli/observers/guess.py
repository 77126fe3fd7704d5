"""Guesses about lines of an unknown log: the form of the time stamp, and durations with their units. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
}
_SPELLED = {
    **dict.fromkeys((b"ns", b"nanos", b"nanosecond", b"nanoseconds"), "ns"),
    **dict.fromkeys(
        (b"us", b"usec", b"usecs", b"\xc2\xb5s", b"\xce\xbcs", b"micros", b"microsecond", b"microseconds"), "us"
    ),
    **dict.fromkeys((b"ms", b"msec", b"msecs", b"millis", b"millisecond", b"milliseconds"), "ms"),
    **dict.fromkeys((b"s", b"sec", b"secs", b"second", b"seconds"), "s"),
}
_UNIT = b"|".join(re.escape(word) for word in sorted(_SPELLED, key=len, reverse=True))
_WORD = rb"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9_.-]+[\"']?[ ]?[:= (]\s?[\"'(\[]?"
_WITH_UNIT = re.compile(
    rb"(?P<key>"
    + _WORD
    + rb"|)(?<![0-9.])(?P<number>"
    + NUMBER.encode()
    + rb")(?P<unit> ?(?:"
    + _UNIT
    + rb"))(?![A-Za-z0-9_.])"
)
_KEY_UNIT = re.compile(
    rb"(?P<key>[\"']?(?P<name>[A-Za-z][A-Za-z0-9_.-]*)[\"']?\s?[:=]\s?[\"']?)(?P<number>"
    + NUMBER.encode()
    + rb")(?![A-Za-z0-9_.:/-])"
)
_NAME_UNIT = re.compile(rb"(?i:.*[_.-](?P<unit>" + _UNIT + rb"))|.*[a-z](?P<camel>Ms|Millis|Seconds|Micros|Nanos)")
_DURATION_NAME = re.compile(
    rb"(?i)(?:.*[_.-])?(?:duration|elapsed|latency|took|(?:response|request|total)[_-]?time|rt)"
)
_WHOLE = re.compile(rb"(?i)total|took|duration|elapsed|latency|completed|request|response")
_RARE = 20
"""A number without a unit is a duration only if more than one of this many lines with time stamps has it."""
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"


class Stamp(msgspec.Struct, frozen=True):
    """The form of a time stamp.

    ``pattern`` has the groups ``second``, ``fraction`` (digits of a second) and ``zone``, as far as the stamp has them.
    ``form`` is that of strptime for ``second`` and ``zone``; empty: seconds since 1970, or, with ``is_ms``,
    milliseconds. ``zone`` is ``utc``, ``offset`` or ``none``. ``is_first``: it begins each line.
    """

    pattern: str
    form: str
    zone: str
    is_ms: bool = False
    is_first: bool = False


class Took(msgspec.Struct, frozen=True):
    """The form of a duration: the text before the number, the unit (``ms``), and the text of the unit behind it.

    ``is_guessed``: the log does not name the unit. ``is_last``: nothing is behind it in the line.
    """

    key: bytes
    unit: str
    behind: bytes
    is_guessed: bool = False
    is_last: bool = False

    @property
    def unit_ns(self) -> int:
        """The unit in nanoseconds."""
        return _UNITS[self.unit]

    @property
    def pattern(self) -> str:
        """A pattern with the group ``number``."""
        end = "$" if self.is_last else "(?![A-Za-z0-9_.])"
        start = escape(self.key) if self.key else "(?<![0-9.])"
        return f"{start}(?P<number>{NUMBER}){escape(self.behind)}{end}"


class Guess(msgspec.Struct, frozen=True):
    """The stamp and the duration that most lines have; further durations; the lines that have both."""

    stamp: Stamp
    took: Took
    others: tuple[Took, ...]
    lines: tuple[bytes, ...]


def escape(text: bytes) -> str:
    """Return a pattern of ASCII for bytes, readable."""
    plain = re.sub(r"\\([ #&~\-])", r"\1", re.escape(text).decode("latin-1"))
    return "".join(char if char.isascii() and char.isprintable() else f"\\x{ord(char):02x}" for char in plain)


def guess(lines: Sequence[bytes]) -> Guess | None:
    """Return the form of most lines that have a time stamp and a duration; None if no line has both."""
    stamps, durations = Counter[Stamp](), Counter[Took]()
    longest: dict[Took, float] = {}
    stamped = 0
    for line in lines:
        stamp = _stamp(line)
        found = dict(_durations(line))
        stamped += stamp is not None
        if stamp is not None and found:
            stamps[stamp] += 1
            durations.update(found.keys())
            for took, number in found.items():
                longest[took] = longest.get(took, 0.0) + number * took.unit_ns
    if not durations:
        return None
    likely = [took for took in durations if not took.is_guessed or durations[took] * _RARE > stamped]
    if not likely:
        return None
    best = max(
        likely,
        key=lambda took: (not took.is_guessed, durations[took], bool(_WHOLE.search(took.key)), longest[took]),
    )
    search, stamp = re.compile(best.pattern.encode()), stamps.most_common(1)[0][0]
    where = re.compile(stamp.pattern.encode())
    kept = tuple(
        line for line in lines if search.search(line) and (where.match if stamp.is_first else where.search)(line)
    )
    return Guess(stamp, best, tuple(took for took, _ in durations.most_common(6) if took != best), kept)


# --- stamps ---------------------------------------------------------------------------------------------------------

_DAY_TIMES = (
    ("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", "%Y-%m-%dT%H:%M:%S"),
    ("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", "%Y-%m-%d %H:%M:%S"),
    ("[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", "%Y/%m/%d %H:%M:%S"),
    (f"[0-9]{{2}}/(?:{_MONTHS})/[0-9]{{4}}:[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}", "%d/%b/%Y:%H:%M:%S"),
)
_BEHIND = re.compile(
    rb"(?P<point>[.,])?(?P<fraction>(?<=[.,])[0-9]{1,9})?(?P<space> ?)"
    rb"(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?(?![0-9])"
)
_EPOCH = re.compile(rb"(?<![0-9.])(?P<second>1[5-9][0-9]{8})(?:\.(?P<fraction>[0-9]{1,9}))?(?![0-9.])")
_EPOCH_MS = re.compile(rb"(?<![0-9.])1[5-9][0-9]{11}(?![0-9.])")
_COMPILED = [(re.compile(pattern.encode()), pattern, form) for pattern, form in _DAY_TIMES]


def _stamp(line: bytes) -> Stamp | None:
    """Return the form of the first time stamp in a line."""
    found = [
        (match.start(), match, pattern, form) for search, pattern, form in _COMPILED if (match := search.search(line))
    ]
    if found:
        at, match, pattern, form = min(found, key=lambda each: each[0])
        return _with_zone(line, at, match.end(), pattern, form)
    for search, is_ms in ((_EPOCH, False), (_EPOCH_MS, True)):
        if (match := search.search(line)) is not None:
            key = _key_before(line, match.start())
            fraction = r"\.(?P<fraction>[0-9]{1,9})" if not is_ms and match["fraction"] else ""
            digits = "1[0-9]{12}" if is_ms else "1[0-9]{9}"
            pattern = f"{escape(key)}(?<![0-9.])(?P<second>{digits}){fraction}(?![0-9])"
            return Stamp(pattern, "", "utc", is_ms, match.start() == len(key))
    return None


def _with_zone(line: bytes, at: int, end: int, pattern: str, form: str) -> Stamp:
    behind = _BEHIND.match(line, end)
    fraction = zone = ""
    kind, text = "none", b""
    if behind is not None:
        if behind["fraction"]:
            fraction = escape(behind["point"]) + "(?P<fraction>[0-9]{1,9})"
        text = behind["zone"] or b""
    if text in (b"Z", b"UTC", b"GMT"):
        kind, zone = "utc", escape(behind["space"] + text) if behind is not None else ""
    elif text:
        kind, zone, form = "offset", " ?(?P<zone>[+-][0-9]{2}:?[0-9]{2})", form + "%z"
    bracket = r"\[" if line[at - 1 : at] == b"[" else ""
    return Stamp(f"{bracket}(?P<second>{pattern}){fraction}{zone}", form, kind, False, at == (1 if bracket else 0))


def _key_before(line: bytes, at: int) -> bytes:
    """Return the name before a number, such as ``"ts":``."""
    match = re.search(rb"[\"']?[A-Za-z][A-Za-z0-9_.-]*[\"']?[:=] ?[\"']?$", line[max(0, at - 60) : at])
    return match[0] if match else b""


# --- durations ------------------------------------------------------------------------------------------------------


def _durations(line: bytes) -> Iterator[tuple[Took, float]]:
    """Yield the forms of the durations in a line, each with its number."""
    for match in _WITH_UNIT.finditer(line):
        is_last = not match["key"] and match.end() == len(line)
        if match["key"] or is_last:
            yield (
                Took(match["key"], _SPELLED[match["unit"].strip()], match["unit"], is_last=is_last),
                float(match["number"]),
            )
    for match in _KEY_UNIT.finditer(line):
        if named := _NAME_UNIT.fullmatch(match["name"]):
            text = (named["unit"] or named["camel"]).lower()
            yield Took(match["key"], _SPELLED[text], b""), float(match["number"])
        elif _DURATION_NAME.fullmatch(match["name"]):
            unit = "s" if b"." in match["number"] else "ms"
            yield Took(match["key"], unit, b"", is_guessed=True), float(match["number"])
