"""One deadline and one limit on bytes for a whole HTTP attempt: connecting, TLS, a proxy, sending, the answer.

A timeout of a socket applies to each wait only. A receiver that answers a byte at a time, or repeats ``100 Continue``,
would block a request for hours, and an endless line would fill the memory. So a :class:`Line` sets the remaining time
before each read and write, and counts the bytes of the answer.

Known limit: name resolution takes as long as the system's resolver.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
import time
from typing import Any

_LONGEST_LINE = 64 * 1024
_PIECE = 64 * 1024


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


class Line:
    """An open connection that keeps to an attempt."""

    def __init__(self, sock: socket.socket, attempt: Attempt) -> None:
        self._sock: socket.socket | _TlsInTls = sock
        self._attempt = attempt
        self._buffer = bytearray()

    @property
    def is_idle(self) -> bool:
        """True if the other side has sent nothing more, and has not closed the connection."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not self._buffer and not poll.poll(0)

    def secure(self, tls: ssl.SSLContext, host: str) -> None:
        """Begin TLS; within the connection to an HTTPS proxy, TLS is used twice."""
        self._sock.settimeout(self._attempt.left_s())
        if isinstance(self._sock, socket.socket) and not isinstance(self._sock, ssl.SSLSocket):
            self._sock = tls.wrap_socket(self._sock, server_hostname=host)
        else:
            self._sock = _TlsInTls(self._sock, tls, host)

    def send(self, data: bytes) -> None:
        """Send all bytes."""
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._attempt.left_s())
            rest = rest[self._sock.send(rest) :]

    def line(self) -> bytes | None:
        """Return the next line without its end; None: the other side closed the connection within it."""
        seen = 0
        while (end := self._buffer.find(b"\n", seen)) < 0:
            seen = len(self._buffer)
            if seen > _LONGEST_LINE:
                raise AnswerTooLong("a line of the answer does not end")
            if not self._fill():
                return None
        found = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return found.removesuffix(b"\r")

    def take(self, number: int) -> bytes:
        """Return so many bytes; fewer if the other side closes the connection before."""
        while len(self._buffer) < number and self._fill():
            pass
        found = bytes(self._buffer[:number])
        del self._buffer[:number]
        return found

    def _fill(self) -> bool:
        self._sock.settimeout(self._attempt.left_s())
        data = self._sock.recv(_PIECE)
        self._attempt.received(len(data))
        self._buffer += data
        return bool(data)

    def hang_up(self) -> None:
        """Wake a thread that waits for this connection."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the connection is closed already

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


class _TlsInTls:
    """TLS within a connection that uses TLS itself, with the methods of a socket that :class:`Line` uses."""

    def __init__(self, sock: Any, tls: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._in, self._out, server_hostname=host)
        self.fileno, self.settimeout = sock.fileno, sock.settimeout
        self.shutdown, self.close = sock.shutdown, sock.close
        self._done(self._tls.do_handshake)

    def send(self, data: memoryview) -> int:
        """Send bytes; returns how many."""
        sent: int = self._done(self._tls.write, data)
        return sent

    def recv(self, most: int) -> bytes:
        """Return the next bytes; none: the other side closed the connection."""
        found: bytes = self._done(self._tls.read, most)
        return found

    def _done(self, work: Any, *arguments: object) -> Any:
        while True:
            try:
                result, waits = work(*arguments), False
            except ssl.SSLWantReadError:
                result, waits = None, True
            if self._out.pending:
                self._sock.sendall(self._out.read())
            if not waits:
                return result
            data = self._sock.recv(_PIECE)
            if data:
                self._in.write(data)
            else:
                self._in.write_eof()
