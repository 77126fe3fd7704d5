"""Which known file a new one takes the place of: it may hold what was read there, if only in part. Decides only.

A file that was cut off, edited, or replaced by another one is no more what its state says (``identify``). What now has
its name, its inode or its lines takes its place, with its trail; ``resume`` then says where it goes on.

A file that is here as it was hands something over only to a file that begins with lines from its middle (its last lines
were kept when it was put aside), or with all that was read of it (it was copied, and the copy went on).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.files import HEAD_BYTES, PlainReader, Reader, begins, holds
from otel_logtail.tail.lines import CHUNK_BYTES, end_of_lines
from otel_logtail.tail.resume import begins_like, find
from otel_logtail.tail.trail import Trail, handed_on, hash_of, pack, unpack

MOST = 4
"""Of so many states at most it is asked closely whether they are a file's predecessor."""


_END_BYTES = 1 << 16


class Predecessor(msgspec.Struct, frozen=True):
    """A file's place in the log is another one's. ``sure``: something in it was read there."""

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
    """The predecessors of the files that have no claim, as far as they have one.

    Args:
        readers: The open files by path.
        claims: Which of them are known, or only looked at.
        states: All that is known.
        live: The path that the program writes to.
        held: What was open before, with its state.
    """
    fresh = [path for path in readers if path not in claims]
    known = list(states) if fresh else []
    if not known:
        return {}
    here = {state.id: readers[path] for path, state in claims.items() if state is not None}
    open_ = {state.id: reader for state, reader in held if state.id not in here and _is_whole(reader, state)}
    newest_first = sorted(known, key=lambda state: -state.id)
    found: dict[str, Predecessor] = {}
    for path in fresh:
        reader = readers[path]
        try:
            before = _predecessor(path, reader, newest_first, here, open_, live=path == live)
        except OSError:
            continue
        if before is not None:
            found[path] = before
    return found


def _is_whole(reader: Reader, state: FileState) -> bool:
    try:
        return holds(reader, state) if state.offset else begins(reader, state)
    except OSError:
        return False


def _predecessor(
    path: str,
    reader: Reader,
    newest_first: list[FileState],
    here: Mapping[int, Reader],
    open_: Mapping[int, Reader],
    *,
    live: bool,
) -> Predecessor | None:
    def trail_of(state: FileState) -> Trail:
        source = here.get(state.id) or open_.get(state.id)
        return handed_on(state, source, end_of_lines(source) if isinstance(source, PlainReader) else 0)

    gone = [state for state in newest_first if state.id not in here and (state.offset or state.trail)]
    same = [state for state in gone if _same_place(state, path, reader) or (live and not state.done)]
    if b"\n" not in reader.read_at(0, CHUNK_BYTES):  # nothing can be told yet
        same += [state for state in newest_first if state.id in here and _same_inode(state, reader)]
        return Predecessor(same[0], pack(trail_of(same[0])), sure=False) if same else None
    likely = dict.fromkeys([*same, *(state for state in gone if not state.done), *_akin(reader, gone)])
    for state in [*likely][:MOST]:
        trail = trail_of(state)
        if find(reader, trail) is not None:
            return Predecessor(state, pack(trail), sure=True)
        if begins_like(reader, trail):
            return Predecessor(state, pack(trail), sure=False)
    begins_with = hash_of(reader.read_at(0, CHUNK_BYTES).partition(b"\n")[0])
    for state in newest_first:
        if state.id not in here:
            continue
        if begins_with in unpack(state.trail).lines[1:]:
            trail = Trail(trail_of(state).lines)
            found = find(reader, trail)
            if found is not None and found.from_within:
                return Predecessor(state, pack(trail), sure=True)
        if state.offset >= HEAD_BYTES and holds(reader, state):
            return Predecessor(state, pack(trail_of(state)), sure=True)
    return None


def _same_inode(state: FileState, reader: Reader) -> bool:
    return (state.device, state.inode) == reader.identity


def _same_place(state: FileState, path: str, reader: Reader) -> bool:
    return not state.done and (state.path == path or _same_inode(state, reader))


def _akin(reader: Reader, states: Iterable[FileState]) -> list[FileState]:
    """Those that have one of the file's first or last lines: of a compressed file, its first ones only."""
    size = reader.size() if isinstance(reader, PlainReader) else 0
    data = reader.read_at(0, _END_BYTES) + b"\n" + reader.read_at(max(0, size - _END_BYTES), _END_BYTES)
    hashes = frozenset(map(hash_of, data.split(b"\n"))) - {hash_of(b"")}
    akin = []
    for state in states:
        trail = unpack(state.trail) if state.done else Trail()
        if not hashes.isdisjoint(trail.first) or not hashes.isdisjoint(trail.lines):
            akin.append(state)
    return akin
