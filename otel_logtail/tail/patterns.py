"""Patterns of file names, and the files that match them now.

A pattern is a path with the shell's wildcards: ``*``, ``?``, ``[...]`` within a name, and ``**`` for any number of
directories. A wildcard in brackets (``[*]``, ``[?]``, ``[[]``) matches itself: :func:`expand` writes the values of
variables so, since a value is a name and never a pattern.

A name that exists as it is written is taken literally, wildcards or not: ``/srv/[prod]/proxy.log``. The exception is a
file name with ``*``, which always is a pattern (and matches itself).

Each real directory is searched once, so that a link to a directory above it does no harm. Directories come before links
to them, so that a file has its plainest name.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

from otel_logtail.tail.descriptors import DESCRIPTORS

_ESCAPED = re.compile(r"\[([*?[])\]")


def expand(patterns: Iterable[str], environ: Mapping[str, str], home: str) -> list[str]:
    """Return absolute patterns, with ``~`` and ``${VARIABLES}`` replaced.

    A pattern with a variable that is not set (or an empty ``home``) is left out. Wildcards in a value match themselves.
    """
    expanded = []
    for pattern in patterns:
        text = re.sub(r"\$\{(\w+)\}", lambda match: glob.escape(environ.get(match[1], "")) or match[0], pattern)
        if "${" in text:
            continue
        if text == "~" or text.startswith("~/"):
            if not home:
                continue
            text = glob.escape(home) + text[1:]
        if not text.startswith("/"):
            text = os.path.join(glob.escape(os.getcwd()), text)
        expanded.append(os.path.normpath(text.replace("//", "/", 1) if text.startswith("//") else text))
    return expanded


def has_wildcards(pattern: str) -> bool:
    """Return whether a pattern (or a part of one) may match more than one name."""
    return glob.has_magic(_ESCAPED.sub("", pattern))


def as_written(pattern: str) -> str:
    """Return the path that a pattern is if none of its wildcards is one: the text that a user has written."""
    return _ESCAPED.sub(r"\1", pattern)


class Part(msgspec.Struct, frozen=True):
    """One name of a pattern. ``text`` is its literal form; ``regex`` is None if there are no wildcards."""

    text: str
    regex: re.Pattern[str] | None
    deep: bool = False

    def matches(self, name: str) -> bool:
        """Return whether a name matches; a hidden name needs a part that begins with a dot, too."""
        if self.regex is None or name == self.text:
            return name == self.text
        return (not name.startswith(".") or self.text.startswith(".")) and self.regex.match(name) is not None


@lru_cache(maxsize=1024)
def _part(text: str) -> Part:
    if text == "**":
        return Part(text, None, deep=True)
    return Part(as_written(text), re.compile(fnmatch.translate(text)) if has_wildcards(text) else None)


_VISIBLE = _part("*")


def could_match(path: str, pattern: str) -> bool:
    """Return whether a pattern may find a path, which need not exist; a literal match counts, too."""

    def rest(names: list[str], parts: list[Part]) -> bool:
        if not names or not parts:
            return not names and all(part.deep for part in parts)
        if parts[0].deep:
            return rest(names, parts[1:]) or (not names[0].startswith(".") and rest(names[1:], parts))
        return parts[0].matches(names[0]) and rest(names[1:], parts[1:])

    return rest(path.split("/"), [_part(text) for text in pattern.split("/")])


def folder_of(pattern: str) -> str:
    """Return the lowest directory that holds all matches of a pattern."""
    folder, *texts = pattern.split("/")[:-1]
    for text in texts:
        part = _part(text)
        deeper = f"{folder}/{part.text}"
        if part.deep or (part.regex is not None and not os.path.isdir(deeper)):
            break
        folder = deeper
    return folder or "/"


class _Place(msgspec.Struct, frozen=True):
    """A directory to search for the part with this index. ``named``: the parts before it match literally."""

    folder: str
    index: int
    named: bool


MatchesIn = Callable[[str, Part], Iterable[str]]


class Search:
    """The files that one pattern finds at one moment.

    Args:
        pattern: An absolute pattern.
        matches_in: Gives the names of regular files in a directory that a part of a pattern matches.
        stopping: Returns True if the program waits for the end: the rest is not searched.
    """

    def __init__(
        self,
        pattern: str,
        matches_in: MatchesIn,
        stopping: Callable[[], bool],
    ) -> None:
        self._parts = [_part(text) for text in pattern.split("/")]
        self._matches_in = matches_in
        self._stopping = stopping
        self._plain: deque[_Place] = deque([_Place("", 1, named=True)])
        self._linked: deque[_Place] = deque()
        self._seen: set[tuple[int, int, int]] = set()
        self.named = ""
        """The path, if it exists as it is written."""

    def files(self) -> Iterator[str]:
        """Yield the paths; those in linked directories are last."""
        while (self._plain or self._linked) and not self._stopping():
            place = (self._plain or self._linked).popleft()
            try:
                status = os.stat(place.folder or "/")
            except OSError:
                continue
            key = (place.index, status.st_dev, status.st_ino)
            if key not in self._seen:
                self._seen.add(key)
                yield from self._within(place)

    def _within(self, place: _Place) -> Iterator[str]:
        folder, index = place.folder, place.index
        part, last = self._parts[index], index == len(self._parts) - 1
        if part.deep:
            if last:
                yield from (f"{folder}/{name}" for name in self._matches_in(folder or "/", _VISIBLE))
            else:
                self._plain.appendleft(_Place(folder, index + 1, named=False))
            self._descend(folder, _VISIBLE, index)
        elif part.regex is None or (place.named and self._exists(folder, part, last=last)):
            path = f"{folder}/{part.text}"
            if not last:
                self._plain.append(_Place(path, index + 1, place.named))
            elif os.path.isfile(path):
                self.named = path if place.named else ""
                yield path
        elif last:
            yield from (f"{folder}/{name}" for name in self._matches_in(folder or "/", part))
        else:
            self._descend(folder, part, index + 1)

    def _exists(self, folder: str, part: Part, *, last: bool) -> bool:
        path = f"{folder}/{part.text}"
        return ("*" not in part.text and os.path.lexists(path)) if last else os.path.isdir(path)

    def _descend(self, folder: str, part: Part, index: int) -> None:
        """Queue the directories in this one that match, for the part with this index."""
        try:
            with DESCRIPTORS.spare(lambda: os.scandir(folder or "/")) as entries:
                found = sorted((entry.name, entry.is_symlink()) for entry in entries if _is_folder(entry, part))
        except OSError:
            return
        for name, is_link in found:
            (self._linked if is_link else self._plain).append(_Place(f"{folder}/{name}", index, named=False))


def _is_folder(entry: os.DirEntry[str], part: Part) -> bool:
    try:
        return part.matches(entry.name) and entry.is_dir()
    except OSError:
        return False


class Patterns:
    """The patterns of one source.

    A path that was once found as it is written stays literal, even while its file is away for the moment.
    """

    def __init__(self, texts: Iterable[str], known: Collection[str] = ()) -> None:
        self.texts = tuple(texts)
        self._named = {
            text: path
            for text in self.texts
            if not has_wildcards(text) or ("*" not in os.path.basename(text) and as_written(text) in known)
            for path in (as_written(text),)
        }

    def __str__(self) -> str:
        return " or ".join(map(as_written, self.texts))

    def named(self, text: str) -> str:
        """Return the one path that a pattern names; empty for a pattern with wildcards."""
        return self._named.get(text, "")

    def find(
        self,
        text: str,
        matches_in: MatchesIn,
        stopping: Callable[[], bool] = lambda: False,
    ) -> list[str]:
        """Return the regular files that a pattern with wildcards finds, by name."""
        search = Search(text, matches_in, stopping)
        found = sorted(search.files())
        if search.named:
            self._named[text] = search.named
        return found

    def could_find(self, path: str) -> bool:
        """Return whether one of them may find this path."""
        return any(could_match(path, text) for text in self.texts)

    def folders(self) -> set[str]:
        """Return the directories that hold all matches."""
        return {os.path.dirname(self._named[text]) if text in self._named else folder_of(text) for text in self.texts}
