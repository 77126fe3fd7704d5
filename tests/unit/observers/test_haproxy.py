"""HAProxy's lines: real ones line by line, prefixes and zones, timers, forgeries, and what can't be true."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Frame, Observer, ObserverContext
from otel_logtail.observers.haproxy import HAPROXY
from otel_logtail.observers.haproxy.observer import HaproxyObserver
from otel_logtail.testing import ObserverContract
from tests.support.expected import BREACH_NS, feed, read_rows, row_of
from tests.support.places import CAPTURES, ROOT

FOLDER = CAPTURES / "haproxy"
MS, SECOND = 10**6, 10**9
UTC = timezone.utc
STAGES = ("request", "queue", "connect", "server", "data")

observer = HaproxyObserver(zone=UTC)
overhead = HaproxyObserver("overhead", UTC)


def lines_of(name: str) -> list[bytes]:
    return (FOLDER / name).read_bytes().split(b"\n")[:-1]


REAL = lines_of("raw.log")[76]  # one that waited in a queue
JSON = lines_of("json.log")[31]
START_NS = 1_795_965_105_230 * MS  # of REAL: 2026-11-29 15:11:45.230 UTC


def line(
    timers: str = "0/601/3/603/1207",
    *,
    stamp: str = "29/Nov/2026:15:11:45.230",
    front: str = "web queued/q1",
    status: int = 200,
    size: str = "82",
    captures: str = "{example.test|driver/1.0|} ",
    request: str = '"GET /q/slow/600?n=77 HTTP/1.1"',
) -> bytes:
    """A line of ``option httplog``, by default REAL."""
    numbers = f"{timers} {status} {size} - - ---- 3/3/2/0/0 0/1"
    return f"127.0.0.1:59408 [{stamp}] {front} {numbers} {captures}{request}".encode()


def sample(raw: bytes, reader: Observer = observer, frame: Frame | None = None) -> Sample:
    observed = reader.observe(raw) if frame is None else reader.observe_framed(raw, frame)
    assert isinstance(observed, Sample), observed
    return observed


def stages(found: Sample) -> dict[str, int | None]:
    return {
        name: None if value is None else value // MS
        for name, value in zip(found.shape.stages, found.stage_ns, strict=True)
    }


def framed(raw: bytes) -> tuple[bytes, Frame]:
    """Take Debian's prefix off, without the program's own means."""
    stamp, _, _, inner = raw.split(b" ", 3)
    moment = datetime.fromisoformat(stamp.decode())
    offset = moment.utcoffset()
    assert offset is not None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return inner, Frame(since // timedelta(microseconds=1) * 1000, timezone(offset))


# --- real captures ----------------------------------------------------------------------------------------------


def answers(name: str) -> Iterator[Observed]:
    for raw in lines_of(name):
        if name == "haproxy.log":
            yield observer.observe_framed(*framed(raw))
        elif name == "haproxy-traditional.log":
            yield observer.observe_framed(raw.split(b" ", 5)[5], Frame())
        else:
            yield observer.observe(raw)


@pytest.mark.parametrize(
    ("name", "samples", "ignored"),
    [("raw.log", 89, 11), ("haproxy.log", 89, 11), ("haproxy-traditional.log", 89, 11), ("json.log", 39, 3)],
)
def test_each_real_line_is_read_exactly(name: str, samples: int, ignored: int) -> None:
    found = list(answers(name))
    assert Counter(type(answer) for answer in found) == {Sample: samples, Ignored: ignored}
    slow = [
        row_of(number, answer, " ".join(f"{stage}={value or 0}" for stage, value in stages(answer).items()))
        for number, answer in enumerate(found, 1)
        if isinstance(answer, Sample) and answer.duration_ns >= BREACH_NS
    ]
    assert slow == read_rows(FOLDER / name)
    for answer in found:
        if isinstance(answer, Sample):
            assert answer.time_ns == answer.logged_ns
            assert answer.stage == answer.cause


def test_all_forms_of_a_line_are_the_same_sample() -> None:
    raw, prefixed, traditional = (list(answers(name)) for name in ("raw.log", "haproxy.log", "haproxy-traditional.log"))
    assert prefixed == traditional
    assert Counter(map(repr, raw)) == Counter(map(repr, prefixed))  # syslog changed their order


@pytest.mark.parametrize("name", ["haproxy.log", "haproxy-traditional.log"])
def test_a_prefix_that_was_not_removed_does_no_harm(name: str) -> None:
    reader = HaproxyObserver(zone=UTC if name.endswith("traditional.log") else ZoneInfo("Asia/Tokyo"))
    assert [reader.observe(raw) for raw in lines_of(name)] == list(answers(name))


@pytest.mark.parametrize("name", ["raw.log", "haproxy.log", "haproxy-traditional.log", "json.log"])
@pytest.mark.parametrize("framing", ["auto", "syslog", "none"])
def test_the_engine_finds_the_same_in_a_whole_log(name: str, framing: str) -> None:
    expected = list(answers(name))
    zone = ZoneInfo("Asia/Tokyo") if name in ("haproxy.log", "json.log") else UTC
    found, tally = feed(HaproxyObserver(zone=zone), (FOLDER / name).read_bytes(), framing)
    assert without_traces(list(found)) == without_traces(expected)
    assert (tally.ignored, tally.rejected, tally.drift) == (len(expected) - len(found), {}, 0)


def without_traces(found: list[Observed]) -> list[Sample]:
    """The samples as the engine keeps those that are not slow."""
    return [structs.replace(answer, trace=b"") for answer in found if isinstance(answer, Sample)]


def wrapped(raw: bytes, answer: Observed, form: str) -> bytes:
    """A line as a container runtime keeps it, written half a second after its end."""
    end_ns = answer.logged_ns if isinstance(answer, Sample) else START_NS
    moment = datetime.fromtimestamp((end_ns + SECOND // 2) / SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f789")
    if form == "docker":
        text = json.dumps(raw.decode() + "\n")
        return f'{{"log":{text},"stream":"stdout","time":"{moment}Z"}}\n'.encode()
    if form == "cut":
        return f"{moment}Z stdout P ".encode() + raw[:50] + f"\n{moment}Z stdout F ".encode() + raw[50:] + b"\n"
    return f"{moment}Z stdout F ".encode() + raw + b"\n"


@pytest.mark.parametrize("form", ["cri", "cut", "docker"])
@pytest.mark.parametrize("name", ["raw.log", "json.log"])
def test_a_container_adds_the_time_that_gives_the_zone(name: str, form: str) -> None:
    expected = list(answers(name))
    data = b"".join(wrapped(*pair, form) for pair in zip(lines_of(name), expected, strict=True))
    found, tally = feed(HaproxyObserver(zone=ZoneInfo("Asia/Tokyo")), data)
    assert without_traces(list(found)) == without_traces(expected)
    assert (tally.ignored, tally.rejected, tally.drift) == (len(expected) - len(found), {}, 0)


def test_a_line_is_read_to_its_last_part() -> None:
    found = sample(REAL)
    assert line() == REAL
    assert (found.time_ns, found.duration_ns) == (START_NS + 1207 * MS, 1207 * MS)
    assert stages(found) == {"request": 0, "queue": 601, "connect": 3, "server": 603, "data": 0}
    assert found.shape.attributes == (
        ("haproxy.backend", "queued"),
        ("haproxy.frontend", "web"),
        ("http.request.method", "GET"),
        ("http.response.status_class", "2xx"),
    )


def test_an_object_is_read_to_its_last_part() -> None:
    found = sample(JSON)
    assert (found.time_ns, found.duration_ns, found.cause) == (1_795_967_005_286 * MS, 1210 * MS, "server")
    assert stages(found) == {"request": 0, "queue": 600, "connect": 1, "server": 609, "data": 0}
    assert dict(found.shape.attributes) == {
        "haproxy.backend": "queued",
        "haproxy.frontend": "json",
        "http.request.method": "GET",
        "http.response.status_class": "2xx",
    }


# --- timers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timers", "cause", "parts"),
    [
        ("812/0/0/1/813", "request", (812, 0, 0, 1, 0)),
        ("0/0/0/0/1209", "data", (0, 0, 0, 0, 1209)),
        ("0/0/-1/-1/2002", "connect", (0, 0, 2002, None, None)),
        ("0/0/0/-1/1001", "server", (0, 0, 0, 1001, None)),
        ("0/2001/-1/-1/2001", "queue", (0, 2001, 0, None, None)),
        ("0/-1/-1/-1/7", "queue", (0, 7, None, None, None)),
        ("3/-1/-1/-1/4", "request", (3, 1, None, None, None)),
        ("0/1500/-1/-1/2001", "queue", (0, 1500, 501, None, None)),
        ("0/0/0/-1/0", "server", (0, 0, 0, 0, None)),
        ("5/5/5/5/25", "server", (5, 5, 5, 5, 5)),  # of equal parts, the first in this order
        ("5/5/5/0/20", "queue", (5, 5, 5, 0, 5)),
        ("5/0/5/0/15", "connect", (5, 0, 5, 0, 5)),
        ("5/0/0/0/10", "request", (5, 0, 0, 0, 5)),
        ("0/0/0/0/0", "server", (0, 0, 0, 0, 0)),
        ("0/0/0/701/+701", "server", (0, 0, 0, 701, None)),  # option logasap
        ("0/0/0/0/+0", "server", (0, 0, 0, 0, None)),
        ("0/0/0/1001/1000", "server", (0, 0, 0, 1001, 0)),  # each is rounded
        ("86400000/0/0/0/86400000", "request", (86_400_000, 0, 0, 0, 0)),
    ],
)
def test_the_rest_belongs_to_the_first_stage_that_was_not_passed(
    timers: str, cause: str, parts: tuple[int | None, ...]
) -> None:
    found = sample(line(timers))
    total = int(timers.rpartition("/")[2])
    assert (found.duration_ns, found.time_ns) == (total * MS, START_NS + total * MS)
    assert (found.cause, tuple(stages(found).values())) == (cause, parts)


@pytest.mark.parametrize(
    ("timers", "took_ms", "cause"),
    [
        ("0/601/3/603/1207", 604, "queue"),
        ("812/0/0/1/813", 812, "request"),
        ("0/0/-1/-1/2002", 2002, "connect"),
        ("0/0/0/-1/1001", 0, "queue"),
        ("0/2001/-1/-1/2001", 2001, "queue"),
        ("5/5/5/5/25", 15, "queue"),
        ("5/0/5/0/15", 10, "connect"),
    ],
)
def test_overhead_is_the_time_before_the_server(timers: str, took_ms: int, cause: str) -> None:
    found, whole = sample(line(timers), overhead), sample(line(timers))
    assert (found.duration_ns, found.cause, found.time_ns) == (took_ms * MS, cause, whole.time_ns)
    assert found.shape.stages == STAGES[:3]
    assert found.stage_ns == whole.stage_ns[:3]


def test_overhead_of_an_object() -> None:
    found = sample(JSON, overhead)
    assert (found.duration_ns, found.cause) == (601 * MS, "queue")


@pytest.mark.parametrize(
    ("timers", "why"),
    [
        ("0/0/0/0/-1", "bounds"),
        ("0/0/0/-2/100", "bounds"),
        ("-5/0/0/0/100", "bounds"),
        ("0/0/0/0/86400001", "bounds"),
        ("0/0/0/9000/100", "bounds"),
        ("0/9000/-1/-1/100", "bounds"),
        ("0/0/0/0/999999999999", "bounds"),
    ],
)
def test_timers_that_cannot_be_true_are_rejected(timers: str, why: str) -> None:
    assert observer.observe(line(timers)) == Rejected(why)


@pytest.mark.parametrize(
    "stamp",
    [
        "31/Nov/2026:15:11:45.230",
        "29/Nov/2026:24:11:45.230",
        "29/Nix/2026:15:11:45.230",
        "29/Nov/1969:15:11:45.230",
        "29/Nov/2400:15:11:45.230",
        "00/Nov/2026:15:11:45.230",
    ],
)
def test_a_time_that_cannot_be_true_is_rejected(stamp: str) -> None:
    assert observer.observe(line(stamp=stamp)) == Rejected("time")


# --- other lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b'127.0.0.1:2 [29/Nov/2026:15:11:40.508] web web/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"',
        line("-1/-1/-1/-1/2000", status=408),
        line("0/-1/-1/-1/3", status=400, captures="", request='"<BADREQ>"'),
        line("0/0/0/0/2539", status=101),
        line("0/0/0/0/90000000", status=101),  # a session may last longer than a day
        line("0/0/0/1/60000", request='"CONNECT example.test:443 HTTP/1.1"'),
        line(front="stats stats/<STATS>"),
        line(front="web web/<PROMEX>"),
        b"127.0.0.1:59246 [29/Nov/2026:15:12:05.014] tcp tcpapp/t1 1/0/704 79 -- 1/1/0/0/0 0/0",
        b"127.0.0.1:59246 [29/Nov/2026:15:12:05.014] tcp tcpapp/<NOSRV> -1/-1/+0 0 PR 1/1/0/0/0 0/0",
        b"Connect from 127.0.0.1:59246 to 127.0.0.1:80 (web/HTTP)",
        b'Server app/a1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms.',
        b"Proxy web started.",
        b"127.0.0.1:59246 [29/Nov/2026:15:12:05.014] web/1: SSL handshake failure",
        b"127.0.0.1:59246 [29/Nov/2026:15:12:05.014] web~/1: Timeout during SSL handshake",
        b"127.0.0.1:59246 [29/Nov/2026:15:12:05.014] web~ 3/2 34/0A000416/0/0/0 example.test/TLSv1.3/TLS_AES_128",
        b"127.0.0.1:59246 [29/Nov/2026:15:12:05.014] web~ 3/2 31/00000000/0/0/0 -/-/-",
        line(front="<OCSP-UPDATE> -/-").replace(b"127.0.0.1:59408", b"-:-"),  # a request of HAProxy's own client
        b"Health check for server app/a1 failed, reason: Layer7 timeout, check duration: 2001ms, status: 0/2 DOWN.",
        b'127.0.0.1 - - [29/Nov/2026:15:09:09 +0000] "GET / HTTP/1.1" 200 82 "" "" 33 118 "web" "app" "a1" 0 0 0 0',
        b'{"status":"200","bytes":"82"}',
        b"",
        b"[NOTICE]   (1205) : New worker (1207) forked",
    ],
)
def test_lines_that_hold_no_request_are_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()
    assert observer.observe(b"2026-11-29T15:12:05+00:00 host haproxy[1205]: " + raw) == Ignored()


@pytest.mark.parametrize(
    ("raw", "status_class", "method"),
    [
        (line("0/0/0/-1/600", status=-1), "0xx", "GET"),  # the client gave up
        (line("0/0/0/1/1", status=407, request='"CONNECT example.test:443 HTTP/1.1"'), "4xx", "CONNECT"),
        (line(request='"FROBNICATE1 /ok HTTP/1.1"'), "2xx", "_OTHER"),
        (line(request='"get /ok HTTP/1.1"'), "2xx", "_OTHER"),
        (line(request='"GET /'), "2xx", "GET"),  # cut at 1024 bytes
        (line(request='"PO'), "2xx", "_OTHER"),
        (line(request=""), "2xx", "_OTHER"),
        (line(captures="{example.te", request=""), "2xx", "_OTHER"),
        (line(request='"DELETE /a b {|} HTTP/1.1"'), "2xx", "DELETE"),
        (line("0/-1/-1/-1/0", front="web web/<NOSRV>", status=302), "3xx", "GET"),
    ],
)
def test_a_request_keeps_its_class_of_status_and_a_known_method(raw: bytes, status_class: str, method: str) -> None:
    attributes = dict(sample(raw).shape.attributes)
    assert attributes["http.response.status_class"] == status_class
    assert attributes["http.request.method"] == method


def test_a_frontend_with_tls_has_the_same_name() -> None:
    assert sample(line(front="web~ queued/q1")) == sample(line())


@pytest.mark.parametrize("client", ["::1:59408", "2001:db8::1:4444", "unix:1", "10.0.0.1:0"])
def test_a_client_of_any_family_is_read(client: str) -> None:
    assert sample(line().replace(b"127.0.0.1:59408", client.encode())) == sample(line())


def test_bytes_and_retries_may_have_a_sign() -> None:
    assert sample(line(size="+58")) == sample(line())
    assert sample(line().replace(b"3/3/2/0/0", b"3/3/2/0/+1")) == sample(line())


@pytest.mark.parametrize(
    "raw",
    [
        line("0/601/3/603"),
        line("0/601/3/603/1207/9"),
        line("0/601/3/0.603/1207"),
        line("0/601/x/603/1207"),
        line("0/601/3/603/1207ms"),
        line("0/601/3/603/" + "9" * 30),
        line().replace(b" 200 82 ", b" OK 82 "),
        JSON[:-1],
        JSON.replace(b'"Ta":"1210"', b'"Ta":"1210ms"'),
        JSON.replace(b'"Ta":"1210"', b'"Ta":"1.21"'),
        JSON.replace(b'"Ta":"1210"', b'"Tt":"1210"'),
        JSON.replace(b'"Ta":"1210"', b'"Ta":"++1"'),
        JSON.replace(b'"1210"', b"null"),
        JSON.replace(b'"end_ms":"17', b'"end_ms":"x'),
        JSON.replace(b'"status":"200"', b'"status":""'),
        JSON.replace(b'"1210"', b'"\xd9\xa1"'),
        JSON.replace(b'"queued"', b'"\xff"'),
    ],
)
def test_other_timers_are_drift(raw: bytes) -> None:
    with pytest.raises(Drift) as error:
        observer.observe(raw)
    assert error.value.hint
    with pytest.raises(Drift):
        observer.observe(b"<134>Nov 29 15:11:46 haproxy[7]: " + raw)


def test_numbers_of_an_object_need_no_quotes() -> None:
    bare = JSON
    for value in (b"0", b"600", b"1", b"609", b"1210", b"200", b"1795967005286"):
        bare = bare.replace(b'"%s"' % value, value)
    assert b'"Ta":1210' in bare
    assert sample(bare) == sample(JSON)


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (b'"TR":"0"', b'"TR":"-1"', Ignored()),
        (b'"200"', b'"101"', Ignored()),
        (b'"GET"', b'"CONNECT"', Ignored()),
        (b'"1210"', b'"86400001"', Rejected("bounds")),
        (b'"1210"', b'"5"', Rejected("bounds")),
        (b"1795967005286", b"1795967005", Rejected("time")),  # in seconds
        (b"1795967005286", b"999999999999999", Rejected("time")),  # in microseconds, at least
        (b"1795967005286", b"-1795967005286", Rejected("time")),
    ],
)
def test_an_object_is_held_to_the_same_rules(old: bytes, new: bytes, answer: Observed) -> None:
    assert observer.observe(JSON.replace(old, new)) == answer


def test_an_object_that_was_written_early_has_no_data() -> None:
    found = sample(JSON.replace(b'"1210"', b'"+1210"'))
    assert (found.duration_ns, found.stage_ns[-1]) == (1210 * MS, None)


@pytest.mark.parametrize("cookie", ['SESS=a" b {x} "<BADREQ>"', 'SESS="CONNECT x', 'SESS= "GET / HTTP/1.1"'])
@pytest.mark.parametrize("more", ["", " 0/0000000000000000/0/0/0 -/TLSv1.3/TLS_AES_256_GCM_SHA384", " "])
def test_a_captured_cookie_which_is_not_escaped_hides_no_request(cookie: str, more: str) -> None:
    with_cookie = line(request='"PUT /ok HTTP/1.1"').replace(b" - - ----", f" {cookie} - ----".encode()) + more.encode()
    found, plain = sample(with_cookie), sample(line(request='"PUT /ok HTTP/1.1"'))
    assert (found.time_ns, found.stage_ns) == (plain.time_ns, plain.stage_ns)
    if not more:
        assert found == plain


def test_a_line_of_option_httpslog_is_read_too() -> None:
    more = b" 0/0000000000000000/0/0/0 example.test/TLSv1.3/TLS_AES_256_GCM_SHA384"
    assert sample(line(front="web~ queued/q1") + more) == sample(line())


# --- forgeries and traces ---------------------------------------------------------------------------------------

FORGED = "10.0.0.9:1 [29/Nov/2026:15:11:40.000] web app/a1 0/0/0/0/99999 200 0 - - ---- 1/1/0/0/0 0/0"


@pytest.mark.parametrize(
    "raw",
    [
        line(captures=f"{{{FORGED}|#22GET /x HTTP/1.1#22|}} "),
        line(captures="{[29/Nov/2026:15:11:40.000] 0/0/0/0/99999 200 0 - -} "),
        line(request=f'"GET /{FORGED}#22 HTTP/1.1"'),
        line(captures='{"end_ms":1,"Ta":"99999"} '),
        line(captures="{#7Ba|b#7D} {c} "),
        line(captures="{\\x22 %0a \\n #0A} "),
    ],
)
def test_a_line_is_read_from_the_left(raw: bytes) -> None:
    assert sample(raw) == sample(line())


def test_another_programs_line_is_never_a_request() -> None:
    for raw in (b"Invalid user " + line(), b"user:1 " + line(), b"{" + line(), b'"' + line(), b" " + line()):
        assert observer.observe(raw) == Ignored()


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7")


@pytest.mark.parametrize(
    ("captures", "trace"),
    [
        (f"{{example.test|driver/1.0|{PARENT}}} ", TRACE),
        (f"{{{PARENT}}} ", TRACE),
        (f"{{a|b}} {{{PARENT}}} ", TRACE),
        (f"{{{PARENT}|b}} {{c}} ", TRACE),
        (f"{{a|{PARENT}x}} ", b""),
        (f"{{a|x{PARENT}}} ", b""),
        (f"{{a|{PARENT[:-1]}}} ", b""),
        (f"{{a|{PARENT.upper()}}} ", b""),
        (f"{{a|{PARENT.replace('00-', 'ff-', 1)}}} ", b""),
        ("", b""),
    ],
)
def test_a_captured_traceparent_is_the_trace(captures: str, trace: bytes) -> None:
    assert sample(line(captures=captures)).trace == trace


def test_a_traceparent_in_the_path_is_not_captured() -> None:
    assert sample(line(captures="", request=f'"GET /{PARENT} HTTP/1.1"')).trace == b""


def test_the_captures_have_the_traces_that_were_sent() -> None:
    assert [sample(lines_of("raw.log")[number - 1]).trace for number in (31, 32, 33)] == [b"", TRACE, TRACE]
    assert [sample(lines_of("json.log")[number - 1]).trace for number in (20, 21)] == [b"", TRACE]


@pytest.mark.parametrize("value", [PARENT + "0", PARENT.upper(), "-", "", "x" * 55, '\\"' * 10])
def test_a_traceparent_of_an_object_is_checked(value: str) -> None:
    assert sample(JSON.replace(b'"traceparent":"-"', b'"traceparent":"%s"' % value.encode())).trace == b""


# --- zones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("Europe/Vienna", 1), ("America/St_Johns", -3.5), ("Asia/Kathmandu", 5.75), ("Pacific/Kiritimati", 14)],
)
def test_a_line_without_a_prefix_is_in_the_zone_that_was_given(zone: str, hours: float) -> None:
    found = sample(line(), HaproxyObserver(zone=ZoneInfo(zone)))
    assert found.time_ns == START_NS + 1207 * MS - int(hours * 3600) * SECOND


def test_an_object_is_in_utc_in_every_zone() -> None:
    elsewhere = HaproxyObserver(zone=ZoneInfo("Asia/Kathmandu"))
    assert sample(JSON, elsewhere) == sample(JSON)
    assert sample(JSON, elsewhere, Frame(0, timezone(timedelta(hours=-8)))) == sample(JSON)


def frame(late_ns: int, zone: tzinfo | None = UTC, offset_h: float = 0) -> Frame:
    """The stamp of a write so long after the end of REAL, if the clocks of REAL are this far ahead of UTC."""
    return Frame(START_NS + 1207 * MS - int(offset_h * 3600) * SECOND + late_ns, zone)


@pytest.mark.parametrize("hours", [-3.5, 0, 1, 5.75, 14])
def test_the_zone_of_a_prefix_is_the_zone_of_the_line(hours: float) -> None:
    found = sample(
        line(), HaproxyObserver(zone=ZoneInfo("Asia/Tokyo")), frame(0, timezone(timedelta(hours=hours)), hours)
    )
    assert found.time_ns == START_NS + 1207 * MS - int(hours * 3600) * SECOND


@pytest.mark.parametrize(
    ("late_ms", "believed"), [(-1010, False), (-1000, True), (-437, True), (0, True), (1000, True), (1010, False)]
)
@pytest.mark.parametrize("zone", [UTC, None])
def test_a_line_is_written_within_a_second_of_its_end(late_ms: int, believed: bool, zone: tzinfo | None) -> None:
    observed = observer.observe_framed(line(), frame(late_ms * MS, zone))
    assert observed == (sample(line()) if believed else Rejected("time"))


@pytest.mark.parametrize("hours", [-8, -0.25, 0.25, 1, 9])
def test_a_prefix_of_another_zone_than_the_line_is_rejected(hours: float) -> None:
    written = frame(0).time_ns
    assert written is not None
    wrong = Frame(written, timezone(timedelta(hours=hours)))
    assert observer.observe_framed(line(), wrong) == Rejected("time")


def test_a_duration_in_another_unit_contradicts_the_prefix() -> None:
    for timers in ("0/0/0/1/1", "0/601000/3000/603000/1207000"):
        assert observer.observe_framed(line(timers), frame(0)) == Rejected("time")


@pytest.mark.parametrize("hours", [-12, -3.5, 0, 5.75, 14])
def test_a_wrapper_without_a_zone_gives_it_by_its_time(hours: float) -> None:
    elsewhere = HaproxyObserver(zone=ZoneInfo("Asia/Tokyo"))
    found = sample(line(), elsewhere, frame(300 * MS, None, hours))
    assert found.time_ns == START_NS + 1207 * MS - int(hours * 3600) * SECOND


@pytest.mark.parametrize("hours", [-12.25, 14.25, 0.1])
def test_a_wrapper_of_a_zone_that_does_not_exist_is_rejected(hours: float) -> None:
    assert observer.observe_framed(line(), frame(0, None, hours)) == Rejected("time")


@pytest.mark.parametrize(
    ("prefix", "hours"),
    [
        ("2026-11-29T11:41:46.437217-03:30 host haproxy[1205]: ", -3.5),
        ("2026-11-29T11:41:46-03:30 host haproxy[1205]: ", -3.5),
        ("2026-11-29T15:11:46.437Z host haproxy[1205]: ", 0),
        ("<134>2026-11-29T20:56:46.437+05:45 host haproxy[1205]: ", 5.75),
    ],
)
def test_a_prefix_that_was_not_removed_gives_the_zone(prefix: str, hours: float) -> None:
    wall = datetime(2026, 11, 29, 15, 11, 45, 230_000) + timedelta(hours=hours)
    stamp = wall.strftime("%d/Nov/%Y:%H:%M:%S.") + f"{wall.microsecond // 1000:03}"
    raw = line(stamp=stamp)
    tokyo = HaproxyObserver(zone=ZoneInfo("Asia/Tokyo"))
    assert sample(prefix.encode() + raw, tokyo) == sample(line())
    assert tokyo.observe(
        prefix.replace("T11:4", "T12:4").replace("T15:1", "T16:1").replace("T20:5", "T21:5").encode() + raw
    ) == Rejected("time")


@pytest.mark.parametrize(
    "prefix",
    [
        b"<134>",
        b"<134>Nov 29 15:11:46 haproxy[7]: ",
        b"Nov  9 15:11:46 host haproxy[7]: ",
        b"haproxy[7]: ",
        b"2026-13-29T15:11:46Z host haproxy[7]: ",
        b"2026-11-29T15:11:46+99:00 host haproxy[7]: ",
    ],
)
def test_a_prefix_without_a_zone_leaves_it_to_the_option(prefix: bytes) -> None:
    assert sample(prefix + line()) == sample(line())


# --- the plug-in, and any line ----------------------------------------------------------------------------------


def test_the_option_decides_what_is_measured() -> None:
    for measure, took_ms in (("total", 1207), ("overhead", 604)):
        reader = HAPROXY.make(ObserverContext(options={"haproxy_measure": measure}, timezone=UTC))
        assert sample(REAL, reader).duration_ns == took_ms * MS
    assert sample(REAL, HAPROXY.make(ObserverContext(timezone=UTC))).duration_ns == 1207 * MS


def test_the_configuration_is_that_of_the_example() -> None:
    assert HAPROXY.configuration() == (ROOT / "examples" / "haproxy" / "haproxy.cfg").read_text()


def test_it_follows_the_file_of_the_syslog_daemon() -> None:
    rule = observer.paths()
    assert rule.patterns == ("/var/log/haproxy.log",)
    assert [rule.is_live(name) for name in ("haproxy.log", "haproxy.log.1")] == [True, False]


def escaped(text: bytes) -> bytes:
    """Escape as HAProxy does in captured headers."""
    return b"".join(
        b"#%02X" % byte if byte < 0x20 or byte >= 0x7F or byte in b'"#{|}' else b"%c" % byte for byte in text
    )


class TestHaproxy(ObserverContract):
    true_lines = (
        REAL,
        line("0/0/-1/-1/2008", captures="{host.test|agent/1.0} "),
        line("0/0/0/701/+701", captures="{host.test|agent/1.0} ", request='"GET /client/path HTTP/1.1"'),
        *lines_of("haproxy.log")[30:34],
        *lines_of("haproxy-traditional.log")[84:86],
        JSON,
        lines_of("json.log")[20],
    )
    mark_lines = (b"2026-11-29T15:11:14+00:00 box haproxy[9594]: [NOTICE]   (9594) : New worker (9597) forked",)
    other_lines = tuple(
        raw for name in ("raw.log", "haproxy.log") for raw in lines_of(name) if observer.observe(raw) == Ignored()
    )
    client_fields = (b"host.test", b"agent/1.0", b"/client/path")

    def observer(self) -> Observer:
        return HaproxyObserver(zone=UTC)

    def write(self, text: bytes, field: bytes) -> bytes | None:
        if field == b"/client/path":  # any other request is refused, and its path is not logged
            if any(byte <= 0x20 or byte >= 0x7F for byte in text):
                return None
            return text.replace(b'"', b"#22")[:500]
        return escaped(text)[:200]  # the length of the capture
