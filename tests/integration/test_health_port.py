"""The health port of a real daemon: its status, a port that is taken, and the port after the daemon was killed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import lines
from tests.support.ports import free_port
from tests.support.scraping import probe


def test_it_answers_until_the_daemon_is_killed_and_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with Daemon(tmp_path, "--from-start", OTEL_LOGTAIL_HEALTH_PORT=str(port)) as daemon:
        daemon.write(lines(0, 50))
        daemon.start()
        daemon.reads(0, 50)
        daemon.wait_until(lambda: probe(port, "/readyz") == (200, "ok\n"))
        assert probe(port, "/livez") == (200, "ok\n")
        daemon.wait_until(lambda: json.loads(probe(port, "/status")[1]) == daemon.ask("status"))
        daemon.kill()
        with pytest.raises(ConnectionRefusedError):
            probe(port, "/livez")
        daemon.start()
        daemon.wait_until(lambda: probe(port, "/readyz") == (200, "ok\n"))
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"GET /li")  # a check that never ends does not hold up the stop
            daemon.stop()


def test_a_port_that_is_taken_is_a_wrong_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Daemon(tmp_path, "--health-port", port).launch() as daemon:
            assert daemon.ends() == 2
            assert f"cannot listen on 127.0.0.1 port {port} for health checks: address already in use" in daemon.said()
            assert "hint: another port: --health-port" in daemon.said()
        with Daemon(tmp_path, "--from-start", "--health-port", port) as daemon:
            daemon.write(lines(0, 50))
            daemon.once()  # needs no port
