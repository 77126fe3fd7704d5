"""``make contract``: a broken contract fails, and a package index that does not answer is reported."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.waiting import bound_s

STAGE_TIMER = """
import json, logging
from contextlib import contextmanager

logger = logging.getLogger("headroom.proxy")

class StageTimer:
    def __init__(self):
        self.stages = {}

    def record(self, name, ms):
        self.stages[name] = ms

    @contextmanager
    def measure(self, name):
        yield
        self.stages[name] = 0.25

async def emit_stage_timings_log(*, path, request_id, session_id, stage_timer, expected_stages, metrics=None):
    stages = {**dict.fromkeys(expected_stages), **stage_timer.stages}
    try:
        payload = json.dumps({"event": "stage_timings", "path": path, "request_id": request_id, "stages": stages})
        logger.info(f"[{request_id}] STAGE_TIMINGS {payload}")
    except TypeError:
        logger.info(f"[{request_id}] STAGE_TIMINGS path={path} stages={stages!r}")
"""
FORMATTER = 'logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")'
CALLS = """
async def handle():
    await emit_stage_timings_log(path="anthropic_messages", expected_stages=(
        "pre_upstream_wait", "read_request_json", "deep_copy", "compression_first_stage", "memory_context",
        "upstream_connect", "upstream_first_byte", "total_pre_upstream"))
    await emit_stage_timings_log(path="openai_responses_ws", expected_stages=("total_session",))
"""


def release(folder: Path, stage_timer: str = STAGE_TIMER, formatter: str = FORMATTER) -> None:
    """Write a wheel that holds what the contract is about."""
    about = "headroom_ai-9.9.9.dist-info"
    files = {
        "headroom/proxy/stage_timer.py": stage_timer,
        "headroom/proxy/helpers.py": formatter,
        "headroom/proxy/server.py": CALLS,
        f"{about}/METADATA": "Metadata-Version: 2.1\nName: headroom-ai\nVersion: 9.9.9\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / "headroom_ai-9.9.9-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def contract(**environ: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "tools.contract"],
        cwd=ROOT,
        env={**own, "PIP_CONFIG_FILE": os.devnull, **environ},
        capture_output=True,
        text=True,
        timeout=bound_s(120),
        check=False,
    )


def test_an_index_that_does_not_answer_is_reported_and_does_not_fail() -> None:
    done = contract(PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("contract: NOT CHECKED: cannot fetch headroom-ai: ")
    assert len(done.stdout.splitlines()) == 1


def test_a_release_that_writes_known_lines_passes(tmp_path: Path) -> None:
    release(tmp_path)
    done = contract(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "contract: headroom-ai 9.9.9: its lines are read"
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("stage_timer", "formatter"),
    [
        (STAGE_TIMER.replace("STAGE_TIMINGS", "STAGE_TIMES"), FORMATTER),
        (STAGE_TIMER.replace('"stages": stages', '"seconds": stages'), FORMATTER),
        (STAGE_TIMER, FORMATTER.replace(" - %(name)s", "")),
    ],
    ids=["another marker", "another key", "another formatter"],
)
def test_a_release_that_writes_other_lines_fails(tmp_path: Path, stage_timer: str, formatter: str) -> None:
    release(tmp_path, stage_timer, formatter)
    done = contract(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == "contract: headroom-ai 9.9.9: FAILED, see above"
