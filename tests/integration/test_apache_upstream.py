"""A real Apache before a slow upstream: each request is a sample, and its time is the one that the client measured.

Apache's time is never longer than the client's, which starts earlier and ends later, and never shorter than the delay.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from otel_logtail.observers.apache import APACHE
from tests.support.places import ROOT
from tests.support.ports import free_port
from tests.support.upstreams import BUSY_NS, Follower, ListeningProgram, Measured, StubUpstream, find_installed, measure
from tests.support.waiting import wait_until

MS, SECOND = 10**6, 10**9
CLOCK_NS = 3 * MS
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MODULES = Path("/usr/lib/apache2/modules")

CONFIGURATION = """
ServerRoot {folder}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
ServerName shop.example
{user}
Listen 127.0.0.1:{port}
{modules}
StartServers 1
ErrorLog {folder}/errors.txt
{recommended}
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\"" combined
LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\" %D" combined_us
LogFormat "%v:%p %h %l %u %t \\"%r\\" %>s %O \\"%{{Referer}}i\\" \\"%{{User-Agent}}i\\" %D" vhost_combined_us
CustomLog {folder}/combined.log combined
CustomLog {folder}/combined_us.log combined_us
CustomLog {folder}/vhost_combined_us.log vhost_combined_us
ProxyPass / http://127.0.0.1:{stub}/
"""


class Case(NamedTuple):
    """One request; ``delay_ms`` is the least time that Apache can measure."""

    path: str
    delay_ms: int
    cause: str
    more: dict[str, Any] | None = None


CASES = (
    Case("/slow/300", 300, "wait", {"headers": {"traceparent": TRACEPARENT}}),
    Case("/drip/300", 300, "send"),
    Case("/status/503/200", 200, "wait", {"headers": {"User-Agent": 'a" 99999999 "\\ \xff'}}),
    # the client's delay can start before a busy machine lets Apache read
    Case("/ok", 100, "wait", {"method": "POST", "body": b"x" * 2000, "upload_s": 0.5}),
)
LATE = (Case("/slow/200", 200, "wait"), Case("/drip/250", 250, "send"))
UNDER_WAY = Case("/slow/1000", 1000, "wait")


class Site(NamedTuple):
    """A running Apache, with its port, the folder of its logs and its upstream."""

    apache: ListeningProgram
    port: int
    folder: Path
    stub: StubUpstream

    def request(self, *cases: Case) -> list[Measured]:
        return [measure(self.port, case.path, **(case.more or {})) for case in cases]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    program, port = find_installed("apache2"), free_port()
    names = ("mpm_event", "authz_core", "proxy", "proxy_http")
    with StubUpstream() as stub:
        configuration = tmp_path / "httpd.conf"
        configuration.write_text(
            CONFIGURATION.format(
                user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
                folder=tmp_path,
                modules="\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in names),
                recommended=APACHE.configuration().replace("/var/log/apache2", str(tmp_path)),
                stub=stub.port,
                port=port,
            )
        )
        command = [program, "-f", configuration, "-D", "FOREGROUND"]
        with ListeningProgram(tmp_path, "apache2", command, [port]) as apache:
            yield Site(apache, port, tmp_path, stub)


def check(case: Case, took: Measured, sample: dict[str, Any], early_ns: int = CLOCK_NS) -> None:
    duration_ns = round(sample["duration_ms"] * MS)
    assert sample["cause"] == case.cause, (case, sample)
    assert case.delay_ms * MS - CLOCK_NS <= duration_ns <= took.duration_ns + CLOCK_NS + BUSY_NS, (case, took, sample)
    start_ns = took.end_ns - took.duration_ns
    assert start_ns + duration_ns - early_ns <= sample["time_unix_nano"] <= took.end_ns + CLOCK_NS + BUSY_NS, (
        case,
        took,
        sample,
    )
    assert sample["attributes"]["http.response.status_class"] == f"{took.status // 100}xx"


def test_each_request_is_one_sample_with_the_time_of_its_client_across_a_rotation(site: Site) -> None:
    log, rotated = site.folder / "otel.log", site.folder / "otel.log.1"
    took: dict[bytes, tuple[Case, Measured]] = {}

    def request(*cases: Case) -> None:
        for case in cases:
            path = f"{case.path}?n={len(took)}"
            took[path.encode()] = case, site.request(case._replace(path=path))[0]

    def is_written() -> bool:
        request(LATE[0])
        return log.stat().st_size > 0

    with Follower(site.folder, "apache", log).start() as daemon, ThreadPoolExecutor(1) as other:
        request(*CASES)
        daemon.wait_for_samples(len(took))
        log.rename(rotated)
        received = site.stub.received
        under_way = other.submit(site.request, UNDER_WAY)
        wait_until(lambda: site.stub.received > received)
        site.apache.signal(signal.SIGUSR1)  # graceful: the old worker ends its request, and writes to the renamed file
        wait_until(log.exists)
        request(*LATE)
        took[UNDER_WAY.path.encode()] = UNDER_WAY, under_way.result()[0]
        wait_until(is_written)
        samples = {daemon.line_of(sample).split()[7]: sample for sample in daemon.wait_for_samples(len(took))}
        assert set(samples) == set(took)
        for path, (case, measured) in took.items():
            check(case, measured, samples[path])
            assert samples[path]["attributes"]["apache.vhost"] == "shop.example"
        assert samples[UNDER_WAY.path.encode()]["file"] == str(rotated)
        assert daemon.rows("SELECT ignored, drift FROM source") == [(0, 0)]
        assert daemon.rows("SELECT reason, count FROM rejected") == []
        daemon.stop()


@pytest.mark.parametrize("name", ["combined_us", "vhost_combined_us"])
def test_formats_with_only_a_duration_end_in_whole_seconds_and_it(site: Site, name: str) -> None:
    took = site.request(*CASES)
    log = site.folder / f"{name}.log"
    wait_until(lambda: log.read_bytes().count(b"\n") == len(CASES))
    daemon = Follower(site.folder, "apache", log)
    daemon.once()
    samples = sorted(daemon.samples(), key=lambda sample: sample["offset"])
    for case, measured, sample in zip(CASES, took, samples, strict=True):
        check(case._replace(cause="request"), measured, sample, SECOND + CLOCK_NS)


def test_the_format_combined_has_no_sample(site: Site) -> None:
    site.request(*CASES[:1])
    log = site.folder / "combined.log"
    wait_until(lambda: log.read_bytes().count(b"\n") == 1)
    daemon = Follower(site.folder, "apache", log)
    daemon.once()
    assert daemon.samples() == []
    assert daemon.rows("SELECT ignored, drift FROM source") == [(1, 0)]


def test_the_example_has_the_recommended_configuration() -> None:
    assert (ROOT / "examples/apache/apache.conf").read_text() == APACHE.configuration()
