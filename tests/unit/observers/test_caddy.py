"""caddy's lines: real ones against an independent reading, units, sessions, and what a client can send."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence
from datetime import timezone
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from otel_logtail.daemon.config import read_config
from otel_logtail.errors import Drift, UsageError
from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.caddy import CADDY, MEASURE
from otel_logtail.observers.http import STATUS_CLASS
from otel_logtail.plugins import make_observer
from otel_logtail.testing.observer_contract import ObserverContract, json_escaped
from tests.support.captured import MS, SECOND, answers, check_breaches, kinds, read_expected, read_lines
from tests.support.places import ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
END_NS = 1_795_965_137_500 * MS


def make(measure: str = "total", **context: Any) -> Observer:
    return make_observer("caddy", ObserverContext(options={MEASURE.name: measure}, **context))


observer = make()
ACCESS = read_lines("caddy", "access.log")
OWN = read_lines("caddy", "caddy.log")


def line(
    *, method: Any = "GET", uri: str = "/ok?n=1", headers: Any = None, without: tuple[str, ...] = (), **changes: Any
) -> bytes:
    """A line of 250 ms as caddy 2.11 writes it, changed. Fields of ``log_append`` come last."""
    fields = {
        "level": "info",
        "ts": 1795965137.5,
        "logger": "http.log.access.log0",
        "msg": "handled request",
        "request": {"remote_ip": "10.0.0.7", "method": method, "host": "a", "uri": uri, "headers": headers or {}},
        "bytes_read": 0,
        "user_id": "",
        "duration": 0.25,
        "size": 3,
        "status": 200,
        "resp_headers": {"Server": ["Caddy"]},
        **changes,
    }
    kept = {name: value for name, value in fields.items() if name not in without}
    return json.dumps(kept, separators=(",", ":")).encode()


def sample(raw: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def stages(found: Sample) -> dict[str, int | None]:
    return dict(zip(found.shape.stages, found.stage_ns, strict=True))


# --- real captures ----------------------------------------------------------------------------------------------


def oracle(raw: bytes) -> tuple[int, int, str, dict[str, int]] | None:
    """The sample of a line by plain json, in microseconds: (end, duration, cause, stages); None: ignored."""
    fields = json.loads(raw)
    if not fields.get("logger", "").startswith("http.log.access") or fields["msg"] != "handled request":
        return None
    if fields["status"] == 101 or fields["duration"] == 0:
        return None
    end, total = round(fields["ts"] * 1e6), round(fields["duration"] * 1e6)
    if "up_duration" not in fields:
        return end, total, "request", {}
    wait, up = round(fields["up_latency"] * 1e3), round(fields["up_duration"] * 1e3)
    parts = {"wait": wait, "body": up - wait, "caddy": total - up}
    cause = max(parts, key=lambda name: parts[name])
    return end, total, {"wait": "upstream"}.get(cause, cause), parts


def test_every_line_of_the_real_log_reads_as_plain_json_does() -> None:
    found = answers(observer, ACCESS)
    assert kinds(found) == {"sample": 77, "ignored": 3}
    for raw, answer in zip(ACCESS, found, strict=True):
        expected = oracle(raw)
        if expected is None:
            assert answer == Ignored()
            continue
        assert isinstance(answer, Sample)
        end, total, cause, parts = expected
        assert abs(answer.time_ns - end * 1000) <= 1000
        assert abs(answer.duration_ns - total * 1000) <= 500
        assert (answer.cause, answer.logged_ns) == (cause, answer.time_ns)
        assert stages(answer) == {name: pytest.approx(us * 1000, abs=1500) for name, us in parts.items()}
    check_breaches(found, read_expected("caddy", "access.log"))


def test_every_line_of_caddy_2_6_is_read() -> None:
    """The status is 0 for a client that left and for a WebSocket, and a broken response has its true duration."""
    lines = read_lines("caddy", "access-2.6.log")
    found = answers(observer, lines)
    assert kinds(found) == {"sample": 11, "ignored": 1}
    check_breaches(found, read_expected("caddy", "access-2.6.log"))
    (session,) = [raw for raw, answer in zip(lines, found, strict=True) if isinstance(answer, Ignored)]
    assert b'"uri":"/ws?n=8"' in session
    classes = [dict(answer.shape.attributes)[STATUS_CLASS] for answer in found if isinstance(answer, Sample)]
    assert (classes.count("0xx"), classes.count("5xx")) == (2, 1)
    assert [answer.trace.hex() for answer in found if isinstance(answer, Sample) and answer.trace] == [TRACE + SPAN]


def test_caddys_own_log_has_no_sample() -> None:
    """Errors and warnings of requests have a duration and a status, too."""
    assert kinds(answers(observer, OWN)) == {"ignored": 33}
    assert sum(b'"duration":' in raw for raw in OWN) == 9


def test_durations_agree_with_those_that_the_client_measured() -> None:
    """A factor of 1000 or a wrong unit would be far off. Readers that are slower than the proxy are left out."""
    for log in ("access.log", "access-2.6.log"):
        found = answers(observer, read_lines("caddy", log))
        for row in read_expected("caddy", log):
            answer = found[row.line - 1]
            assert isinstance(answer, Sample)
            if row.client_ns is not None and "reader" not in row.what:
                assert abs(answer.duration_ns - row.client_ns) <= 20 * MS, row


def test_caddys_own_span_is_the_trace_of_a_sample() -> None:
    found = [sample(raw) for raw in read_lines("caddy", "access-tracing.log")]
    assert [one.trace.hex() for one in found] == [
        TRACE + "3ebc5c71aa5cb594",
        "15f3cd0320e51c740a6b68ae8d0405ff" + "b66335077dcb674b",
    ]
    with_header = [raw for raw in ACCESS if b'"Traceparent":["00-' in raw]
    assert with_header
    assert all(sample(raw).trace for raw in with_header)


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati"])
def test_the_zone_of_the_machine_changes_nothing(zone: str) -> None:
    """``ts`` counts from the epoch: an observer that moved it by a zone would fail here."""
    assert answers(make(timezone=ZoneInfo(zone)), ACCESS) == answers(make(timezone=timezone.utc), ACCESS)


# --- one line ---------------------------------------------------------------------------------------------------


def test_a_line_gives_its_end_and_its_duration() -> None:
    found = sample(line())
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (END_NS, END_NS, 250 * MS)
    assert (found.cause, found.stage, found.stage_ns) == ("request", "request", ())
    assert found.shape.attributes == (("http.request.method", "GET"), ("http.response.status_class", "2xx"))
    assert sample(line()).shape is found.shape


def test_fields_of_log_append_are_the_parts() -> None:
    found = sample(line(up_latency=200.5, up_duration=249.75))
    assert (found.cause, found.stage) == ("upstream", "wait")
    assert stages(found) == {"wait": 200_500_000, "body": 49_250_000, "caddy": 250_000}
    assert sum(ns or 0 for ns in found.stage_ns) == found.duration_ns
    assert sample(line(up_latency=1.0, up_duration=249.0)).cause == "body"
    assert sample(line(up_latency=1.0, up_duration=2.0)).cause == "caddy"
    assert sample(line(up_latency=1, up_duration=2)).cause == "caddy"  # whole milliseconds


def test_of_equal_parts_the_first_is_the_cause() -> None:
    assert sample(line(duration=0.3, up_latency=100.0, up_duration=200.0)).cause == "upstream"
    assert sample(line(duration=0.3, up_latency=50.0, up_duration=175.0)).cause == "body"


@pytest.mark.parametrize("value", [None, "", "x"])
def test_without_an_upstream_there_are_no_parts(value: Any) -> None:
    """If no upstream answers, caddy 2.11 appends null."""
    for raw in (line(up_latency=value, up_duration=value), line(up_latency=1.0), line(up_duration=1.0)):
        assert (sample(raw).cause, sample(raw).stage_ns) == ("request", ())
        assert make("overhead").observe(raw) == Ignored()


def test_overhead_is_all_but_the_upstream() -> None:
    found = sample(line(up_latency=200.5, up_duration=249.75), make("overhead"))
    assert (found.duration_ns, found.time_ns, found.cause, found.stage_ns) == (250_000, END_NS, "caddy", ())
    found_all = answers(make("overhead"), ACCESS)
    assert kinds(found_all) == {"sample": 3, "ignored": 77}
    assert all(one.duration_ns < MS for one in found_all if isinstance(one, Sample))


def test_clocks_of_the_parts_may_differ_a_little() -> None:
    found = sample(line(up_latency=250.4, up_duration=250.3))
    assert stages(found) == {"wait": 250_400_000, "body": 0, "caddy": 0}


def test_a_constant_of_log_append_is_the_route() -> None:
    assert dict(sample(line(route="shop")).shape.attributes)["caddy.route"] == "shop"


def test_long_texts_in_place_of_a_route_are_not_kept() -> None:
    reader = make()
    tracemalloc.start()
    try:
        for number in range(200):
            sample(line(route=f"{number:x}" + "x" * 100_000), reader)
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("route", [None, 7, "", "a" * 101, "\ufffd", 'a"b', ["shop"]])
def test_only_a_constant_becomes_the_route(route: Any) -> None:
    assert "caddy.route" not in dict(sample(line(route=route)).shape.attributes)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        line(logger="http.log.error.log0"),
        line(logger="http.handlers.reverse_proxy", msg="aborting with incomplete response"),
        line(msg="NOP", logger="http.log.access", status=0),
        line(msg="x", nested={"msg": "handled request"}),
        line(logger="http.log.error", duration="x", ts="y"),
        line(without=("logger",)),
        line(status=101, resp_headers={"Upgrade": ["websocket"]}),
        line(status=0, resp_headers={"Upgrade": ["websocket"]}),  # 2.6
        line(status=200, method="CONNECT"),
        line(duration=0),
        line(duration=0.0),
        b"2026/11/30 01:21:01.173\tINFO\thttp.log.access.log4\thandled request\t"
        b'{"request": {"method": "GET"}, "duration": 0.000070271, "size": 1, "status": 200}',
    ],
)
def test_sessions_and_other_lines_are_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()


def test_a_client_that_left_is_a_sample() -> None:
    assert dict(sample(line(status=499)).shape.attributes)["http.response.status_class"] == "4xx"
    gone = sample(line(status=0))  # 2.6
    assert dict(gone.shape.attributes)["http.response.status_class"] == "0xx"
    for headers in (None, {}, {"Upgrad": ["Upgrade"]}, {"X": ['"Upgrade":["websocket"]']}, ["Upgrade"]):
        assert sample(line(status=0, resp_headers=headers)).duration_ns == 250 * MS
    assert sample(line(status=0, without=("resp_headers",))).duration_ns == 250 * MS
    assert sample(line(status=405, method="CONNECT")).duration_ns == 250 * MS


@pytest.mark.parametrize("logger", ["http.log.access", "http.log.access.log12", "http.log.access.mine"])
def test_each_access_logger_is_read(logger: str) -> None:
    assert sample(line(logger=logger, level="error", status=502)).duration_ns == 250 * MS


@pytest.mark.parametrize(
    "changes",
    [
        {"duration": 250},  # duration_format ms
        {"duration": 250_000_000},  # nano
        {"duration": "250ms"},  # string
        {"duration": None},
        {"duration": True},
        {"ts": "2026-11-29T15:12:17.500Z"},  # time_format iso8601
        {"ts": 1795965137500.25},  # unix_milli_float
        {"ts": 1795965137500000000},  # unix_nano
        {"ts": None},
        {"ts": "2026-11-29T15:12:17.500Z", "duration": 0},
        {"status": "200"},
        {"status": None},
        {"without": ("status",)},
        {"without": ("ts",)},
        {"without": ("duration",)},
    ],
)
def test_other_units_and_missing_fields_are_drift(changes: dict[str, Any]) -> None:
    with pytest.raises(Drift) as caught:
        observer.observe(line(**changes))
    assert "set time_format and duration_format back" in (caught.value.hint or "")


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_json_that_is_cut_is_drift(cut: int) -> None:
    with pytest.raises(Drift, match="can't be read"):
        observer.observe(line()[:-cut])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"duration": -0.25}, "bounds"),
        ({"duration": 86_400.5}, "bounds"),
        ({"duration": 1e300}, "bounds"),
        ({"up_latency": 1.0, "up_duration": 252.0}, "bounds"),
        ({"up_latency": 240.0, "up_duration": 230.0}, "bounds"),
        ({"up_latency": -1.0, "up_duration": 230.0}, "bounds"),
        ({"up_latency": 1.0, "up_duration": 1e300}, "bounds"),
        ({"ts": 0.1}, "time"),
        ({"ts": -1795965137.5}, "time"),
    ],
)
def test_what_cannot_be_true_is_rejected(changes: dict[str, Any], why: str) -> None:
    assert observer.observe(line(**changes)) == Rejected(why)


def test_a_request_of_a_whole_day_is_a_sample() -> None:
    assert sample(line(duration=86_399.5)).duration_ns == 86_399_500 * MS
    assert sample(line(duration=0.000039534)).duration_ns == 39_534
    assert sample(line(ts=1795965137)).time_ns == 1_795_965_137 * SECOND


def test_a_line_behind_other_text_is_misplaced() -> None:
    assert observer.observe(b"caddy-1  | " + line()) == Rejected("misplaced")


@pytest.mark.parametrize("method", ["get", "FROBNICATE1", "", 7, None])
def test_an_invented_method_is_other(method: Any) -> None:
    assert dict(sample(line(method=method)).shape.attributes)["http.request.method"] == "_OTHER"
    assert "http.request.method" not in dict(sample(line(without=("request",))).shape.attributes)


def test_invalid_bytes_of_a_client_do_not_cause_drift() -> None:
    raw = line(method="GXT", uri="/ok/Y", headers={"Traceparent": ["Z"], "User-Agent": ["Z"]}, route="W")
    for old, new in ((b"GXT", b"G\xffT"), (b"Y", b"\xc0\xaf"), (b'"Z"', b'"\xff"'), (b'"W"', b'"\xe9"')):
        assert old in raw
        raw = raw.replace(old, new)
    assert sample(raw).duration_ns == 250 * MS


@pytest.mark.parametrize(
    ("values", "trace"),
    [
        ([f"00-{TRACE}-{SPAN}-01"], TRACE + SPAN),
        ([f"00-{TRACE}-{SPAN}-01", "x"], TRACE + SPAN),
        (["x", f"00-{TRACE}-{SPAN}-01"], ""),
        ([f"00-{TRACE}-{SPAN}-01-x"], ""),
        ([f"01-{TRACE}-{SPAN}-01"], ""),
        ([f"00-{TRACE.upper()}-{SPAN}-01"], ""),
        ([f"00-{'0' * 32}-{SPAN}-01"], ""),
        ([], ""),
        ("x", ""),
        (None, ""),
    ],
)
def test_the_clients_trace_is_checked_strictly(values: Any, trace: str) -> None:
    assert sample(line(headers={"Traceparent": values})).trace.hex() == trace


def test_caddys_span_is_preferred_and_checked() -> None:
    parent = {"Traceparent": [f"00-{'1' * 32}-{'2' * 16}-01"]}
    assert sample(line(headers=parent, traceID=TRACE, spanID=SPAN)).trace.hex() == TRACE + SPAN
    cases: list[Any] = [{"traceID": TRACE}, {"traceID": TRACE.upper(), "spanID": SPAN}, {"traceID": "", "spanID": ""}]
    for ids in cases:
        assert sample(line(headers=parent, **ids)).trace == b""


# --- the declaration --------------------------------------------------------------------------------------------


def test_names_of_rotated_files_are_not_live() -> None:
    rule = observer.paths()
    assert rule.is_live("access.log")
    assert rule.is_live("shop.example.log")
    for name in (
        "access-2026-11-29T15-36-08.932.log",  # 2.6, before it is compressed
        "access-2026-11-29T15-36-08.932-size.log",
        "access-2026-11-29T15-36-08.932-size.log.gz",
    ):
        assert not rule.is_live(name)


def test_the_measure_is_an_option() -> None:
    with pytest.raises(UsageError, match="caddy-measure"):
        make("half")
    assert "log_append up_latency" in CADDY.configuration()


def test_the_example_is_the_recommended_configuration() -> None:
    folder = ROOT / "examples" / "caddy"
    assert CADDY.configuration() == (folder / "Caddyfile").read_text()
    (source,) = read_config(folder / "otel-logtail.toml", {}, "/root").sources
    assert source.observer == "caddy"


# --- any line -----------------------------------------------------------------------------------------------------

URI = "/one?path=chosen"
AGENT = "chosen agent"


class TestAnyLine(ObserverContract):
    true_lines: ClassVar = (
        line(uri=URI, headers={"User-Agent": [AGENT]}, method="FROBNICATE1"),
        line(uri=URI, route="shop", up_latency=200.5, up_duration=249.75),
        line(headers={"Traceparent": ["chosen-parent"]}, status=0),
        *ACCESS[:10],
        *ACCESS[-3:],
    )
    other_lines: ClassVar = (line(status=101), line(duration=0), *OWN[-8:-2])
    client_fields: ClassVar[Sequence[bytes]] = (URI.encode(), AGENT.encode(), b"FROBNICATE1", b"chosen-parent")

    def observer(self) -> Observer:
        return make()

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return json_escaped(text)


class TestOverhead(TestAnyLine):
    true_lines: ClassVar = (line(uri=URI, up_latency=200.5, up_duration=249.75), *ACCESS[-3:])
    client_fields: ClassVar[Sequence[bytes]] = (URI.encode(),)
    number: ClassVar = 2000

    def observer(self) -> Observer:
        return make("overhead")
