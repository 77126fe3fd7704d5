"""How an application lays out the lines of its log: in front of asyncio's message, and behind it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from otel_logtail.model import Rejected

MARKER = b"Executing <"
MISPLACED = Rejected("misplaced")

Parts = tuple["re.Match[bytes] | None", bytes]
"""The time in a line (groups of :data:`TIME`; None: it has none), and asyncio's message."""
Layout = Callable[[bytes], "Parts | Rejected"]
"""Takes a line with the marker."""

# behind a fraction, four digits may be the process of '%(asctime)s-%(process)d', which does not begin with a zero
_ZONE = rb"(?P<zone>Z|UTC|(?:[+-]\d\d:|\+\d\d|-0\d)(?:00|15|30|45))"
_SHORT_ZONE = rb"(?P<short_zone>Z|UTC|[+-]\d\d:?(?:00|15|30|45))"
TIME = (
    rb"(?P<second>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)"
    rb"(?:[,.](?P<fraction>\d{1,9})(?: ?" + _ZONE + rb"(?!\w))?|(?: ?" + _SHORT_ZONE + rb"(?!\w))?)"
)
"""``%(asctime)s``: logging's own form, and those of ISO 8601. Without a zone it is local."""

_FIELD = re.compile(r"%(?:%|\((\w+)\)[-#0 +]*\d*(?:\.\d+)?([a-zA-Z]))")
_KNOWN = {
    "asctime": TIME,
    "created": rb"(?P<epoch>\d{1,10})(?:\.(?P<epoch_fraction>\d{1,9}))?",
    "msecs": rb"(?P<msecs>\d{1,3})(?:\.\d+)?",
    "message": rb"(?P<message>Executing <(?:.*[^ ])?)",
    "name": rb"asyncio",
    "levelname": rb"WARNING",
    "levelno": rb"30",
}
_NUMBER, _TEXT = rb"\d+", rb"(?:Thread-\d+ \([^ ()]{1,64}\)|[^ ]{0,128}?)"
"""Fields that are not used. Their length is limited, so that a long line is read in bounded time. Text has no spaces,
except in Python's name of a thread: the message of another logger could begin with them.
"""
_SPACES = rb" {%d,256}"

_USUAL_TIME = re.compile(rb"(?<![\d-])" + TIME)
_WORD = re.compile(rb"[^\W\d][\w.]*")
_OF_LOGGING = frozenset(
    (
        *(b"WARNING", b"WARN", b"Warning", b"warning", b"warn", b"W"),
        *(b"asyncio", b"base_events", b"base_events.py", b"_run_once"),
        *(b"MainThread", b"MainProcess", b"Thread", b"Process", b"SpawnProcess", b"ForkProcess"),
    )
)
"""Words that logging itself puts into a line of asyncio. An application chooses which of them, and their order."""
_MOST_PREFIX = 256


def read_usual(line: bytes) -> Parts | Rejected:
    """Return the parts of a line in any usual format.

    The time has a usual form, at any place in front of the message. There may also be words of logging itself (the
    level, the logger, the thread) and numbers. Behind any other word, the message may be a part of another text, such
    as one from a client.
    """
    at = line.find(MARKER)
    prefix = line[:at]
    found = _USUAL_TIME.search(prefix)
    rest = prefix if found is None else prefix[: found.start()] + b" " + prefix[found.end() :]
    if len(rest) > _MOST_PREFIX or not _OF_LOGGING.issuperset(_WORD.findall(rest)):
        return MISPLACED
    return found, line[at:]


def layout_of(text: str) -> Layout:
    """Return the layout of a format of Python's logging (with ``%``).

    Raises:
        ValueError: the format has no message or no time, or is not a format. The text is the reason.
    """
    parts: list[bytes | int] = []  # an int: at least so many spaces
    names, position = set(), 0
    for field in _FIELD.finditer(text):
        name, kind = field.groups()
        parts += _literal(text[position : field.start()])
        position = field.end()
        if name is None:
            parts.append(b"%")
        elif name not in _KNOWN:
            parts += [0, _TEXT if kind == "s" else _NUMBER, 0]
        elif name in names:
            raise ValueError(f"it has %({name})s twice")
        else:
            names.add(name)
            parts += [0, _KNOWN[name], 0]  # a width pads the text with spaces
    parts += _literal(text[position:])
    if "message" not in names:
        raise ValueError("it has no %(message)s")
    if not names & {"asctime", "created"}:
        raise ValueError("it has no %(asctime)s")
    compiled = re.compile(_pattern_of(parts))

    def read(line: bytes) -> Parts | Rejected:
        match = compiled.fullmatch(line)
        return MISPLACED if match is None else (match, match["message"])

    return read


def _literal(text: str) -> list[bytes | int]:
    if "%" in text:
        raise ValueError("it is not a format of Python's logging")
    parts = re.split("( +)", text)
    return [len(part) if part.startswith(" ") else re.escape(part.encode()) for part in parts if part]


def _pattern_of(parts: list[bytes | int]) -> bytes:
    """Return the pattern of a line.

    Anyone may choose a line's text, so no line may take long. Spaces are in one place only, not beside others. A text
    that is not used ends at the first place where what is behind it, up to the next such text, matches. The group and
    the reference to it keep the pattern from trying all other places (atomic groups need Python 3.11).
    """
    segments = [b""]
    spaces: int | None = None
    for part in [*parts, b""]:
        if isinstance(part, int):
            spaces = part + (spaces or 0)
            continue
        segments[-1] += b"" if spaces is None else _SPACES % spaces
        spaces = None
        if part is _TEXT:
            segments.append(b"")
        else:
            segments[-1] += part
    pattern = segments[0]
    for index, segment in enumerate(segments[1:], 1):
        is_last = index == len(segments) - 1  # it has to reach the end of the line
        pattern += _TEXT + segment if is_last else rb"(?=(?P<text%d>%s%s))(?P=text%d)" % (index, _TEXT, segment, index)
    return pattern
