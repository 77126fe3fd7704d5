"""What a check found."""

from __future__ import annotations

from typing import Literal

import msgspec

OK: Literal["ok"] = "ok"
WARN: Literal["warn"] = "warn"
FAIL: Literal["FAIL"] = "FAIL"


class Check(msgspec.Struct, frozen=True):
    """One line: how it is (``ok``, ``warn`` or ``FAIL``), of what, what was found, and what to do about it."""

    level: Literal["ok", "warn", "FAIL"]
    area: str
    what: str
    todo: str = ""
