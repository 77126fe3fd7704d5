"""Removes the wrapper around a line: the prefix of syslog, or what a container runtime adds. Pure.

Each line is decided by its own form, so the result is the same after a restart, and when the log is read again later.
A line of another form has no wrapper. In a container, the inner line may have a prefix of syslog, too.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache

import msgspec

from otel_logtail.observer import Frame

AUTO, NONE, SYSLOG, CRI, DOCKER = "auto", "none", "syslog", "cri", "docker"
FRAMINGS = (AUTO, NONE, SYSLOG, CRI, DOCKER)
"""The wrappers to remove: any of them, none, or one."""


class Wrapped(msgspec.Struct, frozen=True, gc=False):
    """A line without its wrapper. ``stream`` is that of a container, ``is_part``: its next line continues this one."""

    text: bytes
    frame: Frame
    stream: bytes = b""
    is_part: bool = False


class Framing:
    """The wrappers of one source: one of :data:`FRAMINGS`, and the marker of its observer.

    ``needle`` is what a line with the marker contains in any wrapper: the longest part that JSON does not escape.
    """

    def __init__(self, mode: str, marker: bytes) -> None:
        self.mode = mode
        self.marker = marker
        self.needle = marker
        if mode in (AUTO, DOCKER):
            self.needle = max(_UNESCAPED.findall(marker), key=len, default=b"")

    def unwrap(self, line: bytes) -> Wrapped | None:
        """Return a line without its wrapper; None: it has none."""
        if self.mode == AUTO and (usual := _usual(line)) is not None:
            return usual
        wrapped = self.container(line)
        if wrapped is None:
            return self._syslog(line)
        return wrapped if wrapped.is_part else self.within(wrapped)

    def container(self, line: bytes) -> Wrapped | None:
        """Return a line without what a container runtime added; None: it added nothing."""
        if self.mode in (AUTO, DOCKER) and line.startswith(_DOCKER_BEGIN):
            return _docker(line)
        if self.mode in (AUTO, CRI) and line[10:11] == b"T":
            return _cri(line)
        return None

    def within(self, wrapped: Wrapped) -> Wrapped:
        """Return a container's line without the prefix of syslog that the program in it may have written."""
        inner = self._syslog(wrapped.text)
        if inner is None:
            return wrapped
        time_ns = wrapped.frame.time_ns if inner.frame.time_ns is None else inner.frame.time_ns
        zone = wrapped.frame.zone if inner.frame.zone is None else inner.frame.zone
        return Wrapped(inner.text, Frame(time_ns, zone), wrapped.stream)

    def has_parts(self, buffer: bytes | bytearray, start: int, end: int) -> bool:
        """Return whether lines may be cut into parts. It may be wrong only in returning true."""
        if self.mode in (AUTO, CRI) and any(buffer.find(mark, start, end) >= 0 for mark in _CRI_PARTS):
            return True
        if self.mode not in (AUTO, DOCKER):
            return False
        whole = buffer.count(rb"\n" + _DOCKER_STREAM, start, end)
        return whole != buffer.count(_DOCKER_STREAM, start, end) or buffer.find(_ODD_END, start, end) >= 0

    def has_streams(self, buffer: bytes | bytearray, start: int, end: int) -> bool:
        """Return whether a line may be that of a container. It may be wrong only in returning true."""
        return any(buffer.find(mark, start, end) >= 0 for mark in _STREAMS)

    def _syslog(self, line: bytes) -> Wrapped | None:
        if self.mode not in (AUTO, SYSLOG):
            return None
        if line.startswith(b"<"):
            return _with_priority(line)
        match = None
        if line[10:11] == b"T":
            match = _pattern(_ISO).match(line)
        elif line[3:4] == b" ":
            match = _pattern(_TRADITIONAL).match(line)
        if match is None or (self.mode == AUTO and _is_level(match)):
            return None
        return Wrapped(line[match.end() :], _frame_of_syslog(match))


_UNESCAPED = re.compile(rb"[ !#-%'-;=?-\[\]-~]+")
_LEVELS = frozenset(
    b"trace debug info information notice warn warning error err crit critical fatal panic alert emerg severe".split()
)
"""Words in place of a host or a program: the line is that of a program with stamps of its own."""

_STAMP = rb"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:\d\d)"
_NAMED = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?: \d|[0-3]\d) \d\d:\d\d:\d\d"
_HOST = rb"(?P<host>[\w.:%-]*[\w%-])"
_TAG = rb"(?P<tag>[^ \[\]:]+)(?:\[[^\] ]*\])?:(?: |$)"
_ISO = _STAMP + rb" " + _HOST + rb" " + _TAG
_TRADITIONAL = _NAMED + rb" " + _HOST + rb" " + _TAG

# what a program sends to a socket, or writes to a file in that form: RFC 3164, the host may be missing, and RFC 5424
_ELEMENT = rb'\[[^ =\]"]+(?: [^ =\]"]+="(?:[^"\\\]]|\\.)*")*\]'
_BSD = rb"<\d{1,3}>(?:" + _STAMP + rb"|" + _NAMED + rb") (?:" + _HOST + rb" )?" + _TAG
_IETF = (
    rb"<\d{1,3}>1 (?:" + _STAMP + rb"|-) [^ ]+ [^ ]+ [^ ]+ [^ ]+ (?:-|(?:" + _ELEMENT + rb")+)(?: (?:\xef\xbb\xbf)?|$)"
)

_CRI = _STAMP + rb" (?P<stream>stdout|stderr) (?P<tag>[PF])(?::[^ ]*)?(?: |$)"
_CRI_PARTS = (b" stdout P", b" stderr P")

_STREAMS = (b" stdout ", b" stderr ", b'","stream":"std')

_DOCKER_BEGIN = b'{"log":"'
_DOCKER_STREAM = b'","stream":"'
_DOCKER_END = rb"(?s)" + _DOCKER_STREAM + rb'(?P<stream>stdout|stderr)"(?:,"attrs":\{.*\})?,"time":"' + _STAMP + rb'"\}'
_ODD_END = rb"\\n" + _DOCKER_STREAM


@cache
def _pattern(text: bytes) -> re.Pattern[bytes]:
    """Compile a pattern when a line first needs it: the lines of most logs have one form."""
    return re.compile(text)


def _is_level(match: re.Match[bytes]) -> bool:
    return not _LEVELS.isdisjoint((match["host"].lower(), match["tag"].lower()))


def _with_priority(line: bytes) -> Wrapped | None:
    match = _pattern(_IETF).match(line) or _pattern(_BSD).match(line)
    return None if match is None else Wrapped(line[match.end() :], _frame_of_syslog(match))


def _cri(line: bytes) -> Wrapped | None:
    match = _pattern(_CRI).match(line)
    if match is None:
        return None
    second, fraction, zone, stream, tag = match.groups()
    return Wrapped(line[match.end() :], _frame_of_runtime(second, fraction, zone), stream, tag == b"P")


def _docker(line: bytes) -> Wrapped | None:
    begin = len(_DOCKER_BEGIN) - 1
    end = line.find(_DOCKER_STREAM, begin + 1)
    match = _pattern(_DOCKER_END).fullmatch(line, end) if end >= 0 else None
    text = None if match is None else _text_of(line[begin : end + 1])
    if match is None or text is None:
        return None
    is_part = not text.endswith(b"\n")
    text = text if is_part else text[:-1].removesuffix(b"\r")
    if b"\n" in text:
        return None
    stream, second, fraction, zone = match.groups()
    return Wrapped(text, _frame_of_runtime(second, fraction, zone), stream, is_part)


def _text_of(string: bytes) -> bytes | None:
    """Return the text of a string of JSON; None: it is not one. Bytes that are not UTF-8 stay as they are."""
    try:
        return _decode(string).encode()
    except (msgspec.MsgspecError, ValueError):
        pass
    try:
        found: str = json.loads(string.decode(errors="surrogateescape"), strict=False)
        return found.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return found.encode(errors="replace")  # half of a pair of surrogates
    except ValueError:
        return None


_decode = msgspec.json.Decoder(str).decode


def _frame_of_syslog(match: re.Match[bytes]) -> Frame:
    """Return the time and the zone of a prefix; those of the traditional form are unknown."""
    second, fraction, offset = (None, None, None) if match.re.pattern == _TRADITIONAL else match.group(*_OF_STAMP)
    if second is None:
        return _UNKNOWN
    second_ns, zone = _second(second, offset)
    return Frame(None if second_ns is None else second_ns + _fraction_ns(fraction), zone)


_OF_STAMP = ("second", "fraction", "zone")


def _frame_of_runtime(second: bytes, fraction: bytes | None, zone: bytes) -> Frame:
    """Return the time of a stamp. A runtime does not have the zone of the program in the container."""
    second_ns, _ = _second(second, zone)
    return _UNKNOWN if second_ns is None else Frame(second_ns + _fraction_ns(fraction))


def _fraction_ns(digits: bytes | None) -> int:
    return 0 if digits is None else int(digits) * _NS_OF_DIGITS[len(digits)]


_NS_OF_DIGITS = tuple(10 ** (9 - digits) for digits in range(10))
_UNKNOWN = Frame()
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@lru_cache(maxsize=256)  # lines of one second follow each other
def _second(second: bytes, offset: bytes) -> tuple[int | None, tzinfo | None]:
    """Return the time of a second, in UTC, and its zone; None: there is no such time, or no such zone."""
    zone = timezone.utc
    try:
        if offset not in (b"Z", b"+00:00"):
            minutes = int(offset[1:3]) * 60 + int(offset[4:6])
            zone = timezone(timedelta(minutes=-minutes if offset.startswith(b"-") else minutes))
        since = datetime.fromisoformat(second.decode()).replace(tzinfo=zone) - _EPOCH
    except ValueError:
        return None, None
    return (since.days * 86_400 + since.seconds) * 10**9, zone


def _usual(line: bytes) -> Wrapped | None:
    """Return a line without the usual prefix of syslog, and None for any other line: faster than to match it."""
    if line[10:11] != b"T":
        words = line[_NAMED_BYTES:].split(b" ", 2)
        is_syslog = len(words) == 3 and _is_named(line[:_NAMED_BYTES]) and _are_usual(words[0], words[1])
        return Wrapped(words[2], _UNKNOWN) if is_syslog else None
    words = line.split(b" ", 3)
    if len(words) < 4 or not _are_usual(words[1], words[2]):
        return None
    stamp = words[0]
    zone_at = -1 if stamp.endswith(b"Z") else -6
    second_ns, zone = _checked_second(stamp[:_SECOND], stamp[zone_at:])
    fraction = stamp[_SECOND:zone_at]
    if second_ns is None:
        return None
    if fraction:
        digits = fraction[1:]
        if not (fraction.startswith(b".") and digits.isdigit() and len(digits) < len(_SCALES)):
            return None
        second_ns += int(digits) * _SCALES[len(digits)]
    return Wrapped(words[3], Frame(second_ns, zone))


_SECOND = 19  # bytes of "2026-11-29T11:59:54"
_NAMED_BYTES = 16  # of "Nov 29 11:59:54 "
_SCALES = tuple(10 ** (9 - digits) for digits in range(10))


@lru_cache(maxsize=256)
def _is_named(stamp: bytes) -> bool:
    """Return whether a text is a stamp of the traditional form and a space."""
    return re.fullmatch(_NAMED + rb" ", stamp) is not None


def _are_usual(host: bytes, tag: bytes) -> bool:
    # a cache keeps its words, and a client can choose them: a few of a MiB each would be all memory
    return len(host) + len(tag) <= _NAMES_BYTES and _are_names(host, tag)


_NAMES_BYTES = 512
"""The most bytes of a host and a program. A line with longer ones is matched as a whole."""


@lru_cache(maxsize=256)
def _are_names(host: bytes, tag: bytes) -> bool:
    """Return whether two words are the host and the program of a line of syslog, and not of a container's."""
    match = re.fullmatch(_HOST + rb" " + _TAG, host + b" " + tag)
    return match is not None and not _is_level(match) and host not in (b"stdout", b"stderr")


@lru_cache(maxsize=256)
def _checked_second(second: bytes, offset: bytes) -> tuple[int | None, tzinfo | None]:
    """Return the same as :func:`_second` for two pieces of a line, which may be anything."""
    return _second(second, offset) if re.fullmatch(_STAMP, second + offset) else (None, None)


def may_be_wrapped(line: bytes) -> bool:
    """Return whether a line may have a wrapper. It costs little, and is true of each line that has one."""
    return (
        (line[10:11] == b"T" and line[4:5] == line[7:8] == b"-")
        or line.startswith((_DOCKER_BEGIN, b"<"))
        or (line[3:4] == line[6:7] == b" " and line[9:10] == b":")
    )
