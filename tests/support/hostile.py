"""A server on a free port that answers each connection with a function, byte by byte if needed."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType

Answer = Callable[["Peer"], None]


class Peer:
    """One connection; ``closed`` is set when the server ends."""

    def __init__(self, sock: socket.socket, closed: threading.Event) -> None:
        self.sock = sock
        self.closed = closed

    def read(self, number: int = 65536) -> bytes:
        """Return the received bytes; empty at the end."""
        return self.sock.recv(number)

    def send(self, data: bytes) -> None:
        """Send it as a whole."""
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float = 0.02) -> None:
        """Send it a byte at a time."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if self.closed.wait(every_s):
                return

    def forever(self, data: bytes, every_s: float = 0.0, *, first: bytes = b"") -> None:
        """Send it again and again, after something else."""
        self.send(first)
        while not self.closed.wait(every_s):
            self.send(data)


class Hostile:
    """The server; a context manager. ``connections`` counts those that were accepted."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self._answer = answer
        self._tls = tls
        self._closed = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Hostile:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        for sock in (self._server, *self._open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is down already
        self._threads[0].join()
        for thread in self._threads[1:]:
            thread.join()
        for sock in (self._server, *self._open):
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self._answer(Peer(sock, self._closed))
        except OSError:
            pass  # the other side hung up: that is what is tested
