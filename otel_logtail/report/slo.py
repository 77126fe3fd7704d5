"""Parse service level objectives such as ``p99<500ms`` and ``stalls<5/day``. Pure.

The grammar, with optional spaces between the parts::

    slo      = metric ("<" | "<=") limit
    metric   = duration: mean | max | p1 .. p99.999      limit: a duration, e.g. 500ms
             | count:    stalls | episodes               limit: a number, or a number and /day or /hour
             | share:    breaches | stalled              limit: a number and %
             |           time in stalls | time in episodes

A count with ``/day`` (``/hour``) is met if each whole day (hour) of the range meets it, by the local calendar.
``breaches`` is the share of samples that are degraded or stall. ``stalled`` is short for ``time in stalls``.
"""

from __future__ import annotations

import re
from fractions import Fraction

import msgspec

from otel_logtail.errors import UsageError, invalid
from otel_logtail.text import DURATIONS, parse_duration

IN_STALLS, IN_EPISODES = "time in stalls", "time in episodes"
_COUNTS = ("stalls", "episodes")
_SHARES = ("breaches", "stalled", IN_STALLS, IN_EPISODES)
_METRICS = ", ".join(("p1 to p99.999", "mean", "max", *_COUNTS, *_SHARES))
_EXAMPLES = "for example p99<500ms, max<=5s, stalls<5/day, episodes<=20, breaches<1%, stalled<0.5%"
_PARTS = re.compile(r"\s*([A-Za-z][A-Za-z ]*[0-9.]*)\s*(<=|<)\s*([0-9]+(?:\.[0-9]+)?)\s*(.*?)\s*")


class Slo(msgspec.Struct, frozen=True):
    """A target: ``subject`` stays below ``bound``, in ms, as a number or in percent; ``per`` is day, hour or empty."""

    text: str
    subject: str
    bound: Fraction
    inclusive: bool
    per: str = ""

    @property
    def percent(self) -> Fraction | None:
        """The percentile that the target is about, or None if it is about something else."""
        return Fraction(self.subject[1:]) if re.fullmatch(r"p[0-9.]+", self.subject) else None

    def is_met(self, value: float) -> bool:
        """Return whether a value meets the target."""
        return value <= self.bound if self.inclusive else value < self.bound


def parse_slo(text: str) -> Slo:
    """Parse a target.

    Raises:
        UsageError: the text is not a valid target.
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        raise _invalid(text, "expected METRIC<LIMIT or METRIC<=LIMIT")
    subject, sign, number, unit = " ".join(match[1].lower().split()), match[2], match[3], match[4].lower()
    bound, per = Fraction(number), ""
    percentile = re.fullmatch(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)", subject)
    if percentile and Fraction(percentile[1]) <= 0:
        raise _invalid(text, "percentiles range from p1 to p99.999")
    if percentile or subject in ("mean", "max"):
        try:
            bound = Fraction(parse_duration(number + unit), DURATIONS["ms"])
        except ValueError as problem:
            raise _invalid(text, f"{subject} is a duration: {problem}") from None
    elif subject in _COUNTS:
        per = unit.removeprefix("/").strip()
        if unit and (not unit.startswith("/") or per not in ("day", "hour")):
            raise _invalid(text, f"{subject} is a count: write {number}, {number}/day or {number}/hour")
    elif subject in _SHARES:
        if unit != "%":
            raise _invalid(text, f"{subject} is a share: write {number}%")
    else:
        raise _invalid(text, f"unknown metric {subject}, expected one of {_METRICS}")
    return Slo(text.strip(), IN_STALLS if subject == "stalled" else subject, bound, sign == "<=", per)


def default_slos(threshold_ms: float | None) -> list[Slo]:
    """Return targets for a user who gives none.

    Args:
        threshold_ms: The latency from which a sample is slow; None: the sources have different ones.
    """
    texts = ["stalls<5/day", f"{IN_STALLS}<0.1%"]
    return [parse_slo(text) for text in (*([f"p99<{threshold_ms:g}ms"] if threshold_ms else []), *texts)]


def _invalid(text: str, why: str) -> UsageError:
    return invalid("--slo", text, why, _EXAMPLES)
