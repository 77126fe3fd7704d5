"""No event tells of a change: the file system gives none, or the watcher could not be made, or has died (scenario 55)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.following import Following
from tests.tailing import rotate

FAILED = "file system events failed .*: looking at the files every second instead"

DEADLY = """
import ctypes, signal, threading
from otel_logtail.cli import main

def end_the_watcher(number, frame):
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("watchdog.") and hasattr(thread, "emitters"):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))

signal.signal(signal.SIGUSR1, end_the_watcher)
main()
"""
"""The program itself, but that SIGUSR1 ends its watching thread."""


def test_lines_that_no_event_tells_of_are_found_by_the_timed_look(tmp_path: Path) -> None:
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


def test_folder_that_can_not_be_watched_is_looked_at_every_second(tmp_path: Path) -> None:
    with Following(tmp_path, as_a_user=True) as following:
        following.write(5)
        following.logs.chmod(0o300)  # its files can be opened; it can be neither listed nor watched
        try:
            following.start()
            following.wait_for_words("file system events failed")
            following.caught_up()
            following.write(5)
            following.finish(warnings=[FAILED])
        finally:
            following.logs.chmod(0o700)


def test_watcher_that_dies_is_reported_and_the_timed_look_goes_on(tmp_path: Path) -> None:
    import signal

    with Following(tmp_path, program=("-c", DEADLY)) as following:
        following.write(5)
        following.start().caught_up()
        following.signal(signal.SIGUSR1)
        following.write(1)  # an event, for it to die of
        following.wait_for_words("file system events failed")
        following.caught_up()
        for _ in range(2):
            following.write(5)
            rotate(following.log)
            following.write(5)
            following.caught_up()
        following.finish(warnings=[FAILED])
