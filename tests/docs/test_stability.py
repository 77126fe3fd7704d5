from __future__ import annotations

import pytest

from tools import stable


def test_stable_names_are_those_of_the_record() -> None:
    """A removed name breaks users: docs/reference/stability.md. ``python -m tools.stable`` records a new one."""
    recorded, found = set(stable.RECORD.read_text().splitlines()), set(stable.names())
    assert sorted(recorded - found) == []
    assert sorted(found - recorded) == []


@pytest.mark.parametrize(
    "name",
    [
        "json status .exporters[].pending",
        "json report .marks[].text",
        "json query marks [].text",
        "json query schema [].column",
        "json detect [].observer",
        "json observers [].name",
        "json exporters [].name",
        "key [exporter.jsonl] file",
        "variable OTEL_LOGTAIL_JSONL_FILE",
    ],
)
def test_the_record_has_the_kind_of_name(name: str) -> None:
    assert name in stable.RECORD.read_text().splitlines()
