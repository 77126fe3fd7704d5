"""The options of the JSON lines file. Pure."""

from __future__ import annotations

from otel_logtail.option import File, Integer, Option, Size

KIND = File(rotated=r"\.\d+", signals=("metrics", "traces", "logs"), example="/var/lib/otel-logtail/{signal}.jsonl")
FILE = Option(
    "jsonl_file",
    KIND,
    "File that OTLP is written to as JSON lines, e.g. /var/log/otlp.{signal}.jsonl: one file for each signal.",
)
MAX_SIZE = Option("jsonl_max_size", Size(), "Size at which the file is rotated, e.g. 100MiB or 1GB.", default="100MiB")
KEEP = Option("jsonl_keep", Integer(0, 10_000), "Number of rotated files to keep.", default="10")
