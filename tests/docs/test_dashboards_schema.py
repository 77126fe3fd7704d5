"""The dashboards against the types that Grafana's own SDK was generated with from its schema.

It drops unknown fields, so a field that is lost in a round trip is not part of the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tools import dashboards

ONLY_OF_DATA_SOURCES = r"\.annotations\.list\[\d+\]\.(step|titleFormat|textFormat)"
"""Fields of annotations that the data sources read, and the common schema leaves out."""

models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="the SDK wants Python 3.11")
encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder")
plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")


def unknown(made: dict[str, Any]) -> list[str]:
    """The places of a dashboard that Grafana's types have no place for, or another value."""
    plugins.register_default_plugins()
    back = json.loads(encoder.JSONEncoder().encode(models.Dashboard.from_json(json.loads(json.dumps(made)))))
    return [lost for lost in _lost(made, back, "") if not re.fullmatch(ONLY_OF_DATA_SOURCES, lost)]


def _lost(ours: Any, theirs: Any, where: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            if key in theirs:
                yield from _lost(value, theirs[key], f"{where}.{key}")
            elif value is not None:
                yield f"{where}.{key}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _lost(one, other, f"{where}[{index}]")
    elif ours != theirs:
        yield where


def made() -> list[dict[str, Any]]:
    return [json.loads(text) for _, text in dashboards.files()]


@pytest.mark.parametrize("made", made(), ids=lambda made: str(made["uid"]))
def test_grafana_has_every_part_of_a_dashboard(made: dict[str, Any]) -> None:
    assert unknown(made) == []


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ((), "tagz"),
        (("panels", 1), "tittle"),
        (("panels", 1, "options"), "colourMode"),
        (("panels", 1, "targets", 0), "expression"),
        (("panels", 6, "fieldConfig", "defaults", "custom"), "drawStile"),
        (("templating", "list", 0), "kind"),
    ],
)
def test_a_misspelt_part_is_found(where: tuple[str | int, ...], key: str) -> None:
    broken = next(one for one in made() if one["title"] == "Overhead")
    part: Any = broken
    for step in where:
        part = part[step]
    part[key] = "x"
    assert [lost.rpartition(".")[2] for lost in unknown(broken)] == [key]
