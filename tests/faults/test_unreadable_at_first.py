"""The log may not be read at first, and may later (scenario 52)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize("what", ["file", "folder"])
def test_it_is_waited_for(tmp_path: Path, what: str) -> None:
    with Following(tmp_path, as_a_user=True) as following:
        following.write(5)
        closed, mode = (following.log, 0o644) if what == "file" else (following.logs, 0o755)
        closed.chmod(0)
        following.start()
        following.wait_for_words("can't read")
        closed.chmod(mode)
        following.write(5)
        following.finish(warnings=[r"can't read .*proxy-8787\.log: Permission denied; waiting for it"])
        assert following.said().count("can be read again") == 1


def test_new_file_of_a_rotation_that_can_not_be_read_at_first(tmp_path: Path) -> None:
    with Following(tmp_path, as_a_user=True) as following:
        following.write(5)
        following.start().caught_up()
        following.log.rename(following.log.with_name(f"{following.log.name}.1"))
        following.log.touch(mode=0)
        following.write(5, following.log.with_name(f"{following.log.name}.1"))
        following.wait_for_words("can't read")
        following.caught_up()
        following.log.chmod(0o644)
        following.write(5)
        following.finish(warnings=[r"can't read .*proxy-8787\.log: Permission denied; waiting for it"])


def test_what_it_held_before_it_could_be_read_is_not_read_without_from_start(tmp_path: Path) -> None:
    with Following(tmp_path, as_a_user=True, from_start=False) as following:
        following.write(5)
        following.log.chmod(0)
        following.start()
        following.wait_for_words("can't read")
        following.log.chmod(0o644)
        following.wait_for_words("following ")
        following.write(5)
        following.caught_up(lost=range(5))
        following.stop()
