from __future__ import annotations

from collections.abc import Sequence
from datetime import timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_logtail.engine.checks import LATEST_NS
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.scan import Scanned, scan, without
from otel_logtail.model import Columns, Hits, Ignored, Observed, Rejected, Sample, Samples, Severity, Shape, Tally
from otel_logtail.observer import ObserverContext, PathRule
from otel_logtail.testing import FakeObserver, fake_line
from tests.support.hits import each, sample_at
from tests.support.pieces import NOON, SECOND, THRESHOLDS, scanned

GOOD = fake_line(NOON, 1_000)
SLOW = fake_line(NOON, SECOND)
SHAPE = Shape(("read", "work"))

LINES = st.one_of(
    st.sampled_from(
        [
            GOOD,
            SLOW,
            b"2026-11-25 nothing for us\n",
            b"\n",
            b"fake: ignore\n",
            b"fake: reject=bounds\n",
            b"fake: raise\n",
            b"fake: what is this\n",
            b"\0" * 40 + SLOW,
            b"\xef\xbb\xbf" + GOOD,
            SLOW[:-1] + b"\r\n",
            b"fake:fake: \xff\xfe fake: \n",
        ]
    ),
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"") + b"\n"),
)


def all_of(found: Scanned) -> list[tuple[int, Sample]]:
    return [(offset, sample_at(found.samples, index)) for index, offset in enumerate(found.samples.offsets)]


def add(a: Tally, b: Tally) -> Tally:
    reasons = {*a.rejected, *b.rejected}
    return Tally(
        bytes=a.bytes + b.bytes,
        samples=a.samples + b.samples,
        ignored=a.ignored + b.ignored,
        drift=a.drift + b.drift,
        oversized=a.oversized + b.oversized,
        rejected={why: a.rejected.get(why, 0) + b.rejected.get(why, 0) for why in reasons},
    )


@given(st.lists(LINES, max_size=20), st.data())
def test_a_log_gives_the_same_for_any_split_at_line_boundaries(lines: list[bytes], data: st.DataObject) -> None:
    whole = scanned(b"".join(lines), 1000)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=6)))
    parts, offset = [], 1000
    for first, last in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        chunk = b"".join(lines[first:last])
        parts.append(scanned(chunk, offset))
        offset += len(chunk)
    tally = Tally()
    for part in parts:
        tally = add(tally, part.tally)
    assert [row for part in parts for row in all_of(part)] == all_of(whole)
    named = [[(hit.offset, hit.uid) for part in found for hit in each(part.hits)] for found in (parts, [whole])]
    assert named[0] == named[1]
    assert tally == add(whole.tally, Tally())
    assert next((part.drifted for part in parts if part.drifted), None) == whole.drifted


@given(st.lists(LINES, max_size=20))
def test_every_line_with_the_marker_is_seen_at_its_absolute_offset(lines: list[bytes]) -> None:
    offsets, offset = [], 7
    for line in lines:
        if line.lstrip(b"\0").removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n") in (GOOD[:-1], SLOW[:-1]):
            offsets.append(offset)
        offset += len(line)
    found = scanned(b"".join(lines), 7)
    assert found.samples.offsets == offsets
    seen = found.tally.samples + found.tally.ignored + found.tally.drift + sum(found.tally.rejected.values())
    assert seen == sum(b"fake: " in line for line in lines)
    assert found.tally.bytes == offset - 7


def test_an_empty_chunk_holds_nothing() -> None:
    assert scanned(b"") == Scanned(Samples(), Hits(), Tally())


def test_a_hole_of_nul_bytes_before_a_line_does_not_hide_it() -> None:
    (hit,) = each(scanned(b"\0" * 5000 + SLOW).hits)
    assert (hit.offset, hit.uid) == (0, scanned(SLOW).hits.uids[0])


@pytest.mark.parametrize("line", [b"\xef\xbb\xbf" + SLOW, SLOW[:-1] + b"\r\n", b"\0\xef\xbb\xbf" + SLOW[:-1] + b"\r\n"])
def test_a_byte_order_mark_and_a_carriage_return_are_not_part_of_the_line(line: bytes) -> None:
    assert scanned(line) == msgspec.structs.replace(scanned(SLOW), tally=scanned(line).tally)


def test_a_marker_that_is_twice_in_a_line_is_one_line() -> None:
    assert scanned(b"fake: fake: fake: \n" + GOOD).tally == Tally(bytes=19 + len(GOOD), samples=1, drift=1)


def test_an_empty_marker_sees_every_line() -> None:
    seen = []

    class Everything(FakeObserver):
        marker = b""

        def observe(self, line: bytes) -> Observed:
            seen.append(line)
            return Ignored()

    lines = [b"one", b"", b"\xff\xfe", b"four"]
    found = scan(
        Everything(),
        b"".join(line + b"\n" for line in lines),
        0,
        source="s",
        thresholds=THRESHOLDS,
    )
    assert (seen, found.tally.ignored) == (lines, 4)


def test_the_first_line_that_drifts_is_named_and_all_are_counted() -> None:
    found = scanned(GOOD + b"fake: new format\nfake: newer format\n" + GOOD)
    assert (found.tally.samples, found.tally.drift) == (2, 2)
    assert found.drifted == (len(GOOD), "not a fake line: b'fake: new format'")


def test_an_observers_wrong_exception_is_drift_and_the_log_continues() -> None:
    found = scanned(b"fake: raise\n" + GOOD)
    assert (found.tally.samples, found.tally.drift) == (1, 1)
    assert found.drifted == (0, "ZeroDivisionError: as the line requests")


def test_an_answer_that_is_none_of_the_three_is_drift() -> None:
    class Forgetful(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return None  # type: ignore[return-value]

    found = scan(Forgetful(), GOOD, 0, source="s", thresholds=THRESHOLDS)
    assert (found.tally, found.drifted) == (Tally(bytes=len(GOOD), drift=1), (0, "the observer answered None"))


def test_a_sample_without_a_time_for_each_stage_of_its_shape_is_drift() -> None:
    class Short(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return Sample(NOON, 1, NOON, "wait", "", Shape(("work", "rest")), (1,))

    found = scan(Short(), GOOD, 0, source="s", thresholds=THRESHOLDS)
    assert found.tally == Tally(bytes=len(GOOD), drift=1)


@pytest.mark.parametrize("number", [1, 40], ids=["alone", "among many"])
@pytest.mark.parametrize(
    ("logged_ns", "taken"),
    [
        (0, True),  # a machine without a battery begins in 1970
        (NOON + 400 * 86_400 * SECOND, True),
        (LATEST_NS, True),
        (LATEST_NS + 1, False),
        (2**63, False),
        (10**30, False),
    ],
)
def test_a_line_of_any_time_that_the_store_can_hold_is_taken(number: int, logged_ns: int, taken: bool) -> None:
    found = scanned(GOOD * number + fake_line(logged_ns, 0) + GOOD * number)
    assert (found.tally.samples, found.tally.rejected) == (
        (2 * number + 1, {}) if taken else (2 * number, {"impossible": 1})
    )


@pytest.mark.parametrize(
    ("time_ns", "duration_ns", "logged_ns"), [(NOON, -1, NOON), (5, 6, 7), (NOON, 1, NOON - 1), (-1, 0, 0)]
)
def test_samples_that_no_clock_could_have_given_are_rejected(time_ns: int, duration_ns: int, logged_ns: int) -> None:
    class Wrong(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return Sample(time_ns, duration_ns, logged_ns, "wait", "", Shape())

    found = scan(Wrong(), GOOD, 0, source="s", thresholds=THRESHOLDS)
    assert found.tally == Tally(bytes=len(GOOD), rejected={"impossible": 1})


@pytest.mark.parametrize("number", [1, 40])
@pytest.mark.parametrize("stage_ns", [-1, 2**53, 2**70])
def test_a_stage_with_a_negative_or_infinite_time_is_rejected_alone_and_among_many(stage_ns: int, number: int) -> None:
    class Bulk(FakeObserver):
        """A plug-in that trusts the content of its lines."""

        def observe(self, line: bytes) -> Observed:
            took = stage_ns if line.endswith(b"bad") else None if line.endswith(b"none") else 5
            return Sample(NOON, 10, NOON, "", "", SHAPE, (0, took))

        def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
            took = [stage_ns if line.endswith(b"bad") else None if line.endswith(b"none") else 5 for line in lines]
            much = len(lines)
            empty = [""] * much
            return Columns(
                SHAPE, None, [NOON] * much, [10] * much, [NOON] * much, empty, empty, [(0, ns) for ns in took]
            )

    good = [b"fake: good\n", b"fake: none\n"] * number
    data = b"".join([*good, b"fake: bad\n", *good])
    found = scan(Bulk(), data, 0, source="s", thresholds=THRESHOLDS)
    assert found.tally.rejected == {"impossible": 1}
    assert found.tally.samples == 4 * number


_NS = ("time_ns", "duration_ns", "logged_ns", "stage_ns")
WRONG_SAMPLES = [
    ({"duration_ns": None}, "duration_ns=None, which is not an int"),
    ({"duration_ns": 600_000_000.5}, "duration_ns=600000000.5, which is not an int"),
    ({"duration_ns": True}, "duration_ns=True, which is not an int"),
    ({"time_ns": "now"}, "time_ns='now', which is not an int"),
    ({"logged_ns": 1.5}, "logged_ns=1.5, which is not an int"),
    ({"cause": None}, "cause=None, which is not text"),
    ({"cause": "\ud800"}, "cause='\\ud800', which is not text"),
    ({"stage": b"read"}, "stage=b'read', which is not text"),
    ({"stage_ns": (1, 2.0)}, "stage_ns=(1, 2.0), which is not a tuple of int and None"),
    ({"stage_ns": [1, 2]}, "stage_ns=[1, 2], which is not a tuple of int and None"),
    ({"stage_ns": None}, "stage_ns=None, which is not a tuple of int and None"),
    ({"shape": None}, "None, which is not a Shape with a tuple of names"),
    ({"shape": Shape(("a", 2))}, "Shape(stages=('a', 2), attributes=()), which is not a Shape with a tuple of names"),  # type: ignore[arg-type]
    (
        {"shape": Shape(("a", "b"), (("k", None),))},  # type: ignore[arg-type]
        "Shape(stages=('a', 'b'), attributes=(('k', None),)), whose attributes are not a tuple of pairs of a name and a"
        " text or int of 64 bits",
    ),
    (
        {"shape": Shape(("a", "b"), (("k", 1 << 63),))},
        "Shape(stages=('a', 'b'), attributes=(('k', 9223372036854775808),)), whose attributes are not a tuple of pairs"
        " of a name and a text or int of 64 bits",
    ),
    (
        {"shape": Shape(("a", "b"), [("k", "v")])},  # type: ignore[arg-type]
        "Shape(stages=('a', 'b'), attributes=[('k', 'v')]), whose attributes are not a tuple of pairs of a name and a"
        " text or int of 64 bits",
    ),
]


@pytest.mark.parametrize("trace", [b"", bytes(range(24))], ids=["none", "one"])
def test_a_breach_keeps_the_trace_context_of_its_line(trace: bytes) -> None:
    class Traced(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return Sample(NOON, SECOND, NOON, "wait", "", SHAPE, (1, None), trace)

    (hit,) = each(scan(Traced(), SLOW, 0, source="s", thresholds=THRESHOLDS).hits)
    assert hit.sample.trace == trace
    among = scan(Traced(), GOOD + SLOW, 7, source="s", thresholds=THRESHOLDS)
    assert [hit.sample.trace for hit in each(among.hits)] == [trace] * 2
    assert [hit.sample.trace for hit in each(without(among, {}, 0).hits)] == [trace] * 2


@pytest.mark.parametrize(
    "trace",
    [b"a" * 23, b"a" * 25, "a" * 24, None, bytearray(b"a" * 24), bytes(16) + b"a" * 8, b"a" * 16 + bytes(8)],
    ids=["short", "long", "text", "none", "mutable", "no trace", "no span"],
)
def test_what_is_not_a_trace_context_is_drift(trace: Any) -> None:
    class Wrong(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return Sample(NOON, SECOND, NOON, "wait", "", SHAPE, (1, None), trace)

    found = scan(Wrong(), SLOW, 0, source="s", thresholds=THRESHOLDS)
    assert (found.tally.drift, len(found.hits)) == (1, 0)
    assert found.drifted is not None
    assert found.drifted[1].endswith(f"trace={trace!r}, which is not a trace context")


@pytest.mark.parametrize(("wrong", "said"), WRONG_SAMPLES)
def test_a_sample_of_other_types_is_drift_and_no_other_line_is_hurt(wrong: dict[str, Any], said: str) -> None:
    class Wrong(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            sample = Sample(NOON, 10, NOON, "wait", "", SHAPE, (1, None))
            return msgspec.structs.replace(sample, **wrong) if line.endswith(b"bad") else sample

        def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
            samples = [self.observe(line) for line in lines]
            assert all(isinstance(sample, Sample) for sample in samples)
            columns = {
                name: [getattr(sample, of or name) for sample in samples]
                for name, of in {**dict.fromkeys(_NS), "causes": "cause", "stages": "stage"}.items()
            }
            shapes = [sample.shape for sample in samples]  # type: ignore[union-attr]
            return Columns(max(shapes, key=lambda shape: shape is not SHAPE), None, **columns)  # type: ignore[arg-type]

    for around in (0, 20):
        data = b"fake: good\n" * around + b"fake: bad\n" + b"fake: good\n" * around
        found = scan(Wrong(), data, 0, source="s", thresholds=THRESHOLDS)
        assert (found.tally.samples, found.tally.drift) == (2 * around, 1)
        assert found.drifted == (11 * around, f"the observer answered {said}")


def test_a_reason_that_is_not_text_is_drift() -> None:
    class Wrong(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return Rejected(7)  # type: ignore[arg-type]

    found = scan(Wrong(), GOOD, 0, source="s", thresholds=THRESHOLDS)
    assert found.drifted == (0, "the observer answered Rejected(7), whose reason is not text")


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration_ns": [10] * 3},
        {"time_ns": [NOON] * 39},
        {"causes": [""] * 41},
        {"stage_ns": []},
        {"kept": [0, 1]},
        {"kept": [*range(39), 40]},
        {"kept": [-1, *range(39)]},
        {"kept": [0, 0, *range(2, 40)]},
        {name: [] for name in ("time_ns", "duration_ns", "logged_ns", "causes", "stages", "stage_ns")},
        {"time_ns": None},
    ],
)
@pytest.mark.parametrize("bounded", [False, True])
def test_columns_that_do_not_fit_their_lines_are_not_taken(wrong: dict[str, Any], bounded: bool) -> None:
    class Wrong(FakeObserver):
        def observe(self, line: bytes) -> Observed:
            return Sample(NOON, 10, NOON, "", "", SHAPE, (0, 5))

        def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
            much = len(lines)
            if much < 40:
                return None
            of = [NOON] * much
            columns = Columns(SHAPE, None, of, [10] * much, of, [""] * much, [""] * much, [(0, 5)] * much, bounded)
            return msgspec.structs.replace(columns, **wrong)

    found = scan(Wrong(), b"fake: good\n" * 40, 0, source="s", thresholds=THRESHOLDS)
    assert (found.tally.samples, found.tally.drift) == (40, 0)
    *columns, traces = msgspec.structs.astuple(found.samples)
    assert {len(column) for column in columns} == {40}
    assert traces == {}


def test_rejected_lines_are_counted_by_reason() -> None:
    found = scanned(b"fake: reject=bounds\nfake: reject=event\nfake: reject=bounds\n")
    assert (found.samples.offsets, found.tally.rejected) == ([], {"bounds": 2, "event": 1})


def test_only_breaches_have_a_name() -> None:
    slow, stall = each(scanned(GOOD + SLOW + fake_line(NOON, 2 * SECOND)).hits)
    assert [(hit.index, hit.severity) for hit in (slow, stall)] == [(1, Severity.DEGRADED), (2, Severity.STALL)]
    assert [len(hit.uid) for hit in (slow, stall)] == [16, 16]


def uid(data: bytes, base: int = 0, source: str = "s") -> bytes:
    return scan(FakeObserver(), data, base, source=source, thresholds=THRESHOLDS).hits.uids[-1]


def test_the_name_of_a_breach_is_the_same_wherever_its_line_is_read_again() -> None:
    assert uid(SLOW, 100) == uid(GOOD * 2 + SLOW, 100 - 2 * len(GOOD))
    assert uid(SLOW).hex() == "546e202ba193e03505763b3259f7e96c"  # another algorithm would rename all breaches


def test_another_offset_source_or_line_is_another_name() -> None:
    names = {uid(SLOW), uid(SLOW, 1), uid(SLOW, source="t"), uid(fake_line(NOON, SECOND + 1))}
    assert len(names) == 4


@given(st.integers(0, 10**10))
def test_thresholds_belong_to_the_worse_severity(duration_ns: int) -> None:
    severity = Thresholds(500, 2000).classify(duration_ns)
    assert severity == (duration_ns >= 500) + (duration_ns >= 2000)


@pytest.mark.parametrize("number", [1, 40], ids=["alone", "among many"])
@pytest.mark.parametrize(
    ("duration_ns", "severity"),
    [
        (THRESHOLDS.degraded_ns - 1, Severity.OK),
        (THRESHOLDS.degraded_ns, Severity.DEGRADED),
        (THRESHOLDS.stall_ns - 1, Severity.DEGRADED),
        (THRESHOLDS.stall_ns, Severity.STALL),
    ],
)
def test_a_sample_exactly_at_a_threshold_is_a_breach_of_it(number: int, duration_ns: int, severity: Severity) -> None:
    hits = each(scanned(GOOD * number + fake_line(NOON, duration_ns) + GOOD * number).hits)
    assert [(hit.index, hit.severity) for hit in hits] == ([(number, severity)] if severity else [])


def test_file_names_give_attributes_defined_by_the_rule() -> None:
    rule = FakeObserver(ObserverContext(timezone=timezone.utc)).paths()
    assert rule.attributes_of("fake-8787.log") == (("server.port", 8787),)
    assert rule.attributes_of("fake.log") == ()
    assert rule.attributes_of("other.log") == ()
    assert [rule.is_live(name) for name in ("fake.log", "fake.log.1", "xfake.log")] == [True, False, False]


def test_copies_are_recognized_by_the_start_of_their_name_and_none_by_default() -> None:
    rule = PathRule(patterns=(), live=r".*\.log", ignore=r"console")
    assert [rule.is_copy(name) for name in ("console.log.1", "fake.log")] == [True, False]
    assert not FakeObserver().paths().is_copy("fake.log")
