"""A real HAProxy in front of a stub with known delays: its log, raw and through syslog, as samples in the store.

A sample contains the delay of the stub, and is within what the client measured.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from otel_logtail.observers.haproxy import HAPROXY
from tests.support.ports import free_port, free_ports
from tests.support.upstreams import Follower, ListeningProgram, Measured, StubUpstream, find_installed, measure
from tests.support.waiting import bound_s, wait_until

MS = 10**6
SLACK_S = 0.05
"""A proxy reads the clock when it wakes, after the client. A busy machine stretches that."""
NEWFOUNDLAND = "America/St_Johns"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Case(NamedTuple):
    """One request: the delay that it contains at least, its cause (empty: any), its status and the client's measure."""

    delay_ms: int
    cause: str
    status: int
    measured: Measured

    def agrees_with(self, sample: dict[str, Any]) -> bool:
        """Return whether a sample agrees with the client. HAProxy may see later that a client left.

        If the request took twice its delay, the load of the machine decides about the cause.
        """
        end_ns, duration_ns = sample["time_unix_nano"], round(sample["duration_ms"] * MS)
        begin_ns = self.measured.end_ns - self.measured.duration_ns
        slack_ns = round(bound_s(SLACK_S) * 10**9)
        return (
            self.measured.status == self.status
            and (self.cause in ("", sample["cause"]) or self.measured.duration_ns > 2 * self.delay_ms * MS)
            and duration_ns >= self.delay_ms * MS - slack_ns
            and end_ns - duration_ns >= begin_ns - slack_ns
            and (self.status == 0 or end_ns <= self.measured.end_ns + slack_ns)
        )


class Syslog:
    """A syslog daemon as rsyslog is in Debian: RFC 3339 with the zone of the machine. It reopens its file on demand.

    The time of a line is the time in the header of the message, as with rsyslog.
    """

    def __init__(self, log: Path, zone: str) -> None:
        self._log, self._zone = log, ZoneInfo(zone)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._file = log.open("ab", buffering=0)
        self._lock = threading.Lock()

    def __enter__(self) -> Syslog:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send(b"")
        self._thread.join(bound_s())
        self._socket.close()
        self._file.close()

    def reopen(self) -> None:
        """Continue with a new file, as after a HUP."""
        with self._lock:
            self._file.close()
            self._file = self._log.open("ab", buffering=0)

    def _send(self, message: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, ("127.0.0.1", self.port))

    def _run(self) -> None:
        while message := self._socket.recv(1 << 16):
            _, _, rest = message.partition(b">")
            stamp, inner = rest[:15].decode(), rest[16:].rstrip(b"\n")
            year = datetime.now(self._zone).year
            moment = datetime.strptime(f"{year} {stamp}", "%Y %b %d %H:%M:%S").replace(tzinfo=self._zone)
            with self._lock:
                self._file.write(b"%s localhost %s\n" % (moment.isoformat().encode(), inner))


class Proxy(NamedTuple):
    """The ports of the running HAProxy: of a frontend with ``option httplog``, and of one with the recommended form."""

    httplog: int
    json: int


def configuration(ports: Proxy, stub: int, target: str) -> str:
    """Return haproxy.cfg, with the recommended lines as users paste them."""
    dead = free_port()
    return f"""
global
    log {target}
    maxconn 100
defaults
    log global
    mode http
    option dontlognull
    option abortonclose
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout queue 60s
    retries 0
frontend web
    bind 127.0.0.1:{ports.httplog}
    option httplog
    http-request capture req.hdr(User-Agent) len 200
    http-request capture req.hdr(traceparent) len 55
    use_backend queued if {{ path_beg /q/ }}
    use_backend dead if {{ path_beg /dead }}
    http-request return status 200 content-type text/plain string "hi" if {{ path_beg /static }}
    default_backend app
frontend json
    bind 127.0.0.1:{ports.json}
{HAPROXY.configuration()}
    use_backend dead if {{ path_beg /dead }}
    default_backend app
backend app
    server a1 127.0.0.1:{stub}
backend queued
    server q1 127.0.0.1:{stub} maxconn 1
backend dead
    server d1 127.0.0.1:{dead}
"""


@contextmanager
def running(folder: Path, stub: int, target: str, zone: str) -> Iterator[tuple[Proxy, Path]]:
    """Run HAProxy; yield its ports, and the file that holds its standard output."""
    ports = Proxy(*free_ports(2))
    file = folder / "haproxy.cfg"
    file.write_text(configuration(ports, stub, target))
    command = (find_installed("haproxy"), "-db", "-f", file)
    with ListeningProgram(folder, "haproxy", command, ports, TZ=zone) as program:
        yield ports, program.log


def assert_agree(samples: Sequence[dict[str, Any]], cases: Sequence[Case]) -> None:
    """Check that each sample is that of its own request, in the order of their ends.

    The log has milliseconds: two requests that ended within one may be in either order.
    """
    assert len(samples) == len(cases)
    left = list(samples)
    wrong = []
    for case in sorted(cases, key=lambda case: case.measured.end_ns):
        own = next((sample for sample in left[:2] if case.agrees_with(sample)), None)
        if own is None:
            wrong.append((case, left[:2]))
        else:
            left.remove(own)
    assert wrong == []


def test_raw_lines_agree_with_the_client(tmp_path: Path) -> None:
    zone = "Asia/Kathmandu"
    with (
        StubUpstream() as stub,
        running(tmp_path, stub.port, "stdout format raw local0", zone) as (proxy, log),
        Follower(tmp_path, "haproxy", log, more=("--timezone", zone)) as daemon,
    ):
        daemon.start()
        port = proxy.httplog
        cases = [
            Case(0, "", 200, measure(port, "/ok", headers={"User-Agent": 'a|b "{[', "traceparent": PARENT})),
            Case(300, "server", 200, measure(port, "/slow/300")),
            Case(300, "data", 200, measure(port, "/drip/300", method="POST", body=b"ab")),
            Case(0, "", 503, measure(port, "/dead/x")),
            Case(0, "", 200, measure(port, "/static/x", method="FROBNICATE")),
            Case(250, "server", 503, measure(port, "/status/503/250")),
        ]
        with ThreadPoolExecutor(2) as pool:
            queued = [pool.submit(measure, port, "/q/slow/250") for _ in range(2)]
        cases += [Case(250, "", 200, request.result()) for request in queued]
        cases.append(Case(250, "server", 0, measure(port, "/hang", patience_s=0.25)))
        assert_agree(daemon.wait_for_samples(len(cases)), cases)
        assert daemon.rows("SELECT reason, count FROM rejected") == []
        assert daemon.rows("SELECT drift FROM source") == [(0,)]


def test_no_line_is_lost_when_syslog_rotates(tmp_path: Path) -> None:
    log = tmp_path / "haproxy.log"
    with StubUpstream() as stub, Syslog(log, NEWFOUNDLAND) as syslog:
        target = f"127.0.0.1:{syslog.port} len 4096 local0"
        with (
            running(tmp_path, stub.port, target, NEWFOUNDLAND) as (proxy, _),
            Follower(tmp_path, "haproxy", log) as daemon,
        ):
            daemon.start()
            cases = [Case(150, "server", 200, measure(proxy.httplog, "/slow/150"))]
            cases += [Case(150, "server", 200, measure(proxy.json, "/slow/150", headers={"traceparent": PARENT}))]
            wait_until(lambda: log.read_bytes().count(b"\n") >= 2)
            log.rename(tmp_path / "haproxy.log.1")
            cases += [Case(0, "", 503, measure(port, "/dead/x")) for port in proxy]  # written to the renamed file
            wait_until(lambda: (tmp_path / "haproxy.log.1").read_bytes().count(b"\n") >= 4)
            syslog.reopen()
            cases += [Case(150, "data", 200, measure(port, "/drip/150")) for port in proxy]
            assert_agree(daemon.wait_for_samples(len(cases)), cases)
            assert daemon.rows("SELECT reason, count FROM rejected") == []
            assert daemon.rows("SELECT drift FROM source") == [(0,)]
