"""The log is deleted while it is read; its descriptor is freed in the end (scenarios 53 and 54)."""

from __future__ import annotations

from pathlib import Path

from tests.support.following import Following

SHORT_GRACE = """
import otel_logtail.tail.held
otel_logtail.tail.held.GRACE_S = 1.0
from otel_logtail.cli.main import main
main()
"""
"""The program itself, with a grace period of a second instead of a minute."""


def test_its_rest_is_read(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        with following.frozen():
            following.write(30_000)
        following.log.unlink()
        following.caught_up()
        following.finish()


def test_lines_that_a_writer_adds_later_are_read(tmp_path: Path) -> None:
    with Following(tmp_path) as following:
        with following.log.open("ab", buffering=0) as held:
            held.write(following.lines(10))
            following.start().caught_up()
            following.log.unlink()
            following.rest()
            held.write(following.lines(10))
            following.caught_up()
            following.write(5)
            held.write(following.lines(10))
            following.caught_up()
        following.finish()


def test_descriptor_is_freed_when_nothing_more_comes(tmp_path: Path) -> None:
    with Following(tmp_path, program=("-c", SHORT_GRACE)) as following:
        following.write(10)
        following.start().caught_up()
        assert following.open_files() == [str(following.log)]
        following.log.unlink()
        following.write(10)
        following.caught_up()
        assert following.open_files() == [str(following.log), f"{following.log} (deleted)"]
        following.wait_until(lambda: following.open_files() == [str(following.log)])
        following.log.unlink()
        following.wait_until(lambda: following.open_files() == [])
        following.finish()
