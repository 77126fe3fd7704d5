"""`otel-logtail observers show`: what an observer measures, its options, and the log format that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

import msgspec

from otel_logtail.cli.answers import Format, write_rows, write_status
from otel_logtail.cli.streams import json_text
from otel_logtail.cli.tables import write_text
from otel_logtail.daemon.options import QUIET_MS, STALL_MS, THRESHOLD_MS
from otel_logtail.observer import ObserverContext
from otel_logtail.observer_file import absolute, is_file, own_name
from otel_logtail.option import Option
from otel_logtail.plugins import find_observer, make_observer


class Described(msgspec.Struct, frozen=True):
    """An observer as users see it.

    ``paths`` are the default patterns. ``thresholds`` are the defaults of the options of that name. ``options`` has the
    flag (empty: none, for an observer from a file), key, values, default and help of each. ``no_sample`` is the advice
    for a log without a sample.
    """

    name: str
    what: str
    source: str
    paths: tuple[str, ...]
    attributes: tuple[str, ...]
    thresholds: Mapping[str, str]
    options: tuple[Mapping[str, str], ...]
    no_sample: str
    configuration: str


def described(name: str) -> Described:
    """Return the description of an observer.

    Raises:
        UsageError: there is none of this name, or it can't be loaded.
    """
    name = absolute(name)
    plugin = find_observer(name)
    observer = make_observer(name, ObserverContext())
    rule = observer.paths()
    return Described(
        name=observer.name,
        what=plugin.summary,
        source=observer.source,
        paths=rule.patterns,
        attributes=tuple(attribute for _, attribute in rule.attributes),
        thresholds={
            THRESHOLD_MS.name: plugin.threshold_ms or THRESHOLD_MS.default,
            STALL_MS.name: plugin.stall_ms or f"{4 * float(plugin.threshold_ms or THRESHOLD_MS.default):g}",
            QUIET_MS.name: plugin.quiet_ms or QUIET_MS.default,
        },
        options=tuple(_option(option, name) for option in plugin.options),
        no_sample=plugin.no_sample,
        configuration=plugin.configuration().strip("\n"),
    )


def _option(option: Option[Any], observer: str) -> dict[str, str]:
    return {
        "flag": "" if is_file(observer) else option.flag,
        "key": option.key_of(own_name(observer)),
        "values": option.kind.metavar,
        "default": option.default,
        "what": option.help,
    }


def write_description(out: TextIO, shown: Described, form: Format) -> None:
    """Write a description: text for people, else one object."""
    if form == "json" or form == "jsonl":
        out.write(json_text(msgspec.json.encode(shown), out) + "\n")
    elif form == "csv":
        write_status(out, msgspec.to_builtins(shown), "csv")
    else:
        _write_text(out, shown)


def _write_text(out: TextIO, shown: Described) -> None:
    write_text(out, f"{shown.name}: {shown.what}")
    out.write("\n")
    rows = [("source", shown.source), ("paths", " ".join(shown.paths) or "none: give them with --path")]
    rows += [(f"--{name.replace('_', '-')}", f"{value} (default)") for name, value in shown.thresholds.items()]
    write_rows(out, ("setting", "value"), rows, "table")
    if shown.options:
        out.write("\noptions\n")
        for option in shown.options:
            default = f" Default: {option['default']}." if option["default"] else ""
            name = option["flag"] or f"{option['key']} ="
            write_text(out, f"  {name} {option['values']}")
            write_text(out, f"      {option['what']}{default}", "")
    if shown.no_sample:
        out.write("\nif the log has no sample\n")
        write_text(out, f"  {shown.no_sample}", "")
    if shown.configuration:
        out.write(f"\nlog configuration\n\n{shown.configuration}\n")
