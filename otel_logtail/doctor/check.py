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


def span(seconds: float) -> str:
    """A stretch of time for people: ``12 s``, ``3 min``, ``5 h``, ``2 d``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def size(number: float) -> str:
    """Bytes for people: ``12 B``, ``3.4 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
