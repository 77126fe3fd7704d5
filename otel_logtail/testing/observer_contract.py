"""The contract that every observer keeps, as a suite of tests over changed lines and hostile bytes.

The author of an observer gives some true lines, names the parts that a client chooses, and returns the observer::

    class TestMine(ObserverContract):
        true_lines = (b'2026-11-25T12:00:00.250Z "GET /path" curl/8 took=0.734',)
        client_fields = (b"/path", b"curl/8")

        def observer(self) -> Observer:
            return MyObserver()

        def write(self, text: bytes, field: bytes) -> bytes | None:
            return hex_escaped(text)

``write`` is what the upstream writes into its log if a client sends ``text`` in place of ``field``. The suite replaces
the fields by bytes of every class, so the hook has to do what the upstream does: escape, cut, or refuse the request.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import timedelta, timezone
from itertools import islice
from random import Random
from typing import ClassVar

from otel_logtail.engine.framing import AUTO, Framing
from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.joiner import Joiner
from otel_logtail.engine.lines import find_lines
from otel_logtail.engine.marks import FoundMarks, MarkFinder
from otel_logtail.engine.scan import Scanned, scan
from otel_logtail.model import Attributes, Rejected, Sample
from otel_logtail.observer import Frame, Observer
from otel_logtail.testing.asking import MOST_TEXT, OneByOne, ask, measured
from otel_logtail.testing.compare import check, check_equal
from otel_logtail.testing.fuzz import changed_lines, client_texts, long_lines
from otel_logtail.testing.wrappers import cri, docker, stamp

_NEVER = Thresholds(2**62, 2**62)
_LONG_LINES = 5
_MOST_WORDS = 32
_LINES_PER_S = 1000.0
_TIMES_NS = (0, 1, 1_795_608_000 * 10**9, 2**62)
_ZONES = (None, timezone.utc, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-23, minutes=-59)))


def hex_escaped(text: bytes) -> bytes:
    r"""Escape quotes, backslashes, controls and all bytes that are not ASCII as ``\x22``."""
    return b"".join(
        b"\\x%02X" % byte if byte < 0x20 or byte >= 0x7F or byte in b'"\\' else b"%c" % byte for byte in text
    )


def json_escaped(text: bytes) -> bytes:
    r"""Escape quotes, backslashes and controls as in JSON. All other bytes stay, invalid UTF-8 too."""
    escaped = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"".join(b"\\u%04x" % byte if byte < 0x20 else b"%c" % byte for byte in escaped)


class ObserverContract:
    """Inherit it as ``Test…``, and return your observer. Runs under pytest; the lines derive from ``seed`` alone."""

    true_lines: ClassVar[Sequence[bytes]] = ()
    """Real lines, without newlines, that are samples: one for each form at least."""
    other_lines: ClassVar[Sequence[bytes]] = ()
    """Real lines of other kinds, from which changed lines are made too."""
    mark_lines: ClassVar[Sequence[bytes]] = ()
    """Real lines that are marks, if the observer has any."""
    client_fields: ClassVar[Sequence[bytes]] = ()
    """The parts of the true lines that a client chooses, each different from all other text in them."""
    client_rejected: ClassVar[frozenset[str]] = frozenset()
    """The words with which a true line may be rejected because of a client's bytes (if nothing is escaped)."""
    framing: ClassVar[str] = AUTO
    """The wrappers that are removed, as the daemon's option of this name: "none" if true lines look like syslog's."""
    number: ClassVar[int] = 10_000
    """The number of changed lines, and of lines with a client's bytes."""
    seed: ClassVar[int] = 1
    most_series: ClassVar[int] = 100
    """The most different attributes that a client can cause in ``number`` lines."""
    most_bytes: ClassVar[int] = 2 << 20
    """The most memory that the observer keeps."""
    most_line_s: ClassVar[float] = 1.0
    """The most CPU time for a line of a mebibyte."""

    def observer(self) -> Observer:
        """Return a new observer; each call gives an equal one."""
        raise NotImplementedError

    def write(self, text: bytes, field: bytes) -> bytes | None:
        """Return the bytes in the log if a client sends ``text`` in place of ``field``; None: the line is not written.

        A class with ``client_fields`` has to define it.
        """
        raise NotImplementedError

    # --- true lines ---

    def test_true_lines_are_samples(self) -> None:
        """Each true line holds the marker and is a sample whose values have their types."""
        observer = self.observer()
        check(bool(self.true_lines), "true_lines is empty: add real lines of the program")
        for line in self.true_lines:
            check(observer.marker in line, f"the marker {observer.marker!r} is not in the true line {line!r}")
            check(b"\n" not in line, f"a newline is in the true line {line!r}")
            check(isinstance(answer := ask(observer, line), Sample), f"{line!r} is not a sample: {answer!r}")

    def test_lines_of_starts_are_marks_and_no_other_line_raises(self) -> None:
        """``find_mark`` raises for no line, and gives the same mark twice."""
        observer = self.observer()
        needle: bytes = getattr(observer, "mark_needle", b"")
        for line in self.mark_lines:
            check(bool(self._marks(observer, line).marks), f"{line!r} is not a mark")
        lines = (*self.mark_lines, *(line + needle for line in self.true_lines))
        for line in changed_lines(lines, needle, self.number // 10, self.seed) if needle else ():
            found = self._marks(observer, line)
            check_equal(found.drifted, None, f"the error at {line!r}")
            check_equal(self._marks(observer, line), found, f"the mark of {line!r} a second time")

    def _marks(self, observer: Observer, line: bytes) -> FoundMarks:
        return MarkFinder(observer, self.framing).find(line + b"\n", 0, len(line) + 1, 0)

    def test_true_lines_in_wrappers_are_the_same_samples(self) -> None:
        """A container runtime or syslog wrote the line: with its own stamp, or without a year and a zone."""
        for line in self.true_lines if self.framing == AUTO else ():
            plain = self._scanned(self.observer(), line)
            time = stamp(max(plain.samples.logged_ns, default=0))
            parts = cri(line[:9], tag="P", time=time) + b"\n" + cri(line[9:], time=time)
            for wrapped in (cri(line, time=time), parts, docker(line, time=time), b"Nov 29 15:08:58 a b[1]: " + line):
                found = self._scanned(self.observer(), wrapped)
                check_equal(found.samples, plain.samples, f"the sample of {wrapped!r}")

    def test_it_names_itself_and_its_paths(self) -> None:
        """The store keeps sources under these names, and its path rule can be used."""
        observer, rule = self.observer(), self.observer().paths()
        for name in (observer.name, observer.source):
            check(bool(name) and name.isprintable(), f"its name or source is {name!r}")
        check(type(observer.marker) is bytes and b"\n" not in observer.marker, f"its marker is {observer.marker!r}")
        check_equal(rule, self.observer().paths(), "the path rule of a second observer")
        rule.is_live("a.log"), rule.is_copy("a.log"), rule.attributes_of("a.log")

    # --- any line ---

    def test_only_drift_is_raised(self) -> None:
        """For any bytes, the answer has its types and is given in bounded time."""
        observer, lines = self.observer(), self._changed()
        before_s = time.thread_time()
        for line in lines:
            ask(observer, line)
        took_s = time.thread_time() - before_s
        check(took_s < 1.0 + len(lines) / _LINES_PER_S, f"{len(lines)} lines took {took_s:.1f} s of CPU time")

    def test_the_same_line_has_the_same_answer(self) -> None:
        """In any order, again, and from another instance: an observer keeps no state that an answer depends on."""
        first, second, lines = self.observer(), self.observer(), self._changed()
        expected = []
        for line in lines:  # no comprehension: its frame would reach the limit of nested JSON one level earlier
            expected.append(ask(first, line))  # noqa: PERF401
        order = list(range(len(lines)))
        Random(self.seed).shuffle(order)  # noqa: S311 - repeatable, not secret
        for observer in (first, second):
            for index in order:
                check_equal(
                    ask(observer, lines[index]), expected[index], f"the answer to {lines[index]!r} in another order"
                )

    def test_a_line_in_a_wrapper_has_an_answer_of_its_own(self) -> None:
        """It depends on the line and the frame alone, for any stamp of a wrapper."""
        first, second = self.observer(), self.observer()
        if not hasattr(first, "observe_framed"):  # a plug-in need not inherit from Observer
            return
        times = [answer.time_ns for line in self.true_lines if isinstance(answer := ask(first, line), Sample)]
        frames = [Frame(time_ns, zone) for time_ns in (None, *times[:3], *_TIMES_NS) for zone in _ZONES]
        lines = (*self.true_lines, *self._changed()[: self.number // 4])
        pairs = [(line, frames[index % len(frames)]) for index, line in enumerate(lines)]
        expected = [ask(first, line, frame) for line, frame in pairs]
        for (line, frame), answer in reversed(list(zip(pairs, expected, strict=True))):
            check_equal(ask(second, line, frame), answer, f"the answer to {line!r} in {frame!r} in another order")

    def test_many_lines_at_once_have_the_same_answers(self) -> None:
        """If the observer reads many lines at once, the result is that of each line alone."""
        lines = [line for line in self._changed() if line[:1] not in (b"\0", b"\xef")]
        mixed = [
            line for index, other in enumerate(lines) for line in (self.true_lines[index % len(self.true_lines)], other)
        ]
        buffer = b"\n".join(mixed)
        at_once, alone = (self._scanned(observer, buffer) for observer in (self.observer(), OneByOne(self.observer())))
        check_equal(at_once.tally, alone.tally, "the counts of many lines at once")
        check_equal(at_once.samples, alone.samples, "the samples of many lines at once")

    def test_words_are_few_and_short(self) -> None:
        """Causes, stages and reasons are from small fixed sets, and no text repeats a long line."""
        causes, reasons = set(), set()
        observer = self.observer()
        for line in self._changed():
            answer = ask(observer, line)
            if isinstance(answer, Sample):
                causes |= {answer.cause, answer.stage, *answer.shape.stages}
            elif isinstance(answer, Rejected):
                reasons.add(answer.why)
            elif isinstance(answer, str):
                check(
                    len(answer) <= 4 * MOST_TEXT, f"the text of a drift has {len(answer)} characters: {answer[:200]!r}"
                )
        for words, what in ((causes, "causes and stages"), (reasons, "reasons of rejected lines")):
            check(len(words) <= _MOST_WORDS, f"there are {len(words)} {what}: {sorted(words)[:40]}")
            check(
                all(len(word) <= MOST_TEXT // 4 for word in words), f"a long word is among the {what}: {sorted(words)}"
            )

    def test_memory_is_bounded(self) -> None:
        """Caches do not grow with the number of different lines."""
        observer, lines = self.observer(), self._changed()
        gc.collect()
        tracemalloc.start()
        try:
            for line in lines:
                ask(observer, line)
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        check(kept <= self.most_bytes, f"after {len(lines)} different lines, the observer keeps {kept} bytes")

    def test_a_long_line_is_read_in_bounded_time(self) -> None:
        """A line of a mebibyte takes less than ``most_line_s``, even if one piece of it is repeated."""
        observer = self.observer()
        for line in long_lines(_of_each_length(self.true_lines), observer.marker):
            before_s = time.thread_time()
            ask(observer, line)
            took_s = time.thread_time() - before_s
            check(
                took_s < self.most_line_s,
                f"a line of {len(line)} bytes took {took_s:.1f} s: {line[:200]!r}… {line[-200:]!r}",
            )

    # --- true lines with a client's bytes ---

    def test_a_client_cannot_change_a_sample(self) -> None:
        """Its bytes never turn a true line into drift, nor into a sample of another time, duration, cause or stage."""
        observer = self.observer()
        for line, with_client in self._with_client():
            expected, actual = ask(observer, line), ask(observer, with_client)
            if isinstance(actual, Rejected) and actual.why in self.client_rejected:
                continue
            check(isinstance(actual, Sample), f"a client's bytes turn a sample into {actual!r}: {with_client!r}")
            check_equal(measured(actual), measured(expected), f"the sample of {with_client!r}")

    def test_a_client_cannot_create_series(self) -> None:
        """The attributes are from a set that a client cannot extend."""
        observer = self.observer()
        found: set[Attributes] = set()
        for line, with_client in self._with_client():
            for answer in (ask(observer, line), ask(observer, with_client)):
                if isinstance(answer, Sample):
                    found.add(answer.shape.attributes)
        few = sorted(map(repr, found))[:10]
        check(len(found) <= self.most_series, f"a client caused {len(found)} different attributes, such as {few}")

    # --- parts ---

    def _scanned(self, observer: Observer, lines: bytes) -> Scanned:
        """Return what the engine finds in lines, the last one without its newline."""
        joiner = Joiner(Framing(self.framing, observer.marker))
        return scan(observer, lines + b"\n", 0, source="contract", thresholds=_NEVER, joiner=joiner)

    def _changed(self) -> Sequence[bytes]:
        """Return changed lines as the engine passes them on."""
        marker = self.observer().marker
        lines = changed_lines((*self.true_lines, *self.other_lines), marker, self.number, self.seed)
        return find_lines(b"".join(line + b"\n" for line in lines), marker, 0, sum(map(len, lines)) + len(lines), 0)[1]

    def _with_client(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield true lines, each with itself after a client chose one of its fields."""
        places = [(line, field) for line in self.true_lines for field in self.client_fields if field in line]
        unused = set(self.client_fields) - {field for _, field in places}
        check(not unused, f"no true line holds the client's fields {sorted(unused)}")
        if not places:
            return
        marker = self.observer().marker
        texts = client_texts(self.true_lines, marker, self.seed)
        each = max(1, self.number // len(places))
        for text in islice(texts, each):
            for line, field in places:
                written = self.write(text, field)
                if written is not None and b"\n" not in written:
                    yield line, line.replace(field, written)


def _of_each_length(lines: Sequence[bytes]) -> Sequence[bytes]:
    """Return a few of the lines, the shortest and the longest among them: each very long line takes a while."""
    ordered = sorted(set(lines), key=lambda line: (len(line), line))
    return sorted({ordered[index * (len(ordered) - 1) // _LONG_LINES] for index in range(_LONG_LINES + 1)})
