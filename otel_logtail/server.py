"""A small HTTP server for scrapes, pages and health checks: one thread, few connections, a deadline for each of them.

A client sends one GET request, and its connection is closed after the answer. Invariants: no client can make the
server start a thread, keep more than ``CONNECTIONS`` connections or much more than ``REQUEST_BYTES`` of a request, or
keep a connection for longer than ``SECONDS``. If all places are taken, the connection that has waited longest without a
request is closed. A scraper or a browser sends its request at once, so it is served among any number of idle clients.

Known limits: answers are created one after the other, and there is neither keep-alive nor TLS.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

CONNECTIONS = 32
REQUEST_BYTES = 16 * 1024
SECONDS = 30.0
"""The time that a client has for its request and for reading the answer."""

_PIECE = 64 * 1024
_TROUBLE_S = 0.2
"""The pause after the system refused a connection (no descriptors), in seconds."""

App = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]
"""The part of a WSGI application that is needed here."""


class _Connection:
    """One client: the request so far, or the rest of its answer."""

    def __init__(self, client: socket.socket, until_s: float) -> None:
        self.client = client
        self.until_s = until_s
        self.asked = b""
        self.answer: memoryview | None = None


class Server:
    """An HTTP server that listens once it is created, and answers once it is started; its thread has the name."""

    def __init__(self, name: str, host: str, port: int, app: App, *, seconds: float = SECONDS) -> None:
        """Listen.

        Raises:
            OSError: the address does not exist, or the port is taken.
        """
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self._app = app
        self._seconds = seconds
        self._open: dict[_Connection, None] = {}  # the oldest first
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(address)
            self._listener.listen(128)
        except BaseException:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        self._woken, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """The address and the port of the server."""
        host, port, *_ = self._listener.getsockname()
        return str(host), int(port)

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.address[1]

    @property
    def is_alive(self) -> bool:
        """True if the server answers."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start to answer; a second call has no effect."""
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Stop answering and listening."""
        self._wake.close()
        if self._thread.ident is not None:
            self._thread.join()
        for connection in list(self._open):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        self._woken.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select(self._wait_s()):
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._open:  # otherwise its place was just taken
                    self._go_on(key.data)
            now_s = time.monotonic()
            for connection in [known for known in self._open if known.until_s <= now_s]:
                self._drop(connection)

    def _wait_s(self) -> float | None:
        first = next(iter(self._open), None)
        return None if first is None else max(0.0, first.until_s - time.monotonic())

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # the client has left already
        except OSError:  # no descriptors: idle clients may have them
            if self._open:
                self._drop(self._idlest())
            else:
                time.sleep(_TROUBLE_S)
            return
        if len(self._open) >= CONNECTIONS:
            self._drop(self._idlest())
        client.setblocking(False)
        connection = _Connection(client, time.monotonic() + self._seconds)
        self._open[connection] = None
        self._selector.register(client, selectors.EVENT_READ, connection)

    def _idlest(self) -> _Connection:
        return next((known for known in self._open if known.answer is None), next(iter(self._open)))

    def _drop(self, connection: _Connection) -> None:
        del self._open[connection]
        self._selector.unregister(connection.client)
        connection.client.close()

    def _go_on(self, connection: _Connection) -> None:
        try:
            if connection.answer is None:
                self._read(connection)
            if connection.answer is not None:
                self._write(connection, connection.answer)
        except BlockingIOError:
            pass  # later, when the socket accepts more
        except OSError:
            self._drop(connection)

    def _read(self, connection: _Connection) -> None:
        piece = connection.client.recv(REQUEST_BYTES)
        connection.asked += piece
        if b"\r\n\r\n" in connection.asked:
            connection.answer = memoryview(answer(self._app, connection.asked))
        elif len(connection.asked) >= REQUEST_BYTES:
            connection.answer = memoryview(_response("431 Request Header Fields Too Large", [], b""))
        elif not piece:
            raise ConnectionResetError("left before it had asked")
        if connection.answer is not None:
            self._selector.modify(connection.client, selectors.EVENT_WRITE, connection)

    def _write(self, connection: _Connection, left: memoryview) -> None:
        connection.answer = left[connection.client.send(left[:_PIECE]) :]
        if not connection.answer:
            connection.client.shutdown(socket.SHUT_WR)
            self._drop(connection)


def answer(app: App, request: bytes) -> bytes:
    """Return the whole response to a request with a complete header. The one to HEAD has no body."""
    first, *fields = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        return _response("400 Bad Request", [], b"")
    path, _, query = words[1].partition("?")
    environ: dict[str, Any] = {"REQUEST_METHOD": words[0], "PATH_INFO": unquote(path), "QUERY_STRING": query}
    for field in fields:
        name, _, value = field.partition(":")
        environ["HTTP_" + name.strip().upper().replace("-", "_")] = value.strip()
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    try:
        body = b"".join(app(environ, lambda status, headers, *_: begun.append((status, headers))))
    except Exception as problem:  # noqa: BLE001 - one bad request must not end the ones to come
        return _response("500 Internal Server Error", [], f"{type(problem).__name__}\n".encode())
    response = _response(*begun[0], body)
    return response[: len(response) - len(body)] if words[0] == "HEAD" else response


def _response(status: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
