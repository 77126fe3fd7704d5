"""``python -m tests.torture --kills 1000``: prints one line, and ends with 1 if anything was wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.support.collector import Collector, find_collector
from tests.torture.run import Torture


def main() -> int:
    """Run it and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="work here, and leave everything")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        collector = Collector(find_collector(), folder)
        try:
            result = Torture(folder, collector, kills=arguments.kills, seed=arguments.seed).run(progress=True)
        finally:
            collector.kill()
    for detail in result.details:
        print(detail, file=sys.stderr)
    print(result)
    return 1 if result.details else 0


if __name__ == "__main__":
    sys.exit(main())
