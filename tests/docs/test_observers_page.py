"""docs/reference/observers.md has each observer, and the one of forty lines in docs/how-to/observer.md works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest

from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.plugins import OBSERVERS, make_observer, names, observers
from otel_logtail.testing import ObserverContract, hex_escaped
from tests.support.places import CAPTURES, ROOT
from tests.support.waiting import bound_s

PAGE = (ROOT / "docs" / "reference" / "observers.md").read_text()
HOW_TO = (ROOT / "docs" / "how-to" / "observer.md").read_text()
(CODE,) = re.findall(r"^```python\n(.*?)^```", HOW_TO, re.DOTALL | re.MULTILINE)
(LOG,) = re.findall(r"^```\n(2026-.*?)^```", HOW_TO, re.DOTALL | re.MULTILINE)


def row(name: str) -> list[str]:
    (found,) = [line for line in PAGE.splitlines() if re.match(rf"\| `{name}`( |$)", line)]
    return [cell.strip() for cell in found.strip("|").split("|")]


def block(name: str) -> str:
    match = re.search(rf"<!-- run: {name} -->\n```console\n(.*?)```", PAGE + HOW_TO, re.DOTALL)
    assert match
    return match[1]


def run(command: str, cwd: Path) -> str:
    program = shlex.join([sys.executable, "-m", "otel_logtail"])
    done = subprocess.run(
        command.replace("otel-logtail", program, 1),
        shell=True,
        cwd=cwd,
        env={"HOME": str(cwd), "TZ": "UTC", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=bound_s(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_has_all_observers_and_no_other() -> None:
    assert re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE) == names(OBSERVERS)


@pytest.mark.parametrize("name", names(OBSERVERS))
def test_each_cause_of_a_row_is_explained_for_reports(name: str) -> None:
    causes = observers()[name].causes
    assert set(re.findall(r"`(\w+)`", row(name)[6])) == set(causes)
    for found in causes.values():
        assert re.fullmatch(r"[a-zA-Z].*[^.]", found.title), found
        assert all(re.fullmatch(r"[A-Z].*\.", text) for text in (found.meaning, found.advice)), found


@pytest.mark.parametrize("name", names(OBSERVERS))
def test_a_row_has_the_default_paths(name: str) -> None:
    patterns = make_observer(name, ObserverContext()).paths().patterns
    shown = re.findall(r"`([^`]+)`", row(name)[3])
    assert shown
    assert set(shown) <= set(patterns)
    assert set(shown) == set(patterns) or name in ("headroom", "postgresql")  # there are too many for a row


@pytest.mark.parametrize("name", names(OBSERVERS))
def test_a_program_with_a_recommended_configuration_has_an_example(name: str) -> None:
    has_one = bool(observers()[name].configuration())
    assert (f"[setup](../../examples/{name})" in row(name)[0]) == has_one


def test_detect_prints_what_the_page_shows() -> None:
    command, *expected = block("detect").splitlines()
    printed = run(command.removeprefix("$ "), ROOT).replace(str(ROOT), "/home/alice/otel-logtail")
    assert printed.splitlines() == expected
    assert (CAPTURES / "haproxy" / "haproxy.log").exists()


def test_the_observer_has_forty_lines_and_reads_its_log(tmp_path: Path) -> None:
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 40
    (tmp_path / "acme.py").write_text(CODE)
    (tmp_path / "app.log").write_text(LOG)
    *_, shown = [run(line.removeprefix("$ "), tmp_path) for line in block("acme").splitlines()]
    assert len(shown.splitlines()) == 3
    assert "734.000 ms" in shown and "acme.route=/search" in shown
    assert not list(tmp_path.rglob("__pycache__"))
    detected = run("otel-logtail observers new other --sample app.log", tmp_path)
    assert "finds 2 samples in 3 lines of app.log" in detected


class TestTheObserverOfThePage(ObserverContract):
    true_lines = tuple(line for line in LOG.encode().splitlines() if b" web request " in line)
    client_fields = (b"curl/8", b"/search")

    folder: ClassVar[Path]

    @classmethod
    def setup_class(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        (cls.folder / "acme.py").write_text(CODE)

    @classmethod
    def teardown_class(cls) -> None:
        shutil.rmtree(cls.folder)

    def observer(self) -> Observer:
        return make_observer(f"{self.folder}/acme.py:Acme", ObserverContext())

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return hex_escaped(text) if field == b"curl/8" else hex_escaped(text).replace(b"\\", b"%")
