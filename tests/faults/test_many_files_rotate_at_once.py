"""Several files of one pattern are written and rotated at once, as fast as it goes (scenarios 1 and 9)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import append_bytes, rotate


@pytest.mark.parametrize(("files", "rotations", "messages"), [(1, 10, 100), (4, 5, 50), (8, 10, 1)])
def test_every_line_of_every_file_is_read_once(tmp_path: Path, files: int, rotations: int, messages: int) -> None:
    with Following(tmp_path, patterns=[tmp_path / "logs" / "proxy-*.log"]) as following:
        logs = [following.logs / f"proxy-{8701 + number}.log" for number in range(files)]
        texts = {log: [following.lines(messages) for _ in range(rotations + 1)] for log in logs}
        for log in logs:
            log.touch()
        following.start()
        following.wait_until(following.files)  # a log that is between two steps of a rotation is missing

        def write(log: Path) -> None:
            for number, text in enumerate(texts[log]):
                if number:
                    rotate(log)
                for row in text.splitlines(keepends=True):
                    append_bytes(log, row)

        writers = [threading.Thread(target=write, args=(log,)) for log in logs]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        following.finish(path=logs[0])


def test_files_that_rotate_between_two_looks_are_all_told_apart(tmp_path: Path) -> None:
    with Following(tmp_path, patterns=[tmp_path / "logs" / "proxy-*.log"]) as following:
        logs = [following.logs / f"proxy-{8701 + number}.log" for number in range(5)]
        for log in logs:
            following.write(2, log)
        following.start().caught_up()
        with following.frozen():
            for _ in range(3):
                for log in logs:
                    following.write(2, log)
                    rotate(log)
                    following.write(2, log)
        following.finish(path=logs[0])
