from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.engine import framing
from otel_logtail.engine.framing import AUTO, CRI, DOCKER, FRAMINGS, NONE, SYSLOG, Framing, Wrapped, may_be_wrapped
from otel_logtail.observer import Frame
from otel_logtail.testing.wrappers import cri, docker

MARKER = b'"msg":"handled request"'
NOON_NS = 1_795_953_600 * 10**9  # 2026-11-29T12:00:00Z
IST, NST = timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3, minutes=30))


def unwrap(line: bytes, mode: str = AUTO) -> Wrapped | None:
    wrapped = Framing(mode, MARKER).unwrap(line)
    assert wrapped is None or may_be_wrapped(line)
    return wrapped


def read(line: bytes, mode: str = AUTO) -> tuple[bytes, Frame]:
    wrapped = unwrap(line, mode)
    assert wrapped is not None
    return wrapped.text, wrapped.frame


@pytest.mark.parametrize(
    ("stamp", "after_ns", "zone"),
    [
        (b"2026-11-29T12:00:00.215217+00:00", 215_217_000, timezone.utc),
        (b"2026-11-29T12:00:00+00:00", 0, timezone.utc),
        (b"2026-11-29T12:00:00Z", 0, timezone.utc),
        (b"2026-11-29T12:00:00.5Z", 500_000_000, timezone.utc),
        (b"2026-11-29T17:30:00.123456789+05:30", 123_456_789, IST),
        (b"2026-11-29T08:30:00-03:30", 0, NST),
        (b"2026-11-28T23:00:00-13:00", 0, timezone(-timedelta(hours=13))),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "tag", [b"haproxy[3441]:", b"haproxy:", b"postfix/smtp[7]:", b"(systemd)[1]:"], ids=bytes.decode
)
def test_syslog_with_a_full_stamp_gives_its_time_and_zone(
    stamp: bytes, after_ns: int, zone: tzinfo, tag: bytes
) -> None:
    assert read(stamp + b" web-1.example.test " + tag + b" the line") == (b"the line", Frame(NOON_NS + after_ns, zone))


@pytest.mark.parametrize("stamp", [b"Nov 29 15:08:58", b"Nov  9 15:08:58", b"Feb 01 00:00:00"], ids=bytes.decode)
@pytest.mark.parametrize("tag", [b"haproxy[1205]:", b"haproxy:"], ids=bytes.decode)
def test_traditional_syslog_has_neither_a_year_nor_a_zone(stamp: bytes, tag: bytes) -> None:
    assert read(stamp + b" host " + tag + b" the line") == (b"the line", Frame(None, None))


def test_only_one_space_is_removed_and_a_message_may_be_empty() -> None:
    assert read(b"2026-11-29T12:00:00Z host prog[1]:  two")[0] == b" two"
    assert read(b"2026-11-29T12:00:00Z host prog[1]: ")[0] == b""
    assert read(b"2026-11-29T12:00:00Z host prog[1]:")[0] == b""


@pytest.mark.parametrize(
    ("line", "text", "time_ns"),
    [
        (b"<34>1 2026-11-29T12:00:00.003Z host su 12 ID47 - the line", b"the line", NOON_NS + 3_000_000),
        (b"<34>1 2026-11-29T12:00:00Z - - - - - \xef\xbb\xbfthe line", b"the line", NOON_NS),
        (b'<34>1 - host su - - [a@1 b="c\\"\\]d" e=""][f] the line', b"the line", None),
        (b"<34>1 2026-11-29T12:00:00Z host su 12 ID47 -", b"", NOON_NS),
        (b"<134>Nov 29 15:08:58 haproxy[8]: the line", b"the line", None),
        (b"<134>Nov 29 15:08:58 host haproxy[8]: the line", b"the line", None),
        (b"<134>2026-11-29T12:00:00Z haproxy: the line", b"the line", NOON_NS),
    ],
)
def test_syslog_as_it_is_on_a_socket(line: bytes, text: bytes, time_ns: int | None) -> None:
    found, frame = read(line)
    assert (found, frame.time_ns) == (text, time_ns)


@pytest.mark.parametrize(
    ("stamp", "after_ns"),
    [
        ("2026-11-29T12:00:00.123456789Z", 123_456_789),
        ("2026-11-29T12:00:00.120000001+00:00", 120_000_001),
        ("2026-11-29T12:00:00.12Z", 120_000_000),
        ("2026-11-29T12:00:00Z", 0),
        ("2026-11-29T17:30:00.1+05:30", 100_000_000),
    ],
)
def test_cri_gives_the_time_and_the_stream_but_not_the_zone_of_the_container(stamp: str, after_ns: int) -> None:
    frame = Frame(NOON_NS + after_ns, None)
    assert unwrap(cri(b"the line", time=stamp)) == Wrapped(b"the line", frame, b"stdout")
    assert unwrap(cri(b"the line", "stderr", "P", time=stamp)) == Wrapped(b"the line", frame, b"stderr", True)


def test_cri_with_more_tags_and_without_text() -> None:
    assert read(b"2026-11-29T12:00:00Z stdout F:x  the line")[0] == b" the line"
    assert read(b"2026-11-29T12:00:00Z stdout F ")[0] == b""
    assert read(b"2026-11-29T12:00:00Z stdout F")[0] == b""


@pytest.mark.parametrize(
    "text",
    [
        b"the line",
        b"",
        b'{"level":"info","msg":"handled request"}',
        b"tab\t, <b>&, back\\slash, \\n, \x1b[0m, \x7f",
        "Zürich 東京 \U0001f600 \u2028".encode(),
        b'","stream":"stderr","time":"2020-01-01T00:00:00Z"}',
        b'","stream":"stderr"',
    ],
    ids=repr,
)
@pytest.mark.parametrize("attrs", [{}, {"a": "b", "stream": "x", "t": '"time":"'}], ids=["plain", "attrs"])
def test_docker_gives_any_text(text: bytes, attrs: dict[str, str]) -> None:
    frame = Frame(NOON_NS + 123_456_789, None)
    assert unwrap(docker(text, attrs=attrs)) == Wrapped(text, frame, b"stdout")
    assert unwrap(docker(text, "stderr", part=True, attrs=attrs)) == Wrapped(text, frame, b"stderr", True)


def test_docker_text_in_bytes_that_are_not_utf_8_stays_as_it_is() -> None:
    line = b'{"log":"\xff\\u003c\xfe \\ud800\\n","stream":"stdout","time":"2026-11-29T12:00:00Z"}'
    assert read(line.replace(b" \\ud800", b""))[0] == b"\xff<\xfe"
    assert unwrap(line) is not None


def test_docker_line_that_ended_in_a_carriage_return() -> None:
    line = b'{"log":"the line\\r\\n","stream":"stdout","time":"2026-11-29T12:00:00Z"}'
    assert read(line)[0] == b"the line"


def test_docker_part_that_ends_in_a_backslash_and_an_n_is_a_part() -> None:
    wrapped = unwrap(docker(rb"C:\new\n", part=True))
    assert wrapped is not None
    assert (wrapped.text, wrapped.is_part) == (rb"C:\new\n", True)


OWN = [
    b"2026-11-23 18:16:10,123 - headroom.proxy - INFO - [hr_1795457770_000001] STAGE_TIMINGS {}",
    b'{"level":"info","ts":1795965099.3486629,"logger":"http.log.access.log0","msg":"handled request"}',
    b'{"ClientAddr":"127.0.0.1:57712","Duration":1}',
    b'{"msec":"1795966985.757","request_time":"0.009"}',
    b'{"end_ms":"1795966994715","TR":"0"}',
    b'{"timestamp":"2026-11-29 15:15:15.045 UTC","log":"x","stream":"stdout","time":"2026-11-29T12:00:00Z"}',
    b'{"log":"x","time":"2026-11-29T12:00:00Z","stream":"stdout"}',
    b'{"log":"two\\nlines\\n","stream":"stdout","time":"2026-11-29T12:00:00Z"}',
    b'{"log":"not \\q text\\n","stream":"stdout","time":"2026-11-29T12:00:00Z"}',
    b'{"log":"x\\n","stream":"stdout","time":"2026-11-29T12:00:00Z"} ',
    b'{"log":"x\\n","stream":"other","time":"2026-11-29T12:00:00Z"}',
    b"127.0.0.1:46554 [29/Nov/2026:15:11:14.735] web app/a1 0/0/0/0/0 200 80",
    b'127.0.0.1 - - [29/Nov/2026:15:43:05 +0000] "GET /ok?n=1 HTTP/1.1" 200 3 "-" "driver/1.0" rt=0.009',
    b'[2026-11-29T15:12:29.804Z] "GET /ok?n=0 HTTP/1.1" 200 - 0 3 1 0',
    b"[2026-11-29T15:28:14.451+0000][0.033s][info][gc] Using G1",
    b"2026-11-29 15:32:14,942 asyncio WARNING Executing <Task> took 0.702 seconds",
    b"2026-11-29T15:32:14+0000 asyncio WARNING: Executing <Task> took 0.702 seconds",
    b"2026-11-29T15:32:14Z asyncio WARNING: Executing <Task> took 0.702 seconds",
    b"2026-11-29T15:32:14.942Z WARNING asyncio: Executing <Task> took 0.702 seconds",
    b"2026-11-29T15:32:14Z INFO: server: took 5 ms",
    b"2026-11-29T15:32:14Z [info] server: took 5 ms",
    b"2026-11-29T15:32:14Z GET http://example.test",
    b"2026-11-29T15:32:14Z host prog[1] no colon",
    b"2026-11-29T15:32:14 host prog[1]: no zone",
    b"2026-11-29T15:32:14.Z host prog[1]: no fraction",
    b"2026-11-29T15:32:14Z stdout X no tag of CRI",
    b"2026-11-29T15:32:14Z stdin F no stream of CRI",
    b"Nov 29 15:08:58 ERROR server: took 5 ms",
    b"Nou 29 15:08:58 host prog[1]: no month",
    b"Nov 29 15:08 host prog[1]: no seconds",
    b"<34>2 2026-11-29T12:00:00Z host su 12 ID47 - another version",
    b"<34>",
    b"",
    b"{",
]


@pytest.mark.parametrize("line", OWN, ids=range(len(OWN)))
def test_a_line_of_a_programs_own_form_has_no_wrapper(line: bytes) -> None:
    assert unwrap(line) is None


def test_a_programs_stamp_is_a_prefix_of_syslog_only_on_request() -> None:
    line = b"2026-11-29T12:00:00Z INFO server: took 5 ms"
    assert unwrap(line) is None
    assert read(line, SYSLOG) == (b"took 5 ms", Frame(NOON_NS, timezone.utc))


@pytest.mark.parametrize("stamp", ["2026-13-29T12:00:00Z", "2026-11-29T25:00:00Z", "2026-11-29T12:00:00+99:00"])
def test_an_impossible_stamp_is_a_wrapper_without_a_time(stamp: str) -> None:
    assert read(cri(b"the line", time=stamp)) == (b"the line", Frame(None, None))


def test_syslog_within_a_container_is_removed_too_and_its_zone_counts() -> None:
    inner = b"2026-11-29T17:29:59+05:30 host haproxy[1]: the line"
    frame = Frame(NOON_NS - 10**9, IST)
    assert read(cri(inner)) == (b"the line", frame)
    assert read(docker(inner)) == (b"the line", frame)
    assert read(cri(b"<134>Nov 29 15:08:58 haproxy[8]: x")) == (b"x", Frame(NOON_NS + 123_456_789, None))
    assert read(cri(inner), CRI)[0] == inner
    assert read(cri(cri(b"x")))[0] == cri(b"x"), "one container only"


@pytest.mark.parametrize("mode", FRAMINGS)
def test_only_the_wrapper_that_was_requested_is_removed(mode: str) -> None:
    lines = {
        SYSLOG: b"2026-11-29T12:00:00Z host prog[1]: the line",
        CRI: cri(b"the line"),
        DOCKER: docker(b"the line"),
    }
    for kind, line in lines.items():
        wrapped = unwrap(line, mode)
        assert (wrapped is not None) == (mode in (AUTO, kind))
        assert wrapped is None or wrapped.text == b"the line"
    assert unwrap(OWN[1], mode) is None


@pytest.mark.parametrize(
    "marker", [MARKER, b'] Safepoint "', b"Executing <", b"STAGE_TIMINGS ", b"", b'"', "ü=".encode()]
)
def test_the_needle_is_in_each_form_of_a_line_with_the_marker(marker: bytes) -> None:
    line = b'x"' + marker + b"y"
    for mode in FRAMINGS:
        framing = Framing(mode, marker)
        assert framing.needle in line
        if mode in (AUTO, DOCKER):
            assert framing.needle in docker(line)
            assert framing.needle in cri(line)
    assert Framing(NONE, marker).needle == marker


@given(st.binary(max_size=60).filter(lambda text: b"\n" not in text), st.sampled_from(FRAMINGS))
def test_any_bytes_can_be_in_a_wrapper_or_have_none(text: bytes, mode: str) -> None:
    unwrap(text, mode)
    assert read(cri(text))[0].removesuffix(b"\r") in text
    for line in (b"2026-11-29T12:00:00Z stdout" + text, b'{"log":"' + text, b"<" + text, b"Nov 29 15:08:58 " + text):
        unwrap(line, mode)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r")))
def test_docker_gives_back_any_text(text: str) -> None:
    for line in (docker(text.encode()), docker(text.encode(), part=True)):
        wrapped = Framing(DOCKER, b"").unwrap(line)
        assert wrapped is not None
        assert wrapped.text == text.encode()
    assert json.loads(docker(text.encode()))["log"] == text + "\n"


@given(st.datetimes(datetime(1970, 1, 2), datetime(2250, 1, 1)), st.integers(-1439, 1439))
def test_each_stamp_is_read_as_the_standard_library_reads_it(local: datetime, minutes: int) -> None:
    time = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    frame = read(f"{time.isoformat(timespec='microseconds')} host prog: x".encode())[1]
    assert frame.time_ns == round((time - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(microseconds=1)) * 1000
    assert frame.zone == time.tzinfo


def test_the_faster_way_gives_the_same_as_the_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = ["2026-11-29T11:59:54", "2026-13-29T11:59:54", "2026-W48-7T11:59:54", "2026-11-29 11:59:54", "1"]
    fractions = ["", ".", ".2", ".215217", ".2152170001", ".21521700012", ".x", ",215"]
    zones = ["Z", "z", "", "-03:30", "+05:45", "+24:00", "+0545", "+05:4x"]
    names = ["host haproxy[12]:", "stdout F", "stdout F:", "info app:", "host warn:", "h:1 a[b:c]:", "h a[b", "h:"]
    texts = [" text", " ", "", "  text", " stdout F x"]
    lines = [
        f"{stamp}{fraction}{zone} {name}{text}".encode()
        for stamp, fraction, zone, name, text in product(stamps, fractions, zones, names, texts)
    ]
    named = [
        "Nov 29 11:59:54",
        "Nov  9 11:59:54",
        "Nov 9 11:59:54",
        "Foo 29 11:59:54",
        "Nov 49 11:59:54",
        "Nov 29 11:59",
    ]
    lines += [f"{stamp} {name}{text}".encode() for stamp, name, text in product(named, names, texts)]
    framing_ = Framing(AUTO, b"")
    found = [framing_.unwrap(line) for line in lines]
    monkeypatch.setattr(framing, "_usual", lambda line: None)
    assert found == [framing_.unwrap(line) for line in lines]
    assert sum(one is not None for one in found) > 500


def test_long_words_are_not_kept_in_memory() -> None:
    """A client can choose the second word of a line that only begins like one of syslog."""
    stamp, unwrap = b"2026-11-29T15:08:58Z ", Framing(AUTO, b"m").unwrap
    kept = framing._are_names.cache_info().currsize
    for number in range(3):
        word = b"%d" % number + b"a" * 1000
        assert unwrap(stamp + word + b" x m") is None
        for prefix in (stamp, b"Nov 29 15:08:58 "):
            wrapped = unwrap(prefix + word + b" prog[1]: m y")
            assert wrapped is not None
            assert wrapped.text == b"m y"
    assert framing._are_names.cache_info().currsize == kept
