"""Starts in real logs: headroom, Java, PostgreSQL and HAProxy write one, and a client cannot."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from otel_logtail.engine.marks import MarkFinder
from otel_logtail.model import Mark
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.haproxy.observer import HaproxyObserver
from otel_logtail.observers.headroom.observer import HeadroomObserver
from otel_logtail.observers.jvm.observer import JvmObserver, PauseObserver
from otel_logtail.observers.postgresql.observer import PostgresqlObserver
from tests.support.places import CAPTURES

UTC = timezone.utc
HEADROOM = HeadroomObserver(ObserverContext(timezone=UTC))
HAPROXY = HaproxyObserver(zone=UTC)
POSTGRESQL = PostgresqlObserver(UTC)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) * 10**6


def marks_in(observer: Observer, data: bytes) -> tuple[Mark, ...]:
    found = MarkFinder(observer, "auto").find(data, 0, len(data), 0)
    assert (found.rejected, found.drift) == (0, 0)
    return found.marks


@pytest.mark.parametrize(
    ("name", "observer", "marks"),
    [
        ("0.42.0-mixed.log", HEADROOM, [Mark(at("2026-11-23T18:15:56.535"), "headroom 0.42.0 started")]),
        ("0.36.5-mixed-invalid.log", HEADROOM, [Mark(at("2026-11-23T18:21:25.953"), "headroom 0.36.5 started")]),
        ("0.42.0-stall.log", HEADROOM, []),
        ("jvm/g1-utctime.log", JvmObserver(), [Mark(at("2026-11-29T15:28:14.451"), "Java started (G1)")]),
        ("jvm/serial-time.log", PauseObserver(), [Mark(at("2026-11-29T15:27:22.501"), "Java started (Serial)")]),
        (
            "jvm/jdk25-zgc.log",
            JvmObserver(),
            [Mark(at("2026-11-29T15:34:36.542"), "Java started (The Z Garbage Collector)")],
        ),
        ("jvm/g1-uptime-only.log", JvmObserver(), []),
        ("postgresql/postgresql.json", POSTGRESQL, [Mark(at("2026-11-29T15:15:13.268"), "PostgreSQL 15.18 started")]),
        ("haproxy/haproxy.log", HAPROXY, []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_starts_in_real_logs_are_marks(name: str, observer: Observer, marks: list[Mark]) -> None:
    assert list(marks_in(observer, Path(CAPTURES, name).read_bytes())) == marks


WORKER = b"[NOTICE]   (9594) : New worker (9597) forked"


def test_haproxy_starts_and_reloads_in_the_journal_of_its_master() -> None:
    """As HAProxy 2.6 writes it to standard error, and systemd and rsyslog to haproxy.log."""
    data = b"2026-11-29T15:11:14.25+00:00 localhost haproxy[9594]: " + WORKER + b"\n"
    assert marks_in(HAPROXY, data) == (Mark(at("2026-11-29T15:11:14.250"), "HAProxy started or reloaded"),)
    for without_time in (WORKER, b"Nov 29 15:11:14 localhost haproxy[9594]: " + WORKER):
        assert marks_in(HAPROXY, without_time + b"\n") == ()


START = b"2026-11-23 18:15:56,535 - headroom.proxy - INFO - Headroom Proxy started (version 0.42.0)"


@pytest.mark.parametrize(
    "line",
    [
        START + b" and more",
        b"x" + START,
        START.replace(b"0.42.0", b"0.42.0; rm"),
        START.replace(b"0.42.0", b"1" * 61),
        START.replace(b"11-23", b"13-45"),
        START.replace(b"INFO", b"ERROR"),
    ],
)
def test_another_line_of_headroom_is_none(line: bytes) -> None:
    assert marks_in(HEADROOM, line + b"\n") == ()


def test_a_start_of_headroom_has_the_time_of_its_wrapper_or_of_its_zone() -> None:
    (mark,) = marks_in(HEADROOM, b"2026-11-23T16:15:57Z stdout F " + START + b"\n")
    assert mark.time_ns == at("2026-11-23T16:15:57")
    from zoneinfo import ZoneInfo

    vienna = HeadroomObserver(ObserverContext(timezone=ZoneInfo("Europe/Vienna")))
    (mark,) = marks_in(vienna, START + b"\n")
    assert mark.time_ns == at("2026-11-23T17:15:56.535")


RECORD = (
    b'{"timestamp":"2026-11-29 15:15:13.268 UTC","pid":1,"error_severity":"LOG",'
    b'"message":"starting PostgreSQL 15.18 on x86_64, 64-bit","backend_type":"postmaster","query_id":0}'
)


@pytest.mark.parametrize(
    "line",
    [
        RECORD.replace(b"postmaster", b"client backend"),
        RECORD.replace(b'"LOG"', b'"ERROR"'),
        RECORD.replace(b'"starting', b'"not starting'),
        RECORD.replace(b"15:15:13.268 UTC", b"25:15:13.268 UTC"),
        RECORD[:-1],
    ],
    ids=["RAISE LOG", "error", "other text", "impossible time", "cut"],
)
def test_no_user_of_postgresql_can_write_a_start(line: bytes) -> None:
    assert len(marks_in(POSTGRESQL, RECORD + b"\n")) == 1
    assert marks_in(POSTGRESQL, line + b"\n") == ()


def test_a_jvm_that_uses_something_else_has_not_started() -> None:
    line = b"[2026-11-29T15:28:14.451+0000][0.033s][info][gc] Using G1\n"
    assert len(marks_in(JvmObserver(), line)) == 1
    for other in (line.replace(b"G1", b"2 workers of 2"), b"x" + line, line.replace(b"+0000", b"+9900")):
        assert marks_in(JvmObserver(), other) == ()
