"""Write the JSON Schema of the configuration into examples/: ``python -m tools.config_schema``.

An editor with Taplo completes and checks keys and values with it. The program checks more: bounds of durations and
sizes, and what exists on its machine. Observers and exporters of other packages may have any key. Words of a choice
are in lower case; the program accepts any case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from otel_logtail.cli.settings import help_of
from otel_logtail.daemon import options
from otel_logtail.daemon.options import DAY_MS, Milliseconds, Several
from otel_logtail.option import Choice, Duration, File, Flag, Integer, Option, Size
from otel_logtail.plugins import exporters, observers
from otel_logtail.text import DURATIONS, SIZES

FILE = Path(__file__).resolve().parent.parent / "examples" / "otel-logtail.schema.json"
DRAFT = "http://json-schema.org/draft-07/schema#"  # the newest one that Taplo reads
Schema = dict[str, Any]

_NUMBER = r"[0-9]{1,20}(\.[0-9]+)?"


def schema() -> Schema:
    """Return the schema of a configuration."""
    return {
        "$schema": DRAFT,
        "title": "Configuration of otel-logtail",
        "type": "object",
        "required": ["source"],
        "properties": {
            **_values(options.OF_A_RUN, ""),
            "source": {
                "description": "One table for each source. Its name is sent as service.name.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": r"\S"},
                "additionalProperties": _source(),
            },
            "exporter": {
                "description": "One table for each exporter that is used.",
                "type": "object",
                "properties": {
                    name: {"description": plugin.summary, **_closed(_values(plugin.options, name))}
                    for name, plugin in exporters().items()
                },
                "additionalProperties": {"type": "object"},
            },
        },
        "additionalProperties": False,
    }


def _source() -> Schema:
    common = _values([option for option in options.OF_A_SOURCE if option is not options.SOURCE], "")
    observer = options.OBSERVER.name
    any_value: Schema = dict.fromkeys(common, True)
    return {
        "type": "object",
        "required": [observer],
        "properties": common,
        "allOf": [
            {
                "if": {"required": [observer], "properties": {observer: {"const": name}}},
                "then": _closed({**any_value, **_values(plugin.options, name)}),
            }
            for name, plugin in observers().items()
        ],
    }


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _values(declared: Iterable[Option[Any]], plugin: str) -> Schema:
    """Return the keys of a table, each with the schema of its value."""
    return {option.key_of(plugin): _value(option) for option in declared}


def _value(option: Option[Any]) -> Schema:
    found: Schema = {"description": help_of(option), **_type(option)}
    if option.default and "$" not in option.default:
        is_text = isinstance(option.kind, Choice | Duration | Size) or found["type"] == "string"
        found["default"] = option.default if is_text else msgspec.json.decode(option.default)
    if option is options.OBSERVER:
        found["examples"] = list(observers())
    return found


def _type(option: Option[Any]) -> Schema:
    """Return the types and values that the configuration accepts for an option."""
    is_of_a_plugin = option not in options.ALL  # which also accepts numbers and truth values, as texts
    kind = option.kind
    if isinstance(kind, Several):
        return {"type": "array", "items": {"type": "string", "minLength": 1}}
    if isinstance(kind, Flag):
        return {"type": "boolean"}
    if isinstance(kind, Milliseconds):
        return {"type": "number", "minimum": kind.least, "maximum": DAY_MS}
    if isinstance(kind, Integer):
        return {
            "type": ["integer", "string"],
            "minimum": kind.least,
            "maximum": kind.most,
            "pattern": r"^\s*[0-9]+\s*$",
        }
    if isinstance(kind, Choice):
        return {"enum": list(kind.words)}
    if isinstance(kind, Duration):
        return {"type": "string", "pattern": _pattern(DURATIONS, most=20, endless=kind.endless is not None)}
    if isinstance(kind, Size):
        types = ["string", "integer"] if is_of_a_plugin else "string"
        return {"type": types, "pattern": _pattern(SIZES, most=1, endless=kind.endless is not None)}
    if isinstance(kind, File):
        return {"type": "string", "pattern": r"\S"}
    return {"type": ["string", "number", "boolean"] if is_of_a_plugin else "string"}


def _pattern(units: Collection[str], *, most: int, endless: bool) -> str:
    """Return a pattern for amounts, in the words that all dialects of regular expressions have."""
    unit = "|".join(map(_any_case, sorted(filter(None, units), key=len, reverse=True)))
    optional = "?" if "" in units else ""
    amounts = rf"({_NUMBER}\s*({unit}){optional}\s*){{1,{most}}}"
    return rf"^\s*({amounts}|{_any_case('none')}\s*)$" if endless else rf"^\s*{amounts}$"


def _any_case(word: str) -> str:
    return re.sub("[a-z]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", word)


def text() -> str:
    """Return the text of the file."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
