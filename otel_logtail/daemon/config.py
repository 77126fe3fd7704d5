"""``--config FILE``: several sources, the store and the exporters, out of a TOML file.

What is wrong is one error: the file, the line, the key, and what would be right. The first one that is met.
"""

from __future__ import annotations

import difflib
import glob
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from otel_logtail.daemon import settings
from otel_logtail.daemon.settings import SourceSettings
from otel_logtail.daemon.toml_lines import KeyPath, key_lines
from otel_logtail.environment import check_resolved
from otel_logtail.errors import UsageError
from otel_logtail.plugins import EXPORTERS, OBSERVERS, find_exporter, names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXPORTER_KEYS: dict[str, dict[str, str]] = {
    "console": {},
    "hex": {"url": "hex_url", "max_age": "hex_max_age"},
    "hex-telemetry": {"db": "hex_db"},
    "jsonl": {
        "file": "jsonl_file",
        "max_size": "jsonl_max_size",
        "keep": "jsonl_keep",
        "histogram": "histogram",
        "events": "events",
    },
    "otlp": {"endpoint": "otlp_endpoint", "protocol": "otlp_protocol", "histogram": "histogram", "events": "events"},
    "prometheus": {
        "port": "prometheus_port",
        "host": "prometheus_host",
        "histogram": "histogram",
    },
}
"""The keys of our exporters' tables, and the option that each stands for (``otlp_endpoint`` is ``--otlp-endpoint``).
Others' exporters get their table's keys as they are."""

_TOP = ("db", "retention", "max_db_size", "max_series", "export_interval", "exporter_from", "source", "exporter")
_SOURCE = ("observer", "paths", "event", "threshold_ms", "stall_ms", "quiet_ms", "from_start", "timezone")
_FILES = ("jsonl_file", "hex_db")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a file asks for.

    ``once`` are settings of the whole run, checked, as text under the names of their flags; ``exporters`` the options
    of each exporter that has a table. ``where`` says where each of these stands, and
    each source's ``path NAME``.
    """

    path: Path
    sources: tuple[SourceSettings, ...]
    once: Mapping[str, str]
    exporters: Mapping[str, Mapping[str, str]]
    where: Mapping[str, str]


def read_config(path: Path, environ: Mapping[str, str], home: str) -> Config:
    """Read a file and check all of it that can be checked without running.

    Relative paths in it are relative to its folder; ``~`` and ``${VARIABLES}`` are filled in.

    Raises:
        UsageError: it can't be read, it is no TOML, or something in it can't be meant.
    """
    try:
        text = path.read_bytes().decode()
        values = tomllib.loads(text)
    except OSError as problem:
        raise UsageError(
            f"the configuration {path} can't be read: {problem.strerror}",
            hint="name the file with --config",
            setting="config",
        ) from None
    except UnicodeDecodeError as problem:
        line = problem.object.count(b"\n", 0, problem.start) + 1
        raise UsageError(f"{path}:{line}: this is not UTF-8", hint="save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as problem:
        raise _no_toml(path, text, str(problem)) from None
    return _Reader(path, key_lines(text), environ, home).config(values)


def _no_toml(path: Path, text: str, why: str) -> UsageError:
    found = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", why)
    line = (found and found[2]) or text.rstrip("\n").count("\n") + 1
    return UsageError(
        f"{path}:{line}: this is no TOML: {found[1] if found else why}",
        hint='a line is [a.table] or key = value; text stands in "quotes"',
    )


class _Reader:
    """Values into settings; knows where each key stands."""

    def __init__(self, path: Path, lines: Mapping[KeyPath, int], environ: Mapping[str, str], home: str) -> None:
        self._path = path
        self._folder = path.absolute().parent
        self._lines = lines
        self._environ = environ
        self._home = home

    def config(self, values: Mapping[str, Any]) -> Config:
        elsewhere = dict.fromkeys(_SOURCE, "it belongs to a source: put it under [source.NAME]")
        elsewhere |= {
            option: f"write {key} under [exporter.{name}]"
            for name, keys in EXPORTER_KEYS.items()
            for key, option in keys.items()
        }
        elsewhere["once"] = "it is no setting of a daemon: give --once on the command line"
        self._known_keys((), values, _TOP, elsewhere)
        most = values.get("max_series", "")
        if isinstance(most, bool) or not isinstance(most, (int, str)):
            self._type(("max_series",), "a whole number, such as 2000", most)
        if isinstance(most, int):
            values = {**values, "max_series": str(most)}
        once = {name: self._text((name,), values[name]) for name in _TOP[:-2] if name in values}
        checks: dict[str, Callable[[str, str], object]] = {
            "retention": settings.retention_ns,
            "max_db_size": settings.max_bytes,
            "max_series": settings.max_series,
            "export_interval": settings.export_interval,
            "exporter_from": lambda text, where: settings.one_of(text, where, ("start", "now")),
        }
        for name, check in checks.items():
            if name in once:
                check(once[name], self._where((name,)))
        if "db" in once:
            once["db"] = self._file(("db",), once["db"])
        tables = self._table(("source",), values.get("source", {}), "[source.headroom-proxy]")
        if not tables:
            raise UsageError(
                f"{self._path}: no source is named: whose log is it?",
                hint='such as [source.headroom-proxy] with observer = "headroom"',
            )
        sources = tuple(self._source(("source", name), table) for name, table in tables.items())
        exporters, where = self._exporters(values.get("exporter", {}))
        where |= {name: self._where((name,)) for name in once}
        where |= {f"path {name}": self._where(("source", name, "paths")) for name in tables}
        return Config(path=self._path, sources=sources, once=once, exporters=exporters, where=where)

    def _source(self, at: KeyPath, value: object) -> SourceSettings:
        if not at[1].strip() or not at[1].isprintable():
            self._wrong(at, "the name of a source can't be empty", "it becomes service.name: [source.headroom-proxy]")
        table = self._table(at, value, f"[{_dotted(at)}]")
        self._known_keys(
            at, table, _SOURCE, {"path": "write paths = [...]", "name": "the table's name is the source's"}
        )
        if "observer" not in table:
            self._wrong(at, "observer is missing: whose log is it?", f"known: {', '.join(names(OBSERVERS))}")
        where = {name: self._where((*at, name)) for name in _SOURCE}
        observer = self._text((*at, "observer"), table["observer"])
        self._known((*at, "observer"), observer, "observer", names(OBSERVERS))

        def number(name: str, default: float) -> float:
            return self._number((*at, name), table[name]) if name in table else default

        threshold_ns = settings.milliseconds(
            number("threshold_ms", settings.DEFAULT_THRESHOLD_MS), where["threshold_ms"]
        )
        stall_ms = number("stall_ms", -1) if "stall_ms" in table else None
        stall_ns = settings.stall_threshold(stall_ms, threshold_ns, where["stall_ms"], "threshold_ms")
        from_start = table.get("from_start", False)
        if not isinstance(from_start, bool):
            self._type((*at, "from_start"), "true or false", from_start)
        event = self._text((*at, "event"), table.get("event", settings.DEFAULT_EVENT))
        timezone = self._text((*at, "timezone"), table.get("timezone", ""))
        return SourceSettings(
            observer=observer,
            name=at[1],
            event=settings.event_name(event, where["event"]),
            patterns=self._paths((*at, "paths"), table.get("paths", [])),
            threshold_ns=threshold_ns,
            stall_ns=stall_ns,
            quiet_ns=settings.quiet_window(number("quiet_ms", settings.DEFAULT_QUIET_MS), where["quiet_ms"]),
            from_start=from_start,
            timezone=settings.zone(timezone, where["timezone"]),
        )

    def _paths(self, at: KeyPath, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self._type(at, 'a list of texts, such as ["/var/log/headroom/proxy-*.log"]', value)
        return tuple(self._file(at, item, glob.escape) for item in value)

    def _exporters(self, value: object) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        if isinstance(value, (list, str)):
            self._wrong(("exporter",), "each exporter has a table of its own", "such as [exporter.otlp]")
        found: dict[str, dict[str, str]] = {}
        where: dict[str, str] = {}
        for name, content in self._table(("exporter",), value, "[exporter.otlp]").items():
            at = ("exporter", name)
            self._known(at, name, "exporter", names(EXPORTERS))
            table = self._table(at, content, f"[{_dotted(at)}]")
            keys = EXPORTER_KEYS.get(name)
            if keys is None:
                keys = {option.key_of(name): option.name for option in find_exporter(name).options}
                self._known_keys(at, table, tuple(keys), {})
            else:
                renamed = {
                    option: f"write {key}: the table says the rest" for key, option in keys.items() if key != option
                }
                self._known_keys(at, table, tuple(EXPORTER_KEYS[name]), renamed)
            options = {}
            for key, item in table.items():
                option = keys[key]
                options[option] = self._option((*at, key), option, item)
                where.setdefault(option, self._where((*at, key)))
            found[name] = options
        return found, where

    def _option(self, at: KeyPath, option: str, value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, (int, float)):
            return f"{value}"
        if not isinstance(value, str):
            self._type(at, "a text or a number", value)
        if at[1] not in EXPORTER_KEYS:
            return value  # somebody else's, with a meaning of its own
        if option == "events":
            settings.one_of(value, self._where(at), ("span", "log", "both"))
        if option == "histogram":
            settings.one_of(value, self._where(at), ("explicit", "exponential"))
        return self._file(at, value) if option in _FILES else value

    # --- what values are ---

    def _table(self, at: KeyPath, value: object, example: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self._type(at, f"a table: {example}", value)
        return value

    def _text(self, at: KeyPath, value: object) -> str:
        if not isinstance(value, str):
            self._type(at, 'a text in "quotes"', value)
        return value

    def _number(self, at: KeyPath, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._type(at, "a number of milliseconds, such as 500", value)
        return float(value)

    def _file(self, at: KeyPath, value: str, literal: Callable[[str], str] = str) -> str:
        """A path, with variables filled in; ``literal`` writes what is a name and no pattern."""
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

    def _known_keys(
        self, at: KeyPath, table: Iterable[str], known: tuple[str, ...], elsewhere: Mapping[str, str]
    ) -> None:
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = elsewhere.get(key) or (
                    f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
                )
                self._wrong((*at, key), "is not known", hint, colon=False)

    def _known(self, at: KeyPath, name: str, what: str, known: Collection[str]) -> None:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = (f"did you mean {near[0]}? " if near else "") + f"known: {', '.join(known) or 'none'}"
            self._wrong(at, f"unknown {what} '{name}'", hint)

    def _type(self, at: KeyPath, right: str, value: object) -> NoReturn:
        kinds = {
            bool: "true or false",
            str: "a text",
            int: "a number",
            float: "a number",
            list: "a list",
            dict: "a table",
        }
        self._wrong(at, f"is {kinds.get(type(value), 'a date or time')}", f"it must be {right}", colon=False)

    def _wrong(self, at: KeyPath, what: str, hint: str, *, colon: bool = True) -> NoReturn:
        raise UsageError(f"{self._where(at)}{':' if colon else ''} {what}", hint=hint)

    def _where(self, at: KeyPath) -> str:
        known = next((at[:length] for length in range(len(at), 0, -1) if at[:length] in self._lines), ())
        return f"{self._path}:{self._lines.get(known, 1)}: {_dotted(at)}"


def _dotted(at: KeyPath) -> str:
    return ".".join(
        part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else msgspec.json.encode(part).decode() for part in at
    )
