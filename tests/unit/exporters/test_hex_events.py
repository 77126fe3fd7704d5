"""Messages to and from hex, in hex's format, without a socket."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.errors import UsageError
from otel_logtail.exporters.hex.config import DEFAULT_URL, BusSettings, read_bus, read_telemetry
from otel_logtail.exporters.hex.events import Problem, call, event_of, judge, read_answer, row_of, timestamp
from otel_logtail.model import Delivered, Refused, Retry
from otel_logtail.option import Options
from tests.support.hex_items import breach, episode
from tests.support.pieces import NOON, SECOND

URL = "ws://127.0.0.1:49134"


def test_a_breach_has_the_originals_keys_and_ours_in_the_envelope_of_four() -> None:
    frame = json.loads(call(event_of(breach(7, time_ns=NOON + 123_456_789)), "0f0e"))
    assert frame == {
        "type": "invokefunction",
        "invocation_id": "0f0e",
        "function_id": "state::set",
        "data": {
            "scope": "events",
            "key": "headroom.overhead",
            "value": {
                "event": "headroom.overhead",
                "producer": "headroom-proxy",
                "ts": "2026-11-25T12:00:00.123456+00:00",
                "data": {
                    "severity": "degraded",
                    "value_ms": 612.345678,
                    "stage": "pre_upstream_wait",
                    "source": "headroom-proxy",
                    "id": "00000000000000000000000000000007",
                    "time": "2026-11-25T12:00:00.123456789Z",
                    "cause": "wait",
                },
            },
        },
    }


def test_an_episode_has_the_originals_keys_and_ours_told_apart_by_its_kind() -> None:
    frame = json.loads(call(event_of(episode(9)), "0f0e"))
    assert frame["data"]["value"] == {
        "event": "headroom.overhead",
        "producer": "headroom-proxy",
        "ts": "2026-11-25T12:00:05+00:00",
        "data": {
            "kind": "stall_episode",
            "count": 17,
            "peak_ms": 2500.5,
            "severity": "stall",
            "dominant_stage": "read_request_json",
            "source": "headroom-proxy",
            "id": "0000000000000009",
            "start": "2026-11-25T12:00:00.000000000Z",
            "end": "2026-11-25T12:00:05.000000001Z",
            "trace_id": "00000000000000000000000000000009",
        },
    }


@given(st.lists(st.integers(0, 4 * 10**18), min_size=2))
def test_timestamps_compare_as_text_as_their_times_do(times_ns: list[int]) -> None:
    micros = sorted(time_ns // 1000 * 1000 for time_ns in times_ns)
    texts = [timestamp(time_ns) for time_ns in micros]
    assert texts == sorted(texts)
    assert all(text.endswith("+00:00") for text in texts)


def test_rows_are_those_of_hexs_log_tailer_with_our_id_in_the_detail() -> None:
    row = row_of(breach(7, duration_ns=612_500_000))
    assert (row.ts, row.source, row.event) == ("2026-11-25T12:00:00+00:00", "headroom-proxy", "overhead")
    assert (row.status, row.duration_ms) == ("degraded", 613)
    assert json.loads(row.detail) == {"stage": "pre_upstream_wait", "id": "00000000000000000000000000000007"}
    row = row_of(episode(9))
    assert (row.ts, row.source, row.event) == ("2026-11-25T12:00:05+00:00", "headroom-proxy", "stall_episode")
    assert (row.status, row.duration_ms) == ("stall", 2501)
    assert json.loads(row.detail) == {
        "count": 17,
        "peak_ms": 2500.5,
        "dominant_stage": "read_request_json",
        "id": "0000000000000009",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "null",
        '{"type":"workerregistered","worker_id":"w"}',
        '{"type":"ping"}',
        '{"type":"invocationresult"}',
        '{"type":"invokefunction","invocation_id":"x","function_id":"y"}',
    ],
)
def test_a_message_that_is_not_an_answer_is_ignored(text: str) -> None:
    assert read_answer(text) is None


def test_a_message_of_many_levels_is_ignored() -> None:
    assert read_answer('{"type":"ping","data":' + "[" * 100_000 + "]" * 100_000 + "}") is None


def test_an_answer_without_an_error_is_the_only_delivery() -> None:
    answer = read_answer('{"type":"invocationresult","invocation_id":"x","function_id":"state::set","result":null}')
    assert answer is not None
    assert judge(answer.error, url=URL) == Delivered()
    failed = read_answer('{"type":"invocationresult","invocation_id":"x","error":{},"result":{"new_value":1}}')
    assert failed is not None
    assert isinstance(judge(failed.error, url=URL), Retry)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("function_not_found", Retry),
        ("SET_ERROR", Retry),
        ("invocation_error", Retry),
        ("invocation_stopped", Retry),
        ("a code of tomorrow", Retry),
        ("FORBIDDEN", Refused),
    ],
)
def test_only_forbidden_is_final(code: str, kind: type[Retry] | type[Refused]) -> None:
    outcome = judge(Problem(code, "because\nof \x1b[31mred"), url=URL)
    assert isinstance(outcome, kind)
    assert f"{URL} answered {code}: because of [31mred" in outcome.why


def test_the_flag_wins_over_the_variable_and_that_over_the_usual_address() -> None:
    assert read_bus(Options({}, {})) == BusSettings(DEFAULT_URL, "127.0.0.1", 49134, "", 600 * SECOND)
    environ = {"III_URL": "wss://hex.example/bus", "III_TOKEN": " secret "}
    assert read_bus(Options(environ, {})) == BusSettings(
        "wss://hex.example/bus", "hex.example", 443, "secret", 600 * SECOND
    )
    given = read_bus(Options(environ, {"hex_url": "ws://[::1]:1", "hex_max_age": "none"}))
    assert given == BusSettings("ws://[::1]:1", "::1", 1, "secret", None)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:49134", "127.0.0.1:49134", "ws://", "ws://a:b", "ws://a#b", "ws://a b", "ws://u:p@a"]
)
def test_an_address_that_can_not_be_meant_names_where_it_came_from(url: str) -> None:
    with pytest.raises(UsageError, match=r"^--hex-url"):
        read_bus(Options({}, {"hex_url": url}))
    with pytest.raises(UsageError, match=r"^III_URL"):
        read_bus(Options({"III_URL": url}, {}))


@pytest.mark.parametrize("text", ["0s", "ten", "-5m", "5", "1e3s", "5 weeks"])
def test_an_invalid_age_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="--hex-max-age"):
        read_bus(Options({}, {"hex_max_age": text}))


@pytest.mark.parametrize("token", ["two words", "line\nX-Header: 1", "ü"])
def test_a_token_that_can_not_be_sent_is_not_repeated(token: str) -> None:
    with pytest.raises(UsageError, match="III_TOKEN") as caught:
        read_bus(Options({"III_TOKEN": token}, {}))
    assert token not in f"{caught.value} {caught.value.hint}"


def test_the_telemetry_database_is_the_one_named_or_the_one_in_hexs_folder() -> None:
    assert read_telemetry(Options({"HEX_DIR": "/hex/"}, {})) == Path("/hex/.hex/telemetry/events.db")
    assert read_telemetry(Options({"HEX_DIR": "/hex"}, {"hex_db": "/else/events.db"})) == Path("/else/events.db")
    with pytest.raises(UsageError, match="where is hex's database"):
        read_telemetry(Options({}, {}))
