r"""The headroom LLM proxy: what its ``STAGE_TIMINGS`` lines say, and which of them can be believed.

A line (of ``emit_stage_timings_log`` in headroom's ``proxy/stage_timer.py``; the same from 0.14.5 to 0.42.0)::

    2026-11-23 18:16:10,245 - headroom.proxy - INFO - [hr_1795457770_000001] STAGE_TIMINGS {"event": "stage_timings", …}

The time is local, without an offset; durations are float milliseconds. The middle field of the request id is the UTC
second in which the request came in, so the zone follows from the line itself: it is the quarter of an hour that brings
both clocks together, whatever DST does. The time of a line whose id has no such field cannot be checked against
anything, so that line is rejected. No known version of headroom writes one.

A client of the proxy can put a newline into the name of a model, and so write any line it likes into this log. So a
line is taken as a sample only if all of it fits together, and neither paths nor stages get a name on its word.

What becomes of a line that holds the marker:

======================================================  ==================================================
prefix in its place, payload can't be decoded           ``Drift``: upstream changed what it writes
another prefix, bracketed id and payload fit            ``Drift``: upstream (or its user) changed the formatter
marker anywhere else                                    ``Rejected("misplaced")``: quoted, or a broken line
readable, and can't be true                             ``Rejected``: ``unknown_path``, ``event``, ``request_id``,
                                                        ``bounds``, ``time``
a WebSocket session (it has no total)                   ``Ignored``
======================================================  ==================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from operator import add, ge, sub
from typing import Annotated

import msgspec

from otel_logtail import native
from otel_logtail.errors import Drift
from otel_logtail.model import Columns, Ignored, Observed, Rejected, Sample, Shape
from otel_logtail.observer import Observer, ObserverContext, PathRule

STAGES = (
    "pre_upstream_wait",
    "read_request_json",
    "deep_copy",
    "compression_first_stage",
    "memory_context",
    "upstream_connect",
    "upstream_first_byte",
)
"""The stages of a request that have a name here; all others add up under ``unknown``."""
_HTTP, _WEB_SOCKET = "anthropic_messages", "openai_responses_ws"
SHAPE = Shape(stages=(*STAGES, "unknown"), attributes=(("headroom.path", _HTTP),))

MAX_MS = 24 * 3_600_000.0
SLACK_NS = 60 * 10**9
"""How much longer than its own durations a request may have been under way when its line was written."""
JITTER_NS = 10**9
"""How far a line may lie before its request: clocks are set back, and the log truncates."""

_QUARTER_NS = 15 * 60 * 10**9  # every zone in use is a multiple of it from UTC
_HALF_NS = _QUARTER_NS // 2
_WEST_NS = -12 * 3600 * 10**9
_EAST_NS = 14 * 3600 * 10**9
_END_NS = 2**63  # what the store can hold: the year 2262
_EPOCH_DIGITS = 12  # seconds; more are no time, and much more is no int either

_HINT = "headroom may have changed its log: look for a newer otel-logtail, or report the line"

_MARKER = b"STAGE_TIMINGS"
_AFTER_ID = b"] STAGE_TIMINGS "
_AFTER_TIME = b" - headroom.proxy - INFO - ["
_TIME = 23  # bytes of "2026-11-23 18:16:10,245"
_ID = _TIME + len(_AFTER_TIME)
_SECOND = re.compile(rb"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d),")
_OTHER_LEVEL = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - headroom\.proxy - [A-Z]+ - \[")
_HEAD = re.compile(
    rb"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,)(\d{3}) - headroom\.proxy - INFO - \[(hr_(\d{1,12})_\d+)\n", re.MULTILINE
)
_TWO_VALUES = re.compile(rb"}[ \t\r]*{")
"""In one line; another value may then lie in two lines, and the decoder would count what is forged so as two lines."""
_FORMATTER = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - [\w.]+ - [A-Z]+ - ")
_HOLES = b"\xef\xbb\xbf\0"  # a byte order mark, or the hole that a truncation leaves in front of the next line

_NAIVE_EPOCH = datetime(1970, 1, 1)
_MILLISECONDS = {b"%03d" % ms: ms * 10**6 for ms in range(1000)}

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_EVENT = Rejected("event")
_MISPLACED = Rejected("misplaced")
_REQUEST_ID = Rejected("request_id")
_TIME_REJECTED = Rejected("time")
_UNKNOWN_PATH = Rejected("unknown_path")

_Ms = Annotated[float, msgspec.Meta(ge=0, le=MAX_MS)]


class _Stages(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Milliseconds of a request's stages; None: the stage did not run. They need not add up to the total."""

    total_pre_upstream: _Ms
    pre_upstream_wait: _Ms | None = None
    read_request_json: _Ms | None = None
    deep_copy: _Ms | None = None
    compression_first_stage: _Ms | None = None
    memory_context: _Ms | None = None
    upstream_connect: _Ms | None = None
    upstream_first_byte: _Ms | None = None


class _Request(msgspec.Struct, gc=False):
    """The payload of a request as we know it: what lines are decoded by, at once and within its bounds, one by one."""

    event: str
    path: str
    request_id: str
    stages: _Stages


class _HttpRequest(msgspec.Struct, tag_field="path", tag=_HTTP, gc=False):
    """The same, told apart from other payloads by its path while many are decoded at once."""

    event: str
    request_id: str
    stages: _Stages


class _WebSocket(msgspec.Struct, tag_field="path", tag=_WEB_SOCKET, gc=False):
    """The payload of a WebSocket session: what it must be to be ignored."""

    event: str
    request_id: str
    stages: dict[str, float | None]


class _AnyRequest(msgspec.Struct):
    """The payload of any path, with any stages: what a line must be at least to be read."""

    event: str
    path: str
    request_id: str
    stages: dict[str, float | None]


_decode_request = msgspec.json.Decoder(_Request).decode
_decode_lines = msgspec.json.Decoder(_HttpRequest | _WebSocket).decode_lines
_decode_any = msgspec.json.Decoder(_AnyRequest).decode
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class HeadroomObserver(Observer):
    """Takes a line of headroom's proxy log (0.14.5 to 0.42.0 are known), gives the overhead of its request.

    A sample is all that happened before the upstream was called (``total_pre_upstream``): it ended when the line was
    written, less ``upstream_connect`` where that is given, since headroom then logs after the upstream's answer.
    """

    name = "headroom"
    source = "headroom-proxy"
    marker = _MARKER

    def __init__(self, context: ObserverContext) -> None:
        del context  # the ids of requests hold the zone
        # Many lines share a second. A memo, nothing more: one tuple, so that it is never seen half changed.
        self._second = (b"1970-01-01 00:00:00,", 0)

    def paths(self) -> PathRule:
        """Where headroom logs: one file a port, or one a port and worker (whose pid names no series: it never ends).

        headroom writes into the workspace directory only if its variable is set; a pattern that names a variable which
        isn't set is dropped by the tail, which leaves the default in the home directory. Captured stdout
        (``proxy-stdio-…``) repeats every line.
        """
        return PathRule(
            patterns=("${HEADROOM_WORKSPACE_DIR}/logs/proxy*.log", "~/.headroom/logs/proxy*.log"),
            live=r"proxy(?:-(?P<port>\d+)(?:-\d+)?)?\.log",
            ignore=r"proxy-stdio-",
            attributes=(("port", "server.port"),),
        )

    def observe(self, line: bytes) -> Observed:
        """Read one line, as the table above says; times are ns since the epoch (UTC), durations ns.

        Raises:
            Drift: a line of headroom's that can't be read any more.
        """
        start = _ID if line.startswith(_AFTER_TIME, _TIME) else _start_of_id(line)
        end = line.find(b"]", start)
        millisecond_ns = _MILLISECONDS.get(line[20:_TIME])
        if not start or not line.startswith(_AFTER_ID, end) or millisecond_ns is None:
            return self._without_prefix(line)
        second, second_ns = self._second
        if not line.startswith(second):
            match = _SECOND.match(line)
            if match is None:
                return self._without_prefix(line)
            second_ns = _naive_ns(match)
            self._second = (match[0], second_ns)

        payload = line[end + len(_AFTER_ID) :]
        unknown_ns = None
        try:
            request = _decode_request(payload)
        except _UNREADABLE:
            found = _read_slowly(payload)
            if not isinstance(found, tuple):
                return found
            request, unknown_ns = found
        if request.path != _HTTP:
            return _IGNORED if request.path == _WEB_SOCKET else _UNKNOWN_PATH
        if request.event != "stage_timings":
            return _EVENT
        request_id = line[start:end]
        if request.request_id.encode() != request_id:
            return _REQUEST_ID
        if second_ns < 0:
            return _TIME_REJECTED
        return self._sample(second_ns + millisecond_ns, request_id, request.stages, unknown_ns)

    def observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        """The same for many lines, none of which is out of the ordinary: column by column, nearly all of it in C."""
        return self._observe_all(lines) if _bulk is None else _observe_compiled(lines)

    def _observe_all(self, lines: Sequence[bytes]) -> Columns | None:
        parts = [line.partition(_AFTER_ID) for line in lines]
        heads = _HEAD.findall(b"\n".join([head for head, _, _ in parts]) + b"\n")
        if len(heads) != len(parts):
            return None
        payloads = b"\n".join([payload for _, _, payload in parts])
        if _TWO_VALUES.search(payloads):
            return None
        try:
            requests = _decode_lines(payloads)
        except _UNREADABLE:
            return None
        seconds, millis, ids, epochs = zip(*heads, strict=True)
        if len(requests) != len(parts) or "\n".join([r.request_id for r in requests]) != b"\n".join(ids).decode():
            return None
        kept = None
        http = [request for request in requests if isinstance(request, _HttpRequest)]
        if len(http) != len(requests):
            kept = [place for place, request in enumerate(requests) if isinstance(request, _HttpRequest)]
            seconds, millis, epochs = (tuple(column[place] for place in kept) for column in (seconds, millis, epochs))
            if not kept:
                return Columns(SHAPE, (), (), (), (), (), (), ())
        if any(request.event != "stage_timings" for request in http):
            return None
        naive = {second: _naive_ns(match) for second in set(seconds) if (match := _SECOND.match(second))}
        if min(naive.values()) < 0:
            return None
        local_ns = [naive[second] + _MILLISECONDS[ms] for second, ms in zip(seconds, millis, strict=True)]
        began = {epoch: int(epoch) * 10**9 for epoch in set(epochs)}
        return _columns(kept, local_ns, [began[epoch] for epoch in epochs], [request.stages for request in http])

    # The hot path from here on: unrolled by name, since a loop over the stages costs a third more.
    @staticmethod
    def _sample(local_ns: int, request_id: bytes, stages: _Stages, unknown_ns: int | None) -> Observed:
        """The sample of a line written at ``local_ns`` (its local time read as UTC), unless it can't be true."""
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

        began_ns = _epoch_ns(request_id)
        if began_ns is None:
            return _REQUEST_ID
        logged_ns = _logged_ns(local_ns, began_ns, total_ns + connect_ns)
        time_ns = logged_ns - connect_ns
        if logged_ns >= _END_NS or time_ns < total_ns:
            return _TIME_REJECTED

        # The rest may be negative where stages overlap; it can't be the largest then, so it needs no clamp.
        compress_ns = copy_ns + compression_ns
        rest_ns = total_ns - wait_ns - read_ns - compress_ns
        cause = _cause(wait_ns, read_ns, compress_ns, rest_ns)
        stage = _longest(wait_ns, read_ns, copy_ns, compression_ns, memory_ns, rest_ns - memory_ns)
        return Sample(time_ns, total_ns, logged_ns, cause, stage, SHAPE, stage_ns)

    def _without_prefix(self, line: bytes) -> Observed:
        """A line whose prefix is not headroom's: a broken or quoted line, or the sign that the formatter changed."""
        at = line.find(_MARKER)
        if at < 0:
            return _IGNORED
        if line[0] in _HOLES:
            return self.observe(line.lstrip(_HOLES))
        start = line.rfind(b"[", 0, at) + 1
        request_id = line[start : at - 2]
        if not start or line[at - 2 : at] != b"] " or b"]" in request_id:
            return _MISPLACED
        if start == _start_of_id(line):
            raise Drift("headroom: no payload behind STAGE_TIMINGS", hint=_HINT)
        formatted = _FORMATTER.match(line)
        if formatted is not None and formatted.end() != start - 1:
            return _MISPLACED  # the formatter is the one we know, and this is in the midst of its message
        try:
            payload = _decode_any(line[at + len(_MARKER) :])
        except _UNREADABLE:
            return _MISPLACED
        known = payload.path in (_HTTP, _WEB_SOCKET) and payload.event == "stage_timings"
        if known and payload.request_id.encode() == request_id:
            raise Drift("headroom: a STAGE_TIMINGS line with another prefix", hint=_HINT)
        return _MISPLACED


_CAUSES = ("wait", "read", "compress", "other")
_LONGEST = (*STAGES[:5], "other")

_bulk = native.helper("observers.headroom._bulk")
if _bulk is not None:
    _bulk.configure(
        ("stage_timings", _HTTP, _WEB_SOCKET),
        _CAUSES,
        _LONGEST,
        STAGES,
        MAX_MS,
        _QUARTER_NS,
        SLACK_NS,
        JITTER_NS,
        _WEST_NS,
        _EAST_NS,
    )


def _observe_compiled(lines: Sequence[bytes]) -> Columns | None:
    columns = _bulk.columns(lines)
    if columns is None:
        return None
    kept, (time_ns, total_ns, logged_ns, causes, longest, stage_ns) = columns
    return Columns(SHAPE, kept, time_ns, total_ns, logged_ns, causes, longest, stage_ns, bounded=True)  # by MAX_MS


def _columns(
    kept: Sequence[int] | None, local_ns: list[int], began_ns: list[int], requests: list[_Stages]
) -> Columns | None:
    """What :meth:`HeadroomObserver._sample` says of each; None where one is rejected, or lies in another zone."""
    total_ms, *stages_ms = zip(*map(msgspec.structs.astuple, requests), strict=True)
    total_ns = [round(ms * 1e6) for ms in total_ms]
    number = len(total_ns)
    zeros = [0] * number
    stage_ns: list[Sequence[int | None]] = []
    filled: list[list[int]] = []  # the same with 0 for None
    for column in stages_ms:
        missing = column.count(None)
        if missing == number:
            stage_ns.append((None,) * number)
            filled.append(zeros)
        elif missing:
            stage_ns.append([None if ms is None else round(ms * 1e6) for ms in column])
            filled.append([ns or 0 for ns in stage_ns[-1]])
        else:
            filled.append([round(ms * 1e6) for ms in column])
            stage_ns.append(filled[-1])
    stage_ns.append((None,) * number)  # unknown: a line with one is decoded in the other way
    wait, read, copy, compression, memory, connect, _ = filled

    took = total_ns if connect is zeros else list(map(add, total_ns, connect))
    past = list(map(sub, local_ns, began_ns))
    ahead = list(map(sub, past, took))
    zone_ns = (min(ahead) + _HALF_NS) // _QUARTER_NS * _QUARTER_NS
    if (
        max(ahead) - zone_ns > SLACK_NS  # late, or another zone
        or not _WEST_NS <= zone_ns <= _EAST_NS
        or min(past) - zone_ns < -JITTER_NS
    ):
        return None
    logged_ns = [ns - zone_ns for ns in local_ns]
    time_ns = logged_ns if connect is zeros else list(map(sub, logged_ns, connect))
    if max(logged_ns) >= _END_NS or not all(map(ge, time_ns, total_ns)):
        return None

    compress = copy if compression is zeros else list(map(add, copy, compression))
    rest = list(map(sub, map(sub, map(sub, total_ns, wait), read), compress))
    other = rest if memory is zeros else list(map(sub, rest, memory))
    causes = [_CAUSES[shares.index(max(shares))] for shares in zip(wait, read, compress, rest, strict=True)]
    longest = [
        _LONGEST[shares.index(max(shares))] for shares in zip(wait, read, copy, compression, memory, other, strict=True)
    ]
    rows = list(zip(*stage_ns, strict=True))
    return Columns(SHAPE, kept, time_ns, total_ns, logged_ns, causes, longest, rows, bounded=True)  # by _Ms


def _start_of_id(line: bytes) -> int:
    """Where the bracketed id begins in a line that has headroom's prefix, of whatever level; 0: it hasn't."""
    match = _OTHER_LEVEL.match(line)
    return 0 if match is None else match.end()


def _cause(wait: int, read: int, compress: int, other: int) -> str:
    """The largest share of a total, the first of equal ones."""
    if wait >= read and wait >= compress and wait >= other:
        return "wait"
    if read >= compress and read >= other:
        return "read"
    return "compress" if compress >= other else "other"


def _longest(wait: int, read: int, copy: int, compression: int, memory: int, other: int) -> str:
    """The longest stage of a total, the first of equal ones; the upstream's own lie behind the total."""
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


def _epoch_ns(request_id: bytes) -> int | None:
    """The time in the middle of a request's id; None: it has none."""
    fields = request_id.split(b"_")
    if len(fields) != 3 or fields[0] != b"hr" or not fields[1].isdigit() or not fields[2].isdigit():
        return None
    return int(fields[1][: _EPOCH_DIGITS + 1]) * 10**9  # a longer one is out of range however it goes on


def _logged_ns(local_ns: int, began_ns: int, took_ns: int) -> int:
    """When the line was written, in UTC, for a request that took ``took_ns``; -1 if that can't be true."""
    ahead_ns = local_ns - began_ns - took_ns
    late_ns = (ahead_ns + _HALF_NS) % _QUARTER_NS - _HALF_NS  # what the zone, whole quarters, does not explain
    under_way_ns = took_ns + late_ns
    if late_ns > SLACK_NS or under_way_ns < -JITTER_NS or not _WEST_NS <= ahead_ns - late_ns <= _EAST_NS:
        return -1
    return began_ns + under_way_ns


def _naive_ns(second: re.Match[bytes]) -> int:
    """``2026-11-23 18:16:10,`` read as if it were UTC; -1: there is no such date or time (or it is before 1970)."""
    try:
        year, month, day, hour, minute, second_of_minute = map(int, second.groups())
        since = datetime(year, month, day, hour, minute, second_of_minute) - _NAIVE_EPOCH
    except ValueError:
        return -1
    return (since.days * 86_400 + since.seconds) * 10**9


def _read_slowly(payload: bytes) -> tuple[_Request, int | None] | Ignored | Rejected:
    """A payload that isn't a request as we know it: a request and the sum of its unknown stages, or what else it is.

    Raises:
        Drift: it can't be read, as the textual form that headroom falls back to when JSON fails; or it has no total.
    """
    try:
        request = _decode_any(payload)
    except _UNREADABLE as error:
        raise Drift(f"headroom: can't read what is behind STAGE_TIMINGS: {error}", hint=_HINT) from error
    if request.path != _HTTP:
        return _IGNORED if request.path == _WEB_SOCKET else _UNKNOWN_PATH
    if request.event != "stage_timings":
        return _EVENT
    stages = {name: ms for name, ms in request.stages.items() if ms is not None}
    total = stages.pop("total_pre_upstream", None)
    if total is None:
        raise Drift("headroom: a request without total_pre_upstream", hint=_HINT)
    known = _Stages(total, *(stages.pop(name, None) for name in STAGES))
    unknown = sum(stages.values()) if stages else None
    if not all(0 <= ms <= MAX_MS for ms in (unknown or 0.0, *request.stages.values()) if ms is not None):
        return _BOUNDS
    return (
        _Request(request.event, request.path, request.request_id, known),
        None if unknown is None else round(unknown * 1e6),
    )
