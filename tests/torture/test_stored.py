"""The first line that is lost or doubled is found, and named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.forked import run
from tests.torture.stored import PATIENCE, Stored, Wrong
from tests.torture.upstream import line_of


def stored(folder: Path, numbers: Sequence[int]) -> Stored:
    log, db = folder / "proxy.log", folder / "store.db"
    log.write_bytes(b"".join(line_of(number, slow=number % 2 == 0) for number in numbers))
    run("--observer", "headroom", "--path", log, "--once", "--db", db, "--threshold-ms", 1000, home=folder)
    return Stored(db)


def test_each_line_once_is_right_however_often_it_is_read(tmp_path: Path) -> None:
    lines = stored(tmp_path, range(1, 2001))
    for _ in range(2 * PATIENCE):
        lines.check()
    assert lines.has(2000)
    assert not lines.has(2001)


def test_a_line_that_is_there_twice_is_named_with_its_places(tmp_path: Path) -> None:
    lines = stored(tmp_path, [1, 2, 3, 2])
    with pytest.raises(Wrong, match=r"line 2 is doubled: byte \d+ of file 1 \(proxy.log\), and byte \d+ of file 1"):
        lines.has(3)


def test_a_doubled_line_does_not_count_for_one_that_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="line 2 is doubled"):
        stored(tmp_path, [1, 2, 2]).has(3)


def test_a_line_that_stays_missing_before_others_is_lost(tmp_path: Path) -> None:
    lines = stored(tmp_path, [1, 3])
    for _ in range(1 + PATIENCE):
        lines.check()
    with pytest.raises(Wrong, match="line 2 is lost"):
        lines.check()


def test_a_backlog_is_not_a_loss(tmp_path: Path) -> None:
    lines = stored(tmp_path, [1, 2])
    for _ in range(2 * PATIENCE):
        lines.check()
    assert not lines.has(3)
