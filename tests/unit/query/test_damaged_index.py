"""A bit that flipped in an index: the index and its table differ, and every question still ends."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.query.reader import Reader
from otel_logtail.query.samples import samples
from tests.support import store_builder
from tests.support.store_builder import NOON, SECOND, Written

_LEAF_OF_AN_INDEX = 10  # the type of a page, in SQLite's file format


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Four blocks of three samples. Indexes have another end for the second block than the table."""
    path = tmp_path / "store.db"
    store_builder.make_file(path, [Written(NOON + at * SECOND, SECOND) for at in range(12)])
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode = DELETE")
        conn.execute("VACUUM")
        (page_size,) = conn.execute("PRAGMA page_size").fetchone()
    data = path.read_bytes()
    pages = [data[at : at + page_size] for at in range(0, len(data), page_size)]
    end, other = ((NOON + 5 * SECOND + ns).to_bytes(8, "big") for ns in (0, 1))
    changed = [page.replace(end, other) if page[0] == _LEAF_OF_AN_INDEX else page for page in pages]
    assert changed != pages
    path.write_bytes(b"".join(changed))
    return path


@pytest.mark.parametrize("limit", [0, 100])
def test_a_block_of_which_the_index_and_the_table_differ_is_left_out_and_noted(store: Path, limit: int) -> None:
    with Reader.open(store) as reader:
        found = [(row.time_unix_nano - NOON) // SECOND for row in samples(reader, limit=limit)]
        assert found == [0, 1, 2, 6, 7, 8, 9, 10, 11]
        assert str(reader.damage) == "3 samples in 1 block cannot be read and are left out"
