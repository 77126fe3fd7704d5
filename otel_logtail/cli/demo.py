"""`otel-logtail demo`: follow a real captured log for half a minute, without a collector and without headroom.

The capture is from a headroom proxy 0.42.0, with twelve concurrent requests to an upstream that takes 2 s. It is
written to a growing file at its original speed, while the real program follows the file in another process.
"""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TextIO

from otel_logtail import query, text
from otel_logtail.cli.answers import write_summary
from otel_logtail.errors import LogtailError, StoreError

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) ")
_START_S = 20.0
_QUIET_MS = 3000  # the default of --quiet-ms: an episode ends this long after its last slow sample


def run(out: TextIO, *, speed: float = 1.0) -> int:
    """Run the demo and return the exit code. ``speed`` is a multiple of the original one."""
    folder = Path(tempfile.mkdtemp(prefix="otel-logtail-demo-"))
    log, db = folder / "proxy-8787.log", folder / "demo.db"
    log.touch()
    command = ["--observer", "headroom", "--path", str(log), "--db", str(db)]
    capture = files("otel_logtail.cli").joinpath("demo.log").read_bytes()
    seconds = _seconds(capture) / speed + _QUIET_MS / 1000
    out.write(
        "Replaying a real log of a headroom proxy into a growing file, at its original speed"
        f" (about {seconds:.0f} s).\nThis command follows the file:\n\n  {_own_name()} {' '.join(command)}\n\n"
    )
    out.flush()
    with (folder / "follower.txt").open("w") as messages:
        follower = subprocess.Popen(
            [sys.executable, "-m", "otel_logtail", *command], stderr=messages, stdin=subprocess.DEVNULL
        )
        try:
            _until_followed(db, follower)
            _replay(capture, log, db, out, speed)
        finally:
            follower.send_signal(signal.SIGTERM)
            code = follower.wait(30)
    _conclude(db, log, out)
    return code


def _seconds(capture: bytes) -> float:
    times = [_time(match) for match in _STAMP.finditer(capture)]
    return times[-1] - times[0]


def _time(match: re.Match[bytes]) -> float:
    return datetime.fromisoformat(match[1].decode()).timestamp() + int(match[2]) / 1000


def _until_followed(db: Path, follower: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while follower.poll() is None and time.monotonic() < deadline:
        try:
            with query.Reader.open(db) as reader:
                if reader.conn.execute("SELECT count(*) FROM file").fetchone()[0]:
                    return
        except LogtailError:
            pass  # the store does not exist yet
        time.sleep(0.05)
    raise StoreError("the follower did not start", hint=f"see {db.parent / 'follower.txt'}")


def _replay(capture: bytes, log: Path, db: Path, out: TextIO, speed: float) -> None:
    """Write the lines when they are due, and show slow samples and episodes as soon as the store has them."""
    shown = _Shown(out)
    with query.Reader.open(db) as reader, log.open("ab", buffering=0) as growing:
        for wait_s, lines in _paced(capture):
            _wait(wait_s / speed, reader.conn, shown)
            growing.write(lines)
        _wait(_QUIET_MS / 1000 + 1.0, reader.conn, shown)


def _paced(capture: bytes) -> Iterator[tuple[float, bytes]]:
    """Yield lines, each with the seconds since the previous one; a line without a time has none."""
    before_s: float | None = None
    for line in capture.splitlines(keepends=True):
        match = _STAMP.match(line)
        now_s = _time(match) if match else before_s
        wait_s = 0.0 if now_s is None or before_s is None else now_s - before_s
        before_s = now_s
        yield max(wait_s, 0.0), line


def _wait(seconds: float, connection: sqlite3.Connection, shown: _Shown) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        shown.look(connection)


class _Shown:
    """Shows each slow sample and each episode once."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._samples = 0
        self._episodes = 0

    def look(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "SELECT id, substr(time, 12, 12), severity, duration_ms, cause FROM samples WHERE severity != 'ok'"
        ).fetchall()
        for _, clock, severity, duration_ms, cause in rows[self._samples :]:
            self._out.write(f"  {clock}  {severity}: {text.duration(duration_ms)}, most of it {_CAUSES[cause]}\n")
        self._samples = max(self._samples, len(rows))
        episodes = connection.execute(
            "SELECT substr(start, 12, 12), count, peak_ms, duration_ms FROM episodes WHERE NOT open ORDER BY id"
        ).fetchall()
        for clock, count, peak_ms, duration_ms in episodes[self._episodes :]:
            self._out.write(
                f"  ── stall episode from {clock}: {count} slow request{'s' if count > 1 else ''} within"
                f" {text.duration(duration_ms)}, the worst {text.duration(peak_ms)}\n"
            )
        self._episodes = max(self._episodes, len(episodes))
        self._out.flush()


_CAUSES = {
    "wait": "waiting for a free slot",
    "read": "waiting for the client's upload",
    "compress": "the proxy's own work",
    "other": "unexplained, e.g. a blocked event loop",
}


def _own_name() -> str:
    """Return the command that runs this program here: its name if the PATH finds it, else the path that was used."""
    own = Path(sys.argv[0])
    found = shutil.which("otel-logtail")
    if own.name != "otel-logtail":
        return f"{sys.executable} -m otel_logtail"
    return "otel-logtail" if found and Path(found).resolve() == own.resolve() else str(own)


def _conclude(db: Path, log: Path, out: TextIO) -> None:
    name = _own_name()
    with query.Reader.open(db) as reader:
        out.write("\nThe summary of the store:\n\n")
        write_summary(out, query.summary(reader), "table")
    out.write(
        f"\nLog: {log}\nStore: {db}\n\nQuery the store:\n\n"
        f"  {name} query episodes --db {db}\n"
        f"  {name} query samples --severity stall --db {db}\n"
        f"  {name} query sql 'SELECT cause, count(*), max(duration_ms) FROM samples GROUP BY cause' --db {db}\n"
        f"  {name} status --db {db}\n\n"
        "Send the samples to an OpenTelemetry collector:\n\n"
        f"  {name} --observer headroom --path {log} --db {db} --once --otlp-endpoint http://localhost:4318\n"
    )
