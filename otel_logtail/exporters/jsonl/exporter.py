"""OTLP as JSON lines in a file, in the format of the collector's file exporter and its otlpjsonfile receiver.

A line is one whole request. If the name of the file contains ``{signal}``, each signal has a file of its own, as the
specification of such files requires (docs/decisions/0132). A file is opened for each batch, so that it may be moved or
removed meanwhile. Delivered lines are synced to the disk; an incomplete line that a crash left is removed before the
next one is written.

The file is rotated before it grows beyond its limit: ``x.jsonl`` becomes ``x.jsonl.1``, that one ``x.jsonl.2``, and the
oldest is removed. A single line may be larger than the limit. A new file has the permissions of the one before it.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # protobuf ships no types

from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.jsonl.file import LineFile, see_that_it_is_ours
from otel_logtail.exporters.jsonl.options import FILE, KEEP, KIND, MAX_SIZE
from otel_logtail.exporters.otlp.component import records_of
from otel_logtail.exporters.otlp.config import read_form
from otel_logtail.exporters.otlp.encoding import SIGNALS, Encoding, ExportRequest
from otel_logtail.exporters.otlp.requests import encoding_of, requests, streams_of
from otel_logtail.model import Delivered, Delivery, ExportBatch, Partial, Retry, Stream

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class JsonlExporter(Exporter):
    """Writes to a file, or to one for each signal, and keeps a number of rotated files."""

    name = "jsonl"

    def __init__(self, path: Path, encoding: Encoding, wants: frozenset[Stream], *, max_bytes: int, keep: int) -> None:
        self.wants = wants
        self.form = encoding.form
        self._paths = KIND.paths(path)
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._keep = keep
        self._closed = False

    def records(self, batch: ExportBatch) -> int:
        """Return the number of data points, spans or log records of a batch."""
        return records_of(batch, self._encoding)

    def export(self, batch: ExportBatch) -> Delivery:
        """Append the batch's requests and sync them to the disk."""
        path = self._paths.get("") or self._paths[SIGNALS[batch.stream]]
        delivered = synced = 0
        file: LineFile | None = None
        try:
            for request in requests(batch, self._encoding):
                if self._closed:
                    raise OSError("the exporter is closed")
                line = to_json(request.message) + b"\n"
                file = file or LineFile(path)
                if file.size and file.size + len(line) > self._max_bytes:
                    file.close()
                    synced = delivered
                    self._rotate(path)
                    file = LineFile(path, file.mode)
                file.append(line)
                delivered += request.count
            if file is not None:
                file.close()
        except OSError as problem:
            why = Retry(f"{path} can't be written: {problem.strerror or problem}")
            if file is not None and file.give_up():
                synced = delivered
            return Partial(synced, why) if synced else why
        return Delivered()

    def close(self) -> None:
        """Stop after the current line."""
        self._closed = True

    def _rotate(self, path: Path) -> None:
        names = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, self._keep + 1))]
        if os.path.lexists(names[-1]):
            see_that_it_is_ours(names[-1])  # it is removed
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        if self._keep == 0:
            path.unlink()


def to_json(message: ExportRequest) -> bytes:
    """Return a message in OTLP's JSON: ids in hexadecimal, enumerations as numbers, names in camel case."""
    data: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    _ids_in_hex(data)
    return msgspec.json.encode(data)


def _ids_in_hex(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in _IDS:
                value[key] = base64.b64decode(item).hex()
            else:
                _ids_in_hex(item)
    elif isinstance(value, list):
        for item in value:
            _ids_in_hex(item)


def make(context: ExporterContext) -> JsonlExporter:
    """Create the exporter.

    Raises:
        UsageError: an option is wrong, or the file cannot be used.
    """
    form = read_form(context)
    path, where = context.require(FILE), context.where(FILE)
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise UsageError(f"{where} {path}: {path.parent} is not a directory", hint="name a file in a directory")
    except OSError as problem:
        raise UsageError(f"{where} {path}: {problem.strerror}", hint="its directory must be there") from problem
    for one in KIND.paths(path).values():
        _check_file(one, where)
    return JsonlExporter(
        path,
        encoding_of(form, context),
        streams_of(form),
        max_bytes=context.require(MAX_SIZE),
        keep=context.require(KEEP),
    )


def _check_file(path: Path, where: str) -> None:
    if os.path.lexists(path):
        try:
            see_that_it_is_ours(path)
        except OSError as problem:
            hint = "name a new file; --exporter console writes to stdout"
            raise UsageError(f"{where} {path} can't be used: {problem.strerror}", hint=hint) from problem
