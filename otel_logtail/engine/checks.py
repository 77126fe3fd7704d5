"""Checks of what observers return: the types, and whether a sample can be true. Pure.

The type annotations of a plug-in are not checked while it runs, and the stages after the scan rely on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from operator import le, lt

from otel_logtail.counts import extent
from otel_logtail.model import Columns, Ignored, Rejected, Sample, Shape
from otel_logtail.text import is_text, is_text_or_integer
from otel_logtail.trace import is_context

_MOST_NS = 2**53
"""The longest duration of a stage: 100 days. Sums of many still fit into the store's integers."""

LATEST_NS = 9_214_646_400 * 10**9
"""The latest time that a line may have, 2262-01-01: the store's integers end soon after it.

No clock decides whether a line is a sample. A machine's clock may be days behind when a log is read (no battery, no NTP
yet), and the same log gives the same samples whenever it is read. Later stages limit what lines from the future can do.
"""


_COLUMNS = ("time_ns", "duration_ns", "logged_ns", "causes", "stages", "stage_ns")
_INT, _STAGE = {int}, {int, type(None)}


def are_possible(columns: Columns, number: int) -> bool:
    """Return whether columns from ``number`` lines have their types, and all samples can be true."""
    kept = range(number) if columns.kept is None else columns.kept
    if {len(getattr(columns, name)) for name in _COLUMNS} != {len(kept)} or not _are_places(kept, number):
        return False
    if not columns.time_ns:
        return True
    return extent(columns.logged_ns)[1] <= LATEST_NS and (columns.bounded or _are_sound(columns))


def is_possible(sample: Sample) -> bool:
    """Return whether a sample of sound types can be true: it started, ended and was logged in this order."""
    is_ordered = 0 <= sample.duration_ns <= sample.time_ns <= sample.logged_ns <= LATEST_NS
    return is_ordered and all(ns is None or 0 <= ns < _MOST_NS for ns in sample.stage_ns)


def _are_places(kept: Sequence[int], number: int) -> bool:
    """Return whether these are rising indices of ``number`` lines."""
    return not kept or (kept[0] >= 0 and kept[-1] < number and all(map(lt, kept, islice(kept, 1, None))))


def _are_sound(columns: Columns) -> bool:
    """Return whether all values have their types, and every sample started, ended and was logged in this order."""
    stages = list(chain.from_iterable(columns.stage_ns))
    took = list(filter(None, stages))
    return (
        set(map(type, chain(columns.time_ns, columns.duration_ns, columns.logged_ns))) <= _INT
        and set(map(type, columns.stage_ns)) == {tuple}
        and set(map(type, stages)) <= _STAGE
        and (not took or (min(took) >= 0 and max(took) < _MOST_NS))
        and min(columns.duration_ns) >= 0
        and all(map(le, columns.duration_ns, columns.time_ns))
        and all(map(le, columns.time_ns, columns.logged_ns))
        and set(map(len, columns.stage_ns)) == {len(columns.shape.stages)}
        and all(map(is_text, {*columns.causes, *columns.stages}))
        and not _wrong_in_shape(columns.shape)
    )


def is_ordinary(sample: Sample) -> bool:
    """Return whether a sample of a sound shape is ASCII, has its types and can be true. Cheap: it runs per sample."""
    time_ns, duration_ns, logged_ns = sample.time_ns, sample.duration_ns, sample.logged_ns
    cause, stage, stage_ns, trace = sample.cause, sample.stage, sample.stage_ns, sample.trace
    if not (type(time_ns) is type(duration_ns) is type(logged_ns) is int and type(stage_ns) is tuple):
        return False
    for ns in stage_ns:
        if ns is not None and (type(ns) is not int or not 0 <= ns < _MOST_NS):
            return False
    return (
        0 <= duration_ns <= time_ns <= logged_ns <= LATEST_NS
        and len(stage_ns) == len(sample.shape.stages)
        and type(cause) is type(stage) is str
        and cause.isascii()
        and stage.isascii()
        and type(trace) is bytes
        and (not trace or is_context(trace))
    )


def wrong_in(observed: object) -> str:
    """Return which part of an observer's answer does not have its type; empty: none."""
    if type(observed) is Sample:
        for name in ("time_ns", "duration_ns", "logged_ns"):
            if type(value := getattr(observed, name)) is not int:
                return f"{name}={value!r}, which is not an int"
        for name in ("cause", "stage"):
            if not is_text(value := getattr(observed, name)):
                return f"{name}={value!r}, which is not text"
        if type(observed.stage_ns) is not tuple or not set(map(type, observed.stage_ns)) <= _STAGE:
            return f"stage_ns={observed.stage_ns!r}, which is not a tuple of int and None"
        if type(observed.trace) is not bytes or (observed.trace and not is_context(observed.trace)):
            return f"trace={observed.trace!r}, which is not a trace context"
        wrong = _wrong_in_shape(observed.shape)
        if not wrong and len(observed.stage_ns) != len(observed.shape.stages):
            wrong = f"{len(observed.stage_ns)} stage_ns for {len(observed.shape.stages)} stages"
        return wrong
    if type(observed) is Rejected:
        return "" if is_text(observed.why) else f"Rejected({observed.why!r}), whose reason is not text"
    return "" if type(observed) is Ignored else repr(observed)


def _wrong_in_shape(shape: object) -> str:
    if type(shape) is not Shape or type(shape.stages) is not tuple or not all(map(is_text, shape.stages)):
        return f"{shape!r}, which is not a Shape with a tuple of names"
    pairs = shape.attributes
    if type(pairs) is not tuple or not all(
        type(pair) is tuple and len(pair) == 2 and is_text(pair[0]) and is_text_or_integer(pair[1]) for pair in pairs
    ):
        return f"{shape!r}, whose attributes are not a tuple of pairs of a name and a text or int of 64 bits"
    return ""
