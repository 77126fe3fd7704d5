"""Options of plug-ins: what their kinds accept, and where a value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.option import Choice, Duration, File, Flag, Integer, Option, Options, Size, Text

FILE = Option("csv_file", File(), "CSV file that episodes are appended to.")
KEEP = Option("csv_keep", Integer(0, 100), "Number of old files to keep.", default="10")


def test_an_option_has_a_flag_a_variable_and_a_key() -> None:
    assert (FILE.flag, FILE.variable, FILE.key_of("csv")) == ("--csv-file", "OTEL_LOGTAIL_CSV_FILE", "file")
    assert Option("hex_db", File(), "x", key="db").key_of("hex-telemetry") == "db"
    assert Option("acme_bus_url", Text(), "x").key_of("acme-bus") == "url"
    assert Option("histogram", Text(), "x").key_of("otlp") == "histogram"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Text(), " a b ", "a b"),
        (Integer(0, 100), "100", 100),
        (Duration(), "1m30s", 90 * 10**9),
        (Duration(), "500ms", 500_000_000),
        (Duration(endless=-1), "None", -1),
        (Size(), "1MiB", 1 << 20),
        (Choice(("span", "log")), "LOG", "log"),
        (Flag(), "false", False),
        (File(), "/a/b", Path("/a/b")),
        (File(), "b", Path.cwd() / "b"),
    ],
)
def test_a_kind_returns_the_value(kind: Any, text: str, value: object) -> None:
    assert Option("x", kind, "help").parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        (Integer(0, 100), "101", "expected a number from 0 to 100"),
        (Integer(1, 100), "0", "expected a number from 1 to 100"),
        (Integer(0, 100), "-1", "expected a number from 0 to 100"),
        (Integer(0, 100), "٣", "expected a number from 0 to 100"),
        (Duration(), "10", "missing unit"),
        (Duration(), "0s", "the value is too small"),
        (Duration(), "none", "expected a number and a unit, e.g. 30s"),
        (Duration(endless=-1), "x", "expected a number and a unit, e.g. 30s"),
        (Duration(least="1m", most="1w"), "59s", "the value is too small"),
        (Duration(least="1m", most="1w"), "8d", "the value is too large"),
        (Duration(), "9" * 20 + "w", "the value is too large"),
        (Size(), "0", "the value is too small"),
        (Size(), "1 barrel", "unknown unit 'barrel'"),
        (Choice(("span", "log", "both")), "x", "expected span, log or both"),
        (Flag(), "maybe", "expected true or false"),
        (File(), "~nobody-has-this-name/x", "the home directory is unknown"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_place(kind: Any, text: str, why: str) -> None:
    for where, named in (("x.toml:3: exporter.a.b", "x.toml:3: exporter.a.b"), ("", "invalid --a-b")):
        with pytest.raises(UsageError) as raised:
            Option("a_b", kind, "help").parse(text, where)
        assert str(raised.value) == f"{named} {text!r}: {why}"
        assert raised.value.hint.startswith("use ")


def test_a_hint_has_the_bounds() -> None:
    assert Duration(0, "1m", "1w", "1h or 2d").example == "1h or 2d, or none (1m to 1w)"
    assert Size().example == "100MiB or 1GB (at least 1B)"
    assert [Duration(least="1m", most="1w").parse(text) for text in ("60s", "7d")] == [60 * 10**9, 604_800 * 10**9]


def test_a_secret_value_is_not_shown() -> None:
    with pytest.raises(UsageError, match=r"^invalid --a-pin: expected a number from 0 to 9999$"):
        Option("a_pin", Integer(0, 9999), "help", secret=True).parse("12345")


def test_a_value_is_the_given_one_or_the_default() -> None:
    assert Options().require(KEEP) == 10
    assert Options(options={"csv_keep": "7"}).require(KEEP) == 7
    with pytest.raises(UsageError, match=r"^invalid --csv-keep ' '"):
        Options(options={"csv_keep": " "}).get(KEEP)
    assert Options().get(FILE) is None


def test_a_wrong_given_value_names_its_place() -> None:
    given = Options(options={"csv_keep": "x"}, places={"csv_keep": "OTEL_LOGTAIL_CSV_KEEP"})
    with pytest.raises(UsageError, match=r"^invalid OTEL_LOGTAIL_CSV_KEEP 'x': "):
        given.get(KEEP)


def test_a_missing_option_is_an_error_that_names_its_flag() -> None:
    with pytest.raises(UsageError, match=r"^--csv-file is missing$") as raised:
        Options().require(FILE)
    assert raised.value.hint == "pass --csv-file PATH"


def test_a_default_may_hold_a_variable() -> None:
    option = Option("acme_file", File(), "help", default="${ACME}/x.csv")
    assert Options({"ACME": "/acme"}).get(option) == Path("/acme/x.csv")
    assert Options({"ACME": ""}).get(option) is None
