"""The pictures of the README show what the program shows: each is drawn again and compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import MISSING, PROGRAM, Browser, browser
from tests.support.pictures import COMMANDS, FOLDER, SCHEMES, difference, draw, session, words_of, write_page
from tests.support.places import ROOT

MOST = 0.03
"""The share of cells in which fonts of another machine may change a picture."""

STALE = "the picture is not up to date: run `make pictures`, look at docs/img and commit it"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_the_page_looks_as_in_its_pictures(chromium: Browser, tmp_path: Path) -> None:
    url = write_page(tmp_path).as_uri()
    kept = [(FOLDER / f"report-{scheme}.png").read_bytes() for scheme in SCHEMES]
    for scheme, picture in zip(SCHEMES, kept, strict=True):
        assert difference(chromium, draw(chromium, url, scheme), picture) <= MOST, STALE
    assert difference(chromium, *kept) > 0.5, "the comparison sees no difference"
    page = (tmp_path / "report.html").read_text()
    for old, new in (("<h2>When", "<h2 hidden=''>When"), ("<header>", "<header hidden=''>")):
        (tmp_path / "report.html").write_text(page.replace(old, new, 1))
        assert difference(chromium, draw(chromium, url, "light"), kept[0]) > MOST, f"without {old}"


def test_the_session_is_the_one_in_its_picture(tmp_path: Path) -> None:
    kept = (FOLDER / "session.svg").read_text()
    assert words_of(kept) == words_of(session(tmp_path)), STALE
    assert "http" not in kept.replace("http://www.w3.org/2000/svg", "").replace("https://www.textualize.io", "")


def test_the_readme_shows_the_pictures_and_has_the_commands_of_the_session() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in ("report-light.png", "report-dark.png", "session.svg"):
        assert f"docs/img/{name}" in readme
    for command in COMMANDS:
        assert f"$ {command}\n" in readme
