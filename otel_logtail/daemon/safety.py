"""The files that a run writes must not be logs that it follows: a log is only written by its program.

The check precedes the first open file. It compares names, too: a file that does not exist yet may be taken for a log
once it is created.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import msgspec

from otel_logtail.daemon.settings import Settings
from otel_logtail.errors import UsageError
from otel_logtail.observer import PathRule
from otel_logtail.option import File
from otel_logtail.tail.directories import Folders
from otel_logtail.tail.discover import discover
from otel_logtail.tail.naming import is_rotated_name, is_sibling, siblings
from otel_logtail.tail.patterns import as_written, could_match, folder_of, has_wildcards
from otel_logtail.tail.reader import identity_at

_HINT = "name another file: a log is only read"


class Read(msgspec.Struct, frozen=True):
    """The logs of one source. ``trusted``: the user gave the patterns, so every file that matches is a log."""

    patterns: Sequence[str]
    rule: PathRule
    trusted: bool


class _Output(msgspec.Struct, frozen=True):
    """A file that this run writes, with those beside it.

    ``name`` is the user's: a flag, a variable or a key. ``rotated`` matches the endings of its rotated names.
    """

    name: str
    path: str
    beside: tuple[str, ...] = ()
    rotated: str = r"(?!)"

    @property
    def names(self) -> list[str]:
        return [self.path, *(self.path + suffix for suffix in self.beside)]

    def among(self, files: _Files) -> str:
        """Return one of these files that this output overwrites, now or after a rotation; empty if there is none."""
        for name in self.names:
            if found := files.find(name):
                return found
        own = os.path.realpath(self.path)
        for real, path in files.by_name.items():
            if real.startswith(own) and re.fullmatch(self.rotated, real[len(own) :]):
                return path
        return ""


class _Files:
    """Files by their real path and by their inode."""

    def __init__(self, paths: Iterable[str]) -> None:
        folders: dict[str, str] = {}
        self.by_name: dict[str, str] = {}
        self._by_inode: dict[tuple[int, int], str] = {}
        for path in paths:
            folder, name = os.path.split(path)
            if folder not in folders:
                folders[folder] = os.path.realpath(folder)
            try:
                status = os.lstat(path)  # the only question for most files: there may be thousands
            except OSError:
                status = None
            if status is None or stat.S_ISLNK(status.st_mode):
                real, identity = os.path.realpath(path), identity_at(path)
            else:
                real, identity = os.path.join(folders[folder], name), (status.st_dev, status.st_ino)
            self.by_name[real] = path
            if identity:
                self._by_inode[identity] = path

    def find(self, path: str) -> str:
        identity = identity_at(path)
        return self.by_name.get(os.path.realpath(path)) or (self._by_inode.get(identity, "") if identity else "")


def check_outputs(settings: Settings, reads: Iterable[Read]) -> None:
    """Check that the store and the files of exporters are different files, and not followed logs.

    Raises:
        UsageError: two are the same file, or one is a log.
    """
    outputs = _outputs(settings, os.environ)
    for number, output in enumerate(outputs):
        for other in outputs[:number]:
            if output.among(_Files(other.names)):
                raise UsageError(f"{output.name} {output.path} is the file of {other.name}", hint="name another file")
    for read in reads:
        folders = Folders()
        live = discover(read.patterns, read.rule, trusted=read.trusted, folders=folders)
        files = _Files([*live, *(rotated for path in live for rotated in siblings(path, folders))])
        by_stem: dict[str, list[str]] = {}
        for path in live:
            by_stem.setdefault(os.path.splitext(os.path.basename(path))[0], []).append(path)
        for output in outputs:
            if log := output.among(files):
                raise UsageError(f"{output.name} {output.path}: {log} is a log that is followed", hint=_HINT)
            for name in output.names:
                if by := _would_be_read(name, by_stem, read):
                    raise UsageError(
                        f"{output.name} {output.path}: {name} would be followed as a log, by {by}", hint=_HINT
                    )


def _outputs(settings: Settings, environ: Mapping[str, str]) -> list[_Output]:
    found = []
    for option, path in settings.files(environ):
        kind = cast(File, option.kind)
        found.append(_Output(settings.places.get(option.name, option.flag), str(path), kind.beside, kind.rotated))
    return found


def _would_be_read(path: str, by_stem: Mapping[str, list[str]], read: Read) -> str:
    """Return the pattern, or the live path with a rotated file of this name, that matches; empty if none does."""
    folder, name = os.path.split(path)
    for known in (known for end in range(1, len(name) + 1) for known in by_stem.get(name[:end], ())):
        beside = os.path.dirname(known)
        if is_sibling(known, os.path.join(beside, name)) and os.path.realpath(beside) == os.path.realpath(folder):
            return known
    if read.rule.is_copy(name) or not (read.trusted or read.rule.is_live(name)) or is_rotated_name(path):
        return ""
    real, plain = os.path.realpath(path), os.path.abspath(path)
    # A pattern finds b/../a/x.log as a/x.log, also if a is a link. If b is one, that may be another file.
    names = (path, plain) if os.path.realpath(plain) == real else (path,)
    for pattern in filter(has_wildcards, read.patterns):
        if any(could_match(name, pattern) for name in names) or could_match(real, _resolved(pattern)):
            return as_written(pattern)
    return ""


def _resolved(pattern: str) -> str:
    """Return the pattern with the links before its first wildcard resolved."""
    folder = folder_of(pattern)
    rest = pattern.split("/")[len(folder.rstrip("/").split("/")) :]
    return os.path.join(glob.escape(os.path.realpath(folder)), *rest)
