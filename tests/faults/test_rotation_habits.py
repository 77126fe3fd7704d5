"""Programs with habits of their own go on in another file while the program here is killed.

caddy puts a time and a reason into a name, the JVM uses a ring of numbers, PostgreSQL takes a new name each day, and
nginx and traefik write to the renamed file until they get a signal. All variations are in
tests/unit/tail/test_habits.py.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import squeeze

RING = 3

HABITS = """
import msgspec
from otel_logtail.observers.headroom.observer import HeadroomObserver
from otel_logtail.tail import held, live, tailer
held.GRACE_S, tailer.RETIRED_S, live.SETTLED_NS = 0.5, 0.5, 0
paths = HeadroomObserver.paths
HeadroomObserver.paths = lambda self: msgspec.structs.replace(paths(self), ring=True, successive=True)
from otel_logtail.__main__ import main
main()
"""
"""Starts the program with both habits in headroom's rule, and with short times."""


@contextmanager
def killed(following: Following, *, now: bool) -> Iterator[None]:
    """Run the block while it is killed, and start it again; or only run it."""
    if now:
        with following.away(killed=True):
            yield
    else:
        yield


def test_file_with_a_reason_in_its_name_is_read_once(tmp_path: Path) -> None:
    with Following(tmp_path, patterns=[tmp_path / "logs" / "proxy-8787*.log"]) as following:
        following.log.touch()
        following.start()
        for number in range(6):
            following.write(5)
            renamed = following.log.with_name(f"proxy-8787-2026-11-{number + 1:02}T15-36-08.932-size.log")
            with killed(following, now=number % 3 == 0):
                following.log.rename(renamed)
                following.log.touch()
            following.write(3)
            with killed(following, now=number % 3 == 1):
                squeeze(renamed, gzip.compress, ".gz")
            if number % 3 == 2:
                following.caught_up()
        following.finish()


@pytest.mark.parametrize("rotations", [1, RING])
def test_ring_of_files_is_read_once(tmp_path: Path, rotations: int) -> None:
    with Following(tmp_path, program=("-c", HABITS)) as following:
        following.log.touch()
        following.start()
        for number in range(4):
            following.caught_up()  # what is overwritten from now on has been read
            with killed(following, now=number % 2 == 0):
                for rotation in range(rotations):
                    following.write(3)
                    oldest = following.log.with_name(f"{following.log.name}.{(number * rotations + rotation) % RING}")
                    following.log.replace(oldest)
                    following.log.touch()
            following.write(2)
        following.finish()


def test_file_of_each_day_is_read_once_and_closed(tmp_path: Path) -> None:
    def day(number: int) -> Path:
        return following.logs / f"proxy-8787-2026-01-{number + 1:02}_000000.log"

    with Following(tmp_path, patterns=[tmp_path / "logs" / "proxy-*.log"], program=("-c", HABITS)) as following:
        following.write(3, day(0))
        following.start().caught_up()
        series = following.rows("SELECT count(*) FROM series")
        for number in range(1, 8):
            with killed(following, now=number % 3 == 0):
                following.write(3, day(number - 1))
                following.write(3, day(number))
            following.caught_up()
            following.wait_until(_is_open_alone(following, day(number)))
        assert following.rows("SELECT count(*) FROM series") == series
        assert len(following.files()) == 8
        following.write(1, day(2))  # it is followed again
        following.caught_up()
        following.finish(path=day(7))


def _is_open_alone(following: Following, path: Path) -> Callable[[], bool]:
    def holds() -> bool:
        following.rest()
        return following.open_files() == [str(path)]

    return holds


def test_lines_that_a_writer_adds_long_after_the_rename_are_read(tmp_path: Path) -> None:
    with Following(tmp_path, program=("-c", HABITS)) as following:
        following.write(3)
        following.start().caught_up()
        renamed = following.log.with_name(f"{following.log.name}.1")
        os.rename(following.log, renamed)
        following.log.touch()
        for number in range(3):
            following.write(2, renamed)
            following.caught_up()
            following.wait_until(_is_open_alone(following, following.log))
            with killed(following, now=number == 1):
                following.write(2, renamed)
            following.caught_up()
        following.finish()
