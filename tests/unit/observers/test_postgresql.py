"""PostgreSQL's JSON log: real records, forged ones, time zones, and what is not a sample."""

from __future__ import annotations

import csv
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.postgresql import POSTGRESQL
from otel_logtail.observers.postgresql.observer import COMMANDS, PostgresqlObserver
from otel_logtail.testing import ObserverContract, json_escaped
from otel_logtail.trace import parse_traceparent
from tests.support.places import CAPTURES, ROOT

FOLDER = CAPTURES / "postgresql"
MS = 10**6
SECOND = 10**9
END = 1795965315 * SECOND + 45 * MS  # 2026-11-29T15:15:15.045Z
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RECORD: Mapping[str, Any] = {
    "timestamp": "2026-11-29 15:15:15.045 UTC",
    "user": "shop",
    "dbname": "shop",
    "pid": 10151,
    "remote_host": "127.0.0.1",
    "remote_port": 60210,
    "session_id": "6b0c4182.27a7",
    "line_num": 4,
    "ps": "SELECT",
    "session_start": "2026-11-29 15:15:14 UTC",
    "vxid": "3/0",
    "txid": 0,
    "error_severity": "LOG",
    "message": "duration: 701.957 ms  statement: select pg_sleep(0.7) /*n=12*/",
    "backend_type": "client backend",
    "query_id": 0,
}
LOCK = "process 10151 acquired ShareLock on transaction 740 after 1814.760 ms"
WAITED: Mapping[str, Any] = {
    "ps": "UPDATE waiting",
    "message": LOCK,
    "context": 'while updating tuple (4,98) in relation "t"',
    "statement": "update t set v=v+1 /*n=27*/ where id=1",
}
CHECKPOINT: Mapping[str, Any] = {
    "message": "checkpoint complete: wrote 89 buffers (0.5%); 0 WAL file(s) added, 0 removed, 0 recycled; "
    "write=0.020 s, sync=0.094 s, total=0.148 s; sync files=46, longest=0.005 s, average=0.003 s; "
    "distance=567 kB, estimate=567 kB",
    "backend_type": "checkpointer",
}

observer = PostgresqlObserver(timezone.utc)
with_checkpoints = PostgresqlObserver(timezone.utc, checkpoints=True)


def record(**changed: object) -> bytes:
    """A record as PostgreSQL writes it, without the keys that are None."""
    fields = {name: value for name, value in {**RECORD, **changed}.items() if value is not None}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()


def message(text: str, **changed: object) -> bytes:
    return record(message=text, **changed)


def sample(line: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(line)
    assert isinstance(observed, Sample), observed
    return observed


class TestContract(ObserverContract):
    true_lines: ClassVar = (
        record(message="duration: 701.957 ms  statement: select 'CLIENT'", user="USER", application_name="APP"),
        message("duration: 650.585 ms  execute <unnamed>: select $1, 'CLIENT'", detail="parameters: $1 = 'VALUE'"),
        record(**WAITED),
        record(**CHECKPOINT),
    )
    mark_lines: ClassVar = (message("starting PostgreSQL 15.18 on x86_64, 64-bit", backend_type="postmaster"),)
    other_lines: ClassVar = (
        record(message="connection received: host=127.0.0.1 port=60210"),
        message("duration: 99999.000 ms  statement: forged", context="PL/pgSQL function f() line 1 at RAISE"),
    )
    client_fields: ClassVar = (b"CLIENT", b"USER", b"APP", b"VALUE", b"update t set v=v+1 /*n=27*/ where id=1")

    def observer(self) -> Observer:
        options = {"postgresql_checkpoints": "on", "postgresql_databases": "shop, billing"}
        return POSTGRESQL.make(ObserverContext(timezone=timezone.utc, options=options))

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return json_escaped(text)


# --- real captures ----------------------------------------------------------------------------------------------


def oracle(line: bytes) -> tuple[int, int, str] | str:
    """Read a record by plain json: end and duration in ns, and cause; or a word. No code is the observer's."""
    fields = json.loads(line)
    end_ms = round(datetime.strptime(fields["timestamp"], "%Y-%m-%d %H:%M:%S.%f UTC").timestamp() * 1000)
    text = fields["message"]
    is_raised = "context" in fields or "statement" in fields
    found = {
        "statement": re.match(r"duration: ([\d.]+) ms(?:$|  (?:statement|parse|bind|execute)\b)", text),
        "lock": re.search(r"acquired \w+ on .* after ([\d.]+) ms$", text),
        "checkpoint": re.search(r"^checkpoint complete: .* sync=([\d.]+) s", text),
    }
    for event, match in found.items():
        if match is not None:
            if is_raised and (event != "lock" or " at RAISE" in fields["context"]):
                return "raised"
            return end_ms * MS, round(float(match[1]) * (SECOND if event == "checkpoint" else MS)), event
    return "ignored"


def answer(observed: Observed) -> tuple[int, int, str] | str:
    if isinstance(observed, Sample):
        return observed.time_ns, observed.duration_ns, observed.cause
    return observed.why if isinstance(observed, Rejected) else "ignored"


@pytest.fixture
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_zone("UTC", monkeypatch)


def in_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Change the zone of this machine."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_utc")
@pytest.mark.parametrize(
    ("capture", "samples", "ignored", "raised"), [("postgresql.json", 26, 82, 0), ("raised.json", 2, 13, 2)]
)
def test_every_record_of_a_real_log_reads_as_plain_json_does(
    capture: str, samples: int, ignored: int, raised: int
) -> None:
    lines = (FOLDER / capture).read_bytes().splitlines()
    actual = [answer(with_checkpoints.observe(line)) for line in lines]
    assert actual == [oracle(line) for line in lines]
    kinds = Counter(word if isinstance(word, str) else "sample" for word in actual)
    assert kinds == +Counter(sample=samples, ignored=ignored, raised=raised)


@pytest.mark.parametrize(
    ("capture", "samples", "ignored", "raised"), [("postgresql.json", 24, 84, 0), ("raised.json", 1, 14, 2)]
)
def test_checkpoints_of_a_real_log_are_ignored_by_default(
    capture: str, samples: int, ignored: int, raised: int
) -> None:
    reader = POSTGRESQL.make(ObserverContext())
    found = [reader.observe(line) for line in (FOLDER / capture).read_bytes().splitlines()]
    kinds = Counter(type(observed).__name__ for observed in found)
    assert kinds == +Counter(Sample=samples, Ignored=ignored, Rejected=raised)


def test_breaches_of_a_real_log_are_the_expected_ones() -> None:
    lines = (FOLDER / "postgresql.json").read_bytes().splitlines()
    with (FOLDER / "postgresql.json.expected.tsv").open(encoding="utf-8", newline="") as file:
        expected = [
            (int(row["line"]), row["end_unix_s"], row["logged_ms"], row["cause"])
            for row in csv.DictReader(file, delimiter="\t")
        ]
    slow = [(number, found) for number, line in enumerate(lines, 1) if (found := slow_sample(line)) is not None]
    actual = [
        (number, f"{found.time_ns / SECOND:.3f}", f"{found.duration_ns / MS:.3f}", found.cause)
        for number, found in slow
    ]
    assert actual == expected
    assert sum(found.duration_ns >= 2 * SECOND for _, found in slow) == 3


def slow_sample(line: bytes) -> Sample | None:
    observed = observer.observe(line)
    return observed if isinstance(observed, Sample) and observed.duration_ns >= 500 * MS else None


@pytest.mark.parametrize("capture", ["postgresql.log", "postgresql.csv", "stranger.log"])
def test_other_forms_of_the_log_are_ignored_since_strangers_write_into_them(capture: str) -> None:
    for line in (FOLDER / capture).read_bytes().splitlines():
        assert with_checkpoints.observe(line) == Ignored()


def test_a_real_statement_carries_the_trace_of_its_comment() -> None:
    lines = (FOLDER / "raised.json").read_bytes().splitlines()
    (found,) = [seen for line in lines if isinstance(seen := observer.observe(line), Sample)]
    assert found.trace == parse_traceparent(PARENT) != b""
    assert found.duration_ns == 309_030_000


# --- statements -------------------------------------------------------------------------------------------------


def test_a_statement_ends_at_its_time_and_has_its_duration() -> None:
    found = sample(record())
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (END, END, 701_957_000)
    assert (found.cause, found.stage, found.stage_ns, found.trace) == ("statement", "statement", (), b"")
    assert found.shape.attributes == (("postgresql.command", "SELECT"), ("postgresql.event", "statement"))
    assert sample(record()).shape is found.shape


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "  statement: select 1",
        "  statement: ",
        "  parse <unnamed>: select 1",
        "  bind <unnamed>/portal: select 1",
        "  execute _pg3_0: select 1",
        "  execute a b c: select 1",
        "  execute fetch from _pg3_0/c1: select 1",
        '  fastpath function call: "lo_close" (OID 953)',
    ],
)
def test_all_kinds_of_statements_are_samples(rest: str) -> None:
    assert sample(message(f"duration: 701.957 ms{rest}")).duration_ns == 701_957_000


@pytest.mark.parametrize(
    "text",
    [
        "duration: 701.957 ms  plan:\nQuery Text: select 1\nResult (cost=0.00..0.01 rows=1 width=4)",
        "duration: 701.957 ms statement: select 1",
        "duration: 701.957 msec",
        "statement: select 1 /* duration: 701.957 ms  statement: x */",
        " duration: 701.957 ms  statement: select 1",
        "connection authorized: user=x database=duration: 5.000 ms",
        "",
    ],
)
def test_other_messages_are_ignored(text: str) -> None:
    assert observer.observe(message(text)) == Ignored()


@pytest.mark.parametrize("severity", ["ERROR", "WARNING", "FATAL", "NOTICE", "INFO", "DEBUG1", "log"])
def test_other_severities_are_ignored(severity: str) -> None:
    assert observer.observe(record(error_severity=severity)) == Ignored()


def test_a_record_without_a_message_is_ignored() -> None:
    assert observer.observe(record(message=None)) == Ignored()
    assert observer.observe(record(error_severity=None)) == Ignored()
    assert observer.observe(b'{"timestamp":"2026-11-29 15:15:15.045 UTC"}') == Ignored()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"\t2026",
        b"2026-11-29 15:15:15.045 UTC [1] LOG:  duration: 5.000 ms",
        b' {"timestamp":"x"}',
        b'select \'{"timestamp":"2026-11-29 15:15:15.045 UTC","message":"duration: 5.000 ms"}\'',
    ],
)
def test_lines_that_are_not_records_are_ignored(line: bytes) -> None:
    assert observer.observe(line) == Ignored()


@pytest.mark.parametrize(
    "duration", ["701 ms", "701.95 ms", "701.9570 ms", "701957 us", "0.701957 s", "-701.957 ms", "1,234.567 ms", "x"]
)
def test_a_duration_in_another_form_or_unit_is_drift(duration: str) -> None:
    with pytest.raises(Drift, match="cannot read the duration of a statement"):
        observer.observe(message(f"duration: {duration}  statement: select 1"))


@pytest.mark.parametrize("cut", [1, 20, 40])
def test_a_record_of_a_sample_that_is_cut_is_drift(cut: int) -> None:
    for line in (record(), record(**WAITED), record(**CHECKPOINT)):
        with pytest.raises(Drift, match="cannot read a record"):
            with_checkpoints.observe(line[:-cut])


def test_a_record_that_is_cut_before_its_message_is_ignored() -> None:
    assert with_checkpoints.observe(record()[: record().index(b"duration")]) == Ignored()


def test_a_duration_of_more_than_a_day_is_rejected() -> None:
    assert sample(message("duration: 86400000.000 ms")).duration_ns == 86_400 * SECOND
    assert observer.observe(message("duration: 86400000.001 ms")) == Rejected("bounds")
    assert observer.observe(message("duration: 999999999999999.999 ms")) == Rejected("bounds")


def test_bytes_of_another_encoding_do_no_harm() -> None:
    latin = record(user="USER", message="duration: 701.957 ms  statement: select 'TEXT'", application_name="APP")
    for word in (b"USER", b"TEXT", b"APP"):
        latin = latin.replace(word, b"\xe9\xff\x80")
    assert sample(latin) == sample(record())


# --- forged records ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {"context": "PL/pgSQL function inline_code_block line 1 at RAISE", "statement": "do $$ … $$"},
        {"context": "PL/Perl function f"},
        {"statement": "select f()"},
        {"statement": ""},
    ],
)
@pytest.mark.parametrize("text", ["duration: 99999.000 ms  statement: forged", "duration: 99999.000 ms"])
def test_a_duration_with_a_context_or_a_statement_is_raised(text: str, keys: dict[str, str]) -> None:
    assert observer.observe(message(text, **keys)) == Rejected("raised")


def test_another_message_is_ignored_even_if_it_is_raised() -> None:
    raised = {"context": "PL/pgSQL function f() line 1 at RAISE"}
    assert observer.observe(message("duration: a while", **raised)) == Ignored()
    assert observer.observe(message("checkpoint complete: sync=9.000 s", **raised)) == Ignored()
    assert with_checkpoints.observe(message("checkpoint complete: sync=9.000 s", **raised)) == Rejected("raised")
    assert with_checkpoints.observe(record(**{**CHECKPOINT, "backend_type": "startup"})) == Ignored()


def test_text_in_any_other_key_forges_nothing() -> None:
    forged = 'x","message":"duration: 99999.000 ms'
    keys = dict.fromkeys(("user", "dbname", "application_name", "detail", "hint", "ps"), forged)
    assert sample(record(**keys)).duration_ns == 701_957_000
    assert observer.observe(record(message="connection received: x", **keys)) == Ignored()


# --- locks ------------------------------------------------------------------------------------------------------


def test_a_wait_for_a_lock_has_a_series_of_its_own() -> None:
    found = sample(record(**WAITED))
    assert (found.time_ns, found.duration_ns, found.cause, found.stage) == (END, 1_814_760_000, "lock", "lock")
    assert found.shape.attributes == (("postgresql.command", "UPDATE"), ("postgresql.event", "lock"))


@pytest.mark.parametrize(
    "target",
    [
        "AccessExclusiveLock on relation 16384 of database 5",
        "ExclusiveLock on advisory lock [5,0,1,1]",
        "ShareLock on virtual transaction 3/4",
        "ExclusiveLock on tuple (0,1) of relation 16384 of database 5",
    ],
)
def test_locks_on_anything_are_read(target: str) -> None:
    text = f"process 10151 acquired {target} after 1814.760 ms"
    assert sample(message(text, statement="lock table t")).duration_ns == 1_814_760_000
    assert sample(message(text)).cause == "lock"


@pytest.mark.parametrize(
    "verb", ["still waiting for", "detected deadlock while waiting for", "avoided deadlock for", "failed to acquire"]
)
def test_only_an_acquired_lock_is_a_sample(verb: str) -> None:
    text = f"process 10151 {verb} ShareLock on transaction 740 after 1000.109 ms"
    assert observer.observe(record(**{**WAITED, "message": text})) == Ignored()


@pytest.mark.parametrize(
    "changed",
    [
        {"pid": 10152},
        {"pid": 1015},
        {"pid": None},
        {"context": "PL/pgSQL function inline_code_block line 1 at RAISE"},
        {"context": 'PL/pgSQL function f() line 3 at RAISE\nSQL statement "select f()"'},
    ],
)
def test_a_wait_of_another_process_or_from_a_raise_is_raised(changed: dict[str, object]) -> None:
    assert observer.observe(record(**{**WAITED, **changed})) == Rejected("raised")


def test_a_wait_in_a_function_is_true() -> None:
    context = 'while locking tuple (0,1)\nSQL statement "update t"\nPL/pgSQL function f() line 3 at SQL statement'
    assert sample(record(**{**WAITED, "context": context})).cause == "lock"


def test_locks_can_be_left_out() -> None:
    reader = POSTGRESQL.make(ObserverContext(options={"postgresql_locks": "off"}))
    assert reader.observe(record(**WAITED)) == Ignored()
    assert sample(record(), reader).cause == "statement"


def test_a_wait_of_more_than_a_day_is_rejected() -> None:
    text = LOCK.replace("1814.760", "86400000.001")
    assert observer.observe(record(**{**WAITED, "message": text})) == Rejected("bounds")


# --- checkpoints ------------------------------------------------------------------------------------------------


def test_only_the_sync_of_a_checkpoint_counts_as_its_duration() -> None:
    found = sample(record(**CHECKPOINT), with_checkpoints)
    assert (found.time_ns, found.duration_ns, found.cause, found.stage) == (END, 94 * MS, "checkpoint", "sync")
    assert found.shape.stages == ("write", "sync")
    assert found.stage_ns == (20 * MS, 94 * MS)
    assert found.shape.attributes == (("postgresql.event", "checkpoint"),)
    standby = CHECKPOINT["message"].replace("checkpoint", "restartpoint")
    assert sample(record(**{**CHECKPOINT, "message": standby}), with_checkpoints) == found


@pytest.mark.parametrize(
    "times",
    [
        "write=0.020 s, sync=0.094 s, total=0.112 s",
        "write=86400.000 s, sync=0.094 s, total=99999.000 s",
        "write=0.020 s, sync=86400.000 s, total=99999.000 s",
    ],
)
def test_times_of_a_checkpoint_are_rounded_and_at_most_a_day(times: str) -> None:
    changed = {**CHECKPOINT, "message": f"checkpoint complete: wrote 89 buffers; {times}; sync files=46"}
    sample(record(**changed), with_checkpoints)


def test_a_statement_can_begin_with_the_epoch_but_not_before() -> None:
    first = {"timestamp": "1970-01-01 00:00:01.000 UTC"}
    assert sample(record(**first, message="duration: 1000.000 ms")).duration_ns == SECOND
    assert observer.observe(record(**first, message="duration: 1000.001 ms")) == Rejected("time")


def test_a_checkpoint_is_spread_over_minutes_on_purpose() -> None:
    spread = CHECKPOINT["message"].replace("write=0.020", "write=269.850").replace("total=0.148", "total=270.001")
    assert sample(record(**{**CHECKPOINT, "message": spread}), with_checkpoints).duration_ns == 94 * MS


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sync=0.094", "sync=94.000"),
        ("total=0.148", "total=0.111"),
        ("write=0.020 s, sync=0.094 s, total=0.148", "write=86400.001 s, sync=0.094 s, total=99999.000"),
        ("write=0.020 s, sync=0.094 s, total=0.148", "write=0.020 s, sync=86400.001 s, total=99999.000"),
    ],
)
def test_parts_beyond_the_whole_checkpoint_are_rejected(before: str, after: str) -> None:
    changed = {**CHECKPOINT, "message": CHECKPOINT["message"].replace(before, after)}
    assert with_checkpoints.observe(record(**changed)) == Rejected("bounds")


@pytest.mark.parametrize(("before", "after"), [("sync=0.094 s", "sync=94 ms"), ("write=0.020 s, ", "")])
def test_a_checkpoint_in_another_form_is_drift(before: str, after: str) -> None:
    changed = {**CHECKPOINT, "message": CHECKPOINT["message"].replace(before, after)}
    with pytest.raises(Drift, match="durations of a checkpoint"):
        with_checkpoints.observe(record(**changed))
    assert observer.observe(record(**changed)) == Ignored()


# --- attributes and trace ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ps", "command"),
    [
        ("SELECT", "SELECT"),
        ("CREATE TABLE", "CREATE"),
        ("UPDATE waiting", "UPDATE"),
        ("PARSE", "PARSE"),
        ("select", "_OTHER"),
        ("idle in transaction", "_OTHER"),
        ("authentication", "_OTHER"),
        ("", "_OTHER"),
        (None, "_OTHER"),
    ],
)
def test_the_command_is_the_first_word_of_the_status_out_of_a_list(ps: str | None, command: str) -> None:
    assert dict(sample(record(ps=ps)).shape.attributes)["postgresql.command"] == command
    assert command == "_OTHER" or command in COMMANDS


def test_only_databases_that_are_named_have_series() -> None:
    reader = POSTGRESQL.make(ObserverContext(options={"postgresql_databases": "shop, bücher,"}))

    def database(name: str | None) -> object:
        return dict(sample(record(dbname=name), reader).shape.attributes).get("postgresql.database")

    found = [database(name) for name in ("shop", "bücher", "other", "sho", "", None)]
    assert found == ["shop", "bücher", "_OTHER", "_OTHER", "_OTHER", "_OTHER"]
    assert "postgresql.database" not in dict(sample(record()).shape.attributes)


@pytest.mark.parametrize(
    "end",
    [
        f"/*traceparent='{PARENT}'*/",
        f"/*action='%2Fcart',traceparent='{PARENT}'*/",
        f"/*db_driver='pg',traceparent='{PARENT}',tracestate='congo%3Dt61'*/",
        f"/*traceparent='{PARENT}'*/;",
        f"/*traceparent='{PARENT}'*/ ;\n",
        f"'{PARENT}' /*traceparent='{PARENT}'*/",
    ],
)
def test_the_trace_is_read_from_the_comment_at_the_end(end: str) -> None:
    for kind in ("statement", "execute s1"):
        found = sample(message(f"duration: 701.957 ms  {kind}: select 1 {end}"))
        assert found.trace == parse_traceparent(PARENT)


@pytest.mark.parametrize(
    "end",
    [
        f"/*traceparent='{PARENT}'*/ limit 1",
        f"'traceparent='{PARENT}''",
        f"/*traceparent='{PARENT[:-1]}'*/",
        f"/*traceparent='{PARENT.upper()}'*/",
        f"/*traceparent='01{PARENT[2:]}'*/",
        "/*traceparent='00-00000000000000000000000000000000-00f067aa0ba902b7-01'*/",
        "/*traceparent='*/",
        "traceparent='",
        f"/*traceparent={PARENT}*/",
    ],
)
def test_anything_else_is_not_a_trace(end: str) -> None:
    found = sample(message(f"duration: 701.957 ms  statement: select 1 {end}"))
    assert (found.trace, found.duration_ns) == (b"", 701_957_000)


# --- zones ------------------------------------------------------------------------------------------------------


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000) * MS


@pytest.mark.parametrize(
    ("zone", "stamp", "utc"),
    [
        ("Asia/Kolkata", "2026-11-29 20:45:15.045 IST", "2026-11-29T15:15:15.045+00:00"),
        ("Asia/Jerusalem", "2026-07-29 18:15:15.045 IDT", "2026-07-29T15:15:15.045+00:00"),
        ("Europe/Dublin", "2026-07-29 16:15:15.045 IST", "2026-07-29T15:15:15.045+00:00"),
        ("America/St_Johns", "2026-11-29 11:45:15.045 NST", "2026-11-29T15:15:15.045+00:00"),
        ("America/St_Johns", "2026-07-29 12:45:15.045 NDT", "2026-07-29T15:15:15.045+00:00"),
        ("Europe/Vienna", "2026-10-25 02:30:00.000 CEST", "2026-10-25T00:30:00+00:00"),
        ("Europe/Vienna", "2026-10-25 02:30:00.000 CET", "2026-10-25T01:30:00+00:00"),
        ("America/New_York", "2026-11-01 01:59:59.999 EDT", "2026-11-01T05:59:59.999+00:00"),
        ("America/New_York", "2026-11-01 01:00:00.000 EST", "2026-11-01T06:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-05 01:45:00.000 +1030", "2026-04-04T15:15:00+00:00"),
        ("Europe/Vienna", "2026-11-29 15:15:15.045 UTC", "2026-11-29T15:15:15.045+00:00"),
        ("Europe/Vienna", "2026-11-29 15:15:15.045 GMT", "2026-11-29T15:15:15.045+00:00"),
        ("Europe/Vienna", "2026-11-29 12:15:15.045 -03", "2026-11-29T15:15:15.045+00:00"),
        ("Europe/Vienna", "2026-11-29 21:00:15.045 +0545", "2026-11-29T15:15:15.045+00:00"),
        ("Europe/Vienna", "2026-11-30 05:15:15.045 +14", "2026-11-29T15:15:15.045+00:00"),
    ],
)
def test_times_are_read_in_the_zone_and_with_its_abbreviation(
    zone: str, stamp: str, utc: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = record(timestamp=stamp)
    assert sample(line, PostgresqlObserver(ZoneInfo(zone))).time_ns == moment(utc)
    for _ in in_zone(zone, monkeypatch):
        assert sample(line, PostgresqlObserver(None)).time_ns == moment(utc)


@pytest.mark.parametrize(
    ("zone", "abbreviation"),
    [("UTC", "IST"), ("Europe/Vienna", "EST"), ("Europe/Vienna", "CEST"), ("Asia/Kolkata", "NST"), ("UTC", "local")],
)
def test_a_wrong_zone_is_noticed_by_its_abbreviation(
    zone: str, abbreviation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = record(timestamp=f"2026-11-29 15:15:15.045 {abbreviation}")
    assert PostgresqlObserver(ZoneInfo(zone)).observe(line) == Rejected("time")
    assert PostgresqlObserver(timezone.utc).observe(line) == Rejected("time")
    for _ in in_zone(zone, monkeypatch):
        assert PostgresqlObserver(None).observe(line) == Rejected("time")


def test_a_fixed_offset_has_no_abbreviation_to_compare() -> None:
    reader = PostgresqlObserver(timezone(timedelta(hours=5, minutes=30)))
    line = record(timestamp="2026-11-29 20:45:15.045 IST")
    assert sample(line, reader).time_ns == moment("2026-11-29T15:15:15.045+00:00")


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-13-29 15:15:15.045 UTC",
        "2026-02-29 15:15:15.045 UTC",
        "2026-11-29 24:15:15.045 UTC",
        "2026-11-29 15:15:60.045 UTC",
        "1969-12-31 23:59:59.999 UTC",
        "1970-01-01 00:30:00.000 +01",
        "1970-01-01 00:00:00.500 UTC",
    ],
)
def test_a_time_that_does_not_exist_is_rejected(stamp: str) -> None:
    assert observer.observe(record(timestamp=stamp)) == Rejected("time")
    assert observer.observe(record(timestamp=stamp, **WAITED)) == Rejected("time")


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-11-29 15:15:15 UTC",
        "2026-11-29 15:15:15.045",
        "2026-11-29 15:15:15.045 ",
        "2026-11-29T15:15:15.045Z",
        "2026-11-29 15:15:15.045123 UTC",
        "29/11/2026 15:15:15.045 UTC",
        "1795965315.045",
    ],
)
def test_a_time_in_another_form_is_drift(stamp: str) -> None:
    with pytest.raises(Drift, match="cannot read the time"):
        observer.observe(record(timestamp=stamp))
    with pytest.raises(Drift, match="cannot read the time"):
        with_checkpoints.observe(record(timestamp=stamp, **CHECKPOINT))


# --- the declaration --------------------------------------------------------------------------------------------


def test_each_day_begins_a_live_file_with_a_new_name() -> None:
    rule = observer.paths()
    assert rule.successive
    for name in ("postgresql-2026-11-29_151513.json", "postgresql-Sun.json", "postgresql-15-main.json"):
        assert rule.is_live(name)
        assert rule.attributes_of(name) == ()
    assert not rule.is_live("postgresql-2026-11-29_151513.log")


def test_the_configuration_is_that_of_the_example() -> None:
    assert POSTGRESQL.configuration() == (ROOT / "examples" / "postgresql" / "postgresql.conf").read_text("utf-8")
    assert "log_destination = 'stderr,jsonlog'" in POSTGRESQL.configuration()
    assert POSTGRESQL.no_sample.startswith("the log has no duration of a statement")
