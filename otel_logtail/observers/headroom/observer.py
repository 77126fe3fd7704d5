r"""Observer of the headroom LLM proxy: reads its ``STAGE_TIMINGS`` lines and rejects those that cannot be true.

A line (of ``emit_stage_timings_log`` in headroom's ``proxy/stage_timer.py``; the same from 0.14.5 to 0.42.0)::

    2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1795457770_000001] STAGE_TIMINGS {"event": "stage_timings", …}

The time is local, without an offset; durations are float milliseconds. The middle field of the request id is the UTC
second in which the request arrived. So the line itself gives the time zone: the number of quarter hours between both
times, in summer and winter. A line whose id has no such field is rejected, since its time cannot be checked. No known
version of headroom writes one.

A client of the proxy can put a newline into the name of a model, and so write any line into this log. Therefore a line
is a sample only if all parts of it agree, and neither paths nor stages get names from it.

How a line that holds the marker is classified:

======================================================  ==================================================
prefix in its place, payload can't be decoded           ``Drift``: headroom changed its format
another prefix, bracketed id and payload fit            ``Drift``: headroom or its user changed the formatter
marker anywhere else                                    ``Rejected("misplaced")``: a quoted or broken line
readable, but cannot be true                            ``Rejected``: ``unknown_path``, ``event``, ``request_id``,
                                                        ``bounds``, ``time``
a WebSocket session (it has no total)                   ``Ignored``
======================================================  ==================================================

Lines are decoded one by one in Python. Many ordinary lines at once are decoded in C if it is compiled; Python decides
about all others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from otel_logtail import native
from otel_logtail.errors import Drift
from otel_logtail.model import Columns, Mark, Observed, Rejected, Sample, Shape
from otel_logtail.observer import Frame, Observer, ObserverContext, PathRule
from otel_logtail.observers.headroom.payload import (
    EVENT,
    HINT,
    HTTP,
    IGNORED,
    MAX_MS,
    STAGES,
    UNKNOWN_PATH,
    WEB_SOCKET,
    Stages,
    decode_any,
    decode_request,
    read_slowly,
)
from otel_logtail.observers.headroom.start import NEEDLE, Starts
from otel_logtail.observers.headroom.written import (
    EAST_NS,
    JITTER_NS,
    QUARTER_NS,
    SLACK_NS,
    WEST_NS,
    epoch_ns,
    logged_at_ns,
)
from otel_logtail.observers.http import UNREADABLE
from otel_logtail.observers.local_time import iso_ns

SHAPE = Shape(stages=(*STAGES, "unknown"), attributes=(("headroom.path", HTTP),))

_END_NS = 2**63  # the largest time in the store: the year 2262

_MARKER = b"STAGE_TIMINGS"
_AFTER_ID = b"] STAGE_TIMINGS "
_AFTER_TIME = b" - headroom.proxy - INFO - ["
_TIME = 23  # bytes of "2026-11-23 18:16:10,245"
_ID = _TIME + len(_AFTER_TIME)
_SECOND = 19  # bytes of "2026-11-23 18:16:10"
_OTHER_LEVEL = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - headroom\.proxy - [A-Z]+ - \[")
_FORMATTER = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [\w.]+ - [A-Z]+ - ")
_HOLES = b"\xef\xbb\xbf\0"  # a byte order mark, or the NULs that a truncation leaves before the next line

_MILLISECONDS = {b"%03d" % ms: ms * 10**6 for ms in range(1000)}

_MISPLACED = Rejected("misplaced")
_REQUEST_ID = Rejected("request_id")
_TIME_REJECTED = Rejected("time")


_bulk = native.module("observers.headroom._bulk")


class HeadroomObserver(Observer):
    """Reads the overhead of requests from headroom's proxy log (versions 0.14.5 to 0.42.0).

    The duration of a sample is the time before the upstream is called (``total_pre_upstream``). It ends when the line
    is written, or ``upstream_connect`` earlier if that is given: headroom then logs after the upstream's answer.
    """

    name = "headroom"
    source = "headroom-proxy"
    marker = _MARKER
    mark_needle = NEEDLE

    def __init__(self, context: ObserverContext) -> None:
        self._starts = Starts(context.timezone)  # the ids of requests give the zone of the other lines

    def paths(self) -> PathRule:
        """Return headroom's log files: one per port, or one per port and worker.

        The worker's pid is not an attribute, since every restart would add series. The tail drops a pattern whose
        variable is not set, which leaves the default in the home directory. Captured standard output
        (``proxy-stdio-…``) repeats every line.
        """
        return PathRule(
            patterns=("${HEADROOM_WORKSPACE_DIR}/logs/proxy*.log", "~/.headroom/logs/proxy*.log"),
            live=r"proxy(?:-(?P<port>\d+)(?:-\d+)?)?\.log",
            ignore=r"proxy-stdio-",
            attributes=(("port", "server.port"),),
        )

    def observe(self, line: bytes) -> Observed:
        """Read one line, as in the table above.

        Raises:
            Drift: headroom's format changed.
        """
        start = _ID if line.startswith(_AFTER_TIME, _TIME) else _start_of_id(line)
        end = line.find(b"]", start)
        millisecond_ns = _MILLISECONDS.get(line[20:_TIME])
        if not start or not line.startswith(_AFTER_ID, end) or millisecond_ns is None:
            return self._without_prefix(line)
        second_ns = iso_ns(line[:_SECOND])
        if second_ns is None or line[10:20:9] != b" ,":
            return self._without_prefix(line)

        payload = line[end + len(_AFTER_ID) :]
        unknown_ns = None
        try:
            request = decode_request(payload)
        except UNREADABLE:
            found = read_slowly(payload)
            if not isinstance(found, tuple):
                return found
            request, unknown_ns = found
        if request.path != HTTP:
            return IGNORED if request.path == WEB_SOCKET else UNKNOWN_PATH
        if request.event != "stage_timings":
            return EVENT
        request_id = line[start:end]
        if request.request_id.encode() != request_id:
            return _REQUEST_ID
        if second_ns < 0:
            return _TIME_REJECTED
        return self._sample(second_ns + millisecond_ns, request_id, request.stages, unknown_ns)

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return the start of headroom, with its version."""
        return self._starts.read(line, frame)

    if _bulk is not None:

        def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
            """Read many lines at once; None if one of them is not ordinary."""
            columns = _columns(lines)
            if columns is None:
                return None
            kept, values = columns
            return Columns(SHAPE, kept, *values, bounded=True)  # by MAX_MS

    # The hot path without C. Unrolled by name: a loop over the stages costs a third more.
    @staticmethod
    def _sample(local_ns: int, request_id: bytes, stages: Stages, unknown_ns: int | None) -> Observed:
        """Return the sample of a line, unless it cannot be true. ``local_ns`` is its local time, read as UTC."""
        total_ns = round(stages.total_pre_upstream * 1e6)
        stage_ns = (
            wait_ns := None if (ms := stages.pre_upstream_wait) is None else round(ms * 1e6),
            read_ns := None if (ms := stages.read_request_json) is None else round(ms * 1e6),
            copy_ns := None if (ms := stages.deep_copy) is None else round(ms * 1e6),
            compression_ns := None if (ms := stages.compression_first_stage) is None else round(ms * 1e6),
            memory_ns := None if (ms := stages.memory_context) is None else round(ms * 1e6),
            connect_ns := None if (ms := stages.upstream_connect) is None else round(ms * 1e6),
            None if (ms := stages.upstream_first_byte) is None else round(ms * 1e6),
            unknown_ns,
        )
        wait_ns = wait_ns or 0
        read_ns = read_ns or 0
        copy_ns = copy_ns or 0
        compression_ns = compression_ns or 0
        memory_ns = memory_ns or 0
        connect_ns = connect_ns or 0

        prefix, _, number = request_id.rpartition(b"_")
        began_ns = epoch_ns(prefix)
        if began_ns is None or not number.isdigit():
            return _REQUEST_ID
        logged_ns = logged_at_ns(local_ns, began_ns, total_ns + connect_ns)
        time_ns = logged_ns - connect_ns
        if logged_ns >= _END_NS or time_ns < total_ns:
            return _TIME_REJECTED

        # If stages overlap, the rest may be negative. It is not the largest then.
        compress_ns = copy_ns + compression_ns
        rest_ns = total_ns - wait_ns - read_ns - compress_ns
        cause = _cause(wait_ns, read_ns, compress_ns, rest_ns)
        stage = _longest(wait_ns, read_ns, copy_ns, compression_ns, memory_ns, rest_ns - memory_ns)
        return Sample(time_ns, total_ns, logged_ns, cause, stage, SHAPE, stage_ns)

    def _without_prefix(self, line: bytes) -> Observed:
        """Classify a line without headroom's prefix: it is broken or quoted, or the formatter changed."""
        at = line.find(_MARKER)
        if at < 0:
            return IGNORED
        if line[0] in _HOLES:
            return self.observe(line.lstrip(_HOLES))
        start = line.rfind(b"[", 0, at) + 1
        request_id = line[start : at - 2]
        if not start or line[at - 2 : at] != b"] " or b"]" in request_id:
            return _MISPLACED
        if start == _start_of_id(line):
            raise Drift("headroom: no payload behind STAGE_TIMINGS", hint=HINT)
        formatted = _FORMATTER.match(line)
        if formatted is not None and formatted.end() != start - 1:
            return _MISPLACED  # the known formatter; the marker is within a message
        try:
            payload = decode_any(line[at + len(_MARKER) :])
        except UNREADABLE:
            return _MISPLACED
        known = payload.path in (HTTP, WEB_SOCKET) and payload.event == "stage_timings"
        if known and payload.request_id.encode() == request_id:
            raise Drift("headroom: a STAGE_TIMINGS line with another prefix", hint=HINT)
        return _MISPLACED


_CAUSES = ("wait", "read", "compress", "other")
_LONGEST = (*STAGES[:5], "other")

if _bulk is not None:
    _bulk.configure(
        ("stage_timings", HTTP, WEB_SOCKET),
        _CAUSES,
        _LONGEST,
        STAGES,
        MAX_MS,
        QUARTER_NS,
        SLACK_NS,
        JITTER_NS,
        WEST_NS,
        EAST_NS,
    )


_Values = tuple[list[int], list[int], list[int], list[str], list[str], list[tuple[int | None, ...]]]
"""The fields of :class:`Columns` from ``time_ns`` to ``stage_ns``."""


@native.twin(_bulk)
def _columns(lines: Sequence[bytes]) -> tuple[list[int] | None, _Values] | None:
    return None


def _start_of_id(line: bytes) -> int:
    """Return where the bracketed id starts in a line with headroom's prefix of any level; 0: it has no such prefix."""
    match = _OTHER_LEVEL.match(line)
    return 0 if match is None else match.end()


def _cause(wait: int, read: int, compress: int, other: int) -> str:
    """Return the name of the largest part of a total; of equal ones, the first."""
    if wait >= read and wait >= compress and wait >= other:
        return "wait"
    if read >= compress and read >= other:
        return "read"
    return "compress" if compress >= other else "other"


def _longest(wait: int, read: int, copy: int, compression: int, memory: int, other: int) -> str:
    """Return the longest stage of a total; of equal ones, the first. The upstream's stages are after the total."""
    stage, most = "pre_upstream_wait", wait
    if read > most:
        stage, most = "read_request_json", read
    if copy > most:
        stage, most = "deep_copy", copy
    if compression > most:
        stage, most = "compression_first_stage", compression
    if memory > most:
        stage, most = "memory_context", memory
    return "other" if other > most else stage
