"""One signal over OTLP/HTTP: bytes out, the receiver's real answer back.

Known limit: the time-out holds for each wait (connecting, each piece of the answer) and the body as a whole; an answer
whose headers drip in byte by byte can take longer. One that ends within its headers counts by its status alone.
``close`` ends a wait for an answer, not one for a connection.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import time
from http.client import BadStatusLine
from threading import Event, Lock
from urllib.parse import urlsplit
from weakref import WeakSet

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from otel_logtail.exporters.otlp.answer import ExportResponse, HttpAnswer, Outcome, judge_http
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.encode import ExportRequest
from otel_logtail.exporters.otlp.tls import ask, explain, read_tls
from otel_logtail.exporters.wording import printable
from otel_logtail.model import Retry

MAX_ANSWER = 64 * 1024
_GZIP_LEVEL = 6


class HttpSender:
    """Posts requests of one signal to one URL."""

    def __init__(self, signal: Signal, response_type: type[ExportResponse], *, user_agent: str) -> None:
        secure = urlsplit(signal.endpoint).scheme == "https"
        named = signal.certificate or signal.client_certificate  # a wrong file is an error, needed or not
        tls = read_tls(signal) if secure or named else None
        self._signal = signal
        self._response_type = response_type
        self._closed = Event()
        self._lines = _Lines()
        self._session = requests.Session()
        # requests would take a password out of ~/.netrc and put it over the header that the user has set
        self._session.auth = lambda request: request
        adapter = _Adapter(self._lines, None if tls is None else tls.context)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        encoding = {"Content-Encoding": "gzip"} if signal.gzip else {}
        own = {"Content-Type": "application/x-protobuf", **encoding}
        self._session.headers.update({"User-Agent": user_agent, **dict(signal.headers), **own})
        # Made once: to a receiver near by, going through the environment (proxies) for each request is half its cost.
        self._request = self._session.prepare_request(requests.Request("POST", signal.endpoint))
        # stream: what is read of an answer is bounded. Proxies come from the environment, certificates never do.
        self._settings = self._session.merge_environment_settings(signal.endpoint, {}, True, True, None) | {
            "verify": True,
            "cert": None,
        }

    def send(self, message: ExportRequest) -> Outcome:
        """Post one message."""
        signal, body = self._signal, message.SerializeToString()
        if signal.gzip:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        if self._closed.is_set():
            return Retry("the exporter is closed")
        try:
            answer = self._post(body)
        except requests.Timeout:
            return Retry(f"{signal.endpoint} gave no answer within {signal.timeout_s * 1000:.0f} ms")
        except requests.RequestException as error:
            if self._closed.is_set():
                return Retry("the exporter is closed")
            return Retry(f"{signal.endpoint} can't be reached: {_words(_root(error), signal)}")
        return judge_http(answer, self._response_type, url=signal.endpoint, now_s=time.time())

    def _post(self, body: bytes) -> HttpAnswer:
        signal = self._signal
        deadline = time.monotonic() + signal.timeout_s
        request = self._request.copy()
        request.prepare_body(body, None)
        with self._session.send(
            request, timeout=(signal.timeout_s, signal.timeout_s), allow_redirects=False, **self._settings
        ) as response:
            read = bytearray()
            for chunk in response.iter_content(8192):
                read += chunk
                if len(read) >= MAX_ANSWER:
                    break
                if time.monotonic() > deadline:
                    raise requests.ReadTimeout
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status_code, headers, bytes(read[:MAX_ANSWER]))

    def close(self) -> None:
        """Hang up, also on an answer that another thread is waiting for."""
        self._closed.set()
        self._lines.close()
        self._session.close()


def _root(error: BaseException) -> BaseException:
    while error.__context__ is not None:
        error = error.__context__
    return error


def _words(error: BaseException, signal: Signal) -> str:
    """An error in the words of the system and not of three libraries, and what would be right."""
    text = printable(str(error)) or type(error).__name__
    url = urlsplit(signal.endpoint)
    if url.scheme == "https" and isinstance(error, OSError | EOFError):
        known = explain(signal, str(error))
        broken = isinstance(error, ssl.SSLError | ConnectionError | EOFError)
        return known or (broken and ask(signal, url.hostname or "", url.port or 443)) or text
    if isinstance(error, BadStatusLine | ConnectionResetError):  # what a gRPC server does to HTTP/1: either, by chance
        return f"{text}: if it is a gRPC port, use --otlp-protocol grpc; if it speaks TLS, https:// in the endpoint"
    return text


class _Lines:
    """The open connections, so that closing can wake a thread that reads from one."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: WeakSet[HTTPConnection] = WeakSet()
        self._closed = Event()

    def add(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._open.add(connection)
            if self._closed.is_set():
                _hang_up(connection)

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            for connection in self._open:
                _hang_up(connection)


def _hang_up(connection: HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is down already


class _Adapter(HTTPAdapter):
    """An adapter whose connections report to :class:`_Lines` and use our TLS; it never retries by itself."""

    def __init__(self, lines: _Lines, tls: ssl.SSLContext | None) -> None:
        self._pools = _pools(lines, tls)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections, maxsize, block=False, **pool_kwargs):  # type: ignore[no-untyped-def]  # as in requests
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy, **proxy_kwargs):  # type: ignore[no-untyped-def]  # as in requests
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(lines: _Lines, tls: ssl.SSLContext | None) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            lines.add(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            # requests has put certifi's list here by now
            self.ssl_context, self.ca_certs, self.ca_cert_dir = tls, None, None
            super().connect()
            lines.add(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
