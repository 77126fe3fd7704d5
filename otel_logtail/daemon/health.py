"""Health checks over HTTP, for an orchestrator: whether the daemon is alive and works, and its status. It only reads.

- ``/livez`` is 200 while the main loop turns, which an answer of the server's own thread alone would not show.
- ``/readyz`` is 200 if nothing is wrong, else 503 with a line for each reason.
- ``/status`` is the JSON of ``otel-logtail status --format json``.

``/livez`` discloses nothing and answers to any name, such as that of a container. The others answer to addresses and
``localhost`` only, so a page of another site cannot read them by a name that it has pointed here (DNS rebinding). A
client without ``Host`` is not a browser.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from otel_logtail.daemon.supervisor import Supervisor
from otel_logtail.delivery.sender import Drain
from otel_logtail.errors import LogtailError
from otel_logtail.events import Reporter
from otel_logtail.store.health import BEHIND_BYTES
from otel_logtail.text import printable, size, span

LATE_S = 60.0
"""The time without a turn of the main loop from which the daemon counts as hung: that of the systemd unit."""

STUCK_S = 60.0
"""The time for which deliveries may fail, or one export may take, until the daemon is not ready."""

FRESH_S = 2.0
"""The time for which the store's status is shown again, so that many checks cost no more than one."""

MOST_REASONS = 10

_HOST = re.compile(r"(?:\[(?P<bracketed>[^][]+)\]|(?P<name>[^][:]*))(?::\d*)?")
"""A name or address, with or without a port; an address with colons is in brackets."""

_NOT_READING = ("store", "read ")
_REFUSED = "refuse "
"""Conditions of the reporter."""


class HealthSite:
    """The application that a server calls.

    Args:
        supervisor: It has the time of the last turn.
        reporter: It has the conditions that last.
        read_status: Returns the answer to ``status`` from the store.
        clock_s: A clock that is never set, in seconds: that of the main loop.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        reporter: Reporter,
        read_status: Callable[[], Mapping[str, Any]],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.drains: Sequence[Drain] = ()
        """The delivery workers that run now."""
        self._supervisor = supervisor
        self._reporter = reporter
        self._read_status = read_status
        self._clock_s = clock_s
        self._status: tuple[float, Mapping[str, Any]] = (0.0, {})

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        """Answer a request."""
        status, kind, body = self._answer(environ)
        headers = [("Content-Type", kind), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
        if status.startswith("405"):
            headers.append(("Allow", "GET, HEAD"))
        start_response(status, headers)
        return [body]

    def _answer(self, environ: Mapping[str, Any]) -> tuple[str, str, bytes]:
        answers = {"/livez": self._livez, "/readyz": self._readyz, "/status": self._show_status}
        answer = answers.get(environ["PATH_INFO"])
        if answer != self._livez and not _is_address(environ.get("HTTP_HOST", "")):
            return _text("403 Forbidden", ["the Host header must be an IP address or localhost"])
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text("405 Method Not Allowed", ["only GET and HEAD"])
        return answer() if answer else _text("404 Not Found", answers)

    def _livez(self) -> tuple[str, str, bytes]:
        return _checked(self._hung())

    def _readyz(self) -> tuple[str, str, bytes]:
        reasons = [*self._hung(), *self._not_reading(), *self._stuck()]
        try:
            reasons += _behind(self._newest())
        except LogtailError as problem:
            reasons.append(str(problem))
        return _checked(reasons)

    def _show_status(self) -> tuple[str, str, bytes]:
        try:
            return "200 OK", "application/json", msgspec.json.encode(self._newest()) + b"\n"
        except LogtailError as problem:
            return _checked([str(problem)])

    def _newest(self) -> Mapping[str, Any]:
        start_s = self._clock_s()
        if not self._status[1] or start_s >= self._status[0]:
            found = self._read_status()
            end_s = self._clock_s()
            self._status = end_s + max(FRESH_S, 4 * (end_s - start_s)), found
        return self._status[1]

    def _hung(self) -> list[str]:
        if self._supervisor.turned_s is None:  # the parts are built: no turn is due
            return []
        late_s = self._clock_s() - self._supervisor.turned_s
        return [f"hung: the main loop has not turned for {span(late_s)}"] if late_s > LATE_S else []

    def _not_reading(self) -> list[str]:
        state = self._supervisor.state
        return [
            *([f"not reading: {state}"] if state != "running" else []),
            *(f"not reading: {text}" for text in self._reporter.troubles(*_NOT_READING)),
        ]

    def _stuck(self) -> list[str]:
        now_s = self._clock_s()
        took = [(drain.name, now_s - since_s) for drain in self.drains if (since_s := drain.busy_since_s) is not None]
        return [
            *(f"{drain.name}: the delivery worker has ended" for drain in self.drains if drain.has_ended),
            *(f"{exporter}: no answer for {span(took_s)}" for exporter, took_s in took if took_s >= STUCK_S),
            *self._reporter.failing(STUCK_S),
            *self._reporter.troubles(_REFUSED),
        ]


def _behind(status: Mapping[str, Any]) -> list[str]:
    unread = {
        source["name"]: sum(max(0, file["size"] - file["offset"]) for file in source["files"])
        for source in status["sources"]
    }
    return [f"{name}: {size(count)} still to be read" for name, count in unread.items() if count > BEHIND_BYTES]


def _is_address(host: str) -> bool:
    """Return whether the ``Host`` of a request is empty, localhost or an address, with or without a port."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found["bracketed"] or found["name"]
    if name.lower() in ("", "localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _checked(reasons: Sequence[str]) -> tuple[str, str, bytes]:
    if not reasons:
        return _text("200 OK", ["ok"])
    more = len(reasons) - MOST_REASONS
    shown = [*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])]
    return _text("503 Service Unavailable", shown)


def _text(status: str, lines: Iterable[str]) -> tuple[str, str, bytes]:
    body = "".join(f"{printable(line)}\n" for line in lines)
    return status, "text/plain; charset=utf-8", body.encode()
