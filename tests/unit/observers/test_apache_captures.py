"""Real lines of Apache, against the captured table, another log of the same requests and what the client measured."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from decimal import Decimal

from otel_logtail.model import Ignored, Observed, Sample
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.apache.observer import ApacheObserver
from tests.support.places import CAPTURES

FOLDER = CAPTURES / "apache"
US, MS, SECOND = 10**3, 10**6, 10**9

observer = ApacheObserver(ObserverContext())


def lines_of(name: str) -> list[bytes]:
    return (FOLDER / name).read_bytes().split(b"\n")[:-1]


def answers(name: str = "access.log") -> list[Observed]:
    return [observer.observe(raw) for raw in lines_of(name)]


def rows() -> list[dict[str, str]]:
    with (FOLDER / "access.log.expected.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_every_line_of_a_capture_has_the_kind_that_was_counted() -> None:
    found = answers()
    assert Counter(type(answer).__name__ for answer in found) == {"Sample": 74, "Ignored": 5}
    assert {number for number, answer in enumerate(found, 1) if isinstance(answer, Ignored)} == {54, 55, 60, 62, 67}
    assert set(map(type, answers("json.log"))) == {Ignored}


def test_the_breaches_of_a_capture_are_those_of_its_table() -> None:
    found = [
        (number, round(answer.time_ns / MS), round(answer.duration_ns / US), answer.cause)
        for number, answer in enumerate(answers(), 1)
        if isinstance(answer, Sample) and answer.duration_ns >= 500 * MS
    ]
    assert len(found) == 23
    assert sum(duration_us >= 2_000_000 for _, _, duration_us, _ in found) == 2
    assert found == [
        (
            int(row["line"]),
            round(Decimal(row["end_unix_s"]) * 1000),
            round(Decimal(row["logged_ms"]) * 1000),
            row["cause"],
        )
        for row in rows()
    ]


def test_each_line_reads_as_another_log_of_the_same_requests_does() -> None:
    compared = 0
    for raw, answer in zip(lines_of("json.log"), answers(), strict=True):
        fields = dict(re.findall(rb'"(\w+)":"([^"]*)"', raw))
        if not isinstance(answer, Sample):
            assert fields[b"status"] in (b"101", b"400", b"408")
            continue
        assert answer.duration_ns == int(fields[b"duration_us"]) * US
        began_ns = int(fields[b"begin_ms"]) * MS
        assert answer.time_ns - answer.duration_ns == began_ns // SECOND * SECOND
        attributes = dict(answer.shape.attributes)
        assert attributes["apache.vhost"].encode() == fields[b"vhost"]  # type: ignore[union-attr]  # it is text
        assert attributes["http.response.status_class"] == f"{fields[b'status'].decode()[0]}xx"
        compared += 1
    assert compared == 74


def test_the_client_measured_the_same_durations() -> None:
    requests = {
        request["n"]: request for request in map(json.loads, (FOLDER / "requests.jsonl").read_text().splitlines())
    }
    assert len(requests) == 81
    far = {
        "big response, fast reader",  # the kernel's buffers hold the rest
        "big response, slow reader",
        "aborted by the client after 0.6 s of a 3 s wait",  # logged when the upstream's answer was due
        "aborted by the client after 0.6 s of a 3 s body",
    }
    offs_ms = {
        row["what"]: abs(float(row["client_ms"]) - float(row["logged_ms"])) for row in rows() if row["client_ms"]
    }
    assert {what for what, off_ms in offs_ms.items() if off_ms > 20} == far
