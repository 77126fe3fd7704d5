"""``--config FILE``: sources, settings of the run and exporters from a TOML file.

The first mistake is one error: the file, the line, the key, and a correct value.
"""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from otel_logtail.daemon import options
from otel_logtail.daemon.options import Milliseconds, Several
from otel_logtail.daemon.settings import SourceSettings, read_source
from otel_logtail.daemon.toml_lines import KeyPath, key_lines
from otel_logtail.environment import check_resolved
from otel_logtail.errors import UsageError, guess
from otel_logtail.observer_file import is_file, own_name, path_of
from otel_logtail.option import File, Flag, Integer, Option, Options
from otel_logtail.plugins import EXPORTERS, OBSERVERS, exporters, find_exporter, find_observer, names, observers
from otel_logtail.text import reason_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Keys = Mapping[str, Option[Any]]
"""The keys of a table, each with its option."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file.

    ``run`` and ``exporters`` are texts by the name of the option; ``exporters`` has one mapping for each table.
    ``places`` names for each option its line and key, and for the patterns of each source ``path NAME``.
    """

    path: Path
    sources: tuple[SourceSettings, ...]
    run: Mapping[str, str]
    exporters: Mapping[str, Mapping[str, str]]
    places: Mapping[str, str]


def read_config(path: Path, environ: Mapping[str, str], home: str) -> Config:
    """Read a file, and check everything in it that can be checked without a run.

    A relative path in the file starts at the folder of the file. ``~`` and ``${VARIABLES}`` are replaced.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has a wrong value.
    """
    try:
        text = path.read_bytes().decode()
        values = tomllib.loads(text)
    except OSError as problem:
        raise UsageError(
            f"cannot read the configuration {path}: {reason_of(problem)}",
            hint="name a file that exists with --config",
            setting="config",
        ) from None
    except UnicodeDecodeError as problem:
        line = problem.object.count(b"\n", 0, problem.start) + 1
        raise UsageError(f"{path}:{line}: the file is not UTF-8", hint="save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as problem:
        raise _not_toml(path, text, str(problem)) from None
    return _Reader(path, key_lines(text), environ, home).config(values)


def _not_toml(path: Path, text: str, why: str) -> UsageError:
    found = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", why)
    line = (found and found[2]) or text.rstrip("\n").count("\n") + 1
    return UsageError(
        f"{path}:{line}: the line is not TOML: {found[1] if found else why}",
        hint='write [a.table] or key = value, and texts in "quotes"',
    )


def _keys(declared: Collection[Option[Any]], plugin: str = "") -> Keys:
    return {option.key_of(plugin): option for option in declared}


class _Reader:
    """Values to texts of options; has the line of each key."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int], environ: Mapping[str, str], home: str) -> None:
        self._path = path
        self._folder = path.absolute().parent
        self._lines = lines
        self._environ = environ
        self._home = home

    def config(self, values: Mapping[str, Any]) -> Config:
        keys = _keys(options.OF_A_RUN)
        self._check_keys((), values, {*keys, "source", "exporter"}, _elsewhere())
        run = self._options((), {key: value for key, value in values.items() if key in keys}, keys)
        tables = self._table(("source",), values.get("source", {}), "[source.headroom-proxy]")
        if not tables:
            raise UsageError(
                f"{self._path}: no source given", hint='add [source.headroom-proxy] with observer = "headroom"'
            )
        sources = tuple(self._source(("source", name), table) for name, table in tables.items())
        exporters, places = self._exporters(values.get("exporter", {}))
        places |= run.places
        places |= {f"path {name}": self._where(("source", name, "paths")) for name in tables}
        return Config(path=self._path, sources=sources, run=run.options, exporters=exporters, places=places)

    def _source(self, at: KeyPath, value: object) -> SourceSettings:
        if not at[1].strip() or not at[1].isprintable():
            self._wrong(at, "the name of a source can't be empty", "it becomes service.name: [source.headroom-proxy]")
        table = self._table(at, value, f"[{_dotted(at)}]")
        observer = self._observer(at, table)
        keys = self._keys_of_a_source(at, observer)
        elsewhere = {"path": "write paths = [...]", "name": "the table's name is the source's"}
        self._check_keys(at, table, keys, _of_observers(observer) | elsewhere)
        if options.OBSERVER.name not in table:
            self._wrong(at, "no observer given", f"add observer = NAME (known: {', '.join(names(OBSERVERS))})")
        return msgspec.structs.replace(read_source(self._options(at, table, keys)), name=at[1])

    def _observer(self, at: KeyPath, table: Mapping[str, Any]) -> str:
        """Return the observer of a source, which can be loaded; empty if the table names none."""
        key = options.OBSERVER.name
        if key not in table:
            return ""
        observer = self._options(at, {key: table[key]}, {key: options.OBSERVER}).get(options.OBSERVER) or ""
        if not is_file(observer):
            self._known((*at, key), observer, "observer", names(OBSERVERS))
        try:
            find_observer(observer)
        except UsageError as problem:
            self._wrong((*at, key), str(problem), problem.hint)
        return observer

    def _keys_of_a_source(self, at: KeyPath, observer: str) -> Keys:
        """Return the keys of every source and those of its observer, which has none if it is empty."""
        common = _keys([option for option in options.OF_A_SOURCE if option is not options.SOURCE])
        own = _keys(find_observer(observer).options, own_name(observer)) if observer else {}
        for key in common.keys() & own.keys():
            why = f"is also a key of the observer '{observer}'"
            self._wrong((*at, key), why, "ask its author to rename it", colon=False)
        return {**common, **own}

    def _exporters(self, value: object) -> tuple[dict[str, Mapping[str, str]], dict[str, str]]:
        if isinstance(value, (list, str)):
            self._wrong(("exporter",), "each exporter has a table of its own", "such as [exporter.otlp]")
        found: dict[str, Mapping[str, str]] = {}
        places: dict[str, str] = {}
        for name, content in self._table(("exporter",), value, "[exporter.otlp]").items():
            at = ("exporter", name)
            self._known(at, name, "exporter", names(EXPORTERS))
            table = self._table(at, content, f"[{_dotted(at)}]")
            keys = _keys(find_exporter(name).options, name)
            renamed = {o.name: f"write {key}: the table is the exporter's" for key, o in keys.items() if key != o.name}
            self._check_keys(at, table, keys, renamed)
            given = self._options(at, table, keys)
            found[name] = given.options
            places = {**given.places, **places}
        return found, places

    def _options(self, at: KeyPath, table: Mapping[str, Any], keys: Keys) -> Options:
        """Return the texts of a table; each is a valid value of its option."""
        found = {keys[key].name: self._text((*at, key), keys[key], value) for key, value in table.items()}
        places = {keys[key].name: self._where((*at, key)) for key in table}
        given = Options(self._environ, found, places)
        for key in table:
            given.get(keys[key])
        return given

    # --- types and paths ---

    def _text(self, at: KeyPath, option: Option[Any], value: object) -> str:
        """Return a value as a user would write it on the command line."""
        kind, number = option.kind, type(value) in (int, float)
        if isinstance(kind, Several):
            if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
                self._type(at, f'a list of texts, such as ["{kind.example}"]', value)
            return kind.separator.join(self._file(at, item, glob.escape) for item in value)
        if isinstance(kind, Flag):
            right, is_right = "true or false", isinstance(value, bool)
        elif isinstance(kind, Milliseconds):
            right, is_right = "a number of milliseconds, such as 500", number
        elif isinstance(kind, Integer):
            right = f"a whole number, such as {option.default}" if option.default else kind.example
            is_right = type(value) in (int, str)
        elif option not in options.ALL:  # of a plug-in
            right, is_right = "a text or a number", number or isinstance(value, (bool, str))
        else:
            right, is_right = 'a text in "quotes"', isinstance(value, str)
        if not is_right:
            self._type(at, right, value)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if option is options.OBSERVER and is_file(text):
            path = path_of(text)
            return self._file(at, path) + text[len(path) :]
        return self._file(at, text) if isinstance(kind, File) and text.strip() else text

    def _table(self, at: KeyPath, value: object, example: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._type(at, f"a table: {example}", value)
        return value

    def _file(self, at: KeyPath, value: str, literal: Callable[[str], str] = str) -> str:
        """Return a path with its variables replaced; ``literal`` escapes what is a name and not a pattern."""
        for variable in re.findall(r"\$\{(\w+)\}", value):
            if not self._environ.get(variable):
                self._wrong(at, f"the variable {variable} is not set", "set it, or write the path out")
            value = value.replace(f"${{{variable}}}", literal(self._environ[variable]))
        if value == "~" or value.startswith("~/"):
            if not self._home:
                self._wrong(at, "there is no home directory for ~", "write the path out")
            value = literal(self._home) + value[1:]
        check_resolved(value, self._where(at), address=False)
        return str(Path(literal(str(self._folder))) / value)

    # --- errors ---

    def _check_keys(
        self, at: KeyPath, table: Mapping[str, Any], known: Collection[str], elsewhere: Mapping[str, str]
    ) -> None:
        for key in table:
            if key not in known:
                hint = elsewhere.get(key) or guess(key, known) or f"known: {', '.join(known) or 'none'}"
                self._wrong((*at, key), "is not known", hint, colon=False)

    def _known(self, at: KeyPath, name: str, what: str, known: Collection[str]) -> None:
        if name not in known:
            hint = f"{guess(name, known)} known: {', '.join(known) or 'none'}".lstrip()
            self._wrong(at, f"unknown {what} '{name}'", hint)

    def _type(self, at: KeyPath, right: str, value: object) -> NoReturn:
        kinds = {bool: "true or false", str: "a text", int: "a number", float: "a number", list: "a list"}
        kinds[dict] = "a table"
        self._wrong(at, f"is {kinds.get(type(value), 'a date or time')}", f"it must be {right}", colon=False)

    def _wrong(self, at: KeyPath, what: str, hint: str, *, colon: bool = True) -> NoReturn:
        raise UsageError(f"{self._where(at)}{':' if colon else ''} {what}", hint=hint)

    def _where(self, at: KeyPath) -> str:
        known = next((at[:length] for length in range(len(at), 0, -1) if at[:length] in self._lines), ())
        return f"{self._path}:{self._lines.get(known, 1)}: {_dotted(at)}"


def _of_observers(observer: str) -> dict[str, str]:
    """Return what is right in place of a key that is only another observer's, or that has the observer's name in it."""
    advice = "leave it out, or change the observer" if observer else "add observer = NAME"
    found = {word: f"it is an option of {users}: {advice}" for word, users in _users().items()}
    own = _keys(find_observer(observer).options, own_name(observer)) if observer else {}
    return found | {option.name: f"write {key}: the table has the observer" for key, option in own.items()}


def _users() -> dict[str, str]:
    """Return the observers that have an option, by its key and by its name."""
    users: dict[str, list[str]] = {}
    for name, plugin in observers().items():
        for key, option in _keys(plugin.options, name).items():
            for word in {key, option.name}:
                users.setdefault(word, []).append(name)
    return {word: " and ".join(names) for word, names in users.items()}


def _elsewhere() -> dict[str, str]:
    """Return where a key belongs that is not one of a file's top."""
    found = {word: f"put it under the [source.NAME] of {users}" for word, users in _users().items()}
    found |= dict.fromkeys(_keys(options.OF_A_SOURCE), "it belongs to a source: put it under [source.NAME]")
    found[options.ONCE.name] = "it is not a setting of a daemon: give --once on the command line"
    for name, plugin in exporters().items():
        found |= {o.name: f"write {key} under [exporter.{name}]" for key, o in _keys(plugin.options, name).items()}
    return found


def _dotted(at: KeyPath) -> str:
    return ".".join(
        part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else msgspec.json.encode(part).decode() for part in at
    )
