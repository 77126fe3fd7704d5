"""Every setting of the daemon, declared once.

Flag, ``OTEL_LOGTAIL_*`` variable, key in the configuration, default, help and check are derived from a declaration.
Observers and exporters declare their own options (:mod:`otel_logtail.plugins`). This module imports little, because
``--help`` needs it.
"""

from __future__ import annotations

import math
import os
import re
from typing import Any

import msgspec

from otel_logtail.daemon.zones import Zone
from otel_logtail.observer_file import absolute
from otel_logtail.option import Choice, Duration, File, Flag, Integer, Option, Size, Text

DAY_MS = 86_400_000


class Milliseconds(msgspec.Struct, frozen=True):
    """A number of milliseconds up to a day, as nanoseconds."""

    least: float = 0.001
    metavar: str = "MS"

    @property
    def example(self) -> str:
        """Return a number and the bounds."""
        return f"500 (milliseconds from {self.least:g} to {DAY_MS})"

    def parse(self, text: str) -> int:
        """Return nanoseconds."""
        try:
            value = float(text)
        except ValueError:
            raise ValueError("expected a number of milliseconds") from None
        if not math.isfinite(value) or not self.least <= value <= DAY_MS:
            raise ValueError("the value is out of range")
        return round(value * 1_000_000)


class ObserverName(msgspec.Struct, frozen=True):
    """The name of an observer, or a file and a class in it; a relative path starts at the current folder."""

    metavar: str = "NAME"
    example: str = "headroom"

    def parse(self, text: str) -> str:
        """Return the name, or an absolute path and the class."""
        return absolute(text)


class Name(msgspec.Struct, frozen=True):
    """The name of a metric."""

    metavar: str = "NAME"
    example: str = "letters, digits and _ . - /, e.g. log.overhead"

    def parse(self, text: str) -> str:
        """Return the name."""
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]{0,200}", text):
            raise ValueError("not a valid name of a metric")
        return text


class SourceName(msgspec.Struct, frozen=True):
    """The name of a source. The store and all receivers hold it as UTF-8."""

    metavar: str = "NAME"
    example: str = "headroom-proxy"

    def parse(self, text: str) -> str:
        """Return the name."""
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("not valid UTF-8") from None
        return text


class Several(msgspec.Struct, frozen=True):
    """Several texts, joined by ``separator``. ``in_variable`` is a pattern for what separates them in a variable."""

    metavar: str
    example: str
    separator: str
    in_variable: str

    def parse(self, text: str) -> tuple[str, ...]:
        """Return the texts."""
        return tuple(part for part in text.split(self.separator) if part)

    def of_variable(self, value: str) -> str:
        """Return the value of a variable with the separator of this kind."""
        return self.separator.join(filter(None, re.split(self.in_variable, value)))


OBSERVER = Option(
    "observer",
    ObserverName(),
    "Log format to read, e.g. headroom or ./acme.py:Acme (list: otel-logtail observers).",
)
PATH = Option(
    "path",
    Several("GLOB", "/var/log/headroom/proxy*.log", "\0", re.escape(os.pathsep)),  # a name may hold any other character
    "Log files to follow, e.g. '/var/log/headroom/proxy*.log'; may be repeated. Default: those of the observer.",
    key="paths",
)
SOURCE = Option(
    "source",
    SourceName(),
    "Name of the source, sent as service.name. Default: OTEL_SERVICE_NAME, else the observer's.",
)
EVENT = Option("event", Name(), "Name of the metrics and spans.", default="log.overhead")
THRESHOLD_MS = Option(
    "threshold_ms", Milliseconds(), "Latency in ms from which a sample counts as degraded.", default="500"
)
STALL_MS = Option(
    "stall_ms", Milliseconds(), "Latency in ms from which a sample counts as a stall. Default: 4 times --threshold-ms."
)
QUIET_MS = Option(
    "quiet_ms", Milliseconds(50), "Time in ms without a slow sample that ends an episode (at least 50).", default="3000"
)
FROM_START = Option("from_start", Flag(), "Read existing data at the first start, including rotated files.")
TIMEZONE = Option(
    "timezone", Zone(), "Time zone of timestamps that carry none, e.g. Europe/Vienna. Default: this machine's."
)
FRAMING = Option(
    "framing",
    Choice(("auto", "none", "syslog", "cri", "docker")),
    "Wrapper around each line that is removed, e.g. docker; auto decides for each line.",
    default="auto",
)
OF_A_SOURCE: tuple[Option[Any], ...] = (
    OBSERVER,
    PATH,
    SOURCE,
    EVENT,
    THRESHOLD_MS,
    STALL_MS,
    QUIET_MS,
    FROM_START,
    TIMEZONE,
    FRAMING,
)
"""Settings that a configuration has for each source, in its table."""

SUGGESTED = (THRESHOLD_MS, STALL_MS, QUIET_MS)
"""Settings of a source that an observer may suggest, in the field of this name."""

DB = Option(
    "db",
    File(beside=("-wal", "-shm", "-journal", ".lock", ".suspect")),
    "SQLite file of the store. Default: otel-logtail/otel-logtail.db in the user's state directory.",
)
RETENTION = Option(
    "retention",
    Duration(0, "1m", examples="30d, 12h"),
    "Age from which delivered data is deleted, e.g. 30d, 12h or none.",
    default="30d",
)
MAX_DB_SIZE = Option(
    "max_db_size",
    Size(0, "1MiB", examples="1GiB, 500MB"),
    "Size from which the oldest data is deleted, e.g. 1GiB, 500MB or none.",
    default="1GiB",
)
MAX_SERIES = Option(
    "max_series",
    Integer(1, 100_000),
    "Number of series per source, e.g. 2000; further ones are counted together.",
    default="2000",
)
EXPORT_INTERVAL = Option(
    "export_interval",
    Duration(None, "10ms", "1h", "500ms, 10s or 1m"),
    "Log time that one point covers, e.g. 500ms or 1m. Default: OTEL_METRIC_EXPORT_INTERVAL, else 10s"
    " (1m without an exporter of metrics).",
)
EXPORTER_FROM = Option(
    "exporter_from",
    Choice(("start", "now")),
    "Data that a new exporter begins with: all stored data (start), or only new data (now).",
    default="start",
)
LOG_FORMAT = Option(
    "log_format",
    Choice(("text", "json")),
    "Format of messages on standard error: text, or json with one object per line.",
    default="text",
)
VERBOSE = Option("verbose", Flag(), "Log each file read and each delivery, too.", short="-v")
QUIET = Option("quiet", Flag(), "Log warnings and errors only.", short="-q")
LOGGING: tuple[Option[Any], ...] = (LOG_FORMAT, VERBOSE, QUIET)

HEALTH_PORT = Option(
    "health_port",
    Integer(1, 65535, metavar="PORT"),
    "Port for health checks over HTTP, e.g. 13143: /livez, /readyz and /status. Default: none. Not with --once.",
)
HEALTH_HOST = Option(
    "health_host", Text("ADDRESS", "127.0.0.1"), "Address that the health port listens on.", default="127.0.0.1"
)
HEALTH: tuple[Option[Any], ...] = (HEALTH_PORT, HEALTH_HOST)

OF_A_RUN: tuple[Option[Any], ...] = (
    *(DB, RETENTION, MAX_DB_SIZE, MAX_SERIES, EXPORT_INTERVAL, EXPORTER_FROM),
    *HEALTH,
    *LOGGING,
)
"""Settings that a configuration has at its top."""

EXPORTER = Option(
    "exporter",
    Several("NAME", "console", ",", r"[,\s]+"),
    "Exporter to use, e.g. console (list: otel-logtail exporters); may be repeated. Default: otlp if an endpoint is"
    " given, else none.",
)
ONCE = Option("once", Flag(), "Read the logs from the start, deliver the data and exit (0: all delivered, else 1).")
CONFIG = Option(
    "config",
    Text("FILE", "otel-logtail.toml"),
    "TOML file with several sources and all of these options, e.g. otel-logtail.toml.",
)

FOLLOWING: tuple[Option[Any], ...] = (*OF_A_SOURCE, ONCE, DB, RETENTION, MAX_DB_SIZE, MAX_SERIES)
EXPORTING: tuple[Option[Any], ...] = (EXPORTER, EXPORTER_FROM, EXPORT_INTERVAL)
ALL: tuple[Option[Any], ...] = (CONFIG, *FOLLOWING, *EXPORTING, *HEALTH, *LOGGING)
"""All settings, in the order of ``--help``."""
