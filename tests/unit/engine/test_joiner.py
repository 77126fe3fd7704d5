from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.engine.framing import AUTO, CRI, DOCKER, Framing
from otel_logtail.engine.joiner import LINE_BYTES, Joiner
from otel_logtail.engine.lines import Lines, read_lines
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.errors import StoreCorrupt
from otel_logtail.tail.lines import CHUNK_BYTES
from otel_logtail.testing import FakeObserver, fake_line
from otel_logtail.testing.wrappers import cri, docker
from tests.support.pieces import NOON, SECOND, THRESHOLDS

MARKER = b'"m":1'
Wrap = Callable[[bytes, str, bool], bytes]
Found = list[tuple[int, bytes]]


def in_cri(text: bytes, stream: str, part: bool) -> bytes:
    return cri(text, stream, "P" if part else "F")


def in_docker(text: bytes, stream: str, part: bool) -> bytes:
    return docker(text, stream, part=part)


WRAPS = pytest.mark.parametrize("wrap", [in_cri, in_docker], ids=["cri", "docker"])


def read(files: Sequence[Sequence[bytes]], pieces: int, mode: str = AUTO) -> tuple[list[Found], int]:
    """Read files in turn, ``pieces`` lines at once; returns the lines of each, and how many were too long."""
    parts, oversized, found = b"", 0, list[Found]()
    for lines in files:
        offset, here = 0, Found()
        for first in range(0, len(lines), pieces):
            data = b"".join(line + b"\n" for line in lines[first : first + pieces])
            joiner = Joiner(Framing(mode, MARKER), parts, is_new_file=offset == 0)
            read = read_lines(data, 0, len(data), offset, joiner)
            here += zip(read.offsets, read.texts, strict=True)
            parts, offset, oversized = joiner.parts, offset + len(data), oversized + joiner.oversized
        found.append(here)
    return found, oversized


def history(seed: int, wrap: Wrap) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """Return a log whose streams are cut into parts and mixed, and its lines: number of the first part, text."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    streams = []
    for stream in ("stdout", "stderr"):
        pieces: list[tuple[str, bytes, bool, int]] = []
        for number in range(chance.randrange(12)):
            text = b"%s %d %s %s" % (stream.encode(), number, MARKER if chance.random() < 0.7 else b"", b"x" * number)
            cuts = sorted(chance.sample(range(len(text) + 1), chance.choice([0, 0, 1, 3])))
            edges = list(zip([0, *cuts], [*cuts, len(text)], strict=True))
            pieces += [(stream, text[begin:end], at < len(edges) - 1, at) for at, (begin, end) in enumerate(edges)]
        streams.append(pieces)
    lines: list[bytes] = []
    whole: list[tuple[int, bytes]] = []
    begun: dict[str, tuple[int, bytes]] = {}
    while any(streams):
        stream, text, part, at = chance.choice([pieces for pieces in streams if pieces]).pop(0)
        if not at:
            begun[stream] = (len(lines), b"")
        begun[stream] = (begun[stream][0], begun[stream][1] + text)
        lines.append(wrap(text, stream, part))
        if not part and MARKER in begun[stream][1]:
            whole.append(begun[stream])
    return lines, whole


@WRAPS
@pytest.mark.parametrize("seed", range(40))
def test_parts_are_joined_however_the_log_is_cut_into_chunks(seed: int, wrap: Wrap) -> None:
    lines, whole = history(seed, wrap)
    starts = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    expected = sorted((starts[number], text) for number, text in whole)
    for pieces in (1, 2, 3, 5, len(lines) + 1):
        (found,), oversized = read([lines], pieces)
        assert (found if pieces > len(lines) else sorted(found)) == expected  # a chunk is in the order of offsets
        assert not oversized
        assert all(offset in starts for offset, _ in found)


@WRAPS
@pytest.mark.parametrize("seed", range(40))
def test_parts_are_joined_across_a_rotation(seed: int, wrap: Wrap) -> None:
    lines, whole = history(seed, wrap)
    for cut in range(len(lines) + 1):
        for pieces in (1, 4):
            found, _ = read([lines[:cut], lines[cut:]], pieces)
            assert sorted(text for each in found for _, text in each) == sorted(text for _, text in whole)
            offsets = [offset for offset, _ in found[1]]
            assert len(set(offsets)) == len(offsets)
            assert set(offsets) <= {sum(len(line) + 1 for line in lines[cut:end]) for end in range(cut, len(lines))}


def test_the_marker_may_be_in_any_part_and_across_two() -> None:
    for wrap in (in_cri, in_docker):
        for texts in ([MARKER, b"y"], [b"x", MARKER], [b"x" + MARKER[:3], MARKER[3:]], [b"x", MARKER[:1], MARKER[1:]]):
            lines = [wrap(text, "stdout", at < len(texts) - 1) for at, text in enumerate(texts)]
            for pieces in (1, 2, 3):
                assert read([lines], pieces) == ([[(0, b"".join(texts))]], 0)


def test_a_docker_part_that_ends_in_a_backslash_and_an_n_is_joined() -> None:
    lines = [docker(rb"C:\new\n", part=True), docker(MARKER)]
    for pieces in (1, 2):
        assert read([lines], pieces)[0] == [[(0, rb"C:\new\n" + MARKER)]]


def test_a_line_without_a_wrapper_between_parts_is_read_too() -> None:
    lines = [in_cri(b"a", "stdout", True), b"plain " + MARKER, in_cri(MARKER, "stdout", False)]
    (found,), _ = read([lines], 2)
    assert sorted(text for _, text in found) == [b"a" + MARKER, b"plain " + MARKER]


@WRAPS
def test_a_line_that_never_ends_is_counted_once_and_not_kept(wrap: Wrap) -> None:
    part = wrap(b"x" * 16_384, "stdout", True)
    other = wrap(MARKER, "stderr", False)
    parts = b""
    oversized = 0
    for number in range(200):
        data = part + b"\n" + other + b"\n"
        joiner = Joiner(Framing(AUTO, MARKER), parts)
        assert len(read_lines(data, 0, len(data), number * len(data), joiner).offsets) == 1
        parts = joiner.parts
        oversized += joiner.oversized
        assert len(parts) < LINE_BYTES + 1000
    assert oversized == 1
    assert len(parts) < 100
    end = wrap(MARKER, "stdout", False) + b"\n" + wrap(MARKER + b"2", "stdout", False) + b"\n"
    joiner = Joiner(Framing(AUTO, MARKER), parts)
    assert read_lines(end, 0, len(end), 0, joiner).texts == [MARKER + b"2"]
    assert not joiner.parts
    assert not joiner.oversized


def test_the_limit_of_a_line_is_that_of_the_tail() -> None:
    assert LINE_BYTES == CHUNK_BYTES


def test_many_tiny_parts_take_linear_time() -> None:
    lines = [in_cri(b"x", "stdout", True)] * 15_000 + [in_cri(MARKER, "stdout", False)]
    (found,), oversized = read([lines], len(lines))
    assert found == [(0, b"x" * 15_000 + MARKER)]
    assert not oversized


@WRAPS
def test_syslog_in_a_container_is_removed_from_the_joined_line(wrap: Wrap) -> None:
    text = b"<134>Nov 29 15:08:58 haproxy[8]: the line " + MARKER
    lines = [wrap(text[:10], "stdout", True), wrap(text[10:], "stdout", False)]
    assert read([lines], 1)[0] == [[(0, b"the line " + MARKER)]]


def test_only_the_requested_framing_joins() -> None:
    lines = [in_cri(b"a", "stdout", True), in_cri(MARKER, "stdout", False)]
    assert read([lines], 1, CRI)[0] == [[(0, b"a" + MARKER)]]
    for mode in (DOCKER, "none", "syslog"):
        assert read([lines], 1, mode)[0] == [[(len(lines[0]) + 1, lines[1])]]


def test_lines_without_a_wrapper_are_read_at_once_beside_a_line_that_never_ends() -> None:
    part, data = in_cri(b"a client wrote this", "stdout", True) + b"\n", (b"plain " + MARKER + b"\n") * 3
    joiner = Joiner(Framing(AUTO, MARKER))
    assert not read_lines(part, 0, len(part), 0, joiner).offsets
    found = read_lines(data, 0, len(data), len(part), joiner)
    assert found.frames is None
    assert len(found.texts) == 3
    assert joiner.is_waiting


def lines_of(data: bytes, mode: str = AUTO) -> Lines:
    return read_lines(data, 0, len(data), 0, Joiner(Framing(mode, MARKER)))


def test_lines_without_a_wrapper_are_passed_as_they_are() -> None:
    data = b"1 " + MARKER + b"\nno marker:1 \n2 " + MARKER + b"\r\n"
    assert lines_of(data) == Lines([0, 21], [b"1 " + MARKER, b"2 " + MARKER], [b"1 " + MARKER, b"2 " + MARKER])


def test_a_marker_in_the_wrapper_alone_does_not_count() -> None:
    data = docker(b"text", attrs={"m": "1"}) + b"\n"
    assert MARKER not in data
    assert not lines_of(docker(b"text m", attrs={"x": MARKER.decode()}) + b"\n").offsets


# --- samples ------------------------------------------------------------------------------------------------------


def scanned(data: bytes, source: str = "s") -> Scanned:
    return scan(FakeObserver(), data, 1000, source=source, thresholds=THRESHOLDS)


def wrapped(data: bytes, how: Callable[[bytes], bytes]) -> bytes:
    return b"".join(how(line) + b"\n" for line in data.splitlines())


DATA = b"".join(
    [
        fake_line(NOON, 1_000),
        fake_line(NOON + SECOND, 2 * SECOND),
        b"fake: ignore\n",
        b"fake: reject=bounds\n",
        b"fake: what is this\n",
        b"not ours\n",
        fake_line(NOON + 2 * SECOND, SECOND),
    ]
)


@pytest.mark.parametrize("how", [cri, docker, lambda line: b"Nov 29 15:08:58 host prog[1]: " + line])
def test_samples_and_counters_in_wrappers_are_those_of_the_lines(how: Callable[[bytes], bytes]) -> None:
    plain, found = scanned(DATA), scanned(wrapped(DATA, how))
    assert found.samples.time_ns == plain.samples.time_ns
    assert found.samples.duration_ns == plain.samples.duration_ns
    assert found.hits.severities == plain.hits.severities
    for name in ("samples", "ignored", "drift", "rejected", "oversized"):
        assert getattr(found.tally, name) == getattr(plain.tally, name), name


def test_a_breach_is_named_by_its_line_with_the_wrapper() -> None:
    slow = fake_line(NOON, 2 * SECOND)
    stamps = ("2026-11-29T12:00:01Z", "2026-11-29T12:00:02Z")
    uids = {scanned(wrapped(slow, partial(cri, time=stamp))).hits.uids[0] for stamp in stamps}
    assert len({*uids, scanned(slow).hits.uids[0]}) == 3


@given(st.lists(st.sampled_from([cri(b"a", tag="P"), cri(MARKER), docker(b"b", part=True), docker(MARKER)])))
def test_any_mixture_gives_the_same_however_it_is_cut(lines: list[bytes]) -> None:
    expected = sorted(read([lines], len(lines) + 1)[0][0])
    for pieces in (1, 2, 3):
        assert sorted(read([lines], pieces)[0][0]) == expected


def test_a_chunk_with_a_line_of_no_container_at_either_end_still_joins() -> None:
    part, last = cri(b"a", tag="P"), cri(MARKER)
    for lines in ([b"torn", part, last], [b"torn", part, b"torn", last], [part, b"torn", last, b"torn"]):
        for pieces in (1, 2):
            assert [text for _, text in read([lines], pieces)[0][0]] == [b"a" + MARKER]


@pytest.mark.parametrize("parts", [b"\xff", b"\x81\xa6stdout", b"\x81\xa6stdout\x94\x01\x02\x90" + b"\x91" * 100_000])
def test_unfinished_lines_that_are_damaged_are_one_error(parts: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="the unfinished lines of a file"):
        Joiner(Framing(AUTO, MARKER), parts)
