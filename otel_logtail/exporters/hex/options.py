"""The options of the hex bus and of hex's telemetry table. Pure."""

from __future__ import annotations

from otel_logtail.option import Duration, File, Option, Text

URL = Option(
    "hex_url",
    Text(metavar="URL"),
    "URL of hex's engine. Default: III_URL, else ws://127.0.0.1:49134.",
)
MAX_AGE = Option(
    "hex_max_age",
    Duration(endless=0, examples="10m, 90s, 1h"),
    "Age from which an event is counted and not sent to hex, e.g. 10min, 1h or none.",
    default="10m",
)
DB = Option(
    "hex_db",
    File(beside=("-wal", "-shm", "-journal")),
    "Telemetry database of hex. Default: the one in HEX_DIR.",
    default="${HEX_DIR}/.hex/telemetry/events.db",
    key="db",
)
