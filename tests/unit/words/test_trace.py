"""Trace contexts of log lines: only the exact form of W3C's Trace Context, version 00, is accepted."""

from __future__ import annotations

import pytest

from otel_logtail.trace import LENGTH, join_trace, parse_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CONTEXT = bytes.fromhex(TRACE + SPAN)


def test_a_valid_traceparent_is_24_bytes() -> None:
    assert parse_traceparent(PARENT) == parse_traceparent(PARENT.encode()) == CONTEXT
    assert len(CONTEXT) == LENGTH
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-ff") == CONTEXT  # flags of the future do not matter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        PARENT.upper(),
        PARENT.replace("f0", "F0"),
        f" {PARENT}",
        f"{PARENT} ",
        f"{PARENT}\n",
        f"{PARENT}-extra",
        f"{PARENT},{PARENT}",
        f"01-{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE}-{SPAN}",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        f"00-{TRACE[:-2]} 6-{SPAN}-01",
    ],
)
def test_anything_else_is_not_accepted(text: str) -> None:
    assert parse_traceparent(text) == parse_traceparent(text.encode()) == b""


def test_bytes_that_are_not_text_are_not_accepted() -> None:
    assert parse_traceparent(b"\xff" * 55) == b""


def test_two_ids_are_joined() -> None:
    assert join_trace(TRACE, SPAN) == join_trace(TRACE.encode(), SPAN.encode()) == CONTEXT


@pytest.mark.parametrize(
    ("trace_id", "span_id"),
    [
        ("", ""),
        (TRACE, ""),
        ("", SPAN),
        (TRACE.upper(), SPAN),
        (TRACE, SPAN.upper()),
        ("0" * 32, SPAN),
        (TRACE, "0" * 16),
        (f"{TRACE}-{SPAN}", ""),
        (SPAN, TRACE),
        (f"{TRACE}\n", SPAN),
        (TRACE, f"{SPAN} "),
    ],
)
def test_ids_that_are_not_valid_are_not_joined(trace_id: str, span_id: str) -> None:
    assert join_trace(trace_id, span_id) == b""
