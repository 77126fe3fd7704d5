"""The plug-ins of installed packages: the entry points of our groups, and the version of a package.

They are read without ``importlib.metadata``: its import and its search would take a fifth of a start (decision 0142).
Only zip files and eggs on ``sys.path`` are left to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

_OWN = "otel-logtail"
_GROUPS = "otel_logtail."


class EntryPoint(NamedTuple):
    """A name in a group, the object that it stands for (``module:name``), and the package that registers it."""

    name: str
    value: str
    group: str
    package: str = ""

    def load(self) -> Any:
        """Import the module and return the object."""
        module, _, path = self.value.partition("[")[0].partition(":")
        found: Any = import_module(module.strip())
        for name in filter(None, path.strip().split(".")):
            found = getattr(found, name)
        return found


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of one of our groups, by name."""
    return sorted((point for point in _all(tuple(sys.path)) if point.group == group), key=lambda point: point.name)


def version() -> str:
    """Return the installed version of this program; 0 for a checkout that is not installed."""
    packages = (point.package.rpartition(" ") for point in _all(tuple(sys.path)))
    return next((found for name, _, found in packages if name == _OWN), "0")


@cache
def _all(places: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the entry points of our groups. The first package of a name on ``sys.path`` counts."""
    found: dict[str, list[EntryPoint]] = {}
    for place in places:
        for name, points in _in_zip(place) if os.path.isfile(place) or place.endswith(".egg") else _in_folder(place):
            found.setdefault(name, points)
    return tuple(point for points in found.values() for point in points)


def _in_folder(place: str) -> Iterator[tuple[str, list[EntryPoint]]]:
    """Yield the name of each package of a folder, normalized, with its entry points."""
    try:
        about = sorted(name for name in os.listdir(place or ".") if name.endswith((".dist-info", ".egg-info")))
    except OSError:
        return
    for name in about:
        folder = os.path.join(place, name)
        text = _text(folder, "entry_points.txt")
        points = [*_points(text, "")] if _GROUPS in text else []
        if points:
            fields = _fields(_text(folder, "METADATA") or _text(folder, "PKG-INFO"))
            package = f"{fields.get('name', '')} {fields.get('version', '')}"
            points = [point._replace(package=package) for point in points]
        yield _normalized(name.rpartition(".")[0].partition("-")[0]), points


def _in_zip(place: str) -> Iterator[tuple[str, list[EntryPoint]]]:
    from importlib.metadata import distributions

    for one in distributions(path=[place]):
        text = one.read_text("entry_points.txt") or ""
        yield _normalized(one.name), [*_points(text, f"{one.name} {one.version}")]


def _normalized(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _points(text: str, package: str) -> Iterator[EntryPoint]:
    """Yield the entry points of our groups in the text of a file ``entry_points.txt``."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line.strip("[]")
        elif group.startswith(_GROUPS) and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield EntryPoint(name.strip(), value.strip(), group, package)


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a package's description, by their name in lower case."""
    head = text.partition("\n\n")[0]
    pairs = (line.partition(":") for line in head.splitlines() if not line.startswith((" ", "\t")))
    return {name.lower(): value.strip() for name, _, value in pairs}


def _text(folder: str, name: str) -> str:
    """Return the text of a file of a package's description; empty if there is none."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
