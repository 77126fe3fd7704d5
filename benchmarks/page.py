"""The tables of docs/explanation/performance.md, out of the figures of one run.

    python -m benchmarks.page build/bench.json    keep these figures, and update the page

A run of some groups (``--only``) replaces the figures of these groups; the machine stays that of the whole run. The
figures of the page are in results.json next to this module; a test compares the page with them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from benchmarks.figures import Figure, Report, cells

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "explanation" / "performance.md"
_TABLES = re.compile(r"(?<=<!-- figures: python -m benchmarks\.page -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def read(path: Path) -> Report:
    """A run, as it was written."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def merged(kept: Report, new: Report) -> Report:
    """Return the kept figures with those of a new run, in the order of the kept groups."""
    groups = list(dict.fromkeys(figure.group for figure in (*kept.figures, *new.figures)))
    measured = {figure.group for figure in new.figures}
    if measured.issuperset(groups):
        return new
    chosen = [
        figure for group in groups for figure in (new if group in measured else kept).figures if figure.group == group
    ]
    return msgspec.structs.replace(kept, figures=tuple(chosen))


def tables(report: Report) -> str:
    """All figures, a table for each group."""
    machine = report.machine
    parts = [
        f"Measured {machine.when}: {machine.cpus} CPUs ({machine.cpu}), {machine.memory_gib} GiB,"
        f" Python {machine.python}; size `{report.size}`, commit `{machine.commit}`. The machine was shared:"
        f" its load was {machine.load_before} before and {machine.load_after} after.\n"
    ]
    groups: dict[str, list[Figure]] = {}
    for figure in report.figures:
        groups.setdefault(figure.group, []).append(figure)
    for group, figures in groups.items():
        barred = any(figure.bar is not None for figure in figures)
        parts.append(f"### {group[0].upper()}{group[1:]}\n")
        parts.append(
            "| | measured | target | | |\n|---|---:|---:|---|---|" if barred else "| | measured | |\n|---|---:|---|"
        )
        for figure in figures:
            name, value, bar, verdict, note = cells(figure)
            strong = f"**{verdict}**" if "missed" in verdict or "not" in verdict else verdict
            parts.append(
                f"| {name} | {value} | {bar} | {strong} | {note} |" if barred else f"| {name} | {value} | {note} |"
            )
        parts.append("")
    return "\n".join(parts)


def written(page: str, report: Report) -> str:
    """The page with the figures of this run."""
    return _TABLES.sub(lambda _: tables(report), page)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        report = merged(read(RESULTS), read(Path(sys.argv[1])))
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    PAGE.write_text(written(PAGE.read_text(), read(RESULTS)))
