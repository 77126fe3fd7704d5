"""Ctrl-C and SIGTERM: reading commands exit at once, and an interrupted `--once` reports unread data."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
from array import array
from contextlib import closing, suppress
from fcntl import F_GETPIPE_SZ, fcntl, ioctl
from pathlib import Path
from select import PIPE_BUF
from termios import FIONREAD

import pytest

from tests.support import forked
from tests.support.command import PROGRAM, environ, words_of
from tests.support.commands import COMMANDS
from tests.support.daemon import Daemon
from tests.support.lines import lines
from tests.support.receiver import Hang, flags, receiving
from tests.support.store_builder import NOON, SECOND, Written, make_file
from tests.support.waiting import bound_s, wait_until

READING = [
    names
    for names, command in COMMANDS.items()
    if names[0] in ("query", "status", "report", "doctor") and any("--db" in option.opts for option in command.params)
]
SLOW_SQL = {
    "endless": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "sorted": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n ORDER BY random()",
    "grouped": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT DISTINCT i % 7 FROM n",
    "rows": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
}


def endless(path: Path) -> Path:
    """A store in which each table is one that never ends, so that every question runs until it is interrupted."""
    make_file(path)
    with closing(sqlite3.connect(path)) as conn:
        for (table,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table.startswith("sqlite_"):
                continue
            columns = [row[1] for row in conn.execute(f"PRAGMA table_info({table})")]
            conn.execute(f"DROP TABLE {table}")
            conn.execute(
                f"CREATE VIEW {table} AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
                f" SELECT {', '.join(f'i AS {column}' for column in columns)} FROM n WHERE abs(random()) < 0"
            )
    return path


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_open(pid: int, path: Path) -> bool:
    """Return whether the process has the file open; a descriptor may close, and the process exit, meanwhile."""
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(FileNotFoundError):
            if os.readlink(descriptor) == str(path):
                return True
    return False


def end_while_busy(running: subprocess.Popen[str] | forked.Process, store: Path, number: signal.Signals) -> None:
    """Signal a command once it is busy with the store."""
    wait_until(lambda: running.poll() is not None or has_open(running.pid, store))
    before_s = cpu_s(running.pid)
    wait_until(lambda: running.poll() is not None or cpu_s(running.pid) > before_s + 0.1)
    assert running.poll() is None, "it must still be busy"
    running.send_signal(number)


def interrupted(words: list[str], home: Path, store: Path, number: signal.Signals, stdout: int) -> tuple[int, str]:
    """Signal a command that is busy with the store; return its exit code and output."""
    running = subprocess.Popen(
        [*PROGRAM, *words], env=environ(home, store), stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    try:
        end_while_busy(running, store, number)
        _, said = running.communicate(timeout=bound_s(10))
    finally:
        running.kill()
        running.communicate()
    return running.returncode, said


@pytest.mark.parametrize("names", READING, ids=" ".join)
def test_a_command_that_reads_ends_at_once(names: tuple[str, ...], tmp_path: Path) -> None:
    store, errors = endless(tmp_path / "store.db"), tmp_path / "stderr"
    streams = (os.devnull, os.devnull, str(errors))
    running = forked.start(words_of(names), environ=environ(tmp_path, store), streams=streams)
    try:
        end_while_busy(running, store, signal.SIGINT)
        assert (running.wait(bound_s(10)), errors.read_text()) == (130, "")
    finally:
        running.kill()


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("statement", SLOW_SQL)
def test_any_statement_ends_at_once(statement: str, form: str, tmp_path: Path) -> None:
    store = make_file(tmp_path / "store.db")
    words = ["query", "sql", SLOW_SQL[statement], "--format", form]
    assert interrupted(words, tmp_path, store, signal.SIGINT, subprocess.DEVNULL) == (130, "")


def test_sigterm_ends_one_too(tmp_path: Path) -> None:
    store = make_file(tmp_path / "store.db")
    words = ["query", "sql", SLOW_SQL["endless"]]
    assert interrupted(words, tmp_path, store, signal.SIGTERM, subprocess.DEVNULL) == (-signal.SIGTERM, "")


def pipe_is_full(read: int) -> bool:
    held = array("i", [0])
    ioctl(read, FIONREAD, held)
    return held[0] >= fcntl(read, F_GETPIPE_SZ) - PIPE_BUF


def test_a_reader_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    """The command waits in a write, and what it has not written must not hold up its end."""
    samples = [Written(NOON + n * SECOND, 5 * 10**6, ()) for n in range(3000)]
    store = make_file(tmp_path / "store.db", samples)
    read, write = os.pipe()
    command = [*PROGRAM, "query", "samples", "--format", "json"]
    running = subprocess.Popen(command, env=environ(tmp_path, store), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    try:
        wait_until(lambda: pipe_is_full(read))
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=bound_s(10))
    finally:
        running.kill()
        running.communicate()
        os.close(read)
    assert (running.returncode, said) == (130, b"")


@pytest.mark.parametrize(
    ("module", "option", "code"), [("otel_logtail.cli.main", "--version", -signal.SIGINT), ("typer", "--help", 130)]
)
def test_an_interrupt_while_the_program_is_imported_gives_no_traceback(module: str, option: str, code: int) -> None:
    program = STARTING.format(module=module, number=int(signal.SIGINT))
    done = subprocess.run([PROGRAM[0], "-c", program, option], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


STARTING = """
import importlib.abc, os, sys
from otel_logtail.__main__ import main

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
main()
"""
"""The program itself, with a signal halfway through its start."""


# --- a run that reads once ---


def once(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [*PROGRAM, "--observer", "headroom", "--path", folder / "proxy.log", "--db", folder / "s.db", "--once"]
    return subprocess.Popen(
        [*map(str, command), *map(str, arguments)],
        env={**environ(folder, folder / "s.db"), "TZ": "UTC"},
        stderr=subprocess.PIPE,
        text=True,
    )


def count(db: Path) -> int:
    command = [*PROGRAM, "query", "summary", "--db", str(db), "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(json.loads(done.stdout)["count"]) if done.returncode == 0 else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_reading_reports_unread_data_and_the_next_one_resumes(
    number: signal.Signals, tmp_path: Path
) -> None:
    piece = lines(0, 20_000)
    with (tmp_path / "proxy.log").open("wb") as log:
        for _ in range(12):
            log.write(piece)
    running = once(tmp_path)
    try:
        wait_until(lambda: running.poll() is not None or asked(tmp_path / "s.db", "SELECT max(offset) FROM file"))
        running.send_signal(number)
        _, said = running.communicate(timeout=bound_s(60))
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 128 + number
    last = said.splitlines()[-1]
    done = re.fullmatch(r"otel-logtail: warning: interrupted at ([\d.]+) of ([\d.]+) MiB; run again to resume", last)
    assert done, last
    assert float(done[1]) < float(done[2]) == pytest.approx((tmp_path / "proxy.log").stat().st_size / 2**20, abs=0.1)
    with once(tmp_path) as resumed:
        resumed.communicate(timeout=bound_s(120))
    assert resumed.returncode == 0
    assert count(tmp_path / "s.db") == 12 * 20_000


def asked(db: Path, statement: str) -> int:
    """One number out of a store that may not be there yet."""
    try:
        with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as conn:
            return int(conn.execute(statement).fetchone()[0] or 0)
    except sqlite3.Error:
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_delivers_is_interrupted_too(number: signal.Signals, tmp_path: Path) -> None:
    with (
        receiving("http") as receiver,
        Daemon(tmp_path, *flags("http"), "--once", endpoint=receiver.endpoint) as daemon,
    ):
        receiver.judge = lambda _request: Hang()
        daemon.write(lines(0, 20))
        daemon.start()
        daemon.wait_until(lambda: receiver.asked)
        daemon.signal(number)
        receiver.released.set()
        assert daemon.ends() == 128 + number
        assert "otel-logtail: warning: interrupted; run again to resume\n" in daemon.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("module", ["otel_logtail.cli.follow", "otel_logtail.observers.headroom.observer"])
def test_a_run_that_has_not_begun_is_interrupted_too(tmp_path: Path, module: str, number: signal.Signals) -> None:
    program = STARTING.format(module=module, number=int(number))
    words = ["--observer", "headroom", "--path", tmp_path / "proxy.log", "--db", tmp_path / "store.db", "--once"]
    done = subprocess.run(
        [PROGRAM[0], "-c", program, *map(str, words)], capture_output=True, text=True, timeout=bound_s(30), check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        128 + number,
        "",
        "otel-logtail: warning: interrupted; run again to resume\n",
    )
