"""The engine over several live paths of one source."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_logtail.engine.engine import Now
from tests.support.pieces import NOON, QUIET, SECOND, Piece, line, opened


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
