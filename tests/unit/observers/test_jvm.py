"""Java's unified log: safepoints of real JVMs, decorations in any order, and what is not a sample."""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import datetime
from typing import ClassVar

import pytest

from otel_logtail.errors import Drift
from otel_logtail.model import Ignored, Observed, Rejected, Sample
from otel_logtail.observer import Observer, ObserverContext
from otel_logtail.observers.jvm import JVM
from otel_logtail.observers.jvm.observer import SHAPE, JvmObserver, PauseObserver
from otel_logtail.testing import ObserverContract
from tests.support.places import CAPTURES, ROOT

FOLDER = CAPTURES / "jvm"
JDK17 = (
    b"[2026-11-29T15:27:33.798+0000][11.332s][info][safepoint   ] "
    b'Safepoint "Cleanup", Time since last: 1000879169 ns, Reaching safepoint: 761429929 ns, '
    b"Cleanup: 47138 ns, At safepoint: 11172159 ns, Total: 772649226 ns"
)
JDK21 = (
    b"[2026-11-29T15:34:29.331+0000][0.201s][info][safepoint] "
    b'Safepoint "G1CollectForAllocation", Time since last: 157024104 ns, Reaching safepoint: 9247 ns, '
    b"Cleanup: 37680 ns, At safepoint: 19353810 ns, Leaving safepoint: 21390 ns, Total: 19422127 ns"
)
JDK25 = (
    b"[2026-11-29T15:34:33.267+0000][0.823s][info][safepoint] "
    b'Safepoint "G1CollectForAllocation", Time since last: 607486818 ns, Reaching safepoint: 5681 ns, '
    b"At safepoint: 101030531 ns, Leaving safepoint: 23595 ns, Total: 101059807 ns, Threads: 0 runnable, 10 total"
)
JDK11 = (
    b"[2026-11-29T15:34:25.788+0000][0.306s][info][safepoint] Total time for which application threads were stopped: "
    b"0.0001742 seconds, Stopping threads took: 0.0000401 seconds"
)
PAUSE = (
    b"[2026-11-29T15:27:32.025+0000][9.558s][info][gc          ] "
    b"GC(0) Pause Young (Allocation Failure) 400M->342M(1450M) 3339.106ms"
)
MS = 10**6
SECOND = 10**9
END = 1795966053 * SECOND + 798 * MS  # 2026-11-29T15:27:33.798Z

observer = JvmObserver()
pauses = PauseObserver()


def sample(line: bytes, reader: Observer = observer) -> Sample:
    observed = reader.observe(line)
    assert isinstance(observed, Sample), observed
    return observed


def decorated(decorations: str) -> bytes:
    return decorations.encode() + JDK17[JDK17.index(b" Safepoint") :]


class TestContract(ObserverContract):
    true_lines: ClassVar = (JDK17, JDK21, JDK25, JDK11)
    other_lines: ClassVar = (PAUSE,)
    mark_lines: ClassVar = (b"[2026-11-29T15:28:14.451+0000][0.033s][info][gc] Using G1",)

    def observer(self) -> Observer:
        return JVM.make(ObserverContext())


class TestContractOfPauses(ObserverContract):
    true_lines: ClassVar = (PAUSE,)
    other_lines: ClassVar = (JDK17, JDK11)

    def observer(self) -> Observer:
        return JVM.make(ObserverContext(options={"jvm_measure": "pauses"}))


# --- real captures ----------------------------------------------------------------------------------------------


def oracle(line: str) -> tuple[int, int, str] | None:
    """Read a safepoint by plain means: end and in ns, and cause. It shares no code with the observer."""
    stamp = re.match(r"\[(\d{4}-[^\]]*)\]", line)
    total = re.search(r"] Safepoint .*Total: (\d+) ns", line)
    stopped = re.search(r"stopped: ([\d.]+) seconds, Stopping threads took: ([\d.]+) seconds", line)
    if stamp is None or (total is None and stopped is None):
        return None
    end_ns = round(datetime.strptime(stamp[1], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000) * MS
    if stopped is not None:
        return end_ns, round(float(stopped[1]) * 1e9), "reach" if float(stopped[2]) > float(stopped[1]) / 2 else "vm"
    assert total is not None
    reach, at = (int(re.findall(rf"{name} safepoint: (\d+) ns", line)[0]) for name in ("Reaching", "At"))
    operation = re.findall('Safepoint "(.*?)"', line)[0]
    is_gc = re.match("G1|Gen|Parallel|Z|X|Shenandoah|CGC", operation)
    return end_ns, int(total[1]), "reach" if reach > at else "gc" if is_gc else "vm"


@pytest.mark.parametrize(
    ("capture", "samples", "ignored"),
    [
        ("g1-utctime.log", 175, 165),
        ("serial-time.log", 15, 97),
        ("zgc-utctime.log", 21, 8),
        ("jdk11-g1.log", 24, 96),
        ("jdk21-g1.log", 40, 39),
        ("jdk25-g1.log", 48, 46),
        ("jdk25-zgc.log", 31, 17),
    ],
)
def test_every_line_of_a_real_log_reads_as_by_hand(capture: str, samples: int, ignored: int) -> None:
    lines = (FOLDER / capture).read_bytes().splitlines()
    kinds: Counter[str] = Counter()
    for line in lines:
        observed = observer.observe(line)
        expected = oracle(line.decode())
        kinds[type(observed).__name__] += 1
        if isinstance(observed, Sample):
            assert (observed.time_ns, observed.duration_ns, observed.cause) == expected
            assert observed.logged_ns == observed.time_ns
            assert observed.shape is SHAPE
            assert sum(ns or 0 for ns in observed.stage_ns) == observed.duration_ns
        else:
            assert expected is None
    assert kinds == {"Sample": samples, "Ignored": ignored}


@pytest.mark.parametrize(("capture", "breaches", "stalls"), [("g1-utctime.log", 1, 0), ("serial-time.log", 6, 2)])
def test_breaches_of_a_real_log_are_the_expected_ones(capture: str, breaches: int, stalls: int) -> None:
    lines = (FOLDER / capture).read_bytes().splitlines()
    with (FOLDER / f"{capture}.expected.tsv").open(encoding="utf-8", newline="") as file:
        expected = [
            (int(row["line"]), row["end_unix_s"], row["logged_ms"], row["cause"])
            for row in csv.DictReader(file, delimiter="\t")
        ]
    found = [(number, answer) for number, line in enumerate(lines, 1) if _is_slow(answer := observer.observe(line))]
    actual = [
        (number, f"{answer.time_ns / SECOND:.3f}", f"{answer.duration_ns / MS:.3f}", answer.cause)
        for number, answer in found
        if isinstance(answer, Sample)
    ]
    assert actual == expected
    assert (len(actual), sum(_is_slow(answer, 2000) for _, answer in found)) == (breaches, stalls)


def _is_slow(observed: Observed, ms: int = 500) -> bool:
    return isinstance(observed, Sample) and observed.duration_ns >= ms * MS


def test_the_default_decorations_of_a_real_log_are_drift_with_a_hint() -> None:
    kinds: Counter[str] = Counter()
    for line in (FOLDER / "g1-uptime-only.log").read_bytes().splitlines():
        try:
            kinds[type(observer.observe(line)).__name__] += 1
        except Drift as drift:
            kinds["Drift"] += 1
            assert "no time of day: add :utctime,uptime,level,tags" in str(drift)
    assert kinds["Drift"] > 0
    assert set(kinds) == {"Drift", "Ignored"}


def test_pauses_of_a_real_log_are_read_only_on_request() -> None:
    lines = (FOLDER / "serial-time.log").read_bytes().splitlines()
    found = [answer for line in lines if isinstance(answer := pauses.observe(line), Sample)]
    assert [answer.duration_ns // MS for answer in found if _is_slow(answer, 200)] == [3339, 412, 212, 3282]
    assert {(answer.cause, answer.stage, answer.stage_ns) for answer in found} == {("gc", "gc", ())}
    assert {type(pauses.observe(line)) for line in lines} == {Sample, Ignored}
    stamped = [line for line in lines if b"] GC(" in line and re.search(rb"Pause .*ms$", line)]
    assert len(found) == len(stamped)
    assert {type(observer.observe(line)) for line in stamped} == {Ignored}


# --- one line ---------------------------------------------------------------------------------------------------


def test_a_safepoint_gives_its_end_its_total_and_four_stages() -> None:
    assert sample(JDK17) == Sample(
        time_ns=END,
        duration_ns=772_649_226,
        logged_ns=END,
        cause="reach",
        stage="reach",
        shape=SHAPE,
        stage_ns=(761_429_929, 47_138, 11_172_159, None),
    )
    assert SHAPE.stages == ("reach", "cleanup", "at", "leave")
    assert SHAPE.attributes == ()


def test_each_version_has_its_own_stages() -> None:
    assert sample(JDK21).stage_ns == (9_247, 37_680, 19_353_810, 21_390)
    assert sample(JDK25).stage_ns == (5_681, None, 101_030_531, 23_595)
    assert sample(JDK11).stage_ns == (40_100, None, 134_100, None)
    assert sample(JDK11).duration_ns == 174_200


def test_jdk_12_to_16_have_neither_cleanup_nor_leaving() -> None:
    older = JDK17.replace(b" Cleanup: 47138 ns,", b"").replace(b"772649226", b"772602088")
    assert sample(older).stage_ns == (761_429_929, None, 11_172_159, None)


def test_a_field_that_is_new_gets_no_stage() -> None:
    newer = JDK25.replace(b" Total:", b" Dreaming: 17 ns, Total:").replace(b"101059807", b"101059824")
    assert sample(newer).stage_ns == sample(JDK25).stage_ns
    assert sample(newer).duration_ns == 101_059_824


@pytest.mark.parametrize(
    ("operation", "cause"),
    [
        ("G1CollectForAllocation", "gc"),
        ("GenCollectFull", "gc"),
        ("SerialCollectForAllocation", "gc"),
        ("ParallelGCFailedAllocation", "gc"),
        ("ZMarkStart", "gc"),
        ("XMarkStart", "gc"),
        ("ShenandoahInitMark", "gc"),
        ("CGC_Operation", "gc"),
        ("Cleanup", "vm"),
        ("ThreadDump", "vm"),
        ("GetStackTrace", "vm"),
        ("", "vm"),
    ],
)
def test_the_operation_is_the_cause_if_reaching_it_was_no_longer(operation: str, cause: str) -> None:
    found = sample(JDK25.replace(b"G1CollectForAllocation", operation.encode()))
    assert (found.cause, found.stage) == (cause, "at")


def test_reaching_is_the_cause_only_if_it_took_longer_than_the_operation() -> None:
    def cause(reach: int, at: int) -> str:
        line = f'[2026-11-29T15:27:33.798+0000] Safepoint "ZMarkEnd", Reaching safepoint: {reach} ns, '
        return sample(f"{line}At safepoint: {at} ns, Total: {reach + at} ns".encode()).cause

    assert cause(101, 100) == "reach"
    assert cause(100, 100) == "gc"


def test_jdk_11_was_reaching_if_stopping_took_more_than_half() -> None:
    def found(total: str, stopping: str) -> tuple[str, str]:
        one = sample(JDK11.replace(b"0.0001742", total.encode()).replace(b"0.0000401", stopping.encode()))
        return one.cause, one.stage

    assert found("0.0000801", "0.0000401") == ("reach", "reach")
    assert found("0.0000802", "0.0000401") == ("vm", "reach")
    assert found("0.0000900", "0.0000401") == ("vm", "at")


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("reach", JDK17),
        ("at", JDK21),
        ("cleanup", JDK17.replace(b"761429929", b"47138").replace(b"Cleanup: 47138", b"Cleanup: 761429929")),
        (
            "leave",
            JDK21.replace(b"19353810", b"21390").replace(b"Leaving safepoint: 21390", b"Leaving safepoint: 40000"),
        ),
    ],
)
def test_the_longest_stage_is_named(stage: str, line: bytes) -> None:
    assert sample(line).stage == stage


def test_of_equal_stages_the_first_is_named() -> None:
    def stage(reach: int, cleanup: int, at: int, leave: int) -> str:
        parts = f"Reaching safepoint: {reach} ns, Cleanup: {cleanup} ns, At safepoint: {at} ns, "
        line = f'[2026-11-29T15:27:33.798+0000] Safepoint "Cleanup", {parts}Leaving safepoint: {leave} ns, Total: 9 ns'
        return sample(line.encode()).stage

    assert [stage(2, 2, 2, 2), stage(1, 2, 2, 2), stage(1, 1, 2, 2), stage(1, 1, 1, 2)] == [*SHAPE.stages]


def test_a_safepoint_can_begin_with_the_epoch_but_not_before() -> None:
    first = b"[1970-01-01T00:00:01.000+0000]"
    line = first + b' Safepoint "Cleanup", Reaching safepoint: 0 ns, At safepoint: 0 ns, Total: 1000000000 ns'
    assert sample(line).duration_ns == SECOND
    assert observer.observe(line.replace(b"Total: 1000000000", b"Total: 1000000001")) == Rejected("time")
    pause = first + b"[gc] GC(0) Pause Full 1M->1M(2M) 1000.000ms"
    assert sample(pause, pauses).duration_ns == SECOND
    assert pauses.observe(pause.replace(b"1000.000", b"1000.001")) == Rejected("time")


# --- decorations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "decorations",
    [
        "[2026-11-29T15:27:33.798+0000]",
        "[2026-11-29T20:57:33.798+0530]",
        "[2026-11-29T11:57:33.798-0330]",
        "[2026-11-30T05:27:33.798+1400]",
        "[2026-11-30T09:27:33.798+1800]",
        "[2026-11-29T16:26:33.798+0059]",
        "[0.019s][2026-11-29T15:27:33.798+0000][safepoint]",
        "[safepoint   ][info][vm-7][4711][11332ms][11332000000ns][2026-11-29T20:57:33.798+0530]",
        "[2026-11-29T20:57:33.798+0530][2026-11-29T15:27:33.798+0000][11,332s]",
        "[1795966053798ms][11332ms][25569308053677ns]",
    ],
)
def test_the_time_of_day_is_found_in_any_place_and_zone(decorations: str) -> None:
    assert sample(decorated(decorations)) == sample(JDK17)


@pytest.mark.parametrize(
    "decorations",
    [
        "[11.332s][info][safepoint]",
        "[11332ms][safepoint]",
        "[25569308053677ns][safepoint]",
        "[info]",
        "[2026-11-29 15:27:33.798+0000]",
        "[2026-11-29T15:27:33.798]",
        "[2026-11-29T15:27:33,798+0000]",
        "[2026-11-29T15:27:33.798+00:00]",
        "[1795966053ms]",
        "[]",
    ],
)
def test_a_safepoint_without_a_time_of_day_is_drift(decorations: str) -> None:
    with pytest.raises(Drift, match="no time of day"):
        observer.observe(decorated(decorations))
    with pytest.raises(Drift, match="no time of day"):
        observer.observe(decorations.encode() + JDK11[JDK11.index(b" Total") :])
    with pytest.raises(Drift, match="no time of day"):
        pauses.observe(decorations.encode() + PAUSE[PAUSE.index(b" GC(") :])


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-13-29T15:27:33.798+0000",
        "2026-02-30T15:27:33.798+0000",
        "2026-11-29T25:27:33.798+0000",
        "2026-11-29T15:27:60.798+0000",
        "1969-11-29T15:27:33.798+0000",
        "1970-01-01T00:00:00.500+0000",
        "1970-01-01T00:00:33.798+0100",
        "2026-11-29T15:27:33.798+1801",
        "2026-11-29T15:27:33.798+0060",
    ],
)
def test_a_time_that_does_not_exist_is_rejected(stamp: str) -> None:
    assert observer.observe(decorated(f"[{stamp}]")) == Rejected("time")
    assert pauses.observe(f"[{stamp}] GC(0) Pause Full 1M->1M(2M) 1000.000ms".encode()) == Rejected("time")


def test_a_wrong_zone_moves_the_end_by_as_much() -> None:
    assert sample(decorated("[2026-11-29T15:27:33.798+0530]")).time_ns == END - 19_800 * SECOND
    assert sample(decorated("[2026-11-29T15:27:33.798-0045]")).time_ns == END + 2_700 * SECOND


# --- what is not a sample ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[2026-11-29T15:27:33.798+0000][info][gc] Using G1",
        PAUSE,
        b"[2026-11-29T15:27:33.798+0000][info][safepoint] Entering safepoint region: RevokeBias",
        b"[2026-11-29T15:27:33.798+0000][info][safepoint] Leaving safepoint region",
        b"[2026-11-29T15:27:33.798+0000][info][safepoint] Application time: 0.0265191 seconds",
        b"[2026-11-29T15:27:33.798+0000][info][safepoint,stats] VM Operation                 [ threads: total",
        b"[2026-11-29T15:27:33.798+0000][info][safepoint,cleanup] updating inline caches, 0.0000012 secs",
        b"[2026-11-29T15:27:33.798+0000][info][gc,start    ] GC(0) Pause Young (Allocation Failure)",
        b"[2026-11-29T15:27:33.798+0000][info][gc] GC(3) Concurrent Mark Cycle 120.500ms",
    ],
)
def test_lines_of_other_kinds_are_ignored(line: bytes) -> None:
    assert observer.observe(line) == Ignored()


@pytest.mark.parametrize(
    "line",
    [
        JDK17,
        JDK11,
        b"[2026-11-29T15:27:33.798+0000][info][gc,start    ] GC(0) Pause Young (Allocation Failure)",
        b"[2026-11-29T15:27:33.798+0000][info][gc] GC(3) Concurrent Mark Cycle 120.500ms",
        b"[2026-11-29T15:27:33.798+0000][info][gc,phases] GC(0) Y: Concurrent Mark 13.371ms",
        b"[2026-11-29T15:27:33.798+0000][info][gc,phases] GC(14)   Merge Heap Roots: 0.03ms",
        b"[2026-11-29T15:27:33.798+0000][info][gc] GC(7) Minor Collection (Allocation Rate) 134M(11%) 0.007s",
        b"[2026-11-29T15:27:33.798+0000][info][app] said [x] GC(0) Pause Full 1M->1M(2M) 9.000ms",
        b"GC(0) Pause Full 1M->1M(2M) 9.000ms",
    ],
)
def test_lines_other_than_the_end_of_a_pause_are_ignored_on_request(line: bytes) -> None:
    assert pauses.observe(line) == Ignored()


def test_pauses_of_each_collector_are_read_on_request() -> None:
    assert sample(PAUSE, pauses).duration_ns == 3_339_106_000
    for message in (
        b"GC(0) Pause Init Mark (unload classes) 0.029ms",
        b"GC(0) Pause Mark Start 0.013ms",
        b"GC(0) Y: Pause Mark Start (Major) 0.012ms",
        b"GC(0) O: Pause Mark End 0.034ms",
        b"GC(12) Pause Remark 70M->70M(256M) 2.108ms",
    ):
        sample(b"[2026-11-29T15:27:33.798+0000][info][gc] " + message, pauses)


@pytest.mark.parametrize(
    "quoting", [b"app: ", b"2026-11-29 INFO ", b"[2026-11-29T15:27:33.798+0000][info] said ", b"[["]
)
@pytest.mark.parametrize("line", [JDK17, JDK11], ids=["jdk17", "jdk11"])
def test_a_safepoint_behind_other_text_is_rejected(line: bytes, quoting: bytes) -> None:
    assert observer.observe(quoting + line) == Rejected("misplaced")


@pytest.mark.parametrize("line", [JDK17, JDK21, JDK25, JDK11], ids=["jdk17", "jdk21", "jdk25", "jdk11"])
@pytest.mark.parametrize("cut", [0, 1, 3, 30])
def test_lines_that_were_joined_are_rejected(line: bytes, cut: int) -> None:
    for first in (line, JDK25, PAUSE) if line != JDK11 else (line, PAUSE):
        assert observer.observe(first[: len(first) - cut] + line) == Rejected("misplaced")
    joined = PAUSE.replace(b"3339.106ms", b"3339.1")[: -cut or None] + PAUSE
    assert pauses.observe(joined) == Ignored()


def test_the_stopped_time_within_another_message_is_rejected() -> None:
    quoted = JDK11.replace(b"] Total time", b"] Sub-total time")
    assert observer.observe(quoted) == Rejected("misplaced")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"772649226 ns", b"772649 us"),
        (b"772649226 ns", b"772 ms"),
        (b"772649226 ns", b"772649226"),
        (b"772649226 ns", b"772649.226 ns"),
        (b"772649226 ns", b"1_0 ns"),
        (b"772649226 ns", b" ns"),
        (b"11172159 ns", b"11172 us"),
        (b"761429929 ns", b"761 ms"),
        (b"47138 ns", b"47 us"),
        (b", Total: 772649226 ns", b""),
        (b", At safepoint: 11172159 ns", b""),
        (b"Reaching safepoint: 761429929 ns, ", b""),
        (b'Cleanup", ', b"Cleanup, "),
    ],
)
def test_another_unit_and_a_missing_field_are_drift(before: bytes, after: bytes) -> None:
    assert before in JDK17
    with pytest.raises(Drift, match="cannot read the durations"):
        observer.observe(JDK17.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"0.0001742 seconds", b"0.1742 ms"), (b"0.0001742 seconds", b"174200 ns"), (b"0.0000401 seconds", b"0.0401 ms")],
)
def test_another_unit_of_jdk_11_is_drift(before: bytes, after: bytes) -> None:
    with pytest.raises(Drift, match="cannot read how long"):
        observer.observe(JDK11.replace(before, after))


@pytest.mark.parametrize(
    "line",
    [
        JDK17.replace(b"Total: 772649226", b"Total: 772649"),
        JDK17.replace(b"Total: 772649226", b"Total: 772649225"),
        JDK17.replace(b"Cleanup: 47138", b"Cleanup: 47138000"),
        JDK17.replace(b"At safepoint: 11172159", b"At safepoint: -11172159"),
        JDK17.replace(b"Total: 772649226", b"Total: -772649226"),
        JDK17.replace(b"Total: 772649226", b"Total: 86400000000001"),
        JDK17.replace(b"Total: 772649226", b"Total: " + b"9" * 5000),
        JDK21.replace(b"Leaving safepoint: 21390", b"Leaving safepoint: 21391"),
        JDK11.replace(b"0.0000401", b"0.0001743"),
        JDK11.replace(b"0.0001742", b"86400.0000001"),
    ],
)
def test_parts_beyond_the_total_and_a_total_beyond_a_day_are_rejected(line: bytes) -> None:
    assert observer.observe(line) == Rejected("bounds")


def test_a_total_of_a_day_is_a_sample() -> None:
    assert sample(JDK17.replace(b"Total: 772649226", b"Total: 86400000000000")).duration_ns == 86_400 * SECOND
    assert sample(PAUSE.replace(b"3339.106ms", b"86400000.000ms"), pauses).duration_ns == 86_400 * SECOND
    assert pauses.observe(PAUSE.replace(b"3339.106ms", b"86400000.001ms")) == Rejected("bounds")


def test_a_comma_is_a_decimal_point_in_some_locales() -> None:
    assert sample(JDK11.replace(b"0.000", b"0,000")) == sample(JDK11)
    assert sample(PAUSE.replace(b"3339.106ms", b"3339,106ms"), pauses) == sample(PAUSE, pauses)


# --- the declaration --------------------------------------------------------------------------------------------


def test_names_of_the_ring_and_of_processes_name_no_series() -> None:
    rule = observer.paths()
    assert rule.ring
    for name in ("gc.log", "gc-4711.log", "safepoint.log"):
        assert rule.is_live(name)
        assert rule.attributes_of(name) == ()
    assert not rule.is_live("app.log")


def test_the_configuration_is_that_of_the_example() -> None:
    assert JVM.configuration() == (ROOT / "examples" / "jvm" / "java.options").read_text("utf-8")
    assert "utctime,uptime,level,tags:filecount=5" in JVM.configuration()


def test_a_safepoint_of_a_tenth_of_a_second_is_slow() -> None:
    assert (JVM.threshold_ms, JVM.stall_ms) == ("100", "1000")
    assert JVM.no_sample.startswith("the log has no safepoint with a time of day")
