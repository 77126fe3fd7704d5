"""Programs that are killed with SIGKILL while they read a log, and started again: which lines are lost or repeated.

    python -m benchmarks.crash                              200,000 lines, three runs of each program: some minutes
    python -m benchmarks.crash --lines 5000 --runs 1        a short run: a fast program has read everything at its kill
    python -m benchmarks.crash --only mtail                 one of the programs

The runs of a program are killed when a quarter, a half and three quarters of the log were read. The result of a program
that forwards or stores lines is the difference between its output and the log. That of mtail is its own counter. The
table has the fewest and the most of all runs. The run ends with 1 if otel-logtail loses or repeats a line.

Fluent Bit is not among the programs: neither Debian 12 nor PyPI has a package of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec

from benchmarks.data import Shape, write_log
from benchmarks.peers import HERE, Missing, Mtail, OtelCollector
from tests.support.ports import free_ports

LINE = re.compile(rb"\[(hr_\d+_\d+)\] STAGE_TIMINGS")


class Run(msgspec.Struct, frozen=True):
    """The result of one kill; ``read`` is the number of lines at that moment."""

    read: int
    lost: int
    repeated: int


class Place(msgspec.Struct, frozen=True):
    """A log, a folder of the run, and the share of the log at which the program is killed."""

    log: Path
    lines: int
    folder: Path
    share: float


@contextmanager
def started(command: Sequence[str | Path], place: Place, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program whose messages go to a file, and end it."""
    with (place.folder / "messages.txt").open("ab") as messages:
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=messages, stderr=messages)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def wait(what: str, condition: Callable[[], bool], limit_s: float = 1800) -> None:
    """Wait until something is true.

    Raises:
        RuntimeError: it is not, in that time.
    """
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{what}: not within {limit_s:.0f} s")
        time.sleep(0.01)


def settle(count: Callable[[], int], quiet_s: float = 20) -> int:
    """Return a number once it has not changed for some time."""
    last, since_s = count(), time.monotonic()
    while time.monotonic() - since_s < quiet_s:
        time.sleep(0.1)
        if (now := count()) != last:
            last, since_s = now, time.monotonic()
    return last


def killed(process: subprocess.Popen[bytes], place: Place, read: Callable[[], int]) -> int:
    """Kill a program once it has read its share of the log, and return the number of lines that it had read."""
    found = [0]

    def enough() -> bool:
        if process.poll() is not None:
            raise RuntimeError((place.folder / "messages.txt").read_text()[-2000:])
        found.append(read())
        return found[-1] >= place.share * place.lines

    wait("a part of the log is read", enough)
    process.kill()
    process.wait()
    return found[-1]


class Received:
    """The requests that the receiver has written, read as they arrive."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._position = 0
        self.lines = 0
        self.ids: set[bytes] = set()
        self.totals: dict[str, int] = {}

    def read(self) -> int:
        """Read new requests, and return the number of different lines, or of samples in the totals."""
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._position)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._position += len(whole)
            found = LINE.findall(whole)
            self.lines += len(found)
            self.ids.update(found)
            for request in whole.splitlines():
                if request.startswith(b'{"resourceMetrics"'):
                    self._add(json.loads(request))
        return len(self.ids) or sum(self.totals.values())

    def _add(self, request: Any) -> None:
        for resource in request["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                for metric in scope["metrics"]:
                    if metric["name"] == "log.overhead.duration":
                        [points] = (metric[kind]["dataPoints"] for kind in metric if isinstance(metric[kind], dict))
                        for point in points:
                            self.totals[json.dumps(point["attributes"])] = int(
                                point.get("count", 0)
                            )  # JSON leaves out a 0


@contextmanager
def receiver(collector: Path, place: Place, port: int) -> Iterator[Received]:
    """Start a receiver that is not killed."""
    out = place.folder / "received.jsonl"
    with started([collector, "--config", HERE / "receive.yaml"], place, PORT=str(port), OUT=str(out)):
        yield Received(out)


def forwarded(place: Place, *configs: str) -> Run:
    """Kill a collector that forwards the lines to another one."""
    program, (port,) = OtelCollector().find(), free_ports(1)
    (place.folder / "state").mkdir()
    environ = {"LOG": str(place.log), "PORT": str(port), "STATE": str(place.folder / "state")}
    command = [str(program), *(f"--config={HERE / name}" for name in configs)]
    with receiver(program, place, port) as received:
        with started(command, place, **environ) as process:
            read = killed(process, place, received.read)
        messages = place.folder / "messages.txt"
        with started(command, place, **environ):
            wait("the collector is ready again", lambda: messages.read_text().count("Everything is ready") == 3)
            settle(lambda: received.read() and received.lines)
    return Run(read, place.lines - len(received.ids), received.lines - len(received.ids))


def ours(place: Place) -> Run:
    """Kill otel-logtail. Its store and the totals of its receiver must agree."""
    program, (port,) = OtelCollector().find(), free_ports(1)
    store, line_bytes = place.folder / "store.db", place.log.stat().st_size / place.lines
    command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(place.log), "--from-start"]
    command += ["--db", str(store), "--otlp-protocol", "grpc", "--otlp-endpoint", f"http://127.0.0.1:{port}"]
    with receiver(program, place, port) as received:
        with started(command, place) as process:
            read = killed(process, place, lambda: int(stored(store, "sum(offset)", "file")[0] / line_bytes))
        with started(command, place):
            wait("all samples are delivered", lambda: received.read() >= place.lines)
            delivered = settle(received.read)
    total, different = stored(store, "count(*), count(DISTINCT offset)", "samples")
    if delivered != total:
        raise RuntimeError(f"{total} samples in the store, {delivered} in the totals of the receiver")
    return Run(read, place.lines - different, total - different)


def stored(store: Path, what: str, table: str) -> list[int]:
    """Return numbers of a store, or 0 while it has none."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
            return [number or 0 for number in db.execute(f"SELECT {what} FROM {table}").fetchone()]
    except sqlite3.OperationalError:  # it is not created yet
        return [0]


def mtail(place: Place) -> Run:
    """Kill mtail, which reads what is written after its start. The rest is its counter at the end."""
    program, (port,) = Mtail().find(), free_ports(1)
    log = place.folder / "proxy.log"
    log.touch()
    command = [str(program), "--address", "127.0.0.1", "--port", str(port), "--log_dir", str(place.folder)]
    command += ["--progs", str(HERE / "overhead.mtail"), "--logs", str(log)]
    with started(command, place) as process:
        wait("mtail answers", lambda: counted(port) is not None)
        log.write_bytes(place.log.read_bytes())
        read = killed(process, place, lambda: counted(port) or 0)
    with started(command, place):
        wait("mtail answers", lambda: counted(port) is not None)
        return Run(read, place.lines - settle(lambda: counted(port) or 0), 0)


def counted(port: int) -> int | None:
    """Return the number of samples that mtail has counted; None while it does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            found = re.search(rb"^overhead_ms_count\{.*\} (\d+)$", answer.read(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else 0


PROGRAMS: dict[str, Callable[[Place], Run]] = {
    "otel-logtail": ours,
    "collector, queue in memory": lambda place: forwarded(place, "forward.yaml"),
    "collector, queue on disk": lambda place: forwarded(place, "forward.yaml", "forward-disk.yaml"),
    "mtail": mtail,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each program."""
    parser = argparse.ArgumentParser(description="Kill programs while they read a log.")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=PROGRAMS, nargs="*", default=list(PROGRAMS))
    options = parser.parse_args(arguments)
    wrong = False
    print(f"{'program':28} {'read at the kill':>20} {'lost':>20} {'repeated':>20}   of {options.lines} lines")
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="crash-") as folder:
            try:
                runs = [*run(PROGRAMS[name], Path(folder), options.lines, options.runs)]
            except Missing as missing:
                print(f"{name:28} {missing}")
                continue
        ranges = [
            f"{min(numbers)} to {max(numbers)}" for numbers in zip(*map(msgspec.structs.astuple, runs), strict=True)
        ]
        print(f"{name:28} " + " ".join(f"{one:>20}" for one in ranges), flush=True)
        wrong |= name == "otel-logtail" and any(one.lost or one.repeated for one in runs)
    return int(wrong)


def run(program: Callable[[Place], Run], folder: Path, lines: int, runs: int) -> Iterator[Run]:
    """Yield the result of each run over the same log."""
    log = folder / "proxy-8787.log"
    lines = write_log(log, 0, Shape(), lines)[1]
    for number in range(runs):
        place = folder / str(number)
        place.mkdir()
        yield program(Place(log, lines, place, (number + 1) / (runs + 1)))


if __name__ == "__main__":
    sys.exit(main())
