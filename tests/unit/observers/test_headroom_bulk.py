"""Many lines at once give what each of them gives alone: samples, counters and the first drift."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.model import Columns
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.headroom import observer as headroom
from otel_logtail.observers.headroom.observer import HeadroomObserver
from tests.support.places import CAPTURES

LOGS = sorted(CAPTURES.glob("*.log"))
LINES = [line + b"\n" for path in LOGS for line in path.read_bytes().split(b"\n") if b"STAGE_TIMINGS" in line]
GOOD = [line for line in LINES if b"anthropic_messages" in line and b"total_pre_upstream" in line]
SHARE_AT_ONCE = 0 if headroom._bulk is None else 1
"""Many lines at once are read in C only."""
THRESHOLDS = Thresholds(10 * 10**6, 500 * 10**6)


class OneByOne(HeadroomObserver):
    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        return None


class AtOnce(HeadroomObserver):
    """Notes how many lines went at once."""

    def __init__(self, context: ObserverContext) -> None:
        super().__init__(context)
        self.lines = 0

    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        columns = super().observe_all(lines)
        self.lines += 0 if columns is None else len(lines)
        return columns


def scanned(observer: HeadroomObserver, data: bytes) -> Scanned:
    return scan(observer, data, 1000, source="s", thresholds=THRESHOLDS)


def both(data: bytes) -> AtOnce:
    at_once = AtOnce(ObserverContext(timezone=timezone.utc))
    assert scanned(at_once, data) == scanned(OneByOne(ObserverContext(timezone=timezone.utc)), data)
    return at_once


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_capture(path: Path) -> None:
    both(path.read_bytes())


def test_ordinary_lines_go_at_once() -> None:
    assert len(GOOD) > 200
    same_form = [line for line in GOOD if b"[hr_1" in line] * 10
    assert both(b"".join(same_form)).lines == len(same_form) * SHARE_AT_ONCE


def test_web_socket_sessions_among_them_do_too() -> None:
    sessions = [line for line in LINES if b"openai_responses_ws" in line]
    assert sessions
    lines = (GOOD[:50] + sessions) * 10
    assert both(b"".join(lines)).lines == len(lines) * SHARE_AT_ONCE
    assert both(b"".join(sessions * 40)).lines == len(sessions) * 40 * SHARE_AT_ONCE


def test_a_forged_pair_of_lines_is_no_more_at_once_than_one_by_one() -> None:
    """One payload in two lines, and another behind it in the second: the decoder finds as many values as lines."""
    first, second = [line for line in GOOD if b"[hr_1" in line][:2]
    prefix, payload = first.split(b"STAGE_TIMINGS ")
    cut = payload.index(b",") + 1
    for between in (b"", b" ", b" \t\r "):
        forged = prefix + b"STAGE_TIMINGS " + payload[:cut] + b"\n"
        forged += second.replace(b"STAGE_TIMINGS ", b"STAGE_TIMINGS " + payload[cut:].rstrip(b"\n") + between)
        both(b"".join([*GOOD[:40], forged, *GOOD[:40]]))


MUTATIONS = st.sampled_from(
    [
        (b'"event": "stage_timings"', b'"event": "other"'),
        (b"anthropic_messages", b"somewhere_else"),
        (b"anthropic_messages", b"openai_responses_ws"),
        (b'"request_id": "hr', b'"request_id": "xx'),
        (b'"request_id": "', b'"request_id": "\\u0068'),
        (b"[hr_", b"[hr_9"),
        (b"[hr_", b"[req-"),
        (b" - INFO - ", b" - DEBUG - "),
        (b"headroom.proxy - ", b"headroom.other - "),
        (b"2026-", b"2025-"),
        (b"2026-11-23 18:", b"2026-11-23 19:"),
        (b"2026-11-23 18:", b"2026-11-23 18:15:00,000 x 18:"),
        (b"-11-23", b"-13-33"),
        (b"total_pre_upstream", b"total"),
        (b'"deep_copy"', b'"a_new_stage"'),
        (b'"total_pre_upstream": ', b'"total_pre_upstream": -'),
        (b'"total_pre_upstream": ', b'"total_pre_upstream": 1e9'),
        (b'"read_request_json": ', b'"read_request_json": 99999'),
        (b'"upstream_connect": null', b'"upstream_connect": 12.5'),
        (b'"memory_context": null', b'"memory_context": 0.25'),
        (b'"compression_first_stage": null', b'"compression_first_stage": 4000.125'),
        (b"}}", b"}"),
        (b"}}", b"}} trailing"),
        (b"STAGE_TIMINGS ", b"STAGE_TIMINGS  "),
        (b"] STAGE_TIMINGS", b"] STAGE_TIMINGS] STAGE_TIMINGS"),
        (b"\n", b"\r\n"),
        (b"20", b"\0\0\xef\xbb\xbf20"),
    ]
)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    line = draw(st.sampled_from(LINES))
    if draw(st.integers(0, 9)) == 0:
        old, new = draw(MUTATIONS)
        line = line.replace(old, new, 1)
    return line


@given(st.lists(lines(), min_size=10, max_size=80))
def test_any_lines_between_them(found: list[bytes]) -> None:
    both(b"".join(found))
