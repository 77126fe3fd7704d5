"""The number of random histories: few in `make test`, many in `make torture`, which sets ``TORTURE_EXAMPLES``."""

from __future__ import annotations

import os


def examples(few: int, *, share: int = 1) -> int:
    """Return the number of examples; with ``TORTURE_EXAMPLES`` it, divided by ``share`` for a slow test."""
    given = os.environ.get("TORTURE_EXAMPLES")
    return few if given is None else max(few, int(given) // share)
