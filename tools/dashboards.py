"""The dashboards in collector-config/grafana/dashboards. ``make dashboards`` writes them; a test checks that.

Counts, sums and maxima are those of ``report``. Percentiles are computed from buckets: the error is at most a bucket's
width, and 1 % if the histograms are native.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.board_health import health
from tools.board_overhead import overhead
from tools.board_stalls import stalls

FOLDER = Path(__file__).resolve().parent.parent / "collector-config" / "grafana" / "dashboards"


def files() -> Iterator[tuple[str, str]]:
    """Yield the name and the content of each file."""
    for name, made in (("overhead", overhead()), ("stalls", stalls()), ("health", health())):
        yield f"{name}.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files and return the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
