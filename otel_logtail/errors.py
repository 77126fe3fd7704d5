"""The errors of this project: one root, few leaves, each with a hint about what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class LogtailError(Exception):
    """The root of all errors. ``str(error)`` is one line that names the fault; ``hint`` is the fix (or empty).

    ``exit_code`` is the exit code of the command line: 2 if the user must change something first, 1 if it failed later.
    ``setting`` is the option whose value is wrong (``otlp_endpoint``), if the message does not name it as a flag.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", setting: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.setting = setting


class UsageError(LogtailError):
    """A flag, variable or name has no valid meaning."""

    exit_code = 2


def invalid(where: str, value: str | None, why: str, hint: str) -> UsageError:
    """Return the error of a value: ``invalid --retention '30': missing unit``, or ``x.toml:3: retention '30': ...``.

    Args:
        where: The name that the user gave the value under: a flag, a variable, or a key with its file and line.
        value: The value as the user gave it; None for a secret.
        why: The reason.
        hint: A value that is valid.
    """
    shown = "" if value is None else f" {value!r}"
    return UsageError(f"{'' if ': ' in where else 'invalid '}{where}{shown}: {why}", hint=hint)


def missing_package(exporter: str, package: str) -> UsageError:
    """Return the error for an exporter whose package is not installed."""
    return UsageError(
        f"the exporter {exporter} needs the package {package}, which is not installed",
        hint=f"pip install {package}, or: pipx inject otel-logtail {package}",
    )


class Drift(LogtailError):
    """An observer cannot read a line: the upstream changed its format."""


class StoreError(LogtailError):
    """The store can't be opened, read or written."""

    exit_code = 2


class NotAStore(StoreError):
    """A database of another program, which is never moved away."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a SQLite database, but not a store of otel-logtail", hint="name another one with --db"
        )


class StoreLocked(StoreError):
    """Another daemon has the store."""


class StoreUnavailable(StoreError):
    """The store cannot be used now, but may be later. Nothing was committed; the log itself is the buffer."""

    exit_code = 1


class StoreFull(StoreUnavailable):
    """There is no disk space. Nothing was committed; the log itself is the buffer."""


class StoreGone(StoreUnavailable):
    """The store's files are no longer at their path, so the open ones are not the store.

    If ``beside`` is set, only files next to the store (``-wal``, ``-shm``) are missing, and the store itself exists.
    """

    def __init__(self, message: str, *, hint: str = "", beside: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.beside = beside


class StoreCorrupt(StoreError):
    """The file is not a store, or is corrupt: the next start moves it away."""

    exit_code = 1


def guess(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known word that is closest to a wrong one, as a question for a hint; empty if none is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1, cutoff)
    return f"did you mean {close[0]}?" if close else ""
