"""One connection to the engine, with one call at a time.

Invariants:

- A frame is sent only on a connection that is open as far as known. A connection that the engine closed while idle is
  replaced first, so a restart of the engine causes no failed delivery.
- A call without an answer closes the connection: a late answer is never mistaken for that of the next call, and calls
  keep their order.
- One deadline applies to everything that an event needs: connecting, TLS, the handshake, the call and its answer.
- :meth:`Link.close` ends every wait, except for a connection to a host that does not answer.

The engine identifies a call in progress by its id, across connections. Each attempt therefore has a new id: a second
call with the same id would replace the first, which may still run.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
import uuid
from contextlib import ExitStack
from functools import partial

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from otel_logtail.exporters.hex.config import BusSettings
from otel_logtail.exporters.hex.events import Event, Outcome, call, judge, read_answer
from otel_logtail.exporters.sockets import connect_within
from otel_logtail.exporters.trust import client_context, trusted_roots
from otel_logtail.exporters.wording import printable, tls_problem
from otel_logtail.model import Retry

TIMEOUT_S = 5.0
"""The deadline of an event, connecting included: the engine is on the same machine, or near."""

_GOODBYE_S = 0.5
"""The time that an engine has to close a connection before the connection is cut."""


_QUIET = logging.getLogger(__name__)
"""The logger of websockets, which logs a traceback if an engine breaks the protocol; the outcome has the reason."""
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Link:
    """Sends events to an engine, one after the other. ``send`` is called from one thread, ``close`` from any."""

    def __init__(self, settings: BusSettings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = settings
        self._tls = client_context(trusted_roots(settings.trust)) if settings.tls else None
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._socket: socket.socket | None = None
        self._connection: ClientConnection | None = None
        self._leave = ExitStack()

    def send(self, event: Event) -> Outcome:
        """Set the event's key and return the outcome; does not raise because of the engine."""
        # websockets waits without limit for an engine that sends pings and does not read: then the connection is cut
        # the deadline is before that of the watch, so that an error after it is a timeout
        deadline_s = time.monotonic() + self._timeout_s
        watch = threading.Timer(self._timeout_s, self._cut_line)
        watch.daemon = True
        watch.start()
        try:
            return self._send(event, deadline_s)
        finally:
            watch.cancel()

    def _send(self, event: Event, deadline_s: float) -> Outcome:
        url = self._settings.url
        try:
            connection = self._open(deadline_s)
        except TimeoutError:
            return self._failed(f"{url} can't be reached within {self._timeout_s:g} s")
        except InvalidStatus as error:
            return self._failed(f"{url} answered {error.response.status_code}: {_hint(error.response.status_code)}")
        # websockets raises ValueError for a redirect, AssertionError for an engine that sends before the request
        except (OSError, WebSocketException, EOFError, ValueError, AssertionError) as error:
            if time.monotonic() >= deadline_s:  # the connection was cut, so the error of websockets has no meaning
                return self._failed(f"{url} can't be reached within {self._timeout_s:g} s")
            return self._failed(f"{url} can't be reached: {_words(error)}")
        if connection is None:
            return self._failed("the exporter is closed")
        try:
            return self._call(connection, event, deadline_s)
        except TimeoutError:
            return self._failed(f"{url} gave no answer within {self._timeout_s:g} s", isolate=True)
        except ConnectionClosed as error:
            if time.monotonic() >= deadline_s:
                return self._failed(f"{url} gave no answer within {self._timeout_s:g} s", isolate=True)
            return self._failed(f"{url} hung up before it answered: {printable(str(error))}", isolate=True)

    def close(self) -> None:
        """Close the connection, also while another thread waits for an answer."""
        with self._lock:
            self._closed.set()
            connection, raw = self._connection, self._socket
        if connection is not None:
            connection.close()
        elif raw is not None:
            _cut(raw)

    def _cut_line(self) -> None:
        with self._lock:
            connection, raw = self._connection, self._socket
        if connection is not None:
            _cut(connection.socket)
        elif raw is not None:
            _cut(raw)

    def _open(self, deadline_s: float) -> ClientConnection | None:
        """Return the open connection, opened if necessary; None once this is closed."""
        if self._connection is not None:
            if self._connection.state is State.OPEN and not self._closed.is_set():
                return self._connection
            self._hang_up()
        settings = self._settings
        # opened here, so that close() can cut it during the handshake; no proxy, since the bus is local
        raw = connect_within(settings.host, settings.port, partial(_left_s, deadline_s))
        raw.settimeout(None)  # otherwise older versions of websockets treat silence as the end of the connection
        with self._lock:
            self._socket = raw
            if self._closed.is_set():
                return None
        connection = self._leave.enter_context(
            connect(
                settings.url,
                sock=raw,
                ssl=self._tls,
                compression=None,
                additional_headers={"Authorization": f"Bearer {settings.token}"} if settings.token else None,
                logger=_QUIET,
                open_timeout=max(deadline_s - time.monotonic(), 0.001),
                close_timeout=_GOODBYE_S,
            )
        )
        with self._lock:
            self._connection = connection
            return None if self._closed.is_set() else connection

    def _call(self, connection: ClientConnection, event: Event, deadline_s: float) -> Outcome:
        invocation_id = str(uuid.uuid4())
        connection.send(call(event, invocation_id))
        while (left_s := deadline_s - time.monotonic()) > 0:
            answer = read_answer(connection.recv(left_s))
            if answer is not None and answer.invocation_id == invocation_id:
                return judge(answer.error, url=self._settings.url)
        raise TimeoutError

    def _failed(self, why: str, *, isolate: bool = False) -> Retry:
        self._hang_up()
        return Retry("the exporter is closed") if self._closed.is_set() else Retry(why, isolate=isolate)

    def _hang_up(self) -> None:
        try:
            # closing waits for an engine that does not read until the watch cuts the connection, which needs the socket
            self._leave.close()
        finally:
            with self._lock:
                raw, self._connection, self._socket = self._socket, None, None
            if raw is not None:
                raw.close()


def _left_s(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _cut(raw: socket.socket) -> None:
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already, or TLS has taken it over: then the timeout ends it


def _words(error: Exception) -> str:
    text = str(error)
    if isinstance(error, ssl.SSLEOFError):
        return "it closed the connection in the TLS handshake: if it doesn't use TLS, use ws://"
    problem = tls_problem(text, trust="SSL_CERT_FILE", own="(hex has no place for one)", plain="use ws://")
    return problem or printable(text) or type(error).__name__


def _hint(status: int) -> str:
    if status in (401, 403):
        return "the engine requires credentials: set III_TOKEN"
    return "is this the engine's address?"
