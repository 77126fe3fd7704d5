"""Numbers and structures that only an attacker writes: rejected or drift, and never the end of the program."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.lines import T0, durations, line, lines
from tests.support.receiver import flags, receiving

NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "-1",
    "-0.001",
    "1e308",
    "1e309",
    "-1e308",
    "86400001",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "1" + "0" * 400,
    "1" * 100_000,
    "1e" + "9" * 1000,
    "true",
    '"20"',
    "[]",
    "{}",
)


def with_total(number: int, total: str) -> bytes:
    """A line whose total is this text."""
    return line(number).replace(
        f'"total_pre_upstream": {20 + number / 1000:.3f}'.encode(), b'"total_pre_upstream": ' + total.encode()
    )


def with_stage(number: int, value: str, name: str = "read_request_json") -> bytes:
    """A line with a stage of this value."""
    return line(number).replace(b'"read_request_json": null', f'"{name}": {value}'.encode())


def with_new_stage(number: int, value: str) -> bytes:
    """A line with a stage that has no name here."""
    return with_stage(number, value, "a_new_stage")


def test_numbers_that_can_not_be_true(tmp_path: Path) -> None:
    makers = (with_total, with_stage, with_new_stage)
    hostile = [make(1000 + number, text) for number, text in enumerate(NUMBERS) for make in makers]
    with receiving("http") as receiver, Daemon(tmp_path, *flags("http"), endpoint=receiver.endpoint) as daemon:
        for number, bad in enumerate(hostile):
            daemon.write(line(number), bad)
        daemon.once()
        assert daemon.samples() == durations(0, len(hostile))
        assert daemon.counter("drift") + sum(daemon.rejected().values()) == len(hostile)
        assert receiver.counted() == len(hostile)


def test_numbers_that_are_only_written_in_an_odd_way(tmp_path: Path) -> None:
    odd = {"1e-400": 0, "0." + "1" * 100_000: 111_111, "2.5E+1": 25_000_000, "-0.0": 0, "3": 3_000_000}
    with Daemon(tmp_path) as daemon:
        daemon.write(*(make(0, text) for text in odd for make in (with_total, with_stage, with_new_stage)))
        daemon.once()
        assert daemon.samples() == Counter(odd.values()) + Counter({20_000_000: 2 * len(odd)})


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_deep_and_giant_structures(tmp_path: Path, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    wide = json.dumps({f"stage_{n}": 1 for n in range(20_000)})
    long = json.dumps("a" * 900_000)
    hostile = [line(1000, more=f'"session_id": {deep}, '), with_stage(1001, deep), with_total(1002, deep)]
    hostile += [with_stage(1003, wide), line(1004, more=f'"{"k" * 900_000}": 1, '), with_stage(1005, long)]
    with Daemon(tmp_path) as daemon:
        for number, bad in enumerate(hostile):
            daemon.write(line(number), bad)
        daemon.write(line(len(hostile)))
        daemon.once()
        found = daemon.samples()
        assert durations(0, len(hostile) + 1) <= found
        assert found <= durations(0, len(hostile) + 1) + durations(1000, 1006)
        lost = 2 * len(hostile) + 1 - found.total()
        assert daemon.counter("drift") + sum(daemon.rejected().values()) == lost


def test_twenty_thousand_stages_open_no_series(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        new = json.dumps({f"stage_{n}": 1e-3 for n in range(20_000)})[1:-1]
        daemon.write(line(0).replace(b'"read_request_json": null', new.encode()))
        daemon.once()
        assert daemon.samples() == durations(0, 1)
        assert daemon.rows("SELECT count(*) FROM series") == [(3,)]  # the total, the wait, and `unknown`


def test_sums_beyond_what_the_store_can_hold_do_not_end_it(tmp_path: Path) -> None:
    """A hundred thousand forged lines of a day each, in one interval: more than 2**63 ns."""
    number = 110_000
    day = line(0, ms=86_399_000, at=T0)
    with receiving("http") as receiver:
        arguments = ["--otlp-protocol", "http/protobuf", "--export-interval", "1h"]
        with Daemon(tmp_path, *arguments, endpoint=receiver.endpoint) as daemon:
            daemon.write(day * number, lines(1, 3))
            daemon.once()
            daemon.write(lines(3, 5))
            daemon.once()
            assert daemon.samples().total() == number + 4
            assert receiver.counted() == number + 4
