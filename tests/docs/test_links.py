"""Links between pages lead to a file and a heading, and the tests that a page names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.places import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
TESTS = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return not target.exists() or bool(anchor and target.suffix == ".md" and anchor not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text())
    assert [link for link in links if is_broken(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_tests_exist(page: Path) -> None:
    assert set(re.findall(r"`(?:tests/[\w/]*)?(test_\w+)(?:\.py)?`", page.read_text())) - TESTS == set()


def test_broken_links_are_found() -> None:
    page = ROOT / "README.md"
    assert is_broken(page, "docs/nowhere.md")
    assert is_broken(page, "docs/reference/store.md#nowhere")
    assert not is_broken(page, "docs/reference/store.md#requirements")
