"""Answer ``query schema``: the views of the store and their columns. They stay the same; the tables may change."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

_ID = ("id", "", "Permanent id: file and offset of the line.")
_OF_A_SAMPLE = (
    ("time", "UTC", "End of the sample, ISO 8601 with nanoseconds."),
    ("time_unix_nano", "ns", "The same time, since the Unix epoch."),
    ("source", "", "Name of the source."),
    ("duration_ms", "ms", "Duration of the sample."),
    ("severity", "", "ok, degraded or stall."),
    ("cause", "", "Largest part of the sample, as its observer names it."),
    ("stage", "", "Longest stage."),
    ("attributes", "", "JSON object: attributes of the sample's series."),
)
_OF_A_LINE = (
    ("file", "", "Last known path of the log file; null if it is no longer known."),
    ("offset", "bytes", "Position of the line in the file."),
)

VIEWS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "samples": (
        _ID,
        *_OF_A_SAMPLE,
        ("stages", "ms", "JSON object: duration of each stage that ran."),
        *_OF_A_LINE,
    ),
    "breaches": (
        _ID,
        *_OF_A_SAMPLE,
        ("uid", "", "Permanent id as 16 bytes in hexadecimal, as exported."),
        ("trace_id", "", "Trace id of the episode."),
        ("span_id", "", "Span id of the episode."),
        ("link_trace_id", "", "Trace id in the line; empty: the line has none."),
        ("link_span_id", "", "Span id in the line; empty: the line has none."),
        *_OF_A_LINE,
    ),
    "episodes": (
        ("id", "", "Number of the closed episode; null while it is open."),
        ("start", "UTC", "Start of the first slow sample, ISO 8601 with nanoseconds."),
        ("end", "UTC", "End of the last slow sample."),
        ("duration_ms", "ms", "Time from start to end."),
        ("count", "", "Number of slow samples."),
        ("peak_ms", "ms", "Duration of the slowest sample."),
        ("severity", "", "Severity of the slowest sample: degraded or stall."),
        ("cause", "", "Cause of the slowest sample."),
        ("dominant_stage", "", "Longest stage of the slowest sample."),
        ("trace_id", "", "Trace id of the exported span."),
        ("span_id", "", "Span id of the exported span."),
        ("open", "", "The episode can still grow: 1 or 0."),
        ("source", "", "Name of the source."),
        ("file", "", "Path that the program writes to."),
        ("attributes", "", "JSON object: attributes of the episode."),
        ("start_unix_nano", "ns", "Start, since the Unix epoch."),
        ("end_unix_nano", "ns", "End, since the Unix epoch."),
    ),
    "marks": (
        ("id", "", "Number of the mark."),
        ("time", "UTC", "Time of the mark, ISO 8601 with nanoseconds."),
        ("time_unix_nano", "ns", "The same time, since the Unix epoch."),
        ("source", "", "Name of the source."),
        ("text", "", "Text of the mark, such as a version that was deployed."),
        ("uid", "", "Permanent id as 16 bytes in hexadecimal, as exported."),
    ),
    "minutes": (
        ("minute", "UTC", "Start of the minute, ISO 8601."),
        ("source", "", "Name of the source."),
        ("attributes", "", "JSON object: attributes of the series."),
        ("count", "", "Number of samples."),
        ("mean_ms", "ms", "Mean duration."),
        ("min_ms", "ms", "Shortest duration."),
        ("max_ms", "ms", "Longest duration."),
    ),
}
"""Name, unit and meaning of each column, by view."""


class ColumnRow(msgspec.Struct, frozen=True):
    """One column of a view."""

    view: str
    column: str
    unit: str
    meaning: str


def schema() -> Iterator[ColumnRow]:
    """Return the columns of all views, in their order."""
    return (ColumnRow(view, *column) for view, columns in VIEWS.items() for column in columns)
