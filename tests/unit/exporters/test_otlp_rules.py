"""Each rule of the specification that tests hold is broken by a message that breaks it, and by no correct one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.otlp.logs import encode_breaches
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.model import ExportBatch, Instrument, Stream
from tests.support.otlp_items import MS, T0, breach, episode, episodes, intervals, part, point
from tests.support.otlp_rules import RULES, broken_rules

SECOND = 10**9
EXPLICIT, EXPONENTIAL, DELTA = Encoding("1"), Encoding("1", exponential=True), Encoding("1", delta=True)


def message_of(batch: ExportBatch, encoding: Encoding = EXPLICIT) -> Any:
    (request,) = requests(batch, encoding)
    return request.message


def metrics(encoding: Encoding = EXPLICIT, time_ns: int = T0, values: tuple[float, ...] = (1, 2, 700)) -> Any:
    """Durations with an exemplar that leads to the span of :func:`spans`, breaches, and a gauge."""
    slow = breach(1, 700, time_ns=time_ns - MS)
    slowest = msgspec.structs.replace(point(values, delta_ms=values, time_ns=time_ns), exemplars=(slow,))
    counted = point(values, instrument=Instrument.BREACHES, delta_ms=values, time_ns=time_ns, id=2)
    return message_of(intervals(slowest, counted), encoding)


def spans() -> Any:
    """An episode that is a stall, and a part of it."""
    message = message_of(episodes(episode([600, 2500])))
    (first,) = message.resource_spans[0].scope_spans[0].spans
    del first.events[:]
    parts = message_of(ExportBatch(Stream.PARTS, (part([600, 2500], number=3),)))
    message.resource_spans[0].scope_spans[0].spans.append(parts.resource_spans[0].scope_spans[0].spans[0])
    return message


def logs() -> Any:
    return encode_breaches([breach(1, 600, time_ns=T0)], EXPLICIT)


Sent = list[Any]


def good() -> Sent:
    """Correct messages: metrics twice, explicit and then exponential ones of another scope, spans, logs."""
    exponential = metrics(EXPONENTIAL)
    exponential.resource_metrics[0].scope_metrics[0].scope.name = "other"
    return [metrics(), metrics(time_ns=T0 + 10 * SECOND), exponential, spans(), logs()]


def metric(sent: Sent, name: str = "duration", message: int = 0) -> Any:
    own = sent[message].resource_metrics[0].scope_metrics[0].metrics
    return next(metric for metric in own if metric.name == f"log.overhead.{name}")


def durations(sent: Sent, message: int = 0) -> Any:
    return metric(sent, message=message).histogram.data_points[0]


def exponential(sent: Sent) -> Any:
    return metric(sent, message=2).exponential_histogram.data_points[0]


def breaches(sent: Sent, message: int = 0) -> Any:
    return metric(sent, "breaches", message).sum.data_points[0]


def exemplar(sent: Sent, message: int = 0) -> Any:
    return durations(sent, message).exemplars[0]


def group(sent: Sent) -> Any:
    return sent[0].resource_metrics[0]


def scope(sent: Sent) -> Any:
    return group(sent).scope_metrics[0]


def span(sent: Sent, number: int = 0) -> Any:
    return sent[3].resource_spans[0].scope_spans[0].spans[number]


def log(sent: Sent) -> Any:
    return sent[4].resource_logs[0].scope_logs[0].log_records[0]


def add(items: Any, **changes: object) -> None:
    """Append a copy of the first item, changed."""
    one = copy.deepcopy(items[0])
    for name, value in changes.items():
        setattr(one, name, value)
    items.append(one)


def change(item: Any, **changes: object) -> None:
    for name, value in changes.items():
        setattr(item, name, value)


def replace_list(items: Any, values: Sequence[float]) -> None:
    del items[:]
    items.extend(values)


def empty(point: Any, **changes: object) -> None:
    """Make a point one that counts nothing, then change it."""
    replace_list(point.bucket_counts, [0] * len(point.bucket_counts))
    del point.exemplars[:]
    change(point, count=0, sum=0.0)
    point.ClearField("min")
    point.ClearField("max")
    change(point, **changes)


def delta(sent: Sent, start_ns: int) -> None:
    """Make the first two messages deltas; the second starts then."""
    for number in (0, 1):
        sent[number] = metrics(DELTA, T0 + number * 10 * SECOND)
    durations(sent, 1).start_time_unix_nano = start_ns


def unlike(event: Any, **values: str) -> None:
    for pair in event.attributes:
        if pair.key in values:
            pair.value.string_value = values[pair.key]


BREAKS: dict[str, Callable[[Sent], object]] = {
    # the envelope
    "an attribute's key is unique": lambda s: add(span(s).attributes),
    "an attribute's key is not empty": lambda s: log(s).attributes.add(key=""),
    "an attribute's value is not null": lambda s: breaches(s).attributes.add(key="null"),
    "a resource has service.name": lambda s: change(group(s).resource.attributes[0], key="name"),
    "a resource occurs once in a request": lambda s: add(s[0].resource_metrics),
    "a scope has a name": lambda s: change(scope(s).scope, name=""),
    "a scope has a version": lambda s: change(scope(s).scope, version=""),
    "a scope occurs once in a resource": lambda s: add(group(s).scope_metrics),
    "a schema URL names a version": lambda s: change(scope(s), schema_url=""),
    # metrics
    "a metric's name has the syntax of an instrument's": lambda s: change(metric(s), name="1 name"),
    "a metric's unit has at most 63 characters": lambda s: change(metric(s), unit="s" * 64),
    "a metric has a description": lambda s: change(metric(s), description=""),
    "a metric occurs once in a scope": lambda s: add(scope(s).metrics),
    "a metric has one descriptor": lambda s: change(metric(s, message=1), unit="ms"),
    "a metric has points": lambda s: replace_list(metric(s).histogram.data_points, []),
    "a metric has a temporality": lambda s: change(metric(s).histogram, aggregation_temporality=0),
    "a point occurs once in a request": lambda s: add(metric(s).histogram.data_points),
    "a point has a time": lambda s: change(breaches(s), time_unix_nano=0),
    "a sum or histogram has a start": lambda s: change(breaches(s), start_time_unix_nano=0),
    "a point starts before it ends": lambda s: change(breaches(s), start_time_unix_nano=T0 + 1),
    "a number has a value": lambda s: breaches(s).ClearField("value"),
    "a monotonic sum is not negative": lambda s: change(breaches(s), as_int=-1),
    "a point has no flag": lambda s: change(breaches(s), flags=1),
    # histograms
    "the buckets hold the count": lambda s: change(durations(s), count=4),
    "there is one bucket more than bounds": lambda s: durations(s).bucket_counts.append(0),
    "bounds increase": lambda s: replace_list(durations(s).explicit_bounds, [1.0] * len(durations(s).explicit_bounds)),
    "bounds are finite": lambda s: durations(s).explicit_bounds.append(float("inf")),
    "a count of 0 has the sum 0": lambda s: empty(durations(s), sum=1.0),
    "a count of 0 has no minimum and no maximum": lambda s: empty(durations(s), min=0.0),
    "the minimum is at most the maximum": lambda s: change(durations(s), min=1.0),
    "the sum is between minimum and maximum times the count": lambda s: change(durations(s), sum=9.0),
    "the minimum is in the first bucket that is not empty": lambda s: change(durations(s), min=0.1),
    "the maximum is in the last bucket that is not empty": lambda s: change(durations(s), max=70.0),
    "exponential buckets and zeros hold the count": lambda s: change(exponential(s), zero_count=1),
    "the scale is from -10 to 20": lambda s: change(exponential(s), scale=21),
    "the exponential buckets are within the limit": lambda s: exponential(s).positive.bucket_counts.extend([0] * 160),
    "the first and the last exponential bucket are not empty": lambda s: exponential(s).positive.bucket_counts.append(
        0
    ),
    "the minimum is in the first exponential bucket": lambda s: change(exponential(s), min=0.1),
    "the maximum is in the last exponential bucket": lambda s: change(exponential(s), max=70.0),
    "an exemplar has a value": lambda s: exemplar(s).ClearField("value"),
    "an exemplar has a time": lambda s: change(exemplar(s), time_unix_nano=0),
    "an exemplar has ids of 16 and 8 bytes": lambda s: change(exemplar(s), trace_id=b"1"),
    "an exemplar's id is not zero": lambda s: change(exemplar(s), span_id=bytes(8)),
    "an exemplar is within its point's time": lambda s: change(exemplar(s), time_unix_nano=T0 + 1),
    "an exemplar is within its point's values": lambda s: change(exemplar(s), as_double=0.8),
    "an exemplar repeats no attribute of its point": lambda s: exemplar(s).filtered_attributes.extend(
        durations(s).attributes
    ),
    # series
    "the time of a series does not go back": lambda s: s.insert(0, s.pop(1)),
    "a series has one point at a time": lambda s: change(breaches(s, 1), time_unix_nano=T0, as_int=9),
    "intervals of a delta do not overlap": lambda s: delta(s, T0 - 1),
    "a new start is not before the last point": lambda s: change(breaches(s, 1), start_time_unix_nano=T0 - 1),
    "a cumulative value does not fall": lambda s: change(breaches(s, 1), as_int=2),
    "a cumulative bucket does not fall": lambda s: replace_list(
        durations(s, 1).bucket_counts, [2, 0, 1] + [0] * (len(durations(s, 1).bucket_counts) - 3)
    ),
    "bounds change only with a new start": lambda s: change_bound(durations(s, 1)),
    # spans
    "a span has a trace id": lambda s: change(span(s), trace_id=bytes(16)),
    "a span has an id": lambda s: change(span(s), span_id=b""),
    "a parent's id has 8 bytes": lambda s: change(span(s, 1), parent_span_id=b"1"),
    "a span has a name": lambda s: change(span(s), name=""),
    "a span has a kind": lambda s: change(span(s), kind=0),
    "a span has a start and an end": lambda s: change(span(s), end_time_unix_nano=0),
    "a span ends after its start": lambda s: change(span(s), end_time_unix_nano=1),
    "a span is sampled": lambda s: change(span(s), flags=0x100),
    "a description is that of an error": lambda s: change(span(s).status, code=0),
    "an error has a type": lambda s: unlike(span(s), **{"error.type": ""}),
    "an error has a description": lambda s: change(span(s).status, message=""),
    "the description says more than the type": lambda s: change(span(s).status, message="stall"),
    "nothing of a span is dropped": lambda s: change(span(s), dropped_events_count=1),
    "a span event has a name": lambda s: change(span(s, 1).events[0], name=""),
    "a span event is within its span": lambda s: change(span(s, 1).events[0], time_unix_nano=1),
    "a link leads to a span": lambda s: span(s).links.add(trace_id=b"1" * 16),
    # log records
    "a log record has a time": lambda s: change(log(s), time_unix_nano=0),
    "a log record has an observed time": lambda s: change(log(s), observed_time_unix_nano=0),
    "a log record has a severity": lambda s: change(log(s), severity_number=0),
    "a log record has the name of its event": lambda s: change(log(s), event_name=""),
    "a log record has ids of 16 and 8 bytes, or none": lambda s: change(log(s), trace_id=b""),
    "a log record with ids is sampled": lambda s: change(log(s), flags=0),
    # ids
    "an id has one span": lambda s: add(s[3].resource_spans[0].scope_spans[0].spans, name="other"),
    "a parent is a span of the same trace": lambda s: change(span(s, 1), parent_span_id=b"12345678"),
    "an exemplar leads to a span": lambda s: change(exemplar(s), span_id=b"12345678"),
    "an exemplar has the trace of its span": lambda s: change(exemplar(s, 1), trace_id=b"1" * 16),
    "a log record leads to a span": lambda s: change(log(s), span_id=b"12345678"),
    "a breach is one event": lambda s: add(span(s, 1).events),
}
"""How a correct history becomes one that breaks the rule."""


def change_bound(point: Any) -> None:
    point.explicit_bounds[0] /= 2


def test_correct_messages_break_no_rule() -> None:
    assert broken_rules(good()) == {}


def test_a_message_that_is_sent_again_unchanged_breaks_no_rule() -> None:
    sent = good()
    assert broken_rules([*sent, *copy.deepcopy(sent)]) == {}


def test_a_histogram_needs_no_minimum_and_no_maximum() -> None:
    sent = good()
    for data in (durations(sent), exponential(sent)):
        del data.exemplars[:]
        data.ClearField("min")
        data.ClearField("max")
    assert broken_rules(sent) == {}


def test_a_sum_that_is_not_monotonic_may_fall() -> None:
    sent = good()
    change(breaches(sent, 1), as_int=0)
    for number in (0, 1):
        metric(sent, "breaches", number).sum.is_monotonic = False
    assert broken_rules(sent) == {}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_broken_by_a_message_against_it(rule: str) -> None:
    sent = good()
    BREAKS[rule](sent)
    assert rule in broken_rules(sent)


def test_every_rule_has_its_section_of_the_specification() -> None:
    assert set(RULES) == set(BREAKS)
    assert all(section.partition("#")[0].endswith(".md") for section in RULES.values())
