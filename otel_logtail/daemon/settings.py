"""What a run is asked to do, and values as people write them. Pure, but for the machine's time zones.

Each value is read with ``where``: how the user named it (a flag, or a key with its file and line), for the error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timezone, tzinfo
from pathlib import Path

import msgspec

from otel_logtail.errors import LogtailError, StoreError, UsageError
from otel_logtail.option import Duration, Option, Size
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.series import MAX_SERIES

DEFAULT_EVENT = "log.overhead"
DEFAULT_MAX_DB_SIZE = "1GiB"
MOST_SERIES = 100_000
DEFAULT_QUIET_MS = 3000.0
DEFAULT_RETENTION = "30d"
DEFAULT_THRESHOLD_MS = 500.0

_DAY_MS = 86_400_000
_INTERVAL = Option("export_interval", Duration(None, "10ms", "1h", "500ms, 10s or 1m"), "")
_RETENTION = Option("retention", Duration(0, "1m", examples="30d, 12h"), "")
_DB_SIZE = Option("max_db_size", Size(0, "1MiB", examples="1GiB, 500MB"), "")


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One source. ``name`` empty: the observer's; ``patterns`` empty: the observer's own; ``timezone`` None: local."""

    observer: str
    name: str = ""
    event: str = DEFAULT_EVENT
    patterns: tuple[str, ...] = ()
    threshold_ns: int = 500_000_000
    stall_ns: int = 2_000_000_000
    quiet_ns: int = 3_000_000_000
    from_start: bool = False
    timezone: tzinfo | None = None


INTERVAL_NS = 10 * 10**9
"""How much of the log's time one point covers, if nobody says otherwise."""

UNTOLD_NS = 60 * 10**9
"""The same where nobody is told points: what the store merges them into in any case, and a sixth of the work."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one run is asked to do.

    ``interval_ns``: None is :data:`INTERVAL_NS`, or :data:`UNTOLD_NS` where no exporter is told counts.
    ``exporter_options`` are by exporter: what was given for it, and only that. ``places`` says for each option that was
    given where: a flag, a variable, or a file's line and key. ``warnings`` are about variables that are ignored.
    """

    db: Path
    sources: tuple[SourceSettings, ...]
    interval_ns: int | None = None
    once: bool = False
    exporters: tuple[str, ...] = ()
    exporters_from_now: bool = False
    exporter_options: Mapping[str, Mapping[str, str]] = {}
    max_series: int = MAX_SERIES
    drain_s: float = 5.0
    limits: Limits = Limits()
    places: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()

    def values(self) -> tuple[str, ...]:
        """What exporters were given, which may hold secrets."""
        return tuple(value for options in self.exporter_options.values() for value in options.values())

    def explain(self, problem: LogtailError) -> LogtailError:
        """Return the same error with the place that the wrong value came from."""
        return explain(problem, self.places)


def explain(problem: LogtailError, places: Mapping[str, str]) -> LogtailError:
    """Name the place that a wrong value came from: not a flag, where a variable was given. Returns the error."""
    message, hint = str(problem), problem.hint
    for option, place in places.items():
        flag = rf"{flag_of(option)}(?![a-z-])"
        if place == flag_of(option) or not re.search(flag, message):
            continue
        name = place.rpartition(" ")[2]  # of a file's line: the key alone
        start = place.removesuffix(name)
        found = rf"invalid {flag}" if start else flag  # of a file's line, the place comes first
        message = start * (start not in message) + re.sub(rf"{found}|{flag}", name, message)
        hint = re.sub(flag, name, hint)
    setting = problem.setting or ("db" if isinstance(problem, StoreError) else "")
    place = places.get(setting) or places.get(setting.partition(" ")[0], "")
    if place and place not in message and place not in hint:
        message += f" ({place})"
    problem.args, problem.hint = (message,), hint
    return problem


def flag_of(option: str) -> str:
    """The flag of an option: ``--otlp-endpoint`` of ``otlp_endpoint``."""
    return "--" + option.replace("_", "-")


def milliseconds(value: float, where: str, *, least_ms: float = 0.001) -> int:
    """Milliseconds (up to a day) as nanoseconds."""
    if not math.isfinite(value) or not least_ms <= value <= _DAY_MS:
        raise UsageError(f"{where} {value:g} is out of range", hint=f"milliseconds from {least_ms:g} to {_DAY_MS}")
    return round(value * 1_000_000)


def quiet_window(value_ms: float, where: str) -> int:
    """The quiet window in nanoseconds."""
    return milliseconds(value_ms, where, least_ms=50)


def stall_threshold(stall_ms: float | None, threshold_ns: int, where: str, threshold: str) -> int:
    """The stall threshold in nanoseconds; None is 4 times the threshold, which it must be above."""
    stall_ns = 4 * threshold_ns if stall_ms is None else milliseconds(stall_ms, where)
    if stall_ns <= threshold_ns:
        raise UsageError(
            f"{where} {stall_ns / 1e6:g} is not above {threshold} {threshold_ns / 1e6:g}",
            hint="a stall is worse than degraded: leave it out for 4 times the threshold",
        )
    return stall_ns


def event_name(text: str, where: str) -> str:
    """What metrics and spans are called."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]{0,200}", text):
        raise UsageError(
            f"{where} {text!r} can't be the name of a metric", hint="letters, digits and _ . - /, such as log.overhead"
        )
    return text


def one_of(text: str, where: str, known: tuple[str, ...]) -> str:
    """A word out of a few."""
    if text not in known:
        raise UsageError(f"{where} {text!r} is not known", hint=f"use {' or '.join(known)}")
    return text


def export_interval(text: str, where: str) -> int:
    """Return how much of the log's time one point covers, in nanoseconds."""
    return _INTERVAL.parse(text, where)


def retention_ns(text: str, where: str) -> int | None:
    """Return how long delivered data stays in the store; None is forever."""
    return _RETENTION.parse(text, where) or None


def max_bytes(text: str, where: str) -> int | None:
    """Return the largest size of the store; None is without a limit."""
    return _DB_SIZE.parse(text, where) or None


def max_series(text: str, where: str) -> int:
    """How many series a source may have."""
    if not re.fullmatch("[0-9]{1,9}", text.strip()) or not 1 <= int(text) <= MOST_SERIES:
        raise UsageError(f"{where} '{text}' is not a number from 1 to {MOST_SERIES}", hint=f"such as {MAX_SERIES}")
    return int(text)


def zone(name: str, where: str) -> tzinfo | None:
    """A time zone by its name; nothing is the machine's (None)."""
    if not name:
        return None
    if name.upper() in ("UTC", "ETC/UTC"):
        return timezone.utc  # also where there is no database
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if not has_zones():
            message = f"{where}: {name!r} cannot be looked up: this machine has no time zone database"
            raise UsageError(message, hint="install the system's tzdata package, or: pip install tzdata") from None
        hint = "a name such as Europe/Vienna or UTC"
        raise UsageError(f"{where}: unknown time zone {name!r}", hint=hint) from None


def has_zones() -> bool:
    """Whether this machine has a time zone database."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo("Europe/London")
    except (ZoneInfoNotFoundError, OSError):
        return False
    return True


_ZONE_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
"""Where the C library looks for time zones: it takes one that it does not find for UTC, without a word."""


def unknown_local_zone(environ: Mapping[str, str]) -> str:
    """Say that the machine's time zone is named and not known; empty where it is known, or not named (``TZ``)."""
    name = environ.get("TZ", "").removeprefix(":")
    if re.fullmatch(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)+", name) is None:
        return ""  # a file, or a zone by its rules (CET-1CEST)
    folders = (environ["TZDIR"],) if environ.get("TZDIR") else _ZONE_FOLDERS
    if any(Path(folder, name).is_file() for folder in folders):
        return ""
    return f"TZ: {name!r} is not a time zone of this machine (is tzdata installed?); local times are read as UTC"
