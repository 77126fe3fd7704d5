"""Names of rotated files: which belong to a live path, in which order, and which are compressed.

A rotated name is the live name with ``.1``, ``.2024-01-31``, ``-20240131``, ``.1700000000`` and the like behind it (or
before its extension), and perhaps the extension of a codec. Numbers grow with age, dates with youth.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from otel_logtail.tail.directories import FILE, LINK, Folders, Names

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")

# a real date, with separators in both places or in none: 8787-1234 is a port and a pid
_DATE = r"(?:19|20)\d\d(?P<dash>-?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12]\d|3[01])[-_.T:\d]*"
_BEHIND = re.compile(rf"[.-](?:(?P<number>\d{{1,6}})|(?P<date>{_DATE}|\d{{9,}}))")
_BEFORE_EXTENSION = re.compile(rf"\.(?P<number>\d{{1,3}})|[.-](?P<date>{_DATE})")
_ROTATED_END = re.compile(rf"(?:\.\d{{1,6}}|[.-](?:{_DATE}|\d{{9,}}))$")
_ROTATED_MIDDLE = re.compile(rf"(?:\.\d{{1,3}}|[.-]{_DATE})(?P<extension>\.[A-Za-z]+)$")


def is_compressed(path: str) -> bool:
    """Whether a file of this name is read through a codec."""
    return path.endswith(_COMPRESSED)


def plain_name(path: str) -> str:
    """The path without what a compressor puts behind it."""
    for codec in _COMPRESSED:
        path = path.removesuffix(codec)
    return path


def rotated_of(live: str, names: Names) -> list[str]:
    """The rotated files of a live path, oldest first; of a plain and a compressed one of the same name, the plain one.

    Names are the live name with ``.1``, ``.2024-01-31``, ``-20240131``, ``.1700000000`` and the like behind it (or
    before its extension), and perhaps ``.gz``, ``.bz2``, ``.xz`` or ``.zst``. Numbers grow with age, dates with youth.

    Args:
        live: The path that the program writes to.
        names: What is in its directory, at least all that begins as its name does.
    """
    folder, name = os.path.split(live)
    stem, extension = os.path.splitext(name)
    found: dict[str, tuple[tuple[int, int, str], str]] = {}
    if len(names) == 1 and names[0][0] == name:
        return []  # as it is mostly
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
    ordered = sorted(found.values())
    if ordered and ordered[0][0][0] != ordered[-1][0][0]:
        ordered.sort(key=lambda one: _modified_ns(one[1]))  # two schemes at once: only the times can tell
    return [path for _, path in ordered]


def siblings(live: str, folders: Folders | None = None) -> list[str]:
    """The same, of what is there now (with ``folders``: when they were asked first)."""
    try:
        return rotated_of(live, (folders or Folders()).beside(live, 0.0, fresh=True))
    except OSError:
        return []


def _modified_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0  # it went while we looked


def _rotated_as(other: str, name: str, stem: str, extension: str) -> re.Match[str] | None:
    """What makes a name that of a rotated file of ``name``, which is ``stem + extension``."""
    if not other.startswith(stem) or other == name:
        return None
    plain = plain_name(other)
    if plain.startswith(name):
        return _BEHIND.fullmatch(plain[len(name) :])
    if extension and plain.endswith(extension):
        # proxy-8787.log is another live file, not proxy.log rotated
        return _BEFORE_EXTENSION.fullmatch(plain[len(stem) : -len(extension)])
    return None


def is_sibling(live: str, path: str) -> bool:
    """Whether a file of this path, there or not, counts as a rotated one of a live path."""
    (folder, name), (other_folder, other) = os.path.split(live), os.path.split(path)
    return folder == other_folder and _rotated_as(other, name, *os.path.splitext(name)) is not None


def is_rotated_name(path: str) -> bool:
    """Whether a file of this name was put aside by a rotation, as far as its name tells."""
    folder, name = os.path.split(path)
    sure, base = _rotated_from(name)
    # what stands before the extension tells only beside the live file that it belongs to
    return sure or (base != name and os.path.exists(os.path.join(folder, base)))


@lru_cache(maxsize=4096)  # the same names are asked about at each look
def _rotated_from(name: str) -> tuple[bool, str]:
    """Whether a name by itself says that it was rotated; and what it would be without what says so in its middle."""
    return bool(is_compressed(name) or _ROTATED_END.search(name)), _ROTATED_MIDDLE.sub(r"\g<extension>", name)
