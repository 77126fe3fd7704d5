"""The result of one check of ``doctor``, which an exporter's probe returns, too."""

from __future__ import annotations

from typing import Literal

import msgspec

OK: Literal["ok"] = "ok"
WARN: Literal["warn"] = "warn"
FAIL: Literal["FAIL"] = "FAIL"


class Check(msgspec.Struct, frozen=True):
    """One line of ``doctor``.

    ``level`` is ``ok``, ``warn`` or ``FAIL``; ``area`` names what was checked. ``what`` is the finding, and ``todo``
    tells how to fix it.
    """

    level: Literal["ok", "warn", "FAIL"]
    area: str
    what: str
    todo: str = ""
