"""Unfinished lines of a container across a rotation, stepped, with a kill behind any commit."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from otel_logtail.daemon.build import Parts, build
from otel_logtail.daemon.settings import Settings, SourceSettings
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.store import sources
from otel_logtail.testing.wrappers import cri
from tests.support.lines import line


def made(folder: Path) -> Parts:
    source = SourceSettings(observer="headroom", patterns=(str(folder / "proxy.log"),), from_start=True)
    return build(
        Settings(db=folder / "store.db", sources=(source,)),
        exporter_context=ExporterContext({}),
        home=str(folder),
        reporter=Reporter(io.StringIO()),
    )


def step(parts: Parts, times: int, *, now_s: float = 1000.0) -> None:
    """Scan, and read and commit so often; then it is killed."""
    (run,) = parts.sources.runs
    parts.sources.scan(None, now_s)
    for _ in range(times):
        run.step(now_s)


def unfinished(parts: Parts) -> list[bytes]:
    (run,) = parts.sources.runs
    return [state.parts for state in parts.store.files(run.info.id)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "proxy.log"


def rotated_within_a_line(log: Path) -> tuple[bytes, bytes]:
    """Write the first part of a line, and return the other one and a line that is not cut."""
    text = line(1).rstrip(b"\n")
    log.write_bytes(cri(line(0).rstrip(b"\n"), "stdout", "F") + b"\n" + cri(text[:80], "stdout", "P") + b"\n")
    return cri(text[80:], "stdout", "F") + b"\n", cri(line(2).rstrip(b"\n"), "stdout", "F") + b"\n"


def test_parts_that_the_next_file_continues_are_deleted_with_the_commit_of_its_first_lines(
    tmp_path: Path, log: Path
) -> None:
    rest, _ = rotated_within_a_line(log)
    parts = made(tmp_path)
    step(parts, 1)
    assert [bool(kept) for kept in unfinished(parts)] == [True]
    log.rename(tmp_path / "proxy.log.1")
    log.write_bytes(rest)
    step(parts, 1)
    assert unfinished(parts) == [b"", b""]
    parts.close()


def test_a_late_line_in_the_file_before_is_not_joined_with_them_after_a_kill(tmp_path: Path, log: Path) -> None:
    rest, late = rotated_within_a_line(log)
    parts = made(tmp_path)
    step(parts, 1)
    log.rename(tmp_path / "proxy.log.1")
    log.write_bytes(rest)
    step(parts, 1)
    parts.close()
    with (tmp_path / "proxy.log.1").open("ab") as file:
        file.write(late)
    parts = made(tmp_path)
    step(parts, 3)
    (run,) = parts.sources.runs
    assert run.totals.samples == 1
    assert unfinished(parts) == [b"", b""]
    parts.close()


def test_a_commit_that_fails_keeps_the_parts(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest, _ = rotated_within_a_line(log)
    parts = made(tmp_path)
    step(parts, 1)
    log.rename(tmp_path / "proxy.log.1")
    log.write_bytes(rest)
    with monkeypatch.context() as patch:
        patch.setattr(sources, "count", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            step(parts, 1)
    assert [bool(kept) for kept in unfinished(parts)] == [True, False]
    step(parts, 2)
    assert unfinished(parts) == [b"", b""]
    (run,) = parts.sources.runs
    assert run.totals.samples == 2
    parts.close()


def test_an_older_file_that_is_found_late_does_not_continue_the_newer_one(tmp_path: Path, log: Path) -> None:
    rest, older = rotated_within_a_line(log)
    parts = made(tmp_path)
    step(parts, 1)
    (tmp_path / "proxy.log.1").write_bytes(older)
    step(parts, 1, now_s=1010.0)
    (run,) = parts.sources.runs
    assert run.totals.samples == 2
    assert [bool(kept) for kept in unfinished(parts)] == [True, False]
    with log.open("ab") as file:
        file.write(rest)
    step(parts, 2, now_s=1020.0)
    assert run.totals.samples == 3
    parts.close()
