"""``query schema`` lists the views as the store has them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from otel_logtail.query import SampleRow
from otel_logtail.query.episodes import EpisodeRow
from otel_logtail.query.schema import VIEWS, schema
from tests.support.store_builder import fill


def test_each_view_and_column_of_the_store_is_listed_in_its_order() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        fill(conn)
        views = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
        found = {view: [row[1] for row in conn.execute(f"PRAGMA table_info({view})")] for view in views}
    assert {view: [name for name, _, _ in columns] for view, columns in VIEWS.items()} == found


def test_each_column_has_a_meaning_and_names_its_unit() -> None:
    units = {"_ms": "ms", "_unix_nano": "ns"}
    for row in schema():
        assert row.meaning.endswith(".") and row.meaning[:1].isalpha()
        for ending, unit in units.items():
            assert row.unit == unit or not row.column.endswith(ending)


def test_the_columns_of_rows_are_those_of_their_view() -> None:
    for view, kind in (("samples", SampleRow), ("episodes", EpisodeRow)):
        assert {*kind.__struct_encode_fields__} <= {name for name, _, _ in VIEWS[view]}
