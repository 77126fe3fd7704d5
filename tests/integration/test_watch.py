"""``watch`` on a real terminal, beside a real daemon."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from otel_logtail.store.health import wal_size
from otel_logtail.store.wal import LARGEST_BYTES
from tests.support.command import PROGRAM, environ
from tests.support.daemon import Daemon
from tests.support.lines import line, lines
from tests.support.on_terminal import ENTERED, OnTerminal
from tests.support.store_builder import NOON, SECOND, Written, make_file
from tests.support.waiting import bound_s, wait_until

CTRL_C, CTRL_Z = "\x03", "\x1a"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    start = datetime.now(timezone.utc) - timedelta(minutes=10)
    with Daemon(tmp_path, "--from-start") as running:
        running.write(*(line(number, ms=2500 if number > 99 else 20, at=start) for number in range(103)))
        running.start()
        running.wait_until(lambda: running.rows("SELECT sum(count) FROM block") == [(103,)])
        yield running


def watching(daemon: Daemon, *more: str, size: tuple[int, int] = (80, 24), **variables: str) -> OnTerminal:
    command = [*PROGRAM, "watch", "--db", str(daemon.db), *more]
    return OnTerminal(command, {**daemon.environ(), **variables}, daemon.folder, size=size)


def test_q_quits_and_restores_the_terminal(daemon: Daemon) -> None:
    with watching(daemon) as watch:
        watch.shows("headroom-proxy  1 file, up to date")
        watch.press("q")
        assert watch.ends() == 0
        assert watch.is_restored()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda n: str(int(n))
)
def test_a_signal_ends_it_and_restores_the_terminal(daemon: Daemon, number: signal.Signals, code: int) -> None:
    with watching(daemon) as watch:
        watch.shows("headroom-proxy")
        watch.signal(number)
        assert watch.ends() == code
        assert watch.is_restored()


def test_ctrl_c_ends_it_with_130(daemon: Daemon) -> None:
    with watching(daemon) as watch:
        watch.shows("headroom-proxy")
        watch.press(CTRL_C)
        assert watch.ends() == 130
        assert watch.is_restored()


def test_ctrl_z_suspends_it_with_the_terminal_restored(daemon: Daemon) -> None:
    with watching(daemon) as watch:
        watch.shows("headroom-proxy")
        watch.signal(signal.SIGTSTP)
        watch.wait_until(watch.is_restored)
        watch.wait_until(lambda: Path(f"/proc/{watch.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        watch.signal(signal.SIGCONT)
        watch.wait_until(lambda: watch.drawn().count(ENTERED) == 2)
        watch.shows("headroom-proxy")
        watch.press("q")
        assert watch.ends() == 0
        assert watch.is_restored()


def test_it_follows_the_size_of_the_terminal(daemon: Daemon) -> None:
    def size(watch: OnTerminal) -> tuple[int, int]:
        found = [line.rstrip() for line in watch.screen()]
        return (len(found[-1]) + 1, len(found)) if found[-1].endswith("? help") else (0, 0)

    with watching(daemon) as watch:
        for width, height in ((80, 24), (120, 40), (40, 10), (80, 24)):
            watch.resize(width, height)
            watch.wait_until(lambda expected=(width, height): size(watch) == expected)  # type: ignore[misc]


def test_its_keys(daemon: Daemon) -> None:
    with watching(daemon) as watch:
        watch.shows("degraded")
        watch.press("?")
        watch.shows("zoom in: less time in each column")
        watch.press("e")
        watch.shows("stall     wait")
        watch.press("e")
        watch.shows("samples  ")
        watch.press("p")
        watch.shows("paused")
        clock = watch.screen()[0]
        watch.press("?")
        watch.shows("pause, and continue")
        assert watch.screen()[0] == clock
        watch.press("p?")
        watch.wait_until(lambda: "paused" not in watch.screen()[-1] and watch.screen()[0] != clock)


def test_new_samples_and_episodes_appear(daemon: Daemon) -> None:
    with watching(daemon) as watch:
        watch.shows("headroom-proxy")
        daemon.write(lines(103, 104, ms=7777))
        watch.shows("7.78 s")


def test_it_waits_for_a_store_that_is_not_there_yet_or_was_removed(daemon: Daemon) -> None:
    daemon.stop()
    aside = daemon.db.with_name("aside.db")
    daemon.db.rename(aside)
    with watching(daemon) as watch:
        watch.shows("no store yet: /")
        aside.rename(daemon.db)
        watch.shows("no daemon runs")
        daemon.db.unlink()
        watch.shows("store removed: /")
        daemon.start()
        watch.shows("headroom-proxy  1 file, up to date")


def test_an_error_restores_the_terminal(daemon: Daemon) -> None:
    broken = (
        "from otel_logtail.cli.watch import feed\n"
        "from otel_logtail.cli.main import main\n"
        "def read(*_): raise KeyError('broken')\n"
        "feed.Feed.read = read\n"
        "main()\n"
    )
    command = [sys.executable, "-c", broken, "watch", "--db", str(daemon.db)]
    with OnTerminal(command, daemon.environ(), daemon.folder) as watch:
        assert watch.ends() == 1
        assert watch.is_restored()
        assert "error: internal error: KeyError: 'broken'" in watch.drawn()


def test_an_unknown_source_is_an_error(daemon: Daemon) -> None:
    with watching(daemon, "--source", "other") as watch:
        assert watch.ends() == 2
        assert watch.is_restored()
        assert "no source 'other' in this store" in watch.drawn()


def test_without_color(daemon: Daemon) -> None:
    with watching(daemon, NO_COLOR="1") as watch:
        watch.shows("stall     wait")
        assert not re.search(r"\x1b\[[0-9;]*m", watch.drawn())
    with watching(daemon) as watch:
        watch.shows("stall     wait")
        assert re.search(r"\x1b\[[0-9;]*m", watch.drawn())


def test_without_utf8_everything_is_ascii(daemon: Daemon) -> None:
    with watching(daemon, PYTHONIOENCODING="ascii") as watch:
        watch.shows("stall     wait")
        watch.shows("X")
        assert watch.drawn().isascii()


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_it_prints_lines_if_the_output_is_not_a_terminal(daemon: Daemon, term: str) -> None:
    command = [*PROGRAM, "watch", "--db", str(daemon.db)]
    running = subprocess.Popen(
        command, env={**daemon.environ(), "TERM": term}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    try:
        found = [running.stdout.readline() for _ in range(2)]
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=bound_s(30))
    finally:
        running.kill()
    assert (running.returncode, errors) == (130, "")
    for text in found:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  headroom-proxy  ", text)
        assert "  1 episode in 24 h, " in text
        assert "\x1b" not in text


def test_a_terminal_that_can_do_nothing_gets_lines(daemon: Daemon) -> None:
    command = [*PROGRAM, "watch", "--db", str(daemon.db)]
    with OnTerminal(["env", "TERM=dumb", *command], daemon.environ(), daemon.folder) as watch:
        watch.wait_until(lambda: watch.drawn().count("headroom-proxy") >= 2)
        assert "\x1b" not in watch.drawn()
        watch.press(CTRL_C)
        assert watch.ends() == 130


def test_a_statement_that_does_not_end_is_interrupted(tmp_path: Path) -> None:
    store = make_file(tmp_path / "s.db", [Written(NOON, SECOND)])
    slow = (
        "import sys\n"
        "from otel_logtail.cli.watch import feed\n"
        "from otel_logtail.cli.main import main\n"
        "def progress(reader):\n"
        "    print('busy', flush=True)\n"
        "    reader.conn.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT count(*) FROM n').fetchone()\n"
        "feed.progress = progress\n"
        "main()\n"
    )
    command = [sys.executable, "-c", slow, "watch", "--db", str(store)]
    with OnTerminal(command, environ(tmp_path, store), tmp_path) as watch:
        watch.wait_until(lambda: "busy" in watch.drawn())
        watch.press(CTRL_C)
        assert watch.ends() == 130
        assert watch.is_restored()


def test_the_write_ahead_log_does_not_grow_beside_a_daemon_at_speed(daemon: Daemon) -> None:
    peaks: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            peaks.append(wal_size(daemon.db))

    looking = threading.Thread(target=look)
    with watching(daemon) as watch:
        watch.shows("headroom-proxy")
        looking.start()
        try:
            for first in range(200, 60_200, 5000):
                daemon.write(lines(first, first + 5000))
            daemon.wait_until(lambda: daemon.rows("SELECT sum(count) FROM block") == [(60_103,)])
            watch.shows("headroom-proxy  1 file, up to date")
        finally:
            done.set()
            looking.join()
        assert max(peaks) <= LARGEST_BYTES
        assert "write-ahead log" not in daemon.said()
        watch.press("q")
        assert watch.ends() == 0


def test_it_works_in_tmux(daemon: Daemon) -> None:
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("no tmux here")
    server = [tmux, "-S", str(daemon.folder / "tmux"), "-f", os.devnull]

    def told(*words: str) -> str:
        done = subprocess.run(
            [*server, *words], env={**daemon.environ(), "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=True
        )
        return done.stdout

    command = f"{' '.join(PROGRAM)} watch --db {daemon.db}; echo ended with $?; exec cat"
    told("new-session", "-d", "-x", "80", "-y", "24", "sh", "-c", command)
    try:
        wait_until(lambda: "●" in told("capture-pane", "-p"))
        screen = told("capture-pane", "-p").splitlines()
        assert screen[0].startswith(" headroom-proxy  1 file, up to date")
        assert screen[-1].endswith("q quit  p pause  + - zoom  e episodes  ? help")
        told("send-keys", "q")
        wait_until(lambda: "ended with 0" in told("capture-pane", "-p"))
        assert "headroom-proxy" not in told("capture-pane", "-p")
    finally:
        told("kill-server")
