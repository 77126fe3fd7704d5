"""Options of plug-ins: flag, variable, key in the configuration, help and check derive from one declaration. Pure.

A plug-in declares its options where an import costs little, usually in the ``__init__`` of its package::

    FILE = Option("csv_file", File(), "CSV file that episodes are appended to.")
    KEEP = Option("csv_keep", Integer(0, 100), "Number of old files to keep.", default="10")

The user gives the first one as ``--csv-file PATH``, as the variable ``OTEL_LOGTAIL_CSV_FILE`` or, for the exporter
``csv``, as ``file = "PATH"`` in the table ``[exporter.csv]``. The plug-in reads it from its context:
``context.require(FILE)`` is a ``Path``, and ``context.require(KEEP)`` is an ``int``. If the kind does not accept a
value, the error names the place that the value is from.

The name of an option starts with the name of its plug-in (of ``hex-telemetry``: the first word), so that it is unique.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from otel_logtail.errors import UsageError, invalid
from otel_logtail.text import parse_duration, parse_size

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LARGEST = 2**62 - 1  # the largest duration and size
_TRUE, _FALSE = frozenset(("true", "1", "yes")), frozenset(("false", "0", "no"))
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Kind(Protocol[T_co]):
    """The type of an option's value.

    ``metavar`` stands for the value in the help, and ``example`` is a correct value for the hint of an error.
    """

    @property
    def metavar(self) -> str: ...

    @property
    def example(self) -> str: ...

    def parse(self, text: str) -> T_co:
        """Return the value of a text.

        Raises:
            ValueError: the text is not of this kind. The message is the reason, such as "missing unit"; a second
                argument is a hint other than ``example``.
        """


class Text(msgspec.Struct, frozen=True):
    """Text that only the plug-in can check: a URL, a name."""

    metavar: str = "TEXT"
    example: str = "text"

    def parse(self, text: str) -> str:
        return text


class Integer(msgspec.Struct, frozen=True):
    """A whole number within bounds."""

    least: int
    most: int
    metavar: str = "NUMBER"

    @property
    def example(self) -> str:
        return f"a number from {self.least} to {self.most}"

    def parse(self, text: str) -> int:
        number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else self.most + 1
        if not self.least <= number <= self.most:
            raise ValueError(f"expected a number from {self.least} to {self.most}")
        return number


class _Amount(msgspec.Struct, frozen=True):
    """A time or a number of bytes within bounds; the bounds are texts of this kind, too, and no upper bound is empty.

    ``endless`` is the value of ``none``, if that word is accepted.
    """

    endless: int | None = None
    least: str = ""
    most: str = ""
    examples: str = ""
    metavar: str = ""

    @staticmethod
    def read(text: str) -> int:
        raise NotImplementedError

    @property
    def example(self) -> str:
        none = "" if self.endless is None else ", or none"
        bounds = f"{self.least} to {self.most}" if self.most else f"at least {self.least}"
        return f"{self.examples}{none} ({bounds})"

    def parse(self, text: str) -> int:
        if text.lower() == "none" and self.endless is not None:
            return self.endless
        value = self.read(text)
        if value < self.read(self.least):
            raise ValueError("the value is too small")
        if value > (self.read(self.most) if self.most else _LARGEST):
            raise ValueError("the value is too large")
        return value


class Duration(_Amount, frozen=True):
    """A time within bounds, in nanoseconds."""

    read = staticmethod(parse_duration)
    least: str = "1ms"
    examples: str = "90s, 10min or 1d12h"
    metavar: str = "DURATION"


class Size(_Amount, frozen=True):
    """A number of bytes within bounds."""

    read = staticmethod(parse_size)
    least: str = "1B"
    examples: str = "100MiB or 1GB"
    metavar: str = "SIZE"


class Choice(msgspec.Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def metavar(self) -> str:
        return "|".join(self.words)

    @property
    def example(self) -> str:
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"

    def parse(self, text: str) -> str:
        """Return the word in lower case."""
        if text.lower() not in self.words:
            raise ValueError(f"expected {self.example}")
        return text.lower()


class Flag(msgspec.Struct, frozen=True):
    """True or false. On the command line the flag alone means true."""

    metavar: str = ""
    example: str = "true or false"

    def parse(self, text: str) -> bool:
        """Return whether the text means true."""
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError("expected true or false")
        return text.lower() in _TRUE


class File(msgspec.Struct, frozen=True):
    r"""A file that the plug-in writes. A followed log is refused, and a service unit makes the file writable.

    ``beside`` are endings of further files that are written (``-wal``). ``rotated`` is a pattern for the endings of the
    file's rotated names (``\.\d+``). ``signals`` are the words for ``{signal}`` in the file's name, which is then the
    name of several files. In the configuration, a relative path starts at the folder of the configuration.
    """

    beside: tuple[str, ...] = ()
    rotated: str = r"(?!)"
    signals: tuple[str, ...] = ()
    metavar: str = "PATH"
    example: str = "/var/lib/otel-logtail/file"

    def parse(self, text: str) -> Path:
        """Return the absolute path."""
        if not text:
            raise ValueError("the path is empty")
        try:
            return Path(text).expanduser().absolute()
        except RuntimeError:
            raise ValueError("the home directory is unknown") from None

    def paths(self, path: Path) -> dict[str, Path]:
        """Return the file of each signal, or the one file under the empty name."""
        if not self.signals or "{signal}" not in path.name:
            return {"": path}
        return {signal: path.with_name(path.name.replace("{signal}", signal)) for signal in self.signals}


class Option(msgspec.Struct, Generic[T], frozen=True):
    """One option of a plug-in.

    Args:
        name: The name of the flag with ``_`` in place of ``-``, such as ``csv_file``.
        kind: The type of the value.
        help: One sentence with the unit and an example. The default is named only if ``default`` does not show it.
        default: The value, as text, if none is given. ``${NAME}`` stands for a variable; if the variable is not set,
            there is no default.
        key: The key in the plug-in's table of the configuration; empty means the name without the plug-in's own name.
        secret: The value is a password or a token. It is left out of all messages, and no service unit may hold it.
        short: The flag in one letter, such as ``-q``.
    """

    name: str
    kind: Kind[T]
    help: str
    default: str = ""
    key: str = ""
    secret: bool = False
    short: str = ""

    @property
    def flag(self) -> str:
        """The flag, such as ``--csv-file``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable, such as ``OTEL_LOGTAIL_CSV_FILE``."""
        return f"OTEL_LOGTAIL_{self.name.upper()}"

    def key_of(self, plugin: str) -> str:
        """Return the key in the table of a plug-in, such as ``file`` in ``[exporter.csv]``."""
        return self.key or self.name.removeprefix(plugin.replace("-", "_") + "_")

    def parse(self, text: str, where: str = "") -> T:
        """Return the value that a text means.

        Args:
            text: The value as the user wrote it.
            where: The place of the value, for the error: a flag, a variable, or the line of a file. Empty: the flag.

        Raises:
            UsageError: the text is not of the option's kind.
        """
        try:
            return self.kind.parse(text.strip())
        except ValueError as problem:
            shown = None if self.secret else text
            why, hint = (*problem.args, f"use {self.kind.example}")[:2]
            raise invalid(where or self.flag, shown, why, hint) from None


class Options(msgspec.Struct, frozen=True):
    """The values that a plug-in was given.

    ``environ`` is the environment. ``options`` are the values that the user gave, as text, by the name of the option.
    ``places`` names for each of them the flag, the variable or the line of a file that it is from.
    """

    environ: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    places: Mapping[str, str] = {}

    def where(self, option: Option[Any]) -> str:
        """Return the place of an option's value, for an error."""
        return self.places.get(option.name, option.flag)

    def get(self, option: Option[T]) -> T | None:
        """Return the value of an option, or None if it is not given and has no default.

        An empty text or list counts as not given. An empty value of any other kind is an error.

        Raises:
            UsageError: the value is not of the option's kind.
        """
        if option.name in self.options:
            value = option.parse(self.options[option.name], self.where(option))
            if value not in ("", ()):
                return value
        variables = _VARIABLE.findall(option.default)
        if not option.default or not all(self.environ.get(name, "").strip() for name in variables):
            return None
        return option.parse(_VARIABLE.sub(lambda match: self.environ[match[1]].strip(), option.default), option.flag)

    def require(self, option: Option[T]) -> T:
        """Return the value of an option.

        Raises:
            UsageError: the option is not given and has no default, or the value is not of its kind.
        """
        value = self.get(option)
        if value is None:
            raise UsageError(f"{option.flag} is missing", hint=f"pass {option.flag} {option.kind.metavar}".rstrip())
        return value


def distinct(options: Iterable[Option[Any]]) -> tuple[Option[Any], ...]:
    """Return options without those that several plug-ins share, in their order."""
    return tuple({option.name: option for option in options}.values())
