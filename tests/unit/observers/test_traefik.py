"""traefik's lines: real ones against an independent reading, every trap, and what a client can send."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, ClassVar
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

from otel_logtail.daemon.config import read_config
from otel_logtail.errors import Drift, UsageError
from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.traefik import MEASURE, TRAEFIK
from otel_logtail.plugins import make_observer
from otel_logtail.testing.observer_contract import ObserverContract, json_escaped
from tests.support.captured import MS, SECOND, answers, check_breaches, kinds, read_expected, read_lines
from tests.support.places import ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
START_NS = 1_795_965_139_442_791_322  # 2026-11-29 15:12:19.442791322 UTC


def make(measure: str = "total", **context: Any) -> Observer:
    return make_observer("traefik", ObserverContext(options={MEASURE.name: measure}, **context))


observer = make()
JSON = read_lines("traefik", "access.log")
COMMON = read_lines("traefik", "clf.log")


def line(**changes: Any) -> bytes:
    """A JSON line of 250 ms, changed; None removes a key."""
    fields = {
        "ClientUsername": "-",
        "DownstreamStatus": 200,
        "Duration": 250_000_000,
        "OriginDuration": 249_000_000,
        "OriginStatus": 200,
        "Overhead": 1_000_000,
        "RequestMethod": "GET",
        "RequestPath": "/ok?n=1",
        "RouterName": "app@file",
        "ServiceName": "app@file",
        "StartUTC": "2026-11-29T15:12:19.442791322Z",
        "entryPointName": "web",
        **changes,
    }
    kept = {name: value for name, value in sorted(fields.items()) if value is not None}
    return json.dumps(kept, separators=(",", ":")).encode()


def text(
    took: str = "702ms",
    *,
    front: str = "10.0.0.7 - -",
    time: str = "29/Nov/2026:15:12:19 +0000",
    request: str = "GET /ok HTTP/1.1",
    status: str = "200",
    kept: str = '"-" "-"',
    end: str = '1 "app@file" "http://10.0.1.1:80"',
) -> bytes:
    """A line of the text format."""
    return f'{front} [{time}] "{request}" {status} 3 {kept} {end} {took}'.encode()


def sample(raw: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(raw)
    assert isinstance(observed, Sample), observed
    return observed


def stages(found: Sample) -> dict[str, int | None]:
    return dict(zip(found.shape.stages, found.stage_ns, strict=True))


# --- real captures ----------------------------------------------------------------------------------------------


def oracle(raw: bytes) -> tuple[int, int, str, dict[str, int | None]] | None:
    """The sample of a JSON line by plain json: (end, duration, cause, stages); None: ignored. Shares no code."""
    fields = json.loads(raw)
    if "DownstreamStatus" not in fields or fields["DownstreamStatus"] in (0, 101):
        return None
    whole, fraction = fields["StartUTC"].removesuffix("Z").split(".")
    started = datetime.strptime(whole + " +0000", "%Y-%m-%dT%H:%M:%S %z")
    total, origin, overhead = fields["Duration"], fields["OriginDuration"], fields["Overhead"]
    end = int(started.timestamp()) * SECOND + int(fraction.ljust(9, "0")) + total
    if "ServiceName" not in fields:
        return end, total, "overhead", {"origin": None, "overhead": overhead}
    if origin == 0 and fields["OriginStatus"] == 0:
        return end, total, "aborted", {"origin": None, "overhead": None}
    cause = "origin" if origin >= overhead else "overhead"
    return end, total, cause, {"origin": origin, "overhead": overhead}


def test_every_line_of_the_real_json_log_reads_as_plain_json_does() -> None:
    found = answers(observer, JSON)
    assert kinds(found) == {"sample": 69, "ignored": 1}
    for raw, answer in zip(JSON, found, strict=True):
        actual = None
        if isinstance(answer, Sample):
            actual = (answer.time_ns, answer.duration_ns, answer.cause, stages(answer))
            assert (answer.logged_ns, answer.stage, answer.trace) == (answer.time_ns, answer.cause, b"")
        assert actual == oracle(raw)
    check_breaches(found, read_expected("traefik", "access.log"))
    causes = [answer.cause for answer in found if isinstance(answer, Sample)]
    assert (causes.count("aborted"), causes.count("overhead")) == (
        2,
        9,
    )


def test_every_line_of_the_real_text_log_is_read() -> None:
    found = answers(observer, COMMON)
    assert kinds(found) == {"sample": 82, "ignored": 1}
    check_breaches(found, read_expected("traefik", "clf.log"))
    for raw, answer in zip(COMMON, found, strict=True):
        if isinstance(answer, Sample):
            ms = int(raw.rsplit(b" ", 1)[1].removesuffix(b"ms"))
            at = raw.index(b" +0000] ")
            started = datetime.strptime(raw[at - 20 : at].decode() + " +0000", "%d/%b/%Y:%H:%M:%S %z")
            assert (answer.duration_ns, answer.cause, answer.stage_ns) == (ms * MS, "request", ())
            assert answer.time_ns == answer.logged_ns == int(started.timestamp()) * SECOND + ms * MS
    (session,) = [raw for raw, answer in zip(COMMON, found, strict=True) if isinstance(answer, Ignored)]
    assert b"/ws/1" in session


def test_durations_agree_with_those_that_the_client_measured() -> None:
    """A factor of 1000 or a wrong unit would be far off. Readers that are slower than the proxy are left out."""
    for log, slack_ns in (("access.log", 5 * MS), ("clf.log", 5 * MS)):
        found = answers(observer, read_lines("traefik", log))
        for row in read_expected("traefik", log):
            answer = found[row.line - 1]
            assert isinstance(answer, Sample)
            if row.client_ns is not None and "reader" not in row.what:
                assert abs(answer.duration_ns - row.client_ns) <= slack_ns, row


def test_the_proxys_own_overhead_has_one_breach_and_none_of_broken_responses() -> None:
    found = answers(make("overhead"), JSON)
    assert kinds(found) == {"sample": 67, "ignored": 3}  # the session and two broken responses
    breaches = [answer for answer in found if isinstance(answer, Sample) and answer.duration_ns >= 500 * MS]
    assert [(found.duration_ns, found.cause, found.stage_ns) for found in breaches] == [(1_528_364_333, "overhead", ())]
    (total,) = [
        answer
        for answer in answers(observer, JSON)
        if isinstance(answer, Sample) and answer.cause == "overhead" and answer.duration_ns > SECOND
    ]
    assert breaches[0].time_ns == total.time_ns
    assert kinds(answers(make("overhead"), COMMON)) == {"ignored": 83}  # the text has no overhead


def test_traefiks_own_span_is_the_trace_of_a_sample() -> None:
    found = [sample(raw) for raw in read_lines("traefik", "access-tracing.log")]
    assert [(one.trace[:16].hex(), one.trace[16:].hex()) for one in found] == [
        (TRACE, "ca7d0cb54573d023"),
        ("d329d2898192b9ef71c6457ca5978eb1", "6ebbf684a56303a4"),
    ]
    assert found[0].duration_ns == 64_425_349


@pytest.mark.parametrize("log", ["access.log", "clf.log"])
@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati"])
def test_the_zone_of_the_machine_changes_nothing(log: str, zone: str) -> None:
    """Both formats are in UTC: an observer that read them as local time would fail here."""
    lines = read_lines("traefik", log)
    assert answers(make(timezone=ZoneInfo(zone)), lines) == answers(make(timezone=timezone.utc), lines)


# --- JSON -------------------------------------------------------------------------------------------------------


def test_a_line_gives_its_end_its_duration_and_its_parts() -> None:
    found = sample(line())
    assert (found.time_ns, found.duration_ns, found.logged_ns) == (START_NS + 250 * MS, 250 * MS, START_NS + 250 * MS)
    assert (found.cause, found.stage, stages(found)) == ("origin", "origin", {"origin": 249 * MS, "overhead": MS})
    assert found.shape.attributes == (
        ("http.request.method", "GET"),
        ("http.response.status_class", "2xx"),
        ("traefik.entry_point", "web"),
        ("traefik.router", "app@file"),
        ("traefik.service", "app@file"),
    )
    assert sample(line()).shape is found.shape


@pytest.mark.parametrize(
    ("start", "fraction_ns"),
    [("19Z", 0), ("19.4Z", 400 * MS), ("19.000000001Z", 1), ("19.44279Z", 442_790_000), ("19.999999999Z", SECOND - 1)],
)
def test_a_start_has_up_to_nine_decimals(start: str, fraction_ns: int) -> None:
    second_ns = START_NS // SECOND * SECOND
    assert sample(line(StartUTC=f"2026-11-29T15:12:{start}")).time_ns == second_ns + fraction_ns + 250 * MS


def test_equal_parts_are_the_origins() -> None:
    found = sample(line(OriginDuration=125 * MS, Overhead=125 * MS))
    assert found.cause == "origin"
    assert sample(line(OriginDuration=124 * MS, Overhead=126 * MS)).cause == "overhead"


def test_the_wait_for_an_upload_and_retries_are_overhead() -> None:
    found = sample(line(OriginDuration=1_552_816, Overhead=1_528_364_333, Duration=1_529_917_149, OriginStatus=0))
    assert (found.cause, found.stage_ns) == ("overhead", (1_552_816, 1_528_364_333))


def test_a_response_that_breaks_off_has_no_parts() -> None:
    broken = line(OriginDuration=0, OriginStatus=0, Overhead=250 * MS)
    found = sample(broken)
    assert (found.duration_ns, found.cause, found.stage_ns) == (250 * MS, "aborted", (None, None))
    assert make("overhead").observe(broken) == Ignored()


@pytest.mark.parametrize("status", [301, 401, 404, 429])
def test_without_a_service_traefik_answered_itself(status: int) -> None:
    raw = line(DownstreamStatus=status, ServiceName=None, OriginDuration=0, OriginStatus=0, Overhead=250 * MS)
    found = sample(raw)
    assert (found.cause, found.stage_ns) == ("overhead", (None, 250 * MS))
    assert sample(raw, make("overhead")).duration_ns == 250 * MS
    assert dict(found.shape.attributes).get("traefik.service") is None


@pytest.mark.parametrize(
    "local",
    [
        "2026-11-29T20:42:19.442791322+05:30",
        "2026-11-29T11:42:19.442791322-03:30",
        "2026-11-30T05:12:19.442791322+14:00",
        "2026-11-29T15:12:19.442791322Z",
    ],
)
def test_without_the_start_in_utc_the_local_one_counts(local: str) -> None:
    found = sample(line(StartUTC=None, StartLocal=local))
    assert found == sample(line())
    wrong = local.replace("2026", "1969")
    assert observer.observe(line(StartUTC=None, StartLocal=wrong)) == Rejected("time")
    assert sample(line(StartLocal=wrong)) == found


@pytest.mark.parametrize("local", ["", "2026-11-29T20:42:19+5:30", "2026-11-29 20:42", 5])
def test_a_local_start_of_another_form_is_drift(local: object) -> None:
    with pytest.raises(Drift, match="StartUTC"):
        observer.observe(line(StartUTC=None, StartLocal=local))


@pytest.mark.parametrize("name", ["Duration", "OriginDuration"])
def test_a_factor_of_1000_in_one_of_the_times_does_not_fit_the_others(name: str) -> None:
    value = json.loads(line())[name]
    for wrong in (value * 1000, value // 1000):
        assert observer.observe(line(**{name: wrong})) == Rejected("bounds")


def test_no_zone_is_a_day_from_utc() -> None:
    for local in ("2026-11-29T20:42:19+24:00", "2026-02-30T20:42:19+05:30"):
        assert observer.observe(line(StartUTC=None, StartLocal=local)) == Rejected("time")


def test_a_client_that_left_is_a_sample() -> None:
    found = sample(line(DownstreamStatus=499, OriginStatus=499))
    assert dict(found.shape.attributes)["http.response.status_class"] == "4xx"


@pytest.mark.parametrize(
    "changes",
    [
        {"DownstreamStatus": 0},
        {"DownstreamStatus": 101},
        {"DownstreamStatus": 0, "Duration": 90_000 * SECOND},
        {"DownstreamStatus": 200, "RequestMethod": "CONNECT"},
        {"DownstreamStatus": None},
        {"DownstreamStatus": None, "Duration": "48ms"},
        {"Duration": None},
    ],
)
def test_sessions_and_lines_without_a_request_are_ignored(changes: dict[str, Any]) -> None:
    assert observer.observe(line(**changes)) == Ignored()


def test_a_refused_connect_is_a_sample() -> None:
    assert sample(line(DownstreamStatus=405, RequestMethod="CONNECT")).duration_ns == 250 * MS


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"{",
        b'{"level":"info","msg":"Starting provider","time":"2026-11-29T15:12:18Z"}',
        b'{"level":"error","message":"\\"Duration\\":1","time":"2026-11-29T15:12:18Z"}',
        b"2026-11-29T15:12:18Z INF Starting provider *file.Provider",
        b'10.0.0.7 - - [29/Nov/2026:15:12:19 +0000] "GET /ok HTTP/1.1" 200 3 "-" "-"',
        b"10.0.0.7 - a name with a newline",
        b"took 12ms",
        b'it "took" "quite" 12ms',
    ],
)
def test_other_lines_are_ignored(raw: bytes) -> None:
    assert observer.observe(raw) == Ignored()


@pytest.mark.parametrize(
    "changes",
    [
        {"Duration": 250.5},
        {"Duration": "250ms"},
        {"Duration": True},
        {"StartUTC": None},
        {"StartUTC": ""},
        {"StartUTC": 1795965139},
        {"StartUTC": "2026-11-29T15:12:19.442791322+01:00"},
        {"StartUTC": "2026-11-29T15:12:19.4427913221Z"},
        {"StartUTC": "2026-11-29T15:12:19,442791322Z"},
        {"StartUTC": "2026-11-29T15:12:19.Z"},
        {"StartUTC": "29/Nov/2026:15:12:19 +0000"},
        {"DownstreamStatus": "200"},
        {"OriginDuration": "249ms"},
    ],
)
def test_a_field_of_another_form_is_drift(changes: dict[str, Any]) -> None:
    with pytest.raises(Drift) as caught:
        observer.observe(line(**changes))
    assert "otel-logtail observers show traefik" in (caught.value.hint or "")


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_json_that_is_cut_is_drift(cut: int) -> None:
    with pytest.raises(Drift, match="can't be read"):
        observer.observe(line()[:-cut])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Duration": -1}, "bounds"),
        ({"Duration": 86_400 * SECOND + 1}, "bounds"),
        ({"Duration": 10**30}, "bounds"),
        ({"OriginDuration": 250 * MS}, "bounds"),
        ({"OriginDuration": 10**12}, "bounds"),
        ({"OriginDuration": -1}, "bounds"),
        ({"Overhead": -1}, "bounds"),
        ({"OriginDuration": 10**12, "Overhead": None}, "bounds"),
        ({"StartUTC": "2026-02-30T15:12:19.4Z"}, "time"),
        ({"StartUTC": "2026-11-29T24:12:19.4Z"}, "time"),
        ({"StartUTC": "1969-11-29T15:12:19.4Z"}, "time"),
        ({"StartUTC": "9999-11-29T15:12:19.4Z"}, "time"),
    ],
)
def test_what_cannot_be_true_is_rejected(changes: dict[str, Any], why: str) -> None:
    assert observer.observe(line(**changes)) == Rejected(why)


def test_a_request_of_a_whole_day_is_a_sample() -> None:
    day_ns = 86_400 * SECOND
    assert sample(line(Duration=day_ns, OriginDuration=day_ns, Overhead=0)).duration_ns == day_ns


def test_a_line_behind_other_text_is_misplaced() -> None:
    assert observer.observe(b"traefik  | " + line()) == Rejected("misplaced")


def test_fields_that_the_configuration_drops_are_not_needed() -> None:
    only = sample(line(Overhead=None, RequestMethod=None, RouterName=None, entryPointName=None, RequestPath=None))
    assert (only.cause, only.stage_ns) == ("origin", (249 * MS, MS))
    assert dict(only.shape.attributes)["http.request.method"] == "_OTHER"
    assert sample(line(OriginDuration=None)).stage_ns == (249 * MS, MS)
    assert sample(line(ServiceName=None)).stage_ns == (249 * MS, MS)
    neither = line(OriginDuration=None, Overhead=None)
    assert (sample(neither).cause, sample(neither).stage_ns) == ("request", (None, None))
    assert make("overhead").observe(neither) == Ignored()


@pytest.mark.parametrize("method", ["get", "FROBNICATE1", "", "GET ", "\ufffd"])
def test_an_invented_method_is_other(method: str) -> None:
    assert dict(sample(line(RequestMethod=method)).shape.attributes)["http.request.method"] == "_OTHER"


def test_a_method_of_invalid_bytes_does_not_cause_drift() -> None:
    raw = line().replace(b'"GET"', b'"G\xffT"').replace(b"/ok", b"/\xff\xc0")
    assert dict(sample(raw).shape.attributes)["http.request.method"] == "_OTHER"


@pytest.mark.parametrize(
    ("kept", "trace"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE + SPAN),
        (f"00-{TRACE}-{SPAN}-01-x", ""),
        (f"01-{TRACE}-{SPAN}-01", ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f" 00-{TRACE}-{SPAN}-01", ""),
        ('"', ""),
        ("", ""),
    ],
)
def test_the_clients_trace_is_checked_strictly(kept: str, trace: str) -> None:
    assert sample(line(request_Traceparent=kept)).trace.hex() == trace


def test_traefiks_span_is_preferred_and_checked() -> None:
    parent = f"00-{'1' * 32}-{'2' * 16}-01"
    assert sample(line(request_Traceparent=parent, TraceId=TRACE, SpanId=SPAN)).trace.hex() == TRACE + SPAN
    assert sample(line(TraceId=TRACE)).trace == b""
    assert sample(line(TraceId=TRACE.upper(), SpanId=SPAN)).trace == b""
    assert sample(line(TraceId="", SpanId="")).trace == b""


# --- the text format ----------------------------------------------------------------------------------------------


def test_a_line_of_text_ends_at_its_second_and_its_duration() -> None:
    found = sample(text())
    assert (found.time_ns, found.duration_ns) == (1_795_965_139 * SECOND + 702 * MS, 702 * MS)
    assert (found.logged_ns, found.cause, found.stage, found.stage_ns) == (found.time_ns, "request", "request", ())
    # a client can write a whole line of this format, so no text of it names a series
    assert found.shape.attributes == (("http.request.method", "GET"), ("http.response.status_class", "2xx"))


def test_another_offset_is_heeded() -> None:
    assert sample(text(time="29/Nov/2026:11:42:19 -0330")) == sample(text())
    assert sample(text(time="29/Nov/2026:20:57:19 +0545")) == sample(text())


@pytest.mark.parametrize("front", ["10.0.0.7 - x [01/Jan/2020", "fe80::1 - us er", '- - a"b', "10.0.0.7, 10.0.0.8 - -"])
def test_the_name_of_a_user_may_hold_anything(front: str) -> None:
    assert sample(text(front=front)) == sample(text())


@pytest.mark.parametrize(
    "kept",
    [
        r'"-" "curl \"x\" 200"',
        '"https://a/" "-"',
        '"a\\" "b\\"',
        r'"-" "[29/Nov/2020:15:12:19 +0000] \"GET / HTTP/1.1\" 500 3 \"-\" \"-\" 1 \"r\" \"u\" 99999ms"',
        '"-" "\udcff"',
    ],
)
def test_kept_headers_may_hold_anything(kept: str) -> None:
    raw = text(kept="KEPT").replace(b"KEPT", kept.encode(errors="surrogateescape"))
    assert sample(raw) == sample(text())


@pytest.mark.parametrize("request_", ['GET /?a="b" HTTP/1.1', 'GET /a%20b?c d" HTTP/2.0', "GET /?q=\xff HTTP/1.1"])
def test_a_path_may_hold_quotes_spaces_and_any_bytes(request_: str) -> None:
    assert sample(text(request=request_)) == sample(text())


def test_the_status_is_not_a_clients() -> None:
    forged = text(request='GET /h?x HTTP/2.0" 0 3 "-" "-" 1 "r" "u" 5ms HTTP/2.0', status="502")
    assert dict(sample(forged).shape.attributes)["http.response.status_class"] == "5xx"


def test_sessions_of_the_text_format_are_ignored() -> None:
    for raw in (text(status="0"), text(status="101"), text(request="CONNECT a:443 HTTP/1.1")):
        assert observer.observe(raw) == Ignored()
    assert sample(text(request="CONNECT a:443 HTTP/1.1", status="501")).duration_ns == 702 * MS


def test_a_status_that_is_not_logged_gives_no_attribute() -> None:
    found = sample(text(status="-", request="- - -"))
    assert found.shape.attributes == (("http.request.method", "_OTHER"),)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (text("86400001ms"), "bounds"),
        (text("-1ms"), "bounds"),
        (text(time="30/Feb/2026:15:12:19 +0000"), "time"),
        (text(time="29/Foo/2026:15:12:19 +0000"), "time"),
        (text(time="01/Jan/1970:00:00:00 +1400"), "time"),
        (text(front="the rest of a broken line"), "misplaced"),
        # a user name that holds a whole line
        (text(front=text("99999ms", front="10.0.0.7 - x").decode()), "forged"),
    ],
)
def test_text_that_cannot_be_true_is_rejected(raw: bytes, why: str) -> None:
    assert observer.observe(raw) == Rejected(why)


def test_an_access_line_without_its_time_is_drift() -> None:
    for time in ("2026-11-29T15:12:19Z", "29/Nov/2026 15:12:19 +0000"):
        with pytest.raises(Drift, match="without a time"):
            observer.observe(text(time=time))


# --- the declaration --------------------------------------------------------------------------------------------


def test_live_names_are_access_logs() -> None:
    rule = observer.paths()
    assert rule.is_live("access.log")
    assert rule.is_live("access-web.log")
    for name in ("traefik.log", "access.log.1", "access.log-20261129.gz"):
        assert not rule.is_live(name)


def test_the_measure_is_an_option() -> None:
    with pytest.raises(UsageError, match="traefik-measure"):
        make("half")
    assert "format: json" in TRAEFIK.configuration()


def test_the_example_is_the_recommended_configuration() -> None:
    folder = ROOT / "examples" / "traefik"
    assert TRAEFIK.configuration() == (folder / "traefik.yml").read_text()
    (source,) = read_config(folder / "otel-logtail.toml", {}, "/root").sources
    assert source.observer == "traefik"


# --- any line -----------------------------------------------------------------------------------------------------

PATH = "/one?path=chosen"
NAME = "chosen-user"
AGENT = "chosen agent"


class TestJson(ObserverContract):
    true_lines: ClassVar = (
        line(RequestPath=PATH, ClientUsername=NAME, RequestMethod="FROBNICATE1", **{"request_User-Agent": AGENT}),
        line(RequestPath=PATH, OriginDuration=0, OriginStatus=0, Overhead=250 * MS),
        line(TraceId=TRACE, SpanId=SPAN, request_Traceparent="chosen-parent"),
        *JSON[:20],
    )
    other_lines: ClassVar = (
        line(DownstreamStatus=0),
        b'{"level":"info","msg":"Starting","time":"2026-11-29T15:12:18Z"}',
    )
    client_fields: ClassVar = (PATH.encode(), NAME.encode(), AGENT.encode(), b"FROBNICATE1", b"chosen-parent")

    def observer(self) -> Observer:
        return make()

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return json_escaped(text)


class TestOverhead(TestJson):
    true_lines: ClassVar = (TestJson.true_lines[0], TestJson.true_lines[2])
    number: ClassVar = 2000

    def observer(self) -> Observer:
        return make("overhead")


class TestText(ObserverContract):
    true_lines: ClassVar = (
        text(request=f"GET {PATH} HTTP/1.1"),
        text(front=f"10.0.0.7 - {NAME}"),
        text(kept=f'"-" "{AGENT}"'),
        *COMMON[:20],
    )
    other_lines: ClassVar = (text(status="0"), b"2026-11-29T15:12:18Z INF Starting provider *file.Provider")
    client_fields: ClassVar = (PATH.encode(), NAME.encode(), AGENT.encode())
    client_rejected: ClassVar = frozenset({"forged"})

    def observer(self) -> Observer:
        return make()

    def write(self, text: bytes, field: bytes) -> bytes | None:
        if field == NAME.encode():
            return text
        if field == PATH.encode():
            path, query, rest = text.partition(b"?")
            if any(byte < 0x20 or byte == 0x7F for byte in rest):
                return None
            return b"/" + quote(path).encode() + query + rest
        if any(byte < 0x20 or byte == 0x7F for byte in text):
            return None
        return text.strip().replace(b'"', b'\\"')
