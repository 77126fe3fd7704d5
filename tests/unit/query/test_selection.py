"""``--sort`` and ``--limit``: the order is that of Python, with a limit and without."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logtail.errors import UsageError
from otel_logtail.query.selection import Selection


class Row(msgspec.Struct, frozen=True):
    number: int | None
    text: str
    pairs: dict[str, int] = {}

    def __hash__(self) -> int:
        return hash((self.number, self.text))


ROWS = st.lists(st.builds(Row, st.none() | st.integers(-5, 5), st.text("ab", max_size=2)), max_size=30)


@settings(deadline=None)
@given(ROWS, st.sampled_from(["number", "text"]), st.booleans(), st.integers(0, 40))
def test_rows_are_sorted_and_cut(rows: list[Row], column: str, descending: bool, limit: int) -> None:
    selection = Selection(Row, sort="-" * descending + column, limit=limit)
    assert selection.newest == 0
    values = {row: row.text if column == "text" else -99 if row.number is None else row.number for row in rows}
    expected = sorted(rows, key=lambda row: values[row], reverse=descending)
    assert list(selection.ordered(iter(rows))) == expected[: limit or None]


def test_objects_sort_as_their_json() -> None:
    rows = [Row(1, "", {"b": 1}), Row(2, "", {"a": 2})]
    for limit in (0, 5):
        assert list(Selection(Row, sort="pairs", limit=limit).ordered(iter(rows))) == rows[::-1]


def test_without_a_column_rows_stay_as_they_are_read() -> None:
    selection = Selection(Row, limit=3)
    assert (selection.newest, selection.keep) == (3, None)
    assert list(selection.ordered(iter([Row(2, ""), Row(1, "")]))) == [Row(2, ""), Row(1, "")]


def test_a_minus_without_a_column_is_one_error() -> None:
    with pytest.raises(UsageError) as refused:
        Selection(Row, sort="-")
    assert str(refused.value) == "invalid --sort '-': the column is missing"
    assert refused.value.hint == "columns: number, text, pairs"


@pytest.mark.parametrize("sort", ["numbr", "-numbr"])
def test_an_unknown_column_names_the_closest_one(sort: str) -> None:
    with pytest.raises(UsageError) as refused:
        Selection(Row, sort=sort)
    assert str(refused.value) == f"invalid --sort '{sort}': no column numbr"
    assert refused.value.hint == "did you mean number? columns: number, text, pairs"
