from __future__ import annotations

from tools import stable


def test_stable_names_are_those_of_the_record() -> None:
    """A removed name breaks users: see docs/stability.md. Record a new one with ``python -m tools.stable``."""
    recorded, found = set(stable.RECORD.read_text().splitlines()), set(stable.names())
    assert sorted(recorded - found) == []
    assert sorted(found - recorded) == []
