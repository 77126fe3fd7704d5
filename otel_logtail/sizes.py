"""Sizes as people write them. Pure."""

from __future__ import annotations

import re

_BYTES = {"": 1, "b": 1} | {
    f"{prefix}{i}b": base**power for power, prefix in enumerate("kmgt", 1) for i, base in (("", 1000), ("i", 1024))
}


def parse_bytes(text: str) -> int | None:
    """The bytes that a text such as 1GiB, 500MB or 4096 means; None if it means no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)", text.strip().lower())
    if match is None:
        return None
    unit = match[2] if not match[2] or match[2].endswith("b") else match[2] + "b"
    return int(float(match[1]) * _BYTES[unit]) if unit in _BYTES else None
