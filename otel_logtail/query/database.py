"""Opening a store to read it, and what every question needs: one snapshot, sqlite's errors as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from otel_logtail.errors import StoreCorrupt, StoreError, UsageError
from otel_logtail.store.connection import SCHEMA_VERSION, find_room_for_temporary_files

STEPS = 100_000
"""How many instructions SQLite runs, some milliseconds, until a signal is noticed."""

_NO_STORE = "run otel-logtail --observer … first, or name the store with --db"

_OF_JSON = "the disk or memory flips bits: look at the machine; move the store away and the logs are read again"


class Damage:
    """What an answer lacks since rows were damaged on disk where SQLite can't see it; each counts once."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}
        self._counts: dict[tuple[object, ...], int] = {}

    def block(self, id_: int, samples: int) -> None:
        """The samples of a block are left out."""
        self._blocks[id_] = samples

    def counts(self, row: tuple[object, ...], samples: int) -> None:
        """The counts of an interval are taken at their mean."""
        self._counts[row] = samples

    @property
    def left_out(self) -> int:
        """How many samples are left out."""
        return sum(self._blocks.values())

    def __str__(self) -> str:
        said = []
        if self._blocks:
            blocks = f"{len(self._blocks)} block{'' if len(self._blocks) == 1 else 's'}"
            said.append(f"{self.left_out} samples of {blocks} can't be read and are left out")
        if self._counts:
            number = sum(self._counts.values())
            said.append(f"{number} samples are counted at their mean, their distribution is lost")
        return "; ".join(said)


def open_readonly(path: Path, *, traceless: bool = False) -> sqlite3.Connection:
    """Open a store to read it, beside its writer if there is one.

    Args:
        path: Its file.
        traceless: Make no file beside it. Where nobody is writing it is then read as it lies there: a writer that
            begins meanwhile may be seen by halves.

    Raises:
        StoreError: there is no store, it is a newer program's, or it can't be read.
    """
    if not path.is_file():
        raise StoreError(f"no store at {path}", hint=_NO_STORE)
    real = path.resolve()  # the files beside it are named after what a link leads to
    uri, log_of_changes = real.as_uri() + "?mode=ro", Path(f"{real}-wal")
    try:
        return _connect(uri + ("&immutable=1" if traceless and not log_of_changes.exists() else ""), path)
    except sqlite3.OperationalError as error:
        # A reader needs the -shm file beside the store, and can't make it in a read-only directory. Without a -wal file
        # nobody is writing and all that was committed is in the one file.
        if not log_of_changes.exists():
            try:
                return _connect(uri + "&immutable=1", path)
            except sqlite3.OperationalError:
                pass  # the first error says more
        raise StoreError(f"can't read the store {path}: {error}", hint="who may read it and its directory?") from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StoreCorrupt(f"{path} is not a store: {error}", hint=_NO_STORE) from None


def _connect(uri: str, path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)
    try:
        conn.execute("PRAGMA query_only = 1")
        find_room_for_temporary_files(conn, path)
        conn.set_progress_handler(_breathe, STEPS)
        version = conn.execute("PRAGMA user_version").fetchone()[0]
        ours = conn.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('source', 'file', 'interval')")
        if version < 1 or ours.fetchone()[0] != 3:
            raise StoreError(f"{path} is a database, but no store of otel-logtail", hint=_NO_STORE)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the store {path} has schema version {version}, this program knows {SCHEMA_VERSION}",
                hint="upgrade otel-logtail to the version that wrote it",
            )
        if version < SCHEMA_VERSION:
            raise StoreError(
                f"the store {path} has schema version {version}, this program reads {SCHEMA_VERSION}",
                hint="the daemon brings it up to date when it starts; `otel-logtail prune --db …` does it too",
            )
    except BaseException:
        conn.close()
        raise
    return conn


def _breathe() -> int:
    """Let Python handle the signals that have arrived, which it does between two instructions of its own."""
    return 0


@contextmanager
def translated() -> Iterator[None]:
    """Turn sqlite's errors into ours."""
    hint = "the daemon sets a corrupt store aside when it starts"
    try:
        yield
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # where SQLite can't see it: labels, which are few
        raise StoreCorrupt(f"the store is damaged: {error}", hint=_OF_JSON) from error
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" in str(error):
            raise StoreCorrupt(f"the store is damaged: {error}", hint=_OF_JSON) from error
        raise StoreError(f"can't read the store: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"the store is damaged: {error}", hint=hint) from error


@contextmanager
def snapshot(conn: sqlite3.Connection) -> Iterator[None]:
    """Let all that is read inside see the same moment: that of the outermost one."""
    with translated():
        outermost = not conn.in_transaction
        if outermost:
            conn.execute("BEGIN")
        try:
            yield
        finally:
            if outermost and conn.in_transaction:
                conn.execute("ROLLBACK")


def source_id(conn: sqlite3.Connection, source: str | None) -> int | None:
    """The id of the source with a name; None, for all sources, stays None."""
    if source is None:
        return None
    with translated():
        known = dict(conn.execute("SELECT name, id FROM source ORDER BY name").fetchall())
    if source not in known:
        raise UsageError(f"no source {source!r} in this store", hint=f"known: {', '.join(known) or 'none yet'}")
    return int(known[source])
