"""Two rotations that lose lines in other programs, and the number of lines that a program counts.

    python -m benchmarks.rotation                  otel-logtail and mtail, some seconds each

1. A log is truncated and written to again. When the program looks, the log is longer than before.
2. A log is renamed, a new one is created, and a writer that keeps the old file open writes the last lines there.

The run ends with 1 if otel-logtail misses a line.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.crash import Place, counted, settle, started, stored, wait
from benchmarks.data import Shape, write_log
from benchmarks.peers import HERE, Missing, Mtail
from tests.support.ports import free_ports

Follow = Callable[[Place, ExitStack], Callable[[], int]]
"""Start a program that follows a log; return what gives the number of lines that it has counted."""


def ours(place: Place, stack: ExitStack) -> Callable[[], int]:
    """Start otel-logtail."""
    store = place.folder / "store.db"
    command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(place.log), "--from-start"]
    stack.enter_context(started([*command, "--db", str(store)], place))
    wait("otel-logtail has its store", lambda: stored(store, "count(*)", "file")[0])
    return lambda: stored(store, "count(*)", "samples")[0]


def mtail(place: Place, stack: ExitStack) -> Callable[[], int]:
    """Start mtail."""
    program, (port,) = Mtail().find(), free_ports(1)
    command = [str(program), "--address", "127.0.0.1", "--port", str(port), "--log_dir", str(place.folder)]
    stack.enter_context(started([*command, "--progs", str(HERE / "overhead.mtail"), "--logs", str(place.log)], place))
    wait("mtail answers", lambda: counted(port) is not None)
    return lambda: counted(port) or 0


def truncated(log: Path, lines: list[bytes], count: Callable[[], int]) -> int:
    """Write 50 lines, then truncate the log and write 80 others."""
    with log.open("ab") as file:
        file.writelines(lines[:50])
    wait("50 lines are counted", lambda: count() == 50)
    with log.open("wb") as file:
        file.writelines(lines[50:130])
    return 130


def renamed(log: Path, lines: list[bytes], count: Callable[[], int]) -> int:
    """Write 30 lines, rename the log, write 10 to a new one, then 10 more to the renamed one."""
    with log.open("ab", buffering=0) as file:
        file.writelines(lines[:30])
        wait("30 lines are counted", lambda: count() == 30)
        log.rename(log.with_name("proxy-8787.log.1"))
        log.write_bytes(b"".join(lines[30:40]))
        wait("40 lines are counted", lambda: count() == 40)
        file.writelines(lines[40:50])
    return 50


def main() -> int:
    """Print a line for each program and rotation."""
    programs: dict[str, Follow] = {"otel-logtail": ours, "mtail": mtail}
    wrong = False
    for name, follow in programs.items():
        for rotate in (truncated, renamed):
            with tempfile.TemporaryDirectory(prefix="rotation-") as folder, ExitStack() as stack:
                place = Place(Path(folder) / "proxy-8787.log", 0, Path(folder), 0)
                write_log(Path(folder) / "lines", 0, Shape(), 200)
                place.log.touch()
                try:
                    count = follow(place, stack)
                except Missing as missing:
                    print(f"{name:14} {missing}")
                    break
                lines = (Path(folder) / "lines").read_bytes().splitlines(keepends=True)
                total = rotate(place.log, lines, count)
                found = settle(count)
            print(f"{name:14} {rotate.__name__:10} {found:4} of {total} lines", flush=True)
            wrong |= name == "otel-logtail" and found != total
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
