"""``ObserverContract`` finds each way in which an observer can break its contract, and passes one that keeps it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from otel_logtail import Drift, Observed, Observer, PathRule, Rejected, Sample, Shape
from otel_logtail.model import Columns, Mark
from otel_logtail.observer import Frame
from otel_logtail.testing import FakeObserver, ObserverContract, hex_escaped, json_escaped
from otel_logtail.testing.fuzz import changed_lines

LINE = re.compile(rb'web: t=(?P<t>[0-9]{1,15}) d=(?P<d>[0-9]{1,15}) "(?P<path>(?:[^"\\]|\\x[0-9A-F]{2})*)"')
SHAPE = Shape()
TRUE = (b'web: t=5000 d=1000 "/path"', b'web: t=999999 d=99 "/path"')


class Web(Observer):
    """An observer that keeps the contract."""

    name = source = "web"
    marker = b"web: "

    def paths(self) -> PathRule:
        return PathRule(patterns=("~/web.log",), live=r"web\.log")

    def observe(self, line: bytes) -> Observed:
        match = LINE.fullmatch(line)
        if match is None:
            raise Drift("not a line of web")
        t, d = int(match["t"]), int(match["d"])
        return self.sample(t, d, match["path"]) if d <= t else Rejected("bounds")

    def sample(self, t: int, d: int, path: bytes) -> Sample:
        return Sample(t, d, t, "request", "", SHAPE, ())


class TestWeb(ObserverContract):
    true_lines = TRUE
    client_fields = (b"/path",)

    def observer(self) -> Observer:
        return Web()

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return hex_escaped(text)


class TestFake(ObserverContract):
    true_lines = (b"fake: t=5000 d=1000 l=6000 cause=read key=a", b"fake: t=5000 d=1000")
    number = 1000

    def observer(self) -> Observer:
        return Strict()


class Strict(FakeObserver):
    """``FakeObserver`` raises ZeroDivisionError and repeats reasons on request: this one does not."""

    def observe(self, line: bytes) -> Observed:
        if b"reject=" in line or b"raise" in line:
            raise Drift("not for this test")
        return super().observe(line)


class Raises(Web):
    def observe(self, line: bytes) -> Observed:
        if b"\xff" in line:
            raise ValueError("invalid")
        return super().observe(line)


class Remembers(Web):
    def __init__(self) -> None:
        self.number = 0

    def sample(self, t: int, d: int, path: bytes) -> Sample:
        self.number += 1
        return Sample(t, d, t + self.number, "request", "", SHAPE, ())


class Differs(Web):
    numbers = itertools.count()

    def __init__(self) -> None:
        self.number = next(self.numbers)

    def sample(self, t: int, d: int, path: bytes) -> Sample:
        return Sample(t, d, t + self.number, "request", "", SHAPE, ())


class Forgets(Web):
    """Its answer depends on the wrapper that was read before."""

    def __init__(self) -> None:
        self.before: Frame | None = None

    def observe_framed(self, line: bytes, frame: Frame) -> Observed:
        before, self.before = self.before, frame
        return self.observe(line) if before is None or before.zone == frame.zone else Rejected("time")


class Hoards(Web):
    def __init__(self) -> None:
        self.cache: dict[bytes, bytes] = {}

    def observe(self, line: bytes) -> Observed:
        self.cache[line] = line * 10
        return super().observe(line)


class Backtracks(Web):
    def observe(self, line: bytes) -> Observed:
        re.search(rb"9+x", line[: 1 << 15])  # quadratic
        return super().observe(line)


class ByPath(Web):
    def sample(self, t: int, d: int, path: bytes) -> Sample:
        return Sample(t, d, t, "request", "", Shape((), (("web.path", path[:100].decode("latin-1")),)), ())


class FromTheRight(Web):
    def observe(self, line: bytes) -> Observed:
        numbers = re.findall(rb"d=([0-9]{1,15})", line)
        if not numbers:
            raise Drift("no duration")
        return Sample(10**16, int(numbers[-1]), 10**16, "request", "", SHAPE, ())


class Utf8(Web):
    def observe(self, line: bytes) -> Observed:
        try:
            line.decode()
        except UnicodeDecodeError:
            raise Drift("not UTF-8") from None
        return super().observe(line)


class Reasons(Web):
    def observe(self, line: bytes) -> Observed:
        return super().observe(line) if LINE.fullmatch(line) else Rejected(line[:20].decode("latin-1"))


class Causes(Web):
    def sample(self, t: int, d: int, path: bytes) -> Sample:
        return Sample(t, d, t, str(d), "", SHAPE, ())


class Repeats(Web):
    def observe(self, line: bytes) -> Observed:
        try:
            return super().observe(line)
        except Drift:
            raise Drift(f"not a line of web: {line!r}") from None


class Texts(Web):
    def sample(self, t: int, d: int, path: bytes) -> Sample:
        return Sample(t, float(d), t, "request", "", SHAPE, ())  # type: ignore[arg-type]


class Bulk(Web):
    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        found = [match for line in lines if (match := LINE.fullmatch(line))]
        times = [int(match["t"]) for match in found]
        kept = None if len(found) == len(lines) else [i for i, line in enumerate(lines) if LINE.fullmatch(line)]
        words, none = ["request"] * len(found), [()] * len(found)
        return Columns(SHAPE, kept, times, [0] * len(found), times, words, [""] * len(found), none)


class Nameless(Web):
    name = ""


class Starts(Web):
    mark_needle = b" "

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        raise ValueError("not a start")


class NoSample(Web):
    def observe(self, line: bytes) -> Observed:
        return Rejected("time")


class Framed(Web):
    def observe_framed(self, line: bytes, frame: Frame) -> Observed:
        return Rejected("time") if frame.time_ns else self.observe(line)


BROKEN: list[tuple[type[Web], str, str]] = [
    (Raises, "test_only_drift_is_raised", "ValueError"),
    (Texts, "test_only_drift_is_raised", "duration_ns=.*, which is not an int"),
    (Remembers, "test_the_same_line_has_the_same_answer", "in another order"),
    (Differs, "test_the_same_line_has_the_same_answer", "in another order"),
    (Forgets, "test_a_line_in_a_wrapper_has_an_answer_of_its_own", "in another order"),
    (Bulk, "test_many_lines_at_once_have_the_same_answers", "many lines at once"),
    (Reasons, "test_words_are_few_and_short", "reasons of rejected lines"),
    (Causes, "test_words_are_few_and_short", "causes and stages"),
    (Repeats, "test_words_are_few_and_short", "the text of a drift has"),
    (Hoards, "test_memory_is_bounded", "the observer keeps"),
    (Backtracks, "test_a_long_line_is_read_in_bounded_time", "bytes took"),
    (FromTheRight, "test_a_client_cannot_change_a_sample", "the sample of"),
    (Utf8, "test_a_client_cannot_change_a_sample", "not UTF-8"),
    (ByPath, "test_a_client_cannot_create_series", "different attributes"),
    (Nameless, "test_it_names_itself_and_its_paths", "its name or source"),
    (Framed, "test_true_lines_in_wrappers_are_the_same_samples", "the sample of"),
    (NoSample, "test_true_lines_are_samples", "is not a sample"),
    (Starts, "test_lines_of_starts_are_marks_and_no_other_line_raises", "the error at"),
]


@pytest.mark.parametrize(("observer", "test", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_what_breaks_the_contract_is_found(observer: type[Web], test: str, message: str) -> None:
    class Contract(ObserverContract):
        true_lines = TRUE
        client_fields = (b"/path",)
        most_line_s = 0.1

        def observer(self) -> Observer:
            return observer()

        def write(self, text: bytes, field: bytes) -> bytes | None:
            if observer is not Utf8:
                return hex_escaped(text)
            return None if b'"' in text or b"\\" in text else text  # the others unescaped

    with pytest.raises(AssertionError, match=message):
        getattr(Contract(), test)()


def test_every_test_of_the_contract_fails_for_one_of_them() -> None:
    assert {test for _, test, _ in BROKEN} == {name for name in vars(ObserverContract) if name.startswith("test_")}


class WithFields(ObserverContract):
    true_lines: ClassVar[Sequence[bytes]] = TRUE
    client_fields: ClassVar[Sequence[bytes]] = (b"/path", b"curl/8")

    def observer(self) -> Observer:
        return Web()

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return hex_escaped(text)


def test_a_client_field_in_no_line_is_an_error() -> None:
    with pytest.raises(AssertionError, match=r"no true line holds the client's fields .*curl/8"):
        WithFields().test_a_client_cannot_change_a_sample()


def test_without_true_lines_the_contract_fails() -> None:
    class Empty(WithFields):
        true_lines: ClassVar[Sequence[bytes]] = ()

    with pytest.raises(AssertionError, match="true_lines is empty"):
        Empty().test_true_lines_are_samples()


def test_a_rejected_line_passes_only_with_its_word() -> None:
    class Refusing(Web):
        def sample(self, t: int, d: int, path: bytes) -> Any:
            return super().sample(t, d, path) if b"\\" not in path else Rejected("quotes")

    class Contract(WithFields):
        client_fields: ClassVar[Sequence[bytes]] = (b"/path",)

        def observer(self) -> Observer:
            return Refusing()

    with pytest.raises(AssertionError, match="Rejected"):
        Contract().test_a_client_cannot_change_a_sample()
    Contract.client_rejected = frozenset({"quotes"})
    Contract().test_a_client_cannot_change_a_sample()


def test_the_same_seed_gives_the_same_lines() -> None:
    first = changed_lines(TRUE, b"web: ", 500, 7)
    changed_lines.cache_clear()
    assert changed_lines(TRUE, b"web: ", 500, 7) == first != changed_lines(TRUE, b"web: ", 500, 8)
    assert len(set(first)) > 400
    assert all(b"web: " in line and b"\n" not in line for line in first)


def test_bytes_are_escaped_as_named() -> None:
    assert hex_escaped(b'a"\\\x1f\x7f\xffz') == rb"a\x22\x5C\x1F\x7F\xFFz"
    assert json_escaped(b'a"\\\x1f\xffz') == b'a\\"\\\\\\u001f\xffz'
