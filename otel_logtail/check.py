"""The result of one check of ``doctor``, which an exporter's probe returns, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

OK: Literal["ok"] = "ok"
NOTE: Literal["note"] = "note"
WARN: Literal["warn"] = "warn"
FAIL: Literal["FAIL"] = "FAIL"


RECENT_NS = 7 * 86_400 * 10**9
"""Problems that happened longer ago than this are notes."""


def is_recent(time_ns: int | None, now_ns: int) -> bool:
    """Return whether something happened within the last week; None: its time is unknown."""
    return time_ns is not None and time_ns > now_ns - RECENT_NS


class Check(msgspec.Struct, frozen=True):
    """One line of ``doctor``.

    ``level`` is ``ok``, ``note`` (nothing needs to be done), ``warn`` or ``FAIL``; ``area`` is the part that was
    checked. ``what`` is the finding, and ``todo`` the fix.
    """

    level: Literal["ok", "note", "warn", "FAIL"]
    area: str
    what: str
    todo: str = ""


def check_writable(path: Path, todo: str) -> Check:
    """Check that this user can write a file, or create it."""
    target = path if path.exists() else path.parent
    if os.access(target, os.W_OK):
        return Check(OK, "", f"{path} can be written")
    return Check(FAIL, "", f"{target} can't be written by this user", todo)
