"""Causes and stages of a period that the one before does not have. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from otel_logtail.query import Hour
from otel_logtail.report.figures import Figure

_EXPECTED = 5.0  # at the later rate so many would have occurred before: chance does not explain none at all


class News(msgspec.Struct, frozen=True):
    """The names of new causes and stages.

    ``unseen`` are those that the period before does not have, but that may be too rare to be in it: each is a name and
    its number of samples.
    """

    causes: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    unseen: tuple[tuple[str, int], ...] = ()

    @property
    def sentence(self) -> str:
        """One sentence for each kind; empty if nothing is new."""
        parts = [
            f"New {kind}: {', '.join(names)}."
            for kind, names in (("causes", self.causes), ("stages", self.stages))
            if names
        ]
        if self.unseen:
            found = ", ".join(f"{name} ({number:,} sample{'' if number == 1 else 's'})" for name, number in self.unseen)
            parts.append(f"Not seen before: {found}.")
        return " ".join(parts)


def news_of(sides: Sequence[Iterable[Hour]], causes: Sequence[Figure]) -> News:
    """Return the causes and stages that only the second of two periods has.

    Args:
        sides: The hours of both periods.
        causes: The compared shares of causes: a new one has an interval that excludes "no change".
    """
    before, after = (list(side) for side in sides)
    longer = sum(hour.count for hour in before) / max(1, sum(hour.count for hour in after))
    slow = [_total(hour.causes for hour in side) for side in (before, after)]
    stages = [_total(hour.stages for hour in side) for side in (before, after)]
    certain = {figure.name for figure in causes if figure.ratio is not None and figure.ratio.low > 0}
    new_causes = [name for name in sorted(slow[1]) if not slow[0][name]]
    new_stages = [name for name in sorted(stages[1]) if not stages[0][name]]
    clear = [name for name in new_stages if stages[1][name] * longer >= _EXPECTED]
    return News(
        causes=tuple(name for name in new_causes if name in certain),
        stages=tuple(clear),
        unseen=(
            *((f"cause {name}", slow[1][name]) for name in new_causes if name not in certain),
            *((f"stage {name}", stages[1][name]) for name in new_stages if name not in clear),
        ),
    )


def _total(found: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counted in found:
        total.update(counted)
    return +total
