"""Time zones by name, and whether this machine has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone, tzinfo
from pathlib import Path

import msgspec

_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
"""The directories in which the C library looks for time zones. For a zone that is not there, it silently uses UTC."""


class Zone(msgspec.Struct, frozen=True):
    """The name of a time zone."""

    metavar: str = "ZONE"
    example: str = "a name such as Europe/Vienna or UTC"

    def parse(self, text: str) -> tzinfo:
        """Return the zone."""
        if text.upper() in ("UTC", "ETC/UTC"):
            return timezone.utc  # works without a time zone database
        if (zone := _look_up(text)) is not None:
            return zone
        if _look_up("Europe/London") is None:
            raise ValueError(
                "this machine has no time zone database",
                "install the system's tzdata package, or: pip install tzdata",
            )
        raise ValueError("unknown time zone")


def _look_up(name: str) -> tzinfo | None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def unknown_local_zone(environ: Mapping[str, str]) -> str:
    """Return a warning if ``TZ`` names a time zone that this machine does not have; empty if all is well."""
    name = environ.get("TZ", "").removeprefix(":")
    if re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)+", name) is None:
        return ""  # a file, or a zone by its rules (CET-1CEST)
    folders = (environ["TZDIR"],) if environ.get("TZDIR") else _FOLDERS
    if any(Path(folder, name).is_file() for folder in folders):
        return ""
    return f"TZ: {name!r} is not a time zone of this machine (is tzdata installed?); local times are read as UTC"
