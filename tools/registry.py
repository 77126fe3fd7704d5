"""The registry of everything that otel-logtail sends, in docs/telemetry: semantic conventions in the form of Weaver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml  # type: ignore[import-untyped]  # comes with kubernetes-validate

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "telemetry"
FILES = ("signals.yaml", "health.yaml", "resources.yaml", "attributes.yaml")


class Attribute(msgspec.Struct, frozen=True):
    """An attribute as a group has it. ``type`` is empty for one that OpenTelemetry defines.

    ``level`` is required, conditionally_required, recommended or opt_in, and ``condition`` belongs to the second.
    """

    name: str
    type: str
    brief: str
    level: str
    condition: str
    examples: tuple[object, ...]


class Signal(msgspec.Struct, frozen=True):
    """A metric, a span, an event or an entity with all of its attributes; ``raw`` is its group in the file."""

    type: str
    name: str
    brief: str
    note: str
    stability: str
    raw: Mapping[str, Any]
    attributes: tuple[Attribute, ...]


class Registry:
    """The groups of some files."""

    def __init__(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        self.groups = groups
        self.defined = {
            one["id"]: one for group in groups.values() for one in group.get("attributes", ()) if "id" in one
        }
        """The attributes that these files define."""

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Registry:
        """Read the files of a folder."""
        groups = [group for name in FILES for group in yaml.safe_load((folder / name).read_text())["groups"]]
        return cls({group["id"]: group for group in groups})

    def signals(self) -> Iterator[Signal]:
        """Yield the metrics, spans, events and entities in the order of the files."""
        for id_, group in self.groups.items():
            kind = group["type"]
            if kind != "attribute_group":
                name = group.get("metric_name") or group.get("name") or id_.removeprefix("span.")
                yield Signal(
                    kind, name, group["brief"], group.get("note", ""), group["stability"], group, self.attributes(id_)
                )

    def attributes(self, id_: str) -> tuple[Attribute, ...]:
        """Return the attributes of a group, those that it extends too: the required ones first."""
        group = self.groups[id_]
        inherited = self.attributes(group["extends"]) if "extends" in group else ()
        own = [self._attribute(one) for one in group.get("attributes", ())]
        names = {one.name for one in own}
        merged = [*(one for one in inherited if one.name not in names), *own]
        return tuple(sorted(merged, key=lambda one: (one.level != "required", one.name)))

    def _attribute(self, given: Mapping[str, Any]) -> Attribute:
        name = given.get("ref") or given["id"]
        full = {**self.defined.get(name, {}), **given}
        kind = full.get("type", "")
        examples = full.get("examples", ())
        if isinstance(kind, Mapping):
            examples = [member["value"] for member in kind["members"]]
            kind = "enum"
        level = full.get("requirement_level", "recommended")
        ((word, condition),) = level.items() if isinstance(level, Mapping) else ((level, ""),)
        return Attribute(name, kind, full.get("brief", ""), word, condition, tuple(examples))


def type_of(attribute: Attribute) -> str:
    """Return the type of an attribute's values: string, int, double or boolean."""
    if attribute.type and attribute.type != "enum":
        return attribute.type
    first = attribute.examples[0]  # weaver has no type in a reference to an attribute of OpenTelemetry
    names = {bool: "boolean", int: "int", float: "double", str: "string"}
    return names[type(first)]
