"""Damage of a store: a note that it was found, and moving the store to another name.

The note (``.suspect`` beside the store) makes the next start check the whole store, regardless of its size. While a
damaged store is moved, the note holds its new name. So if the process dies meanwhile, the next start continues: the new
store still records that it replaces another one (``meta.set_aside``), and the logs are read again from their start.
"""

from __future__ import annotations

import os
import sqlite3
import time
from datetime import datetime, timezone
from pathlib import Path

from otel_logtail.errors import StoreCorrupt
from otel_logtail.ownfile import open_own, read_own
from otel_logtail.store.connection import meta, set_meta

CHECKED_BYTES = 64 << 20
"""A store up to this size is checked at every start."""

GONE = "/gone"
"""The note's text while a missing store is replaced. No file has such a name."""

_AGAIN_NS = 3600 * 10**9
"""If damage is found again within this time and SQLite reports none, SQLite cannot detect the damage."""

_FILES = ("", "-wal", "-shm", "-journal")


def note_file(path: Path) -> Path:
    """Return the file with the note of a store."""
    return path.with_name(path.name + ".suspect")


def read_note(path: Path) -> str | None:
    """Return the note: empty for damage, the new name of the store, or :data:`GONE`; None if there is no note."""
    note = read_own(note_file(path))
    return note if note is None or note == GONE or note.startswith(f"{path.name}.corrupt-") else ""


def write_note(path: Path, text: str) -> None:
    """Write the note, and sync it."""
    descriptor = open_own(note_file(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def suspect(path: Path) -> None:
    """Note that damage was found in a store.

    If the next start finds none, and damage is found again within the hour, the start after that moves the store.
    """
    try:
        write_note(Path(os.path.realpath(path)), "")
    except OSError:
        pass  # the next start finds the damage as this one did


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Check the store, unless it is large and no damage was found.

    Raises:
        StoreCorrupt: it is damaged.
    """
    if path.stat().st_size > CHECKED_BYTES and read_note(path) is None:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(f"{path} is damaged: {found}")


def clear(connection: sqlite3.Connection, path: Path) -> None:
    """Delete the note of damage from a store that passed its check, once within an hour.

    Raises:
        StoreCorrupt: damage was found twice within the hour.
    """
    if read_note(path) != "":
        return
    now_ns = time.time_ns()
    before = meta(connection, "cleared_ns")
    if before is not None and abs(now_ns - int(before)) < _AGAIN_NS:
        raise StoreCorrupt(f"{path} is damaged where SQLite can't see it")
    set_meta(connection, "cleared_ns", now_ns)
    note_file(path).unlink(missing_ok=True)


def move_away(path: Path) -> None:
    """Rename a damaged store and the files beside it. No data is deleted."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    new = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while os.path.lexists(new):
        number += 1
        new = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    write_note(path, new.name)
    for ending in reversed(_FILES):  # the database last: if the process dies, the next start begins with it again
        file = path.with_name(path.name + ending)
        if file.exists():
            file.rename(new.with_name(new.name + ending))


def note_replacement(connection: sqlite3.Connection, path: Path, *, was_gone: bool) -> Path | None:
    """Record in a new store that it replaces a damaged or missing one; returns where the damaged one is."""
    name = read_note(path)
    moved = path.with_name(name) if name and name != GONE else None
    if moved is not None and not moved.exists():
        moved = None
    if moved is not None or was_gone:
        set_meta(connection, "set_aside", "" if moved is None else moved.name)
    if name is not None:
        note_file(path).unlink(missing_ok=True)
    return moved
