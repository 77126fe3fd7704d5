"""A real application in asyncio's debug mode: its slow callbacks, through a rotation of its log, into the store."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple
from zoneinfo import ZoneInfo

from otel_logtail.observers.asyncio import ASYNCIO
from tests.support.upstreams import Follower
from tests.support.waiting import bound_s

MS = 10**6
SLACK_S = 0.1
"""asyncio reads its clock before and after the callback. A busy machine stretches that."""
ZONE = "America/St_Johns"

# Arguments: the configuration of logging. Each line of the input is a number and how long a callback blocks (ms). The
# answer is when the callback began and ended (Unix ns), and how long it took (ns).
APPLICATION = """
import asyncio, logging.config, sys, time

def block(number, ms):
    begin_ns, start_ns = time.time_ns(), time.monotonic_ns()
    time.sleep(ms / 1000)
    print(begin_ns, time.time_ns(), time.monotonic_ns() - start_ns, flush=True)

async def job(number, ms):
    block(number, ms)

async def main():
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        number, ms = map(int, line.split())
        if number % 2:
            name = f"n={number}\\nWARNING:asyncio:Executing <Forged> took 99.999 seconds"
            await asyncio.create_task(job(number, ms), name=name)
        else:
            loop.call_soon(block, f"n={number}", ms)

logging.config.fileConfig(sys.argv[1])
asyncio.run(main())
"""


class Blocked(NamedTuple):
    """A callback as it measured itself."""

    begin_ns: int
    end_ns: int
    duration_ns: int


class Logged(NamedTuple):
    """A callback in the log."""

    end_ns: int
    duration_ns: int
    number: int


class Application(NamedTuple):
    """The running application."""

    given: IO[str]
    printed: IO[str]

    def block(self, number: int, ms: int) -> Blocked:
        """Block its event loop."""
        print(number, ms, file=self.given, flush=True)
        return Blocked(*map(int, self.printed.readline().split()))


@contextmanager
def running(folder: Path, log: Path) -> Iterator[Application]:
    """Run the application to its end."""
    configuration = folder / "logging.ini"
    configuration.write_text(ASYNCIO.configuration().replace("/var/log/app/app.log", str(log)))
    command = [sys.executable, "-c", APPLICATION, str(configuration)]
    environ = {**os.environ, "TZ": ZONE, "PYTHONASYNCIODEBUG": "1"}
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Application(process.stdin, process.stdout)
            process.stdin.close()
            assert process.wait(bound_s()) == 0
        finally:
            process.kill()


def callbacks(*logs: Path) -> list[Logged]:
    """Return all slow callbacks in logs, by plain means."""
    found = []
    for text in (log.read_text() for log in logs if log.exists()):
        for stamp, message, took in re.findall(
            r"^(\S+ \S+) asyncio WARNING Executing (<.*>) took (\d+\.\d{3}) seconds$", text, re.MULTILINE
        ):
            moment = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=ZoneInfo(ZONE))
            number = re.search(r"n=(\d+)", message)
            end_ns = round(moment.timestamp() * 1000) * MS
            found.append(Logged(end_ns, round(float(took) * 1000) * MS, int(number[1]) if number else 0))
    return found


def test_callbacks_of_a_real_application_arrive_once_through_its_rotation(tmp_path: Path) -> None:
    log, rotated = tmp_path / "app.log", tmp_path / "app.log.1"
    measured: dict[int, Blocked] = {}
    with Follower(tmp_path, "asyncio", log, more=["--timezone", ZONE]) as daemon, running(tmp_path, log) as application:

        def has_all() -> bool:
            logged = callbacks(rotated, log)
            stored = daemon.rows("SELECT sum(count) FROM block")
            return {one.number for one in logged} >= set(measured) and stored == [(len(logged),)]

        daemon.start()
        for number, ms in ((1, 150), (2, 250), (3, 120)):
            measured[number] = application.block(number, ms)
        daemon.wait_until(has_all)
        log.rename(rotated)  # the application creates a new log with its next line
        for number, ms in ((4, 200), (5, 150)):
            measured[number] = application.block(number, ms)
        daemon.wait_until(has_all)
        samples = daemon.samples()

    logged = callbacks(rotated, log)
    assert len(callbacks(log)) >= 2
    found = [(sample["time_unix_nano"], round(sample["duration_ms"] * MS)) for sample in samples]
    assert sorted(found) == sorted(one[:2] for one in logged)
    assert {sample["cause"] for sample in samples} == {"callback"}
    slack_ns = round(bound_s(SLACK_S) * 10**9)
    for number, took in measured.items():
        (one,) = [one for one in logged if one.number == number]
        assert took.duration_ns - MS <= one.duration_ns <= took.duration_ns + slack_ns
        assert took.end_ns - 2 * MS <= one.end_ns <= took.end_ns + slack_ns
