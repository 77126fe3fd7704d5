"""nginx's lines: lines that are not samples, that cannot be true or changed their format, and a client's bytes."""

from __future__ import annotations

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected, Sample
from tests.support.nginx_lines import SECOND, STAMP_NS, ingress, line, observer, sample, stages, timed

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
        line(method="CONNECT"),
        timed(request="CONNECT shop:443 HTTP/1.1"),
        ingress().replace(b'"GET /', b'"CONNECT shop:443'),
        *(line("0.310", "", "", "", status=status) for status in ("400", "408")),
        *(timed("0.310", "-", "-", "-", status=status) for status in ("400", "408")),
        *(ingress("0.310", "-", "-", "-", "-", status=status) for status in ("400", "408")),
        timed("0.310", "-", "-", "-", status="400", request=r"\x16\x03\x01"),
    ],
)
def test_a_line_without_times_or_without_a_request_is_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()


def test_a_refused_connect_is_a_sample() -> None:
    for raw in (line(method="CONNECT", status="405"), timed(request="CONNECT shop:443 HTTP/1.1", status="405")):
        assert dict(sample(raw).shape.attributes)["http.request.method"] == "CONNECT"


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
        (line("1.000", "-", "0.903", "0.900"), "bounds"),
        (line("99999999999.000"), "bounds"),
        (timed("99999999999.000"), "bounds"),
        (bytes(4) + line(), "misplaced"),
        (b'{"msec":"1795966'[1:] + line(), "misplaced"),
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
        'a"b"c',
    ],
)
def test_a_quote_of_a_client_in_a_text_format_is_rejected(agent: str) -> None:
    assert observer.observe(timed(agent=agent)) == Rejected("quotes")
    assert observer.observe(ingress(agent=agent)) == Rejected("quotes")


def test_a_quote_in_the_request_id_is_rejected() -> None:
    assert observer.observe(ingress(request_id='a"b"c')) == Rejected("quotes")


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
        'x","server":"evil',
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
