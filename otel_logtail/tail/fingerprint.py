"""Fingerprints of files: a file is recognized by its content.

The *head* is a hash of the first bytes, the *anchor* a hash of the last bytes before the position. Device and inode
only say which file to compare first: inodes are reused, and a copy has another one.
"""

from __future__ import annotations

import hashlib

from otel_logtail.model import FileState, Fingerprint
from otel_logtail.tail.reader import Reader

HEAD_BYTES = 1024
ANCHOR_BYTES = 256


def fingerprint(data: bytes) -> Fingerprint:
    """The hash of these bytes; of none, the empty fingerprint."""
    return Fingerprint(len(data), hashlib.blake2b(data, digest_size=16).digest()) if data else Fingerprint()


def holds(reader: Reader, state: FileState) -> bool:
    """Whether this file begins with what the state has read: the same head, and the same bytes before its position."""
    if state.head.length == 0 and state.anchor.length == 0:
        return False  # nothing was read yet: there is nothing to recognise it by
    try:
        return begins(reader, state) and goes_on(reader, state)
    except OSError:
        return False


def begins(reader: Reader, state: FileState) -> bool:
    """Whether this file has the head of this state."""
    return fingerprint(reader.read_at(0, state.head.length)) == state.head


def goes_on(reader: Reader, state: FileState) -> bool:
    """Whether this file has what this state has read right before its position."""
    return fingerprint(reader.read_at(state.offset - state.anchor.length, state.anchor.length)) == state.anchor


def anchor_at(reader: Reader, offset: int) -> Fingerprint:
    """Return the fingerprint of the last bytes before a position."""
    start = max(0, offset - ANCHOR_BYTES)
    return fingerprint(reader.read_at(start, offset - start)) if offset else Fingerprint()


def is_cut_off(reader: Reader, state: FileState) -> bool:
    """Return whether a plain file with this checkpoint was cut off since, and perhaps rewritten."""
    if not state.offset:
        return not begins(reader, state)
    return reader.size() < state.offset or not goes_on(reader, state)
