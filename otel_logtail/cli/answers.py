"""Answers in each output format: a table for people; JSON, JSON lines or CSV for programs.

Rows are written as they are read, a piece at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TextIO

import msgspec

from otel_logtail.cli.streams import json_text, safe
from otel_logtail.cli.tables import Column, Row, Table
from otel_logtail.text import duration, local, pairs, parse_when, size

Format = Literal["table", "json", "jsonl", "csv"]

_IN_NO_TEXT = "\ud800"
"""A character that no stream encodes. Without an escape character, Python 3.10 refuses to write a NUL."""

# --- values -------------------------------------------------------------------------------------------------------


def _time(value: object) -> str:
    return "-" if value is None else local(parse_when(str(value), 0))


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _optional(value: object) -> str:
    return "-" if value is None else str(value)


def _bytes(value: object) -> str:
    """Return the exact number of bytes and a rounded size: ``1,234,567 (1.2 MiB)``."""
    number = float(str(value))
    return _number(value) if number < 1024 else f"{_number(value)} ({size(number)})"


# --- rows ---------------------------------------------------------------------------------------------------------


SAMPLE_COLUMNS = (
    Column("time", "time", _time),
    Column("duration_ms", "duration", duration, right=True),
    Column("severity", "severity"),
    Column("cause", "cause"),
    Column("stage", "stage"),
    Column("source", "source"),
    Column("attributes", "attributes", pairs, wraps=True),
    Column("stages", "stages (ms)", pairs, wraps=True),
    Column("file", "file", _optional),
    Column("offset", "offset", right=True),
    Column("id", "id", right=True),
)
"""Columns of samples, the most important one first."""

SLOW_COLUMNS = (
    Column("duration_ms", "duration", duration, right=True),
    Column("time", "time", _time),
    Column("cause", "cause"),
    Column("stages", "stages (ms)", pairs, wraps=True),
    Column("trace_id", "trace"),
    Column("source", "source"),
    Column("link_trace_id", "trace of the line"),
    Column("severity", "severity"),
    Column("attributes", "attributes", pairs, wraps=True),
    Column("file", "file", _optional),
    Column("offset", "offset", right=True),
    Column("id", "id", right=True),
)
"""Columns of the slowest samples."""

EPISODE_COLUMNS = (
    Column("start", "start", _time),
    Column("duration_ms", "duration", duration, right=True),
    Column("count", "count", _number, right=True),
    Column("peak_ms", "peak", duration, right=True),
    Column("severity", "severity"),
    Column("cause", "cause"),
    Column("dominant_stage", "stage"),
    Column("open", "open", lambda is_open: "yes" if is_open else "no"),
    Column("source", "source"),
    Column("trace_id", "trace"),
    Column("span_id", "span"),
    Column("end", "end", _time),
    Column("id", "id", _optional, right=True),
)
"""Columns of episodes, the most important one first."""

MARK_COLUMNS = (
    Column("time", "time", _time),
    Column("text", "mark", wraps=True),
    Column("source", "source"),
)
"""Columns of marks, the most important one first."""

SCHEMA_COLUMNS = (
    Column("view", "view"),
    Column("column", "column"),
    Column("unit", "unit"),
    Column("meaning", "meaning", wraps=True),
)

STAGE_COLUMNS = (
    Column("stage", "stage"),
    Column("count", "count", _number, right=True),
    Column("mean_ms", "mean", duration, right=True),
    Column("p50_ms", "p50", duration, right=True),
    Column("p90_ms", "p90", duration, right=True),
    Column("p99_ms", "p99", duration, right=True),
    Column("max_ms", "max", duration, right=True),
)


def write_records(
    out: TextIO,
    kind: type[msgspec.Struct],
    records: Iterable[msgspec.Struct],
    form: Format,
    columns: Sequence[Column] = (),
    width: int | None = None,
) -> int:
    """Write records of one kind and return their number; the arguments are those of :func:`write_rows`."""
    return write_rows(out, kind.__struct_encode_fields__, map(msgspec.structs.astuple, records), form, columns, width)


def write_rows(
    out: TextIO,
    keys: Sequence[str],
    rows: Iterable[Row],
    form: Format,
    columns: Sequence[Column] = (),
    width: int | None = None,
) -> int:
    """Write rows and return their number.

    Args:
        out: The stream.
        keys: The keys of a row's values.
        rows: Rows of numbers, texts, None, booleans and mappings, taken one by one.
        form: ``table``, ``json`` (one array), ``jsonl`` or ``csv``.
        columns: The columns of a table, the least important one last; empty: every value as it is.
        width: The width of a table; None: the terminal's.
    """
    if form == "table":
        every = [Column(key, key, _optional, wraps=True) for key in keys]
        return Table(out, columns or every, width=width, complete=not columns).write(keys, rows)
    number = 0
    if form == "csv":
        writer = csv.writer(out, lineterminator="\n", escapechar=_IN_NO_TEXT)
        writer.writerow(keys)
        for row in rows:
            writer.writerow([safe(cell, out) if isinstance(cell, str) else cell for cell in map(_csv_cell, row)])
            number += 1
        return number
    encode = msgspec.json.Encoder().encode
    before, between, after = ("[", ",\n ", "]\n") if form == "json" else ("", "\n", "")
    # nothing is written before the first row is read, so a query that fails leaves no partial output
    for number, row in enumerate(rows, 1):
        out.write(before if number == 1 else between)
        out.write(json_text(encode(dict(zip(keys, row, strict=True))), out))
    out.write(before if not number else "")
    out.write(after if form == "json" else "\n" if number else "")
    return number


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode() if isinstance(value, Mapping) else value


# --- single answers -------------------------------------------------------------------------------------------------


def write_summary(out: TextIO, summary: msgspec.Struct, form: Format) -> None:
    """Write one record: an object in JSON, one line per value in a table."""
    keys, values = summary.__struct_encode_fields__, msgspec.structs.astuple(summary)
    if form == "json":
        out.write(json_text(msgspec.json.encode(summary), out) + "\n")
    elif form == "table":
        shown = [
            (key.removesuffix("_ms").replace("_", " "), _summary_value(key, value))
            for key, value in zip(keys, values, strict=True)
        ]
        columns = (Column("what", "what"), Column("value", "value", right=True))
        Table(out, columns).write(("what", "value"), shown)
    else:
        write_rows(out, keys, [values], form)


def _summary_value(key: str, value: object) -> str:
    if key.endswith("_ms"):
        return "-" if value is None else duration(value)
    return _time(value) if key in ("from", "to") else _number(value)


def write_status(out: TextIO, status: Mapping[str, object], form: Format, *, width: int | None = None) -> None:
    """Write the answer of ``query.status``. CSV has one line per value, with its path in the object as ``key``."""
    if form in ("json", "jsonl"):
        out.write(json_text(msgspec.json.encode(status), out) + "\n")
    elif form == "csv":
        write_rows(out, ("key", "value"), _flat("", status), "csv")
    else:
        sources, exporters = _records(status["sources"]), _records(status["exporters"])
        files = [{"source": source["name"], **file} for source in sources for file in _records(source["files"])]
        sections: dict[str, Sequence[Mapping[str, object]]] = {
            "sources": [_without_advice({**source, "files": len(_records(source["files"]))}) for source in sources],
            "files": files,
            "exporters": [{**exporter, "last_success": _time(exporter["last_success"])} for exporter in exporters],
            "store": _records([status["db"]]),
        }
        if silent := [{"source": s["name"], "todo": s["no_sample"]} for s in sources if s["no_sample"]]:
            sections["sources without a sample"] = silent
        for title, records in sections.items():
            out.write(f"{title}\n" if title == "sources" else f"\n{title}\n")
            _write_section(out, records, width)


def _without_advice(source: Mapping[str, object]) -> Mapping[str, object]:
    return {key: value for key, value in source.items() if key != "no_sample"}


def _write_section(out: TextIO, records: Sequence[Mapping[str, object]], width: int | None) -> None:
    if not records:
        out.write("none\n")
        return
    columns = [_status_column(key, value) for key, value in records[0].items()]
    Table(out, columns, width=width, complete=True).write(tuple(records[0]), [tuple(r.values()) for r in records])


def _status_column(key: str, value: object) -> Column:
    title = key.replace("_", " ")
    if isinstance(value, Mapping):
        return Column(key, title, lambda item: pairs(item) or "-", wraps=True)
    if isinstance(value, list):
        return Column(key, title, _names, wraps=True)
    if key.endswith("_ms"):
        return Column(key, title.removesuffix(" ms"), duration, right=True)
    if isinstance(value, int):
        return Column(key, title, _bytes if key in ("bytes", "size_bytes", "wal_bytes") else _number, right=True)
    return Column(key, title, _optional, wraps=True)


def _names(value: object) -> str:
    return (", ".join(str(item) for item in value) if isinstance(value, list) else "") or "-"


def _records(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _flat(path: str, value: object) -> Iterable[Row]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(f"{path}.{index}", item)
    else:
        yield path, value
