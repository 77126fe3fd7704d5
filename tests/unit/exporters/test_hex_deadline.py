"""Engines that never finish: an event ends at its timeout, and costs neither memory nor further events."""

from __future__ import annotations

import resource
import ssl
import threading
import time
from base64 import b64encode
from hashlib import sha1
from pathlib import Path

import pytest

from otel_logtail.exporters.hex.bus import HexExporter
from otel_logtail.exporters.hex.config import read_bus
from otel_logtail.exporters.hex.link import Link
from otel_logtail.model import Retry
from otel_logtail.option import Options
from tests.support.certificates import Authority
from tests.support.hex_items import breach, breaches
from tests.support.hostile import Answer, Hostile, Peer
from tests.support.waiting import bound_s

TIMEOUT_S = 0.6
_SLACK_S = 3.0
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def welcome(peer: Peer) -> None:
    """The opening handshake, as an engine answers it."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += peer.read()
    (key,) = [row.split(b": ")[1] for row in request.split(b"\r\n") if row.lower().startswith(b"sec-websocket-key")]
    accept = b64encode(sha1(key + _MAGIC).digest())  # noqa: S324 - the protocol's own
    peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def after_welcome(data: bytes, every_s: float = 0.0, *, drip: bool = False) -> Answer:
    def answer(peer: Peer) -> None:
        welcome(peer)
        if drip:
            peer.drip(data)
        else:
            peer.forever(data, every_s)

    return answer


def text(data: bytes, *, last: bool = True, kind: int = 1) -> bytes:
    """A frame of less than 64 KiB."""
    return bytes([(0x80 if last else 0) | kind, 126]) + len(data).to_bytes(2, "big") + data


PING = b"\x89\x7d" + b"p" * 125
FOREIGN = text(b'{"type":"invocationresult","invocation_id":"of-another-call"}')
HOSTILE: dict[str, Answer] = {
    "nothing": lambda peer: peer.forever(b"", 0.05),
    "a handshake byte by byte": lambda peer: peer.drip(b"HTTP/1.1 101 " + b"S" * 9999),
    "a handshake without end": lambda peer: peer.forever(b"X: y\r\n" * 9999, first=b"HTTP/1.1 101 S\r\n"),
    "an error without end": lambda peer: peer.forever(b"x" * 65536, first=b"HTTP/1.1 500 S\r\n\r\n"),
    "nothing after the handshake": after_welcome(b"", 0.05),
    "an answer byte by byte": after_welcome(text(b"x" * 9999), drip=True),
    "a frame now and then": after_welcome(FOREIGN, 0.1),
    "frames without end": after_welcome(FOREIGN * 99),
    "pings without end, and reads nothing": after_welcome(PING * 999),
    "parts of a message without end": after_welcome(text(b"x" * 9999, last=False, kind=0)),
    "a frame that is too large": after_welcome(b"\x81\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * 65536, 0.01),
    "no frames": after_welcome(b"\xff" * 9999),
}


def exporter_to(url: str, timeout_s: float = TIMEOUT_S, **variables: str) -> HexExporter:
    return HexExporter(Link(read_bus(Options(variables, {"hex_url": url})), timeout_s=timeout_s), None)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_event_is_over_with_the_time_out_and_the_exporter_can_be_closed(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = threading.active_count()
    with Hostile(HOSTILE[name]) as engine:
        exporter = exporter_to(f"ws://127.0.0.1:{engine.port}")
        for _ in range(2):
            began_s = time.monotonic()
            answer = exporter.export(breaches(breach(1)))
            took_s = time.monotonic() - began_s
            assert isinstance(answer, Retry), answer
            assert took_s < bound_s(TIMEOUT_S + _SLACK_S)
        began_s = time.monotonic()
        exporter.close()
        assert time.monotonic() - began_s < bound_s(_SLACK_S)
        assert engine.connections == 2  # none is used again after a failure
    deadline_s = time.monotonic() + bound_s(10)
    while threading.active_count() > threads and time.monotonic() < deadline_s:
        threading.Event().wait(0.01)
    assert threading.active_count() <= threads
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 32 * 1024 * 1024


def test_over_tls_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    pair = authority.issue()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    for answer in (after_welcome(PING * 999), after_welcome(text(b"x" * 9999), drip=True)):
        with Hostile(answer, tls) as engine:
            timeout_s = bound_s(2.0)  # a handshake under load takes longer than the other answers
            url = f"wss://127.0.0.1:{engine.port}"
            exporter = exporter_to(url, timeout_s, SSL_CERT_FILE=str(authority.trust))
            began_s = time.monotonic()
            outcome = exporter.export(breaches(breach(1)))
            assert isinstance(outcome, Retry)
            assert f"gave no answer within {timeout_s:g} s" in outcome.why
            assert time.monotonic() - began_s < timeout_s + bound_s(_SLACK_S)
            exporter.close()
