"""A file beside the store with the latest data that an exporter has sent. It detects restored backups of the store.

The table ``sent`` of the store has the same data, written in one transaction with the cursor. The file is written
afterwards, so it is never ahead of the store. If it is, the store is an older copy: a restored backup, or a store that
lost its last transactions in a power cut. Then the receiver has more data than the store. Each exporter has a file:
``.STORE.EXPORTER.sent``. Its name starts with a dot, so it is not copied or moved with ``store.db*``.

Known limits: a copy of the whole directory contains the file, which is then as old as the store. Without the file an
older copy is not detected. The file is not synced: after a power cut it may be older or unreadable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec


class Sent(msgspec.Struct, frozen=True):
    """The latest end of an interval and the latest time of a point that were sent, for each source of a store."""

    instance: str = ""
    sources: dict[str, tuple[int, int]] = {}

    def is_ahead_of(self, sources: Mapping[str, tuple[int, int]]) -> bool:
        """Return whether more of any source was sent than that."""
        return any(
            end_ns > sources.get(name, (0, 0))[0] or time_ns > sources.get(name, (0, 0))[1]
            for name, (end_ns, time_ns) in self.sources.items()
        )


class Marker:
    """The file of one exporter. Errors are ignored: without the file only the detection of older copies fails."""

    def __init__(self, store: Path, exporter: str) -> None:
        real = Path(os.path.realpath(store))
        self._path = real.with_name(f".{real.name}.{quote(exporter, safe='')}.sent")
        self._file: int | None = None
        self._length = 0

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self) -> Sent:
        """Return the content of the file; empty if the file is missing or unreadable."""
        return _read(self._path)

    def write(self, sent: Sent) -> None:
        """Write the file in place with one system call: a rename for each batch takes milliseconds on ext4.

        If the process dies, the file has the old or the new text. A text that is torn nevertheless is unreadable.
        """
        text = msgspec.json.encode(sent)
        try:
            if self._file is not None and not os.fstat(self._file).st_nlink:
                self.close()  # it was removed
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
                os.fchmod(self._file, 0o600)
                self._length = os.fstat(self._file).st_size
            os.pwrite(self._file, text.ljust(self._length), 0)
        except OSError:
            return  # perhaps the disk is full. The next write contains everything
        self._length = max(self._length, len(text))


def instances(store: Path) -> set[str]:
    """Return the ids of the stores that wrote the files beside this store."""
    return {sent.instance for sent in map(_read, _beside(store)) if sent.instance}


def remove(store: Path) -> None:
    """Remove the files beside this store: another store wrote them."""
    for path in _beside(store):
        try:
            path.unlink()
        except OSError:
            pass


def _beside(store: Path) -> list[Path]:
    real = Path(os.path.realpath(store))
    try:
        names = os.listdir(real.parent)  # noqa: PTH208 - no pattern: the store's name may hold anything
    except OSError:
        return []
    return [real.with_name(name) for name in names if name.startswith(f".{real.name}.") and name.endswith(".sent")]


def _read(path: Path) -> Sent:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sent)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Sent()
