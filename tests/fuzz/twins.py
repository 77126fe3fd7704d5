"""Targets for the functions in C: each has the result of its Python twin, and no fault that a sanitizer finds."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from otel_logtail import counts
from otel_logtail.engine import intervals, lines
from otel_logtail.model import Counts, Samples, Shape
from otel_logtail.store import blocks, rows, sparse
from tests.fuzz.corpus import lines_of
from tests.fuzz.target import Target

_BOUNDS = counts.bounds(500_000_000, 2_000_000_000)
_MARKERS = (b"", b"STAGE_TIMINGS", b'"', b"\0")
_SHAPE = Shape((), ())


def _same(function: Callable[..., Any], *arguments: Any) -> None:
    """Check that both twins return the same, or raise an error of the same type."""
    twin: Callable[..., Any] = getattr(function, "__wrapped__", function)
    assert _outcome(function, arguments) == _outcome(twin, arguments), function.__name__


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> object:
    try:
        return function(*arguments)
    except Exception as problem:  # noqa: BLE001 - which one it is, is compared
        return type(problem)


def _find_lines(data: bytes) -> None:
    if len(data) < 3:
        return
    marker, begin, buffer = _MARKERS[data[0] % len(_MARKERS)], data[1] % 4, data[2:] + b"\n"
    _same(lines.find_lines, buffer, marker, min(begin, len(buffer)), len(buffer), data[1] << 30)
    _same(lines.find_lines, bytearray(buffer), marker, 0, len(buffer), 0)


def _numbers(data: bytes) -> list[int]:
    """Return integers: each takes a byte for its size, and so many bytes."""
    found, at = [], 0
    while at < len(data):
        size = data[at] % 9
        found.append(int.from_bytes(data[at + 1 : at + 1 + size], "little", signed=bool(data[at] & 0x80)))
        at += 1 + size
    return found


def _count(data: bytes) -> None:
    numbers = _numbers(data)
    if not numbers:
        return
    absolute = [abs(number) for number in numbers]
    width = 1 + len(data) % 9
    table = [
        tuple(None if number % 5 == 0 else abs(number) for number in numbers[at : at + width])
        for at in range(0, len(numbers) - width + 1, width)
    ]
    _same(counts._count, absolute, _BOUNDS)
    _same(counts._count, absolute, ())
    _same(counts.extent, numbers)
    _same(counts.places_from, numbers, numbers[0])
    _same(counts._count_columns, table, 0, len(table), width, _BOUNDS)
    _same(counts._count_columns, table, len(table) // 2, len(table), width, _BOUNDS)
    _add_up(numbers)
    times = sorted(number % 2**63 for number in absolute[: len(table)])
    for before, most in ((2**62, 3), (times[0] + 1 if times else 0, len(table))):
        _same(intervals.find_runs, times, absolute[: len(table)], table, 1 + absolute[0] % 2**62, before, most)


def _add_up(numbers: list[int]) -> None:
    more = {index: number for index, number in enumerate(numbers) if number}
    in_c, in_python = {1: 2, 3: 2**62}, {1: 2, 3: 2**62}
    counts.add_to(in_c, more)
    getattr(counts.add_to, "__wrapped__", counts.add_to)(in_python, more)
    assert in_c == in_python


def _encode(data: bytes) -> None:
    numbers = _numbers(data)
    if not numbers:
        return
    stages = [tuple(None if number % 3 == 0 else number for number in numbers[: at % 9]) for at in range(len(numbers))]
    ones = [1] * len(numbers)
    first, first_ns = numbers[0] % 2**63, numbers[-1] % 2**63  # of a line in a file, so never of more bits
    _same(blocks._encode_samples, numbers, numbers[::-1], numbers, ones, stages, first, first_ns)
    _same(blocks._encode_samples, numbers, numbers[1:], numbers, ones, stages, 0, 0)


def _sum(data: bytes) -> None:
    """Damaged counts are never counted, and the sum in C is that of undamaged rows one by one."""
    explicit, _, exponential = data[8:].partition(b"|")
    head = struct.unpack("<bbbb", data[:4].ljust(4, b"\0"))
    row = (*head, explicit, exponential, 0)
    good = rows.counts_row(Counts(*counts._count([1, 10**9, 3 * 10**9], _BOUNDS)))
    table = [good, row, (*good[:4], good[4].encode(), good[5].encode(), good[6])]
    for some in (table, [row], [row, row], table[::2]):
        total, places = rows.whole_in_all(list(some), _BOUNDS)
        expected, expected_places = Counts(), []
        for place, one in enumerate(some):
            found, is_whole = rows.counts_or_mean(one, _BOUNDS)
            if is_whole:
                counts.add(expected, found)
                expected_places.append(place)
        assert places == expected_places, "C and Python differ in which row is damaged"
        assert total == expected, "C and Python differ in a sum"


def _count_texts(data: bytes) -> None:
    """Damaged rows of values are never counted, and the counts in C are those of undamaged rows one by one."""
    for texts in ([data], [b"[[1,2],[3]]", data], [data, data]):
        found, places = sparse.count_texts(list(texts), (_BOUNDS, ()))
        decoded = [sparse.decode_values(text) for text in texts]
        whole = [values for values in decoded if values is not None and len(values) == 2]
        assert places == [place for place, values in enumerate(decoded) if values is not None and len(values) == 2]
        expected = [
            counts.count([ns for one in column for ns in one], of)
            for column, of in zip(zip(*whole, strict=True), (_BOUNDS, ()), strict=False)
        ]
        assert found == expected, "C and Python differ in the counts of values"


def _decode(data: bytes) -> None:
    """Text of a damaged block, attributes and bounds raise the errors that their readers handle."""
    for decode in (lambda text: blocks.decode_block(1, 2, text), rows.decode_attributes):
        try:
            decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass


def _chunks() -> Iterator[bytes]:
    yield from (b"\1\0" + b"\n".join(lines_of("headroom", 4)), b"\0\1\0\0\xef\xbb\xbfa\r\nb\r\n\r\n\0", b"\2\0<a\n{\n")
    yield b"\0\0Nov 29 15:08:58 host a[1]: b\n2026-11-29T12:00:00Z stdout F a"


def _of_numbers() -> Iterator[bytes]:
    yield b"".join(b"\x08" + (2**power).to_bytes(8, "little") for power in range(0, 63, 3))
    yield b"".join(b"\x88" + (-(2**power)).to_bytes(8, "little", signed=True) for power in range(0, 63, 3))
    yield b"".join(b"\x08" + bound.to_bytes(8, "little") for bound in _BOUNDS)
    yield b"\x00\x01\x07\x02\x00\x01" * 9


def _of_counts() -> Iterator[bytes]:
    for values in ([1], [10**9, 2 * 10**9], [0, 0, 5 * 10**9]):
        row = rows.counts_row(Counts(*counts._count(values, _BOUNDS)))
        yield bytes((row[0], 1, 1, 1, 0, 0, 0, 0)) + f"{row[4]}|{row[5]}".encode()


def _of_values() -> Iterator[bytes]:
    yield from (b"[[1],[2]]", b"[[0,10000000000],[2,3,4]]", b"[[999999999999999999],[1]]", b"[[-1],[01]]", b"[[1],[]]")


def _of_blocks() -> Iterator[bytes]:
    samples = Samples([1, 9], [5, 6], [7, 8], [9, 9], ["a", "a"], ["b", "b"], [_SHAPE, _SHAPE], [(1, None), (None, 2)])
    yield blocks.encode_columns(samples, [1, 2], 1, 5).encode()
    yield rows.encode_attributes((("a", 1), ("b", "c"))).encode()


TARGETS = (
    Target("c-find-lines", _find_lines, _chunks, in_c=True),
    Target("c-count", _count, _of_numbers, in_c=True, longest=400),
    Target("c-encode", _encode, _of_numbers, in_c=True, longest=400),
    Target("c-sum", _sum, _of_counts, in_c=True),
    Target("c-values", _count_texts, _of_values, in_c=True),
    Target("rows", _decode, _of_blocks, most_bytes=400),
)
