"""The C helpers return the same as their Python twins, and are optional."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_logtail import counts as arithmetic
from otel_logtail import native
from otel_logtail.engine import intervals
from otel_logtail.engine import lines as observe
from otel_logtail.engine.columns import columns_of
from otel_logtail.errors import Drift
from otel_logtail.model import Counts, Ignored, Rejected, Sample, Samples, Shape
from otel_logtail.observer import ObserverContext
from otel_logtail.observers.headroom import observer as headroom
from otel_logtail.observers.headroom import payload
from otel_logtail.store import blocks, rows, sparse
from tests.support.places import CAPTURES

LOGS = sorted(CAPTURES.glob("*.log"))
TIMINGS = [line for path in LOGS for line in path.read_bytes().split(b"\n") if b"STAGE_TIMINGS" in line]
BOUNDS = arithmetic.bounds(500_000_000, 2_000_000_000)
EDGES = sorted({*BOUNDS, *(b + 1 for b in BOUNDS), *(2**n for n in range(62)), *(2**n + 1 for n in range(62))})

NS = st.one_of(st.integers(0, 10**12), st.sampled_from([0, 1, *EDGES]), st.integers(0, 2**66))
MAYBE_NS = st.one_of(st.none(), NS)


@contextmanager
def in_python(*modules: ModuleType) -> Iterator[None]:
    """The functions of these modules without their twins in C."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            for name, function in list(vars(module).items()):
                if hasattr(function, "__wrapped__"):
                    patch.setattr(module, name, function.__wrapped__)
        yield


def test_the_helpers_are_built_wherever_there_is_a_compiler() -> None:
    if os.environ.get("OTEL_LOGTAIL_PURE_PYTHON"):
        assert (arithmetic._hot, headroom._bulk) == (None, None)
        return
    assert shutil.which("cc") is None or (arithmetic._hot is not None and headroom._bulk is not None)


def test_scale_is_the_same_in_both() -> None:
    if arithmetic._hot is not None:
        assert 1 << arithmetic.SCALE == arithmetic._hot.PER_OCTAVE


LINES = st.lists(
    st.sampled_from(
        [
            b"",
            b"M",
            b"xM",
            b"Mx",
            b"no",
            b"\r",
            b"M\r",
            b"\x00\x00M",
            b"\xef\xbb\xbfM",
            b"\x00\xef\xbb\xbf",
            b"MM",
            b"y" * 90,
            b"0123-56-89TM",
            b"0123456789UM",
            b"012345678:M",
            b"Nov 29 10:M",
            b"<M",
            b'{"log":"M',
            b'{"log"M',
        ]
    ),
    max_size=30,
)


@given(LINES, st.sampled_from([b"M", b"", b"xM", b"nowhere"]), st.integers(0, 40), st.binary(max_size=5))
def test_lines_that_are_found(lines: list[bytes], marker: bytes, begin: int, behind: bytes) -> None:
    text = b"#" * begin + b"".join(line + b"\n" for line in lines) + behind
    for buffer in (text, bytearray(text)):
        end = len(text) - len(behind)
        found = observe.find_lines(buffer, marker, begin, end, 7)
        with in_python(observe):
            assert found == observe.find_lines(buffer, marker, begin, end, 7)


@given(st.lists(NS, min_size=1, max_size=60), st.sampled_from([BOUNDS, (), (5,), tuple(range(1, 100))]))
def test_durations_that_are_counted(values: list[int], bounds: tuple[int, ...]) -> None:
    counted = arithmetic.count(values, bounds)
    with in_python(arithmetic):
        assert counted == arithmetic.count(values, bounds)


BUCKETS = st.dictionaries(st.integers(-5, 5), st.integers(1, 2**66), max_size=11)


@given(BUCKETS, BUCKETS)
def test_counts_that_are_added_up(one: dict[int, int], other: dict[int, int]) -> None:
    sums = []
    for patched in ((), (arithmetic,)):
        with in_python(*patched):
            into = Counts(1, 1, 1, 1, [1], dict(one))
            arithmetic.add(into, Counts(2, 2, 0, 2, [2], other))
            sums.append(into)
    assert sums[0] == sums[1]
    assert sums[0].exponential == dict(Counter(one) + Counter(other))


@given(
    st.integers(0, 4).flatmap(lambda width: st.lists(st.tuples(*[MAYBE_NS] * width), min_size=1, max_size=40)),
    st.data(),
)
def test_stages_that_are_counted(stage_rows: list[tuple[int | None, ...]], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(stage_rows) - 1))
    end = data.draw(st.integers(begin + 1, len(stage_rows)))
    counted = arithmetic.count_stages(stage_rows, begin, end, len(stage_rows[0]), BOUNDS)
    with in_python(arithmetic):
        assert counted == arithmetic.count_stages(stage_rows, begin, end, len(stage_rows[0]), BOUNDS)


@given(st.lists(st.one_of(NS, st.integers(-5, 5)), min_size=1, max_size=20), st.integers(-6, 2**62))
def test_extent_and_places(values: list[int], bound: int) -> None:
    found = arithmetic.extent(values), arithmetic.places_from(values, bound)
    rising = sorted(values)
    assert arithmetic.extent(rising) == (rising[0], rising[-1], True)
    with in_python(arithmetic):
        assert found == (arithmetic.extent(values), arithmetic.places_from(values, bound))
        assert arithmetic.extent(rising) == (rising[0], rising[-1], True)


@st.composite
def count_rows(draw: st.DrawFn) -> tuple[object, ...]:
    """The columns of counts, most of them as the store writes them."""
    counts = arithmetic.count(draw(st.lists(st.integers(0, 2**62), min_size=1, max_size=8)), BOUNDS[:3])
    row = list(rows.counts_row(counts))
    row[4:6] = [str(text).encode() for text in row[4:6]]
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, 6))
        odd: list[object] = [None, -1, 0, 1, 2**62, 2**63 - 1, "{}", b"{}", b"[]", b"[1]", b'{"0":1}', b'{"0":0}']
        odd += [b'{"99999":1}', b'{"1":4294967296}', b'{"1":1,"1":1}', b'{"":1}', b'{"1":}', b"[0,0,0,1", b"[0,0,0,-1]"]
        odd += [
            b'{"1": 1}',
            b'{"01":1}',
            b'{"-01":1}',
            b'{"-0":1}',
            b'{"1":01}',
            b"[00,0,0,1]",
            b"[-0,0,0,1]",
            b"\xff",
            b'{"1":1}x',
            b"[1e0,0,0,0]",
            1.5,
        ]
        row[place] = draw(st.sampled_from(odd))
    return tuple(row)


@given(st.lists(count_rows(), min_size=1, max_size=5))
@example([(2, 2, 1, 1, b"[2,0,0,0]", b'{"1":1,"1":1}', 0)])  # the same bucket twice: a decoder takes the last
def test_rows_of_counts_that_are_added_up(found: list[tuple[object, ...]]) -> None:
    summed, places = rows.whole_in_all(found, BOUNDS[:3])
    with in_python(rows, arithmetic):
        expected, expected_places = rows.whole_in_all(found, BOUNDS[:3])
    assert (rows.counts_row(summed), places) == (rows.counts_row(expected), expected_places)


@st.composite
def value_texts(draw: st.DrawFn) -> bytes | None:
    """The values of three series, most of them as the store writes them."""
    values = draw(st.lists(st.lists(st.integers(0, 2**61), min_size=1, max_size=4), min_size=3, max_size=3))
    if draw(st.integers(0, 5)):
        return msgspec.json.encode(values)
    odd = [b"", b"[", b"[]", b"[[1],[2]]", b"[[1],[2],[3],[4]]", b"[[1],[],[2]]", b"[[1],[2],[3]", b"[[1],[2],[3]]]"]
    odd += [b"[[-1],[2],[3]]", b"[[1], [2],[3]]", b"[[01],[2],[3]]", b"[[1],[2],[1.5]]", b"[[1],[2],3]", b"\xff"]
    odd += [b"[[999999999999999999],[4611686018427387904],[1]]", b"[[4611686018427387905],[1],[1]]", b"[[1,],[2],[3]]"]
    return draw(st.sampled_from([None, *odd]))


@given(st.lists(value_texts(), min_size=1, max_size=5))
def test_rows_of_values_that_are_counted(texts: list[bytes | None]) -> None:
    bounds = (BOUNDS, (), BOUNDS[:3])
    found, places = sparse.count_texts(texts, bounds)
    with in_python(sparse, arithmetic):
        expected, expected_places = sparse.count_texts(texts, bounds)
    assert (list(map(rows.counts_row, found)), places) == (list(map(rows.counts_row, expected)), expected_places)
    whole = [values for text in texts if (values := sparse.decode_values(text)) and len(values) == 3]
    for counts, column, of in zip(found, zip(*whole, strict=True), bounds, strict=bool(whole)):
        assert counts == arithmetic.count([ns for values in column for ns in values], of)


@given(
    st.integers(0, 4).flatmap(lambda width: st.lists(st.tuples(st.integers(0, 50), NS, *[MAYBE_NS] * width))),
    st.integers(1, 20),
    st.integers(0, 20),
    st.integers(0, 4),
)
def test_runs_of_samples(found: list[tuple[Any, ...]], length: int, before: int, most: int) -> None:
    found.sort(key=lambda row: row[0])
    times, durations, stages = ([row[0] for row in found], [row[1] for row in found], [row[2:] for row in found])
    runs = intervals.find_runs(times, durations, stages, length, before, most)
    with in_python(intervals):
        assert runs == intervals.find_runs(times, durations, stages, length, before, most)
    assert [(begin, end) for _, begin, end, _, _ in runs] == list(pairwise([0, *(run[2] for run in runs)]))
    for slot, begin, end, ran, text in runs:
        assert {time_ns // length for time_ns in times[begin:end]} == {slot}
        assert (text is not None) == (slot < before and end - begin <= most)
        if text is not None:
            columns = [durations[begin:end], *map(list, zip(*stages[begin:end], strict=True))]
            kept = [[ns for ns in column if ns is not None] for column in columns]
            assert msgspec.json.decode(text) == [column for column in kept if column]
            assert [bool(ran >> place & 1) for place in range(len(kept))] == list(map(bool, kept))


@given(st.lists(st.tuples(NS, NS, NS, NS, st.lists(MAYBE_NS, max_size=5).map(tuple)), min_size=1, max_size=40))
def test_text_of_a_block(found: list[tuple[int, int, int, int, tuple[int | None, ...]]]) -> None:
    found = [row for row in found if max(*row[:4], *(ns or 0 for ns in row[4]), 0) < 2**63] or [(1, 2, 3, 4, ())]
    offsets, times, durations, kinds, stages = (list(column) for column in zip(*found, strict=True))
    samples = Samples(offsets, times, durations, [], [], [], [Shape()], stages)
    text = blocks.encode_columns(samples, kinds, offsets[0], min(times))
    with in_python(rows):
        assert text == blocks.encode_columns(samples, kinds, offsets[0], min(times))
    back = blocks.decode_block(offsets[0], min(times), text)
    assert [sample[:4] for sample in back] == list(zip(offsets, times, durations, kinds, strict=True))
    for sample, stage_ns in zip(back, stages, strict=True):
        assert [*sample[4], *[None] * (len(stage_ns) - len(sample[4]))] == list(stage_ns)


OFTEN_GOOD = st.one_of(
    st.sampled_from(TIMINGS),
    st.tuples(st.sampled_from(TIMINGS), st.integers(0, 120), st.integers(0, 255)).map(
        lambda it: it[0][: it[1]] + bytes([it[2]]) + it[0][it[1] + 1 :]
    ),
)


def check_bulk(lines: list[bytes]) -> None:
    observer = headroom.HeadroomObserver(ObserverContext())
    columns = observer.observe_all(lines)
    if columns is None:
        return
    observed = [observer.observe(line) for line in lines]
    assert all(isinstance(one, (Sample, Ignored)) for one in observed)
    kept = [place for place, one in enumerate(observed) if isinstance(one, Sample)]
    assert (list(range(len(lines))) if columns.kept is None else list(columns.kept)) == kept
    found = columns_of((place, one) for place, one in enumerate(observed) if isinstance(one, Sample))
    for name in ("time_ns", "duration_ns", "logged_ns", "causes", "stages", "stage_ns"):
        assert list(getattr(columns, name)) == getattr(found, name), name


@given(st.lists(OFTEN_GOOD, min_size=1, max_size=4))
def test_lines_of_headroom_in_bulk(lines: list[bytes]) -> None:
    check_bulk(lines)


NUMBERS = st.one_of(
    st.floats(0, 90_000_000).map(repr),
    st.floats(0, 5000).map(repr),
    st.integers(0, 90_000_000).map(str),
    # a value in the middle between two nanoseconds, or next to it
    st.tuples(st.integers(0, 5000), st.integers(0, 999_999), st.sampled_from(["5", "49999999999", "50000000001"])).map(
        lambda it: f"{it[0]}.{it[1]:06d}{it[2]}"
    ),
    st.tuples(st.integers(0, 10**20), st.integers(0, 25)).map(lambda it: f"{it[0] % 10**5}.{it[0]:0{it[1] + 1}d}"),
    st.sampled_from(
        ["0", "-0.0", "-1", "0.0", "1e3", "1E-7", "1e+2", "01", "1.", ".5", "1e", "+1", "1e999", "NaN", "true", '"1"',
         "86400000", "86400000.0", "86399999.9999999", "86400000.0000001", "4294.967295999999", "4294.967296",
         "0." + "0" * 30 + "1", "18446744073709551616.123456", "1" + "0" * 64 + ".1234567", "1" * 40, "1." + "1" * 60]
    ),
)  # fmt: skip
STAGES = st.dictionaries(
    st.sampled_from([*payload.STAGES, "total_pre_upstream"]), st.one_of(st.just("null"), NUMBERS), max_size=8
)
SPACES = st.sampled_from(["", " ", " ", " ", "  ", "\t", " \t", "\x0b"])


@st.composite
def payload_lines(draw: st.DrawFn) -> bytes:
    """A line of headroom whose payload is written in any way that JSON allows, and in some that it does not."""
    space = draw(SPACES)
    stages = list(draw(STAGES).items())
    if draw(st.booleans()):
        stages.append(("total_pre_upstream", "7000.5"))
    inner = f",{space}".join(f'"{name}":{space}{ms}' for name, ms in draw(st.permutations(stages)))
    epoch = draw(st.sampled_from(["1795457770", "1795457769", "0", "99999999999"]))
    said = draw(st.sampled_from(["hr_1795457770_000001"] * 6 + [f"hr_{epoch}_000001", "hr_1795457770_00000é", "x"]))
    members = [
        ("event", draw(st.sampled_from(['"stage_timings"'] * 5 + ['"other"', '"stage\\u005ftimings"', "1"]))),
        ("path", draw(st.sampled_from(['"anthropic_messages"'] * 5 + ['"openai_responses_ws"', '"other"', "null"]))),
        ("request_id", f'"{said}"'),
        ("stages", f"{{{space}{inner}{space}}}"),
    ]
    members += draw(
        st.lists(
            st.sampled_from(
                [
                    ("session_id", '"0"'),
                    ("more", "1"),
                    ("more", "{}"),
                    ("é", '"é"'),
                    ("x", '"\x01"'),
                    ("path", '"twice"'),
                ]
            ),
            max_size=2,
        )
    )
    text = f",{space}".join(f'"{name}"{space}:{space}{value}' for name, value in draw(st.permutations(members)))
    behind = draw(st.sampled_from([""] * 6 + [" ", "x", "{}", " {}", "\t"]))
    line = f"2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1795457770_000001] STAGE_TIMINGS {{{text}}}{behind}"
    return line.encode()


@pytest.mark.parametrize(
    "number",
    ["18446744073709551616.123456", "36893488147419103232.000001", "1" + "0" * 64 + ".1234567", "1" + "0" * 400],
)
@pytest.mark.parametrize("name", ["total_pre_upstream", "deep_copy"])
def test_a_number_beyond_64_bits_is_not_truncated(number: str, name: str) -> None:
    stages = {"total_pre_upstream": "1.5", name: number}
    inner = ", ".join(f'"{stage}": {ms}' for stage, ms in stages.items())
    line = (
        "2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1795457770_000001] STAGE_TIMINGS "
        '{"event": "stage_timings", "path": "anthropic_messages", "request_id": "hr_1795457770_000001", '
        f'"stages": {{{inner}}}}}'
    ).encode()
    observer = headroom.HeadroomObserver(ObserverContext())
    assert observer.observe_all([line]) is None
    try:
        assert isinstance(observer.observe(line), Rejected)
    except Drift:
        assert len(number) > 400  # no float at all


@given(st.lists(payload_lines(), min_size=1, max_size=3))
def test_payloads_of_headroom_in_bulk(lines: list[bytes]) -> None:
    check_bulk(lines)


@pytest.mark.skipif(headroom._bulk is None, reason="nothing is compiled")
def test_bulk_takes_every_ordinary_line_of_the_captures() -> None:
    observer = headroom.HeadroomObserver(ObserverContext())
    for line in TIMINGS:
        observed = observer.observe(line)
        is_known = isinstance(observed, Sample) and observed.stage_ns[-1] is None
        assert (observer.observe_all([line]) is not None) == (is_known or isinstance(observed, Ignored)), line


def test_a_function_without_a_twin_stays_as_it_is() -> None:
    def triple(number: int) -> int:
        return 3 * number

    assert native.twin(None)(triple) is triple


@pytest.mark.parametrize(("number", "expected"), [(2, 6), (-2, 4)])
def test_a_twin_in_c_is_asked_first_and_may_decline(number: int, expected: int) -> None:
    compiled = SimpleNamespace(scaled=lambda value: 3 * value if value > 0 else None)

    def _scaled(value: int) -> int:
        return -2 * value

    assert native.twin(compiled)(_scaled)(number) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        lambda hot: hot.find_lines(b"abc", b"a", 2, 1, 0),
        lambda hot: hot.find_lines(b"abc", b"a", 0, 4, 0),
        lambda hot: hot.find_lines(b"abc", b"a", -1, 2, 0),
        lambda hot: hot.find_lines("abc", b"a", 0, 2, 0),
        lambda hot: hot.count(7, ()),
        lambda hot: hot.add_to({}, None),
        lambda hot: hot.add_to({1: 2}, {1: "x"}),
        lambda hot: hot.count_columns((), 0, 1, 1, ()),
        lambda hot: hot.encode_samples([1], [1], [1], [1], (), 0, 0),
        lambda hot: hot.places_from((1, 2), 0),
        lambda hot: hot.places_from([1], 1.5),
        lambda hot: hot.places_from([1], "x"),
        lambda hot: hot.sum_counts((), 0),
        lambda hot: hot.count_texts((), ()),
        lambda hot: hot.find_runs((), [], [], 1, 1, 1),
    ],
)
def test_wrong_arguments_are_errors(wrong: object) -> None:
    if arithmetic._hot is not None:
        assert callable(wrong)
        with pytest.raises((TypeError, ValueError)):
            wrong(arithmetic._hot)


@pytest.mark.parametrize("values", [[1.5], [-1], ["a"], [True], [None], []])
def test_what_c_does_not_count_is_left_to_python(values: list[object]) -> None:
    if arithmetic._hot is not None:
        assert arithmetic._hot.count(values, BOUNDS) is None


def test_a_bound_beyond_64_bits_is_left_to_python() -> None:
    assert arithmetic.places_from([1, 2], 2**63) == []
    assert arithmetic.places_from([1, 2], -(2**70)) == [0, 1]


def test_environment_variable_leaves_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_LOGTAIL_PURE_PYTHON", "1")
    assert native.module("engine._hot") is None
    monkeypatch.delenv("OTEL_LOGTAIL_PURE_PYTHON")
    assert native.module("_there_is_none") is None
