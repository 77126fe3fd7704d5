"""A broken rule, and what all groups of rules read from a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """The name of the rule that a message breaks, and the part that breaks it."""

    rule: str
    example: object


Faults = Iterator[Fault]
Key = tuple[tuple[str, object], ...]


def values_of(pairs: Iterable[Any]) -> dict[str, object]:
    """Return attributes as a mapping."""
    found = {}
    for pair in pairs:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = getattr(pair.value, kind) if kind else None
    return found


def key_of(pairs: Iterable[Any]) -> Key:
    """Return attributes as a key: their order means nothing."""
    return tuple(sorted(values_of(pairs).items()))
