"""Answers as text: a table for people, JSON, JSON lines or CSV for programs. Writes as it reads, a piece at a time.

A table on a terminal fits it (columns that matter least go first) and has colour; anywhere else it is plain text with
every column. What comes out of a log can't move the cursor: characters that don't print are shown as escapes.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from itertools import chain, islice
from typing import Literal, TextIO

import msgspec

from otel_logtail.text import duration, local, pairs, parse_when, printable, size

Format = Literal["table", "json", "jsonl", "csv"]
Row = Sequence[object]
Show = Callable[[object], str]

_PIECE = 500  # rows of a table that are measured and written together
_GAP = 2
_COLOURS = {"degraded": "yellow", "stall": "bold red"}


class Column(msgspec.Struct, frozen=True):
    """One column of a table: the key of its values, its heading, how a value is shown."""

    key: str
    title: str
    show: Show = str
    right: bool = False


# --- values -------------------------------------------------------------------------------------------------------


def _time(tz: tzinfo | None, value: object) -> str:
    return "-" if value is None else local(parse_when(str(value), 0), tz)


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _optional(value: object) -> str:
    return "-" if value is None else str(value)


def _bytes(value: object) -> str:
    """An exact number of bytes with what it comes to: ``1,234,567 (1.2 MiB)``."""
    number = float(str(value))
    return _number(value) if number < 1024 else f"{_number(value)} ({size(number)})"


def encodable(line: str, out: TextIO) -> str:
    """The line as a stream can take it: where it is no UTF-8, dashes and bars are plainer, and the rest is escaped."""
    encoding = out.encoding or "ascii"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        plainer = line.replace("–", "-").replace("█", "#")
        return plainer.encode(encoding, "backslashreplace").decode(encoding)
    return line


def _fit(out: TextIO, text: str) -> str:
    """The text as a stream can take it, and as a terminal is not moved by it."""
    return encodable(printable(text) if out.isatty() else text, out)


def _takes_all(out: TextIO) -> bool:
    return (out.encoding or "utf-8").lower().replace("-", "") == "utf8"


def _json_for(out: TextIO, encoded: bytes) -> str:
    """JSON for a stream; escapes stand for whatever moves a terminal, or is not in another encoding than UTF-8."""
    text = encoded.decode()
    if not _takes_all(out):
        return json.dumps(json.loads(text), separators=(",", ":"))
    if not out.isatty() or text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


# --- tables -------------------------------------------------------------------------------------------------------


def columns_of(kind: str, tz: tzinfo | None = None) -> tuple[Column, ...]:
    """The table columns of ``samples``, ``episodes`` or ``stages``, in the order in which they matter."""
    time = partial(_time, tz)
    if kind == "samples":
        return (
            Column("time", "time", time),
            Column("duration_ms", "duration", duration, right=True),
            Column("severity", "severity"),
            Column("cause", "cause"),
            Column("stage", "stage"),
            Column("source", "source"),
            Column("attributes", "attributes", pairs),
            Column("stages", "stages (ms)", pairs),
            Column("file", "file", _optional),
            Column("offset", "offset", right=True),
            Column("id", "id", right=True),
        )
    if kind == "episodes":
        return (
            Column("start", "start", time),
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
            Column("end", "end", time),
            Column("id", "id", _optional, right=True),
        )
    return (
        Column("stage", "stage"),
        Column("count", "count", _number, right=True),
        Column("mean_ms", "mean", duration, right=True),
        Column("p50_ms", "p50", duration, right=True),
        Column("p90_ms", "p90", duration, right=True),
        Column("p99_ms", "p99", duration, right=True),
        Column("max_ms", "max", duration, right=True),
    )


def terminal_width(out: TextIO) -> int | None:
    """How many characters a line of the terminal has; None: it is none."""
    return shutil.get_terminal_size().columns if out.isatty() else None


def _table(
    out: TextIO,
    keys: Sequence[str],
    rows: Iterable[Row],
    columns: Sequence[Column],
    width: int | None,
    *,
    fold: bool = False,
) -> int:
    """Write a table piece by piece. Where a terminal is too narrow: fold long cells, or leave the last columns out."""
    where = [list(keys).index(column.key) for column in columns]
    heading = [column.title for column in columns]
    rows = iter(rows)
    show = printable if _takes_all(out) else lambda text: encodable(printable(text), out)
    widths: list[int] = []
    number = 0
    while True:
        cells = [
            [show(column.show(row[index])) for column, index in zip(columns, where, strict=True)]
            for row in islice(rows, _PIECE)
        ]
        if number and not cells:
            return number
        if not number or width is not None:
            widths = [max(map(_cells, column)) for column in zip(heading, *cells, strict=True)]
        if width is None:
            lines = cells if number else chain([heading], cells)
            out.writelines(_plain(line, columns, widths) + "\n" for line in lines)
        else:
            _on_terminal(out, columns if fold else columns[: _fitting(widths, width)], cells, width)
        number += len(cells)
        if len(cells) < _PIECE:
            return number


def _cells(text: str) -> int:
    """How many places it takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # costs 4 ms, which most answers do not need

    return cell_len(text)


def _fitting(widths: Sequence[int], width: int) -> int:
    """How many columns fit side by side, at least one."""
    used, number = 0, 0
    for each in widths:
        used += each + _GAP
        if number and used - _GAP > width:
            break
        number += 1
    return number


def _plain(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        space = " " * (width - _cells(cell))
        padded.append(space + cell if column.right else cell + space)
    return (" " * _GAP).join(padded).rstrip()


def _on_terminal(out: TextIO, columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row[: len(columns)]))
    Console(file=out, width=width, highlight=False, force_terminal=True).print(table)


# --- what commands write --------------------------------------------------------------------------------------------


def write_rows(
    out: TextIO,
    keys: Sequence[str],
    rows: Iterable[Row],
    form: Format,
    *,
    columns: Sequence[Column] | None = None,
    width: int | None = None,
    fold: bool = False,
) -> int:
    """Write rows and give their number.

    Args:
        out: Where to.
        keys: The names of a row's values.
        rows: Values as they are (numbers, texts, None, bools, mappings), taken one by one.
        form: ``table``, ``json`` (one array), ``jsonl`` or ``csv``.
        columns: What a table shows, the least important last; else every value, as it is.
        width: The terminal's (see :func:`terminal_width`).
        fold: Show every column on a terminal, however narrow it is.
    """
    if form == "table":
        shown = columns or [Column(key, key, _optional) for key in keys]
        return _table(out, keys, rows, shown, width, fold=fold or columns is None)
    number = 0
    if form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(keys)
        for row in rows:
            writer.writerow([_fit(out, cell) if isinstance(cell, str) else cell for cell in map(_csv_cell, row)])
            number += 1
        return number
    encode = msgspec.json.Encoder().encode
    before, between, after = ("[", ",\n ", "]\n") if form == "json" else ("", "\n", "")
    # the first row comes before the bracket: a question that fails leaves no half an answer behind
    for number, row in enumerate(rows, 1):
        out.write(before if number == 1 else between)
        out.write(_json_for(out, encode(dict(zip(keys, row, strict=True)))))
    out.write(before if not number else "")
    out.write(after if form == "json" else "\n" if number else "")
    return number


def structs(rows: Iterable[msgspec.Struct]) -> Iterable[Row]:
    """The values of records, in the order of their keys."""
    return map(msgspec.structs.astuple, rows)


def keys_of(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The keys of a kind of records, as users see them."""
    return kind.__struct_encode_fields__


def write_summary(
    out: TextIO, summary: msgspec.Struct, form: Format, *, width: int | None = None, tz: tzinfo | None = None
) -> None:
    """Write one record: an object in JSON, a line for each value in a table (times in ``tz``; None: the local zone)."""
    keys, values = keys_of(type(summary)), msgspec.structs.astuple(summary)
    if form == "json":
        out.write(_json_for(out, msgspec.json.encode(summary)) + "\n")
    elif form == "table":
        shown = [
            (
                key.removesuffix("_ms"),
                duration(value)
                if key.endswith("_ms")
                else _time(tz, value)
                if key in ("from", "to")
                else _number(value),
            )
            for key, value in zip(keys, values, strict=True)
        ]
        _table(out, ("what", "value"), shown, (Column("what", "what"), Column("value", "value", right=True)), width)
    else:
        write_rows(out, keys, [values], form)


def write_status(
    out: TextIO, status: Mapping[str, object], form: Format, *, width: int | None = None, tz: tzinfo | None = None
) -> None:
    """Write what ``query.status`` gives; CSV is one line for each value, with its path in the object as ``key``."""
    if form in ("json", "jsonl"):
        out.write(_json_for(out, msgspec.json.encode(status)) + "\n")
    elif form == "csv":
        write_rows(out, ("key", "value"), _flat("", status), "csv")
    else:
        sources, exporters = _records(status["sources"]), _records(status["exporters"])
        files = [{"source": source["name"], **file} for source in sources for file in _records(source["files"])]
        _section(out, "sources", [{**s, "files": len(_records(s["files"]))} for s in sources], width)
        _section(out, "files", files, width)
        _section(out, "exporters", [{**e, "last_success": _time(tz, e["last_success"])} for e in exporters], width)
        _section(out, "store", _records([status["db"]]), width)


def _section(out: TextIO, title: str, records: Sequence[Mapping[str, object]], width: int | None) -> None:
    out.write(f"{title}\n" if title == "sources" else f"\n{title}\n")
    if not records:
        out.write("none\n")
        return
    keys = tuple(records[0])
    columns = [_status_column(key, records[0][key]) for key in keys]
    write_rows(
        out, keys, [tuple(record.values()) for record in records], "table", columns=columns, width=width, fold=True
    )


def _status_column(key: str, value: object) -> Column:
    title = key.replace("_", " ")
    if isinstance(value, Mapping):
        return Column(key, title, lambda item: pairs(item) or "-")
    if isinstance(value, list):
        return Column(key, title, _names)
    if isinstance(value, int):
        return Column(key, title, _bytes if key in ("bytes", "size_bytes", "wal_bytes") else _number, right=True)
    return Column(key, title, _optional)


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


def _csv_cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode() if isinstance(value, Mapping) else value
