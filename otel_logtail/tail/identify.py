"""Which open file has which checkpoint. Decides only; nothing is changed.

The rules, in order; for each of them the newest checkpoint first, since a name may belong to another file by now:
  1. the same device and inode, and the same content as far as it was read;
  2. the same content in another file: compressed, copied before a truncation, or moved to another file system.
     Unfinished checkpoints come first. A compressed file that was read is recognized by inode and head, without
     unpacking it. If two files have the content and one is the beginning of the other, the longer one is taken;
  3. a compressed file that ends before the position, with lines that were read: the program wrote on to the file that
     it was made from;
  4. the same device and inode, and nothing was read yet. A rotated file must still be open: otherwise it may be a new
     file, or a copy, that has got the inode.

Known limits: if nothing more than a common first line was read of two files, a copy or a compressed file looks like
a new one. A new compressed file that has the inode and the first KiB of a finished and deleted compressed one is
taken for that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.fingerprint import HEAD_BYTES, begins, fingerprint, holds
from otel_logtail.tail.lines import CHUNK_BYTES
from otel_logtail.tail.naming import is_compressed, plain_name
from otel_logtail.tail.reader import Reader, ending, length
from otel_logtail.tail.trail import hash_of, unpack


def identify(
    readers: Mapping[str, Reader], states: Iterable[FileState], live: str, held: Iterable[tuple[FileState, Reader]]
) -> dict[str, FileState | None]:
    """Return the checkpoint of each known file by path, and None for files that are not read for now.

    Those are copies of another file that is here, however much of the copy is made already, and files without a whole
    line: those may become copies, or may be known files that are rewritten. Such a file may turn out to be a new one
    when it grows: then this is to be called again. All other files are new.

    Args:
        readers: The open files by path, oldest first, the live one last.
        states: The known checkpoints, the likeliest first.
        live: The path whose file is never only a copy.
        held: The files that were open before, under any name, with their checkpoints.
    """
    held, left = list(held), list(states)
    if not left and readers.keys() == {live}:
        return {}  # a new file, as at the first scan of thousands of live paths
    claims = _known(readers, left, live, {reader.identity for _, reader in held})
    return _copies(readers, claims, live, held)


def _known(
    readers: Mapping[str, Reader], left: list[FileState], live: str, surely_same: set[tuple[int, int]]
) -> dict[str, FileState | None]:
    """Return the checkpoints of the files that have one. An inode in ``surely_same`` was not reused: it is open."""

    def nothing_read_yet(path: str, reader: Reader, state: FileState) -> bool:
        if path != live and reader.identity not in surely_same and not is_compressed(path):
            return False  # it may be a copy that has got the inode
        return _nothing_read_yet(path, reader, state)

    claims: dict[str, FileState | None] = {}
    alike = _Alike(readers)
    for same in (
        _same_inode,
        _same_content_unfinished,
        _same_compressed,
        _same_content,
        _compressed_before_its_end,
        nothing_read_yet,
    ):
        still_left = []
        for state in left:
            for path in alike.by_inode(state) if same in (_same_inode, _same_compressed) else alike.candidates(state):
                if path not in claims and same(path, readers[path], state):
                    if same in (_same_content_unfinished, _same_content):
                        path = _longest(path, [p for p in alike.candidates(state) if p not in claims], readers, state)
                    claims[path] = state
                    break
            else:
                still_left.append(state)
        left = still_left
    return claims


def _copies(
    readers: Mapping[str, Reader],
    known: Mapping[str, FileState | None],
    live: str,
    held: Iterable[tuple[FileState, Reader]],
) -> dict[str, FileState | None]:
    """Return these claims and None for each file that is not read for now: a copy, or one without a line."""
    claims = dict(known)
    for path, reader in readers.items():
        if path != live and path not in claims and not is_compressed(path) and not _has_line(reader):
            claims[path] = None  # there is nothing to read in it and no line to compare yet
    fresh = [reader for path, reader in readers.items() if path not in claims and not is_compressed(path)]
    unknown = [path for path in readers if path != live and path not in claims]
    if not unknown:
        return claims
    here = [*_read_on(held, {reader.identity for reader in readers.values()}), *(readers[path] for path in claims)]
    if live in readers and live not in claims:
        here.append(readers[live])
    originals, fresh_originals = _Originals(here), _Originals(fresh)
    for path in unknown:
        # a compressed copy of a new file is a copy too, regardless of its number
        for among in (originals, fresh_originals if is_compressed(path) else None):
            if among is not None and among.has_one_of(readers[path]):
                claims[path] = None
    return claims


def _read_on(held: Iterable[tuple[FileState, Reader]], named: set[tuple[int, int]]) -> Iterable[Reader]:
    """Return the open files that have a name or are read on without one.

    A file that changed in part and then lost its name is closed, so only its copy still has its new lines.
    """
    for state, reader in held:
        if reader.identity in named or not state.offset or holds(reader, state):
            yield reader


class _Alike:
    """The files that may have a checkpoint: those with its inode and those with its first bytes, the newest first.

    Each file is compared with few checkpoints, not with all: there may be thousands of both.
    """

    def __init__(self, readers: Mapping[str, Reader]) -> None:
        self._readers = readers
        self._place = {path: place for place, path in enumerate(reversed(list(readers)))}
        self._by_inode: dict[tuple[int, int], list[str]] = {}
        for path in self._place:
            self._by_inode.setdefault(readers[path].identity, []).append(path)
        self._heads: dict[str, bytes] | None = None
        self._by_head: dict[int, dict[bytes, list[str]]] = {}

    def by_inode(self, state: FileState) -> list[str]:
        return self._by_inode.get((state.device, state.inode), [])

    def candidates(self, state: FileState) -> list[str]:
        found = {*self.by_inode(state), *self._by_beginning(state.head)}
        return sorted(found, key=self._place.__getitem__)

    def _by_beginning(self, head: Fingerprint) -> list[str]:
        if not head.length:
            return []
        if self._heads is None:  # only if a checkpoint is found by nothing else
            self._heads = {path: _head(self._readers[path]) for path in self._place}
        if head.length not in self._by_head:
            by_digest = self._by_head[head.length] = {}
            for path, first in self._heads.items():
                if len(first) >= head.length:
                    by_digest.setdefault(fingerprint(first[: head.length]).digest, []).append(path)
        return self._by_head[head.length].get(head.digest, [])


class _Originals:
    """Files that others may be copies of, by their first bytes."""

    def __init__(self, readers: Iterable[Reader]) -> None:
        self._heads = [(_head(reader), reader) for reader in readers]
        self._by_head: dict[int, dict[bytes, list[Reader]]] = {}

    def has_one_of(self, copy: Reader) -> bool:
        """Return whether this file is the beginning of one of them: a copy that is made before a truncation."""
        first = _head(copy)
        if not first:
            return False
        if len(first) not in self._by_head:
            by_first = self._by_head[len(first)] = {}
            for head, reader in self._heads:
                by_first.setdefault(head[: len(first)], []).append(reader)
        originals = self._by_head[len(first)].get(first, ())
        # a file that was open before is not a copy of itself: it was cut off, and its content is elsewhere
        return any(original.identity != copy.identity and _is_copy(copy, original) for original in originals)


def _head(reader: Reader) -> bytes:
    try:
        return reader.read_at(0, HEAD_BYTES)
    except OSError:
        return b""  # it cannot be compared


def _same_inode(path: str, reader: Reader, state: FileState) -> bool:
    if reader.identity != (state.device, state.inode):
        return False
    return not is_compressed(path) and holds(reader, state)


def _same_content_unfinished(path: str, reader: Reader, state: FileState) -> bool:
    return not state.done and holds(reader, state)


def _longest(path: str, others: Iterable[str], readers: Mapping[str, Reader], state: FileState) -> str:
    """Return the file that continues where the first one ends, of those with this checkpoint's content."""
    for other in others:
        if other != path and holds(readers[other], state) and _goes_on_behind(readers[other], readers[path]):
            path = other
    return path


def _goes_on_behind(reader: Reader, other: Reader) -> bool:
    try:
        return bool(reader.read_at(length(other), 1)) and _is_copy(other, reader)
    except OSError:
        return False


def _same_compressed(path: str, reader: Reader, state: FileState) -> bool:
    # a compressed file is never changed in place, and reading it to its end would take long. It was one before, too:
    # the file that is made of a plain one may get the inode that the plain one had.
    return (
        is_compressed(path)
        and is_compressed(state.path)
        and reader.identity == (state.device, state.inode)
        and _begins(reader, state)
    )


def _begins(reader: Reader, state: FileState) -> bool:
    try:
        return state.head.length > 0 and begins(reader, state)
    except OSError:
        return False


def _same_content(path: str, reader: Reader, state: FileState) -> bool:
    return holds(reader, state)


def _compressed_before_its_end(path: str, reader: Reader, state: FileState) -> bool:
    if not is_compressed(path):
        return False
    same_file = reader.identity == (state.device, state.inode)
    if not same_file and plain_name(path) != plain_name(state.path):
        return False
    if not _begins(reader, state):
        return False
    size, end = ending(reader, CHUNK_BYTES)
    return size < state.offset and _was_read(end, state)


def _was_read(end: bytes, state: FileState) -> bool:
    """Return whether a file that ends so ends with lines that were read, and not with new ones in place of others."""
    known = unpack(state.trail).lines
    if not known:
        return True
    hashes = [hash_of(line) for line in end.split(b"\n")[:-1]]
    for index, line in enumerate(known):
        same = min(index + 1, len(hashes))
        if hashes and line == hashes[-1] and list(known[index + 1 - same : index + 1]) == hashes[-same:]:
            return True
    return False


def _nothing_read_yet(path: str, reader: Reader, state: FileState) -> bool:
    if state.offset or reader.identity != (state.device, state.inode):
        return False
    return (not state.done and not is_compressed(path)) or _is_unchanged(reader, state)


def _is_unchanged(reader: Reader, state: FileState) -> bool:
    """Return whether a file that was finished unread is unchanged: otherwise another file has its inode."""
    try:
        return begins(reader, state) if state.head.length else not reader.read_at(0, 1)
    except OSError:
        return False


def _has_line(reader: Reader) -> bool:
    """Return whether a file has a whole line, or the first part of one beyond the limit."""
    try:
        return b"\n" in _head(reader) or b"\n" in (begin := reader.read_at(0, CHUNK_BYTES)) or len(begin) == CHUNK_BYTES
    except OSError:
        return True  # reading it reports the reason


def _is_copy(reader: Reader, other: Reader) -> bool:
    """Return whether this file is the beginning of the other: a copy that is made before a truncation."""
    try:
        head = reader.read_at(0, HEAD_BYTES)
        if not head or other.read_at(0, len(head)) != head:
            return False
        size, tail = ending(reader, HEAD_BYTES)
        return tail == other.read_at(size - len(tail), len(tail))
    except OSError:
        return False
