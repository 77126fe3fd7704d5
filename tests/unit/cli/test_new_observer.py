"""`observers new` writes an observer that reads the lines it was written from, and a test that passes."""

from __future__ import annotations

import ast
import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from otel_logtail import Ignored, ObserverContext, Rejected, Sample, UsageError
from otel_logtail.cli.observers.excerpt import PIECE, Excerpt, read_excerpt
from otel_logtail.cli.observers.guess import guess
from otel_logtail.cli.observers.new import Written, write_observer
from otel_logtail.daemon.zones import Zone
from otel_logtail.plugins import make_observer
from tests.support.waiting import bound_s

NOON = 1_795_608_000 * 10**9
MS = 10**6

FORMS = {
    "comma and no zone": (b"2026-11-25 12:00:00,250 INFO GET /x took 734 ms", 250 * MS, 734 * MS),
    "rfc 3339": (b"2026-11-25T12:00:00.250Z acme request route=/x took=0.734s db=0.7s", 250 * MS, 734 * MS),
    "offset": (b"2026-11-25T13:00:00.250123456+01:00 done in 12.5ms", 250_123_456, 12_500_000),
    "offset behind a space": (b"2026-11-25 13:00:00 +0100 elapsed: 3 seconds", 0, 3000 * MS),
    "utc": (b"2026-11-25 12:00:00.5 UTC [5] LOG:  duration: 701.957 ms  statement: x", 500 * MS, 701_957_000),
    "common log, unit at the end": (
        b'1.2.3.4 - - [25/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 "x" 17us',
        0,
        17_000,
    ),
    "slashes": (b"2026/11/25 12:00:00 GET / latency=35ms", 0, 35 * MS),
    "unit in the key": (b'{"time":"2026-11-25T12:00:00.250Z","path":"/x","duration_ms":35}', 250 * MS, 35 * MS),
    "unit in the key, camel case": (b'{"at":"2026-11-25T12:00:00Z","tookMillis":35.25}', 0, 35_250_000),
    "epoch": (b'{"ts":1795608000.25,"duration_ns":812345}', 250 * MS, 812_345),
    "epoch in ms": (b"time=1795608000250 status=200 elapsed_us=1500", 250 * MS, 1_500_000),
    "no unit, with a point": (b"2026-11-25T12:00:00Z status=200 request_time=0.734", 0, 734 * MS),
    "no unit, whole": (b"2026-11-25T12:00:00Z status=200 latency=734", 0, 734 * MS),
    "micro sign": ("2026-11-25T12:00:00Z took 734.5µs".encode(), 0, 734_500),
    "brackets": (b"[2026-11-25 12:00:00] worker: processed in (1.5s)", 0, 1500 * MS),
}


def write(folder: Path, *lines: bytes) -> Written:
    return write_observer("my-acme", Excerpt(folder / "app.log", lines), folder)


def answer(written: Written, line: bytes, zone: str = "UTC") -> object:
    spec = f"{written.observer.absolute()}:{written.class_name}"
    return make_observer(spec, ObserverContext(timezone=Zone().parse(zone))).observe(line)


@pytest.mark.parametrize("form", FORMS)
def test_the_written_observer_reads_the_line(tmp_path: Path, form: str) -> None:
    line, after_noon_ns, duration_ns = FORMS[form]
    written = write(tmp_path, b"starting", line)
    sample = answer(written, line)
    assert isinstance(sample, Sample)
    assert (sample.time_ns, sample.duration_ns) == (NOON + after_noon_ns, duration_ns)
    assert (written.observer.name, written.test.name, written.class_name) == ("my_acme.py", "test_my_acme.py", "MyAcme")
    assert written.samples == 1
    assert written.is_unit_guessed == form.startswith("no unit")
    ast.parse(written.test.read_text())


def test_the_zone_is_that_of_the_option_if_the_stamps_have_none(tmp_path: Path) -> None:
    line = FORMS["comma and no zone"][0]
    written = write(tmp_path, line)
    assert written.needs_zone
    sample = answer(written, line, "Asia/Kolkata")
    assert isinstance(sample, Sample)
    assert sample.time_ns == NOON + 250 * MS - 19_800 * 10**9


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("comma and no zone", "slashes", "brackets")])
def test_the_zone_is_needed_only_without_one(tmp_path: Path, form: str) -> None:
    assert not write(tmp_path, FORMS[form][0]).needs_zone


def test_lines_that_cannot_be_true_are_rejected_and_others_ignored(tmp_path: Path) -> None:
    line = FORMS["rfc 3339"][0]
    written = write(tmp_path, line)
    assert answer(written, line.replace(b"11-25", b"13-25")) == Rejected("time")
    assert answer(written, line.replace(b"0.734s", b"90000s")) == Rejected("bounds")
    assert answer(written, b"2026-11-25T12:00:00.250Z took=") == Ignored()


def test_the_most_frequent_duration_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    lines = [b"2026-11-25T12:00:00Z total=5ms db=4000ms", b"2026-11-25T12:00:01Z total=7ms"]
    text = write(tmp_path, *lines).observer.read_text()
    assert "marker = b'total='" in text
    assert "# TODO: a stage? db=… in ms" in text


def test_a_rare_number_without_a_unit_is_not_a_duration(tmp_path: Path) -> None:
    lines = [b"2026-11-25T12:00:00Z GET /%d" % number for number in range(99)]
    assert guess([*lines, b"2026-11-25T12:00:00Z GET /?rt=0.5"]) is None
    assert guess([*lines, b"2026-11-25T12:00:00Z took 5ms"]) is not None


def test_of_equally_frequent_durations_that_of_the_whole_is_taken(tmp_path: Path) -> None:
    line = b"2026-11-25T12:00:00Z (since last: 900 ms, Total: 5 ms)"
    assert "marker = b'Total: '" in write(tmp_path, line).observer.read_text()


def test_of_equally_frequent_durations_the_longest_is_taken(tmp_path: Path) -> None:
    assert "marker = b'render='" in write(tmp_path, b"2026-11-25T12:00:00Z db=4ms render=5ms").observer.read_text()


def passes(folder: Path) -> None:
    """Run the written test."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_acme.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=bound_s(60),
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["rfc 3339", "micro sign", "common log, unit at the end"])
def test_the_written_test_passes(tmp_path: Path, name: str) -> None:
    line = FORMS[name][0]
    assert not write(tmp_path, line, b'"""\\ \xff\x1b ' + line).needs_no_framing
    passes(tmp_path)


@pytest.mark.parametrize(
    "prefix", [b"2026-11-29T11:59:54.215217-03:30 host acme[1205]: ", b"2026-11-29T11:59:54.215217123Z stdout F "]
)
def test_the_wrapper_of_a_line_is_not_a_part_of_it(tmp_path: Path, prefix: bytes) -> None:
    line, after_noon_ns, duration_ns = FORMS["rfc 3339"]
    written = write(tmp_path, prefix + line)
    sample = answer(written, line)
    assert isinstance(sample, Sample)
    assert (sample.time_ns, sample.duration_ns) == (NOON + after_noon_ns, duration_ns)


def test_a_stamp_in_the_form_of_a_wrapper_is_kept(tmp_path: Path) -> None:
    line = b"2026-11-25T12:00:00.250Z host acme: GET /x took=35ms"
    written = write(tmp_path, line)
    assert written.needs_no_framing
    sample = answer(written, line)
    assert isinstance(sample, Sample)
    assert (sample.time_ns, sample.duration_ns) == (NOON + 250 * MS, 35 * MS)
    assert '    framing = "none"\n' in written.test.read_text()
    passes(tmp_path)


@pytest.mark.parametrize("there", ["my_acme.py", "test_my_acme.py"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=f"{there} exists"):
        write(tmp_path, FORMS["rfc 3339"][0])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


@pytest.mark.parametrize("lines", [(), (b"",), (b"no time took=5ms",), (b"2026-11-25T12:00:00Z no duration",)])
def test_without_stamps_and_durations_nothing_is_written(tmp_path: Path, lines: tuple[bytes, ...]) -> None:
    with pytest.raises(UsageError, match=r"no line of .*app\.log has a time stamp and a duration"):
        write(tmp_path, *lines)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", "Acme", "5acme", "a/b", "acme.py", "../acme", "a--b", "é", "asyncio", "otel-logtail"]
)
def test_a_name_that_is_not_one_of_a_module_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="invalid name"):
        write_observer(name, Excerpt(tmp_path / "app.log", (FORMS["rfc 3339"][0],)), tmp_path)


@pytest.mark.parametrize(
    "line", [b"2026-11-25T12:00:00Z 35 ms", b"2026-11-25T12:00:00Z version=1.5s5 port:80", b"12 took 5ms"]
)
def test_a_number_without_meaning_is_not_a_duration(line: bytes) -> None:
    found = guess([line])
    assert found is None or found.took.is_last


# --- excerpts -------------------------------------------------------------------------------------------------------


def test_a_short_log_is_read_completely(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"a\r\nb\n\nc")
    assert read_excerpt(log) == Excerpt(log, (b"a", b"b", b"", b"c"))
    log.write_bytes(b"")
    assert read_excerpt(log) == Excerpt(log, ())


@pytest.mark.parametrize("is_gzip", [False, True])
def test_of_a_long_log_the_ends_are_read(tmp_path: Path, is_gzip: bool) -> None:
    log = tmp_path / "app.log"
    lines = [b"%07d" % number for number in range(3 * PIECE // 4)]
    data = b"".join(line + b"\n" for line in lines)
    log.write_bytes(gzip.compress(data) if is_gzip else data)
    excerpt = read_excerpt(log)
    assert excerpt.is_part
    assert (excerpt.lines[0], excerpt.lines[-1]) == (lines[0], lines[-1])
    assert len(excerpt.lines) == 2 * (PIECE // 8) - 1  # a line that may be cut is left out
    assert set(excerpt.lines) <= set(lines)


def test_a_damaged_compressed_log_is_read_to_the_damage(tmp_path: Path) -> None:
    log = tmp_path / "app.log.1.gz"
    log.write_bytes(gzip.compress(b"one\ntwo\n")[:-6])
    assert read_excerpt(log).lines[:1] in ((), (b"one",))


def test_a_folder_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a regular file"):
        read_excerpt(tmp_path)
    with pytest.raises(UsageError, match="no such file or directory"):
        read_excerpt(tmp_path / "nothing.log")
