"""Finds where to continue in a file that changed in part: behind the last part of it that was read before.

The lines of the file are compared with those of a trail. Lines that occur once in both and in the same order are
matched, so lines that were removed, changed or inserted do no harm. If none of the trail's lines is left, its marks
show up to which offset the file is unchanged.

A match must be more than two files have in common by chance, such as a header or a block of lines that is repeated
(``_by_lines``). If it is not, the file is a new one and is read from its start.

Known limits: lines that occur more than once do not help. A line at the very end that was changed is read once more.
If more than the last lines were lost, the lines between two marks are read once more (``Found.doubt``), and the engine
compares their samples with the store. Only lines that are byte by byte the same as lines read before are left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from zlib import crc32

import msgspec

from otel_logtail.tail.fingerprint import ANCHOR_BYTES, fingerprint
from otel_logtail.tail.reader import PlainReader, Reader
from otel_logtail.tail.trail import LINES, Mark, Trail, first_lines, hash_of, short

SEARCH_BYTES = 256 << 20
"""How many bytes before the predecessor's position are searched for known lines."""

COMMON_LINES = 8
"""How many common lines at the beginning of two files are more than a header."""

_MOST_REPEATED = 64
"""How many lines at most are repeated in a block, such as a traceback."""

BLOCK_BYTES = 1 << 20
"""How many bytes are compared at once."""


class Found(msgspec.Struct, frozen=True):
    """The place in a changed file where its unread part begins.

    ``offset``: 0 if that is unknown although some lines were read before. ``complete``: the last line that was read is
    before it. ``from_within``: the file begins with lines from the middle of the other one. ``doubt``: how many bytes
    behind ``offset`` may have been read.
    """

    offset: int
    complete: bool = False
    from_within: bool = False
    doubt: int = 0
    lines: int = 0
    """How many of the trail's lines are before ``offset``, as far as that is known."""


class _Marked(msgspec.Struct, frozen=True):
    """A line before a mark, which ended at ``was``. It ends at ``end`` now; the next mark is ``apart`` bytes on."""

    was: int
    apart: int
    end: int


class _Match(msgspec.Struct, frozen=True):
    """A line that is in the trail (at ``index``) and in the file.

    ``number`` and ``end`` are its line number and its end in the file, ``unknown`` the number of other lines before it.
    """

    index: int
    number: int
    end: int
    unknown: int
    length: int


def find(reader: Reader, trail: Trail) -> Found | None:
    """Return where this file continues the trail; None if nothing shows that it does.

    Raises:
        OSError: The file cannot be read.
    """
    size = reader.size() if isinstance(reader, PlainReader) else None
    found = _by_mark(reader, trail, size)
    if found is None or not found.complete:
        ends = trail.marks[-1][0] if trail.marks else SEARCH_BYTES
        limit = ends + BLOCK_BYTES if size is None else min(size, ends + BLOCK_BYTES)
        begin = max(0, limit - SEARCH_BYTES)
        matches, marked = _matches(reader, trail, begin, limit)
        by_lines = _by_lines(reader, trail, matches, whole=begin == 0, unmoved=found is not None)
        found = _farthest([each for each in (found, by_lines, _moved(marked)) if each], matches, marked)
    if found is None or not found.offset:
        return found
    return msgspec.structs.replace(found, offset=_behind_nuls(reader, found.offset))


def _farthest(places: list[Found], matches: list[_Match], marked: list[_Marked]) -> Found | None:
    """Return the farthest of these places. If it is not complete, all bytes up to the last known line are in doubt.

    If that is a marked line, the lines up to the next mark may follow it.
    """
    best = max(places, key=lambda place: place.offset, default=None)
    if best is None or best.complete:
        return best
    known = [match.end for match in matches]
    if len(marked) > 1:  # one line may be anywhere
        known += [each.end + each.apart for each in marked if each.end > best.offset]
    return msgspec.structs.replace(best, doubt=max(best.doubt, max(known, default=0) - best.offset))


def begins_like(reader: Reader, trail: Trail) -> bool:
    """Return whether one of the first lines of the trail's file is among the first lines of this one."""
    return not frozenset(trail.first).isdisjoint(first_lines(reader.read_at(0, BLOCK_BYTES)))


def is_marked(reader: Reader, mark: Mark) -> bool:
    """Return whether the bytes before the mark's offset match, and the whole line: lines often have the same end."""
    offset, digest, line = mark
    if isinstance(reader, PlainReader):  # few bytes are read for most marks; a compressed file is only read forwards
        length = min(ANCHOR_BYTES, offset)
        if short(fingerprint(reader.read_at(offset - length, length))) != digest:
            return False
    length = min(BLOCK_BYTES, offset)
    data = reader.read_at(offset - length, length)
    if len(data) < length or short(fingerprint(data[-ANCHOR_BYTES:])) != digest:
        return False
    return data[-1:] == b"\n" and hash_of(data[data.rfind(b"\n", 0, -1) + 1 : -1]) == line


def _by_mark(reader: Reader, trail: Trail, size: int | None) -> Found | None:
    last = _last_mark(reader, trail.marks, size)
    if last is None:
        return None
    offset = trail.marks[last][0]
    if last == len(trail.marks) - 1:
        return Found(offset, complete=True, lines=len(trail.lines))
    return Found(offset, doubt=trail.marks[last + 1][0] - offset)


def _last_mark(reader: Reader, marks: tuple[Mark, ...], size: int | None) -> int | None:
    """Return the index of the last mark that matches. A compressed file, whose size is unknown, is unpacked once."""
    if size is None:
        return max((index for index, mark in enumerate(marks) if is_marked(reader, mark)), default=None)
    backwards = range(len(marks) - 1, -1, -1)
    return next((index for index in backwards if marks[index][0] <= size and is_marked(reader, marks[index])), None)


def _by_lines(reader: Reader, trail: Trail, matches: list[_Match], *, whole: bool, unmoved: bool) -> Found | None:
    chain = _in_order(matches)
    if not chain:
        return None
    first, last = chain[0], chain[-1]
    index, offset = _and_what_follows(reader, trail.lines, last)
    lost = len(trail.lines) - 1 - index
    from_within = whole and first.number == 0 and first.index > 0
    foreign = last.unknown - first.unknown + min(first.unknown, first.index)
    believed = len(chain) > lost or unmoved
    if from_within:  # its first lines were removed: neither a header nor the end of the trail
        believed = believed or len(chain) > 1 or first.length >= ANCHOR_BYTES // 4
    elif whole and len(trail.lines) < LINES and first.number == first.index:  # perhaps only a common header
        believed = believed or len(chain) >= COMMON_LINES
    # Lines before the first match were not read, unless one of these explains them. Otherwise the matches are a banner
    # or a traceback that a new file has, too, behind lines of its own.
    explained = (
        not first.unknown
        or (len(trail.lines) == LINES and 2 * first.index <= len(chain))  # the trail does not reach back to them
        or (len(chain) >= _MOST_REPEATED and first.unknown == 1)  # one was put before, or half of one is left
        or (len(chain) >= _MOST_REPEATED and whole and first.number == first.index)  # they were changed in place
        or (first.unknown == 1 and not lost and whole and _lost_its_beginning(reader, trail, offset))
    )
    if 2 * foreign > len(chain) or not believed or not (explained or unmoved):
        return Found(0)
    before = _before_replaced(chain)
    if before is not None:
        return Found(before.end, doubt=offset - before.end, lines=before.index + 1)
    return Found(offset, complete=not lost, from_within=from_within, lines=index + 1)


def _before_replaced(chain: list[_Match]) -> _Match | None:
    """Return the match before the first lines that are in place of another number of lines, if there are any.

    They may be edited lines. They may be new ones, too: the end was lost, and later lines end like it, as with the same
    traceback.
    """
    for match, following in pairwise(chain):
        lost, now = following.index - match.index - 1, following.number - match.number - 1
        if lost and lost != now and following.unknown > match.unknown:
            return match
    return None


def _lost_its_beginning(reader: Reader, trail: Trail, end: int) -> bool:
    """Return whether NULs replace the first lines of a file. Lines behind those of a stale writer end further on."""
    return bool(trail.marks) and end == trail.marks[-1][0] and reader.read_at(0, 1) == b"\0"


def _matches(reader: Reader, trail: Trail, begin: int, limit: int) -> tuple[list[_Match], list[_Marked]]:
    """Return the lines that occur once in the trail and once in this part of the file, and those before marks."""
    once: dict[int, int] = {}
    for index, hash_ in enumerate(trail.lines):
        once[hash_] = -1 if hash_ in once else index
    marked: dict[int, tuple[int, int]] = {}
    for (offset, _, mark), (following, _, _) in pairwise(trail.marks):
        if following > offset:  # the position may be at a mark
            marked[mark] = (-1, 0) if mark in marked else (offset, following - offset)
    known = once.keys() | marked.keys()
    found: dict[int, _Match | None] = {}
    ends: dict[int, int] = {}
    number = unknown = 0
    for hashes, lines, end in _hashed(reader, begin, limit):
        if known.isdisjoint(hashes):
            unknown += len(hashes)
            number += len(hashes)
            continue
        for hash_, line in zip(hashes, lines, strict=True):
            end += len(line) + 1
            index = once.get(hash_, -2)
            if index == -2:
                unknown += 1
            elif index >= 0:
                found[hash_] = None if hash_ in found else _Match(index, number, end, unknown, len(line))
            if hash_ in marked:
                ends[hash_] = -1 if hash_ in ends else end
            number += 1
    marks = [_Marked(*marked[hash_], end) for hash_, end in ends.items() if end >= 0 <= marked[hash_][0]]
    return [match for match in found.values() if match is not None], marks


def _moved(marked: list[_Marked]) -> Found | None:
    """Return where the file continues by its marked lines."""
    moved: dict[int, list[_Marked]] = {}
    for each in marked:
        moved.setdefault(each.was - each.end, []).append(each)
    if not moved:
        return None
    together = max(moved.values(), key=len)
    last = together[-1]
    if len(together) < 2 or last.end > last.was:  # one line may be anywhere; something was put before the others
        return Found(0)
    return Found(last.end, doubt=last.apart)


def _hashed(reader: Reader, begin: int, limit: int) -> Iterator[tuple[list[int], list[bytes], int]]:
    """Yield the whole lines of this part by blocks: their hashes, the lines, and the offset of the first one."""
    rest = b""
    position = start = begin
    partial = begin > 0
    while position < limit and (block := reader.read_at(position, min(BLOCK_BYTES, limit - position))):
        position += len(block)
        data = rest + block
        lines = data.split(b"\n")
        rest = lines.pop()
        at = start
        start += len(data) - len(rest)
        if partial and lines:
            at += len(lines.pop(0)) + 1
            partial = False
        yield ([*map(hash_of, lines)] if b"\r" in data or b"\0" in data else [*map(crc32, lines)]), lines, at
        if len(rest) > BLOCK_BYTES:  # such a line was never read
            start, rest = start + len(rest), b""


def _in_order(matches: list[_Match]) -> list[_Match]:
    """Return the longest sequence of matches that is in the same order in both."""
    tops: list[int] = []  # the smallest last index of a chain of each length, and the match that it ends with
    ends: list[int] = []
    before: list[int] = []
    for at, match in enumerate(matches):
        length = bisect_left(tops, match.index)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1] = [match.index]
        ends[length : length + 1] = [at]
    chain = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chain.append(matches[at])
        at = before[at]
    return chain[::-1]


def _and_what_follows(reader: Reader, lines: tuple[int, ...], last: _Match) -> tuple[int, int]:
    """Return the index and the end of the last line that follows the last match in both."""
    index, offset = last.index, last.end
    for line in reader.read_at(offset, BLOCK_BYTES).split(b"\n")[:-1]:
        if index + 1 == len(lines) or hash_of(line) != lines[index + 1]:
            break
        index, offset = index + 1, offset + len(line) + 1
    return index, offset


def _behind_nuls(reader: Reader, offset: int) -> int:
    """Return the offset behind the NULs in the next line: a part that was lost ends with them."""
    while data := reader.read_at(offset, BLOCK_BYTES):
        newline = data.find(b"\n")
        nul = data.rfind(b"\0", 0, newline if newline >= 0 else len(data))
        offset += nul + 1
        if newline >= 0 or nul + 1 < len(data):
            break
    return offset
