"""Folders that tests read."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
CAPTURES = TESTS / "captures"
"""Logs of real runs of headroom."""
STORES = TESTS / "stores"
"""One store of each older schema version, with its answers."""
RELEASED = next(re.finditer(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE))[1]
"""The newest release of the changelog."""
