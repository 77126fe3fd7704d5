"""Names of rotated files: which belong to a live path, in which order, and which are compressed.

A rotated name is the live name with a number or a date behind it (or before its extension), such as ``.1``,
``.2024-01-31``, ``-20240131`` or ``.1700000000``, and perhaps the extension of a codec. A time with milliseconds may
have a reason behind it (``-2024-01-31T12-00-00.000-size``). Larger numbers are older, later dates are newer. In a ring
(``PathRule.ring``) numbers are used again, so only the times of the files show their order.
"""

from __future__ import annotations

import os
import re
from functools import cache, lru_cache

from otel_logtail.tail.directories import FILE, LINK, Folders, Names

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

# a real date, with separators in both places or in none: 8787-1234 is a port and a pid
_DATE = (
    r"(?:19|20)\d\d(?P<dash>-?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12]\d|3[01])[-_.T:\d]*"
    r"(?:(?<=\d\.\d{3})-(?P<reason>[a-z][a-z0-9_-]*))?"
)
_BEHIND = rf"[.-](?:(?P<number>\d{{1,6}})|(?P<date>{_DATE}|\d{{9,}}))"
_BEFORE_EXTENSION = rf"\.(?P<number>\d{{1,3}})|[.-](?P<date>{_DATE})"
_ROTATED_END = rf"(?:\.\d{{1,6}}|[.-](?:{_DATE}|\d{{9,}}))$"
_ROTATED_MIDDLE = rf"(?:\.\d{{1,3}}|[.-]{_DATE})(?P<extension>\.[A-Za-z]+)$"
_REASONS = ("size", "time")
"""No program names the file that it writes to after one of these reasons for a rotation."""


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern when a name first needs it: there may be no rotated file."""
    return re.compile(text)


def is_compressed(path: str) -> bool:
    """Return whether a file with this name is read through a codec."""
    return path.endswith(_COMPRESSED)


def plain_name(path: str) -> str:
    """Return the path without the extension of a codec."""
    for codec in _COMPRESSED:
        path = path.removesuffix(codec)
    return path


def rotated_of(live: str, names: Names, *, ring: bool = False) -> list[str]:
    """Return the rotated files of a live path, the oldest first.

    If there are a plain and a compressed file of one name, the plain one is returned.

    Args:
        live: The path that the program writes to.
        names: The names in its directory, at least those that begin like its own.
        ring: Whether the program uses the same few numbers again and again.
    """
    if len(names) == 1 and live.endswith(names[0][0]):
        return []  # the usual case: a rotated name is longer than the live one
    folder, name = os.path.split(live)
    stem, extension = os.path.splitext(name)
    found: dict[str, tuple[tuple[int, int, str], str]] = {}
    for other, _, kind in names:
        match = _rotated_as(other, name, stem, extension)
        if match is None or kind not in (FILE, LINK):
            continue
        path = os.path.join(folder, other)
        if kind == LINK and not os.path.isfile(path):
            continue
        plain, number = plain_name(other), match["number"]
        if plain not in found or is_compressed(found[plain][1]):
            found[plain] = ((1, -int(number), "") if number else (0, 0, match["date"]), path)
    ordered = sorted(found.values(), reverse=ring)
    two_schemes = bool(ordered) and ordered[0][0][0] != ordered[-1][0][0]
    if ring or two_schemes:
        ordered.sort(key=lambda one: _modified_ns(one[1]))  # only the times show the order
    return [path for _, path in ordered]


def siblings(live: str, folders: Folders | None = None, now_s: float = 0.0, *, ring: bool = False) -> list[str]:
    """Return the rotated files of a live path that exist now, or in the listings of ``folders``, the oldest first."""
    try:
        return rotated_of(live, (folders or Folders()).beside(live, now_s, fresh=True), ring=ring)
    except OSError:
        return []


def _modified_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0  # it was deleted meanwhile


def _rotated_as(other: str, name: str, stem: str, extension: str) -> re.Match[str] | None:
    """Return the mark in ``other`` of a rotated file of ``name`` (``stem + extension``); None if it has none."""
    if not other.startswith(stem) or other == name:
        return None
    plain = plain_name(other)
    if plain.startswith(name):
        return _pattern(_BEHIND).fullmatch(plain[len(name) :])
    if extension and plain.endswith(extension):
        # proxy-8787.log is another live file, not proxy.log rotated
        return _pattern(_BEFORE_EXTENSION).fullmatch(plain[len(stem) : -len(extension)])
    return None


def is_sibling(live: str, path: str) -> bool:
    """Return whether a path, which need not exist, is that of a rotated file of a live path."""
    (folder, name), (other_folder, other) = os.path.split(live), os.path.split(path)
    return folder == other_folder and _rotated_as(other, name, *os.path.splitext(name)) is not None


def is_rotated_name(path: str) -> bool:
    """Return whether a file was renamed by a rotation, as far as its name shows."""
    return is_rotated_in(*os.path.split(path))


def is_rotated_in(folder: str, name: str) -> bool:
    """Return whether a file in this directory was renamed by a rotation, as far as its name shows."""
    sure, base = _rotated_from(name)
    # a number before the extension counts only if the live file exists
    return sure or (base != name and os.path.exists(os.path.join(folder, base)))


@lru_cache(maxsize=1 << 14)  # the same names are checked at each scan, and there may be thousands
def _rotated_from(name: str) -> tuple[bool, str]:
    """Return whether a name by itself is that of a rotated file, and the name without a number in its middle."""
    if is_compressed(name) or _pattern(_ROTATED_END).search(name):
        return True, name
    middle = _pattern(_ROTATED_MIDDLE).search(name)
    if middle is None:
        return False, name
    return middle["reason"] in _REASONS, name[: middle.start()] + middle["extension"]
