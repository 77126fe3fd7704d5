"""The checkpoints of a source's files as rows."""

from __future__ import annotations

import sqlite3

import msgspec

from otel_logtail.model import FileState
from otel_logtail.store.rows import FILE, file_columns, file_of, marks


def read(db: sqlite3.Connection, source: int) -> list[FileState]:
    """Return all known files of a source, in the order in which they were found."""
    rows = db.execute(f"SELECT id, {FILE} FROM file WHERE source = ? ORDER BY id", (source,))
    return [file_of(row) for row in rows]


def insert(db: sqlite3.Connection, source: int, states: list[FileState]) -> list[FileState]:
    """Add files; returns them with their ids. An id is used once, even if its file is forgotten later."""
    added: list[FileState] = []
    for state in states:
        cursor = db.execute(f"INSERT INTO file (source, {FILE}) VALUES ({marks(15)})", (source, *file_columns(state)))
        added.append(msgspec.structs.replace(state, id=cursor.lastrowid))
    return added


def update(db: sqlite3.Connection, source: int, state: FileState) -> None:
    """Store the checkpoint of a known file."""
    columns = file_columns(state)
    if db.execute(f"UPDATE file SET ({FILE}) = ({marks(14)}) WHERE id = ?", (*columns, state.id)).rowcount:
        return
    # maintenance deleted the row while the file was gone, and now the file is back. Without the row, its position would
    # be unknown after a restart
    db.execute(f"INSERT INTO file (id, source, {FILE}) VALUES ({marks(16)})", (state.id, source, *columns))
