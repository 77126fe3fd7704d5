"""An observer's answer to one line, with its types checked."""

from __future__ import annotations

from typing import cast

from otel_logtail.engine.checks import wrong_in
from otel_logtail.errors import Drift
from otel_logtail.model import Observed, Sample
from otel_logtail.observer import Frame, Observer, PathRule

Answer = Observed | str
"""An answer to a line; a text stands for drift."""

MOST_TEXT = 256
"""The longest text of an attribute."""


def ask(observer: Observer, line: bytes, frame: Frame | None = None) -> Answer:
    """Return an observer's answer to a line, in a wrapper if there is a frame; a text for drift.

    Raises:
        AssertionError: it raised something else, or a value in its answer does not have its type.
    """
    try:
        answer = observer.observe(line) if frame is None else observer.observe_framed(line, frame)
    except Drift as problem:
        return f"drift: {problem}"
    except Exception as problem:
        raise AssertionError(f"it raised {problem!r}, which is not Drift, for {line[:1000]!r}") from problem
    if wrong := wrong_in(answer):  # a message for each line would take as long as the answers
        raise AssertionError(f"it answered {wrong}, for {line[:1000]!r}")
    if isinstance(answer, Sample) and (attributes := answer.shape.attributes):
        names = [name for name, _ in attributes]
        if names != sorted(set(names)):
            raise AssertionError(f"its attributes are not sorted by name: {attributes!r}")
        if any(isinstance(value, str) and len(value) > MOST_TEXT for _, value in attributes):
            raise AssertionError(f"a long attribute: {attributes!r}")
    return answer


def measured(answer: Answer) -> tuple[object, ...]:
    """Return the part of a sample that no client may change: all but its attributes and its trace."""
    if not isinstance(answer, Sample):
        return (answer,)
    stages = tuple(zip(answer.shape.stages, answer.stage_ns, strict=True))
    return (answer.time_ns, answer.duration_ns, answer.logged_ns, answer.cause, answer.stage, stages)


class OneByOne(Observer):
    """An observer without its faster way to read many lines."""

    def __init__(self, observer: Observer) -> None:
        self.name, self.source, self.marker = observer.name, observer.source, observer.marker
        self._observer = observer

    def paths(self) -> PathRule:
        return self._observer.paths()

    def observe(self, line: bytes) -> Observed:
        return self._observer.observe(line)

    def observe_framed(self, line: bytes, frame: Frame) -> Observed:
        framed = getattr(self._observer, "observe_framed", None)  # an observer need not inherit from Observer
        return self.observe(line) if framed is None else cast(Observed, framed(line, frame))
