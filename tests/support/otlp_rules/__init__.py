"""The rules of the OpenTelemetry specification that can be checked at a receiver, in the order of arrival.

One module has one group of rules. Each rule has a name and the section of the specification that it is from: pages of
https://opentelemetry.io/docs/specs/otel/ if nothing else is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.otlp_rules import envelope, histograms, logs, metrics, series, spans, traces
from tests.support.otlp_rules.faults import Fault, Faults

RULES = {
    **envelope.RULES,
    **metrics.RULES,
    **histograms.RULES,
    **series.RULES,
    **spans.RULES,
    **logs.RULES,
    **traces.RULES,
}


class Checker:
    """Takes requests of all signals; ``finish`` returns the broken rules, each with its first example."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}
        self._descriptors = metrics.Descriptors()
        self._sequences = series.Sequences()
        self._traces = traces.Traces()

    def take(self, message: Any) -> None:
        """Check a request by itself, and as the next one."""
        self._note(envelope.check_envelope(message))
        signal = envelope.signal_of(message)
        if signal == "metrics":
            self._take_metrics(message)
        for _, _, item in envelope.items_of(message) if signal != "metrics" else ():
            if signal == "traces":
                self._note(spans.check_span(item))
                self._traces.add_span(item)
            else:
                self._note(logs.check_log(item))
                self._traces.add_log(item)

    def _take_metrics(self, message: Any) -> None:
        names, seen = set(), set()
        for resource, scope, metric in envelope.items_of(message):
            if (resource, scope, metric.name) in names:
                self._note([Fault("a metric occurs once in a scope", metric.name)])
            names.add((resource, scope, metric.name))
            self._note(metrics.check_metric(metric))
            self._note(self._descriptors.check(scope, metric))
            for described in metrics.points_of(resource, scope, metric):
                key = described.series, described.point.time_unix_nano
                if key in seen:
                    self._note([Fault("a point occurs once in a request", key)])
                seen.add(key)
                self._note(metrics.check_point(described))
                self._note(histograms.check_histogram(described))
                self._note(self._sequences.check(described))
                for exemplar in getattr(described.point, "exemplars", ()):
                    self._traces.add_exemplar(exemplar)

    def other_settings(self) -> None:
        """Accept other kinds of histograms from now on: the user changed the settings."""
        self._descriptors = metrics.Descriptors()

    def finish(self) -> dict[str, str]:
        """Check the ids, and return the broken rules."""
        self._note(self._traces.check())
        return self._faults

    def _note(self, faults: Iterable[Fault] | Faults) -> None:
        for rule, example in faults:
            assert rule in RULES, rule
            self._faults.setdefault(rule, str(example)[:1000])


def broken_rules(messages: Iterable[Any]) -> dict[str, str]:
    """Return the rules that requests break, each with its first example."""
    checker = Checker()
    for message in messages:
        checker.take(message)
    return checker.finish()
