"""Real file system events: events that arrive, directories that are recreated, and waits that end."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from otel_logtail.tail.watch import TimedWatcher, WatchdogWatcher

BOUND_S = 5.0


@pytest.fixture
def watcher() -> Iterator[WatchdogWatcher]:
    watcher = WatchdogWatcher()
    yield watcher
    watcher.close()


def hints_until(watcher: TimedWatcher, path: Path) -> set[str]:
    """All hints up to the one that names the path."""
    hints: set[str] = set()
    end_s = time.monotonic() + BOUND_S
    while str(path) not in hints and time.monotonic() < end_s:
        hints |= watcher.wait(0.05) or frozenset()
    return hints


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("line\n")


def test_append_wakes_and_names_the_path(tmp_path: Path, watcher: WatchdogWatcher) -> None:
    log = tmp_path / "a.log"
    log.touch()
    watcher.watch([str(tmp_path)])
    append(log)
    started_s = time.monotonic()
    assert watcher.wait(BOUND_S) == frozenset({str(log)})
    assert time.monotonic() - started_s < BOUND_S / 2


def test_first_write_to_a_new_file_and_a_deletion_wake(tmp_path: Path, watcher: WatchdogWatcher) -> None:
    watcher.watch([str(tmp_path)])
    append(tmp_path / "new.log")
    assert str(tmp_path / "new.log") in hints_until(watcher, tmp_path / "new.log")
    (tmp_path / "new.log").unlink()
    assert str(tmp_path / "new.log") in hints_until(watcher, tmp_path / "new.log")


def test_rename_out_of_the_folder_does_not_hold_back_later_hints(tmp_path: Path, watcher: WatchdogWatcher) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    append(folder / "a.log")
    watcher.watch([str(folder)])
    (folder / "a.log").rename(tmp_path / "away")
    append(folder / "a.log")
    started_s = time.monotonic()
    assert str(folder / "a.log") in hints_until(watcher, folder / "a.log")
    assert time.monotonic() - started_s < 0.45


def test_nothing_happens_and_the_time_is_over(tmp_path: Path, watcher: WatchdogWatcher) -> None:
    watcher.watch([str(tmp_path), str(tmp_path / "not there")])
    assert watcher.wait(0.02) == frozenset()


@pytest.mark.parametrize("held", [False, True])
def test_folder_that_was_deleted_and_recreated_is_watched_again(
    tmp_path: Path, watcher: WatchdogWatcher, held: bool
) -> None:
    folder = tmp_path / "logs"
    for _ in range(3):  # the file system may give it the same inode again
        folder.mkdir()
        watcher.watch([str(folder)])
        append(folder / "a.log")
        assert str(folder / "a.log") in hints_until(watcher, folder / "a.log")
        descriptor = os.open(folder / "a.log", os.O_RDONLY) if held else None
        shutil.rmtree(folder)
        watcher.watch([str(folder)])
        if descriptor is not None:
            os.close(descriptor)


def test_folder_that_was_deleted_and_recreated_between_two_scans_is_watched_again(
    tmp_path: Path, watcher: WatchdogWatcher
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    watcher.watch([str(folder)])
    folder.rmdir()
    folder.mkdir()
    end_s = time.monotonic() + BOUND_S
    hints: set[str] = set()
    while not hints and time.monotonic() < end_s:  # the end of the old watch takes its moment to be known
        watcher.watch([str(folder)])
        append(folder / "a.log")
        hints |= watcher.wait(0.05) or frozenset()
    assert str(folder / "a.log") in hints


def test_folder_that_is_no_longer_watched_wakes_no_more(tmp_path: Path, watcher: WatchdogWatcher) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    watcher.watch([str(tmp_path / "a"), str(tmp_path / "b")])
    watcher.watch([str(tmp_path / "b")])
    append(tmp_path / "a" / "x.log")
    append(tmp_path / "b" / "y.log")
    assert hints_until(watcher, tmp_path / "b" / "y.log") == {str(tmp_path / "b" / "y.log")}


def test_wake_from_another_thread_ends_the_wait_with_a_full_scan(watcher: WatchdogWatcher) -> None:
    threading.Timer(0.02, watcher.wake).start()
    started_s = time.monotonic()
    assert watcher.wait(BOUND_S) is None
    assert time.monotonic() - started_s < BOUND_S / 2


def test_wake_from_a_signal_handler_ends_the_wait(watcher: WatchdogWatcher) -> None:
    before = signal.signal(signal.SIGUSR1, lambda number, frame: watcher.wake())
    try:
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        started_s = time.monotonic()
        assert watcher.wait(BOUND_S) is None
        assert time.monotonic() - started_s < BOUND_S / 2
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_wake_before_the_wait_is_not_forgotten() -> None:
    watcher = TimedWatcher()
    watcher.wake()
    watcher.wake()
    assert watcher.wait(BOUND_S) is None
    assert watcher.wait(0.001) == frozenset()


def test_wake_after_a_hint_is_still_a_full_scan() -> None:
    watcher = TimedWatcher()
    watcher.hint("a")
    watcher.wake()
    assert watcher.wait(BOUND_S) is None
    assert watcher.wait(0.001) == frozenset()


def test_a_thread_that_dies_within_a_hint_does_not_hold_back_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fails(SimpleQueue[None]):
        def put(self, item: None, block: bool = True, timeout: float | None = None) -> None:
            raise MemoryError

    watcher = TimedWatcher()
    tokens = watcher._tokens
    monkeypatch.setattr(watcher, "_tokens", Fails())
    with pytest.raises(MemoryError):
        watcher.hint("a")
    monkeypatch.setattr(watcher, "_tokens", tokens)
    watcher.hint("b")
    assert watcher.wait(BOUND_S) == frozenset({"a", "b"})


def test_hints_add_up_until_they_are_taken() -> None:
    watcher = TimedWatcher()
    for name in "abab":
        watcher.hint(name)
    assert watcher.wait(BOUND_S) == frozenset({"a", "b"})
    assert watcher.wait(0.001) == frozenset()


def test_no_hint_of_many_threads_is_lost() -> None:
    watcher = TimedWatcher()
    names = [[f"{thread} {n}" for n in range(2000)] for thread in range(4)]

    def hint_all(mine: list[str]) -> None:
        for name in mine:
            watcher.hint(name)

    threads = [threading.Thread(target=hint_all, args=(mine,)) for mine in names]
    for thread in threads:
        thread.start()
    got: set[str] = set()
    looks_at_all = 0
    while any(thread.is_alive() for thread in threads) or watcher._changed:
        hints = watcher.wait(0.05)
        if hints is None:
            looks_at_all += 1
        else:
            got |= hints
    for thread in threads:
        thread.join()
    missing = {name for mine in names for name in mine} - got
    assert not missing or looks_at_all >= len(missing)


def test_it_is_alive_until_it_is_closed() -> None:
    watcher = WatchdogWatcher()
    assert watcher.alive()
    watcher.close()
    assert not watcher.alive()


def test_watchdog_logs_nothing_by_itself_for_any_event_of_a_folder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger()
    before = logger.level
    handler = logging.StreamHandler(sys.stderr)  # as anything else in the process may have set it up
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        watcher = WatchdogWatcher()
        folder = tmp_path / "logs"
        for way in (shutil.rmtree, lambda path: path.rename(tmp_path / "old")):
            folder.mkdir()
            watcher.watch([str(folder)])
            append(folder / "a.log")
            assert hints_until(watcher, folder / "a.log")
            way(folder)
            watcher.watch([str(folder)])
        # the system's event for a full queue
        logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            watcher.close()
            watcher = WatchdogWatcher()
            warnings.warn_explicit("Callback exists", RuntimeWarning, "inotify.py", 1, "watchdog.observers.inotify")
            watcher.close()
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
    assert capfd.readouterr().err == ""


def test_a_watching_thread_that_dies_ends_the_wait_and_is_known(tmp_path: Path, watcher: WatchdogWatcher) -> None:
    from watchdog.utils import BaseThread

    class Dies(BaseThread):
        def run(self) -> None:
            raise OSError("no more descriptors")

    watcher.watch([str(tmp_path)])
    assert watcher.alive()
    thread = Dies()
    thread.start()
    assert watcher.wait(BOUND_S) is None
    assert not watcher.alive()
    with pytest.raises(OSError, match="no more descriptors"):
        watcher.watch([str(tmp_path)])


def test_other_threads_that_die_are_none_of_its_business(watcher: WatchdogWatcher) -> None:
    errors: list[threading.ExceptHookArgs] = []
    watcher.close()
    before, threading.excepthook = threading.excepthook, errors.append
    try:
        watcher = WatchdogWatcher()
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        assert watcher.alive()
        watcher.close()
        assert len(errors) == 1
        assert threading.excepthook == errors.append
    finally:
        threading.excepthook = before
