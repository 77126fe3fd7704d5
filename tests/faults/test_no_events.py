"""No event reports a change: there are none, or the watcher could not be created, or has died (scenario 55)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.programs import DEADLY
from tests.support.tailing import rotate

FAILED = "file system events failed .*: scanning the files every second instead"


def test_lines_without_an_event_are_found_by_the_periodic_scan(tmp_path: Path) -> None:
    # writes under another name of the file, in a folder that is not watched, are none in the one that is
    other = tmp_path / "other-name"
    with Following(tmp_path) as following:
        following.write(5)
        os.link(following.log, other)
        following.start().caught_up()
        following.write(5, other)
        following.caught_up()
        following.write(5, other)
        following.finish(path=other)


def test_folder_that_can_be_neither_listed_nor_watched_is_scanned_in_time(tmp_path: Path) -> None:
    with Following(tmp_path, as_a_user=True) as following:
        following.write(5)
        following.logs.chmod(0o300)  # its files can be opened
        try:
            following.start().caught_up()
            following.write(5)
            following.finish()
        finally:
            following.logs.chmod(0o700)


def test_machine_without_watches_is_reported_and_scanned_every_second(tmp_path: Path) -> None:
    alone = ["unshare", "--user", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespace here, in which watches could be used up for one process alone")
    none_left = 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"'
    with Following(tmp_path, runner=[*alone, "sh", "-c", none_left, "sh"]) as following:
        following.write(5)
        following.start()
        following.wait_for_words("file system events failed")
        following.caught_up()
        following.write(5)
        following.finish(warnings=[FAILED])


def test_watcher_that_dies_is_reported_and_the_periodic_scan_continues(tmp_path: Path) -> None:
    with Following(tmp_path, program=("-c", DEADLY)) as following:
        following.write(5)
        following.start().caught_up()
        following.signal(signal.SIGUSR1)

        def died() -> bool:
            following.write(1)  # an event, for it to die of: one that came before the signal was none
            return "file system events failed" in following.said()

        following.wait_until(died, every_s=0.1)
        following.caught_up()
        for _ in range(2):
            following.write(5)
            rotate(following.log)
            following.write(5)
            following.caught_up()
        following.finish(warnings=[FAILED])
