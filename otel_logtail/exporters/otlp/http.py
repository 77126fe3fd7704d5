"""One signal over OTLP/HTTP: sends bytes, and returns the receiver's actual answer.

The timeout applies to the whole attempt (:mod:`attempt`). ``close`` ends a wait for an answer, but not one for a
connection. An answer that ends within its headers counts by its status alone.
"""

from __future__ import annotations

import gzip
import ssl
import time
from http.client import BadStatusLine
from threading import Event
from urllib.parse import urlsplit

import requests

from otel_logtail.exporters.otlp.answer import ExportResponse, HttpAnswer, Outcome, judge_http
from otel_logtail.exporters.otlp.attempt import Adapter, AnswerTooLong, Attempt, Lines
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.encoding import ExportRequest
from otel_logtail.exporters.otlp.tls import ask, explain, read_tls
from otel_logtail.exporters.wording import printable
from otel_logtail.model import Retry

MAX_ANSWER = 4 * 1024 * 1024
"""The largest answer that is read, as in gRPC: a partial success may be long."""

MAX_MESSAGE = 64 * 1024
"""The bytes that are read of an error page."""

MAX_RECEIVED = MAX_ANSWER + 1024 * 1024
"""The same, including headers and the frames of a chunked answer."""

_GZIP_LEVEL = 6


class HttpSender:
    """Posts requests of one signal to one URL."""

    def __init__(self, signal: Signal, response_type: type[ExportResponse], *, user_agent: str) -> None:
        secure = urlsplit(signal.endpoint).scheme == "https"
        named = signal.certificate or signal.client_certificate  # a wrong file is an error even if it is not needed
        tls = read_tls(signal) if secure or named else None
        self._signal = signal
        self._response_type = response_type
        self._closed = Event()
        self._lines = Lines()
        self._attempt = Attempt()
        session = requests.Session()
        # requests would replace the header that the user set by a password from ~/.netrc
        session.auth = lambda request: request
        self._adapter = Adapter(self._attempt, self._lines, None if tls is None else tls.context)
        encoding = {"Content-Encoding": "gzip"} if signal.gzip else {}
        own = {"Content-Type": "application/x-protobuf", **encoding}
        session.headers.update({"User-Agent": user_agent, **dict(signal.headers), **own})
        # Created once: for a receiver nearby, reading the environment (proxies) is half the cost of a request.
        self._request = session.prepare_request(requests.Request("POST", signal.endpoint))
        # proxies are from the environment, certificates are not
        self._proxies = session.merge_environment_settings(signal.endpoint, {}, True, True, None)["proxies"]

    def send(self, message: ExportRequest) -> Outcome:
        """Post one message."""
        signal, body = self._signal, message.SerializeToString()
        if signal.gzip:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        if self._closed.is_set():
            return Retry("the exporter is closed")
        attempt = self._attempt
        attempt.begin(signal.timeout_s, MAX_RECEIVED)
        try:
            answer = self._post(body)
        except requests.RequestException as error:
            if self._closed.is_set():
                return Retry("the exporter is closed")
            # if the receiver has seen the data, the data may be the cause
            if attempt.over:
                why = f"{signal.endpoint} gave no answer within {signal.timeout_s * 1000:.0f} ms"
                return Retry(why, isolate=attempt.connected)
            root = _root(error)
            if isinstance(root, AnswerTooLong):
                return Retry(f"{signal.endpoint} is not an OTLP receiver: its answer does not end")
            seen = attempt.connected and not isinstance(root, ssl.SSLError)
            return Retry(f"{signal.endpoint} can't be reached: {_words(root, signal)}", isolate=seen)
        return judge_http(answer, self._response_type, url=signal.endpoint, now_s=time.time())

    def _post(self, body: bytes) -> HttpAnswer:
        request = self._request.copy()
        request.prepare_body(body, None)
        # not by the session, which would also parse the target of a redirect: that may be any bytes
        # stream: the bytes of an answer are limited
        with self._adapter.send(request, stream=True, timeout=None, proxies=self._proxies) as response:
            success = response.status_code == 200
            most = MAX_ANSWER if success else MAX_MESSAGE
            read = bytearray()
            for chunk in response.iter_content(8192):
                read += chunk
                if len(read) >= most:
                    break
            if success and len(read) >= most:  # half a message may look like a whole one
                raise requests.ConnectionError from AnswerTooLong()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status_code, headers, bytes(read[:most]))

    def close(self) -> None:
        """Close the connections, also while another thread waits for an answer."""
        self._closed.set()
        self._lines.close()
        self._adapter.close()


def _root(error: BaseException) -> BaseException:
    while (before := error.__context__ or error.__cause__) is not None:
        error = before
    return error


def _words(error: BaseException, signal: Signal) -> str:
    """Return an error as the system words it, without those of three libraries, and with a fix."""
    text = printable(str(error)) or type(error).__name__
    url = urlsplit(signal.endpoint)
    if url.scheme == "https" and isinstance(error, OSError | EOFError):
        known = explain(signal, str(error))
        broken = isinstance(error, ssl.SSLError | ConnectionError | EOFError)
        return known or (broken and ask(signal, url.hostname or "", url.port or 443)) or text
    if isinstance(error, BadStatusLine | ConnectionResetError):  # a gRPC server answers HTTP/1 with either of them
        return f"{text}: if it is a gRPC port, use --otlp-protocol grpc; if it uses TLS, https:// in the endpoint"
    return text
