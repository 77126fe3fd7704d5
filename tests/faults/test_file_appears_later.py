"""The log, or the folder that it will be in, is not there yet (scenario 50)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize("from_start", [False, True])
def test_file_that_appears_is_read_from_its_start(tmp_path: Path, from_start: bool) -> None:
    with Following(tmp_path, from_start=from_start) as following:
        following.start()
        following.wait_for_words("waiting for it")
        following.write(5)
        following.finish(warnings=["can't read .*proxy-8787.log: No such file or directory; waiting for it"])
        assert "can be read again" in following.said()


def test_file_that_appears_under_a_pattern_is_read_from_its_start(tmp_path: Path) -> None:
    with Following(tmp_path, patterns=[tmp_path / "logs" / "proxy-*.log"], from_start=False) as following:
        following.start()
        following.wait_for_words("no file matches")
        for port in range(3):
            following.write(5, following.logs / f"proxy-{8701 + port}.log")
            following.caught_up()
        following.finish(warnings=["no file matches"])


@pytest.mark.parametrize("pattern", ["proxy-8787.log", "proxy-*.log"])
def test_folder_that_appears(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "later" / "logs"
    with Following(tmp_path, patterns=[folder / pattern], from_start=False) as following:
        following.start()
        following.wait_for_words("waiting for")
        folder.mkdir(parents=True)
        following.write(5, folder / "proxy-8787.log")
        following.caught_up()
        following.write(5, folder / "proxy-8787.log")
        following.finish(warnings=["waiting for"], path=folder / "proxy-8787.log")
