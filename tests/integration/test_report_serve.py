"""``report --serve`` as a process, beside a real daemon."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.command import PROGRAM, environ
from tests.support.daemon import Daemon
from tests.support.forked import run
from tests.support.lines import lines
from tests.support.moments import proxy_store
from tests.support.ports import free_port
from tests.support.store_builder import NOON, SECOND, Written, make_file
from tests.support.waiting import bound_s, wait_until


class Served:
    """A process that serves, and its address."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str = "/") -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=bound_s(30))
        try:
            connection.request("GET", path)
            found = connection.getresponse()
            return found.status, found.read().decode()
        finally:
            connection.close()


@contextmanager
def serving(store: Path, home: Path, *more: object) -> Iterator[Served]:
    command = [*PROGRAM, "report", "--db", str(store), "--since", "@0", *map(str, more or ("--serve", 0))]
    process = subprocess.Popen(
        command, env=environ(home, store), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        address = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
        assert address is not None, process.communicate()
        yield Served(process, int(address[1]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return proxy_store(tmp_path)


def test_the_site_has_the_figures_of_the_command(store: Path, tmp_path: Path) -> None:
    expected = json.loads(
        run("report", "--db", store, "--since", "@0", "--format", "json", home=tmp_path, check=False).stdout
    )
    with serving(store, tmp_path) as served:
        status, body = served.get("/report.json")
        assert (status, json.loads(body)) == (200, expected)
        assert served.get("/")[0] == 200
        episodes = served.get("/episodes")[1]
        for address in re.findall(r'href="(/episode/[0-9a-f]+)"', episodes):
            assert served.get(address)[0] == 200


def test_nothing_is_written(store: Path, tmp_path: Path) -> None:
    before = store.read_bytes()
    with serving(store, tmp_path) as served:
        for path in ("/", "/episodes", f"/episode/{1:016x}", "/report.md"):
            assert served.get(path)[0] == 200
    assert store.read_bytes() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it(store: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serving(store, tmp_path) as served:
        assert served.get()[0] == 200
        served.process.send_signal(number)
        out, errors = served.process.communicate(timeout=bound_s(30))
        assert (served.process.returncode, out) == (code, "")
        assert errors == "serving the report; the page reloads every 30 s; Ctrl-C stops\n"


def test_the_port_is_the_given_one_and_may_be_left_out(store: Path, tmp_path: Path) -> None:
    port = free_port()
    with serving(store, tmp_path, "--serve", port) as served:
        assert served.port == port
        taken = run("report", "--db", store, "--serve", port, home=tmp_path, check=False)
        assert taken.returncode == 2
        assert f"cannot listen on 127.0.0.1 port {port}: address already in use" in taken.stderr
        assert "--serve 0" in taken.stderr
    for words in (["--serve"], ["--serve", "--source", "proxy"]):
        found = run("report", "--db", tmp_path / "nowhere.db", *words, home=tmp_path, check=False)
        assert (found.returncode, "no store at" in found.stderr) == (2, True), found.stderr


@pytest.mark.parametrize("port", ["x", "65536", "99999999999", "٣", "1.5"])
def test_a_port_that_is_none_is_an_error(store: Path, tmp_path: Path, port: str) -> None:
    found = run("report", "--db", store, "--serve", port, home=tmp_path, check=False)
    assert found.returncode == 2
    assert f"invalid --serve '{port}': expected a port" in found.stderr


@pytest.mark.parametrize("more", [("--html", "x.html"), ("--format", "json")], ids=" ".join)
def test_a_site_is_not_a_file_as_well(store: Path, tmp_path: Path, more: tuple[str, str]) -> None:
    found = run("report", "--db", store, "--serve", 0, *more, home=tmp_path, check=False)
    assert (found.returncode, "--serve excludes --html and --format" in found.stderr) == (2, True)


def test_slow_clients_do_not_hold_it_up(store: Path, tmp_path: Path) -> None:
    with serving(store, tmp_path) as served:
        idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
        for number, client in enumerate(idle):
            if number % 2:
                client.send(b"GET / HTTP/1.1\r\nHost: ")
        try:
            for _ in range(3):
                assert served.get()[0] == 200
        finally:
            for client in idle:
                client.close()


def test_the_page_follows_a_running_daemon(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--from-start") as daemon:
        daemon.write(lines(0, 50))
        daemon.start()
        daemon.wait_until(lambda: daemon.rows("SELECT sum(count) FROM block") == [(50,)])
        with serving(daemon.db, tmp_path) as served:
            assert json.loads(served.get("/report.json")[1])["summary"]["count"] == 50
            daemon.write(lines(50, 80))
            wait_until(lambda: json.loads(served.get("/report.json")[1])["summary"]["count"] == 80)


def test_a_store_that_is_replaced_is_read_again(store: Path, tmp_path: Path) -> None:
    with serving(store, tmp_path) as served:
        assert served.get()[0] == 200
        aside = store.with_name("aside.db")
        store.rename(aside)
        wait_until(lambda: served.get()[0] == 503)
        assert "no store at" in served.get()[1]
        make_file(store, [Written(NOON, SECOND)])
        wait_until(lambda: served.get()[0] == 200)
        assert json.loads(served.get("/report.json")[1])["summary"]["count"] == 1
