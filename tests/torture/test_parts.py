"""A breach that is lost, doubled, or in another trace or part is found at the receiver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.collector import ReceivedEvent, ReceivedSpan
from tests.support.forked import run
from tests.torture.parts import Breach, faults, stored_breaches, stored_parts
from tests.torture.upstream import burst_of

TRACE = "a" * 32
BREACHES = {f"u{n}": Breach(1000 + n, n, TRACE, "root", 1 if n < 3 else 2) for n in range(1, 5)}


def span(span_id: str, parent_id: str = "", uids: tuple[int, ...] = (), **attributes: int) -> ReceivedSpan:
    events = tuple(ReceivedEvent("torture", 1000 + n, {"log.record.uid": f"u{n}"}) for n in uids)
    return ReceivedSpan({}, ("", ""), "torture", 1, TRACE, span_id, 0, 9, 0, attributes, events, 0, parent_id)


def received() -> list[ReceivedSpan]:
    """An episode in two parts, of which one arrives twice."""
    second = span("p2", "root", (3, 4), part=2)
    return [span("p1", "root", (1, 2), part=1), second, span("root", parts=2), second]


def test_each_breach_once_in_its_part_is_right() -> None:
    assert list(faults(received(), BREACHES)) == []


def test_a_span_that_the_receiver_rejected_is_not_expected() -> None:
    assert list(faults(received()[1:], {uid: one for uid, one in BREACHES.items() if one.part == 2}, {"p1"})) == []
    assert list(faults(received()[:2], BREACHES, {"root"})) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda spans: spans[1:], "breach u1 of line 1 is lost"),
        (lambda spans: [*spans, span("p3", "root", (1,), part=1)], "breach u1 is 2 span events"),
        (lambda spans: [*spans, span("other", uids=(9,))], "breach u9 is not in the store"),
        (lambda spans: [replace(spans[0], trace_id="b" * 32), *spans[1:]], "is an event of"),
        (lambda spans: [replace(spans[0], attributes={"part": 2}), *spans[1:]], "is an event of"),
        (
            lambda spans: [replace(spans[0], events=spans[0].events[::-1] and spans[1].events), *spans[1:]],
            "u3 is 2 span",
        ),
        (lambda spans: [*spans, span("p3", "root", part=2)], "has two parts of one number"),
        (lambda spans: spans[:2], "has parts and no span"),
        (lambda spans: [*spans[:2], span("root", parts=1)], "has 1 parts, and received are"),
        (lambda spans: [*spans[:2], replace(spans[2], events=spans[0].events)], "has parts and events of its own"),
    ],
)
def test_a_fault_at_the_receiver_is_named(
    change: Callable[[list[ReceivedSpan]], list[ReceivedSpan]], fault: str
) -> None:
    assert any(fault in found for found in faults(change(received()), BREACHES))


def test_a_burst_is_an_episode_in_parts(tmp_path: Path) -> None:
    (tmp_path / "proxy.log").write_bytes(burst_of(range(1, 301), 1_796_000_000.0))
    words = ("--observer", "headroom", "--path", tmp_path / "proxy.log", "--once", "--db", tmp_path / "store.db")
    run(*words, "--retention", "none", "--threshold-ms", 1000, "--quiet-ms", 200, home=tmp_path)
    assert stored_parts(tmp_path / "store.db") == 3
    found = stored_breaches(tmp_path / "store.db")
    assert sorted(one.line for one in found.values()) == list(range(1, 301))
    assert len({one.span_id for one in found.values()}) == 1
