"""OTLP over TLS to a real collector: a fault is logged once, with its reason, and nothing is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otel_logtail import query
from tests.support.certificates import Authority, Pair
from tests.support.collector import Collector, find_collector
from tests.support.daemon import Daemon
from tests.support.lines import line
from tests.support.ports import free_ports
from tests.support.together import together
from tests.support.waiting import wait_until

E = "OTEL_EXPORTER_OTLP_"
RECEIVERS = ("right", "elsewhere", "ended", "mutual")


class Site(NamedTuple):
    """A collector with four TLS configurations, and the certificates of both sides."""

    collector: Collector
    ports: Mapping[tuple[str, str], int]
    trust: Path
    others_trust: Path
    own: Pair
    others: Pair
    ended: Pair

    def endpoint(self, receiver: str, protocol: str) -> str:
        return f"https://127.0.0.1:{self.ports[receiver, protocol]}"


def server(pair: Pair, **more: str) -> dict[str, str]:
    return {"cert_file": str(pair.certificate), "key_file": str(pair.key), **more}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = Authority(folder / "authority"), Authority(folder / "other")
    tls = {
        "right": server(authority.issue()),
        "elsewhere": server(authority.issue("collector.example")),
        "ended": server(authority.issue(ended=True)),
        "mutual": server(authority.issue(), client_ca_file=str(authority.trust)),
    }
    names = [(receiver, protocol) for receiver in RECEIVERS for protocol in ("grpc", "http/protobuf")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    receivers = {
        f"otlp/{name}": {
            "protocols": {
                word: {"endpoint": f"127.0.0.1:{ports[name, protocol]}", "tls": tls[name]}
                for word, protocol in (("grpc", "grpc"), ("http", "http/protobuf"))
            }
        }
        for name in RECEIVERS
    }
    pipelines = {signal: {"receivers": [*receivers]} for signal in ("metrics", "traces", "logs")}
    config = folder / "tls.json"
    config.write_text(json.dumps({"receivers": receivers, "service": {"pipelines": pipelines}}))
    with Collector(find_collector(), folder, "collector.yaml", str(config)) as collector:
        yield Site(
            collector,
            ports,
            authority.trust,
            other.trust,
            authority.issue("otel-logtail"),
            other.issue("otel-logtail"),
            authority.issue("otel-logtail", ended=True),
        )


def trusting(path: Path) -> dict[str, str]:
    return {E + "CERTIFICATE": str(path)}


def showing(pair: Pair) -> dict[str, str]:
    return {E + "CLIENT_CERTIFICATE": str(pair.certificate), E + "CLIENT_KEY": str(pair.key)}


def delivered(collector: Collector, source: str) -> tuple[int, int]:
    """Samples and spans of a source that the collector has."""
    points = [p for p in collector.metrics() if p.resource["service.name"] == source and p.name.endswith("ad.duration")]
    spans = [span for span in collector.spans() if span.resource["service.name"] == source]
    return max((point.value for point in points), default=0), len(spans)


class Case(NamedTuple):
    """A fault: the destination, the certificates, and the expected (and forbidden) messages."""

    receiver: str
    trust: str
    shown: str
    says: str
    names: str


CASES = {
    "another authority is trusted": Case(
        "right", "others_trust", "", "unable to get local issuer certificate", E + "CERTIFICATE (/"
    ),
    "no authority is named": Case("right", "", "", "local issuer certificate", E + "CERTIFICATE must be a PEM file"),
    "another host": Case("elsewhere", "trust", "", "certificate is not valid for '127.0.0.1'", "the endpoint's host"),
    "the receiver's has ended": Case("ended", "trust", "", "certificate has expired", "renewed there"),
    "none is shown": Case(
        "mutual", "trust", "", "certificate required", f"set {E}CLIENT_CERTIFICATE and {E}CLIENT_KEY"
    ),
    "a stranger's is shown": Case(
        "mutual", "trust", "others", "unknown ca", f"own certificate: {E}CLIENT_CERTIFICATE (/"
    ),
    "ours has ended": Case("mutual", "trust", "ended", "certificate expired", f"renew what {E}CLIENT_CERTIFICATE (/"),
}


class Tried(NamedTuple):
    """A daemon that stopped after several failures, and the directory that a new start continues in."""

    folder: Path
    said: str
    status: dict[str, Any]


def flags_of(wrong: str, protocol: str) -> tuple[str, ...]:
    return ("--otlp-protocol", protocol, "--source", f"{wrong} {protocol}")


def tried(site: Site, folder: Path, wrong: str, protocol: str) -> Tried:
    case = CASES[wrong]
    environ = trusting(getattr(site, case.trust)) if case.trust else {}
    if case.shown:
        environ |= showing(getattr(site, case.shown))
    endpoint = site.endpoint(case.receiver, protocol)
    with Daemon(folder, *flags_of(wrong, protocol), "--from-start", endpoint=endpoint, **environ) as daemon:
        daemon.write(line(1), line(2, ms=700), line(500))
        daemon.start()
        daemon.wait_until(lambda: case.says in daemon.said(), 60)
        daemon.wait_until(lambda: exporter(daemon)["failures"] > 2, 60)
        daemon.stop()
    return Tried(folder, daemon.said(), exporter(daemon))


@pytest.fixture(scope="module")
def attempts(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Tried]]:
    """The daemons of all cases: each waits some seconds between its attempts."""
    with together(request, tmp_path_factory, partial(tried, site)) as result_of:
        yield result_of


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("wrong", CASES)
def test_a_wrong_certificate_is_one_clear_error_and_the_right_one_brings_everything(
    attempts: Callable[..., Tried], site: Site, wrong: str, protocol: str
) -> None:
    case = CASES[wrong]
    attempt = attempts(wrong=wrong, protocol=protocol)
    complaints = [text for text in attempt.said.splitlines() if "warning: " in text]
    assert len(complaints) == 1, attempt.said
    assert re.match(r"\S+Z warning: otlp: ", complaints[0])
    for told in (complaints[0], str(attempt.status["last_error"])):
        assert case.says in told
        assert case.names in told
    assert (attempt.status["delivered"], attempt.status["refused"]) == (0, 0)
    source = f"{wrong} {protocol}"
    assert delivered(site.collector, source) == (0, 0)

    better = "mutual" if case.receiver == "mutual" else "right"
    right = trusting(site.trust) | (showing(site.own) if better == "mutual" else {})
    again = Daemon(attempt.folder, *flags_of(wrong, protocol), endpoint=site.endpoint(better, protocol), **right)
    assert case.says not in again.once()
    wait_until(lambda: delivered(site.collector, source) == (3, 1))
    assert (exporter(again)["pending"], exporter(again)["last_error"]) == (0, None)


def exporter(daemon: Daemon) -> dict[str, Any]:
    with query.Reader.open(daemon.db) as reader:
        status: Any = query.status(reader)
    (found,) = status["exporters"]
    return dict(found)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_certificate_that_is_renewed_is_taken_without_a_restart(tmp_path: Path, protocol: str) -> None:
    authority = Authority(tmp_path / "authority")
    config = tmp_path / "tls.json"

    def serve(pair: Pair) -> str:
        protocols = {name: {"tls": server(pair)} for name in ("grpc", "http")}
        config.write_text(json.dumps({"receivers": {"otlp": {"protocols": protocols}}}))
        return str(config)

    with Collector(find_collector(), tmp_path, "collector.yaml", serve(authority.issue(ended=True))) as collector:
        endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
        flags = ("--otlp-protocol", protocol, "--from-start", "--export-interval", "100ms", "--quiet-ms", "50")
        endpoint = endpoint.replace("http:", "https:")
        with Daemon(tmp_path, *flags, endpoint=endpoint, **trusting(authority.trust)) as daemon:
            daemon.write(line(1), line(2, ms=700), line(500))
            daemon.start()
            daemon.wait_until(lambda: "certificate has expired" in daemon.said())
            daemon.wait_until(lambda: exporter(daemon)["failures"] > 2)
            assert daemon.said().count("warning: otlp:") == 1
            collector.stop()
            serve(authority.issue())
            collector.start()
            daemon.wait_until(lambda: "otlp: connected to " in daemon.said(), 60)
            daemon.wait_until(lambda: delivered(collector, "headroom-proxy")[0] == 3)
            daemon.stop()
