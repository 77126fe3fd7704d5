"""A real nginx before a slow upstream: each request is a sample, and its time is the one that the client measured.

nginx's time is never longer than the client's, which starts earlier and ends later, and never shorter than the delay.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otel_logtail.observers.nginx import NGINX
from tests.support.places import ROOT
from tests.support.ports import free_ports
from tests.support.upstreams import BUSY_NS, Follower, ListeningProgram, Measured, StubUpstream, find_installed, measure
from tests.support.waiting import wait_until

MS = 10**6
CLOCK_NS = 3 * MS
"""nginx reads its clock once for each event, and truncates to milliseconds."""
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

CONFIGURATION = """
{user}
pid {folder}/nginx.pid;
worker_processes 2;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    {recommended}
    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" rt=$request_time uct="$upstream_connect_time" uht="$upstream_header_time" '
        'urt="$upstream_response_time"';
    log_format ingress '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" $request_length $request_time [$server_name] [] $upstream_addr $upstream_response_length '
        '$upstream_response_time $upstream_status $http_x_request_id';
    access_log {folder}/timed.log timed;
    access_log {folder}/ingress.log ingress;
    access_log {folder}/combined.log;
    upstream again {{ server 127.0.0.1:{stub} max_fails=0; server 127.0.0.1:{other} backup; }}
    server {{
        listen 127.0.0.1:{port};
        server_name shop;
        location / {{ proxy_pass http://127.0.0.1:{stub}; }}
        location /again/ {{ proxy_pass http://again; proxy_read_timeout 250ms; }}
        location /own {{ return 204; }}
    }}
    server {{ listen 127.0.0.1:{other}; access_log off; location / {{ return 204; }} }}
}}
"""


class Case(NamedTuple):
    """One request; ``delay_ms`` is the least time that nginx can measure.

    A client's delay can start before a busy machine lets nginx read, so its bound is lower than the delay.
    """

    path: str
    delay_ms: int
    cause: str
    more: dict[str, Any] | None = None


CASES = (  # each ends long after the one before it: their order is that of the samples
    Case("/own", 0, "client", {"headers": {"User-Agent": 'a" rt=9.000 "\xff', "X-Request-Id": ": 9.000 9"}}),
    Case("/slow/300?n=1", 300, "upstream", {"headers": {"traceparent": TRACEPARENT}}),
    Case("/drip/300", 300, "body"),
    Case("/status/503/300", 300, "upstream"),
    Case("/ok", 100, "client", {"method": "POST", "body": b"x" * 2000, "upload_s": 0.5}),
    Case("/again/hang", 250, "retry"),
    Case("/hang", 100, "upstream", {"patience_s": 0.5}),  # is logged after the client left, so it is the last
)
LATE = (Case("/slow/200", 200, "upstream"), Case("/drip/250", 250, "body"))


class Site(NamedTuple):
    """A running nginx, with its port and the folder of its logs."""

    nginx: ListeningProgram
    port: int
    folder: Path

    def request(self, *cases: Case) -> list[Measured]:
        return [measure(self.port, case.path, **(case.more or {})) for case in cases]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    program = find_installed("nginx")
    port, other = free_ports(2)
    with StubUpstream() as stub:
        recommended = NGINX.configuration().replace("/var/log/nginx", str(tmp_path))
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(
                user="user root;" if os.geteuid() == 0 else "",
                folder=tmp_path,
                recommended=recommended,
                stub=stub.port,
                port=port,
                other=other,
            )
        )
        command = [program, "-p", tmp_path, "-c", configuration, "-g", "daemon off;"]
        with ListeningProgram(tmp_path, "nginx", command, [port, other]) as nginx:
            yield Site(nginx, port, tmp_path)


def check(case: Case, took: Measured, sample: dict[str, Any], clock_ns: int = CLOCK_NS) -> None:
    duration_ns = round(sample["duration_ms"] * MS)
    assert sample["cause"] == case.cause, (case, sample)
    assert case.delay_ms * MS - CLOCK_NS <= duration_ns, (case, sample)
    assert took.end_ns - took.duration_ns - clock_ns <= sample["time_unix_nano"], (case, sample)
    if took.status:  # nginx notices later that a client has left
        assert duration_ns <= took.duration_ns + CLOCK_NS + BUSY_NS, (case, took, sample)
        assert sample["time_unix_nano"] <= took.end_ns + CLOCK_NS + BUSY_NS, (case, took, sample)
        assert sample["attributes"]["http.response.status_class"] == f"{took.status // 100}xx"


def test_each_request_is_one_sample_with_the_time_of_its_client_across_a_rotation(site: Site) -> None:
    log, rotated = site.folder / "otel.log", site.folder / "otel.log.1"
    with Follower(site.folder, "nginx", log).start() as daemon:
        took = site.request(*CASES)
        daemon.wait_for_samples(len(CASES))
        log.rename(rotated)
        took += site.request(*LATE)  # nginx writes to the renamed file until it gets the signal
        daemon.wait_for_samples(len(took))
        site.nginx.signal(signal.SIGUSR1)
        wait_until(log.exists)
        took += site.request(*LATE)
        samples = daemon.wait_for_samples(len(took))
        for case, measured, sample in zip((*CASES, *LATE, *LATE), took, samples, strict=True):
            check(case, measured, sample)
        assert [sample["attributes"]["nginx.server"] for sample in samples] == ["shop"] * len(took)
        assert daemon.rows("SELECT ignored, drift FROM source") == [(0, 0)]
        assert daemon.rows("SELECT reason, count FROM rejected") == []
        assert rotated.read_bytes().count(b"\n") >= len(CASES) + len(LATE)
        daemon.stop()


@pytest.mark.parametrize("name", ["timed", "ingress"])
def test_text_formats_have_the_same_times_in_whole_seconds(site: Site, name: str) -> None:
    took = site.request(*CASES)
    log = site.folder / f"{name}.log"
    wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") == len(CASES))
    daemon = Follower(site.folder, "nginx", log)
    daemon.once()
    samples = sorted(daemon.samples(), key=lambda sample: sample["offset"])
    joined = {"body": "upstream"} if name == "ingress" else {}
    for case, measured, sample in zip(CASES, took, samples, strict=True):
        check(case._replace(cause=joined.get(case.cause, case.cause)), measured, sample, 1000 * MS + CLOCK_NS)


def test_the_format_combined_has_no_sample(site: Site) -> None:
    site.request(*CASES[-2:])
    log = site.folder / "combined.log"
    wait_until(lambda: log.read_bytes().count(b"\n") == 2)
    daemon = Follower(site.folder, "nginx", log)
    daemon.once()
    assert daemon.samples() == []
    assert daemon.rows("SELECT ignored, drift FROM source") == [(2, 0)]


def test_the_example_has_the_recommended_configuration() -> None:
    assert (ROOT / "examples/nginx/nginx.conf").read_text() == NGINX.configuration()
