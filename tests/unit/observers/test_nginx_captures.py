"""Real lines of nginx in all formats, against the captured table, plain json and what the client measured."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.nginx.observer import NginxObserver
from tests.support.places import CAPTURES

FOLDER = CAPTURES / "nginx"
MS, SECOND = 10**6, 10**9
FORMATS = ("otel", "wide", "timed", "ingress")
NOT_REQUESTS = {59, 60, 61, 63, 64, 65, 68}
"""Garbage, TLS on a plain port, invalid headers and a timeout of the header: 400 or 408 without an upstream."""
WEBSOCKET = 53

observer = NginxObserver(ObserverContext())


def lines_of(name: str) -> list[bytes]:
    return (FOLDER / f"{name}.log").read_bytes().split(b"\n")[:-1]


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / f"{name}.log.expected.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def answers(name: str) -> list[Observed]:
    return [observer.observe(raw) for raw in lines_of(name)]


def parts(sample: Sample) -> str:
    return " ".join(
        f"{name}={round((ns or 0) / MS)}" for name, ns in zip(sample.shape.stages, sample.stage_ns, strict=True)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_line_of_a_capture_has_the_kind_that_was_counted(name: str) -> None:
    found = answers(name)
    assert Counter(type(answer).__name__ for answer in found) == {"Sample": 91, "Ignored": 8}
    ignored = {number for number, answer in enumerate(found, 1) if isinstance(answer, Ignored)}
    assert ignored == {*NOT_REQUESTS, WEBSOCKET}


@pytest.mark.parametrize("name", FORMATS)
def test_the_breaches_of_a_capture_are_those_of_its_table(name: str) -> None:
    rows = rows_of(name)
    breaches = [
        (number, answer)
        for number, answer in enumerate(answers(name), 1)
        if isinstance(answer, Sample) and answer.duration_ns >= 500 * MS
    ]
    assert (len(breaches), sum(answer.duration_ns >= 2000 * MS for _, answer in breaches)) == (33, 6)
    assert [
        (number, answer.time_ns, answer.logged_ns, answer.duration_ns, answer.cause, parts(answer))
        for number, answer in breaches
    ] == [
        (
            int(row["line"]),
            int(Decimal(row["end_unix_s"]) * SECOND),
            int(Decimal(row["end_unix_s"]) * SECOND),
            int(Decimal(row["logged_ms"]) * MS),
            row["cause"],
            row["parts_ms"],
        )
        for row in rows
    ]


def test_each_line_reads_as_plain_json_does() -> None:
    for raw, answer in zip(lines_of("otel"), answers("otel"), strict=True):
        fields = json.loads(raw)
        status, proxied = fields["status"], fields["response_time"] != ""
        if status == "101" or (status in ("400", "408") and not proxied):
            assert answer == Ignored()
            continue
        assert isinstance(answer, Sample)
        expected = expected_parts(fields) if proxied else {"client": exact(fields["request_time"])}
        assert answer.time_ns == answer.logged_ns == exact(fields["msec"])
        assert answer.duration_ns == exact(fields["request_time"])
        actual = dict(zip(answer.shape.stages, answer.stage_ns, strict=True))
        assert {name: ns for name, ns in actual.items() if ns is not None} == expected
        order = ("wait", "body", "connect", "retry", "client")
        assert answer.stage == max((name for name in order if name in expected), key=lambda name: expected[name])
        assert answer.cause == {"wait": "upstream"}.get(answer.stage, answer.stage)


def exact(seconds: str) -> int:
    return int(Decimal(seconds) * SECOND)


def expected_parts(fields: dict[str, str]) -> dict[str, int]:
    """The formula, one attempt at a time, with other means than the observer."""
    times = [re.split(r", | : ", fields[f"{name}_time"]) for name in ("connect", "header", "response")]
    *earlier, (connect, header, response) = zip(*times, strict=True)
    took = exact(response)
    if connect == "-":
        found = {"connect": took, "wait": 0, "body": 0}
    else:
        answered = took if header == "-" else exact(header)
        found = {"connect": exact(connect), "wait": answered - exact(connect), "body": took - answered}
    retry = sum(exact(attempt[2]) for attempt in earlier)
    return {**found, "retry": retry, "client": max(0, exact(fields["request_time"]) - retry - took)}


def test_all_formats_agree() -> None:
    for exact, wide, timed, ingress in zip(*map(answers, FORMATS), strict=True):
        assert wide == exact
        if isinstance(exact, Ignored):
            assert (timed, ingress) == (exact, exact)
            continue
        assert isinstance(exact, Sample) and isinstance(timed, Sample) and isinstance(ingress, Sample)
        assert timed.duration_ns == ingress.duration_ns == exact.duration_ns
        assert timed.time_ns == ingress.time_ns == exact.time_ns // SECOND * SECOND
        assert (timed.cause, timed.stage_ns) == (exact.cause, exact.stage_ns)
        joined = {"connect": "upstream", "body": "upstream"}.get(exact.cause, exact.cause)
        assert ingress.cause == joined


def test_the_client_measured_the_same_durations() -> None:
    far = {
        "big response, fast reader",  # the kernel's buffers hold the rest of 8 MiB
        "big response, slow reader",
        "no buffering, big response, slow reader",
        "client abort ignored by config",  # logged when the upstream ended
    }
    offs_ms = {
        row["what"]: abs(float(row["client_ms"]) - float(row["logged_ms"]))
        for row in rows_of("otel")
        if row["client_ms"]
    }
    assert {what for what, off_ms in offs_ms.items() if off_ms > 20} == far


def test_combined_holds_no_sample() -> None:
    assert set(map(type, answers("access"))) == {Ignored}


def test_a_line_with_bytes_that_are_not_utf8_is_a_sample() -> None:
    broken = [raw for raw in lines_of("wide") if not is_utf8(raw)]
    assert broken
    assert all(isinstance(observer.observe(raw), Sample) for raw in broken)


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_attributes_are_the_server_the_method_and_the_class_of_the_status() -> None:
    def attributes(name: str) -> Counter[Any]:
        return Counter(
            tuple(value for _, value in answer.shape.attributes)
            for answer in answers(name)
            if isinstance(answer, Sample)
        )

    otel, ingress = attributes("otel"), attributes("ingress")
    assert {values[2] for values in otel} == {"example.test", "limit.test"}
    assert {values[2] for values in ingress} == {"default-web-80", "default-static-80"}
    assert {values[1] for values in otel} == {"0xx", "2xx", "3xx", "4xx", "5xx"}
    assert attributes("timed").total() == otel.total() == ingress.total() == 91
    assert len(otel) < 15


def test_each_sample_of_a_format_has_one_of_two_lists_of_stages() -> None:
    found = {name: {answer.shape.stages for answer in answers(name) if isinstance(answer, Sample)} for name in FORMATS}
    assert found["otel"] == found["wide"] == found["timed"] == {("connect", "wait", "body", "retry", "client")}
    assert found["ingress"] == {("wait", "retry", "client")}


def test_the_traceparent_of_a_client_is_the_trace_of_its_sample() -> None:
    requests = [json.loads(row) for row in (FOLDER / "requests.jsonl").read_text().splitlines()]
    assert any("traceparent" in request["what"] for request in requests)
    traced = [answer.trace for answer in answers("otel") if isinstance(answer, Sample) and answer.trace]
    sent = re.findall(rb'"traceparent":"00-([0-9a-f]{32})-([0-9a-f]{16})-', (FOLDER / "otel.log").read_bytes())
    assert traced == [bytes.fromhex((trace + span).decode()) for trace, span in sent]
    assert traced


def test_the_zone_of_the_lines_moves_the_end() -> None:
    raw = lines_of("timed")[30]
    utc = observer.observe(raw)
    assert isinstance(utc, Sample)
    assert utc.time_ns == round(datetime.fromisoformat("2026-11-29T15:43:07+00:00").timestamp()) * SECOND
    for offset, hours in ((b"+0530", 5.5), (b"-0330", -3.5), (b"+1400", 14), (b"-1200", -12)):
        moved = observer.observe(raw.replace(b" +0000]", b" " + offset + b"]"))
        assert isinstance(moved, Sample)
        assert utc.time_ns - moved.time_ns == hours * 3600 * SECOND


def test_no_line_of_a_capture_is_rejected() -> None:
    assert not [answer for name in (*FORMATS, "access") for answer in answers(name) if isinstance(answer, Rejected)]
