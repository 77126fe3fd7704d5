"""A connection to a receiver that a test can cut."""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class Wire:
    """A port between the program and a receiver that passes bytes on until it is cut.

    ``up_bytes``: after so many bytes towards the receiver a connection is closed; None passes all. It holds for
    connections that are made from then on.
    """

    def __init__(self, port: int) -> None:
        self.up_bytes: int | None = None
        self.cuts = 0
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        self.cut()
        _end(self._server)
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Close all connections that are open now."""
        for one in list(self._open):
            _end(one)

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._open |= {near, far}
            for source, target, most in ((near, far, self.up_bytes), (far, near, None)):
                thread = threading.Thread(target=self._pass, args=(source, target, most))
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, target: socket.socket, most: int | None) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                if most is not None and passed + len(data) > most:
                    target.sendall(data[: most - passed])
                    self.cuts += 1
                    break
                target.sendall(data)
                passed += len(data)
        except OSError:
            pass  # the other direction was cut
        for one in (source, target):
            _end(one)
            self._open.discard(one)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is down already
    connection.close()
