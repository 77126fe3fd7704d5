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
    ("kind", "text", "expected"),
    [
        (Integer(0, 100), "101", "a number from 0 to 100"),
        (Integer(1, 100), "0", "a number from 1 to 100"),
        (Integer(0, 100), "-1", "a number from 0 to 100"),
        (Integer(0, 100), "٣", "a number from 0 to 100"),
        (Duration(), "10", "a duration"),
        (Duration(), "0s", "a duration"),
        (Duration(), "none", "a duration"),
        (Duration(endless=-1), "x", "a duration or none"),
        (Size(), "0", "a size"),
        (Choice(("span", "log", "both")), "x", "span, log or both"),
        (Flag(), "maybe", "true or false"),
        (File(), "~nobody-has-this-name/x", "a path"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_place(kind: Any, text: str, expected: str) -> None:
    with pytest.raises(UsageError) as raised:
        Option("a_b", kind, "help").parse(text, "x.toml:3: exporter.a.b")
    assert str(raised.value) == f"x.toml:3: exporter.a.b: {text!r} is not {expected}"
    assert raised.value.hint.startswith("use ")


def test_a_secret_value_is_not_shown() -> None:
    with pytest.raises(UsageError, match=r"^--a-pin: the value is not a number from 0 to 9999$"):
        Option("a_pin", Integer(0, 9999), "help", secret=True).parse("12345")


def test_a_value_is_the_given_one_or_the_default() -> None:
    assert Options().require(KEEP) == 10
    assert Options(options={"csv_keep": "7"}).require(KEEP) == 7
    assert Options(options={"csv_keep": " "}).get(KEEP) == 10
    assert Options().get(FILE) is None


def test_a_wrong_given_value_names_its_place() -> None:
    given = Options(options={"csv_keep": "x"}, places={"csv_keep": "OTEL_LOGTAIL_CSV_KEEP"})
    with pytest.raises(UsageError, match=r"^OTEL_LOGTAIL_CSV_KEEP: 'x' is not"):
        given.get(KEEP)


def test_a_missing_option_is_an_error_that_names_its_flag() -> None:
    with pytest.raises(UsageError, match=r"^--csv-file is missing$") as raised:
        Options().require(FILE)
    assert raised.value.hint == "pass --csv-file PATH"


def test_a_default_may_hold_a_variable() -> None:
    option = Option("acme_file", File(), "help", default="${ACME}/x.csv")
    assert Options({"ACME": "/acme"}).get(option) == Path("/acme/x.csv")
    assert Options({"ACME": ""}).get(option) is None
