"""The documentation site: each page has a place in it, and a request to another host is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tools.site import (
    decisions,
    for_python_markdown,
    is_elsewhere,
    outside,
    page_of,
    problems,
    requests,
    shown,
    with_links,
)

CONFIGURATION = (ROOT / "mkdocs.yml").read_text()
PAGES = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))


def test_each_page_has_one_place_in_the_navigation() -> None:
    named = re.findall(r"([\w./-]+\.md)$", CONFIGURATION.partition("\nnav:\n")[2], re.MULTILINE)
    assert len(named) == len(set(named))
    of_the_site = {page for page in PAGES if not page.startswith("decisions/")} | {"decisions/index.md"}
    assert {name for name in named if not name.startswith("files/")} == of_the_site


def test_each_decision_is_in_their_list() -> None:
    assert set(re.findall(r"\((0\d+-[\w-]+\.md)\)", decisions())) == {
        path.name for path in (ROOT / "docs" / "decisions").glob("*.md")
    }


def test_links_to_files_outside_of_docs_lead_to_pages_of_the_site() -> None:
    page = (
        "See [a](../../LICENSE), [b](../reference/plugins.md#tests), [c](../../examples/apache), "
        "`[d](../../LICENSE)`, [e](#f)."
    )
    assert with_links(page, "docs/how-to/x.md", "how-to/x.md") == (
        "See [a](../files/LICENSE.md), [b](../reference/plugins.md#tests), [c](../files/examples/apache/README.md), "
        "`[d](../../LICENSE)`, [e](#f)."
    )


def test_a_file_is_shown_as_a_block_of_code() -> None:
    assert shown("LICENSE").startswith("# LICENSE\n\n````text\n")
    assert "- [compose.yaml](compose.yaml)\n" in shown("collector-config")


def test_files_are_found_through_other_files() -> None:
    found = outside(["docs/how-to/hex.md", "CONTRIBUTING.md"])
    assert all(page_of(path).startswith("files/") and (ROOT / path).exists() for path in found)
    assert "docs/how-to/hex.md" not in found


def test_lists_and_tables_are_shown_as_github_shows_them() -> None:
    page = "Text:\n- one\n  more\n  - two\n- three\n\n```\nx\n- y\n```\n| `a\\|b` | c \\| d |\n\n# Four\n- five\n"
    assert for_python_markdown(page) == (
        "Text:\n\n- one\n  more\n    - two\n- three\n\n```\nx\n- y\n```\n| `a|b` | c \\| d |\n\n# Four\n- five\n"
    )


SITE_OF_TWO = {
    "index.html": '<link href="a.css" rel="stylesheet"><a href="https://example.org/">link</a><img src="img/x.png">',
    "img/x.png": "",
    "a.css": "@font-face { src: url(x.woff2) }",
}


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("index.html", "<p>", None),
        (
            "b.html",
            '<script src="https://cdn.example.org/a.js"></script>',
            "b.html requests https://cdn.example.org/a.js",
        ),
        ("b.html", '<link rel="preconnect" href="https://fonts.gstatic.com">', "https://fonts.gstatic.com"),
        ("b.html", '<img src="//example.org/a.png">', "//example.org/a.png"),
        ("b.html", '<img srcset="https://example.org/a.png 2x">', "https://example.org/a.png"),
        ("b.html", '<p style="background: url(http://example.org/b)">', "http://example.org/b"),
        ("b.html", '<img src="gone.png">', "gone.png, which does not exist"),
        ("b.css", '@import "https://example.org/c.css";', "https://example.org/c.css"),
        ("b.css", "p { background: url(//example.org/d) }", "//example.org/d"),
    ],
)
def test_a_request_to_another_host_is_found(tmp_path: Path, name: str, text: str, found: str | None) -> None:
    for path, content in {**SITE_OF_TWO, name: text}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    messages = [message for message in problems(tmp_path) if "has only" not in message]
    assert messages == [] if found is None else len(messages) == 1 and found in messages[0]


def test_a_link_is_not_a_request() -> None:
    assert requests('<a href="https://example.org/">x</a><link rel="canonical" href="https://example.org/">') == []
    assert not is_elsewhere("../a.css") and not is_elsewhere("data:image/png;base64,AA")


def test_a_site_without_pages_is_a_problem(tmp_path: Path) -> None:
    assert list(problems(tmp_path)) == [f"{tmp_path} has only 0 pages"]


def test_ci_builds_the_site_and_its_theme_loads_no_fonts() -> None:
    assert "\nmake site\n" in (ROOT / ".ci/run").read_text()
    assert "- run: make site\n" in (ROOT / ".github/workflows/docs.yml").read_text()
    assert re.search(r"^  font: false\b", CONFIGURATION, re.MULTILINE)
    assert re.search(r"^strict: true$", CONFIGURATION, re.MULTILINE)
    assert "repo_url" not in CONFIGURATION, "the theme requests the number of stars from the host of the repository"
