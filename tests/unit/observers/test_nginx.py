"""nginx's lines: times and their parts, three formats, forgeries, and what can't be true."""

from __future__ import annotations

from typing import Any

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.nginx import NGINX
from otel_logtail.observers.nginx.observer import NginxObserver
from otel_logtail.observers.nginx.options import MEASURE
from otel_logtail.observers.nginx.parts import INGRESS_STAGES, STAGES

MS, SECOND = 10**6, 10**9
END_NS = 1795966987_206 * MS
STAMP_NS = 1795966987 * SECOND  # 2026-11-29 15:43:07 UTC
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

observer = NginxObserver(ObserverContext())
overhead = NginxObserver(ObserverContext(options={MEASURE.name: "overhead"}))


def line(
    total: str = "0.705", connect: str = "0.000", header: str = "0.700", response: str = "0.702", **fields: str
) -> bytes:
    """A line of the recommended format, but for what is named."""
    values = {
        "msec": "1795966987.206",
        "request_time": total,
        "connect_time": connect,
        "header_time": header,
        "response_time": response,
        "status": "200",
        "method": "GET",
        "server": "shop",
        "traceparent": "",
        **fields,
    }
    return ("{" + ",".join(f'"{name}":"{value}"' for name, value in values.items()) + "}").encode()


def timed(
    total: str = "0.705",
    connect: str = "0.000",
    header: str = "0.700",
    response: str = "0.702",
    *,
    user: str = "-",
    stamp: str = "29/Nov/2026:15:43:07 +0000",
    request: str = "GET /slow/700 HTTP/1.1",
    status: str = "200",
    agent: str = "driver/1.0",
    more: str = "",
) -> bytes:
    """A line of ``combined`` with times."""
    front = f'127.0.0.1 - {user} [{stamp}] "{request}" {status} 5 "-" "{agent}"{more}'
    return f'{front} rt={total} uct="{connect}" uht="{header}" urt="{response}"'.encode("latin-1")


def ingress(
    total: str = "0.705",
    addresses: str = "10.0.0.7:80",
    lengths: str = "5",
    responses: str = "0.702",
    statuses: str = "200",
    *,
    status: str = "200",
    name: str = "default-web-80",
    request_id: str = "7e29",
    agent: str = "driver/1.0",
) -> bytes:
    """A line of ingress-nginx."""
    front = f'10.0.0.1 - - [29/Nov/2026:15:43:07 +0000] "GET / HTTP/1.1" {status} 5 "-" "{agent}"'
    return f"{front} 68 {total} [{name}] [] {addresses} {lengths} {responses} {statuses} {request_id}".encode("latin-1")


def sample(raw: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def stages(raw: bytes, reader: Observer = observer) -> dict[str, float | None]:
    """The parts in ms."""
    found = sample(raw, reader)
    return {name: None if ns is None else ns / MS for name, ns in zip(found.shape.stages, found.stage_ns, strict=True)}


# --- one line ---------------------------------------------------------------------------------------------------


def test_a_line_gives_its_end_its_whole_time_and_its_parts() -> None:
    found = sample(line(traceparent=TRACEPARENT))
    assert found == Sample(
        time_ns=END_NS,
        duration_ns=705 * MS,
        logged_ns=END_NS,
        cause="upstream",
        stage="wait",
        shape=found.shape,
        stage_ns=(0, 700 * MS, 2 * MS, 0, 3 * MS),
        trace=bytes.fromhex("0af7651916cd43dd8448eb211c80319cb7ad6b7169203331"),
    )
    assert found.shape.stages == STAGES
    assert found.shape.attributes == (
        ("http.request.method", "GET"),
        ("http.response.status_class", "2xx"),
        ("nginx.server", "shop"),
    )
    assert sample(line()).shape is found.shape


def test_combined_with_times_has_the_same_parts_and_whole_seconds() -> None:
    found = sample(timed())
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (STAMP_NS, STAMP_NS, 705 * MS)
    assert (found.cause, found.stage, found.stage_ns) == ("upstream", "wait", (0, 700 * MS, 2 * MS, 0, 3 * MS))
    assert found.shape.stages == STAGES
    assert dict(found.shape.attributes) == {"http.request.method": "GET", "http.response.status_class": "2xx"}


def test_a_line_of_ingress_nginx_has_the_time_of_the_last_attempt_as_wait() -> None:
    found = sample(ingress())
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (STAMP_NS, STAMP_NS, 705 * MS)
    assert (found.cause, found.stage, found.stage_ns) == ("upstream", "wait", (702 * MS, 0, 3 * MS))
    assert found.shape.stages == INGRESS_STAGES
    assert dict(found.shape.attributes)["nginx.upstream"] == "default-web-80"


@pytest.mark.parametrize(
    ("times", "parts", "cause"),
    [
        (("0.705", "0.000", "0.700", "0.702"), (0, 700, 2, 0, 3), "upstream"),
        (("1.235", "0.000", "0.001", "1.236"), (0, 1, 1235, 0, 0), "body"),
        (("1.001", "-", "-", "1.001"), (1001, 0, 0, 0, 0), "connect"),
        (("1.001", "0.400", "-", "1.001"), (400, 601, 0, 0, 0), "upstream"),
        (("0.801", "0.000", "0.001", "0.001"), (0, 1, 0, 0, 800), "client"),
        (("1.614", "0.000, 0.000", "-, -", "0.804, 0.810"), (0, 810, 0, 804, 0), "upstream"),
        (("1.002", "-, 0.000", "-, 0.001", "1.001, 0.001"), (0, 1, 0, 1001, 0), "retry"),
        (("0.627", "- : 0.000", "- : 0.626", "0.000 : 0.626"), (0, 626, 0, 0, 1), "upstream"),
        (("0.609", "0.000 : 0.001", "0.001 : 0.601", "0.002 : 0.602"), (1, 600, 1, 2, 5), "upstream"),
        (("0.909", "-, 0.100 : 0.001", "-, - : 0.201", "0.300, 0.200 : 0.302"), (1, 200, 101, 500, 107), "retry"),
        (("0.001", "0.000, -", "0.001, -", "0.001, 0.000"), (0, 0, 0, 1, 0), "retry"),
        (("0.000", "0.000", "0.001", "0.001"), (0, 1, 0, 0, 0), "upstream"),
        (("0.500", "0.250", "0.250", "0.500"), (250, 0, 250, 0, 0), "body"),
        (("0.500", "0.250", "0.500", "0.500"), (250, 250, 0, 0, 0), "upstream"),
        (("0.500", "0.000, 0.250", "-, 0.250", "0.250, 0.250"), (250, 0, 0, 250, 0), "connect"),
        (("0.500", "0.000, 0.000", "-, -", "0.250, 0.000"), (0, 0, 0, 250, 250), "retry"),
        (("0.000", "0.000", "0.000", "0.000"), (0, 0, 0, 0, 0), "upstream"),
        (("0.100", "0.002", "0.000", "0.001"), (2, 0, 1, 0, 99), "client"),
        (("0.302", "0.000", "0.301", "0.300"), (0, 301, 0, 0, 2), "upstream"),
        (("0.700", "0.000 : ", "0.600 : ", "0.700 : "), (0, 0, 0, 700, 0), "retry"),
    ],
)
def test_the_times_of_the_attempts_give_the_parts(
    times: tuple[str, str, str, str], parts: tuple[int, ...], cause: str
) -> None:
    for raw in (line(*times), timed(*times)):
        found = sample(raw)
        assert found.stage_ns == tuple(ms * MS for ms in parts)
        assert (found.cause, found.stage) == (cause, "wait" if cause == "upstream" else cause)
        assert found.duration_ns == round(float(times[0]) * SECOND)


@pytest.mark.parametrize("raw", [line("0.700", "", "", ""), timed("0.700", "-", "-", "-")])
def test_a_request_that_nginx_itself_answers_has_only_a_client(raw: bytes) -> None:
    found = sample(raw)
    assert (found.duration_ns, found.cause, found.stage) == (700 * MS, "client", "client")
    assert found.stage_ns == (None, None, None, None, 700 * MS)


def test_the_same_in_the_format_of_ingress_nginx() -> None:
    found = sample(ingress("0.700", "-", "-", "-", "-"))
    assert (found.duration_ns, found.cause, found.stage_ns) == (700 * MS, "client", (None, None, 700 * MS))


@pytest.mark.parametrize(
    ("raw", "duration_ms", "cause"),
    [
        (line("1.000", "0.000", "0.600", "0.700"), 300, "client"),
        (line("1.614", "0.000, 0.000", "-, -", "0.804, 0.800"), 814, "retry"),
        (line("0.700", "", "", ""), 700, "client"),
        (line("0.700", "0.000", "0.700", "0.700"), 0, "client"),
        (timed("1.000", "0.000", "0.600", "0.700"), 300, "client"),
        (ingress("1.614", "a, b", "0, 0", "0.804, 0.800", "504, 504"), 814, "retry"),
    ],
)
def test_overhead_is_the_time_outside_the_last_upstream(raw: bytes, duration_ms: int, cause: str) -> None:
    found, total = sample(raw, overhead), sample(raw)
    assert (found.duration_ns, found.cause, found.stage) == (duration_ms * MS, cause, cause)
    assert (found.time_ns, found.stage_ns, found.shape) == (total.time_ns, total.stage_ns, total.shape)


@pytest.mark.parametrize(
    ("status", "kind"),
    [("009", "0xx"), ("000", "0xx"), ("100", "1xx"), ("206", "2xx"), ("499", "4xx"), ("504", "5xx"), ("999", "0xx")],
)
def test_any_status_is_a_sample_with_its_class(status: str, kind: str) -> None:
    for raw in (line(status=status), timed(status=status), ingress(status=status)):
        assert dict(sample(raw).shape.attributes)["http.response.status_class"] == kind


@pytest.mark.parametrize(
    ("sent", "expected"), [("POST", "POST"), ("BREW", "_OTHER"), ("", "_OTHER"), ("get", "_OTHER")]
)
def test_only_known_methods_are_attributes(sent: str, expected: str) -> None:
    for raw in (line(method=sent), timed(request=f"{sent} / HTTP/1.1")):
        assert dict(sample(raw).shape.attributes)["http.request.method"] == expected


@pytest.mark.parametrize("server", ["", "x" * 300])
def test_a_server_without_a_name_or_with_a_long_one_is_not_an_attribute(server: str) -> None:
    assert "nginx.server" not in dict(sample(line(server=server)).shape.attributes)


@pytest.mark.parametrize("name", ["", "-"])
def test_an_upstream_without_a_name_is_not_an_attribute(name: str) -> None:
    assert "nginx.upstream" not in dict(sample(ingress(name=name)).shape.attributes)


@pytest.mark.parametrize("sent", ["x", TRACEPARENT.upper(), "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "\\u0000"])
def test_a_traceparent_that_is_not_valid_is_not_a_trace(sent: str) -> None:
    assert sample(line(traceparent=sent)).trace == b""


def test_the_traceparent_may_be_left_out_and_other_fields_added() -> None:
    assert sample(line().replace(b',"traceparent":""', b"")) == sample(line())
    assert sample(line(agent="curl", uri="/a?b")) == sample(line())
    assert sample(
        line().replace(b'","', b'", "').replace(b'":"', b'": "').replace(b'{"msec": ', b'{"msec":')
    ) == sample(line())


# --- lines that are not samples -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        b'127.0.0.1 - - [29/Nov/2026:15:43:05 +0000] "GET / HTTP/1.1" 200 3 "-" "curl"',
        b'127.0.0.1 - - [29/Nov/2026:15:43:05 +0000] "GET / HTTP/1.1" 200 3 "-" "curl" "10.0.0.1"',
        b'127.0.0.1 - - [29/Nov/2026:15:43:05 +0000] "GET / HTTP/1.1" 200 3 "-" "curl" 0.705',
        b'127.0.0.1 - - [29/Nov/2026:15:43:05 +0000] "GET / HTTP/1.1" 200 3 "-" "curl urt="',
        b'{"time":"2026-11-29T15:43:05+00:00","status":"200"}',
        line(status="101"),
        line("100000.000", status="101"),
        timed(status="101"),
        ingress(status="101"),
        *(line("0.310", "", "", "", status=status) for status in ("400", "408")),
        *(timed("0.310", "-", "-", "-", status=status) for status in ("400", "408")),
        *(ingress("0.310", "-", "-", "-", "-", status=status) for status in ("400", "408")),
        timed("0.310", "-", "-", "-", status="400", request=r"\x16\x03\x01"),
    ],
)
def test_a_line_without_times_or_without_a_request_is_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()


@pytest.mark.parametrize("status", ["400", "408"])
def test_an_upstream_may_answer_400(status: str) -> None:
    for raw in (line(status=status), timed(status=status), ingress(status=status)):
        assert isinstance(observer.observe(raw), Sample)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (line("86400.001"), "bounds"),
        (line("-0.001"), "bounds"),
        (line("1.000", "0.000", "0.903", "0.900"), "bounds"),
        (line("1.000", "0.603", "0.600", "0.900"), "bounds"),
        (line("1.000", "0.603", "-", "0.600"), "bounds"),
        (line("1.000", "-0.003", "0.600", "0.900"), "bounds"),
        (line("1.000", "0.000", "-0.600", "0.900"), "bounds"),
        (line("1.000", "0.000", "0.600", "-0.900"), "bounds"),
        (line("1.000", "-", "-", "-0.900"), "bounds"),
        (line("1.000", "0.000", "0.600", "86400.001"), "bounds"),
        (line("1.000", "0.000, 0.000", "0.009, 0.001", "0.001, 0.001"), "bounds"),
        (line("1.000", "0.000", "0.600, 0.601", "0.700"), "lists"),
        (line("1.000", "0.000", "0.600", "0.700, 0.100"), "lists"),
        (line("1.000", "0.000 : 0.000", "0.600", "0.700"), "lists"),
        (line("1.000", "", "0.600", "0.700, 0.100"), "lists"),
        (line("0.706", msec="0.705"), "time"),
        (timed("86400.001"), "bounds"),
        (timed("1.000", "0.603", "0.600", "0.900"), "bounds"),
        (timed("1.000", "0.000", "0.600", "0.700, 0.100"), "lists"),
        (timed(stamp="30/Feb/2026:15:43:07 +0000"), "time"),
        (timed(stamp="29/Nov/2026:24:43:07 +0000"), "time"),
        (timed(stamp="29/Nov/2026:15:43:07 +1500"), "time"),
        (timed(stamp="01/Jan/1970:00:00:00 +0000"), "time"),
        (timed(stamp="01/Jan/1970:01:00:00 +0200"), "time"),
        (ingress("86400.001"), "bounds"),
        (ingress("1.000", responses="-0.900"), "bounds"),
        (ingress("1.000", "a, b"), "lists"),
        (ingress("1.000", "a", responses="0.100, 0.200"), "lists"),
        (ingress("1.000", "a, b", "1, 2", "0.100 : 0.200", "200, 200"), "lists"),
        (ingress("1.000", "a : b", "1 : 2", "0.100, 0.200", "200 : 200"), "lists"),
        (ingress("1.000", "a, b", "1, 2", "0.100, 0.200", "200"), "lists"),
        (ingress("1.000", "a", "1 : 2"), "lists"),
        (ingress("1.000", "a", responses="0.100 : 0.200"), "lists"),
        (ingress("1.000", "a", statuses="200, 200"), "lists"),
        (ingress("1.000", "a, b", "1, 2", "0.100, 0.200 : 0.300", "200, 200"), "lists"),
        (ingress("1.000", "a,"), "lists"),
        (ingress()[: -len(" 0.702 200 7e29")], "lists"),
    ],
)
def test_a_line_that_cannot_be_true_is_rejected(raw: bytes, why: str) -> None:
    assert observer.observe(raw) == Rejected(why)


def test_a_day_is_the_longest_that_is_believed() -> None:
    assert sample(line("86400.000")).duration_ns == 86_400 * SECOND


@pytest.mark.parametrize(
    "raw",
    [
        line().replace(b',"status":"200"', b""),
        line().replace(b',"server":"shop"', b""),
        line().replace(b',"response_time":"0.702"', b""),
        line().replace(b'"0.702"', b"0.702"),
        line().replace(b'"200"', b"200"),
        line(status="20"),
        line(status="2000"),
        line(status="²00"),
        line(""),
        line("-"),
        line("x"),
        line("0.7"),
        line("0.70512"),
        line(response="0.70x"),
        line(response="0.702,0.001"),
        line(connect="x"),
        line(header="x"),
        line(msec="x"),
        line(msec=""),
        line(msec="1795966987"),
        line(msec="1795966987.2"),
        line(msec="179596698720699.206"),
        line(msec="-795966987.206"),
        line(msec="١795966987.206"),
        timed("x"),
        timed("0.7"),
        timed(response="x"),
        timed(stamp="2026-11-29T15:43:07+00:00"),
        timed(stamp="29/Nov/2026:15:43:07"),
        timed(stamp="29/Nox/2026:15:43:07 +0000"),
        timed().replace(b" uht=", b" uhx="),
        timed().replace(b" uct=", b" ucx="),
        timed().replace(b" rt=", b" rx="),
        timed().replace(b" rt=", b" cs=- rt="),
        ingress("x"),
        ingress(responses="x"),
        ingress().replace(b" [] ", b" "),
    ],
)
def test_a_field_that_is_missing_or_is_not_a_number_is_drift(raw: bytes) -> None:
    with pytest.raises(Drift) as error:
        observer.observe(raw)
    assert error.value.hint
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "raw",
    [
        *(line(total) for total in ("705", "705.000000", "0.705000", "0.000705")),
        *(line(response=ms) for ms in ("702", "702.0")),
        *(line(msec=ms) for ms in ("1795966987206", "1795966987206000", "1795966987.206000")),
        *(timed(total) for total in ("705", "0.705000")),
        *(ingress(total) for total in ("705", "0.705000")),
    ],
)
def test_a_time_in_another_unit_is_drift(raw: bytes) -> None:
    with pytest.raises(Drift):
        observer.observe(raw)


@pytest.mark.parametrize(
    ("stamp", "hours"),
    [
        ("29/Nov/2026:21:13:07 +0530", 0.0),
        ("29/Nov/2026:12:13:07 -0330", 0.0),
        ("30/Nov/2026:05:43:07 +1400", 0.0),
        ("29/Nov/2026:15:43:07 +0200", -2.0),
        ("29/Nov/2026:15:43:07 -0800", 8.0),
    ],
)
def test_the_offset_of_a_line_gives_its_time(stamp: str, hours: float) -> None:
    assert sample(timed(stamp=stamp)).time_ns - STAMP_NS == hours * 3600 * SECOND


# --- a client's bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "agent",
    [
        '"',
        '\\"',
        'x" rt=99.000 uct="0.000" uht="99.000" urt="99.000',
        'x" rt=99.000 uct="0.000" uht="99.000" urt="99.000"',
        'x" 68 99.000 [default-web-80] [] 10.0.0.7:80 5 99.000 200 7e29',
        '"' * 100,
    ],
)
def test_a_quote_of_a_client_in_a_text_format_is_rejected(agent: str) -> None:
    assert observer.observe(timed(agent=agent)) == Rejected("quotes")
    assert observer.observe(ingress(agent=agent)) == Rejected("quotes")


@pytest.mark.parametrize("request_line", ['GET /"a" HTTP/1.1', 'GET /" 101 3 "x" "y', 'GET /x" 101 3 "'])
def test_a_quote_in_the_request_is_rejected(request_line: str) -> None:
    assert observer.observe(timed(request=request_line)) == Rejected("quotes")


@pytest.mark.parametrize(
    "text",
    [
        '"',
        'x","request_time":"99.000',
        'x","request_time":99,"x":"',
        'x","msec":"1795966000.000',
        'x","status":"101',
        'x", "status" : "101',
        'x","\\u0072equest_time":"99.000',
        'x","msec":{"a":"',
        'x"}',
        'x"},{"a":"',
        "\\x22",
        "\\",
    ],
)
def test_a_client_that_can_write_quotes_is_rejected(text: str) -> None:
    assert observer.observe(line(agent=text)) == Rejected("quotes")
    assert observer.observe(line(method=text)) == Rejected("quotes")


@pytest.mark.parametrize(
    "text", ["request_time", '\\"msec\\":\\"1', "\\\\u0072", "\\u0001\\u001f", "\u2028é", "[" * 50]
)
def test_the_text_of_a_client_that_is_escaped_does_no_harm(text: str) -> None:
    assert sample(line(agent=text, uri=text)) == sample(line())


def test_bytes_that_are_not_utf8_do_no_harm() -> None:
    raw = line(agent="AGENT", method="METHOD", traceparent="TRACE", server="SERVER")
    for name in (b"AGENT", b"METHOD", b"TRACE", b"SERVER"):
        raw = raw.replace(name, b"\xff\xfe\xed\xa0\x80")
    found = sample(raw)
    assert found.stage_ns == sample(line()).stage_ns
    assert dict(found.shape.attributes) == {"http.request.method": "_OTHER", "http.response.status_class": "2xx"}


@pytest.mark.parametrize(
    "user", ["alice", "a b", "[29/Nov/2020:00:00:00 +0000]", "x] [y", r"\x22", "[", "]", "- [29/Nov/2020"]
)
def test_the_name_of_a_user_does_not_move_the_time(user: str) -> None:
    assert sample(timed(user=user)) == sample(timed())


@pytest.mark.parametrize("request_id", ["a b", ": 99.000 200 x", ", 99.000", "200, 200 : 200", "-", r"\x22", "", " "])
def test_the_request_id_of_a_client_does_no_harm(request_id: str) -> None:
    assert sample(ingress(request_id=request_id)) == sample(ingress())
    several = ingress("1.614", "a:1, b:2 : c:3", "0, 0 : 5", "0.400, 0.300 : 0.700", "502, 502 : 200")
    assert sample(several.replace(b"7e29", request_id.encode())) == sample(several)


def test_a_list_of_ingress_nginx_is_read_with_the_separators_of_its_addresses() -> None:
    several = ingress("1.614", "a:1, b:2 : [::1]:3", "0, 0 : 5", "0.400, 0.300 : 0.700", "502, 502 : 200")
    assert stages(several) == {"wait": 700, "retry": 700, "client": 214}


@pytest.mark.parametrize("more", [' "10.0.0.1"', ' "-"', r' "\x22 rt=9.000"'])
def test_the_forwarded_address_may_precede_the_times(more: str) -> None:
    assert sample(timed(more=more)) == sample(timed())


# --- the plug-in --------------------------------------------------------------------------------------------------


def test_it_recommends_a_format_whose_lines_it_reads() -> None:
    assert "log_format otel_logtail escape=json" in NGINX.configuration()
    assert "map $http_traceparent" in NGINX.configuration()
    assert "observers show nginx" in NGINX.no_sample


def test_it_is_made_with_its_options() -> None:
    made: list[Any] = [NGINX.make(ObserverContext(options=values)) for values in ({}, {MEASURE.name: "overhead"})]
    durations = [sample(line("1.000", "0.000", "0.600", "0.700"), each).duration_ns // MS for each in made]
    assert durations == [1000, 300]


@pytest.mark.parametrize(
    ("name", "is_live", "is_copy"),
    [
        ("access.log", True, False),
        ("otel.log", True, False),
        ("shop.example.access.log", True, False),
        ("shop.log", True, False),
        ("access.log.1", False, False),
        ("access.log-20261129", False, False),
        ("error.log", True, True),
        ("error.log.1", True, True),
        ("shop.error.log", True, True),
        ("shop-error.log", True, True),
        ("shop_error.log.2.gz", True, True),
        ("terror.log", True, False),
    ],
)
def test_access_logs_are_followed_and_error_logs_never(name: str, is_live: bool, is_copy: bool) -> None:
    rule = observer.paths()
    assert rule.is_copy(name) == is_copy
    if not is_copy:
        assert rule.is_live(name) == is_live
