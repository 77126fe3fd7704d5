"""`otel-logtail report --serve`: the pages of a report on this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from typing import NoReturn

from otel_logtail.cli.errors import say, say_error
from otel_logtail.cli.options import SERVE_PORT
from otel_logtail.cli.question import Question
from otel_logtail.errors import UsageError, invalid
from otel_logtail.query import EpisodeRow, episodes, episodes_of, slow_samples
from otel_logtail.report.compare import Comparison
from otel_logtail.report.data import Report
from otel_logtail.report.page.episode import MOST_SAMPLES
from otel_logtail.report.serve import REFRESH_S, Site
from otel_logtail.report.stalls import LongStall
from otel_logtail.server import App, Server
from otel_logtail.text import reason_of

HOST = "127.0.0.1"
_EPISODES = 200


class Answers:
    """The answers of the store to the questions of the site."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._damage = ""

    def report(self) -> tuple[Report, Comparison | None]:
        """Return the report of now; damage of the store is logged once."""
        report, comparison, damage = self._question.answer()
        if damage not in ("", self._damage):
            say_error(f"the store is damaged: {damage}")
            self._damage = damage
        return report, comparison

    def episode(self, span_id: str) -> LongStall | None:
        """Return an episode, or None if the store does not have it."""
        with self._question.open() as reader:
            found = episodes_of(reader, [bytes.fromhex(span_id)])
            slowest = tuple(slow_samples(reader, span_id, limit=MOST_SAMPLES))
            return LongStall(found[0], slowest) if found else None

    def episodes(self) -> Sequence[EpisodeRow]:
        """Return the newest episodes of the range, the newest first."""
        with self._question.open() as reader:
            return list(episodes(reader, limit=_EPISODES))[::-1]


def serve_pages(question: Question, port: str, trace_url: str | None) -> NoReturn:
    """Serve the pages of a report until a signal ends the process.

    Raises:
        UsageError: the port is not valid or taken, or an option is wrong.
        StoreError: there is no store, or it cannot be read.
    """
    answers = Answers(question)
    answers.report()  # a mistake in the options is an error now, and not on the page
    site: list[Site] = []
    server = _listen(_port(port), lambda environ, start: site[0](environ, start))  # the site needs the port
    site.append(Site(answers, server.port, trace_url, options=question.store_options))
    server.start()
    print(f"http://{HOST}:{server.port}/", flush=True)
    say(f"serving the report; the page reloads every {REFRESH_S} s; Ctrl-C stops")
    while True:
        threading.Event().wait()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65_535:
        hint = f"use 0 to 65535, e.g. --serve {SERVE_PORT}; 0 is a free port"
        raise invalid("--serve", text, "expected a port", hint)
    return int(text)


def _listen(port: int, app: App) -> Server:
    try:
        return Server("serve", HOST, port, app)
    except OSError as problem:
        hint = "--serve 0 takes a free port" if problem.errno == errno.EADDRINUSE else "use a port above 1023"
        raise UsageError(f"cannot listen on {HOST} port {port}: {reason_of(problem)}", hint=hint) from None
