"""Fingerprints of files: a file is recognized by its content.

The *head* is a hash of the first bytes, the *anchor* a hash of the last bytes before the position. Device and inode
only select the file to compare first: inodes are reused, and a copy has another one.
"""

from __future__ import annotations

import errno

from otel_logtail.digest import blake2b
from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.reader import Reader

HEAD_BYTES = 1024
ANCHOR_BYTES = 256


def fingerprint(data: bytes) -> Fingerprint:
    """Return the hash of these bytes; the empty fingerprint if there are none."""
    return Fingerprint(len(data), blake2b(data, digest_size=16).digest()) if data else Fingerprint()


def holds(reader: Reader, state: FileState) -> bool:
    """Return whether a file has the content of a checkpoint: the same head, and the same bytes before the position."""
    if state.head.length == 0 and state.anchor.length == 0:
        return False  # nothing was read yet, so there is nothing to compare
    if state.anchor.length < min(ANCHOR_BYTES, state.offset):
        return False  # it was taken while the file was cut off, so no bytes before the position are known
    try:
        return begins(reader, state) and goes_on(reader, state)
    except OSError:
        return False


def begins(reader: Reader, state: FileState) -> bool:
    """Return whether a file has the head of a checkpoint."""
    return fingerprint(reader.read_at(0, state.head.length)) == state.head


def goes_on(reader: Reader, state: FileState) -> bool:
    """Return whether a file has the bytes of a checkpoint right before the position."""
    return fingerprint(reader.read_at(state.offset - state.anchor.length, state.anchor.length)) == state.anchor


def anchor_at(reader: Reader, offset: int) -> Fingerprint:
    """Return the fingerprint of the last bytes before a position.

    Raises:
        OSError: The file cannot be read, or was cut off before the position.
    """
    start = max(0, offset - ANCHOR_BYTES)
    return fingerprint(_all_of(reader, start, offset - start)) if offset else Fingerprint()


def head_at(reader: Reader, offset: int) -> Fingerprint:
    """Return the fingerprint of the first bytes of a file that was read up to a position.

    Raises:
        OSError: The file cannot be read, or was cut off before the position.
    """
    return fingerprint(_all_of(reader, 0, min(HEAD_BYTES, offset)))


def check_begin(reader: Reader, begin: bytes) -> None:
    """Check that everything that was read of a file since these first bytes were read belongs together.

    Raises:
        OSError: The file cannot be read, or was rewritten meanwhile.
    """
    first = begin[:HEAD_BYTES]
    if reader.read_at(0, len(first)) != first:
        raise OSError(errno.ESTALE, "it was rewritten meanwhile", reader.path)


def _all_of(reader: Reader, offset: int, length: int) -> bytes:
    data = reader.read_at(offset, length)
    if len(data) < length:
        raise OSError(errno.ESTALE, "it was cut off meanwhile", reader.path)
    return data


def is_cut_off(reader: Reader, state: FileState) -> bool:
    """Return whether a plain file with this checkpoint was cut off since, and perhaps rewritten."""
    if not state.offset:
        return not begins(reader, state)
    return reader.size() < state.offset or not goes_on(reader, state)
