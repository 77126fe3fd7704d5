"""What somebody can tolerate, written down: ``p99<500ms``, ``stalls<5/day``. Pure.

The grammar, with spaces allowed between the parts::

    slo      = subject ("<" | "<=") bound
    subject  = duration: mean | max | p50 .. p99.999     bound: a duration, such as 500ms
             | count:    stalls | episodes               bound: a number, or a number "/day" or "/hour"
             | share:    breaches | stalled              bound: a number and %

A count with ``/day`` (``/hour``) holds on each day (hour) of the range, by the local calendar: the worst one decides.
``breaches`` is the share of samples that are not ok, ``stalled`` that of time within episodes.
"""

from __future__ import annotations

import re
from fractions import Fraction

import msgspec

from otel_logtail.errors import UsageError
from otel_logtail.text import DURATIONS, parse_duration

_EXAMPLES = "such as p99<500ms, max<=5s, stalls<5/day, episodes<=20, breaches<1%, stalled<0.5%"
_PARTS = re.compile(r"\s*([A-Za-z]+[0-9.]*)\s*(<=|<)\s*([0-9]+(?:\.[0-9]+)?)\s*(.*?)\s*")


class Slo(msgspec.Struct, frozen=True):
    """``subject`` stays below ``bound`` (milliseconds, a number or a percentage); ``per`` is day, hour or nothing."""

    text: str
    subject: str
    bound: Fraction
    inclusive: bool
    per: str = ""

    @property
    def percent(self) -> Fraction | None:
        """Which percentile it is about; None: about none."""
        return Fraction(self.subject[1:]) if re.fullmatch(r"p[0-9.]+", self.subject) else None

    def holds(self, value: float) -> bool:
        """Whether a value keeps it."""
        return value <= self.bound if self.inclusive else value < self.bound


class Verdict(msgspec.Struct, frozen=True):
    """Whether one was kept, and the figure that says so."""

    slo: str
    kept: bool
    figure: str


def parse_slo(text: str) -> Slo:
    """What a text means.

    Raises:
        UsageError: nothing that can be looked at.
    """

    def wrong(why: str) -> UsageError:
        return UsageError(f"--slo {text!r}: {why}", hint=_EXAMPLES)

    match = _PARTS.fullmatch(text)
    if match is None:
        raise wrong("it is not: what, < or <=, how much")
    subject, sign, number, unit = match[1].lower(), match[2], match[3], match[4].lower()
    bound, per = Fraction(number), ""
    percentile = re.fullmatch(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)", subject)
    if percentile and Fraction(percentile[1]) <= 0:
        raise wrong("a percentile is from p1 to p99.999")
    if percentile or subject in ("mean", "max"):
        try:
            bound = Fraction(parse_duration(number + unit), DURATIONS["ms"])
        except ValueError as problem:
            raise wrong(f"{subject} is a duration: {problem}") from None
    elif subject in ("stalls", "episodes"):
        per = unit.removeprefix("/").strip()
        if unit and (not unit.startswith("/") or per not in ("day", "hour")):
            raise wrong(f"{subject} are counted: a number, or a number with /day or /hour")
    elif subject in ("breaches", "stalled"):
        if unit != "%":
            raise wrong(f"{subject} is a share: {number} needs % behind it")
    else:
        raise wrong(f"there is no {subject}; there are p1 to p99.999, mean, max, stalls, episodes, breaches, stalled")
    return Slo(text.strip(), subject, bound, sign == "<=", per)
