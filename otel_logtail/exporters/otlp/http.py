"""One signal over OTLP/HTTP: sends bytes, and returns the receiver's actual answer.

The timeout applies to the whole attempt (:mod:`attempt`). ``close`` ends a wait for an answer, but not one for a
connection. An answer that ends within its headers counts by its status alone.
"""

from __future__ import annotations

import gzip
import os
import ssl
import time
from urllib.parse import urlsplit

from otel_logtail.exporters.otlp.answer import ExportResponse, Outcome, judge_http
from otel_logtail.exporters.otlp.attempt import AnswerTooLong, Attempt
from otel_logtail.exporters.otlp.config import Signal
from otel_logtail.exporters.otlp.encoding import ExportRequest
from otel_logtail.exporters.otlp.exchange import MAX_ANSWER, Exchange, NotHttp
from otel_logtail.exporters.otlp.proxy import proxy_of
from otel_logtail.exporters.otlp.tls import ask, explain, read_tls
from otel_logtail.exporters.trust import client_context, trusted_roots
from otel_logtail.exporters.wording import printable
from otel_logtail.model import Retry

MAX_RECEIVED = MAX_ANSWER + 1024 * 1024
"""The largest answer, including headers and the frames of a chunked one."""

_GZIP_LEVEL = 6


class HttpSender:
    """Posts requests of one signal to one URL."""

    def __init__(self, signal: Signal, response_type: type[ExportResponse], *, user_agent: str) -> None:
        secure = urlsplit(signal.endpoint).scheme == "https"
        named = signal.certificate or signal.client_certificate  # a wrong file is an error even if it is not needed
        tls = read_tls(signal) if secure or named else None
        self._signal = signal
        self._response_type = response_type
        self._attempt = Attempt()
        encoding = [("Content-Encoding", "gzip")] if signal.gzip else []
        headers = [
            ("User-Agent", user_agent),
            *signal.headers,
            ("Content-Type", "application/x-protobuf"),
            *encoding,
        ]
        proxy = proxy_of(signal.endpoint, os.environ)
        own = client_context(trusted_roots(signal.trust)) if proxy is not None and proxy.is_secure else None
        self._exchange = Exchange(
            signal.endpoint,
            headers,
            self._attempt,
            tls=tls.context if tls is not None and secure else None,
            proxy=None if proxy is None else (proxy, own),
        )

    def send(self, message: ExportRequest) -> Outcome:
        """Post one message."""
        signal, body = self._signal, message.SerializeToString()
        if signal.gzip:
            body = gzip.compress(body, _GZIP_LEVEL, mtime=0)
        if self._exchange.was_closed():
            return Retry("the exporter is closed")
        attempt = self._attempt
        attempt.begin(signal.timeout_s, MAX_RECEIVED)
        try:
            answer = self._exchange.post(body)
        except (OSError, EOFError, NotHttp) as error:
            if self._exchange.was_closed():
                return Retry("the exporter is closed")
            # if the receiver has seen the data, the data may be the cause
            if attempt.over:
                why = f"{signal.endpoint} gave no answer within {signal.timeout_s * 1000:.0f} ms"
                return Retry(why, isolate=attempt.connected)
            if isinstance(error, AnswerTooLong):
                return Retry(f"{signal.endpoint} is not an OTLP receiver: its answer does not end")
            seen = attempt.connected and not isinstance(error, ssl.SSLError)
            return Retry(f"{signal.endpoint} can't be reached: {_words(error, signal)}", isolate=seen)
        return judge_http(answer, self._response_type, url=signal.endpoint, now_s=time.time())

    def close(self) -> None:
        """Close the connection, also while another thread waits for an answer."""
        self._exchange.close()


def _words(error: BaseException, signal: Signal) -> str:
    """Return an error as the system words it, with a fix."""
    text = printable(str(error)) or type(error).__name__
    url = urlsplit(signal.endpoint)
    if url.scheme == "https" and isinstance(error, OSError | EOFError):
        known = explain(signal, str(error))
        broken = isinstance(error, ssl.SSLError | ConnectionError | EOFError)
        return known or (broken and ask(signal, url.hostname or "", url.port or 443)) or text
    if isinstance(error, NotHttp | ConnectionResetError):  # a gRPC server answers HTTP/1 with either of them
        return f"{text}: if it is a gRPC port, use --otlp-protocol grpc; if it uses TLS, https:// in the endpoint"
    return text
