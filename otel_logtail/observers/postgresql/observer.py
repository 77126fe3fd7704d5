r"""Observer of PostgreSQL's ``jsonlog`` (15 or newer): one JSON object a line, one line a record.

A record (shortened)::

    {"timestamp":"2026-11-29 15:15:15.045 UTC","user":"shop","dbname":"shop","pid":10151,"ps":"SELECT",
     "error_severity":"LOG","message":"duration: 701.957 ms  statement: select …","backend_type":"client backend"}

Three kinds of records are samples, each with series of its own (attribute ``postgresql.event``):

==============  ==================================================================  =============================
event           message                                                             duration
==============  ==================================================================  =============================
``statement``   ``duration: 701.957 ms`` alone, or with ``statement: …``,           of the statement, or of its
                ``parse NAME: …``, ``bind NAME: …`` or ``execute NAME: …``          part
``lock``        ``process 10151 acquired ShareLock on … after 1814.760 ms``         of the wait
``checkpoint``  ``checkpoint complete: … write=0.020 s, sync=0.094 s, total=…``      ``sync``: writing is spread
                                                                                    over minutes on purpose
==============  ==================================================================  =============================

A lock's wait is a part of the duration of its statement, so they are never added up.

Every user of the database can write any message with ``RAISE LOG``. PostgreSQL then adds the keys ``context`` and
``statement``, which its own durations never have. A real wait can have both, but its context is not a ``RAISE`` and it
names the process that writes it. Everything else is ``Rejected("raised")``.

Texts from clients stay bytes and are not decoded, since they may be in another encoding than UTF-8. The statement is
read for one thing, the ``traceparent`` in a comment at its end, and is not kept.

The text log (``log_destination = 'stderr'``) is not read. Every client that can connect can write perfect lines into
it, through the names of the user and the database in Debian's ``log_line_prefix``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Mark, Observed, Rejected, Sample
from otel_logtail.observer import Frame, Observer, PathRule
from otel_logtail.observers.http import Shapes
from otel_logtail.observers.postgresql.stamp import Stamps
from otel_logtail.trace import parse_traceparent

MAX_NS = 24 * 3600 * 10**9
OTHER = "_OTHER"

COMMANDS = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "CALL", "DO", "VALUES", "TABLE", "WITH"),
    *("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PREPARE", "EXECUTE", "DEALLOCATE"),
    *("DECLARE", "FETCH", "MOVE", "CLOSE", "LOCK", "SET", "RESET", "SHOW", "EXPLAIN", "PARSE", "BIND"),
    *("CREATE", "ALTER", "DROP", "TRUNCATE", "VACUUM", "ANALYZE", "REINDEX", "CLUSTER", "REFRESH"),
    *("GRANT", "REVOKE", "COMMENT", "CHECKPOINT", "DISCARD", "LISTEN", "NOTIFY", "UNLISTEN"),
)
"""First words of ``ps``, the status of the process, that are values of ``postgresql.command``."""
_COMMANDS = {name.encode(): name for name in COMMANDS}

_MARKER = b'{"timestamp":"'
_LOG = b'"LOG"'
_STATEMENT = b'"duration: '
_PROCESS = b'"process '
_CHECKPOINTS = (b'"checkpoint complete: ', b'"restartpoint complete: ')
_DURATION = re.compile(rb'"duration: (\d{1,15})\.(\d{3}) ms')
_OF_STATEMENT = re.compile(rb'"|  (?:statement|(?:parse|bind|execute) [^:]*|fastpath function call):')
_LOCK = re.compile(rb'"process (\d+) acquired [A-Za-z]+ on .* after (\d{1,15})\.(\d{3}) ms"')
_CHECKPOINT = re.compile(
    rb'"(?:checkpoint|restartpoint) complete: .*'
    rb"write=(\d{1,9})\.(\d{3}) s, sync=(\d{1,9})\.(\d{3}) s, total=(\d{1,9})\.(\d{3}) s"
)
_TRACEPARENT = b"traceparent='"
_COMMENT_END = re.compile(rb"'(?:,[^*]*)?\*/(?:[ ;]|\\[nrt])*\"")
_RAISE = b" at RAISE"
_STARTING = b"starting PostgreSQL "
_VERSION = re.compile(rb'"starting PostgreSQL ([0-9A-Za-z.+~-]{1,60})[ "].*')
_POSTMASTER = b'"postmaster"'
_ROUNDING_NS = 2 * 10**6

_IGNORED = Ignored()
_BOUNDS = Rejected("bounds")
_RAISED = Rejected("raised")
_TIME = Rejected("time")

_HINT = "PostgreSQL may have changed its log: look for a newer otel-logtail, or report the line"


class _Record(msgspec.Struct, gc=False):
    """The fields that are used, as they are in the line (strings with their quotes); empty: the field is missing."""

    timestamp: msgspec.Raw = msgspec.Raw()
    error_severity: msgspec.Raw = msgspec.Raw()
    message: msgspec.Raw = msgspec.Raw()
    pid: msgspec.Raw = msgspec.Raw()
    ps: msgspec.Raw = msgspec.Raw()
    dbname: msgspec.Raw = msgspec.Raw()
    context: msgspec.Raw = msgspec.Raw()
    statement: msgspec.Raw = msgspec.Raw()
    backend_type: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Record).decode


class PostgresqlObserver(Observer):
    """Reads slow statements, waits for locks and checkpoints from PostgreSQL's JSON log.

    Args:
        zone: That of ``log_timezone``, if the log has an ambiguous abbreviation (None: the machine's).
        locks: Whether waits for locks are samples.
        checkpoints: Whether checkpoints are samples.
        databases: The databases that are values of the attribute ``postgresql.database``.
    """

    name = "postgresql"
    source = "postgresql"
    marker = b""  # each line is counted: the others are ignored
    mark_needle = _STARTING

    def __init__(
        self, zone: tzinfo | None, *, locks: bool = True, checkpoints: bool = False, databases: Sequence[str] = ()
    ) -> None:
        self._stamps = Stamps(zone)
        self._locks = locks
        self._checkpoints = checkpoints
        self._databases = {msgspec.json.encode(name): name for name in databases}
        self._shapes = Shapes((), ("postgresql.event", "postgresql.command", "postgresql.database"))
        self._checkpoint_shape = Shapes(("write", "sync"), ("postgresql.event",)).of("checkpoint")

    def paths(self) -> PathRule:
        """Return the folder ``log`` of data directories. Each day and each 10 MB begins a new file, with a new name."""
        return PathRule(
            patterns=(
                "${PGDATA}/log/postgresql*.json",
                "/var/lib/postgresql/*/*/log/postgresql*.json",
                "/var/lib/pgsql/data/log/postgresql*.json",
                "/var/lib/pgsql/*/data/log/postgresql*.json",
                "/var/log/postgresql/postgresql*.json",
            ),
            live=r"postgresql.*\.json",
            successive=True,
        )

    def observe(self, line: bytes) -> Observed:
        """Read one record.

        Raises:
            Drift: the record of a sample is cut, or has a duration or time of another form.
        """
        if not line.startswith(_MARKER) or not self._may_be_sample(line):
            return _IGNORED
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Drift(f"postgresql: cannot read a record: {error}", hint=_HINT) from error
        message = bytes(record.message)
        if bytes(record.error_severity) != _LOG:
            return _IGNORED
        if message.startswith(_STATEMENT):
            return self._read_statement(record, message)
        if message.startswith(_PROCESS):
            return self._read_lock(record, message) if self._locks else _IGNORED
        if self._checkpoints and message.startswith(_CHECKPOINTS):
            return self._read_checkpoint(record, message)
        return _IGNORED

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark | None:
        """Return the start of the server, with its version. Only the record of the postmaster is one."""
        if not line.startswith(_MARKER):
            return None
        try:
            record = _decode(line)
        except (msgspec.MsgspecError, RecursionError):
            return None
        match = _VERSION.fullmatch(bytes(record.message))
        if match is None or bytes(record.backend_type) != _POSTMASTER or bytes(record.error_severity) != _LOG:
            return None
        started_ns = self._stamps.read(bytes(record.timestamp))
        if started_ns is None or started_ns < 0:
            return None
        return Mark(started_ns, f"PostgreSQL {match[1].decode()} started")

    def _may_be_sample(self, line: bytes) -> bool:
        """Return whether a record has the words of a sample in it. Most have none, and need not be decoded."""
        return (
            _STATEMENT in line
            or (self._locks and _PROCESS in line)
            or (self._checkpoints and b"point complete: " in line)
        )

    def _read_statement(self, record: _Record, message: bytes) -> Observed:
        match = _DURATION.match(message)
        is_raised = bool(bytes(record.context) or bytes(record.statement))
        if match is None:
            if is_raised:
                return _IGNORED
            raise Drift("postgresql: cannot read the duration of a statement", hint=_HINT)
        if _OF_STATEMENT.match(message, match.end()) is None:
            return _IGNORED  # auto_explain logs the plan of a statement, with its duration again
        if is_raised:
            return _RAISED
        return self._sample(record, "statement", _ns(match[1], match[2], 10**6), _trace(message))

    def _read_lock(self, record: _Record, message: bytes) -> Observed:
        match = _LOCK.fullmatch(message)
        if match is None:
            return _IGNORED  # it still waits, or found a deadlock
        if match[1] != bytes(record.pid) or _RAISE in bytes(record.context):
            return _RAISED
        return self._sample(record, "lock", _ns(match[2], match[3], 10**6), b"")

    def _sample(self, record: _Record, event: str, duration_ns: int, trace: bytes) -> Observed:
        ended_ns = self._ended_ns(record)
        if duration_ns > MAX_NS:
            return _BOUNDS
        if ended_ns < duration_ns:
            return _TIME
        command = bytes(record.ps)[1:-1].partition(b" ")[0]
        database = self._databases.get(bytes(record.dbname), OTHER) if self._databases else ""
        shape = self._shapes.of(event, _COMMANDS.get(command, OTHER), database)
        return Sample(ended_ns, duration_ns, ended_ns, event, event, shape, (), trace)

    def _read_checkpoint(self, record: _Record, message: bytes) -> Observed:
        if bytes(record.backend_type) != b'"checkpointer"':
            return _RAISED if bytes(record.context) or bytes(record.statement) else _IGNORED
        match = _CHECKPOINT.match(message)
        if match is None:
            raise Drift("postgresql: cannot read the durations of a checkpoint", hint=_HINT)
        write_ns, sync_ns, total_ns = (_ns(match[at], match[at + 1], 10**9) for at in (1, 3, 5))
        ended_ns = self._ended_ns(record)
        if write_ns + sync_ns > total_ns + _ROUNDING_NS or write_ns > MAX_NS or sync_ns > MAX_NS:
            return _BOUNDS
        if ended_ns < sync_ns:
            return _TIME
        shape = self._checkpoint_shape
        return Sample(ended_ns, sync_ns, ended_ns, "checkpoint", "sync", shape, (write_ns, sync_ns))

    def _ended_ns(self, record: _Record) -> int:
        """Return when a record was written; negative: there is no such time.

        Raises:
            Drift: its time has another form.
        """
        ended_ns = self._stamps.read(bytes(record.timestamp))
        if ended_ns is None:
            raise Drift("postgresql: cannot read the time of a record", hint=_HINT)
        return ended_ns


def _trace(message: bytes) -> bytes:
    """Return the trace context in the comment at the end of a statement, as sqlcommenter writes it; else empty."""
    at = message.rfind(_TRACEPARENT)
    if at < 0:
        return b""
    begin = at + len(_TRACEPARENT)
    end = message.find(b"'", begin)
    if end < 0 or _COMMENT_END.fullmatch(message, end) is None:
        return b""
    return parse_traceparent(message[begin:end])


def _ns(whole: bytes, milli: bytes, unit_ns: int) -> int:
    """Return nanoseconds. ``milli`` are the three digits behind the point."""
    return int(whole) * unit_ns + int(milli) * unit_ns // 1000
