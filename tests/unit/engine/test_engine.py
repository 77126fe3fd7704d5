"""The engine over several live paths of one source."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.engine.engine import Now
from otel_logtail.testing.wrappers import cri
from tests.support.pieces import NOON, QUIET, SECOND, Piece, line, opened, rows


@pytest.mark.parametrize("by_lines", [False, True])
def test_episode_of_a_copied_log_ends_whether_that_of_the_other_has_ended_or_not(
    tmp_path: Path, by_lines: bool
) -> None:
    """Their breaches have the same ids."""
    with opened(tmp_path / "store.db") as store:
        log, copy = Piece(store), Piece(store, live="/logs/fake-8788.log")
        copy.engine = log.engine
        for piece in (log, copy):
            piece.commit(line(0, 3.0))
        log.commit(line(100, 0.1) + line(101, 0.1))
        assert (log.open.current, copy.open.current is not None) == (None, True)
        assert log.engine.due_s(Now(NOON, 0)) > 0
        if by_lines:
            copy.commit(line(100, 0.1) + line(101, 0.1))
        else:
            later = Now(NOON + 2 * QUIET, 2 * QUIET)
            batch = log.engine.tick(later)
            assert batch is not None
            copy.take(batch, later)
        assert copy.open.current is None
        assert log.engine.due_s(Now(NOON, 10 * SECOND)) > 0


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_episodes_do_not_depend_on_the_chunk_with_the_last_part_of_a_line(tmp_path: Path, pieces: int) -> None:
    """Another stream of the container wrote lines between the parts, and its episode was over by then."""
    slow, between = line(0, 1.0).rstrip(b"\n"), [line(second, 0.6).rstrip(b"\n") for second in (1, 2, 60, 61)]
    lines = [
        cri(slow[:9], "stdout", "P"),
        *(cri(text, "stderr") for text in between),
        cri(slow[9:], "stdout"),
        cri(line(62, 0.1).rstrip(b"\n"), "stderr"),
    ]
    expected = grouped(tmp_path / "whole.db", lines, len(lines))
    assert [count for _, _, count in expected[:2]] == [2, 2]
    assert len(expected) > 2
    assert grouped(tmp_path / "cut.db", lines, pieces) == expected


def grouped(path: Path, lines: list[bytes], pieces: int) -> list[tuple[object, ...]]:
    """Read lines, ``pieces`` at once; return start, end and count of the episodes and the breaches with their ids."""
    with opened(path) as store:
        log = Piece(store)
        for first in range(0, len(lines), pieces):
            log.commit(b"".join(text + b"\n" for text in lines[first : first + pieces]))
    columns = "start_ns, end_ns, count FROM"
    episodes = rows(path, f"SELECT {columns} episode UNION ALL SELECT {columns} open_episode ORDER BY 3 DESC, 1")
    return episodes + rows(path, "SELECT hex(uid), hex(span_id), offset FROM breach ORDER BY 1")
