"""Tables and lines that fit a width without a broken word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.table import GAP, cells, lay_out, records, widths_of, wrap

WORDS = st.text("abc/-", min_size=1, max_size=30)
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


@given(TEXTS, st.integers(1, 40), st.sampled_from(["", "  "]))
def test_lines_fit_and_hold_every_word(text: str, width: int, indent: str) -> None:
    lines = wrap(text, width, indent)
    assert all(cells(line) <= max(width, len(indent) + 1) for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(TEXTS, st.integers(30, 60))
def test_a_word_that_fits_a_line_is_not_broken(text: str, width: int) -> None:
    assert " ".join(wrap(text, width)) == text


def test_a_word_that_is_longer_than_a_line_is_cut_after_a_mark() -> None:
    assert wrap("see /var/log/applications/frontend.log", 20) == ["see", "/var/log/", "applications/", "frontend.log"]
    assert wrap("a" * 12, 5) == ["aaaaa", "aaaaa", "aa"]


def test_wide_characters_take_two_cells() -> None:
    assert wrap("日本語 日本語", 8) == ["日本語", "日本語"]
    assert list(lay_out([["日本", "x"], ["ab", "y"]], "ll")) == ["日本  x", "ab    y"]


ROWS = [["name", "n", "text"], ["some-name", "12", "words that may go on several lines of a table"]]


def test_a_table_without_a_limit_has_a_line_for_each_row() -> None:
    assert list(lay_out(ROWS, "lrw", indent="  ")) == [
        "  name        n  text",
        "  some-name  12  words that may go on several lines of a table",
    ]


def test_a_column_wraps_at_spaces_before_one_is_left_out() -> None:
    assert list(lay_out(ROWS, "lrw", 40)) == [
        "name        n  text",
        "some-name  12  words that may go on",
        "               several lines of a table",
    ]
    assert list(lay_out(ROWS, "lrw", 38)) == ["name        n", "some-name  12"]
    assert list(lay_out(ROWS, "lrl", 50)) == ["name        n", "some-name  12"]


def test_a_word_is_broken_before_its_column_is_left_out() -> None:
    rows = [["name", "text", "n"], ["some-name", "a/" * 30, "12"]]
    assert list(lay_out(rows, "lwr", 41)) == [
        "name       text                         n",
        "some-name  a/a/a/a/a/a/a/a/a/a/a/a/a/  12",
        "           a/a/a/a/a/a/a/a/a/a/a/a/a/",
        "           a/a/a/a/",
    ]


def test_a_table_of_two_columns_shows_both() -> None:
    rows = [["figure", "value"], ["time in stalls", "2026-11-25 13:00:00"]]
    assert list(lay_out(rows, "lr", 30)) == [
        "figure                   value",
        "time in stalls      2026-11-25",
        "                      13:00:00",
    ]
    for width in range(4, 60):
        assert sum(widths_of(rows, "lr", width)[:2]) + GAP <= width
        assert len(widths_of(rows, "lr", width)) == 2


@pytest.mark.parametrize("width", range(1, 60))
def test_a_table_fits_every_width(width: int) -> None:
    assert all(cells(line) <= width for line in lay_out(ROWS, "lrw", width))


def test_records_have_a_value_on_each_line() -> None:
    assert list(records(["name", "n"], [["some name", "12"], ["a-longer-name", ""]], 12)) == [
        "name  some",
        "      name",
        "n     12",
        "",
        "name",
        "  a-longer-",
        "  name",
        "n",
    ]
