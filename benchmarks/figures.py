"""Measured figures with their limits: as a table, as JSON, and as a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

TOLERANCE = 0.1
"""A limit that is missed by no more than this share is reported but fails nothing, unless its bar has another one."""


class Bar(msgspec.Struct, frozen=True):
    """The maximum or minimum of a figure."""

    value: float
    at_least: bool = False
    tolerance: float = TOLERANCE
    """The share of the bar by which it may be missed before the run fails."""

    def missed_by(self, value: float) -> float:
        """By which share of the bar it is missed; 0 or less: it is kept."""
        return (self.value - value if self.at_least else value - self.value) / self.value


def at_most(value: float) -> Bar:
    """The bar of a figure that should be small."""
    return Bar(value)


def at_least(value: float) -> Bar:
    """The bar of a figure that should be large."""
    return Bar(value, at_least=True)


class Figure(msgspec.Struct, frozen=True):
    """One number. ``note`` explains it; ``value`` is None if it could not be measured."""

    group: str
    name: str
    value: float | None
    unit: str
    bar: Bar | None = None
    note: str = ""

    @property
    def missed_by(self) -> float:
        """By which share the bar is missed; 0 or less: it is kept, or there is none."""
        if self.bar is None:
            return 0.0
        return 1.0 if self.value is None else self.bar.missed_by(self.value)

    @property
    def verdict(self) -> str:
        """The same in a word."""
        if self.bar is None:
            return ""
        if self.value is None:
            return "not measured"
        if self.missed_by <= 0:
            return "met"
        return "missed" if self.fails else "just missed"

    @property
    def fails(self) -> bool:
        """True if the bar is missed by more than its tolerance."""
        return self.bar is not None and self.missed_by > self.bar.tolerance


class Machine(msgspec.Struct, frozen=True):
    """The machine and the time of the measurement."""

    when: str
    python: str
    cpus: int
    cpu: str
    memory_gib: float
    load_before: float
    load_after: float
    commit: str = ""
    """The measured commit, with a + if the tree had further changes."""


class Report(msgspec.Struct, frozen=True):
    """A run of the whole harness."""

    machine: Machine
    size: str
    figures: tuple[Figure, ...]

    @property
    def failed(self) -> list[Figure]:
        """The figures that miss their bar by more than its tolerance."""
        return [figure for figure in self.figures if figure.fails]


def number(value: float | None) -> str:
    """A figure as one reads it: three digits that count, thousands apart."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def cells(figure: Figure) -> tuple[str, str, str, str, str]:
    """A figure's row: name, figure, bar, verdict, note."""
    bar = ""
    if figure.bar is not None:
        bar = ("≥ " if figure.bar.at_least else "≤ ") + number(figure.bar.value)
    unit = "" if figure.value is None else figure.unit
    return figure.name, f"{number(figure.value)} {unit}".strip(), bar, figure.verdict, figure.note


def table(figures: Sequence[Figure]) -> str:
    """All of them, group by group, for a terminal."""
    rows = [cells(figure) for figure in figures]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    lines, group = [], ""
    for figure, row in zip(figures, rows, strict=True):
        if figure.group != group:
            group = figure.group
            lines.append(f"\n{group}")
        columns = (row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2]), row[3].ljust(widths[3]))
        lines.append(f"  {'  '.join(columns)}  {row[4]}".rstrip())
    return "\n".join(lines).lstrip("\n")
