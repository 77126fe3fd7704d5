"""Peak memory of the real program under hostile logs and receivers.

    python -m benchmarks.memory                     the full sizes, some minutes; needs 6 GB of disk
    python -m benchmarks.memory --scale 0.1         a tenth of them
    python -m benchmarks.memory --only line hole    some of the cases

It prints a line for each case, and ends with 1 if one is over the bound.

The kernel keeps the peak (``VmHWM``, with all mapped memory). A case is one process from its start to its exit. The
store's content is checked too, because a process that reads nothing needs little memory.
"""

from __future__ import annotations

import argparse
import gzip
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tests.support.collector import Collector, find_collector

BOUND_MIB = 80.0
MB = 10**6

_BEGIN_S = 1_795_000_000
_BLOCK = 4 * MB
_NOISE = b"".join(
    b"2026-11-23 18:16:44,%03d - headroom.proxy - INFO - event=proxy_inbound_request method=POST path=/v1/messages %s\n"
    % (number, b"x-header: lorem ipsum " * (number % 9))
    for number in range(49)
)


@dataclass(frozen=True)
class Peak:
    """The result of a case."""

    case: str
    what: str
    peak_mib: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.case:12} {self.peak_mib:6.1f} MiB  {self.seconds:6.1f} s  {self.what}"


def hit(number: int) -> bytes:
    """The line of one sample, 10 ms of the log's time behind the one before.

    A quarter of them are breaches, 130 in an episode: more than a span holds. Durations fill the histograms' buckets.
    """
    at_ms = _BEGIN_S * 1000 + number * 10
    second, millisecond = divmod(at_ms, 1000)
    total_ms = (700.0 if number % 530 < 130 else 10.0) * 1.01 ** (number * 7919 % 380)
    read_ms = 0.1 * 1.01 ** (number * 7727 % 400)
    stamp = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    name = f"hr_{int((at_ms - total_ms) / 1000)}_{number:06d}"
    return (
        f'{stamp},{millisecond:03d} - headroom.proxy - INFO - [{name}] STAGE_TIMINGS {{"event": "stage_timings", '
        f'"path": "anthropic_messages", "request_id": "{name}", "session_id": "{number:032x}", "stages": '
        f'{{"pre_upstream_wait": {total_ms}, "read_request_json": {read_ms}, "deep_copy": 0.0013, '
        f'"compression_first_stage": null, "memory_context": null, "upstream_connect": null, '
        f'"upstream_first_byte": null, "total_pre_upstream": {total_ms}}}}}\n'
    ).encode()


class Watched:
    """The real program, following one log from its start."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.log = folder / "logs" / "proxy-8787.log"
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        self.db = folder / "store.db"
        self.stderr = folder / "stderr.txt"
        self.peak_mib = 0.0
        self._command = [
            *(sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(self.log)),
            *("--db", str(self.db), "--from-start", "--otlp-endpoint", endpoint, "--retention", "none"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it; in the end stop it in order, and see that it ends well."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        with self.stderr.open("ab") as stderr:
            self._process = subprocess.Popen(self._command, env=environ, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            yield
            self._process.send_signal(signal.SIGTERM)
            deadline_s = time.monotonic() + 30
            while self._process.poll() is None and time.monotonic() < deadline_s:
                self._look()
                time.sleep(0.02)  # a real process has to end; bounded
            assert self._process.returncode == 0, self.stderr.read_text()[-2000:]
        finally:
            self._process.kill()
            self._process.wait()

    def wait_until(self, done: Callable[[], bool], timeout_s: float = 900.0) -> None:
        """Watch its memory until something is so."""
        deadline_s = time.monotonic() + timeout_s
        while not done():
            assert self._process is not None
            assert self._process.poll() is None, self.stderr.read_text()[-2000:]
            assert time.monotonic() < deadline_s, (self.counted(), self.stderr.read_text()[-2000:])
            self._look()
            time.sleep(0.02)  # a real process has to get there; bounded
        self._look()

    def wait_for(self, size: int) -> None:
        """Watch its memory until it has read so many bytes."""
        self.wait_until(lambda: self.counted()[0] >= size)

    def counted(self) -> tuple[int, int, int]:
        """Bytes, samples and oversized lines of the source, as the store has them now."""
        found = self._ask("SELECT bytes, samples, oversized FROM source")
        return (0, 0, 0) if found is None else (int(found[0]), int(found[1]), int(found[2]))

    def delivered(self) -> bool:
        """Return whether no data is pending for the collector."""
        found = self._ask(
            "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'interval')"
            " <= (SELECT position FROM cursor WHERE stream = 'intervals')"
            " AND (SELECT max(id) FROM episode) <= (SELECT position FROM cursor WHERE stream = 'episodes')"
        )
        return found is not None and bool(found[0])

    def _ask(self, statement: str) -> tuple[str | int, ...] | None:
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=5)) as db:
                row: tuple[str | int, ...] | None = db.execute(statement).fetchone()
                return row
        except sqlite3.Error:
            return None  # it is being made

    def _look(self) -> None:
        assert self._process is not None
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return  # it has ended
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peak_mib = max(self.peak_mib, int(line.split()[1]) / 1024)


def long_line(folder: Path, endpoint: str, size: int) -> Peak:
    """One line of letters, written while it is followed, with a sample before it and one behind."""
    watched, begun_s = Watched(folder, endpoint), time.monotonic()
    with watched.running():
        with watched.log.open("ab", buffering=0) as file:
            file.write(hit(1))
            watched.wait_for(len(hit(1)))
            _write(file.write, b"letters" * (_BLOCK // 7), size)
            file.write(b"\n" + hit(2))
        watched.wait_for(watched.log.stat().st_size)
        assert watched.counted()[1:] == (2, 1)
    return Peak("long line", f"a line of {size / MB:,.0f} MB", watched.peak_mib, time.monotonic() - begun_s)


def hole(folder: Path, endpoint: str, size: int) -> Peak:
    """The log of a writer that continues after a truncation: NULs up to its old offset, then its next line."""
    watched, begun_s = Watched(folder, endpoint), time.monotonic()
    with watched.log.open("ab") as file:
        file.write(hit(1))
        file.truncate(size)
        file.write(hit(2))
    with watched.running():
        watched.wait_for(watched.log.stat().st_size)
        assert watched.counted()[1:] == (2, 0)
    return Peak("hole", f"{size / MB:,.0f} MB of NULs", watched.peak_mib, time.monotonic() - begun_s)


def backlog(folder: Path, endpoint: str, size: int) -> Peak:
    """A large log, of whose lines every 50th holds a sample."""
    watched = Watched(folder, endpoint)
    number = 0
    with watched.log.open("ab", buffering=1 << 20) as file:
        while file.tell() < size:
            number += 1
            file.write(_NOISE)
            file.write(hit(number))
    begun_s = time.monotonic()
    with watched.running():
        watched.wait_for(watched.log.stat().st_size)
        assert watched.counted()[1:] == (number, 0)
    what = f"{size / MB:,.0f} MB of log, {number:,} samples"
    return Peak("backlog", what, watched.peak_mib, time.monotonic() - begun_s)


def undelivered(folder: Path, collector: Collector | None, samples: int) -> Peak:
    """Samples for collector down; then it comes (where there is one), and all of them are delivered."""
    endpoint = nowhere() if collector is None else collector.http_endpoint
    watched = Watched(folder, endpoint)
    with watched.log.open("ab", buffering=1 << 20) as file:
        file.writelines(hit(number) for number in range(1, samples + 1))
    begun_s = time.monotonic()
    what = f"{samples:,} samples for collector down"
    with watched.running():
        watched.wait_for(watched.log.stat().st_size)
        assert watched.counted()[1:] == (samples, 0)
        if collector is not None:
            collector.start()
            watched.wait_until(watched.delivered)
            what += ", then up"
    return Peak("undelivered", what, watched.peak_mib, time.monotonic() - begun_s)


def bomb(folder: Path, endpoint: str, size: int) -> Peak:
    """A rotated file, compressed a thousandfold: half of it lines, half one line, a sample before each and behind."""
    watched = Watched(folder, endpoint)
    with gzip.open(f"{watched.log}.1.gz", "wb", compresslevel=9) as file:
        file.write(hit(1))
        _write(file.write, (b"x" * 1000 + b"\n") * (_BLOCK // 1001), size // 2)
        file.write(b"\n" + hit(2))
        _write(file.write, b"0" * _BLOCK, size // 2)
        file.write(b"\n" + hit(3))
    watched.log.write_bytes(hit(4))
    begun_s = time.monotonic()
    with watched.running():
        watched.wait_until(lambda: watched.counted()[1] >= 4)
        assert watched.counted()[1:] == (4, 1)
    packed = Path(f"{watched.log}.1.gz").stat().st_size
    what = f"{size / MB:,.0f} MB in a gzip of {packed / MB:.1f} MB"
    return Peak("gzip", what, watched.peak_mib, time.monotonic() - begun_s)


def nowhere() -> str:
    """An endpoint without a listener."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _write(write: Callable[[bytes], int], block: bytes, size: int) -> None:
    left = size
    while left > 0:
        left -= write(block[:left])


def main() -> int:
    """Run the cases and print the result of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()

    def sized(size: float) -> int:
        return int(size * arguments.scale)

    def with_collector(folder: Path, *, up: bool, case: Callable[[Collector], Peak]) -> Peak:
        collector = Collector(find_collector(), folder)
        try:
            if up:
                collector.start()
            return case(collector)
        finally:
            collector.kill()

    cases: dict[str, Callable[[Path], Peak]] = {
        "line": lambda folder: long_line(folder, nowhere(), sized(2000 * MB)),
        "hole": lambda folder: hole(folder, nowhere(), sized(2000 * MB)),
        "gzip": lambda folder: bomb(folder, nowhere(), sized(2000 * MB)),
        "undelivered": lambda folder: with_collector(
            folder, up=False, case=lambda collector: undelivered(folder / "w", collector, sized(1_000_000))
        ),
        "backlog": lambda folder: with_collector(
            folder, up=True, case=lambda collector: backlog(folder / "w", collector.http_endpoint, sized(5000 * MB))
        ),
    }
    worst = 0.0
    for name in arguments.only or cases:
        with tempfile.TemporaryDirectory(prefix="memory-") as folder:
            peak = cases[name](Path(folder))
            print(peak, flush=True)
            worst = max(worst, peak.peak_mib)
    print(f"at most {worst:.1f} MiB; the bound is {BOUND_MIB:.0f}")
    return 1 if worst > BOUND_MIB else 0


if __name__ == "__main__":
    sys.exit(main())
