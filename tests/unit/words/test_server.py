"""The small HTTP server among clients that do not ask, ask slowly, ask nonsense, leave, or do not read."""

from __future__ import annotations

import gzip
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from otel_logtail.server import CONNECTIONS, REQUEST_BYTES, Server, answer
from tests.support.waiting import bound_s, wait_until

LARGE = os.urandom(4 << 20)
"""More than the buffers of a connection take."""


def app(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
    if environ["PATH_INFO"] == "/fails":
        raise KeyError("x")
    start("200 OK", [("Content-Type", "text/plain"), ("X-Accept", str(environ.get("HTTP_ACCEPT", "")))])
    return [LARGE] if environ["PATH_INFO"] == "/large" else [b"all well"]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server("scrape", "127.0.0.1", 0, app)
    made.start()
    yield made
    made.close()


@pytest.fixture
def hasty() -> Iterator[Server]:
    """One whose deadline is near."""
    made = Server("scrape", "127.0.0.1", 0, app, seconds=0.3)
    made.start()
    yield made
    made.close()


def scrape(server: Server, path: str = "/metrics") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=bound_s(10))
    try:
        connection.request("GET", path, headers={"Accept": "text/x"})
        found = connection.getresponse()
        return found.status, found.read()
    finally:
        connection.close()


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=bound_s(10))


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def resources() -> tuple[int, int]:
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def half_open(client: socket.socket) -> None:
    """It logs nothing at all."""


def slowloris(client: socket.socket) -> None:
    client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")


def never_reads(client: socket.socket) -> None:
    client.sendall(b"GET /large HTTP/1.1\r\n\r\n")


@pytest.mark.parametrize("behave", [half_open, slowloris, never_reads])
def test_a_scraper_is_served_among_500_clients_that_hold_on(
    server: Server, behave: Callable[[socket.socket], None]
) -> None:
    _, descriptors = resources()
    threads = {*threading.enumerate()}
    with ExitStack() as stack:
        clients = []
        for _ in range(500):
            clients.append(stack.enter_context(connect(server)))
            behave(clients[-1])
            if behave is slowloris and len(clients) % 50 == 0:
                for client in clients[-CONNECTIONS // 2 :]:  # they go on, a byte at a time
                    client.sendall(b"x")
        for _ in range(3):
            assert scrape(server) == (200, b"all well")
        assert {*threading.enumerate()} <= threads
        assert resources()[1] - 500 - descriptors <= CONNECTIONS
    assert scrape(server) == (200, b"all well")


@pytest.mark.parametrize("behave", [half_open, slowloris, never_reads])
def test_no_client_keeps_a_connection_beyond_the_deadline(
    hasty: Server, behave: Callable[[socket.socket], None]
) -> None:
    _, before = resources()
    with connect(hasty) as client:
        behave(client)
        wait_until(lambda: resources()[1] == before + 1)  # the client's own is left
    assert scrape(hasty) == (200, b"all well")


def test_a_byte_now_and_then_does_not_move_the_deadline(hasty: Server) -> None:
    with connect(hasty) as client:
        sent = 0

        def is_cut_off() -> bool:
            nonlocal sent
            try:
                client.sendall(b"G")
            except OSError:
                return True
            sent += 1
            return False

        wait_until(is_cut_off)
        assert 0 < sent < REQUEST_BYTES


@pytest.mark.parametrize("asked", [b"", b"GET / HT", b"GET /large HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"])
def test_a_broken_connection_is_not_logged(server: Server, asked: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        client = connect(server)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        client.sendall(asked)
        client.close()
    assert scrape(server) == (200, b"all well")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1 more\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),  # the client uses TLS
        (b"GET /fails HTTP/1.1\r\n\r\n", b"500"),
        (b"GET /%ff?x=%00&&== HTTP/1.1\r\n:\r\nno colon\r\nAccept\r\n\r\n", b"200"),
        (b"A" * (REQUEST_BYTES + 1), b"431"),
        (b"GET / HTTP/1.1\r\nCookie: " + b"x" * REQUEST_BYTES, b"431"),
    ],
)
def test_nonsense_has_an_answer_and_does_no_harm(server: Server, asked: bytes, status: bytes) -> None:
    with connect(server) as client:
        client.sendall(asked)
        found = b""
        try:
            while piece := client.recv(4096):
                found += piece
        except ConnectionResetError:
            pass  # the client closed before reading the whole answer
    assert found.startswith(b"HTTP/1.1 " + status) or (not found and status == b"431")
    assert scrape(server) == (200, b"all well")


def test_the_answer_to_head_has_the_length_of_the_body_and_no_body() -> None:
    found = [answer(app, f"{method} / HTTP/1.1\r\n\r\n".encode()) for method in ("GET", "HEAD")]
    header, end, body = found[0].partition(b"\r\n\r\n")
    assert body
    assert found[1] == header + end


def test_a_large_answer_arrives_whole_in_front_of_a_slow_reader(server: Server) -> None:
    status, body = scrape(server, "/large")
    assert (status, body == LARGE) == (200, True)


def test_a_request_may_come_in_pieces(server: Server) -> None:
    with connect(server) as client:
        for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":
            client.sendall(bytes([byte]))
        assert client.recv(12) == b"HTTP/1.1 200"


def test_headers_reach_the_application() -> None:
    found = answer(app, b"GET /a%20b HTTP/1.1\r\nAccept: text/y\r\n\r\n")
    assert b"\r\nX-Accept: text/y\r\n" in found
    assert found.endswith(b"\r\n\r\nall well")


def test_an_application_may_compress() -> None:
    def zipped(environ: dict[str, object], start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Encoding", str(environ["HTTP_ACCEPT_ENCODING"]))])
        return [gzip.compress(b"all well")]

    head, _, body = answer(zipped, b"GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n").partition(b"\r\n\r\n")
    assert (b"Content-Encoding: gzip" in head, gzip.decompress(body)) == (True, b"all well")


def test_closing_ends_the_thread_and_frees_everything() -> None:
    before = resources()
    server = Server("scrape", "127.0.0.1", 0, app)
    server.start()
    with connect(server) as client:
        assert scrape(server) == (200, b"all well")
        server.close()
        wait_until(lambda: is_closed(client))
    assert resources() == before
