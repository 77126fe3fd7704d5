"""All targets, and a run of one of them without a fuzzer."""

from __future__ import annotations

from tests.fuzz import answers, files, lines, settings, twins
from tests.fuzz.target import Target

TARGETS = {target.name: target for module in (lines, twins, files, answers, settings) for target in module.TARGETS}


def replay(target: Target) -> int:
    """Run a target on each of its seeds; return their number."""
    number = 0
    for data in target.seeds():
        target.run(data)
        number += 1
    return number
