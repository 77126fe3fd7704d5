"""asyncio's slow callbacks: real lines, formats of applications, zones, and what is not a sample."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import re
from collections import Counter
from datetime import datetime, timezone
from typing import ClassVar
from zoneinfo import ZoneInfo

import pytest

from otel_logtail.engine.hits import Thresholds
from otel_logtail.engine.scan import scan
from otel_logtail.errors import Drift, UsageError
from otel_logtail.model import Ignored, Rejected, Sample
from otel_logtail.observer import Frame, Observer, ObserverContext
from otel_logtail.observers.asyncio import ASYNCIO
from otel_logtail.observers.asyncio.observer import SHAPE, AsyncioObserver
from otel_logtail.testing import ObserverContract
from otel_logtail.testing.wrappers import cri
from tests.support.places import CAPTURES, ROOT

FOLDER = CAPTURES / "asyncio"
MS = 10**6
SECOND = 10**9
END = 1795966335 * SECOND + 997 * MS  # 2026-11-29T15:32:15.997Z
MESSAGE = (
    b"Executing <Task finished name='Task-3' coro=<block() done, defined at /srv/app/slow.py:5> result=None "
    b"created at /usr/lib/python3.11/asyncio/tasks.py:384> took 0.702 seconds"
)
LINE = b"2026-11-29 15:32:15,997 asyncio WARNING " + MESSAGE

observer = AsyncioObserver(timezone.utc)


def sample(line: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(line)
    assert isinstance(observed, Sample), observed
    return observed


def reader_of(form: str) -> Observer:
    return ASYNCIO.make(ObserverContext(timezone=timezone.utc, options={"asyncio_format": form}))


def written(form: str, datefmt: str | None = None) -> bytes:
    """Return the line of Python's own formatter, as of the time of the capture, in UTC."""
    record = logging.LogRecord("asyncio", logging.WARNING, "/base_events.py", 1931, MESSAGE.decode(), (), None)
    record.created, record.msecs = END / SECOND, 997.0
    formatter = logging.Formatter(form, datefmt)
    formatter.converter = lambda seconds: datetime.fromtimestamp(seconds or 0, timezone.utc).timetuple()
    return formatter.format(record).encode()


class TestContract(ObserverContract):
    true_lines: ClassVar = (
        LINE,
        b"2026-11-29 15:32:19,200 asyncio WARNING "
        b"Executing <Handle cb('ARGUMENT') at /srv/app/slow.py:7 created at /srv/app/slow.py:11> took 0.600 seconds",
        LINE.replace(b"'Task-3'", b"'TASK NAME'"),
    )
    client_fields: ClassVar = (b"ARGUMENT", b"TASK NAME")

    def observer(self) -> Observer:
        return ASYNCIO.make(ObserverContext(timezone=timezone.utc))

    def write(self, text: bytes, field: bytes) -> bytes | None:
        return repr(text.decode(errors="replace"))[1:-1].encode(errors="backslashreplace")


class TestContractWithFormat(TestContract):
    def observer(self) -> Observer:
        return reader_of("%(asctime)s %(name)s %(levelname)s %(message)s")


# --- real captures ----------------------------------------------------------------------------------------------


def test_every_line_of_a_real_log_reads_as_by_hand() -> None:
    kinds: Counter[str] = Counter()
    for line in (FOLDER / "asyncio.log").read_bytes().splitlines():
        found = observer.observe(line)
        kinds[type(found).__name__] += 1
        match = re.match(r"(\S+ \S+),(\d+) asyncio WARNING Executing .* took (\d+\.\d+) seconds$", line.decode())
        if isinstance(found, Sample):
            assert match is not None
            moment = datetime.strptime(f"{match[1]} +0000", "%Y-%m-%d %H:%M:%S %z")
            assert found.time_ns == found.logged_ns == (round(moment.timestamp()) * 1000 + int(match[2])) * MS
            assert found.duration_ns == round(float(match[3]) * 1000) * MS
        else:
            assert match is None
    assert kinds == {"Sample": 7, "Ignored": 2}


def test_breaches_of_a_real_log_are_the_expected_ones() -> None:
    with (FOLDER / "asyncio.log.expected.tsv").open(encoding="utf-8", newline="") as file:
        expected = [
            (int(row["line"]), row["end_unix_s"], row["logged_ms"], row["cause"])
            for row in csv.DictReader(file, delimiter="\t")
        ]
    actual, stalls = [], 0
    for number, line in enumerate((FOLDER / "asyncio.log").read_bytes().splitlines(), 1):
        found = observer.observe(line)
        if isinstance(found, Sample) and found.duration_ns >= 500 * MS:
            stalls += found.duration_ns >= 2000 * MS
            actual.append((number, f"{found.time_ns / SECOND:.3f}", f"{found.duration_ns / MS:.3f}", found.cause))
    assert actual == expected
    assert (len(actual), stalls) == (6, 1)


def test_the_callbacks_themselves_measured_the_same() -> None:
    truth = [json.loads(line) for line in (FOLDER / "truth.jsonl").read_text().splitlines()]
    lines = (FOLDER / "asyncio.log").read_bytes().splitlines()
    found = [seen for line in lines if isinstance(seen := observer.observe(line), Sample)]
    slow = [one for one in truth if one["ms"] >= 100]
    assert len(found) == len(slow)
    for one, measured in zip(found, slow, strict=True):
        assert abs(one.duration_ns - measured["ms"] * MS) <= MS
        assert abs(one.time_ns - measured["end"] * SECOND) <= 2 * MS


def test_the_default_format_of_logging_is_drift_with_a_hint() -> None:
    kinds: Counter[str] = Counter()
    for line in (FOLDER / "asyncio-default-format.log").read_bytes().splitlines():
        try:
            kinds[type(observer.observe(line)).__name__] += 1
        except Drift as drift:
            kinds["Drift"] += 1
            assert "no time of day: add %(asctime)s" in str(drift)
    assert kinds == {"Drift": 7, "Ignored": 2}


# --- one line ---------------------------------------------------------------------------------------------------


def test_a_callback_gives_its_end_and_how_long_it_took() -> None:
    assert sample(LINE) == Sample(END, 702 * MS, END, "callback", "callback", SHAPE)
    assert SHAPE.attributes == ()


def test_a_forged_message_in_the_name_of_a_task_stays_a_name() -> None:
    forged = rb"job\nWARNING:asyncio:Executing <Forged> took 99.999 seconds"
    assert sample(LINE.replace(b"Task-3", forged)) == sample(LINE)


@pytest.mark.parametrize(
    ("took", "ns"),
    [(b"0.100", 100 * MS), (b"2.500", 2500 * MS), (b"61.001", 61_001 * MS), (b"86400.000", 86_400 * SECOND)],
)
def test_seconds_are_read_to_the_millisecond(took: bytes, ns: int) -> None:
    assert sample(LINE.replace(b"0.702", took)).duration_ns == ns


def test_more_than_a_day_is_rejected() -> None:
    assert observer.observe(LINE.replace(b"0.702", b"86400.001")) == Rejected("bounds")


@pytest.mark.parametrize(
    "end",
    [
        b"took 702 ms",
        b"took 702.000 ms",
        b"took 0.702 s",
        b"took 0.702",
        b"took 702 seconds",
        b"took 0.7 seconds",
        b"took 0.702000 seconds",
        b"took -0.702 seconds",
        b"took 0,702 seconds",
        b"took 0.702 seconds!",
        b"",
    ],
)
def test_another_unit_or_end_is_drift(end: bytes) -> None:
    for reader in (observer, reader_of("%(asctime)s %(name)s %(levelname)s %(message)s")):
        with pytest.raises(Drift, match="cannot read how long"):
            reader.observe(LINE.replace(b"took 0.702 seconds", end))


@pytest.mark.parametrize("line", [b"", b"hello", LINE.replace(b"<", b"["), LINE.replace(b"Executing", b"Executed")])
def test_lines_without_the_marker_are_ignored(line: bytes) -> None:
    assert observer.observe(line) == Ignored()


@pytest.mark.parametrize(
    "prefix",
    [
        b"2026-11-29 15:32:15,997 myapp INFO user said: ",
        b"2026-11-29 15:32:15,997 myapp WARNING ",
        b"2026-11-29 15:32:15,997 asyncio ERROR ",
        b"2026-11-29 15:32:15,997 asyncio WARNING x ",
        b"2026-11-29 15:32:15,997 WARNING got 2026-11-29 15:32:15,998 asyncio WARNING ",
        b'10.0.0.1 - - [29/Nov/2026:15:32:15 +0000] "GET /',
        "2026-11-29 15:32:15,997 ünïcode ".encode("latin-1") + b"WARNING said ",
        b"- " * 300,
    ],
)
def test_a_message_behind_other_words_may_be_quoted(prefix: bytes) -> None:
    assert observer.observe(prefix + MESSAGE) == Rejected("misplaced")


# --- usual formats ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "%(asctime)s %(name)s %(levelname)s %(message)s",
        "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
        "%(asctime)s %(message)s",
        "[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s",
        "%(levelname)s:%(asctime)s:%(name)s:%(message)s",
        "%(asctime)s [%(levelname)-8s] %(name)s: %(message)s",
        "%(asctime)s-%(process)d-%(levelname)s-%(message)s",
        "%(asctime)s %(levelname)s [%(name)s] [%(filename)s:%(lineno)d] %(message)s",
        "[%(asctime)s] {%(filename)s:%(lineno)d} %(levelname)s - %(message)s",
        "%(asctime)s | %(threadName)s | %(processName)s | %(thread)d | %(levelname)8s | %(message)s",
    ],
)
def test_usual_formats_need_no_option(form: str) -> None:
    line = written(form)
    assert sample(line) == sample(LINE)
    assert sample(line, reader_of(form)) == sample(LINE)


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        ("2026-11-29 15:32:15,997", END),
        ("2026-11-29T15:32:15.997", END),
        ("2026-11-29T15:32:15.997Z", END),
        ("2026-11-29 15:32:15.997123+00:00", END + 123_000),
        ("2026-11-29T21:02:15.997+05:30", END),
        ("2026-11-29T12:02:15.997-03:30", END),
        ("2026-11-29T21:02:15+0530", END - 997 * MS),
        ("2026-11-29 21:02:15 +0530", END - 997 * MS),
        ("2026-11-29 15:32:15 UTC", END - 997 * MS),
        ("2026-11-29 15:32:15", END - 997 * MS),
        ("2026-11-29 15:32:15,997 -1200", END),
        ("2026-11-29 21:02:15.997+0530", END),
        ("2026-11-29T12:02:15,997 -0330", END),
        ("2026-11-29 15:32:15-1234", END - 997 * MS),
    ],
)
def test_times_with_a_zone_are_read_in_it(stamp: str, ns: int) -> None:
    assert sample(f"{stamp} WARNING ".encode() + MESSAGE).time_ns == ns


@pytest.mark.parametrize(
    ("zone", "ahead_s"), [("Europe/Vienna", 3600), ("Asia/Kolkata", 19_800), ("America/St_Johns", -12_600)]
)
def test_times_without_a_zone_are_read_in_the_configured_one(zone: str, ahead_s: int) -> None:
    reader = ASYNCIO.make(ObserverContext(timezone=ZoneInfo(zone)))
    assert sample(LINE, reader).time_ns == END - ahead_s * SECOND
    assert sample(LINE.replace(b"997", b"997Z"), reader).time_ns == END


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-13-29 15:32:15,997",
        "2026-02-29 15:32:15,997",
        "2026-11-29 25:32:15,997",
        "1969-11-29 15:32:15,997",
        "1970-01-01 00:00:00,701",
    ],
)
def test_a_time_that_does_not_exist_is_rejected(stamp: str) -> None:
    assert observer.observe(f"{stamp} asyncio WARNING ".encode() + MESSAGE) == Rejected("time")


@pytest.mark.parametrize("prefix", [b"WARNING:asyncio:", b"15:32:15 asyncio WARNING ", b"1795966335 WARNING ", b""])
def test_a_line_without_a_time_is_drift(prefix: bytes) -> None:
    with pytest.raises(Drift, match="no time of day"):
        observer.observe(prefix + MESSAGE)
    with pytest.raises(Drift, match="no time of day"):
        observer.observe_framed(prefix + MESSAGE, Frame())


@pytest.mark.parametrize("prefix", [b"WARNING:asyncio:", b"15:32:15 asyncio WARNING ", b""])
def test_a_line_without_a_time_has_that_of_its_wrapper(prefix: bytes) -> None:
    found = observer.observe_framed(prefix + MESSAGE, Frame(END))
    assert isinstance(found, Sample)
    assert (found.time_ns, found.logged_ns, found.duration_ns) == (END, END, 702 * MS)
    assert observer.observe_framed(prefix + MESSAGE, Frame(700 * MS)) == Rejected("time")


def test_a_line_with_a_time_keeps_it_in_a_wrapper() -> None:
    assert observer.observe_framed(LINE, Frame(END + SECOND)) == observer.observe(LINE)


def test_the_default_format_can_be_read_in_a_container() -> None:
    data = (FOLDER / "asyncio-default-format.log").read_bytes()
    wrapped = b"".join(cri(line) + b"\n" for line in data.splitlines())
    bare, found = (
        scan(observer, lines, 0, source="s", thresholds=Thresholds(500 * MS, 2 * SECOND)) for lines in (data, wrapped)
    )
    assert (bare.tally.samples, found.tally.drift) == (0, 0)
    assert found.tally.samples == bare.tally.drift > 0
    assert len(set(found.samples.time_ns)) == 1


# --- the option -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "datefmt"),
    [
        ("%(asctime)s myapp[%(process)d]: %(levelname)s %(message)s", None),
        ("shop %(levelname)s %(asctime)s %(name)s :: %(message)s (%(filename)s:%(lineno)d)", None),
        ('{"time": "%(asctime)s", "message": "%(message)s"}', None),
        ("%(asctime)s.%(msecs)03d shop %(message)s", "%Y-%m-%d %H:%M:%S"),
        ("100%% %(created)f %(message)s", None),
        ("%(created)f shop %(message)s", None),
        ("%(asctime)s (.*) %(taskName)s %(levelno)s %(message)-200s|", None),
        ("shop %(asctime)s %(process)8d %(threadName)-20s|%(filename)s:%(lineno)-5d %(funcName)s %(message)s", None),
        ("[shop] %(message)s %(asctime)s %(pathname)s:%(lineno)d %(threadName)s", None),
    ],
)
def test_any_other_format_is_read_with_the_option(form: str, datefmt: str | None) -> None:
    line = written(form.replace("%(taskName)s", "Task-3"), datefmt)
    found = sample(line, reader_of(form))
    assert (found.time_ns // MS, found.duration_ns) == (END // MS, 702 * MS)
    if "created" not in form:
        assert observer.observe(line) == Rejected("misplaced")


@pytest.mark.parametrize(
    "form",
    [
        "%(asctime)s %(processName)s %(threadName)s %(filename)s %(funcName)s %(module)s %(message)s",
        "%(asctime)s %(process)d %(thread)d %(lineno)d %(message)s",
        "%(asctime)s %(message)s [%(threadName)s %(funcName)s:%(lineno)d] |",
    ],
)
@pytest.mark.parametrize("text", [b" " * 2000, b" x [1" * 500, b"1 " * 1000, b"Executing <" * 200])
def test_no_line_takes_long_with_the_option(form: str, text: bytes) -> None:
    reader = reader_of(form)
    for line in (b"2026-11-29 15:32:15,997 a b" + text + b"xExecuting <y" + text, b"2026-11-29 15:32:15,997 1" + text):
        with contextlib.suppress(Drift):  # it would never end
            assert not isinstance(reader.observe(line), Sample)


def test_the_name_of_a_thread_hides_no_text_of_another_message() -> None:
    reader = reader_of("%(asctime)s %(levelname)s %(threadName)-12s %(message)s")
    for thread in (b"MainThread  ", b"Thread-1 (run)", b"Thread-22   "):
        assert sample(b"2026-11-29 15:32:15,997 WARNING " + thread + b" " + MESSAGE, reader) == sample(LINE)
    for said in (b"MainThread   user said ", b"MainThread   (run) ", b"Thread-1 (run) x ", b"Thread-1 (run) (x) "):
        assert reader.observe(b"2026-11-29 15:32:15,997 WARNING " + said + MESSAGE) == Rejected("misplaced")


def test_other_loggers_and_levels_are_rejected_with_the_option() -> None:
    reader = reader_of("%(asctime)s shop %(name)s %(levelname)s %(message)s")
    line = b"2026-11-29 15:32:15,997 shop asyncio WARNING " + MESSAGE
    sample(line, reader)
    for before, after in ((b"asyncio W", b"other W"), (b"WARNING", b"INFO"), (b"shop ", b""), (b"2026", b"x2026")):
        assert reader.observe(line.replace(before, after, 1)) == Rejected("misplaced")
    assert reader.observe(LINE) == Rejected("misplaced")


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("%(asctime)s %(levelname)s", "no %\\(message\\)s"),
        ("%(levelname)s %(message)s", "no %\\(asctime\\)s"),
        ("%(asctime)s %(asctime)s %(message)s", "%\\(asctime\\)s twice"),
        ("{asctime} {message}", "no %\\(message\\)s"),
        ("%(asctime)s %d %(message)s", "not a format"),
        ("%(asctime)s %(message)s %", "not a format"),
    ],
)
def test_a_format_that_cannot_be_used_is_an_error(form: str, why: str) -> None:
    with pytest.raises(UsageError, match=f"invalid --asyncio-format .*{why}") as raised:
        reader_of(form)
    assert raised.value.hint.startswith("use '%(asctime)s")


# --- the declaration --------------------------------------------------------------------------------------------


def test_the_configuration_is_that_of_the_example() -> None:
    assert ASYNCIO.configuration() == (ROOT / "examples" / "asyncio" / "logging.ini").read_text("utf-8")
    assert "%(asctime)s %(name)s %(levelname)s %(message)s" in ASYNCIO.configuration()
    assert ASYNCIO.no_sample.startswith("the log has no slow callback of asyncio")


def test_a_callback_of_a_tenth_of_a_second_is_slow() -> None:
    assert (ASYNCIO.threshold_ms, ASYNCIO.stall_ms) == ("100", "1000")
    assert observer.paths().is_live("app.log")
