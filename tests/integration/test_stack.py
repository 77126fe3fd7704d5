from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.support.collector import find_collector
from tests.support.places import ROOT
from tests.support.prometheus import find_prometheus
from tests.support.waiting import bound_s
from tools import dashboards, replay


def fetch(url: str) -> bytes:
    with urlopen(url, timeout=bound_s(10)) as answer:  # noqa: S310 - our own, on loopback
        body: bytes = answer.read()
        return body


def test_the_stack_starts_is_fed_and_ends_with_everything_it_started(tmp_path: Path) -> None:
    environ = {**os.environ, "OTELCOL": str(find_collector()), "PROMETHEUS": str(find_prometheus())}
    command = [sys.executable, "-m", "tools.stack", "--folder", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True) as stack:
        try:
            assert stack.stdout is not None
            assert select.select([stack.stdout], [], [], 120)[0], "it did not start"
            said = "".join(iter(stack.stdout.readline, "\n"))
            viewer, prometheus = re.findall(r"http://127\.0\.0\.1:\d+", said)[:2]
            assert b"<title>otel-logtail</title>" in fetch(viewer)
            given = json.loads(fetch(f"{viewer}/dashboards.json"))
            assert given["prometheus"] == prometheus
            assert given["dashboards"] == [json.loads(text) for _, text in dashboards.files()]

            query = f"{prometheus}/api/v1/query?query=sum(last_over_time(log_overhead_duration_seconds_count[2d]))"
            deadline = time.monotonic() + bound_s(60)
            while not json.loads(fetch(query))["data"]["result"]:
                assert time.monotonic() < deadline, "nothing arrives"
                time.sleep(0.1)

            size = (tmp_path / "proxy-8787.log").stat().st_size
            deadline = time.monotonic() + bound_s(60)
            while (tmp_path / "proxy-8787.log").stat().st_size == size:
                assert time.monotonic() < deadline, "the log does not grow"
                time.sleep(0.1)
        finally:
            stack.send_signal(signal.SIGINT)
        assert stack.wait(bound_s(60)) == 0
    for url in (viewer, prometheus):
        with pytest.raises(URLError):
            fetch(url)


def test_a_moved_log_has_all_its_times_moved() -> None:
    for path in replay.CAPTURES.glob("*.log"):
        log = path.read_bytes()
        first_s, last_s = replay.span(log)
        later = replay.moved(log, 86_400)
        assert replay.span(later) == (first_s + 86_400, last_s + 86_400)
        assert replay.moved(later, -86_400) == log
        assert len(set(re.findall(rb"hr_\d+", later)) & set(re.findall(rb"hr_\d+", log))) == 0


def test_a_day_of_captures_is_a_day_in_order() -> None:
    first_s, last_s, number = 0, 0, 0
    for piece in replay.day(1_795_608_000):
        begins_s, ends_s = replay.span(piece)
        first_s = first_s or begins_s
        assert begins_s >= last_s
        last_s, number = ends_s, number + 1
    assert first_s == 1_795_608_000
    assert number > 100
    assert 1_795_608_000 + replay.DAY_S - 3600 < last_s <= 1_795_608_000 + replay.DAY_S
