"""The pages of ``report --serve`` in a real browser: they load, link to episodes, and load again by themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from otel_logtail import query
from otel_logtail.query import EpisodeRow, Reader
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report, gather
from otel_logtail.report.serve import Site
from otel_logtail.report.stalls import LongStall
from otel_logtail.server import App, Server
from tests.support.browser import MISSING, PROGRAM, Browser, browser
from tests.support.moments import proxy_store
from tests.support.ports import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)


class Store:
    """The questions of the site to a store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def report(self) -> tuple[Report, Comparison | None]:
        with Reader.open(self._path) as reader:
            return gather(reader), None

    def episode(self, span_id: str) -> LongStall | None:
        with Reader.open(self._path) as reader:
            found = query.episodes_of(reader, [bytes.fromhex(span_id)])
            return LongStall(found[0], tuple(query.slow_samples(reader, span_id, limit=500))) if found else None

    def episodes(self) -> Sequence[EpisodeRow]:
        with Reader.open(self._path) as reader:
            return list(query.episodes(reader))[::-1]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


class Serving:
    """A store, and a site whose pages load again after some seconds."""

    def __init__(self, folder: Path, refresh_s: int) -> None:
        self.store = proxy_store(folder)
        self.loads = 0
        self._now_s = 0.0
        port = free_port()
        self._site = Site(Store(self.store), port, refresh_s=refresh_s, clock=self._clock)
        self.server = Server("serve", "127.0.0.1", port, self._app)
        self.address = f"http://127.0.0.1:{port}"

    def _clock(self) -> float:
        self._now_s += 10  # every report is a new one
        return self._now_s

    @property
    def _app(self) -> App:
        def app(environ: dict[str, object], start: object) -> object:
            self.loads += environ["PATH_INFO"] == "/"
            return self._site(environ, start)  # type: ignore[arg-type]

        return app  # type: ignore[return-value]


@contextmanager
def serve(folder: Path, refresh_s: int) -> Iterator[Serving]:
    made = Serving(folder, refresh_s)
    made.server.start()
    try:
        yield made
    finally:
        made.server.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with serve(tmp_path, 3600) as made:
        yield made


def shows(chromium: Browser, expression: str) -> bool:
    """Return whether an expression holds; False if the page loads just now."""
    try:
        return bool(chromium.evaluate(expression))
    except AssertionError:
        return False


def test_its_own_policy_forbids_nothing_that_a_page_needs(chromium: Browser, serving: Serving) -> None:
    for path in ("/", "/episodes", f"/episode/{1:016x}"):
        chromium.open(serving.address + path, 1280)
        assert chromium.evaluate("getComputedStyle(document.querySelector('h1')).fontSize") != "32px"  # not the default
        assert chromium.messages == []


def test_the_links_lead_from_the_report_to_an_episode_and_back(chromium: Browser, serving: Serving) -> None:
    chromium.open(serving.address + "/", 1280)
    links = "[...document.querySelectorAll('a')].map(link => link.href)"
    found = chromium.evaluate(links)
    assert f"{serving.address}/episodes" in found
    episodes = [address for address in found if "/episode/" in address]
    assert episodes
    chromium.open(episodes[0], 1280)
    assert chromium.evaluate("document.querySelector('h1').textContent").startswith("Stall of ")
    assert chromium.evaluate(links)[0] == f"{serving.address}/"


def test_the_page_loads_again_and_stays_where_it_was(chromium: Browser, tmp_path: Path) -> None:
    with serve(tmp_path, 2) as serving:
        chromium.call("Page.navigate", url=serving.address + "/")
        wait_until(lambda: shows(chromium, "(scrollTo(0, 600), scrollY === 600)"))
        with closing(sqlite3.connect(serving.store)) as conn:
            conn.execute("UPDATE source SET name = 'renamed'")
            conn.commit()
        before = serving.loads
        wait_until(lambda: serving.loads >= before + 2)
        wait_until(lambda: shows(chromium, "document.querySelector('b').textContent === 'renamed'"))
        wait_until(lambda: shows(chromium, "scrollY === 600"))


def test_open_folds_stay_open(chromium: Browser, serving: Serving) -> None:
    chromium.open(serving.address + "/", 1280)
    opened = "[...document.querySelectorAll('details')].map((fold) => fold.open)"
    assert not any(chromium.evaluate(opened))
    chromium.evaluate("document.querySelectorAll('details').forEach((fold, at) => { fold.open = at % 2 === 0; })")
    before = chromium.evaluate(opened)
    assert before.count(True) > 1
    chromium.open(serving.address + "/", 1280)
    assert chromium.evaluate(opened) == before
    assert chromium.messages == []
    chromium.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = false; })")
    chromium.open(serving.address + "/", 1280)
    assert not any(chromium.evaluate(opened))


def test_a_page_at_a_place_in_it_loads_again_too(chromium: Browser, tmp_path: Path) -> None:
    with serve(tmp_path, 1) as serving:
        chromium.call("Page.navigate", url=serving.address + "/#place")
        wait_until(lambda: shows(chromium, "document.readyState === 'complete'") and serving.loads >= 1)
        before = serving.loads
        wait_until(lambda: shows(chromium, "1") and serving.loads >= before + 2)
