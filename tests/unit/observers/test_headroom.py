"""headroom's lines: real ones against an independent reading, times in every zone, and what can't be true."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.headroom.observer import SHAPE, HeadroomObserver
from tests.support.places import CAPTURES

REAL = (
    b"2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1795457770_000001] STAGE_TIMINGS "
    b'{"event": "stage_timings", "path": "anthropic_messages", "request_id": "hr_1795457770_000001", '
    b'"session_id": "e8e0cea02ccc438e9e924f49507d48e4", "stages": {"pre_upstream_wait": 0.119, '
    b'"read_request_json": 0.515, "deep_copy": 0.0013, "compression_first_stage": 2.92, "memory_context": null, '
    b'"upstream_connect": 10.59, "upstream_first_byte": 10.59, "total_pre_upstream": 70.92}}'
)
SECOND = 10**9
BEGAN = 1795457770  # the epoch of its id: 2026-11-23 18:16:10 UTC
ZONES = sorted(name for name in available_timezones() if not name.startswith("right/"))

observer = HeadroomObserver(ObserverContext())


def line(
    *,
    written: str = "2026-11-23 18:16:10,245",
    level: str = "INFO",
    bracketed: str | None = None,
    request_id: str = f"hr_{BEGAN}_000001",
    path: str = "anthropic_messages",
    event: str = "stage_timings",
    stages: dict[str, Any] | None = None,
    **more: Any,
) -> bytes:
    """A line as headroom writes it, but for what is named."""
    stages = {"total_pre_upstream": 70.92, "upstream_connect": None} if stages is None else stages
    payload = {"event": event, "path": path, "request_id": request_id, "session_id": "x", "stages": stages, **more}
    bracketed = request_id if bracketed is None else bracketed
    return f"{written} - headroom.proxy - {level} - [{bracketed}] STAGE_TIMINGS {json.dumps(payload)}".encode()


def sample(raw: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def stage(found: Sample, name: str) -> int | None:
    return found.stage_ns[found.shape.stages.index(name)]


def ns(moment: datetime) -> int:
    """Exact, where a float of seconds would not be."""
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000


def local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S,") + f"{moment.microsecond // 1000:03d}"


# --- real captures ----------------------------------------------------------------------------------------------


def lines_of(name: str) -> list[bytes]:
    return [raw for raw in (CAPTURES / name).read_bytes().split(b"\n") if b"STAGE_TIMINGS" in raw]


def oracle(raw: bytes) -> tuple[int, int, int, str] | str:
    """The same answer by plain json and floats of seconds: (time in ms, total in ms, logged in ms, cause) or a word.

    The captures were made in UTC. It shares no code with the observer.
    """
    text = raw.decode()
    found = re.match(r"(\S+ \S+),(\d+) - headroom\.proxy - INFO - \[(\w+)\] STAGE_TIMINGS (\{.*\})$", text)
    if found is None:
        return "misplaced"
    payload = json.loads(found[4])
    if payload["path"] == "openai_responses_ws":
        return "ignored"
    assert payload["request_id"] == found[3]
    stages = payload["stages"]
    written = datetime.strptime(found[1] + " +0000", "%Y-%m-%d %H:%M:%S %z").timestamp() * 1000 + int(found[2])
    total = stages["total_pre_upstream"]
    compress = (stages["deep_copy"] or 0) + (stages["compression_first_stage"] or 0)
    shares = {"wait": stages["pre_upstream_wait"], "read": stages["read_request_json"], "compress": compress}
    shares["other"] = max(0.0, total - sum(shares.values()))
    cause = max(shares, key=lambda share: shares[share])
    return round(written - (stages["upstream_connect"] or 0)), round(total), round(written), cause


def answer(observed: Observed) -> tuple[int, int, int, str] | str:
    if isinstance(observed, Sample):
        ms = (round(value / 10**6) for value in (observed.time_ns, observed.duration_ns, observed.logged_ns))
        return (*ms, observed.cause)  # type: ignore[return-value]  # three of them
    return observed.why if isinstance(observed, Rejected) else "ignored"


@pytest.mark.parametrize(
    ("capture", "samples", "ignored", "misplaced"),
    [
        ("0.42.0-mixed.log", 41, 3, 0),
        ("0.42.0-invalid.log", 11, 0, 3),
        ("0.42.0-burst.log", 60, 0, 0),
        ("0.42.0-stall.log", 111, 0, 0),
        ("0.42.0-slow-upstream-queueing.log", 13, 0, 0),
        ("0.36.5-mixed-invalid.log", 52, 3, 4),
    ],
)
def test_every_line_of_a_real_capture_reads_as_plain_json_does(
    capture: str, samples: int, ignored: int, misplaced: int
) -> None:
    expected = [oracle(raw) for raw in lines_of(capture)]
    actual = [answer(observer.observe(raw)) for raw in lines_of(capture)]
    assert actual == expected
    kinds = Counter(word if isinstance(word, str) else "sample" for word in actual)
    assert kinds == +Counter(sample=samples, ignored=ignored, misplaced=misplaced)


def test_breaches_of_the_captures_are_those_that_were_counted_by_hand() -> None:
    def breaches(capture: str, at_least_ms: int) -> list[str]:
        found = map(observer.observe, lines_of(capture))
        return [s.cause for s in found if isinstance(s, Sample) and s.duration_ns >= at_least_ms * 10**6]

    assert len(breaches("0.42.0-burst.log", 500)) == 19
    assert len(breaches("0.42.0-stall.log", 500)) == 10
    assert Counter(breaches("0.42.0-slow-upstream-queueing.log", 2000)) == {"wait": 10, "read": 1}


# --- one line ---------------------------------------------------------------------------------------------------


def test_a_line_gives_its_own_time_less_the_upstreams_and_its_total() -> None:
    assert sample(REAL) == Sample(
        time_ns=BEGAN * SECOND + 245_000_000 - 10_590_000,
        duration_ns=70_920_000,
        logged_ns=BEGAN * SECOND + 245_000_000,
        cause="other",
        stage="other",
        shape=SHAPE,
        stage_ns=(119_000, 515_000, 1_300, 2_920_000, None, 10_590_000, 10_590_000, None),
    )


def test_a_streaming_request_ended_when_its_line_was_written() -> None:
    found = sample(line(stages={"total_pre_upstream": 70.92, "upstream_connect": None}))
    assert found.time_ns == found.logged_ns == BEGAN * SECOND + 245_000_000


def test_all_samples_share_one_shape() -> None:
    assert sample(REAL).shape is sample(line(level="WARNING")).shape
    assert SHAPE.attributes == (("headroom.path", "anthropic_messages"),)
    assert len(sample(REAL).stage_ns) == len(SHAPE.stages)


@pytest.mark.parametrize("level", ["DEBUG", "WARNING", "ERROR"])
def test_the_level_does_not_matter(level: str) -> None:
    assert sample(REAL.replace(b" INFO ", f" {level} ".encode())) == sample(REAL)


@pytest.mark.parametrize("hole", [b"\xef\xbb\xbf", b"\0" * 5000])
def test_a_byte_order_mark_or_a_hole_in_front_does_no_harm(hole: bytes) -> None:
    assert sample(hole + REAL) == sample(REAL)


def test_a_line_without_the_marker_is_ignored() -> None:
    assert observer.observe(b"2026-11-23 18:16:10,245 - headroom.proxy - INFO - hello") == Ignored()
    assert observer.observe(b"") == Ignored()


@pytest.mark.parametrize(
    ("stages", "cause", "longest"),
    [
        ({"pre_upstream_wait": 60}, "wait", "pre_upstream_wait"),
        ({"read_request_json": 60}, "read", "read_request_json"),
        ({"deep_copy": 60}, "compress", "deep_copy"),
        ({"compression_first_stage": 60}, "compress", "compression_first_stage"),
        ({"deep_copy": 30, "compression_first_stage": 31}, "compress", "other"),
        ({"memory_context": 60}, "other", "memory_context"),
        ({"upstream_connect": 60, "upstream_first_byte": 60}, "other", "other"),
        ({}, "other", "other"),
        ({"pre_upstream_wait": 50, "read_request_json": 50}, "wait", "pre_upstream_wait"),
        ({"read_request_json": 50, "deep_copy": 50}, "read", "read_request_json"),
        ({"deep_copy": 50}, "compress", "deep_copy"),
        ({"pre_upstream_wait": 80, "read_request_json": 90}, "read", "read_request_json"),
    ],
)
def test_the_largest_share_is_the_cause_and_the_first_of_equal_ones(
    stages: dict[str, float], cause: str, longest: str
) -> None:
    found = sample(line(stages={**stages, "total_pre_upstream": 100}))
    assert (found.cause, found.stage) == (cause, longest)


def test_a_total_of_nothing_waited_for_nothing() -> None:
    found = sample(line(stages={"total_pre_upstream": 0}))
    assert (found.duration_ns, found.cause, found.stage) == (0, "wait", "pre_upstream_wait")


def test_stages_that_are_new_to_us_add_up_under_unknown() -> None:
    stages = {"total_pre_upstream": 70.92, "deep_copy": 1, "brand_new": 2.5, "newer": 3, "not_run": None}
    found = sample(line(stages=stages))
    assert found.shape is SHAPE
    assert (stage(found, "unknown"), stage(found, "deep_copy")) == (5_500_000, 1_000_000)
    assert stage(sample(line(stages={"total_pre_upstream": 70.92, "not_run": None})), "unknown") is None


def test_further_keys_of_the_payload_do_no_harm() -> None:
    assert sample(line(model="claude", deep={"a": [1]})) == sample(line())


def test_the_last_of_two_equal_keys_counts_as_everywhere_in_json() -> None:
    twice = REAL.replace(b'"total_pre_upstream": 70.92', b'"total_pre_upstream": 1, "total_pre_upstream": 70.92')
    assert sample(twice) == sample(REAL)


def test_a_websocket_session_holds_no_sample() -> None:
    stages = {"accept": 1.0, "first_client_frame": None, "total_session": 5000.0}
    assert observer.observe(line(path="openai_responses_ws", stages=stages)) == Ignored()


# --- what can't be true -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (line(path="FORGED", request_id="hr_1_000001", stages={"total_pre_upstream": 99999.0}), "unknown_path"),
        (line(path="FORGED", stages={"new": 1}), "unknown_path"),
        (line(event="other"), "event"),
        (line(event="other", stages={"total_pre_upstream": 1, "new": 1}), "event"),
        (line(bracketed=f"hr_{BEGAN}_000002"), "request_id"),
        (line(bracketed="ü"), "request_id"),
        (line(stages={"total_pre_upstream": -0.001}), "bounds"),
        (line(stages={"total_pre_upstream": 86_400_001}), "bounds"),
        (line(stages={"total_pre_upstream": 1, "deep_copy": -1}), "bounds"),
        (line(stages={"total_pre_upstream": 1, "deep_copy": 1e300}), "bounds"),
        (line(stages={"total_pre_upstream": 1, "new": -1}), "bounds"),
        (line(stages={"total_pre_upstream": 1, "new": 1e308, "newer": 1e308}), "bounds"),
        (line(stages={"total_pre_upstream": 1, "new": 80_000_000, "newer": 80_000_000}), "bounds"),
        (line(request_id="hr_1_000001"), "time"),
        (line(request_id=f"hr_{'9' * 5000}_000001"), "time"),
        (line(request_id=f"hr_{BEGAN + 2}_000001"), "time"),
        (line(request_id=f"hr_{BEGAN - 61}_000001"), "time"),
        (line(written="2026-13-23 18:16:10,245"), "time"),
        (line(written="2026-11-31 18:16:10,245"), "time"),
        (line(written="2026-11-23 24:16:10,245"), "time"),
        (line(written="0000-00-00 00:00:00,000"), "time"),
        (line(written="9999-12-31 23:59:59,999", request_id="hr_253402300799_1"), "time"),
        (line(written="0001-01-01 00:00:00,000"), "time"),
        (line(written="1970-01-01 00:00:00,000", request_id="hr_0_1", stages={"total_pre_upstream": 500}), "time"),
    ],
)
def test_a_line_that_cannot_be_true_is_rejected(raw: bytes, why: str) -> None:
    assert observer.observe(raw) == Rejected(why)


def test_a_day_is_the_longest_that_is_believed() -> None:
    began = f"hr_{BEGAN - 86_400}_000001"
    found = sample(line(request_id=began, stages={"total_pre_upstream": 86_400_000}))
    assert found.duration_ns == 86_400 * SECOND


@pytest.mark.parametrize(("late_s", "believed"), [(-2, False), (-1, True), (0, True), (60, True), (61, False)])
def test_a_line_may_be_a_second_early_and_a_minute_late(late_s: int, believed: bool) -> None:
    request = f"hr_{BEGAN - late_s}_000001"
    observed = observer.observe(
        line(request_id=request, written="2026-11-23 18:16:10,000", stages={"total_pre_upstream": 0})
    )
    assert isinstance(observed, Sample if believed else Rejected)


def test_a_line_that_a_clients_newline_broke_is_rejected() -> None:
    assert observer.observe(b'"x" STAGE_TIMINGS {} msgs=1 tok_before=15') == Rejected("misplaced")


@pytest.mark.parametrize(
    "raw",
    [
        b"STAGE_TIMINGS",
        b"] STAGE_TIMINGS {}",
        b"[] STAGE_TIMINGS {}",
        b"[x] STAGE_TIMINGS {}",
        b"] STAGE_TIMINGS " + REAL,
        b"2026-11-23 18:16:10,245 - headroom.proxy - WARNING - unknown model 'STAGE_TIMINGS'",
        b"2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1_000001] PERF model=STAGE_TIMINGS msgs=1",
        b"2026-11-23 18:16:10,245 - headroom.proxy - INFO - PERF model=" + REAL[REAL.index(b"[hr") :],
        b"2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1_000001] model=" + REAL[REAL.index(b"[hr") :],
        b"2026-11-23 18:16:10,245 - headroom.cost - WARNING - no price for '" + REAL + b"'",
        b"2026-11-23 18:16:10,245 - my.app - INFO - " + REAL,
    ],
)
def test_a_marker_in_another_message_is_rejected(raw: bytes) -> None:
    assert observer.observe(raw) == Rejected("misplaced")


# --- drift ------------------------------------------------------------------------------------------------------

HEAD = REAL[: REAL.index(b"{")]


@pytest.mark.parametrize(
    "raw",
    [
        HEAD,
        HEAD.rstrip(),
        HEAD + b"path=anthropic_messages session_id=e8e0 stages={'total_pre_upstream': 70.92}",
        HEAD + b"null",
        HEAD + b"[]",
        HEAD + b"{}",
        REAL[:-1],
        REAL + b" and more",
        REAL.replace(b"70.92", b"NaN"),
        REAL.replace(b"70.92", b"Infinity"),
        REAL.replace(b"70.92", b"1e999"),
        REAL.replace(b"70.92", b"9" * 5000),
        REAL.replace(b"70.92", b"null"),
        REAL.replace(b"70.92", b'"70.92"'),
        REAL.replace(b"70.92", b"true"),
        REAL.replace(b"total_pre_upstream", b"total"),
        REAL.replace(b"0.515", b'"fast"'),
        REAL.replace(b'"deep_copy": 0.0013', b'"brand_new": {"a": 1}'),
        REAL.replace(b"e8e0", b"\xff\xfe").replace(b"session_id", b"event"),
        REAL.replace(b"anthropic_messages", b"\\ud800"),
        REAL.replace(b"STAGE_TIMINGS", b"STAGE_TIMINGS_V2"),
        REAL.replace(b"STAGE_TIMINGS ", b"STAGE_TIMINGS: "),
        HEAD + b'{"a": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        HEAD + b'{"a": ' * 100_000,
        line(path="openai_responses_ws", stages={"accept": "soon"}),
    ],
)
def test_a_payload_that_cannot_be_decoded_is_drift(raw: bytes) -> None:
    with pytest.raises(Drift) as error:
        observer.observe(raw)
    assert error.value.hint
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"INFO:headroom.proxy:",
        b"2026-11-23T18:16:10.245+00:00 headroom.proxy INFO ",
        b"2026-11-23 18:16:10.245 - headroom.proxy - INFO - ",
        b"2026-11-23 18:16:10,2450 - headroom.proxy - INFO - ",
        b"2026-11-23 18:16:10,24x - headroom.proxy - INFO - ",
        b"XXXX-11-23 18:16:10,245 - headroom.proxy - INFO - ",
        b"2026-11-23 18:16:10,245 - headroom.proxy.timing - INFO - ",
        b"2026-11-23 18:16:10,245 - headroom.proxy - Level 25 - ",
    ],
)
def test_another_formatter_in_front_of_a_true_payload_is_drift(prefix: bytes) -> None:
    with pytest.raises(Drift):
        observer.observe(prefix + REAL[REAL.index(b"[hr") :])


# --- time -------------------------------------------------------------------------------------------------------


@given(
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2037, 12, 31)),
    zone=st.sampled_from(ZONES),
    total=st.floats(0, 600_000),
    connect=st.none() | st.floats(0, 600_000),
    late_ms=st.integers(-900, 59_000),
)
@settings(max_examples=400, deadline=None)
def test_the_id_determines_the_zone_of_any_line(
    moment: datetime, zone: str, total: float, connect: float | None, late_ms: int
) -> None:
    written = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=timezone.utc)
    began = ns(written) - round((total + (connect or 0)) * 10**6) - late_ms * 10**6
    raw = line(
        written=local(written, zone),
        request_id=f"hr_{began // SECOND}_000001",
        stages={"total_pre_upstream": total, "upstream_connect": connect},
    )
    found = sample(raw)
    assert found.logged_ns == ns(written)
    assert found.time_ns == ns(written) - round((connect or 0) * 10**6)


@pytest.mark.parametrize(
    ("zone", "utc", "shown"),
    [
        ("America/New_York", "2026-11-01 05:30:00", "2026-11-01 01:30:00,245"),  # the hour before it is repeated
        ("America/New_York", "2026-11-01 06:30:00", "2026-11-01 01:30:00,245"),  # and the hour itself
        ("America/New_York", "2026-03-08 07:00:00", "2026-03-08 03:00:00,245"),
        ("Australia/Lord_Howe", "2026-04-04 14:45:00", "2026-04-05 01:45:00,245"),  # half an hour of DST
        ("Australia/Lord_Howe", "2026-04-04 15:15:00", "2026-04-05 01:45:00,245"),
        ("Asia/Kathmandu", "2026-11-23 18:16:10", "2026-11-24 00:01:10,245"),
        ("Pacific/Chatham", "2026-11-23 18:16:10", "2026-11-24 08:01:10,245"),
        ("Pacific/Kiritimati", "2026-11-23 18:16:10", "2026-11-24 08:16:10,245"),
        ("Etc/GMT+12", "2026-11-23 18:16:10", "2026-11-23 06:16:10,245"),
    ],
)
def test_dst_and_odd_zones_come_out_right_by_the_epoch_of_the_id(zone: str, utc: str, shown: str) -> None:
    moment = datetime.fromisoformat(utc + ".245+00:00")
    assert local(moment, zone) == shown
    elsewhere = HeadroomObserver(ObserverContext(timezone=ZoneInfo("Asia/Tokyo")))
    raw = line(written=shown, request_id=f"hr_{ns(moment) // SECOND}_000001")
    assert sample(raw, elsewhere).logged_ns == ns(moment)


@pytest.mark.parametrize("hours", [-13, 15])
def test_a_zone_that_does_not_exist_is_rejected(hours: int) -> None:
    assert observer.observe(line(request_id=f"hr_{BEGAN - hours * 3600}_000001")) == Rejected("time")


@pytest.mark.parametrize(
    "request_id",
    [
        "x",
        "req-7",
        "hr_x_000001",
        "hr__000001",
        "hr_-1_000001",
        "hr_+1_000001",
        f"hr_ {BEGAN}_000001",
        f"hr_{BEGAN}",
        f"hr_{BEGAN}_",
        f"hr_{BEGAN}_1_1",
        f"hr_{BEGAN}_x",
        f"HR_{BEGAN}_1",
        f"_{BEGAN}_1",
        "hr_١_1",
        "9a3ce1f0-5d1e-4c0b-8a53-3f1f0f6d1f63",
    ],
)
@pytest.mark.parametrize("written", ["2026-11-23 18:16:10,245", "2001-01-01 00:00:00,000", "9999-12-31 23:59:59,999"])
@pytest.mark.parametrize("lines", [1, 40])
def test_a_line_whose_id_holds_no_epoch_is_rejected_in_every_zone(request_id: str, written: str, lines: int) -> None:
    anywhere = HeadroomObserver(ObserverContext(timezone=ZoneInfo("Asia/Kathmandu")))
    raw = line(written=written, request_id=request_id, stages={"total_pre_upstream": 86_000_000})
    assert anywhere.observe(raw) == Rejected("request_id")
    assert anywhere.observe_all([raw] * lines) is None


def test_lines_out_of_order_and_of_other_seconds_keep_their_own_time() -> None:
    reader = HeadroomObserver(ObserverContext())
    for second in (10, 11, 10, 10, 12, 9, 11):
        raw = line(written=f"2026-11-23 18:16:{second:02d},001", request_id=f"hr_{BEGAN - 10 + second}_000001")
        assert sample(raw, reader).logged_ns == (BEGAN - 10 + second) * SECOND + 1_000_000
        assert reader.observe(line(written=f"2026-02-30 18:16:{second:02d},001")) == Rejected("time")


# --- any bytes --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
PIECES = (
    b"STAGE_TIMINGS",
    b"[",
    b"] ",
    b" - headroom.proxy - INFO - [",
    b"{",
    b'"',
    b"\0",
    b"\xff",
    b"\xc2\xb2",
    b"9" * 40,
)


def survives(raw: bytes) -> None:
    """Any input has an answer, and a sample among the answers fits into the store."""
    try:
        observed = observer.observe(raw)
    except Drift:
        return
    if isinstance(observed, Sample):
        assert 0 <= observed.time_ns - observed.duration_ns <= observed.time_ns <= observed.logged_ns < 2**63
        assert observed.cause in {"wait", "read", "compress", "other"}
        assert all(value is None or 0 <= value <= 86_400 * SECOND for value in observed.stage_ns)
    else:
        reasons = {"unknown_path", "event", "request_id", "bounds", "time", "misplaced"}
        assert isinstance(observed, Ignored) or observed.why in reasons


@given(st.binary())
@settings(deadline=None)  # a slow machine must not fail the test
def test_no_bytes_bring_it_down(raw: bytes) -> None:
    survives(raw)
    survives(b"STAGE_TIMINGS" + raw)
    survives(HEAD + raw)
    survives(raw + REAL)


@given(
    start=st.integers(0, len(REAL)),
    length=st.integers(0, 40),
    piece=st.binary(max_size=12) | st.sampled_from(PIECES),
)
@settings(max_examples=1000, deadline=None)
def test_no_change_to_a_real_line_brings_it_down(start: int, length: int, piece: bytes) -> None:
    survives(REAL[:start] + piece + REAL[start + length :])


@given(
    event=JSON | st.just("stage_timings"),
    path=JSON | st.sampled_from(["anthropic_messages", "openai_responses_ws"]),
    stages=JSON
    | st.dictionaries(st.sampled_from([*SHAPE.stages, "total_pre_upstream", "new"]), JSON | st.floats(0, 9e7)),
)
@settings(max_examples=300, deadline=None)
def test_no_json_brings_it_down(event: Any, path: Any, stages: Any) -> None:
    survives(line(event=event, path=path, stages=stages))


# --- names of files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "live", "attributes"),
    [
        ("proxy.log", True, ()),
        ("proxy-8787.log", True, (("server.port", 8787),)),
        ("proxy-8787-4242.log", True, (("server.port", 8787),)),
        ("proxy-8787.log.1", False, ()),
        ("proxy-stdio-8787.log", False, ()),
        ("proxy-main.log", False, ()),
        ("myproxy.log", False, ()),
    ],
)
def test_a_files_name_contains_its_port_and_never_its_pid(name: str, live: bool, attributes: Any) -> None:
    rule = observer.paths()
    assert (rule.is_live(name), rule.attributes_of(name)) == (live, attributes)


def test_captured_stdout_is_a_copy_and_so_are_its_rotated_files() -> None:
    rule = observer.paths()
    names = ["proxy-stdio-8787.log", "proxy-stdio-8787.log.1", "proxy-8787.log", "proxy.log.1"]
    assert [rule.is_copy(name) for name in names] == [True, True, False, False]


def test_it_looks_into_the_workspace_and_into_the_home_directory() -> None:
    assert observer.paths().patterns == ("${HEADROOM_WORKSPACE_DIR}/logs/proxy*.log", "~/.headroom/logs/proxy*.log")
