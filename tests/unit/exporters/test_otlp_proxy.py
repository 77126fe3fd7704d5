"""Proxies of the environment: which one is used for a URL, and a receiver over TLS behind each kind."""

from __future__ import annotations

import base64
import select
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.otlp.exporter import OtlpExporter, make
from otel_logtail.exporters.otlp.proxy import Proxy, proxy_of
from otel_logtail.model import Delivered, Retry
from tests.support.certificates import Authority
from tests.support.hostile import Hostile, Peer
from tests.support.otlp_items import T0, intervals, point

VARIABLES = [name for one in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (one, one.upper())]
USUAL = {"http_proxy": "http://one:3128", "HTTPS_PROXY": "two"}
BATCHES = [intervals(point([1] * n, id=n, time_ns=T0 + n)) for n in (1, 2)]
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("http://host:4318/v1", USUAL, Proxy(False, "one", 3128)),
        ("https://host/v1", USUAL, Proxy(False, "two", 80)),
        ("https://host/v1", {"ALL_PROXY": "https://p"}, Proxy(True, "p", 443)),
        ("http://host/v1", {"http_proxy": "", "HTTP_PROXY": "http://one"}, None),
        ("http://host/v1", {"HTTP_PROXY": "http://a%40b:c@one:1"}, Proxy(False, "one", 1, "Basic YUBiOmM=")),
        ("http://host/v1", {"http_proxy": "http://[::1]:3128"}, Proxy(False, "::1", 3128)),
        ("http://host/v1", {}, None),
    ],
)
def test_the_proxy_of_a_url_is_that_of_its_scheme(url: str, environ: dict[str, str], expected: Proxy | None) -> None:
    assert proxy_of(url, environ) == expected


@pytest.mark.parametrize(
    ("host", "excluded", "expected"),
    [
        ("collector.example", "localhost, .example", True),
        ("collector.example", "example", True),
        ("collector.example", "*.example", True),
        ("collector.example", "collector.example:4318", True),
        ("collector.example", "collector.example:1", False),
        ("badexample", "example", False),
        ("Collector.Example", "collector.example", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("collector.example", "10.0.0.0/8", False),
        ("collector.example", "*", True),
        ("collector.example", ",", False),
    ],
)
def test_no_proxy_names_hosts_domains_ports_and_networks(host: str, excluded: str, expected: bool) -> None:
    environ = {"http_proxy": "http://one", "NO_PROXY": excluded}
    assert (proxy_of(f"http://{host}:4318/v1", environ) is None) == expected


@pytest.mark.parametrize("text", ["socks5://secret@one", "http://", "http://secret@one:port"])
def test_another_kind_of_proxy_is_a_usage_error_without_its_password(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        proxy_of("http://host", {"http_proxy": text})
    assert "HTTP_PROXY is not the URL of an HTTP proxy" in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield Authority(tmp_path / "authority")


def exporting(authority: Authority, port: int) -> OtlpExporter:
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.trust), "SSL_CERT_FILE": str(authority.trust)}
    return make(ExporterContext(environ, {"otlp_endpoint": f"https://127.0.0.1:{port}"}, host="box"))


def accept_all(peer: Peer) -> None:
    while data := peer.read():
        assert data.startswith(b"POST /v1/metrics HTTP/1.1\r\nHost: 127.0.0.1:")
        peer.send(TAKEN)


class Tunnels:
    """A proxy that opens tunnels; ``heads`` are the requests that it got."""

    def __init__(self, status: bytes = b"200 OK") -> None:
        self.heads: list[bytes] = []
        self._status = status

    def __call__(self, peer: Peer) -> None:
        self.heads.append(head := peer.read())
        peer.send(b"HTTP/1.1 %s\r\nX: y\r\n\r\n" % self._status)
        host, _, port = head.split()[1].decode().partition(":")
        with socket.create_connection((host, int(port))) as receiver:
            while True:
                buffered = isinstance(peer.sock, ssl.SSLSocket) and peer.sock.pending()
                ready = [peer.sock] if buffered else select.select([peer.sock, receiver], [], [])[0]
                for sock in ready:
                    data = sock.recv(65536)
                    if not data:
                        return
                    (receiver if sock is peer.sock else peer.sock).sendall(data)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_over_tls_is_reached_through_a_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    tunnels = Tunnels()
    with (
        Hostile(accept_all, authority.issue().context()) as receiver,
        Hostile(tunnels, authority.issue().context() if scheme == "https" else None) as proxy,
    ):
        monkeypatch.setenv("https_proxy", f"{scheme}://me:secret@127.0.0.1:{proxy.port}")
        exporter = exporting(authority, receiver.port)
        assert [exporter.export(batch) for batch in BATCHES] == [Delivered(), Delivered()]
        exporter.close()
        assert (receiver.connections, proxy.connections) == (1, 1)
    address, pair = b"127.0.0.1:%d" % receiver.port, base64.b64encode(b"me:secret")
    lines = (b"CONNECT %s HTTP/1.1" % address, b"Host: %s" % address, b"Proxy-Authorization: Basic %s" % pair)
    assert tunnels.heads == [b"\r\n".join([*lines, b"", b""])]


def test_a_proxy_that_refuses_is_named_and_no_item_is_suspected(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with Hostile(refuse) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        exporter = exporting(authority, 1)
        answer = exporter.export(BATCHES[0])
        exporter.close()
    why = "https://127.0.0.1:1/v1/metrics can't be reached: the proxy refused to connect: it answered 407"
    assert answer == Retry(why)
