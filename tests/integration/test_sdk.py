"""Exporters of OpenTelemetry's SDK in the real program: the one for the console, and one that another package has."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import MS, SLOW_MS, lines
from tests.support.receiver import Receiver
from tests.support.sdk_package import VARIABLE, install, written

SOON = ("--export-interval", "100ms", "--quiet-ms", "50", "--from-start")


def as_received(file: Path) -> Receiver:
    """Return what a receiver would have after all calls of the exporters."""
    receiver = Receiver()
    for signal, message in written(file):
        receiver.answer(signal, message)
    return receiver


def test_after_failures_and_kills_the_totals_are_right_and_each_breach_arrives(tmp_path: Path) -> None:
    file, down = tmp_path / "sdk.txt", tmp_path / "down"
    environ = {VARIABLE: str(file), "PYTHONPATH": install(tmp_path / "packages")}
    with Daemon(tmp_path, "--exporter", "sdk", "--sdk-exporter", "file", *SOON, **environ) as daemon:
        daemon.write(lines(0, 50), lines(50, 60, ms=SLOW_MS))
        daemon.start()
        daemon.wait_until(lambda: as_received(file).counted() == 60)
        down.mkdir()
        daemon.write(lines(1000, 1050), lines(1050, 1060, ms=SLOW_MS))
        daemon.wait_for_words("the disk of metrics is away")
        daemon.kill()
        daemon.start()
        daemon.wait_for_words("the disk of metrics is away", times=2)
        assert as_received(file).counted() == 60
        down.rmdir()
        daemon.kill()
        daemon.start()
        daemon.write(lines(2000, 2050), lines(2050, 2060, ms=SLOW_MS))
        daemon.wait_until(lambda: as_received(file).counted() == 180)
        daemon.wait_until(lambda: as_received(file).breaches().total() == 30)
        slow = [number for first in (50, 1050, 2050) for number in range(first, first + 10)]
        assert as_received(file).breaches() == Counter(SLOW_MS * MS + number * 1000 for number in slow)


def test_the_sdks_console_exporter_prints_metrics_and_spans(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--exporter", "sdk", "--sdk-exporter", "console", *SOON)
    daemon.write(lines(0, 5), lines(5, 8, ms=SLOW_MS))
    done = daemon.run(*daemon.command("--once")[3:])
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    texts = re.split(r"(?m)^(?={)", done.stdout)[1:]
    printed = [json.loads(text) for text in texts]
    names = Counter(
        metric["name"]
        for one in printed
        for resource in one.get("resource_metrics", ())
        for metric in resource["scope_metrics"][0]["metrics"]
    )
    assert names["log.overhead.duration"] >= 1
    (span,) = (one for one in printed if "context" in one)
    assert (span["name"], span["attributes"]["count"], len(span["events"])) == ("log.overhead.episode", 3, 3)
