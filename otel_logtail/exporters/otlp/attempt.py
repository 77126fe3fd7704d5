"""One deadline and one limit on bytes for a whole HTTP attempt: connecting, TLS, a proxy, sending, the answer.

The libraries below have a timeout for each wait only. A receiver that answers a byte at a time, or repeats
``100 Continue``, blocks a request for hours, and an endless line fills the memory. The connections of this module
therefore set the remaining time before each read and write, and count the bytes of the answer.

Known limit: name resolution takes as long as the system's resolver.
"""

from __future__ import annotations

import io
import math
import socket
import ssl
import time
from http.client import HTTPException, HTTPResponse
from threading import Event, Lock
from typing import Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from otel_logtail.exporters.sockets import connect_within

_MOST_INTERIM = 20
"""The most interim answers such as ``100 Continue``; the protocol allows any number."""


class AnswerTooLong(OSError):
    """The answer is longer than the limit."""


class Attempt:
    """The deadline of an attempt and the bytes that may still be read; used by one thread, one attempt at a time."""

    def __init__(self) -> None:
        self.connected = False
        """True if the receiver may have seen a part of the request."""
        self._deadline_s = math.inf
        self._left_bytes = 0

    def begin(self, timeout_s: float, most_bytes: int) -> None:
        """Start an attempt; ``timeout_s`` may be infinite."""
        self.connected = False
        self._deadline_s = time.monotonic() + timeout_s
        self._left_bytes = most_bytes

    @property
    def over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self._deadline_s

    def left_s(self) -> float | None:
        """Return the remaining time, for a socket; None: without limit.

        Raises:
            TimeoutError: no time remains.
        """
        if self._deadline_s == math.inf:
            return None
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the attempt took too long")
        return left_s

    def received(self, number: int) -> None:
        """Count bytes of the answer.

        Raises:
            AnswerTooLong: the answer is longer than the limit.
        """
        self._left_bytes -= number
        if self._left_bytes < 0:
            raise AnswerTooLong("the answer does not end")


class _Reader(io.RawIOBase):
    """A file of a socket that keeps to an attempt."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, attempt: Attempt) -> None:
        self._raw, self._sock, self._attempt = raw, sock, attempt

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._attempt.left_s())
        number: int | None = self._raw.readinto(buffer)
        self._attempt.received(number or 0)
        return number

    def close(self) -> None:
        self._raw.close()
        super().close()


class Lines:
    """The open connections, so that closing can wake a thread that reads from one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: WeakSet[HTTPConnection] = WeakSet()
        self._closed = Event()

    def add(self, connection: HTTPConnection) -> None:
        """Add an open connection."""
        with self._lock:
            self._open.add(connection)
            if self._closed.is_set():
                _hang_up(connection)

    def close(self) -> None:
        """Close all connections, and each one that is added later."""
        with self._lock:
            self._closed.set()
            for connection in self._open:
                _hang_up(connection)


def _hang_up(connection: HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the connection is closed already


class Adapter(HTTPAdapter):
    """An adapter whose connections keep to an attempt, report to :class:`Lines` and use our TLS; it never retries."""

    def __init__(self, attempt: Attempt, lines: Lines, tls: ssl.SSLContext | None) -> None:
        self._pools = _pools(attempt, lines, tls)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections, maxsize, block=False, **pool_kwargs):  # type: ignore[no-untyped-def]  # as in requests
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy, **proxy_kwargs):  # type: ignore[no-untyped-def]  # as in requests
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(attempt: Attempt, lines: Lines, tls: ssl.SSLContext | None) -> dict[str, type[HTTPConnectionPool]]:
    answer_class = _answers(attempt)

    class Plain(HTTPConnection):
        response_class = answer_class

        def connect(self) -> None:
            super().connect()
            lines.add(self)

        def _new_conn(self) -> socket.socket:
            return _connect(self, attempt)

        def send(self, data: Any) -> None:
            _send(self, data, attempt)

    class Secure(HTTPSConnection):
        response_class = answer_class

        def connect(self) -> None:
            # requests has put certifi's list here by now
            self.ssl_context, self.ca_certs, self.ca_cert_dir = tls, None, None
            super().connect()
            lines.add(self)

        def _new_conn(self) -> socket.socket:
            return _connect(self, attempt)

        def send(self, data: Any) -> None:
            _send(self, data, attempt)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _answers(attempt: Attempt) -> type[HTTPResponse]:
    class Answer(HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, attempt))
            self._interim = 0

        def _read_status(self) -> tuple[str, int, str]:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise HTTPException("interim answers without end")
            status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            return status

    return Answer


def _connect(connection: HTTPConnection, attempt: Attempt) -> socket.socket:
    """A connected socket, and urllib3's errors."""
    host = connection.host
    try:
        sock = connect_within(host.strip("[]"), connection.port, attempt.left_s, connection.socket_options or ())
        sock.settimeout(attempt.left_s())  # for a TLS handshake
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, "no connection in time") from error
    except OSError as error:
        raise NewConnectionError(connection, f"no connection: {error}") from error
    return sock


def _send(connection: HTTPConnection, data: Any, attempt: Attempt) -> None:
    if connection.sock is None:
        connection.connect()
    sock = connection.sock
    assert sock is not None  # noqa: S101 - for the type checker: it is connected
    attempt.connected = True
    rest = memoryview(data)
    while rest:
        sock.settimeout(attempt.left_s())
        rest = rest[sock.send(rest) :]
