"""The changelog has the form of Keep a Changelog."""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise

from tests.support.places import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text()
RELEASES = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", TEXT, flags=re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
MOST_LINES = 80


def test_the_first_heading_is_for_changes_that_are_not_released() -> None:
    assert TEXT.startswith("# Changelog\n")
    headings = re.findall(r"^## .*$", TEXT, flags=re.MULTILINE)
    assert headings == ["## [Unreleased]", *(f"## [{version}] - {day}" for version, day in RELEASES)]


def test_releases_have_dates_and_the_newest_is_first() -> None:
    parts = [tuple(map(int, version.split("."))) for version, _ in RELEASES]
    days = [date.fromisoformat(day) for _, day in RELEASES]
    assert all(newer > older for newer, older in pairwise(parts))
    assert all(newer >= older for newer, older in pairwise(days))


def test_changes_are_of_the_kinds_of_the_format() -> None:
    assert set(re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE)) <= KINDS


def test_a_release_is_short() -> None:
    for release in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        assert release.count("\n") <= MOST_LINES, release.splitlines()[0]
