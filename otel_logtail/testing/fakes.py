"""Fakes for tests of ours and of plug-in authors. They need no network, clock or sleep.

``FakeObserver`` reads a trivial format, so that a test of the engine needs no real log. ``FakeExporter`` replaces a
destination, and answers from a script.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable

from otel_logtail.errors import Drift
from otel_logtail.exporter import Exporter
from otel_logtail.model import (
    Delivered,
    Delivery,
    ExportBatch,
    Ignored,
    Item,
    Mark,
    Observed,
    Partial,
    Rejected,
    Sample,
    Shape,
    Stream,
)
from otel_logtail.observer import Frame, Observer, ObserverContext, PathRule
from otel_logtail.trace import parse_traceparent

_LINE = re.compile(
    rb"fake: t=(?P<t>\d{1,40}) d=(?P<d>\d{1,40})(?: l=(?P<l>\d{1,40}))?"
    rb"(?: cause=(?P<cause>wait|read))?(?: key=(?P<key>[ab]))?"
    rb"(?: traceparent=(?P<parent>\S*))?"
)
_MARK = re.compile(rb"fake mark: t=(?P<t>\d{1,40}) (?P<text>.*)")
_SHAPES = {key: Shape(("work",), (("fake.key", key),) if key else ()) for key in ("", "a", "b")}


class FakeObserver(Observer):
    """Reads the lines that :func:`fake_line` writes; every other line with the marker is drift.

    ``fake: ignore`` is ignored, ``fake: reject=<why>`` rejected, and ``fake: raise`` raises what an observer must not.
    Lives are ``fake.log`` and ``fake-<port>.log``, the port is an attribute.
    Lines that :func:`fake_mark` returns are marks.
    """

    name = "fake"
    source = "fake-source"
    marker = b"fake: "
    mark_needle = b"fake mark: "

    def __init__(self, context: ObserverContext | None = None) -> None:
        pass

    def paths(self) -> PathRule:
        return PathRule(
            patterns=("~/fake*.log",), live=r"fake(?:-(?P<port>\d+))?\.log", attributes=(("port", "server.port"),)
        )

    def observe(self, line: bytes) -> Observed:
        match = _LINE.fullmatch(line)
        if match is not None:
            time_ns, duration_ns = int(match["t"]), int(match["d"])
            return Sample(
                time_ns=time_ns,
                duration_ns=duration_ns,
                logged_ns=time_ns if match["l"] is None else int(match["l"]),
                cause=(match["cause"] or b"wait").decode(),
                stage="work",
                shape=_SHAPES[(match["key"] or b"").decode()],
                stage_ns=(duration_ns,),
                trace=parse_traceparent(match["parent"] or b""),
            )
        if line == b"fake: ignore":
            return Ignored()
        if line.startswith(b"fake: reject="):
            return Rejected(line.removeprefix(b"fake: reject=").decode("ascii", "replace"))
        if line == b"fake: raise":
            raise ZeroDivisionError("as the line requests")
        raise Drift(f"not a fake line: {line[:40]!r}")

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        match = _MARK.fullmatch(line)
        if match is None:
            return None
        return Mark(int(match["t"]), match["text"].decode("utf-8", "replace"))


def fake_mark(time_ns: int, text: str) -> bytes:
    """Return a line for :class:`FakeObserver` that is a mark."""
    return f"fake mark: t={time_ns} {text}\n".encode()


def fake_line(
    time_ns: int,
    duration_ns: int,
    *,
    logged_ns: int | None = None,
    cause: str = "",
    key: str = "",
    traceparent: str = "",
) -> bytes:
    """Return a line for :class:`FakeObserver`: ``cause`` is wait or read, ``key`` (a or b) names a series."""
    words = [f"fake: t={time_ns} d={duration_ns}"]
    if logged_ns is not None:
        words.append(f"l={logged_ns}")
    if cause:
        words.append(f"cause={cause}")
    if key:
        words.append(f"key={key}")
    if traceparent:
        words.append(f"traceparent={traceparent}")
    return " ".join(words).encode() + b"\n"


Answer = Delivery | Exception | Callable[[ExportBatch], Delivery]
"""An answer of :class:`FakeExporter` to one batch: a result, an error to raise, or a function, which may block."""


class FakeExporter(Exporter):
    """A destination that answers from a script (any iterable, even an endless one), and ``Delivered`` after its end.

    ``asked`` are all batches with the answers to them; ``delivered`` are the items that were answered as delivered.
    """

    def __init__(
        self, script: Iterable[Answer] = (), *, name: str = "fake", wants: frozenset[Stream] = frozenset(Stream)
    ) -> None:
        self.name = name
        self.wants = wants
        self.asked: list[tuple[ExportBatch, Delivery | Exception]] = []
        self.closed = 0
        self._script = iter(script)
        self._changed = threading.Condition()

    def export(self, batch: ExportBatch) -> Delivery:
        with self._changed:
            answer: Answer = next(self._script, Delivered())
        if not isinstance(answer, Delivery | Exception):
            answer = answer(batch)  # not under the lock: it may block
        with self._changed:
            self.asked.append((batch, answer))
            self._changed.notify_all()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        with self._changed:
            self.closed += 1
            self._changed.notify_all()

    def delivered(self, stream: Stream) -> list[Item]:
        """Return the delivered items of a stream, in the order of arrival."""
        items: list[Item] = []
        with self._changed:
            for batch, answer in self.asked:
                if batch.stream is stream and isinstance(answer, Delivered):
                    items += batch.items
                elif batch.stream is stream and isinstance(answer, Partial):
                    items += batch.items[: answer.count]
        return items

    def wait_for(self, condition: Callable[[FakeExporter], bool], within_s: float = 10.0) -> bool:
        """Wait until the condition holds, checked after each batch and on close; return whether it holds."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), within_s)
