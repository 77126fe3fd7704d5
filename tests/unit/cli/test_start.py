"""A daemon's arguments that need no parser mean the same as typer's, and all others are left to typer."""

from __future__ import annotations

import os
from typing import Any

import pytest
import typer

from otel_logtail.cli.main import _USAGE, _run
from otel_logtail.cli.start import declared, given_by, given_plainly
from otel_logtail.daemon.options import DB, ONCE, PATH
from otel_logtail.option import Flag, Option
from tests.support.commands import ROOT


def same(words: list[str]) -> None:
    by_typer = given_by(ROOT.make_context("otel-logtail", list(words)))
    plain = given_plainly(words)
    assert plain is not None
    assert (plain.options, list(plain.options), plain.places) == (
        by_typer.options,
        list(by_typer.options),
        by_typer.places,
    )


@pytest.mark.parametrize("option", [*declared()], ids=lambda option: option.name)
def test_each_option_means_the_same(option: Option[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(option.kind, Flag):
        same([option.flag])
        same([option.flag, option.flag])
        values = ["true", "false", ""]
    else:
        same([option.flag, "a b", "--once"])
        same([f"{option.flag}=-1=2", option.flag, "", option.flag, "2"])
        values = ["a b,c:d", " ", ""]
    for value in values:
        monkeypatch.setenv(option.variable, value)
        same([])
    same(["--quiet", "--db", "doctor"])


@pytest.mark.parametrize(
    "words",
    [
        ["doctor"],
        ["--once", "query"],
        ["-v"],
        ["--help"],
        ["--version", "--once"],
        ["--"],
        ["--once=true"],
        [DB.flag],
        [DB.flag, "--once"],
        [PATH.flag, "x", "y"],
        ["--onc"],
        [""],
    ],
)
def test_everything_else_is_left_to_typer(words: list[str]) -> None:
    assert given_plainly(words) is None


@pytest.mark.parametrize("value", ["yes", "0", "TRUE", "perhaps", " "])
def test_so_is_a_flag_in_a_variable_with_an_unusual_value(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, ONCE.variable, value)
    assert given_plainly([]) is None


def test_the_exit_codes_of_typer_are_those_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(problem: BaseException) -> Any:
        def demo() -> None:
            raise problem

        monkeypatch.setattr("otel_logtail.cli.program.demo", demo)
        monkeypatch.setattr("sys.argv", ["otel-logtail", "demo"])
        return _run(["demo"])

    assert ends(typer.Exit(7)) == 7
    assert ends(typer.Abort()) == 130


def test_errors_have_the_same_usage() -> None:
    assert ROOT.make_context("otel-logtail", []).get_usage() == _USAGE
