"""Which known file a new file replaces: it may hold lines that were read there. Decides only.

A file that was cut off, edited or replaced does not hold its checkpoint any more (``identify``). The file that now has
its name, its inode or its lines replaces it and gets its trail. ``resume`` then finds where to continue.

A file that still holds its checkpoint is replaced only by a file that begins with lines from its middle (its last lines
were kept in a rotation), or with everything that was read of it (it was copied, and the copy has grown).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import States
from otel_logtail.tail.fingerprint import HEAD_BYTES, begins, fingerprint, holds
from otel_logtail.tail.lines import CHUNK_BYTES, end_of_lines
from otel_logtail.tail.reader import PlainReader, Reader, ending
from otel_logtail.tail.resume import begins_like, find
from otel_logtail.tail.trail import FIRST_LINES, Trail, handed_on, hash_of, pack, unpack

_AT_ONCE = 100
"""How many files are compared with all checkpoints at once: their lines are in memory meanwhile."""

MOST = 4
"""How many checkpoints at most are compared line by line with a new file, one of them for its lines."""

_END_BYTES = 1 << 16


class Predecessor(msgspec.Struct, frozen=True):
    """The checkpoint that a file replaces, and its trail. ``sure``: some of the file's lines were read there."""

    state: FileState
    trail: bytes
    sure: bool


def predecessors(
    readers: Mapping[str, Reader],
    claims: Mapping[str, FileState | None],
    states: Iterable[FileState],
    live: str,
    held: Iterable[tuple[FileState, Reader]],
) -> dict[str, Predecessor]:
    """Return the predecessors of new files, as far as they have one.

    Args:
        readers: The open files by path.
        claims: The files that are not new, with their checkpoints.
        states: All known checkpoints.
        live: The path that the program writes to.
        held: The files that were open before, with their checkpoints.
    """
    fresh = [path for path in readers if path not in claims]
    known = list(states) if fresh else []
    if not known:
        return {}
    here = {state.id: readers[path] for path, state in claims.items() if state is not None}
    open_ = {state.id: reader for state, reader in held if state.id not in here and _is_whole(reader, state)}
    newest_first = sorted(known, key=lambda state: -state.id)
    found: dict[str, Predecessor] = {}
    for first in range(0, len(fresh), _AT_ONCE):
        some = {path: readers[path] for path in fresh[first : first + _AT_ONCE]}
        kin = _Kin(some, newest_first, here)
        for path, reader in some.items():
            try:
                before = _predecessor(path, reader, kin, here, open_, live=path == live)
            except OSError:
                continue
            if before is not None:
                found[path] = before
    return found


def doubts(
    readers: Mapping[str, Reader],
    claims: Mapping[str, FileState | None],
    states: States,
    places: Mapping[str, str],
    current: FileState | None,
) -> dict[str, int]:
    """Return up to which offsets the lines of known files may have been read from newer files that they replace.

    A file that is restored from a backup holds an older checkpoint, and perhaps lines that were read since then. So
    does a file that is put together from a rotated file and the live one.

    Args:
        readers: The open files by path.
        claims: The known files, with their checkpoints.
        states: All known checkpoints.
        places: The real paths.
        current: The checkpoint of the file that was the live one before: it is not restored now.
    """
    here = {state.id for state in claims.values() if state is not None}
    gone = [state for state in states.unfinished() if state.id not in here and (state.offset or state.trail)]
    found = {}
    for path, state in claims.items() if gone else ():
        reader = readers[path]
        if state is None or not isinstance(reader, PlainReader) or (current is not None and state.id == current.id):
            continue
        newer = [each for each in gone if each.id > state.id and _same_place(each, places[path], reader)]
        # one that has the same trail is that of the same file, seen while it was rewritten
        newer = [each for each in newer if unpack(each.trail).lines != unpack(state.trail).lines]
        most = max(map(_read_up_to, newer), default=0)
        known = current is None and state.doubt >= max(reader.size(), most)  # it is in doubt since an earlier run
        if newer and not known:
            found[path] = max(reader.size(), state.offset + most + CHUNK_BYTES)
    return found


def _read_up_to(state: FileState) -> int:
    """Return how many bytes were read of a file, or of the one that it replaces as long as nothing was read of it."""
    marks = () if state.offset else unpack(state.trail).marks
    return marks[-1][0] if marks else state.offset


def _is_whole(reader: Reader, state: FileState) -> bool:
    try:
        return holds(reader, state) if state.offset else begins(reader, state)
    except OSError:
        return False


def _predecessor(
    path: str,
    reader: Reader,
    kin: _Kin,
    here: Mapping[int, Reader],
    open_: Mapping[int, Reader],
    *,
    live: bool,
) -> Predecessor | None:
    def trail_of(state: FileState) -> Trail:
        source = here.get(state.id) or open_.get(state.id)
        return handed_on(state, source, end_of_lines(source) if isinstance(source, PlainReader) else 0)

    same = [state for state in kin.unfinished if _same_place(state, path, reader) or live]
    begin = reader.read_at(0, CHUNK_BYTES)
    if b"\n" not in begin and len(begin) < CHUNK_BYTES:  # there is no line to compare yet
        same += kin.here_by_inode.get(reader.identity, ())
        return Predecessor(same[0], pack(trail_of(same[0])), sure=False) if same else None
    unfinished = [*dict.fromkeys([*same, *kin.unfinished])][: MOST - 1]
    for state in [*dict.fromkeys([*unfinished, *kin.akin(path)])][:MOST]:
        trail = trail_of(state)
        found = find(reader, trail)
        if found is not None:
            return Predecessor(state, pack(trail), sure=found.offset > 0)
        if begins_like(reader, trail):
            return Predecessor(state, pack(trail), sure=False)
    within = kin.within.get(path, {})
    for state in kin.here_like(reader, within):
        if state.id in within:
            trail = Trail(trail_of(state).lines)
            found = find(reader, trail)
            if found is not None and found.from_within:
                return Predecessor(state, pack(trail), sure=True)
        if state.offset >= HEAD_BYTES and holds(reader, state):
            return Predecessor(state, pack(trail_of(state)), sure=True)
    return None


class _Kin:
    """The checkpoints that some files may replace, each list with the newest first.

    ``unfinished``: those whose files are not here and were not read to their end. Before them are those whose files are
    here and of which nothing was read: the file of their trail may be replaced by another one. ``within``: by file,
    those whose files are here and which have its first line, but not as their own first one; by id.
    """

    def __init__(self, files: Mapping[str, Reader], newest_first: list[FileState], here: Mapping[int, Reader]) -> None:
        gone = [state for state in newest_first if state.id not in here and (state.offset or state.trail)]
        waiting = [state for state in newest_first if state.id in here and state.trail and not state.offset]
        self.unfinished = [state for state in (*waiting, *gone) if not state.done]
        self._akin: dict[str, list[tuple[int, FileState]]] = {}
        self.within: dict[str, dict[int, FileState]] = {}
        self.here_by_inode: dict[tuple[int, int], list[FileState]] = {}
        self._here_by_head: dict[bytes, list[FileState]] = {}
        lines, begin = _lines_of(files)
        for state in gone:
            trail = unpack(state.trail)
            for path, number in _having(lines, {*trail.first, *trail.lines}).items():
                self._akin.setdefault(path, []).append((number, state))
        for state in newest_first:
            if state.id in here:
                self.here_by_inode.setdefault((state.device, state.inode), []).append(state)
                self._here_by_head.setdefault(state.head.digest, []).append(state)
                for path in _having(begin, {*unpack(state.trail).lines[1:]}):
                    self.within.setdefault(path, {})[state.id] = state

    def akin(self, path: str) -> list[FileState]:
        """Return those whose files are not here and which have some of a file's first or last lines.

        Those with more lines in common than a header come first.
        """
        return [state for _, state in sorted(self._akin.get(path, ()), key=lambda each: each[0] <= FIRST_LINES)]

    def here_like(self, reader: Reader, within: Mapping[int, FileState]) -> list[FileState]:
        """Return those whose files are here and begin as this file does, and these, the newest first."""
        alike = self._here_by_head.get(fingerprint(reader.read_at(0, HEAD_BYTES)).digest, ())
        return sorted({state.id: state for state in (*alike, *within.values())}.values(), key=lambda state: -state.id)


def _having(paths_by_line: Mapping[int, list[str]], lines: set[int]) -> Counter[str]:
    """Return how many of these lines each file has."""
    return Counter(path for line in paths_by_line.keys() & lines for path in paths_by_line[line])


def _lines_of(files: Mapping[str, Reader]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Return the files by the hashes of their first and last lines, and by that of their very first line."""
    lines: dict[int, list[str]] = {}
    begin: dict[int, list[str]] = {}
    nothing = hash_of(b"")
    for path, reader in files.items():
        try:
            begins = reader.read_at(0, CHUNK_BYTES)
            data = begins[:_END_BYTES] + b"\n" + ending(reader, _END_BYTES)[1]
            first = begins.partition(b"\n")[0]
        except OSError:
            continue
        for line in frozenset(map(hash_of, data.split(b"\n"))) - {nothing}:
            lines.setdefault(line, []).append(path)
        begin.setdefault(hash_of(first), []).append(path)
    return lines, begin


def _same_inode(state: FileState, reader: Reader) -> bool:
    return (state.device, state.inode) == reader.identity


def _same_place(state: FileState, path: str, reader: Reader) -> bool:
    return not state.done and (state.path == path or _same_inode(state, reader))
