"""How long it takes until a real collector has a day of history, an interval of 10 s after the other.

    python -m benchmarks.backfill                   both protocols; some 40 s
    python -m benchmarks.backfill --hours 1         less of it

It prints a line for each protocol, and ends with 1 if something did not arrive.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from tests.support.collector import Collector, find_collector
from tests.support.daemon import Daemon
from tests.support.lines import T0, line


def written(folder: Path, number: int) -> Daemon:
    """Create a store from a log with one line per interval, with nothing delivered."""
    daemon = Daemon(folder)
    begin = T0 - number * timedelta(seconds=10)
    stages = b'"read_request_json": 3.0, "deep_copy": 0.5, "compression": 1.0'
    for n in range(number):
        text = line(n % 900, ms=700 if n % 360 == 0 else 20, at=begin + timedelta(seconds=10 * n + 1))
        daemon.write(text.replace(b'"read_request_json": null', stages))
    daemon.once()
    return daemon


def main() -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    number = round(parser.parse_args().hours * 360)
    code = 0
    with tempfile.TemporaryDirectory() as name:
        daemon = written(Path(name), number)
        for protocol in ("http/protobuf", "grpc"):
            folder = Path(name) / protocol.partition("/")[0]
            folder.mkdir()
            db = Path(shutil.copy(daemon.db, folder / "store.db"))
            with Collector(find_collector(), folder) as collector:
                endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
                flags = ["--path", daemon.log, "--db", db, "--otlp-endpoint", endpoint, "--otlp-protocol", protocol]
                command = [sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--once", *map(str, flags)]
                before, begun_s = os.times(), time.monotonic()
                ended = subprocess.run(command, env=daemon.environ(), check=False).returncode
                took_s, after = time.monotonic() - begun_s, os.times()
                points = collector.metrics()
                requests = len(collector.lines())
            cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
            last = max((point.value for point in points if point.name == "log.overhead.duration"), default=0)
            complete = ended == 0 and last == number
            code |= not complete
            print(
                f"{protocol:14} {number} intervals, {len(points)} points, {requests} requests: {took_s:.1f} s,"
                f" {cpu_s:.1f} s CPU, {requests / took_s:.0f} requests/s{'' if complete else '  NOT ALL ARRIVED'}"
            )
    return code


if __name__ == "__main__":
    sys.exit(main())
