"""Envoy's lines: real ones line by line, parts of a duration, forgeries in text, and what can't be true."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from msgspec import structs

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.envoy import ENVOY
from otel_logtail.observers.envoy.observer import EnvoyObserver
from otel_logtail.testing import ObserverContract
from tests.support.expected import BREACH_NS, Row, feed, read_rows, row_of
from tests.support.places import CAPTURES, ROOT

FOLDER = CAPTURES / "envoy"
MS, SECOND = 10**6, 10**9

observer = EnvoyObserver()


def lines_of(name: str) -> list[bytes]:
    return (FOLDER / name).read_bytes().split(b"\n")[:-1]


TEXT = lines_of("access.log")[31]
START_NS = 1_795_965_162_157 * MS  # of TEXT: 2026-11-29 15:12:42.157 UTC
CLIENT = ("-", "driver/1.0", "e420b2f5-ea85-40fc-905a-c2232b8a417c", "example.test", "127.0.0.1:19101")


def text(
    numbers: str = "200 - 0 5 702 701",
    *,
    request: str = "GET /slow/700?n=31 HTTP/1.1",
    stamp: str = "2026-11-29T15:12:42.157Z",
    quoted: tuple[str, ...] = CLIENT,
) -> bytes:
    """A line of the default text format, by default TEXT."""
    return f'[{stamp}] "{request}" {numbers} {" ".join(f"{chr(34)}{field}{chr(34)}" for field in quoted)}'.encode()


def istio(
    numbers: str = "0 5 702 701",
    *,
    status: str = "200 - via_upstream -",
    cluster: str = "outbound|80||shop.svc",
    **more: Any,
) -> bytes:
    """The same request in Istio's default text format."""
    line = text(f'{status} "-" {numbers}', **more).decode()
    return f"{line} {cluster} 10.0.0.7:4444 10.0.0.9:80 10.0.0.8:5555 outbound_.80_._.shop.svc default".encode()


JSON: dict[str, Any] = {
    "attempts": 1,
    "cluster": "shop",
    "duration": 1212,
    "flags": "-",
    "method": "GET",
    "pool_ready_ms": 600,
    "request_ms": 5,
    "request_tx_ms": 605,
    "response_ms": 1202,
    "route": None,
    "start": "2026-11-29T15:12:42.157Z",
    "start_ns": "1795965162157894000",
    "status": 200,
    "trace": None,
    "traceparent": None,
}


def entry(**more: Any) -> bytes:
    """A line of the recommended form: JSON, but for these values."""
    return json.dumps({**JSON, **more}, separators=(",", ":"), sort_keys=True).encode()


def sample(raw: bytes) -> Sample:
    observed = observer.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def stages(found: Sample) -> dict[str, int | None]:
    return {
        name: None if value is None else value // MS
        for name, value in zip(found.shape.stages, found.stage_ns, strict=True)
    }


# --- real captures ----------------------------------------------------------------------------------------------


def parts_of(found: Sample) -> str:
    """The parts as the file with the expected samples writes them."""
    if found.shape.stages == ("service", "transfer"):
        return f"service={stages(found)['service']}"
    return " ".join(f"{stage}={value or 0}" for stage, value in stages(found).items())


def rounded(row: Row) -> Row:
    """The end to a millisecond, as the file has it."""
    return row._replace(end_ns=round(row.end_ns / MS) * MS)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("access.log", {"Sample": 78, "Ignored": 10, "Rejected": 2}),
        ("access.json.log", {"Sample": 60, "Ignored": 10}),
    ],
)
def test_each_real_line_is_read_exactly(name: str, counts: dict[str, int]) -> None:
    found = [observer.observe(raw) for raw in lines_of(name)]
    assert Counter(type(answer).__name__ for answer in found) == counts
    assert {answer for answer in found if isinstance(answer, Rejected)} <= {Rejected("quotes")}
    slow = [
        rounded(row_of(number, answer, parts_of(answer)))
        for number, answer in enumerate(found, 1)
        if isinstance(answer, Sample) and answer.duration_ns >= BREACH_NS
    ]
    assert slow == read_rows(FOLDER / name)
    assert all(answer.time_ns == answer.logged_ns for answer in found if isinstance(answer, Sample))


@pytest.mark.parametrize("name", ["access.log", "access.json.log"])
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_the_engine_finds_the_same_in_a_whole_log(name: str, is_wrapped: bool) -> None:
    expected = [observer.observe(raw) for raw in lines_of(name)]
    prefix = b"2026-11-29T20:57:42.123456789+05:45 stdout F " if is_wrapped else b""
    found, tally = feed(EnvoyObserver(), b"".join(prefix + raw + b"\n" for raw in lines_of(name)))
    assert without_traces(list(found)) == without_traces(expected)
    rejected = expected.count(Rejected("quotes"))
    assert (tally.ignored, tally.drift) == (expected.count(Ignored()), 0)
    assert tally.rejected == ({"quotes": rejected} if rejected else {})


def without_traces(found: list[Observed]) -> list[Sample]:
    """The samples as the engine keeps those that are not slow."""
    return [structs.replace(answer, trace=b"") for answer in found if isinstance(answer, Sample)]


def test_both_forms_agree_about_a_request() -> None:
    for number, other in enumerate(lines_of("access.json.log"), 21):
        in_text, in_json = observer.observe(lines_of("access.log")[number - 1]), observer.observe(other)
        if isinstance(in_text, Sample):
            assert isinstance(in_json, Sample)
            assert in_text.duration_ns == in_json.duration_ns
            assert 0 <= in_json.time_ns - in_text.time_ns < MS  # text has milliseconds
        else:
            assert in_text == in_json or in_text == Rejected("quotes")


# --- text -------------------------------------------------------------------------------------------------------


def test_a_line_is_read_to_its_last_part() -> None:
    found = sample(TEXT)
    assert text() == TEXT
    assert (found.time_ns, found.duration_ns, found.logged_ns) == (START_NS + 702 * MS, 702 * MS, START_NS + 702 * MS)
    assert (found.cause, found.stage, stages(found)) == ("upstream", "service", {"service": 701, "transfer": 1})
    assert found.shape.attributes == (("http.request.method", "GET"), ("http.response.status_class", "2xx"))


def test_a_line_of_istio_has_its_cluster() -> None:
    found, plain = sample(istio()), sample(text())
    assert structs.replace(found, shape=plain.shape) == plain
    assert dict(found.shape.attributes) == {
        "envoy.cluster": "outbound|80||shop.svc",
        "http.request.method": "GET",
        "http.response.status_class": "2xx",
    }
    assert "envoy.cluster" not in dict(sample(istio(cluster="-")).shape.attributes)


@pytest.mark.parametrize(
    ("numbers", "cause", "stage", "parts"),
    [
        ("200 - 0 1000 1205 0", "transfer", "transfer", (0, 1205)),
        ("200 - 0 5 1000 500", "upstream", "service", (500, 500)),
        ("200 - 0 5 1001 500", "transfer", "transfer", (500, 501)),
        ("0 DC 0 0 604 -", "upstream", "service", (None, None)),
        ("504 URX,UT 0 24 1608 -", "upstream", "service", (None, None)),
        ("200 - 0 3 0 0", "upstream", "service", (0, 0)),
        ("200 - 0 3 5 6", "upstream", "service", (6, 0)),  # each is rounded
        ("200 - - - 5 5", "upstream", "service", (5, 0)),
        ("200 - 0 3 86400000 0", "transfer", "transfer", (0, 86_400_000)),
    ],
)
def test_the_service_time_divides_a_duration(
    numbers: str, cause: str, stage: str, parts: tuple[int | None, ...]
) -> None:
    found = sample(text(numbers))
    took_ms = int(numbers.split()[4])
    assert (found.duration_ns, found.time_ns) == (took_ms * MS, START_NS + took_ms * MS)
    assert (found.cause, found.stage, tuple(stages(found).values())) == (cause, stage, parts)


@pytest.mark.parametrize(
    ("numbers", "request_line", "attributes"),
    [
        ("0 DC 0 0 604 -", "GET /a HTTP/1.1", ("GET", "0xx")),
        ("503 UF 0 98 0 -", "POST /a b HTTP/2", ("POST", "5xx")),
        ("301 - 0 0 0 -", "PURGE /a HTTP/1.1", ("_OTHER", "3xx")),
        ("407 - 0 0 0 -", "CONNECT example.test:443 HTTP/2", ("CONNECT", "4xx")),
    ],
)
def test_a_request_keeps_its_class_of_status_and_a_known_method(
    numbers: str, request_line: str, attributes: tuple[str, str]
) -> None:
    assert tuple(value for _, value in sample(text(numbers, request=request_line)).shape.attributes) == attributes


@pytest.mark.parametrize(
    "raw",
    [
        text("101 DC 20 20 2500 -"),
        text("101 DC 20 20 90000000 -"),  # a session may last longer than a day
        text("200 - 9 9 60000 1", request="CONNECT example.test:443 HTTP/2"),
        text("400 DPE 0 11 0 -", request="- - HTTP/1.1", quoted=("-",) * 5),
        text("408 - 0 22 2000 -", request="- - HTTP/1.1", quoted=("-",) * 5),
        text("0 DC 0 0 300 -", request="- - HTTP/1.1", quoted=("-",) * 5),
        text("0 - 10 10 5000 -", request="- - -", quoted=("-",) * 5),  # a TCP proxy
        text("200 - 0 0 - -"),  # not over yet
        istio("0 5 2500 -", status="101 - via_upstream -"),
        istio("0 5 2000 -", status="408 - request_header_timeout -", request="- - HTTP/1.1"),
        entry(status=101),
        entry(status=200, method="CONNECT"),
        entry(cluster=None, method=None, status=400, flags="DPE"),
        entry(cluster=None, method="GET", path=None, status=426),
        entry(cluster=None, path=None, method=None, duration=2000, status=408),
        entry(cluster="tcp", method=None, path=None, status=0, duration=5000),  # a TCP proxy
        entry(duration=None),
        b"[2026-11-29 15:12:42.157][12][info][main] [source/server/server.cc:1011] starting main dispatch loop",
        b'{"level":"info","duration":5}',
        b'{"start_time":"2026-11-29T15:12:42.157Z","duration":5,"response_code":200}',
        b"",
    ],
)
def test_lines_that_hold_no_request_are_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()


# --- forgeries --------------------------------------------------------------------------------------------------

FORGED = '/x HTTP/1.1" 200 - 0 3 99999 0 "-" "a" "b" "c" "d"'


@pytest.mark.parametrize(
    "raw",
    [
        text(request=f"GET {FORGED} HTTP/1.1"),
        text(request='GET /a"b HTTP/1.1'),
        text(request='GET /a"" HTTP/1.1'),  # as many quotes as Istio writes
        text(request='GET /x HTTP/1.1" 200 - via_upstream - "-'),
        text(quoted=("-", 'x" "y', *CLIENT[2:])),
        text(quoted=("-", '-" 0 3 99999 0 "', *CLIENT[2:])),
        text(quoted=("-", "agent", FORGED, *CLIENT[3:])),
        text(quoted=("-", "agent", "id", 'example.test" "127.0.0.1:1"', CLIENT[4])),
        istio(request=f"GET {FORGED} HTTP/1.1"),
        istio(quoted=("-", '"', *CLIENT[2:])),
        istio().replace(b'" "', b'", "', 1),
        text() + b'"',
        text()[:-1],
        text(quoted=CLIENT[:4]),
        text(request='GET /a"" HTTP/1.1') + b" c 1 2 3 4 5",
    ],
)
def test_a_line_with_further_quotes_is_not_believed(raw: bytes) -> None:
    assert observer.observe(raw) == Rejected("quotes")


def test_a_client_may_write_anything_but_quotes() -> None:
    hostile = text(request="GET /slow/700?n=31 200 - 0 3 99999 0 [2026-11-29T15:12:42.157Z] HTTP/1.1")
    assert sample(hostile) == sample(text())
    raw = text(quoted=("-", "AGENT", *CLIENT[2:])).replace(b"AGENT", b"\xff\xfe \\ { } 99999")
    assert sample(raw) == sample(text())


def test_a_server_name_of_the_client_changes_nothing_in_istios_text() -> None:
    assert sample(istio().replace(b"outbound_.80_._.shop.svc", b"200 - 0 3 99999 0")) == sample(istio())


@pytest.mark.parametrize(
    "raw",
    [
        text("200 - 0 5 702"),
        text("200 - 0 5 702 701 9"),
        text("200 - 0 5 0.702 701"),
        text("200 - 0 5 702ms 701ms"),
        text("OK - 0 5 702 701"),
        text("200 - 0 5 -702 701"),
        text() + b" -",
        text().replace(b'" "', b'", "', 1),
        entry(duration="12ms"),
        entry(duration=1.5),
        entry(duration=True),
        entry(status=None),
        entry(start_ns="x"),
        entry(start_ns=None),
        entry(request_ms=[]),
        entry()[:-1],
        entry().replace(b'"duration"', b'"took"'),
        entry(cluster=5),
    ],
)
def test_other_fields_are_drift(raw: bytes) -> None:
    with pytest.raises(Drift) as error:
        observer.observe(raw)
    assert error.value.hint


# --- JSON -------------------------------------------------------------------------------------------------------


def test_an_object_is_read_to_its_last_part() -> None:
    found = sample(entry())
    assert (found.time_ns, found.duration_ns) == (1_795_965_162_157_894_000 + 1212 * MS, 1212 * MS)
    assert stages(found) == {"request": 5, "pool": 600, "upstream": 597, "body": 10}
    assert (found.cause, found.stage) == ("pool", "pool")
    assert dict(found.shape.attributes) == {
        "envoy.cluster": "shop",
        "http.request.method": "GET",
        "http.response.status_class": "2xx",
    }


@pytest.mark.parametrize(
    ("times", "cause", "parts"),
    [
        # duration, request, request_tx, response, pool
        ((801, 800, 800, 800, 0), "request", (800, 0, 0, 1)),
        ((1502, 1502, 1502, 1502, 0), "request", (1502, 0, 0, 0)),
        ((1205, 0, 0, 0, 0), "body", (0, 0, 0, 1205)),
        ((726, 0, 23, 725, 0), "upstream", (0, 0, 702, 1)),  # the failed attempt is in no part
        ((1002, 0, None, None, 1002), "pool", (0, 1002, 0, None)),
        ((1608, 0, 807, None, 0), "upstream", (0, 0, 1608, None)),
        ((604, 0, 0, None, 0), "upstream", (0, 0, 604, None)),
        ((500, None, None, None, 0), "upstream", (None, 0, 500, None)),
        ((300, 300, 300, 10, 0), "request", (300, 0, 0, 290)),  # the response came before the request was sent
        ((0, 0, None, None, None), "upstream", (0, None, 0, None)),
        ((20, 5, 10, 15, 5), "upstream", (5, 5, 5, 5)),  # of equal parts, the first in this order
        ((15, 5, 10, 10, 5), "pool", (5, 5, 0, 5)),
        ((10, 5, 5, 5, 0), "request", (5, 0, 0, 5)),
        ((10, 11, 11, 11, 0), "request", (11, 0, 0, 0)),  # each is rounded
    ],
)
def test_the_parts_of_a_duration(times: tuple[int | None, ...], cause: str, parts: tuple[int | None, ...]) -> None:
    names = ("duration", "request_ms", "request_tx_ms", "response_ms", "pool_ready_ms")
    found = sample(entry(**dict(zip(names, times, strict=True))))
    assert (found.duration_ns, found.cause, tuple(stages(found).values())) == ((times[0] or 0) * MS, cause, parts)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"duration": -1}, "bounds"),
        ({"duration": 86_400_001}, "bounds"),
        ({"request_ms": 1300}, "bounds"),
        ({"response_ms": 1_212_000}, "bounds"),
        ({"request_tx_ms": -1}, "bounds"),
        ({"pool_ready_ms": 10**20}, "bounds"),
        ({"start_ns": "1795965162157894"}, "time"),  # in microseconds
        ({"start_ns": "1795965162157"}, "time"),
        ({"start_ns": "1795965162157894000000"}, "time"),
        ({"start_ns": "-1795965162157894000"}, "time"),
        ({"start_ns": "1795968762157894000"}, "time"),  # of a zone, not UTC
        ({"start": "now", "start_ns": "1795965162157894"}, "time"),
        ({"start": "2026-11-29T16:12:42.157Z"}, "time"),
        ({"start": "2026-13-29T16:12:42.157Z"}, "time"),
    ],
)
def test_an_object_that_cannot_be_true_is_rejected(more: dict[str, Any], why: str) -> None:
    assert observer.observe(entry(**more)) == Rejected(why)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (text("200 - 0 5 86400001 5"), "bounds"),
        (text("200 - 0 5 702 701000"), "bounds"),  # of another unit
        (text("200 - 0 5 999999999999 5"), "bounds"),
        (text(stamp="2026-11-31T15:12:42.157Z"), "time"),
        (text(stamp="2026-11-29T24:12:42.157Z"), "time"),
        (text(stamp="1969-11-29T15:12:42.157Z"), "time"),
        (text(stamp="2400-11-29T15:12:42.157Z"), "time"),
        (istio("0 5 86400001 5"), "bounds"),
    ],
)
def test_a_line_that_cannot_be_true_is_rejected(raw: bytes, why: str) -> None:
    assert observer.observe(raw) == Rejected(why)


def test_values_of_older_versions_are_texts() -> None:
    quoted = {name: "-" if value is None else str(value) for name, value in JSON.items()}
    assert sample(entry(**quoted)) == sample(entry())
    assert sample(entry(**{**quoted, "response_ms": "-"})) == sample(entry(response_ms=None))
    assert observer.observe(entry(**{**quoted, "cluster": "-", "method": "-"})) == Ignored()


def test_a_start_in_another_format_is_not_compared() -> None:
    assert sample(entry(start="29/Nov/2026")) == sample(entry())


def test_a_request_that_envoy_answers_itself_has_no_cluster() -> None:
    for more in ({}, {"path": "/static"}):
        found = sample(entry(cluster=None, request_tx_ms=None, response_ms=None, pool_ready_ms=None, **more))
        assert "envoy.cluster" not in dict(found.shape.attributes)
        assert stages(found) == {"request": 5, "pool": None, "upstream": 1207, "body": None}


@pytest.mark.parametrize("name", [b"path", b"agent", b"traceparent", b"method"])
def test_bytes_of_a_client_that_are_not_utf_8_do_no_harm(name: bytes) -> None:
    raw = entry(path="x", agent="x", traceparent="x", method="GET")
    changed = raw.replace(b'"%s":"%s"' % (name, b"GET" if name == b"method" else b"x"), b'"%s":"\xff\xfe"' % name)
    assert changed != raw
    found, plain = sample(changed), sample(raw)
    assert structs.replace(found, shape=plain.shape) == plain


def test_a_value_that_is_left_out_was_not_reached() -> None:
    short = {name: value for name, value in JSON.items() if name not in ("pool_ready_ms", "response_ms", "trace")}
    found = sample(json.dumps(short, separators=(",", ":")).encode())
    assert found.stage_ns == sample(entry(pool_ready_ms=None, response_ms=None)).stage_ns


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7")


@pytest.mark.parametrize(
    ("trace", "parent", "expected"),
    [
        (None, PARENT, TRACE),
        (TRACE[:16].hex(), PARENT, TRACE),
        ("0af7651916cd43dd8448eb211c80319c", PARENT, b""),  # the client's, while Envoy has a trace of its own
        (TRACE[:16].hex(), None, b""),
        (None, PARENT.upper(), b""),
        (None, PARENT + " ", b""),
        (None, '"' * 55, b""),
    ],
)
def test_a_traceparent_is_the_trace_unless_envoy_has_another(
    trace: str | None, parent: str | None, expected: bytes
) -> None:
    assert sample(entry(trace=trace, traceparent=parent)).trace == expected


def test_the_capture_has_the_traces_that_were_sent() -> None:
    found = [sample(lines_of("access.json.log")[number - 1]).trace for number in (12, 13, 14)]
    assert found == [b"", TRACE, TRACE]


# --- the plug-in, and any line ----------------------------------------------------------------------------------


def test_the_configuration_is_that_of_the_example() -> None:
    assert ENVOY.configuration() == (ROOT / "examples" / "envoy" / "envoy.yaml").read_text()


def test_the_plugin_makes_the_observer() -> None:
    made = ENVOY.make(ObserverContext())
    assert made.observe(TEXT) == sample(TEXT)
    rule = made.paths()
    assert [rule.is_live(name) for name in ("access.log", "in_access.log", "access.log.1", "envoy.log")] == [
        True,
        True,
        False,
        False,
    ]


CLIENT_JSON = {"path": "/json/path", "agent": "agent.json/1", "traceparent": "parent.json"}


class TestEnvoy(ObserverContract):
    true_lines = (
        text(request="GET /client/path HTTP/1.1", quoted=("9.9.9.9", "agent/1", "id-1", "host.test", "1.2.3.4:80")),
        istio(request="POST /client/path HTTP/2", quoted=("9.9.9.9", "agent/1", "id-1", "host.test", "1.2.3.4:80")),
        text("0 DC 0 0 604 -"),
        entry(**CLIENT_JSON),
        entry(**CLIENT_JSON, response_ms=None, request_tx_ms=None),
        lines_of("access.json.log")[14],
    )
    other_lines = tuple(
        raw
        for name in ("access.log", "access.json.log")
        for raw in lines_of(name)
        if not isinstance(observer.observe(raw), Sample)
    )
    client_fields = (
        b"/client/path",
        b"9.9.9.9",
        b"agent/1",
        b"id-1",
        b"host.test",
        *map(str.encode, CLIENT_JSON.values()),
    )
    client_rejected = frozenset(("quotes",))

    def observer(self) -> Observer:
        return EnvoyObserver()

    def write(self, text: bytes, field: bytes) -> bytes | None:
        if any(byte < 0x20 and byte != 0x09 for byte in text):
            return None  # such a request is refused
        if field.decode() in CLIENT_JSON.values():  # Latin-1, as JSON
            return json.dumps(text.decode("latin-1"))[1:-1].encode()
        return text  # nothing is escaped
