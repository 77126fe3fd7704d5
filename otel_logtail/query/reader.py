"""The one way to read a store: a connection that never writes, with the range and the source of a question."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from otel_logtail.errors import NotAStore, StoreCorrupt, StoreError, UsageError
from otel_logtail.store.connection import SCHEMA_VERSION, find_room_for_temporary_files, snapshot
from otel_logtail.store.sparse import add_functions
from otel_logtail.text import number

FIRST_NS, LAST_NS = -(2**63), 2**63 - 1
"""The first and the last time that SQLite can hold."""

STEPS = 100_000
"""The number of SQLite instructions, some milliseconds, between two checks for signals."""

_NO_STORE = "run otel-logtail --observer … first, or name the store with --db"
_BIT_FLIPS = "the disk or the memory changed some bits: check the machine, then move the store away to rebuild it"
_IN_MEMORY = Path(":memory:")


class Damage:
    """The rows that an answer could not use because they changed on disk in a way that SQLite cannot see."""

    def __init__(self) -> None:
        self._blocks: dict[int, int] = {}
        self._counts: dict[tuple[object, ...], int] = {}

    def block(self, id_: int, samples: int) -> None:
        """Note a block whose samples are left out; a block that is met again counts once."""
        self._blocks[id_] = samples

    def counts(self, row: tuple[object, ...], samples: int) -> None:
        """Note an interval whose samples are counted at their mean, or are missing (0)."""
        self._counts[row] = samples

    @property
    def left_out(self) -> int:
        """The number of samples that are left out."""
        return sum(self._blocks.values())

    def __str__(self) -> str:
        notes = []
        if self._blocks:
            blocks = number(len(self._blocks), "block")
            notes.append(f"{number(self.left_out, 'sample')} in {blocks} cannot be read and are left out")
        if at_mean := sum(self._counts.values()):
            notes.append(f"{number(at_mean, 'sample')} counted at their mean because their distribution is lost")
        if missing := sum(not samples for samples in self._counts.values()):
            notes.append(f"{number(missing, 'interval')} cannot be read: samples are missing in the totals")
        return "; ".join(notes)


class Reader:
    """One store, one range of time and one source, as every question needs them.

    Args:
        conn: A connection to the store; :meth:`open` makes one that cannot write.
        path: The store's file.
        since_ns: The start of the range, in ns since the epoch; None: no bound.
        until_ns: The end of the range, which is not part of it; None: no bound.
        source: The name of a source; None: all sources together.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        path: Path = _IN_MEMORY,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        source: str | None = None,
    ) -> None:
        self.conn = conn
        self.path = path
        self.since_ns = since_ns
        self.until_ns = until_ns
        self.source = source
        self.damage = Damage()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        source: str | None = None,
        traceless: bool = False,
    ) -> Reader:
        """Open a store for reading, beside its daemon if one runs.

        Args:
            path: The store's file.
            since_ns: As in :class:`Reader`.
            until_ns: As in :class:`Reader`.
            source: As in :class:`Reader`.
            traceless: Create no file beside the store. A daemon that starts meanwhile may then be seen halfway through
                a commit.

        Raises:
            StoreError: there is no store, a newer version wrote it, or it cannot be read.
        """
        return cls(_open(path, traceless=traceless), path, since_ns=since_ns, until_ns=until_ns, source=source)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.conn.close()

    def of(self, source: str) -> Reader:
        """Return a reader of one source that shares connection, range and damage with this one."""
        narrow = Reader(self.conn, self.path, since_ns=self.since_ns, until_ns=self.until_ns, source=source)
        narrow.damage = self.damage
        return narrow

    def within(self, since_ns: int | None, until_ns: int | None) -> Reader:
        """Return a reader of another range that shares connection, source and damage with this one."""
        other = Reader(self.conn, self.path, since_ns=since_ns, until_ns=until_ns, source=self.source)
        other.damage = self.damage
        return other

    @property
    def bounds(self) -> tuple[int, int]:
        """The range as two numbers: ``[since, until)``."""
        return (
            FIRST_NS if self.since_ns is None else self.since_ns,
            LAST_NS if self.until_ns is None else self.until_ns,
        )

    def source_id(self) -> int | None:
        """Return the id of the source, or None for all sources.

        Raises:
            UsageError: the store has no such source.
        """
        if self.source is None:
            return None
        with translated():
            known = dict(self.conn.execute("SELECT name, id FROM source ORDER BY name").fetchall())
        if self.source not in known:
            raise UsageError(
                f"no source {self.source!r} in this store", hint=f"known: {', '.join(known) or 'none yet'}"
            )
        return int(known[self.source])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that is read inside see the store at one moment; the outermost snapshot decides which."""
        with translated(), snapshot(self.conn):
            yield


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of ours in place of those of SQLite."""
    try:
        yield
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # labels that changed in a way that SQLite cannot see
        raise StoreCorrupt(f"the store is damaged: {error}", hint=_BIT_FLIPS) from error
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" in str(error):
            raise StoreCorrupt(f"the store is damaged: {error}", hint=_BIT_FLIPS) from error
        raise StoreError(f"cannot read the store: {error}") from error
    except sqlite3.DatabaseError as error:
        hint = "restart the daemon: it moves a corrupt store away and rebuilds it from the logs"
        raise StoreCorrupt(f"the store is damaged: {error}", hint=hint) from error


# --- opening ------------------------------------------------------------------------------------------------------


def _open(path: Path, *, traceless: bool) -> sqlite3.Connection:
    if not path.is_file():
        raise StoreError(f"no store at {path}", hint=_NO_STORE)
    real = path.resolve()  # SQLite names the files beside the store after the target of a link
    uri, wal = real.as_uri() + "?mode=ro", Path(f"{real}-wal")
    try:
        return _connect(uri + ("&immutable=1" if traceless and not wal.exists() else ""), path)
    except sqlite3.OperationalError as error:
        # A reader needs the -shm file beside the store, and cannot create it in a read-only directory. Without a -wal
        # file no process writes, and everything that was committed is in the one file.
        if not wal.exists():
            try:
                return _connect(uri + "&immutable=1", path)
            except sqlite3.OperationalError:
                pass  # the first error is the better explanation
        raise StoreError(
            f"cannot read the store {path}: {error}", hint="check the owner and the mode of the file and its directory"
        ) from None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StoreCorrupt(f"{path} is not a store: {error}", hint=_NO_STORE) from None


def _connect(uri: str, path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5)
    try:
        conn.execute("PRAGMA query_only = 1")
        find_room_for_temporary_files(conn, path)
        conn.set_progress_handler(_let_signals_in, STEPS)
        add_functions(conn)
        _check_schema(conn, path)
    except BaseException:
        conn.close()
        raise
    return conn


def _check_schema(conn: sqlite3.Connection, path: Path) -> None:
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    ours = conn.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('source', 'file', 'interval')")
    if version < 1 or ours.fetchone()[0] != 3:
        raise NotAStore(path)
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store {path} has schema version {version}, this program reads {SCHEMA_VERSION}",
            hint="upgrade otel-logtail to the version that wrote the store",
        )
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"the store {path} has schema version {version}, this program reads {SCHEMA_VERSION}",
            hint="start the daemon, which migrates the store, or run `otel-logtail prune --db …`",
        )


def _let_signals_in() -> int:
    """Return to Python, which then runs the handlers of signals that have arrived; 0: go on with the query."""
    return 0
