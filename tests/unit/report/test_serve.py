"""The site of ``report --serve``: who may ask, what is answered, and how often the store is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from otel_logtail import query
from otel_logtail.errors import StoreError
from otel_logtail.query import EpisodeRow, Reader
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report, gather
from otel_logtail.report.serve import FRESH_S, Site
from otel_logtail.report.stalls import LongStall
from otel_logtail.report.words import measured
from tests.support.moments import proxy_store
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file

PORT = 4319
HOST = f"127.0.0.1:{PORT}"
HTML = "{http://www.w3.org/1999/xhtml}"


def parsed(body: str) -> ElementTree.Element:
    """Return a page, which is well-formed XML."""
    return ElementTree.fromstring(body)  # noqa: S314 - our own page


class Store:
    """The questions, and how often each was asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.asked: list[str] = []
        self.takes_s = 0.0
        self.now_s = 1000.0

    def report(self) -> tuple[Report, Comparison | None]:
        self.asked.append("report")
        self.now_s += self.takes_s
        with Reader.open(self._path) as reader:
            return gather(reader), None

    def episode(self, span_id: str) -> LongStall | None:
        self.asked.append(span_id)
        with Reader.open(self._path) as reader:
            found = query.episodes_of(reader, [bytes.fromhex(span_id)])
            return LongStall(found[0], tuple(query.slow_samples(reader, span_id, limit=500))) if found else None

    def episodes(self) -> Sequence[EpisodeRow]:
        self.asked.append("episodes")
        with Reader.open(self._path) as reader:
            return list(query.episodes(reader))[::-1]


class Asked:
    """One answer."""

    def __init__(self, site: Site, path: str, method: str = "GET", **headers: str) -> None:
        found: list[Any] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "HTTP_HOST": HOST, **headers}
        self.body = b"".join(site(environ, lambda *start: found.append(start))).decode()
        self.status = int(found[0][0].split()[0])
        self.headers = dict(found[0][1])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(proxy_store(tmp_path))


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store, PORT, clock=lambda: store.now_s)


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
def test_the_names_of_this_machine_are_answered(site: Site, host: str) -> None:
    assert Asked(site, "/", HTTP_HOST=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", "localhost", "127.0.0.1", "127.0.0.1:80", f"evil.example:{PORT}", f"127.0.0.1.evil.example:{PORT}"),
        *(f"127.0.0.2:{PORT}", f"localhost.:{PORT}", f"user@localhost:{PORT}", f"::1:{PORT}", f"localhost:{PORT}0"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/report.json", "/episode/0000000000000001", "/nowhere"])
def test_another_name_is_refused_and_the_store_is_not_read(site: Site, store: Store, host: str, path: str) -> None:
    assert Asked(site, path, HTTP_HOST=host).status == 403
    assert store.asked == []


def test_a_request_without_a_host_is_refused(site: Site) -> None:
    found: list[Any] = []
    site({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}, lambda *start: found.append(start))
    assert found[0][0].startswith("403")


def test_port_80_needs_no_port(store: Store) -> None:
    site = Site(store, 80)
    assert Asked(site, "/", HTTP_HOST="localhost").status == 200
    assert Asked(site, "/", HTTP_HOST="localhost:80").status == 200
    assert Asked(site, "/", HTTP_HOST="evil.example").status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get", "CONNECT"])
def test_only_get_and_head_are_answered(site: Site, store: Store, method: str) -> None:
    found = Asked(site, "/", method)
    assert (found.status, found.headers["Allow"]) == (405, "GET, HEAD")
    assert store.asked == []


@pytest.mark.parametrize(
    "path", ["/nowhere", "", "//", "/../etc/passwd", "/episode/", "/episode/xyz", "/episode/00000000000000001", "/%00"]
)
def test_there_are_no_other_pages(site: Site, path: str) -> None:
    assert Asked(site, path).status == 404


def test_every_answer_forbids_scripts_of_others_frames_and_copies(site: Site) -> None:
    for path in ("/", "/report.json", "/report.md", "/episodes", "/nowhere"):
        headers = Asked(site, path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert policy.endswith("; frame-ancestors 'none'")
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_the_forms_have_the_same_figures(site: Site) -> None:
    page, as_json, as_markdown = (Asked(site, path) for path in ("/", "/report.json", "/report.md"))
    sentence = json.loads(as_json.body)["sentence"]
    verdict, colon, _ = sentence.partition(":")
    assert sentence.startswith("Not tolerable: ")
    assert f"{verdict}{colon}" in as_markdown.body
    assert f"{verdict}{colon}" in page.body
    assert as_json.headers["Content-Type"] == "application/json"
    assert page.headers["Refresh"] == "30; url=/"
    assert "Refresh" not in as_json.headers


def test_each_episode_of_the_list_has_a_page_with_its_samples(site: Site) -> None:
    listed = parsed(Asked(site, "/episodes").body)
    links = [link.get("href", "") for link in listed.iter(f"{HTML}a")]
    assert links == ["/", *(f"/episode/{number:016x}" for number in (3, 2, 1))]
    for link in links[1:]:
        assert Asked(site, link).status == 200


def test_an_episode_shows_its_slow_samples_with_stages_and_traces(tmp_path: Path) -> None:
    stages = (("read", 2_000_000_000), ("wait", 100_000_000))
    samples = [Written(NOON + n * SECOND, (2200 + n) * 10**6, stages) for n in range(60)]
    store = Store(make_file(tmp_path / "s.db", samples, [Stall(NOON - SECOND, NOON + 60 * SECOND, breaches=60)]))
    with closing(sqlite3.connect(tmp_path / "s.db")) as conn:
        conn.execute("UPDATE breach SET span_id = ?, trace = ?", ((1).to_bytes(8, "big"), b"\xab" * 24))
        conn.commit()
    found = Asked(Site(store, PORT, "https://tempo.example/{trace_id}"), f"/episode/{1:016x}")
    rows = list(parsed(found.body).iter(f"{HTML}tr"))
    assert len(rows) == 61
    assert [cell.text for cell in rows[0]] == ["began", "duration", "severity", "read", "wait", "trace"]
    assert f'href="https://tempo.example/{"ab" * 16}"' in found.body
    assert f"<h1>Stall of {measured(61_000)}, " in found.body
    assert "Refresh" not in found.headers


def test_an_open_episode_is_loaded_again(tmp_path: Path) -> None:
    stalls = [Stall(NOON, NOON + SECOND, is_open=True)]
    store = Store(make_file(tmp_path / "s.db", [Written(NOON, 3 * SECOND)], stalls))
    found = Asked(Site(store, PORT), f"/episode/{1:016x}")
    assert (found.status, found.headers["Refresh"]) == (200, f"30; url=/episode/{1:016x}")
    assert "3 slow samples so far, still open" in found.body


def test_the_report_links_to_its_episodes_and_a_file_does_not(site: Site, tmp_path: Path) -> None:
    served = Asked(site, "/").body
    assert f'href="/episode/{1:016x}"' in served
    assert 'href="/episodes"' in served


def test_a_report_is_made_once_and_shown_for_some_seconds(site: Site, store: Store) -> None:
    first = Asked(site, "/").body
    for path in ("/", "/report.json", "/report.md", "/"):
        store.now_s += 1
        assert Asked(site, path).status == 200
    assert Asked(site, "/").body == first
    assert store.asked == ["report"]
    store.now_s += FRESH_S
    Asked(site, "/")
    assert store.asked == ["report", "report"]


def test_a_report_that_takes_long_is_made_more_rarely(site: Site, store: Store) -> None:
    store.takes_s = 10.0
    Asked(site, "/")
    store.now_s += 39
    Asked(site, "/")
    assert store.asked == ["report"]
    store.now_s += 2
    Asked(site, "/")
    assert store.asked == ["report", "report"]


def test_a_store_that_cannot_be_read_now_is_a_page_that_tries_again(store: Store) -> None:
    class Gone(Store):
        def report(self) -> tuple[Report, Comparison | None]:
            raise StoreError("no store at <b>/x</b>", hint="wait")

    found = Asked(Site(Gone(Path("/x")), PORT), "/")
    assert (found.status, found.headers["Refresh"]) == (503, "30; url=/")
    assert "no store at &lt;b&gt;/x&lt;/b&gt;" in found.body


def test_text_of_a_log_cannot_become_markup(tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script>"\x1b[31m'
    path = make_file(tmp_path / "s.db", [Written(NOON, 3 * SECOND, ((hostile, SECOND),))], [Stall(NOON, NOON)])
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("UPDATE episode SET cause = ?1, stage = ?1", (hostile,))
        conn.execute("UPDATE source SET name = ?", (hostile,))
        conn.commit()
    site = Site(Store(path), PORT)
    for address in ("/", "/episodes", f"/episode/{1:016x}"):
        body = Asked(site, address).body
        assert "<script>alert" not in body
        assert "\x1b" not in body
        parsed(body)
