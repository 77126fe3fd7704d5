"""An episode of five minutes is visible at the receiver while it lasts, and each of its breaches arrives once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import MS, SLOW_MS, T0, line
from tests.support.receiver import Receiver, flags, receiving

STEP = timedelta(milliseconds=250)
MINUTE = 240
"""Lines in a minute of the log."""


def storm(first: int, end: int) -> bytes:
    return b"".join(line(number, ms=SLOW_MS, at=T0 + number * STEP) for number in range(first, end))


def spans_of(receiver: Receiver) -> dict[bytes, Any]:
    """Return each span once; one that came again is the same."""
    found: dict[bytes, Any] = {}
    for request in receiver.taken:
        for span in request.spans:
            assert found.setdefault(span.span_id, span) == span
    return found


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("end", [Daemon.kill, Daemon.stop], ids=["kill", "stop"])
def test_all_breaches_arrive_in_one_trace(tmp_path: Path, protocol: str, end: Callable[[Daemon], None]) -> None:
    # the last option counts: the quiet window covers the restarts
    options = [*flags(protocol), "--quiet-ms", "20000", "--from-start"]
    with receiving(protocol) as receiver, Daemon(tmp_path, *options, endpoint=receiver.endpoint) as daemon:
        daemon.write(storm(0, MINUTE))
        daemon.start()
        daemon.wait_until(lambda: spans_of(receiver))
        (first,) = spans_of(receiver).values()
        assert first.name == "log.overhead.episode.part"
        assert first.parent_span_id, "the episode is open"
        for minute in range(1, 5):
            end(daemon)
            daemon.start()
            daemon.write(storm(minute * MINUTE, (minute + 1) * MINUTE))
            before = minute * MINUTE
            daemon.wait_until(lambda: receiver.breaches().total() >= before)  # noqa: B023 - used up at once
        late = T0 + 5 * MINUTE * STEP + timedelta(minutes=1)
        daemon.write(line(5 * MINUTE, at=late), line(5 * MINUTE + 1, at=late))
        daemon.wait_until(lambda: any(not span.parent_span_id for span in spans_of(receiver).values()))
        number = 5 * MINUTE
        daemon.wait_until(lambda: receiver.breaches().total() == number)
        assert receiver.breaches() == Counter(SLOW_MS * MS + n * 1000 for n in range(number))
        spans = list(spans_of(receiver).values())
        (root,) = (span for span in spans if not span.parent_span_id)
        parts = [span for span in spans if span.parent_span_id]
        assert {span.trace_id for span in spans} == {root.trace_id}
        assert {span.parent_span_id for span in parts} == {root.span_id}
        assert sum(len(span.events) for span in parts) == number
        assert len(root.events) == 0
        assert {span.dropped_events_count for span in spans} == {0}
        attributes = {one.key: one.value for one in root.attributes}
        assert attributes["parts"].int_value == len(parts)
        assert attributes["count"].int_value == number
        assert min(part.start_time_unix_nano for part in parts) == root.start_time_unix_nano
        assert max(part.end_time_unix_nano for part in parts) == root.end_time_unix_nano
