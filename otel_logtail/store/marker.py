"""How far an exporter has sent, in a file beside the store: what a backup of the store does not bring back.

The store says the same in its table ``sent``, in one transaction with the cursor. The file is written afterwards, so
it never says more than the store did. Where it does, the store is an older copy (a restored backup, or a power cut that
took its last transactions), and the receiver has more than the store knows. One file for each exporter, ``.NAME.sent``
behind the store's name and a dot before it: it is not among the store's own files (``store.db*``) when these are
copied or moved.

Known limits: a copy of the whole folder has the file, too, and is as old as the store; without the file nothing can be
noticed. It is not synced: after a power cut it may be an older one, or unreadable, which is as none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec


class Sent(msgspec.Struct, frozen=True):
    """How far each source of a store was sent: the latest end of an interval and the latest time of a point."""

    instance: str = ""
    sources: dict[str, tuple[int, int]] = {}

    def is_ahead_of(self, sources: Mapping[str, tuple[int, int]]) -> bool:
        """Whether any source was sent further than that."""
        return any(
            end_ns > sources.get(name, (0, 0))[0] or time_ns > sources.get(name, (0, 0))[1]
            for name, (end_ns, time_ns) in self.sources.items()
        )


class Marker:
    """The file of one exporter. Nothing is raised: without it all works, but an older copy goes unnoticed."""

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
        """What it says; nothing where it is missing or unreadable."""
        return _read(self._path)

    def write(self, sent: Sent) -> None:
        """Let it say this.

        In place, by one call of the system: a rename for each batch costs milliseconds on ext4. A process that dies
        leaves the old text or the new; a text that is torn all the same is as none.
        """
        text = msgspec.json.encode(sent)
        try:
            if self._file is not None and not os.fstat(self._file).st_nlink:
                self.close()  # somebody removed it
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
                os.fchmod(self._file, 0o600)
                self._length = os.fstat(self._file).st_size
            os.pwrite(self._file, text.ljust(self._length), 0)
        except OSError:
            return  # no room, perhaps: the next one says it all
        self._length = max(self._length, len(text))


def instances(store: Path) -> set[str]:
    """The ids of the stores that the files beside this store are of."""
    return {sent.instance for sent in map(_read, _beside(store)) if sent.instance}


def remove(store: Path) -> None:
    """Remove the files beside this store: they are of another one."""
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
