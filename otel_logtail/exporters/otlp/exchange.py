"""Requests over HTTP/1.1 to one URL: each gets one answer, over a connection that is kept while the receiver keeps it.

A small client of our own: ``requests`` and ``urllib3`` take 7 MiB, and half of the CPU time of a small request
(docs/decisions/0165). It follows no redirect and sends nothing twice.
"""

from __future__ import annotations

import re
import socket
import ssl
import zlib
from collections.abc import Iterable
from threading import Event, Lock
from urllib.parse import quote, urlsplit

from otel_logtail.exporters.otlp.answer import HttpAnswer
from otel_logtail.exporters.otlp.attempt import AnswerTooLong, Attempt, Line
from otel_logtail.exporters.otlp.proxy import Proxy
from otel_logtail.exporters.sockets import connect_within

MAX_ANSWER = 4 * 1024 * 1024
"""The largest answer that is read, as in gRPC: a partial success may be long."""

MAX_MESSAGE = 64 * 1024
"""The bytes that are read of an error page."""

_MOST_INTERIM = 20
"""The most interim answers such as ``100 Continue``; the protocol allows any number."""

_MOST_HEADERS = 100
_NO_DELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_STATUS = re.compile(rb"HTTP/1\.(\d) (\d{3})(?: (.*))?", re.DOTALL)
_CHUNK = re.compile(rb"\s*([0-9A-Fa-f]{1,15})\s*(;.*)?", re.DOTALL)
_PATH = "!$%&'()*+,/:;=?@[]~"
"""The characters of a path and a query that are not quoted."""

_Head = tuple[int, dict[str, str], bool]
"""The status of an answer, its headers, and whether the connection can be kept."""


class NotHttp(ValueError):
    """The answer is not one of HTTP/1."""


class Exchange:
    """Posts bodies to a URL, one at a time; another thread may close it."""

    def __init__(
        self,
        url: str,
        headers: Iterable[tuple[str, str]],
        attempt: Attempt,
        *,
        tls: ssl.SSLContext | None,
        proxy: tuple[Proxy, ssl.SSLContext | None] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if tls else 80)
        self._proxy = proxy
        self._attempt = attempt
        self._tls = tls
        self._closed = Event()
        self._lock = Lock()
        self._line: Line | None = None
        self._is_posting = False
        netloc = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        self._authority = netloc if parts.port else f"{netloc.rstrip(':')}:{self._port}"
        target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_PATH)
        lines = [("Host", netloc), ("Accept", "*/*"), ("Accept-Encoding", "identity"), *headers]
        if proxy is not None and tls is None:
            target = f"http://{netloc}{target}"
            lines += _authorization(proxy[0])
        named = {name.lower(): f"{name}: {value}\r\n" for name, value in lines}  # the last one of a name counts
        self._head = f"POST {target} HTTP/1.1\r\n{''.join(named.values())}Content-Length: ".encode("latin-1")

    def was_closed(self) -> bool:
        """Return whether :meth:`close` was called."""
        return self._closed.is_set()

    def post(self, body: bytes) -> HttpAnswer:
        """Send a body and return the answer.

        Raises:
            OSError: there is no connection, or it broke.
            EOFError: the answer ends early.
            NotHttp: it is not HTTP.
        """
        with self._lock:
            self._is_posting = True
        keeps = False
        try:
            line = self._line
            if line is None or not line.is_idle:
                line = self._connected()
            self._attempt.connected = True
            try:
                line.send(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))
            except BrokenPipeError:
                pass  # the receiver may have answered before it read everything
            status, headers, may_keep = _read_head(line)
            most = MAX_ANSWER if status == 200 else MAX_MESSAGE
            found, is_whole = _read_body(line, status, headers, most)
            if status == 200 and len(found) >= most:  # half a message may look like a whole one
                raise AnswerTooLong("the answer does not end")
            keeps = may_keep and is_whole
            return HttpAnswer(status, headers, _plain(found, headers, most))
        finally:
            with self._lock:
                self._is_posting = False
                if not keeps or self._closed.is_set():
                    self._drop()

    def close(self) -> None:
        """Close the connection, also while another thread waits for an answer."""
        with self._lock:
            self._closed.set()
            if self._line is not None:
                self._line.hang_up()
            if not self._is_posting:
                self._drop()

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _connected(self) -> Line:
        with self._lock:
            self._drop()
        attempt, via = self._attempt, self._proxy
        host, port = (via[0].host, via[0].port) if via else (self._host, self._port)
        line = Line(connect_within(host, port, attempt.left_s, _NO_DELAY), attempt)
        with self._lock:
            self._line = line
            if self._closed.is_set():
                line.hang_up()
        if via is not None and via[1] is not None:
            line.secure(via[1], host)
        if via is not None and self._tls is not None:
            self._tunnel(line, via[0])
        if self._tls is not None:
            line.secure(self._tls, self._host)
        return line

    def _tunnel(self, line: Line, proxy: Proxy) -> None:
        """Let a proxy connect to the receiver."""
        lines = [("Host", self._authority), *_authorization(proxy)]
        text = "".join(f"{name}: {value}\r\n" for name, value in lines)
        line.send(f"CONNECT {self._authority} HTTP/1.1\r\n{text}\r\n".encode("latin-1"))
        status, _, _ = _read_head(line)
        if not 200 <= status < 300:
            raise OSError(f"the proxy refused to connect: it answered {status}")


def _authorization(proxy: Proxy) -> list[tuple[str, str]]:
    return [("Proxy-Authorization", proxy.authorization)] if proxy.authorization else []


def _read_head(line: Line) -> _Head:
    for _ in range(_MOST_INTERIM):
        first = line.line()
        if first is None:
            raise ConnectionResetError("the connection was closed without an answer")
        match = _STATUS.fullmatch(first)
        if match is None:
            raise NotHttp(first.decode("latin-1"))
        headers = _read_headers(line)
        status = int(match[2])
        if status >= 200:
            return status, headers, match[1] != b"0" and "close" not in headers.get("connection", "").lower()
    raise NotHttp("interim answers without end")


def _read_headers(line: Line) -> dict[str, str]:
    """Return the headers by their names in lower case. A connection that is closed within them ends them."""
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        text = line.line()
        if not text:
            return headers
        name, _, value = text.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    raise NotHttp("too many headers")


def _read_body(line: Line, status: int, headers: dict[str, str], most: int) -> tuple[bytes, bool]:
    """Return at most so many bytes of a body, and whether these are all of it, so that the next answer follows."""
    if status in (204, 304):
        return b"", True
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _read_chunks(line, most)
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        return line.take(most), False  # it ends with the connection
    number = int(length[:18])
    return _whole(line, min(number, most)), number <= most


def _read_chunks(line: Line, most: int) -> tuple[bytes, bool]:
    body = bytearray()
    while len(body) < most:
        match = _CHUNK.fullmatch(line.line() or b"")
        if match is None:
            raise NotHttp("a chunk of the answer has no length")
        number = int(match[1], 16)
        if not number:
            while line.line():
                pass  # a header behind the body
            return bytes(body), True
        body += _whole(line, min(number, most - len(body)))
        if len(body) < most:
            line.line()
    return bytes(body), False


def _whole(line: Line, number: int) -> bytes:
    found = line.take(number)
    if len(found) < number:
        raise EOFError("the answer ends early")
    return found


def _plain(body: bytes, headers: dict[str, str], most: int) -> bytes:
    """Return a body without the compression that some gateways add, also if it was not requested."""
    if body and headers.get("content-encoding", "").lower() in ("gzip", "x-gzip"):
        try:
            return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body, most)
        except zlib.error:
            pass
    return body
