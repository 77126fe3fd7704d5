"""One table classifies every error that SQLite, Python or the system raise while the store is used.

Three kinds: temporary (waited for, exit code 1), damage (the store is moved away, 1), a fault that the user must fix
(2).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest

from otel_logtail import query
from otel_logtail.doctor.store import check_store
from otel_logtail.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from otel_logtail.store.connection import FULL_ERRNOS, TEMPORARY_ERRNOS, connect, error_of, translated
from otel_logtail.store.file import open_file
from tests.support.pieces import opened, rows

PASSES, FULL, DAMAGE, FINAL = StoreUnavailable, StoreFull, StoreCorrupt, StoreError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with opened(path):
        pass
    return path


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        yield connection


def locked(path: Path) -> None:
    with connected(path) as one, connected(path) as other:
        one.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")


def older_snapshot(path: Path) -> None:
    with connected(path) as one, connected(path) as other:
        one.execute("BEGIN")
        one.execute("SELECT * FROM meta").fetchall()
        other.execute("INSERT INTO meta VALUES ('a', 'b')")
        one.execute("INSERT INTO meta VALUES ('c', 'd')")


def no_room(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE large AS SELECT zeroblob(100000)")


def page_of_zeros(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes(3996))
    with connected(path) as connection:
        connection.execute("SELECT * FROM meta").fetchall()


def other_file(path: Path) -> None:
    path.write_bytes(b"a letter\n" * 1000)
    with connected(path) as connection:
        connection.execute("SELECT * FROM meta").fetchall()


def schema_with_bytes(sql: bytes) -> Callable[[Path], None]:
    """Its own message about it can't be decoded: Python raises something else instead."""

    def damage(path: Path) -> None:
        with connected(path) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = CAST(? AS TEXT) WHERE name = 'kind'", (sql,))
        with connected(path) as connection:
            connection.execute("SELECT * FROM kind").fetchall()

    return damage


def name_with_bytes(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET name = CAST(? AS TEXT), tbl_name = name", (b"\xff\xfe",))
    with connected(path) as connection:
        connection.execute("SELECT * FROM kind").fetchall()


def text_with_bytes(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("INSERT INTO meta VALUES ('odd', CAST(x'ff' AS TEXT))")
        connection.execute("SELECT * FROM meta").fetchall()


def missing_table(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("DROP VIEW samples")
        connection.execute("DROP TABLE kind")
        connection.execute("SELECT * FROM kind")


def missing_column(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("ALTER TABLE meta RENAME value TO other")
        connection.execute("SELECT value FROM meta")


def contradiction(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("INSERT INTO meta VALUES ('instance', 'another')")


def too_big(path: Path) -> None:
    with connected(path) as connection:
        connection.execute("SELECT zeroblob(2000000000)").fetchall()


def not_there(path: Path) -> None:
    path.unlink()
    with connected(path):
        pass


def read_only(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")


def memory_short(path: Path) -> None:
    raise MemoryError


def labels_with_garbage(path: Path) -> None:
    msgspec.json.decode(b'{"a', type=dict[str, str])


RAISED: list[tuple[Callable[[Path], None], type[StoreError]]] = [
    (locked, PASSES),
    (older_snapshot, PASSES),
    (no_room, FULL),
    (page_of_zeros, DAMAGE),
    (other_file, DAMAGE),
    (schema_with_bytes(b"CREATE TABLE kind (\xff\xfe"), DAMAGE),
    (schema_with_bytes(b"\xc3"), DAMAGE),
    (name_with_bytes, DAMAGE),
    (text_with_bytes, DAMAGE),
    (missing_table, DAMAGE),
    (missing_column, DAMAGE),
    (contradiction, DAMAGE),
    (too_big, DAMAGE),
    (labels_with_garbage, DAMAGE),
    (not_there, PASSES),
    (read_only, PASSES),  # it may be written to: opening it to write failed for another reason
    (memory_short, PASSES),
]


@pytest.mark.parametrize(("happens", "kind"), RAISED, ids=[happens.__name__ for happens, _ in RAISED])
@pytest.mark.parametrize("codes", [True, False], ids=["with codes", "by its words"])
def test_what_is_raised_is_of_its_kind(
    path: Path, happens: Callable[[Path], None], kind: type[StoreError], *, codes: bool
) -> None:
    try:
        happens(path)
    except Exception as raised:  # noqa: BLE001 - any error
        problem = raised
    else:
        pytest.fail("nothing was raised")
    if not codes and hasattr(problem, "sqlite_errorcode"):
        problem = type(problem)(*problem.args)  # as Python 3.10 gives it
    ours = error_of(problem, path)
    assert type(ours) is kind
    assert "\n" not in str(ours)
    assert str(ours).encode()  # it can be printed
    assert ours.exit_code == (2 if kind is FINAL else 1)


WORDS: dict[str, type[StoreError]] = {
    "disk I/O error": PASSES,
    "locking protocol": PASSES,
    "database schema has changed": PASSES,
    "out of memory": PASSES,
    "unable to open database file": PASSES,
    "database disk image is malformed": DAMAGE,
    "malformed database schema (x) - near": DAMAGE,
    "file is not a database": DAMAGE,
    "auxiliary database format error": DAMAGE,
    "large file support is disabled": FINAL,
    "access permission denied": FINAL,
}


@pytest.mark.parametrize(("words", "kind"), WORDS.items())
def test_sqlites_words_are_of_their_kind(path: Path, words: str, kind: type[StoreError]) -> None:
    assert type(error_of(sqlite3.OperationalError(words), path)) is kind


def test_a_store_that_may_not_be_written_to_is_the_users_matter(path: Path) -> None:
    elsewhere = path.parent / "not there" / path.name
    assert type(error_of(sqlite3.OperationalError("attempt to write a readonly database"), elsewhere)) is FINAL


@pytest.mark.parametrize("number", sorted(errno.errorcode), ids=lambda number: errno.errorcode[number])
def test_every_error_of_the_system_has_a_kind(path: Path, number: int) -> None:
    kind = FULL if number in FULL_ERRNOS else PASSES if number in TEMPORARY_ERRNOS else FINAL
    with pytest.raises(kind) as caught, translated(path):
        raise OSError(number, os.strerror(number), str(path))
    assert type(caught.value) is kind
    assert os.strerror(number) in str(caught.value) or kind is FULL
    assert "None" not in str(caught.value)
    assert "Errno" not in str(caught.value)


PASSING = ("EIO", "EAGAIN", "EINTR", "EBUSY", "ENOMEM", "EMFILE", "ENFILE", "ESTALE", "ETIMEDOUT", "ENOTCONN")
LASTING = ("EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENOENT")


def test_common_errors_are_of_the_right_kind() -> None:
    assert {getattr(errno, name) for name in PASSING} <= TEMPORARY_ERRNOS
    assert {getattr(errno, name) for name in LASTING}.isdisjoint(TEMPORARY_ERRNOS | FULL_ERRNOS)


@pytest.mark.parametrize("bug", [KeyError("x"), ValueError("x"), TypeError("x"), sqlite3.ProgrammingError("x")])
def test_a_bug_of_ours_stays_what_it_is(path: Path, bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught, translated(path):
        raise bug
    assert caught.value is bug


# --- damage that SQLite does not see ---


@pytest.mark.parametrize("damage", [schema_with_bytes(b"CREATE TABLE kind (\xff\xfe"), name_with_bytes])
def test_a_store_with_an_unreadable_schema_is_moved_away(path: Path, damage: Callable[[Path], None]) -> None:
    with pytest.raises((sqlite3.Error, UnicodeDecodeError)):
        damage(path)
    with pytest.raises(StoreCorrupt):
        query.Reader.open(path)
    checks = list(check_store(path, None))
    assert any(check.level == "FAIL" for check in checks)
    with opened(path) as store:
        assert store.set_aside is not None
        assert store.replaces
    assert rows(path, "SELECT count(*) FROM kind") == [(0,)]


def test_damage_that_is_met_twice_within_the_hour_moves_the_store_though_sqlite_sees_none(path: Path) -> None:
    for _ in range(2):
        with opened(path) as store:
            assert store.set_aside is None
            path.with_name("store.db.suspect").touch()
    file = open_file(path)
    file.close()
    assert file.set_aside is not None
