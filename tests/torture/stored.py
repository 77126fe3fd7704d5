"""The lines that the store has: each is to be there once."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from tests.support.waiting import bound_s

THRESHOLD_NS = 10**9

PATIENCE = 25
"""How many checks a line may be missing behind others that are stored. Each is after another life of the program."""


def duration_ns(number: int, *, slow: bool) -> int:
    """The duration that names a line. Up to ten million lines, those that are not slow stay below the threshold."""
    return number * 100 + (THRESHOLD_NS if slow else 0)


def number_of(duration: int) -> int:
    """The line that a duration names."""
    return duration % THRESHOLD_NS // 100


class Wrong(AssertionError):
    """A line is lost or doubled. A longer run would hide it: the writer deletes the lines that it takes for read."""


class Stored:
    """The numbers of the lines that the store has, and the places where it read them. Threads may share it."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._blocks: dict[int, int] = {}
        self._places: dict[int, int] = {}
        self._next = 1
        self._missing_for = 0

    def has(self, lines: int) -> bool:
        """Return whether all lines up to this one are there.

        Raises:
            Wrong: one of them is there twice.
        """
        return self._read(lines) and len(self._places) >= lines

    def check(self) -> None:
        """Note what is stored behind another kill.

        Raises:
            Wrong: a line is there twice, or has been missing for long although later ones are there.
        """
        before = self._next
        if not self._read(0):
            return
        while self._next in self._places:
            self._next += 1
        waits = self._next == before and len(self._places) >= self._next
        self._missing_for = self._missing_for + 1 if waits else 0
        if self._missing_for > PATIENCE:
            raise Wrong(f"line {self._next} is lost: later ones have been in the store for {PATIENCE} kills")

    def _read(self, least: int) -> bool:
        """Read the new samples, unless there are fewer samples than that; return whether it was read."""
        with self._lock:
            try:
                with closing(sqlite3.connect(f"file:{self._db}?mode=ro", uri=True, timeout=bound_s(5))) as db:
                    db.execute("BEGIN")  # blocks are merged meanwhile
                    row = db.execute("SELECT samples FROM source").fetchone()
                    if row is None or row[0] < least:
                        return False
                    self._take(db)
            except sqlite3.Error:
                return False  # it is being made
            return True

    def _take(self, db: sqlite3.Connection) -> None:
        blocks = db.execute("SELECT id, count FROM block").fetchall()
        for block, count in blocks:
            if self._blocks.get(block) == count:
                continue
            ((samples,),) = db.execute("SELECT samples FROM block WHERE id = ?", (block,))
            for offset, _, duration, *_ in json.loads(samples):
                number, place = number_of(duration), block + offset
                known = self._places.setdefault(number, place)
                if known != place:
                    raise Wrong(f"line {number} is doubled: {_named(db, known)}, and {_named(db, place)}")
            self._blocks[block] = count


def _named(db: sqlite3.Connection, place: int) -> str:
    row = db.execute("SELECT path FROM file WHERE id = ?", (place >> 40,)).fetchone()
    return f"byte {place & 0xFFFFFFFFFF} of file {place >> 40} ({Path(row[0]).name if row else 'deleted'})"
