"""``--where``: an expression over the columns of a row, and nothing else."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.errors import UsageError
from otel_logtail.query import condition
from otel_logtail.query.condition import Condition


class Row(msgspec.Struct):
    id: int
    duration_ms: float
    cause: str
    attributes: dict[str, str | int]
    end: str | None = None
    open: bool = False


COLUMNS = Row.__struct_encode_fields__
WAIT = Row(1, 2500.0, "wait", {"http.route": "/a", "server.port": 8787})
READ = Row(2, 3.0, "read", {}, open=True)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("duration_ms > 2000 AND cause = 'wait'", True, False),
        ("cause IN ('read', 'other') OR id = 7", False, True),
        ("cause LIKE 'W%'", True, False),
        ("attributes ->> '$.\"http.route\"' = '/a'", True, False),
        ("json_extract(attributes, '$.\"server.port\"') > 8000", True, False),
        ("end IS NULL", True, True),
        ("open", False, True),
        ("DURATION_MS BETWEEN 1 AND 5", False, True),
        ("round(duration_ms / 1000) = 3 -- a comment", True, False),
        ("1) OR (0", True, True),
    ],
)
def test_an_expression_selects_rows(text: str, first: bool, second: bool) -> None:
    condition = Condition(text, COLUMNS)
    assert [condition.holds(row) for row in (WAIT, READ)] == [first, second]


@given(st.floats(0, 10**6), st.integers(-(2**63), 2**63 - 1))
def test_values_compare_as_in_python(limit: float, id_: int) -> None:
    row = Row(id_, 5.0, "", {})
    assert Condition(f"duration_ms >= {limit!r} AND id = {id_}", COLUMNS).holds(row) == (limit <= 5.0)


def test_a_condition_of_many_rows_is_not_stopped() -> None:
    condition = Condition("duration_ms > 2000 AND cause = 'wait' AND attributes LIKE '%/a%'", COLUMNS)
    assert all(condition.holds(WAIT) for _ in range(20_000))


INJECTIONS = [
    "1) UNION SELECT (1",
    "1) UNION ALL SELECT name FROM sqlite_master WHERE (1",
    "1) LIMIT (0",
    "1) GROUP BY (1",
    "1), (2",
    "1) FROM (SELECT 1) WHERE (1",
    "1; DROP TABLE sample",
    "1; ATTACH 'FILE' AS x",
    "(SELECT count(*) FROM sqlite_master)",
    "(SELECT 1)",
    "EXISTS (SELECT 1)",
    "id IN sqlite_master",
    "id IN (VALUES (1))",
    "id IN pragma_database_list",
    "id IN (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n)",
    "load_extension('FILE')",
    "readfile('FILE')",
    "writefile('FILE', 'x')",
    "randomblob(1000000000)",
    "zeroblob(1000000000)",
    "printf('%1000000000d', 1)",
    "replace(cause, 'a', 'b')",
    "sqlite_version()",
    "count(*)",
    "max(id)",
    "row_number() OVER ()",
    "cause MATCH 'x'",
    "id = ?",
    "id = :id",
    "1 /*",
    "'",
    "",
    " ",
    "a\0b",
    "\udcff",
    "(" * 2000,
    "1 OR " * 5000 + "1",
]


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
def test_anything_but_an_expression_is_one_error(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        Condition(text, COLUMNS)
    assert str(refused.value).startswith("invalid --where ")
    assert refused.value.hint
    assert list(tmp_path.iterdir()) == []


@given(
    st.text() | st.lists(st.sampled_from([*INJECTIONS, *COLUMNS, "(", ")", ",", "AND", "=", "1", "--"])).map(" ".join)
)
def test_no_text_raises_another_error(text: str) -> None:
    try:
        Condition(text, COLUMNS).holds(WAIT)
    except UsageError as problem:
        assert problem.hint


def test_an_unknown_column_names_the_closest_one_and_all_others() -> None:
    with pytest.raises(UsageError) as refused:
        Condition("durtion_ms > 5", COLUMNS)
    assert str(refused.value) == "invalid --where 'durtion_ms > 5': no column durtion_ms"
    assert refused.value.hint == "did you mean duration_ms? columns: id, duration_ms, cause, attributes, end, open"


@pytest.mark.parametrize(
    "text", ['"duratoin_ms" > 100', 'cause = "wait"', '\'"\' <> "x""y"', '"id" = 1 OR "end_" = \'\'']
)
def test_a_name_in_quotes_that_is_not_a_column_is_not_a_text(text: str) -> None:
    with pytest.raises(UsageError, match='no column "') as refused:
        Condition(text, COLUMNS)
    assert refused.value.hint.endswith(
        "columns: id, duration_ms, cause, attributes, end, open; a text is in single quotes"
    )


@pytest.mark.parametrize(
    "text", ['"Duration_ms" > 2000', 'cause <> \'"x"\' /* "x" */ -- "x"', "cause <> 'it''s \"x\"'"]
)
def test_quotes_of_columns_texts_and_comments_are_valid(text: str) -> None:
    assert Condition(text, COLUMNS).holds(WAIT)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("end > '2026-11-23 18:17:02'", "write '2026-11-23T18:17:02' (in UTC)"),
        ("end BETWEEN '2026-11-23T18:00' AND '2026-11-23 19:00Z'", "write '2026-11-23T19:00' (in UTC)"),
        ("end LIKE '2026-11-23 18:%'", "write '2026-11-23T18:' (in UTC)"),
    ],
    ids=["seconds", "minutes", "pattern"],
)
def test_a_time_with_a_space_is_one_error(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="a T between date and time") as refused:
        Condition(text, COLUMNS)
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    "text", ["end > '2026-11-23T18:17'", "datetime(end) > '2026-11-23 18:17:02'", "end > '2026-11-23'"]
)
def test_a_time_that_compares_right_is_valid(text: str) -> None:
    row = Row(1, 5.0, "", {}, end="2026-11-23T18:17:02.500000000Z")
    assert Condition(text, COLUMNS).holds(row) == ("datetime" not in text)


def test_an_error_repeats_the_start_of_a_long_expression() -> None:
    with pytest.raises(UsageError) as refused:
        Condition("x" * 20_000, COLUMNS)
    assert str(refused.value) == f"invalid --where '{'x' * 199}…': no column {'x' * 199}…"


if sys.version_info >= (3, 11):  # Python 3.10 cannot set limits of SQLite

    @pytest.mark.parametrize("operator", ["LIKE", "GLOB"])
    def test_a_long_pattern_is_one_error(operator: str) -> None:
        with pytest.raises(UsageError, match="pattern too complex"):
            Condition(f"cause {operator} '{'%a' * 12_000}'", COLUMNS).holds(WAIT)


def test_a_value_that_an_expression_cannot_use_is_one_error() -> None:
    condition = Condition("json_extract(cause, '$.a') = 1", COLUMNS)
    with pytest.raises(UsageError, match="malformed JSON"):
        condition.holds(WAIT)


def test_an_expression_that_takes_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    allow: Callable[..., int] = lambda *_: sqlite3.SQLITE_OK  # noqa: E731
    monkeypatch.setattr(condition._Guard, "authorize", allow)
    endless = "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n)"
    with pytest.raises(UsageError, match="interrupted"):
        Condition(endless, COLUMNS)


def test_another_thread_may_drop_it() -> None:
    kept = [Condition("id = 1", COLUMNS)]
    dropping = threading.Thread(target=kept.clear)
    dropping.start()
    dropping.join()  # pytest turns an error of __del__ into one of this test
    assert not kept
