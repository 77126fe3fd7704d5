"""Marks in a chunk: found in any wrapper, never in a part of a line, bounded, and never a reason to stop."""

from __future__ import annotations

import pytest

from otel_logtail.engine.checks import LATEST_NS
from otel_logtail.engine.marks import FoundMarks, MarkFinder
from otel_logtail.model import Mark
from otel_logtail.observer import Frame, Observer
from otel_logtail.testing import FakeObserver, fake_line, fake_mark
from otel_logtail.testing.wrappers import cri, docker
from tests.support.pieces import NOON, Piece, opened, rows

LINE = fake_mark(NOON, "version 1.2 started").removesuffix(b"\n")
MARK = Mark(NOON, "version 1.2 started")


def found(data: bytes, observer: Observer | None = None, mode: str = "auto") -> FoundMarks:
    return MarkFinder(observer or FakeObserver(), mode).find(data, 0, len(data), 0)


@pytest.mark.parametrize(
    "wrapped",
    [
        LINE,
        LINE + b"\r",
        b"\0\0" + LINE,
        cri(LINE, time="2026-11-25T12:00:00Z"),
        docker(LINE, time="2026-11-25T12:00:00Z"),
        b"2026-11-25T12:00:00+00:00 host fake[1]: " + LINE,
        b"Nov 25 12:00:00 host fake[1]: " + LINE,
    ],
    ids=["plain", "CR", "hole", "cri", "docker", "syslog", "traditional"],
)
def test_it_is_found_in_any_wrapper(wrapped: bytes) -> None:
    data = fake_line(NOON, 1) + wrapped + b"\n" + fake_line(NOON, 1)
    assert found(data) == FoundMarks((MARK,))


def test_the_wrapper_is_passed_on() -> None:
    class Framed(FakeObserver):
        def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
            assert frame is not None
            assert frame.time_ns is not None
            return Mark(frame.time_ns, line.decode())

    data = b"2026-11-25T12:00:00+00:00 host fake[1]: " + LINE + b"\n"
    assert found(data, Framed()).marks == (Mark(NOON, LINE.decode()),)


@pytest.mark.parametrize("tag", ["P", "F"])
def test_a_part_of_a_line_is_none(tag: str) -> None:
    data = cri(b"fake mark: t=1 what a client wrote" if tag == "P" else b"cut: " + LINE, tag=tag) + b"\n"
    assert found(data).marks == ()


def test_without_wrappers_none_is_removed() -> None:
    assert found(docker(LINE, time="2026-11-25T12:00:00Z") + b"\n", mode="none").marks == ()
    assert found(LINE + b"\n", mode="none").marks == (MARK,)


def test_its_text_is_short_and_printable() -> None:
    (mark,) = found(fake_mark(NOON, "a \t\x1b[31m b\u202e" + "é" * 300)).marks
    assert mark.text.startswith("a \\x1b[31m b\\u202eéé")
    assert len(mark.text.encode()) <= 200
    assert mark.text.endswith("…")


def test_a_time_that_cannot_be_stored_is_rejected() -> None:
    data = fake_mark(LATEST_NS, "the last") + fake_mark(LATEST_NS + 1, "too late")
    assert found(data) == FoundMarks((Mark(LATEST_NS, "the last"),), rejected=1)


class Wrong(FakeObserver):
    """Answers with what a plug-in must not."""

    answer: object = None

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize(
    "answer",
    [ZeroDivisionError("oops"), ValueError(), "a mark", Mark("1", "x"), Mark(1, b"x"), Mark(1, "\ud800")],  # type: ignore[arg-type]
    ids=["error", "silent", "text", "time", "bytes", "surrogate"],
)
def test_a_bug_of_a_plugin_on_a_line_is_drift(answer: object) -> None:
    observer = Wrong()
    observer.answer = answer
    caught = found(fake_line(NOON, 1) + LINE + b"\n" + LINE + b"\n", observer)
    assert (caught.marks, caught.drift) == ((), 2)
    assert caught.drifted is not None
    assert caught.drifted[0] == len(fake_line(NOON, 1))


def test_an_observer_without_marks_has_none() -> None:
    class Bare:
        """A plug-in that inherits nothing."""

        marker = b""

    assert MarkFinder(Bare(), "auto").find(LINE + b"\n", 0, len(LINE) + 1, 0) == FoundMarks()  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 5, 30])
def test_the_marks_do_not_depend_on_the_pieces_in_which_a_log_is_read(
    tmp_path_factory: pytest.TempPathFactory, size: int
) -> None:
    lines = [fake_mark(NOON + n, f"mark {n}") if n % 3 else fake_line(NOON + n, 1) for n in range(30)]
    with opened(tmp_path_factory.mktemp("pieces") / "store.db") as store:
        piece = Piece(store)
        for at in range(0, len(lines), size):
            piece.commit(b"".join(lines[at : at + size]))
        assert rows(store.path, "SELECT text FROM mark ORDER BY id") == [(f"mark {n}",) for n in range(30) if n % 3]
        assert rows(store.path, "SELECT samples, drift FROM source") == [(10, 0)]
