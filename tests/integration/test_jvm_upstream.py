"""A real Java virtual machine, with a log in a ring of files, into the store.

A second log that is never rotated names all safepoints, and the application measures each collection itself.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from tests.support.places import CAPTURES, TESTS
from tests.support.upstreams import Follower, find_installed
from tests.support.waiting import bound_s

MS = 10**6
RING = "file=gc.log:time,uptime,level,tags:filecount=3,filesize=2K"
SLACK_S = 0.2
"""The application continues some time after the safepoint. A busy machine stretches that."""


class Collection(NamedTuple):
    """A collection as the application measured it."""

    begin_ns: int
    end_ns: int
    duration_ns: int


class Safepoint(NamedTuple):
    """A safepoint in the log that is never rotated."""

    end_ns: int
    duration_ns: int
    operation: str


class Java(NamedTuple):
    """The running application."""

    given: IO[str]
    printed: IO[str]

    def collect(self, times: int) -> list[Collection]:
        """Collect garbage so often, and return what the application measured."""
        print(times, file=self.given, flush=True)
        lines = [self.printed.readline().split() for _ in range(times)]
        return [Collection(int(begin_ms) * MS, int(end_ms) * MS, int(took_ns)) for begin_ms, end_ms, took_ns in lines]


@contextmanager
def running(folder: Path, zone: str) -> Iterator[Java]:
    """Run the application once, to its end."""
    command = [
        str(find_installed("java")),
        "-Xmx32m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Xlog:gc,safepoint:{RING}",
    ]
    command += ["-Xlog:safepoint:file=all.txt:time:filecount=0", str(TESTS / "support" / "Stops.java")]
    with subprocess.Popen(
        command, cwd=folder, env={"TZ": zone}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Java(process.stdin, process.stdout)
            process.stdin.close()
            assert process.wait(bound_s()) == 0
        finally:
            process.kill()


def safepoints(log: Path) -> list[Safepoint]:
    """Return all safepoints in a log with ``time`` (two decorations of one line can differ by a millisecond)."""
    return [
        Safepoint(
            round(datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000) * MS, int(total), operation
        )
        for time, operation, total in re.findall(
            r'^\[(\S+)\] Safepoint "(\w+)",.* Total: (\d+) ns', log.read_text(), re.MULTILINE
        )
    ]


def test_the_safepoints_of_a_real_jvm_arrive_once_although_its_ring_overwrites_them(tmp_path: Path) -> None:
    whole = tmp_path / "all.txt"
    measured: list[Collection] = []
    expected: list[Safepoint] = []
    with Follower(tmp_path, "jvm", tmp_path / "gc.log") as daemon:

        def has_all() -> bool:
            return daemon.rows("SELECT sum(count) FROM block") == [(len(expected) + len(safepoints(whole)),)]

        daemon.start()
        for zone, batches in (("UTC", 4), ("Asia/Kathmandu", 1)):  # the second start renames the file of the first
            with running(tmp_path, zone) as java:
                for _ in range(batches):
                    measured += java.collect(10)
                    daemon.wait_until(has_all)
            daemon.wait_until(has_all)
            expected += safepoints(whole)
            whole.unlink()
        samples = daemon.wait_for_samples(len(expected))

    ring = sorted(tmp_path.glob("gc.log*"))
    assert [path.name for path in ring] == ["gc.log", "gc.log.0", "gc.log.1", "gc.log.2"]
    assert sum(path.read_text().count("] Safepoint ") for path in ring) < len(expected)
    found = [(sample["time_unix_nano"], round(sample["duration_ms"] * MS)) for sample in samples]
    assert sorted(found) == sorted((one.end_ns, one.duration_ns) for one in expected)
    assert {sample["cause"] for sample in samples} <= {"gc", "vm", "reach"}

    collections = [one for one in expected if re.search("CollectFull|GCCollect", one.operation)]
    for logged, seen in zip(collections, measured, strict=True):
        assert seen.duration_ns - bound_s(SLACK_S) * 10**9 <= logged.duration_ns <= seen.duration_ns
        assert seen.begin_ns <= logged.end_ns - logged.duration_ns + MS
        assert logged.end_ns <= seen.end_ns


def test_two_safepoints_in_a_row_are_one_episode_as_the_application_saw_them(tmp_path: Path) -> None:
    captured = CAPTURES / "jvm" / "serial-time.log"
    program = Follower(tmp_path, "jvm", captured, more=["--threshold-ms", "500"])
    program.once()
    first, second = [sample for sample in program.samples() if sample["duration_ms"] >= 500][-2:]
    assert round(first["duration_ms"] + second["duration_ms"]) == 4503  # measured in the application: 4505 ms
    last = program.ask("query", "episodes")[-1]
    assert (last["end"], last["count"]) == ("2026-11-29T15:27:42.294000000Z", 2)
    assert round(last["duration_ms"]) == 4504  # lines have whole milliseconds
