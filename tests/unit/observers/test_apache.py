"""Apache's lines: times and their parts, forgeries, and what can't be true."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.apache import APACHE
from otel_logtail.observers.apache.observer import STAGES, ApacheObserver
from otel_logtail.testing import ObserverContract
from tests.support.places import CAPTURES

FOLDER = CAPTURES / "apache"
US, MS, SECOND = 10**3, 10**6, 10**9
START_NS = 1795966247 * SECOND  # 2026-11-29 15:30:47 UTC
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

observer = ApacheObserver(ObserverContext())


def line(
    tail: str = " 702330",
    *,
    vhost: str = "shop:80 ",
    user: str = "-",
    stamp: str = "29/Nov/2026:15:30:47 +0000",
    request: str = "GET /slow/700 HTTP/1.1",
    status: str = "200",
    agent: str = "driver/1.0",
    more: str = "",
) -> bytes:
    """A line that ends with ``%D``, but for what is named."""
    front = f'{vhost}127.0.0.1 - {user} [{stamp}] "{request}" {status} 146 "-" "{agent}"'
    return f"{front}{more}{tail}".encode("latin-1")


def full(duration_us: int = 702_330, first: str = "702280", end: str = "1795966248.202330", trace: str = "-") -> bytes:
    """A line of the recommended format."""
    return line(f" end={end} ttfb={first} {duration_us}", more=f' "{trace}"')


def sample(raw: bytes) -> Sample:
    observed = observer.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def lines_of(name: str) -> list[bytes]:
    return (FOLDER / name).read_bytes().split(b"\n")[:-1]


# --- one line -----------------------------------------------------------------------------------------------------


def test_a_line_gives_its_start_and_its_whole_time_in_microseconds() -> None:
    found = sample(line())
    assert found == Sample(
        time_ns=START_NS + 702_330 * US,
        duration_ns=702_330 * US,
        logged_ns=START_NS + 702_330 * US,
        cause="request",
        stage="request",
        shape=found.shape,
    )
    assert found.shape.stages == ()
    assert found.shape.attributes == (
        ("apache.vhost", "shop"),
        ("http.request.method", "GET"),
        ("http.response.status_class", "2xx"),
    )
    assert sample(line()).shape is found.shape


def test_the_recommended_format_has_the_exact_end_the_first_byte_and_the_trace() -> None:
    found = sample(full(trace=TRACEPARENT))
    end_ns = 1795966248_202_330 * US
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (end_ns, end_ns, 702_330 * US)
    assert (found.cause, found.stage, found.shape.stages) == ("wait", "wait", STAGES)
    assert found.stage_ns == (702_280 * US, 50 * US)
    assert found.trace == bytes.fromhex("0af7651916cd43dd8448eb211c80319cb7ad6b7169203331")
    assert dict(found.shape.attributes)["apache.vhost"] == "shop"


@pytest.mark.parametrize(
    ("duration_us", "first", "parts", "cause"),
    [
        (702_330, "702280", (702_280, 50), "wait"),
        (702_330, "8528", (8_528, 693_802), "send"),
        (702_330, "351165", (351_165, 351_165), "wait"),
        (702_330, "702331", (702_331, 0), "wait"),
        (702_330, "-", (702_330, 0), "wait"),
        (0, "0", (0, 0), "wait"),
    ],
)
def test_the_time_of_the_first_byte_splits_a_request(
    duration_us: int, first: str, parts: tuple[int, int], cause: str
) -> None:
    found = sample(line(f" ttfb={first} {duration_us}"))
    assert found.stage_ns == tuple(us * US for us in parts)
    assert (found.duration_ns, found.cause) == (duration_us * US, cause)


@pytest.mark.parametrize("trace", ["-", "x", TRACEPARENT.upper(), f"{TRACEPARENT} ", "00-" + "0" * 32 + "-1-01"])
def test_a_traceparent_that_is_not_valid_is_not_a_trace(trace: str) -> None:
    assert sample(full(trace=trace)).trace == b""


@pytest.mark.parametrize("word", ["rate=5", "x=", "keep=+"])
def test_other_named_words_do_no_harm(word: str) -> None:
    assert sample(line(f" {word} 702330")) == sample(line())


@pytest.mark.parametrize(
    ("start", "vhost"),
    [
        ("shop:80 ", "shop"),
        ("[2001:db8::1]:443 ", "[2001:db8::1]"),
        ("x" * 300 + ":80 ", None),
        ("", None),
        ("shop ", None),
    ],
)
def test_a_line_may_start_with_the_virtual_host(start: str, vhost: str | None) -> None:
    found = sample(line(vhost=start))
    assert dict(found.shape.attributes).get("apache.vhost") == vhost
    assert found.time_ns == sample(line()).time_ns


@pytest.mark.parametrize("client", ["::1", "2001:db8::1:80", "client.example", "10.0.0.1"])
@pytest.mark.parametrize("identity", ["-", "bob"])
def test_the_address_of_a_client_is_not_a_virtual_host(client: str, identity: str) -> None:
    found = sample(line(vhost="").replace(b"127.0.0.1 -", f"{client} {identity}".encode()))
    assert "apache.vhost" not in dict(found.shape.attributes)


@pytest.mark.parametrize(
    ("status", "kind"), [("206", "2xx"), ("304", "3xx"), ("499", "4xx"), ("503", "5xx"), ("-", "0xx")]
)
def test_any_status_is_a_sample_with_its_class(status: str, kind: str) -> None:
    assert dict(sample(line(status=status)).shape.attributes)["http.response.status_class"] == kind


@pytest.mark.parametrize(
    ("sent", "expected"), [("POST", "POST"), ("BREW", "_OTHER"), ("", "_OTHER"), ("get", "_OTHER")]
)
def test_only_known_methods_are_attributes(sent: str, expected: str) -> None:
    found = sample(line(request=f"{sent} / HTTP/1.1"))
    assert dict(found.shape.attributes)["http.request.method"] == expected


@pytest.mark.parametrize(
    ("stamp", "hours"),
    [
        ("29/Nov/2026:21:00:47 +0530", 0.0),
        ("29/Nov/2026:12:00:47 -0330", 0.0),
        ("30/Nov/2026:05:30:47 +1400", 0.0),
        ("29/Nov/2026:15:30:47 +0200", -2.0),
        ("29/Nov/2026:15:30:47 -0800", 8.0),
    ],
)
def test_the_offset_of_a_line_gives_its_time(stamp: str, hours: float) -> None:
    assert sample(line(stamp=stamp)).time_ns - sample(line()).time_ns == hours * 3600 * SECOND


def test_a_wrong_zone_does_not_fit_the_exact_end() -> None:
    assert observer.observe(full().replace(b"+0000", b"+0100")) == Rejected("time")
    assert datetime.fromisoformat("2026-11-29T15:30:47+00:00").timestamp() * SECOND == START_NS


# --- lines that are not samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"garbage",
        b'127.0.0.1 - - [29/Nov/2026:15:30:47 +0000] "GET / HTTP/1.1" 200 146',
        b'127.0.0.1 - - [29/Nov/2026:15:30:47 +0000] "GET / HTTP/1.1" 200 146 702330',
        b"[Sun Nov 29 15:30:47.123456 2026] [core:error] [pid 1] AH00124: 702330",
        line(""),
        line(" "),
        line(" 300 146"),
        line(" -"),
        line(" X"),
        line("", more=' "10.0.0.1"'),
        line(more=' "10.0.0.1" "a"'),
        *(line(status=status) for status in ("101", "400", "408")),
        *(line(request="CONNECT shop:443 HTTP/1.1", status=status) for status in ("200", "299")),
        line(" 99999999999999", status="101"),
    ],
)
def test_a_line_without_a_duration_or_without_a_request_is_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (line(" 86400000001"), "bounds"),
        (line(" -1"), "bounds"),
        (line(" ttfb=-1 702330"), "bounds"),
        (line(" ttfb=703331 702330"), "bounds"),
        (line(stamp="30/Feb/2026:15:30:47 +0000"), "time"),
        (line(stamp="29/Nov/2026:24:30:47 +0000"), "time"),
        (line(stamp="29/Nov/2026:15:30:47 +1500"), "time"),
        (line(stamp="01/Jan/1970:01:00:00 +0200"), "time"),
        (full(end="1795966247.700000"), "time"),
        (full(end="1795966248.800000"), "time"),
        (full(702_330 // 1000), "time"),
        (full(702_330 * 1000), "time"),
    ],
)
def test_a_line_that_cannot_be_true_is_rejected(raw: bytes, why: str) -> None:
    assert observer.observe(raw) == Rejected(why)


def test_a_day_is_the_longest_that_is_believed() -> None:
    assert sample(line(" 86400000000")).duration_ns == 86_400 * SECOND


@pytest.mark.parametrize(
    "raw",
    [
        line(" 0.702330"),
        line(" 702.330"),
        line(" 702ms"),
        line(" " + "9" * 30),
        line(" ttfb=x 702330"),
        line(" ttfb=0.7 702330"),
        full(end="1795966248"),
        full(end="1795966248.202"),
        full(end="x"),
        line(status="20"),
        line(status="2000"),
        line(status="x"),
        line(stamp="2026-11-29T15:30:47+00:00"),
        line(stamp="29/Nov/2026:15:30:47"),
        line(stamp="29/Nox/2026:15:30:47 +0000"),
    ],
)
def test_a_field_that_is_not_a_number_is_drift(raw: bytes) -> None:
    with pytest.raises(Drift) as error:
        observer.observe(raw)
    assert error.value.hint
    assert len(str(error.value)) < 300


def test_a_refused_connect_is_a_sample() -> None:
    found = sample(line(request="CONNECT shop:443 HTTP/1.1", status="405"))
    assert dict(found.shape.attributes)["http.request.method"] == "CONNECT"


# --- a client's bytes -----------------------------------------------------------------------------------------------

FORGED = [
    '" 99999999',
    '" 200 5 "-" "x" 99999999',
    '] "GET / HTTP/1.1" 200 5 "-" "x" 99999999',
    "\\",
    '\\"',
    '"' * 50,
    "\\" * 51,
    "\xff\n\t\x00",
    "end=1.000000 ttfb=5 1",
]


def escaped(text: bytes) -> bytes:
    """Escape as Apache's ``ap_escape_logitem`` does."""
    named = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x08: b"\\b", 0x0B: b"\\v"}
    return b"".join(
        named.get(byte, b"\\x%02x" % byte if byte < 0x20 or byte >= 0x7F else b"%c" % byte) for byte in text
    )


@pytest.mark.parametrize("text", FORGED)
def test_the_text_of_a_client_does_no_harm(text: str) -> None:
    written = escaped(text.encode("latin-1")).decode()
    expected = sample(line())
    assert sample(line(agent=written)) == expected
    assert sample(line(user=written)) == expected
    assert sample(line(request=f"GET /{written} HTTP/1.1")) == expected
    assert sample(line(request=f"GET /{written}")) == expected
    assert sample(full(trace=written)) == sample(full())


@pytest.mark.parametrize("user", ["alice", "a b", "[29/Nov/2020:00:00:00 +0000]", "x] [y", "[", "]"])
def test_the_name_of_a_user_does_not_move_the_time(user: str) -> None:
    assert sample(line(user=user)) == sample(line())


def test_an_empty_name_of_a_user_does_no_harm() -> None:
    assert sample(line(user='""')) == sample(line())
    raw = full(trace=TRACEPARENT)
    assert sample(raw.replace(b" - [", b' "" [')) == sample(raw)
    assert observer.observe(line("", user='""')) == Ignored()


def test_a_virtual_host_is_printable() -> None:
    assert "apache.vhost" not in dict(sample(bytes(3) + line()).shape.attributes)


# --- the plug-in ----------------------------------------------------------------------------------------------------


def test_it_recommends_a_format_whose_lines_it_reads() -> None:
    assert "end=%{end:sec}t.%{end:usec_frac}t ttfb=%^FB %D" in APACHE.configuration()
    assert "observers show apache" in APACHE.no_sample
    assert isinstance(APACHE.make(ObserverContext()), ApacheObserver)


@pytest.mark.parametrize(
    ("name", "is_live", "is_copy"),
    [
        ("access.log", True, False),
        ("other_vhosts_access.log", True, False),
        ("access_log", True, False),
        ("ssl_access_log", True, False),
        ("access.log.1", False, False),
        ("access_log-20261129", False, False),
        ("error.log", True, True),
        ("error.log.1", True, True),
        ("error_log", True, True),
        ("ssl_error_log-20261129", True, True),
    ],
)
def test_access_logs_are_followed_and_error_logs_never(name: str, is_live: bool, is_copy: bool) -> None:
    rule = observer.paths()
    assert rule.is_copy(name) == is_copy
    if not is_copy:
        assert rule.is_live(name) == is_live


class Contract(ObserverContract):
    def observer(self) -> Observer:
        return ApacheObserver(ObserverContext())

    def write(self, text: bytes, field: bytes) -> bytes | None:
        if field == b"GET":
            return text if re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text) else None  # Apache answers 400
        return escaped(text.partition(b":")[0] if field == b"alice" else text)


class TestCaptured(Contract):
    true_lines = tuple(raw.replace(b" - - [", b" - alice [") for raw in (lines_of("access.log")[n] for n in (30, 33)))
    other_lines = lines_of("access.log")
    client_fields = (b"GET", b"driver/1.0", b"/slow/700?n=31", b"alice")


class TestRecommended(Contract):
    number = 4_000
    true_lines = (full(trace="TRACE"), line(f" ttfb=8528 {702_330}"), line(vhost=""))
    other_lines = lines_of("json.log")
    client_fields = (b"GET", b"driver/1.0", b"TRACE", b"/slow/700")
