"""OTLP as JSON lines in a file: what the collector's file exporter writes and its otlpjsonfile receiver reads.

A line is one whole request. The file is looked at anew for each batch, so that it may be moved or removed meanwhile.
What was confirmed has been synced to the disk; a line that a crash cut off is cut away before the next one.

The file is rotated when it would grow beyond its bound: ``x.jsonl`` becomes ``x.jsonl.1``, that one ``x.jsonl.2``, and
the oldest is removed. A single line may be larger than the bound.

Nothing is cut off or removed but what such a program has written: a file that begins with something else, or whose
unfinished last line does, is refused. New files are for their owner alone, as the store is; a file that a rotation
makes has the permissions of the one before it. Known limit: lines of others in the middle of the file are not noticed.
"""

from __future__ import annotations

import base64
import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # protobuf ships no types

from otel_logtail.errors import UsageError
from otel_logtail.exporter import Exporter, ExporterContext
from otel_logtail.exporters.otlp.config import read_form
from otel_logtail.exporters.otlp.encode import Encoding, ExportRequest
from otel_logtail.exporters.otlp.requests import encoding_of, requests, streams_of
from otel_logtail.model import Delivered, Delivery, ExportBatch, Partial, Retry, Stream
from otel_logtail.option import Option, Size
from otel_logtail.ownfile import open_own

DEFAULT_MAX_BYTES = 100 * 1024 * 1024
_MAX_SIZE = Option("jsonl_max_size", Size(), "")
DEFAULT_KEEP = 10

_LOOK_BACK = 64 * 1024
_BEGINNINGS = (b'{"resourceMetrics":', b'{"resourceSpans":', b'{"resourceLogs":')
_FOREIGN = "it holds something else than OTLP JSON lines"
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class JsonlExporter(Exporter):
    """A file, and as many rotated ones beside it as are to be kept."""

    name = "jsonl"

    def __init__(self, path: Path, encoding: Encoding, wants: frozenset[Stream], *, max_bytes: int, keep: int) -> None:
        self.wants = wants
        self.form = encoding.form
        self._path = path
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._keep = keep
        self._closed = False

    def export(self, batch: ExportBatch) -> Delivery:
        """Append the batch's requests and sync them to the disk."""
        delivered = synced = 0
        file: _File | None = None
        try:
            for request in requests(batch, self._encoding):
                if self._closed:
                    raise OSError("the exporter is closed")
                line = to_json(request.message) + b"\n"
                file = file or _File(self._path)
                if file.size and file.size + len(line) > self._max_bytes:
                    file.close()
                    synced = delivered
                    self._rotate()
                    file = _File(self._path, file.mode)
                file.append(line)
                delivered += request.count
            if file is not None:
                file.close()
        except OSError as problem:
            why = Retry(f"{self._path} can't be written: {problem.strerror or problem}")
            if file is not None and file.give_up():
                synced = delivered
            return Partial(synced, why) if synced else why
        return Delivered()

    def close(self) -> None:
        """End after the line that is being written."""
        self._closed = True

    def _rotate(self) -> None:
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._keep + 1))]
        if os.path.lexists(names[-1]):
            see_that_it_is_ours(names[-1])  # it is removed
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        if self._keep == 0:
            self._path.unlink()


class _File:
    """The file, open and locked, while a batch is written: always whole lines, also when a write fails."""

    def __init__(self, path: Path, mode: int | None = None) -> None:
        self._fd: int | None = open_own(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_ours(os.pread(self._fd, _LOOK_BACK, 0)):
                raise OSError(_FOREIGN)
            if mode is not None:
                os.fchmod(self._fd, mode)
            found = os.fstat(self._fd)
            self.mode = stat.S_IMODE(found.st_mode)
            self.size = self._whole_lines(found.st_size)
            self._path, self._new = path, self.size == 0
        except BlockingIOError:
            self._free()
            raise OSError("another process is writing it") from None
        except BaseException:
            self._free()
            raise

    def append(self, line: bytes) -> None:
        """Append a line as a whole, or not at all."""
        assert self._fd is not None  # noqa: S101 - for the type checker: nothing is appended to a closed one
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(line)

    def close(self) -> None:
        """Sync it to the disk and close it."""
        if self._fd is not None:
            try:
                os.fsync(self._fd)
                if self._new:
                    _sync_names(self._path.parent)
            finally:
                self._free()

    def give_up(self) -> bool:
        """Close it after something failed, if it is open; returns whether that brought what it holds to the disk."""
        if self._fd is None:  # it could not be synced, or was before
            return False
        try:
            self.close()
        except OSError:
            return False
        return True

    def _free(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _whole_lines(self, size: int) -> int:
        """Cut off what is behind the last newline (a crash left it there), and return the size."""
        assert self._fd is not None  # noqa: S101 - for the type checker
        end = size
        while end:
            start = max(0, end - _LOOK_BACK)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if not _is_ours(os.pread(self._fd, _LOOK_BACK, end)):
            raise OSError(_FOREIGN)
        if end < size:
            os.ftruncate(self._fd, end)
        return end


def _is_ours(text: bytes) -> bool:
    """Whether a line begins as ours do; of one that a crash cut off, or left as NULs, there may be less."""
    written = text.rstrip(b"\0")
    return any(written.startswith(beginning) or beginning.startswith(written) for beginning in _BEGINNINGS)


def see_that_it_is_ours(path: Path) -> None:
    """See that a file may be continued and removed.

    Raises:
        OSError: it is no regular file, or others have written it.
    """
    fd = open_own(path, os.O_RDONLY)
    try:
        if not _is_ours(os.pread(fd, _LOOK_BACK, 0)):
            raise OSError(0, _FOREIGN, str(path))
    finally:
        os.close(fd)


def _sync_names(folder: Path) -> None:
    """Sync what the files of a directory are called: a new one is there after a power loss, too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def to_json(message: ExportRequest) -> bytes:
    """A message in OTLP's JSON: ids in hexadecimal, enumerations as numbers, names in camel case."""
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
    """OTLP as JSON lines in a file (--jsonl-file), rotated by size; the collector's otlpjsonfile receiver reads it.

    Raises:
        UsageError: there is no file named, or it can't be one.
    """
    form = read_form(context.environ, context.options)
    name = context.options.get("jsonl_file", "")
    if not name:
        raise UsageError("the exporter jsonl needs a file", hint="--jsonl-file PATH")
    path = Path(name).absolute()
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise UsageError(
                f"--jsonl-file {name}: {path.parent} is not a directory", hint="name a file in a directory"
            )
    except OSError as problem:
        raise UsageError(f"--jsonl-file {name}: {problem.strerror}", hint="its directory must be there") from problem
    if os.path.lexists(path):
        try:
            see_that_it_is_ours(path)
        except OSError as problem:
            hint = "name a new file; --exporter console writes to stdout"
            raise UsageError(f"--jsonl-file {name} can't be used: {problem.strerror}", hint=hint) from problem
    return JsonlExporter(
        path,
        encoding_of(form, context),
        streams_of(form),
        max_bytes=_max_bytes(context.options.get("jsonl_max_size", "")),
        keep=_keep(context.options.get("jsonl_keep", "")),
    )


def _max_bytes(text: str) -> int:
    return _MAX_SIZE.parse(text) if text else DEFAULT_MAX_BYTES


def _keep(text: str) -> int:
    if not text:
        return DEFAULT_KEEP
    if not (text.isascii() and text.isdecimal() and int(text[:6]) <= 10_000):
        raise UsageError(f"--jsonl-keep {text!r} is no number of files", hint="from 0 to 10000")
    return int(text)
