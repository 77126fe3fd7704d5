"""The contract with headroom itself: lines that the newest release writes are lines that we read.

Its ``headroom/proxy/stage_timer.py`` needs only the standard library, so that one file is taken out of the wheel and
run, without the 800 MB that the proxy would need. ``make contract`` fetches the wheel and runs these tests.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.headroom.observer import SHAPE, HeadroomObserver
from otel_logtail.observers.headroom.payload import STAGES
from tests.support.waiting import bound_s

# Run by itself, since a zone belongs to a process. Arguments: stage_timer.py, the log to write, and its format.
WRITER = """
import asyncio, importlib.util, logging, sys, time

spec = importlib.util.spec_from_file_location("stage_timer", sys.argv[1])
upstream = importlib.util.module_from_spec(spec)
sys.modules["stage_timer"] = upstream
spec.loader.exec_module(upstream)
logging.basicConfig(filename=sys.argv[2], level=logging.INFO, format=sys.argv[3])
ANTHROPIC = ("pre_upstream_wait", "read_request_json", "deep_copy", "compression_first_stage", "memory_context",
             "upstream_connect", "upstream_first_byte", "total_pre_upstream")
WEBSOCKET = ("accept", "first_client_frame", "upstream_connect", "upstream_first_event", "memory_context",
             "compression", "total_session")


def emit(number, path, expected, **durations):
    timer = upstream.StageTimer()
    with timer.measure("deep_copy"):
        pass
    for name, ms in durations.items():
        timer.record((1,) if name == "not_json" else name, ms)
    asyncio.run(upstream.emit_stage_timings_log(
        path=path, request_id=f"hr_{int(time.time())}_{number:06d}", session_id="e8e0", stage_timer=timer,
        expected_stages=expected))


emit(1, "anthropic_messages", ANTHROPIC, pre_upstream_wait=0.25, total_pre_upstream=70.5)
emit(2, "anthropic_messages", ANTHROPIC, read_request_json=50.0, upstream_connect=10.5, total_pre_upstream=70.5)
emit(3, "openai_responses_ws", WEBSOCKET, accept=1.0, total_session=5000.0)
emit(4, "anthropic_messages", ANTHROPIC, brand_new=2.5, total_pre_upstream=70.5)
emit(5, "anthropic_messages", ANTHROPIC, total_pre_upstream=float("nan"))
emit(6, "anthropic_messages", ANTHROPIC, not_json=1.0, total_pre_upstream=70.5)
"""


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The newest headroom-ai, which ``make contract`` has fetched."""
    path = os.environ.get("HEADROOM_WHEEL", "")
    if not path:
        pytest.skip("make contract runs it")
    return Path(path)


def formats_of(wheel: Path) -> set[str]:
    """Return the formats that the proxy gives to handlers of its log."""
    with zipfile.ZipFile(wheel) as archive:
        tree = ast.parse(archive.read("headroom/proxy/helpers.py"))
    return {
        call.args[0].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "Formatter"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_lines_of_the_newest_release_are_read_in_any_zone(wheel: Path, tmp_path: Path, zone: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        emitter = archive.extract("headroom/proxy/stage_timer.py", tmp_path)
    log = tmp_path / "proxy-8787.log"
    before = time.time_ns()
    (form,) = formats_of(wheel)
    command = [sys.executable, "-c", WRITER, emitter, str(log), form]
    subprocess.run(command, check=True, timeout=bound_s(60), env={**os.environ, "TZ": zone})
    after = time.time_ns()

    observer = HeadroomObserver(ObserverContext())
    streaming, waited, websocket, newer, nan, textual = log.read_bytes().splitlines()
    for raw, connect_ns, cause, unknown_ns in [
        (streaming, None, "other", None),
        (waited, 10_500_000, "read", None),
        (newer, None, "other", 2_500_000),
    ]:
        found = observer.observe(raw)
        assert isinstance(found, Sample)
        assert before - 10**6 <= found.logged_ns <= after  # the log truncates to milliseconds
        assert found.logged_ns - found.time_ns == (connect_ns or 0)
        assert (found.duration_ns, found.cause) == (70_500_000, cause)
        by_name = dict(zip(SHAPE.stages, found.stage_ns, strict=True))
        assert by_name["deep_copy"] is not None
        assert (by_name["upstream_connect"], by_name["unknown"]) == (connect_ns, unknown_ns)
    assert observer.observe(websocket) == Ignored()
    for raw in (nan, textual):
        with pytest.raises(Drift):
            observer.observe(raw)
    assert b"STAGE_TIMINGS path=anthropic_messages" in textual


def test_the_newest_release_writes_no_path_and_no_stage_that_is_new_to_us(wheel: Path) -> None:
    calls = []
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("headroom/") and name.endswith(".py"):
                text = archive.read(name).decode()
                calls += re.findall(r"await emit_stage_timings_log\((.*?expected_stages=\(.*?\))", text, re.DOTALL)
    stages = {}
    for call in calls:
        (path,) = re.findall(r'path="(\w+)"', call)
        stages[path] = re.findall(r'"(\w+)"', call.split("expected_stages=")[1])
    assert set(stages) == {"anthropic_messages", "openai_responses_ws"}
    assert stages["anthropic_messages"] == [*STAGES, "total_pre_upstream"]
    assert "total_pre_upstream" not in stages["openai_responses_ws"]
