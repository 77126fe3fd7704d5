"""A report over HTTP, for a browser on this machine: pages made from the store as it is now.

The site only reads. It answers to the names of this machine only, so a page of another site cannot reach it by a name
that it has pointed here (DNS rebinding). A report is made at most once at a time, and is shown again for some seconds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from otel_logtail.errors import LogtailError
from otel_logtail.query import EpisodeRow
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.formats import as_json, markdown
from otel_logtail.report.page import document, page_of, policy
from otel_logtail.report.page.episode import episode_page, episodes_page
from otel_logtail.report.page.html import join, tag
from otel_logtail.report.page.model import Model, Served
from otel_logtail.report.stalls import LongStall

HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""The names of this machine in the ``Host`` of a request."""

REFRESH_S = 30
"""The time after which a browser loads a page again."""

FRESH_S = 5.0
"""The shortest time for which a report is shown again; one that took longer to make is shown for four times that."""

SERVED = Served("/episode/", (("Episodes", "/episodes"), ("JSON", "/report.json"), ("Markdown", "/report.md")))

_EPISODE = re.compile(r"/episode/([0-9a-f]{16})")
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"


class Questions(Protocol):
    """The questions of the site to the store. Each opens it, and closes it again."""

    def report(self) -> tuple[Report, Comparison | None]:
        """Return the report of now."""

    def episode(self, span_id: str) -> LongStall | None:
        """Return an episode, or None if the store does not have it."""

    def episodes(self) -> Sequence[EpisodeRow]:
        """Return the newest episodes of the range, the newest first."""


class Answer(msgspec.Struct, frozen=True):
    """The answer to a request."""

    status: str
    kind: str
    body: str
    is_live: bool = False
    """The browser loads it again after a while."""


class Site:
    """The application that a server calls.

    Args:
        questions: The store.
        port: The port of the server, which is part of ``Host``.
        trace_url: The address of a trace, with ``{trace_id}`` in it.
        options: The options that commands on the page need to read the same store.
        refresh_s: The time after which a browser loads a page again.
        clock: The monotonic clock, in seconds.
    """

    def __init__(
        self,
        questions: Questions,
        port: int,
        trace_url: str | None = None,
        *,
        options: tuple[str, ...] = (),
        refresh_s: int = REFRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._questions = questions
        self._hosts = {f"{host}:{port}" for host in HOSTS} | ({*HOSTS} if port == 80 else set())
        self._trace_url = trace_url
        self._options = options
        self._refresh_s = refresh_s
        self._clock = clock
        self._model: Model | None = None
        self._made: dict[str, Answer] = {}
        self._until_s = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answer a request."""
        found = self._answer(environ)
        headers = [
            ("Content-Type", found.kind),
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if found.is_live:
            # with the address: a browser that is at a "#place" of the page would else only scroll there
            headers.append(("Refresh", f"{self._refresh_s}; url={environ['PATH_INFO']}"))
        if found.status.startswith("405"):
            headers.append(("Allow", "GET, HEAD"))
        start_response(found.status, headers)
        return [found.body.encode(errors="backslashreplace")]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        if environ.get("HTTP_HOST", "").lower() not in self._hosts:
            return Answer("403 Forbidden", _TEXT, "this address has another name\n")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return Answer("405 Method Not Allowed", _TEXT, "only GET and HEAD\n")
        path = environ["PATH_INFO"]
        try:
            if match := _EPISODE.fullmatch(path):
                return self._episode(match[1])
            if path in ("/", "/report.json", "/report.md", "/episodes"):
                return self._again(path)
        except LogtailError as problem:
            return _problem(problem)
        return Answer("404 Not Found", _TEXT, "there is no such page\n")

    def _again(self, path: str) -> Answer:
        """Return a page of the newest report, which is made if the last one is too old."""
        model = self._newest()
        if path not in self._made:
            self._made[path] = self._make(path, model)
        return self._made[path]

    def _make(self, path: str, model: Model) -> Answer:
        report, comparison = model.report, model.comparison
        if path == "/report.json":
            return Answer("200 OK", "application/json", as_json(report, comparison).decode() + "\n")
        if path == "/report.md":
            return Answer("200 OK", "text/markdown; charset=utf-8", "\n".join(markdown(report, comparison)) + "\n")
        body = page_of(model) if path == "/" else episodes_page(self._questions.episodes(), model)
        return Answer("200 OK", _HTML, body, is_live=True)

    def _episode(self, span_id: str) -> Answer:
        found = self._questions.episode(span_id)
        if found is None:
            return Answer("404 Not Found", _TEXT, "there is no such episode in this store\n")
        return Answer("200 OK", _HTML, episode_page(found, self._newest()), is_live=found.episode.open)

    def _newest(self) -> Model:
        start_s = self._clock()
        if self._model is None or start_s >= self._until_s:
            self._made.clear()
            report, comparison = self._questions.report()
            self._model = Model(report, comparison, time.time_ns(), None, self._trace_url, self._options, SERVED)
            end_s = self._clock()
            self._until_s = end_s + max(FRESH_S, 4 * (end_s - start_s))
        return self._model


def _problem(problem: LogtailError) -> Answer:
    """Return a page for a store that cannot be read now; the browser tries again."""
    body = join([tag("h1", str(problem)), tag("p", problem.hint, class_="lede")], "\n")
    return Answer("503 Service Unavailable", _HTML, document("otel-logtail", tag("main", body)), is_live=True)
