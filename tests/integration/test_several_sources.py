"""Several sources in one daemon (``--config``): each as if it were alone; the real process, a real collector."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from otel_logtail.daemon.pace import SCAN_S
from tests.support.collector import Collector
from tests.support.daemon import MODULE, Program
from tests.support.forked import ask, run
from tests.support.lines import SLOW_MS, durations, lines
from tests.support.places import CAPTURES, ROOT
from tests.support.programs import DEADLY
from tests.support.waiting import bound_s

EXAMPLE = ROOT / "examples" / "otel-logtail.toml"
EDGE, BATCH = "0.42.0-stall", "0.42.0-slow-upstream-queueing"
TWO = """\
db = "store.db"
[source.one]
observer = "headroom"
paths = ["one/proxy*.log"]
event = "one.overhead"
from_start = true
[source.two]
observer = "headroom"
paths = ["two/proxy*.log"]
event = "two.overhead"
threshold_ms = 300
from_start = true
"""


class Several(Program):
    """The real daemon with a configuration of two sources."""

    def __init__(self, folder: Path, config: str, *arguments: object, program: tuple[str, ...] = MODULE) -> None:
        self.config = folder / "otel-logtail.toml"
        self.config.write_text(config)
        super().__init__(folder, "--config", self.config, *arguments, program=program)
        for name in ("one", "two"):
            (folder / name).mkdir(exist_ok=True)

    def start(self) -> Several:
        """Start it, and wait until it follows both sources."""
        said = self.said().count(": observer headroom, store")
        self.launch()
        self.wait_for_words(": observer headroom, store", said + 2)
        return self

    def append(self, name: str, data: bytes, file: str = "proxy.log") -> None:
        with (self.folder / name / file).open("ab", buffering=0) as log:
            log.write(data)

    def rotate(self, name: str) -> None:
        """As logrotate does: each rotated file's number grows by one."""
        folder = self.folder / name
        for number in range(len(list(folder.iterdir())) - 1, 0, -1):
            (folder / f"proxy.log.{number}").rename(folder / f"proxy.log.{number + 1}")
        (folder / "proxy.log").rename(folder / "proxy.log.1")

    def samples(self, name: str) -> Counter[int]:
        """How often each duration (ns) is in the store."""
        return Counter(round(ms * 1e6) for (ms,) in self.rows("SELECT duration_ms FROM samples WHERE source = ?", name))

    def counted(self, name: str) -> int:
        return sum(number for (number,) in self.rows("SELECT samples FROM source WHERE name = ?", name))


def told(collector: Collector, source: str, metric: str) -> int:
    """The newest totals that the collector has of a source's metric."""
    series = {
        str(sorted(point.attributes.items())): point.value
        for point in sorted(collector.metrics(), key=lambda point: point.time_ns)
        if point.resource["service.name"] == source and point.name == metric
    }
    return sum(series.values())


def test_the_example_on_two_captures_is_as_two_runs_of_their_own(tmp_path: Path, collector: Collector) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    captures = {"interactive": EDGE, "batch": BATCH}
    for folder in captures:
        (tmp_path / "logs" / folder).mkdir(parents=True)
    flags = ("--db", tmp_path / "store.db", "--otlp-endpoint", collector.http_endpoint)
    with Several(tmp_path, EXAMPLE.read_text(), *flags) as daemon:
        daemon.start()
        daemon.wait_until(lambda: daemon.said().count("no file matches") == 2)  # lines from here on are new
        for folder, capture in captures.items():
            shutil.copy(CAPTURES / f"{capture}.log", tmp_path / "logs" / folder / "proxy.log")
        daemon.wait_until(lambda: daemon.counted("headroom-proxy") == 111)
        daemon.wait_until(lambda: daemon.counted("headroom-batch") == 13)
        daemon.stop()
    # what is still open closes here, so that the collector has it all
    assert run("--config", tmp_path / EXAMPLE.name, "--once", *flags, home=tmp_path).returncode == 0

    alone = {
        "headroom-proxy": ("interactive", "headroom.overhead", 500, 2000, 3000),
        "headroom-batch": ("batch", "batch.overhead", 1500, 10_000, 10_000),
    }
    for source, (folder, event, threshold, stall, quiet) in alone.items():
        db = tmp_path / f"{source}.db"
        run(
            *("--observer", "headroom", "--path", tmp_path / "logs" / folder / "proxy.log", "--once", "--db", db),
            *("--source", source, "--event", event, "--threshold-ms", threshold, "--stall-ms", stall),
            *("--quiet-ms", quiet),
            home=tmp_path,
        )
        for question in ("samples", "episodes"):
            here = ask(tmp_path / "store.db", "query", question, "--source", source, home=tmp_path)
            there = ask(db, "query", question, home=tmp_path)
            for row in (*here, *there):
                del row["id"]
            assert here == there
            assert here
        summary = ask(tmp_path / "store.db", "query", "summary", "--source", source, home=tmp_path)
        assert summary == ask(db, "query", "summary", home=tmp_path)

        # the collector has each as a separate service, with its own names, and its own thresholds as bounds
        assert told(collector, source, f"{event}.duration") == summary["count"]
        assert told(collector, source, f"{event}.breaches") == summary["degraded"] + summary["stall"]
        mine = [point for point in collector.metrics() if point.resource["service.name"] == source]
        assert {point.name.rpartition(".overhead")[0] for point in mine} == {event.partition(".")[0]}
        (bounds,) = {tuple(point.bounds) for point in mine if point.name == f"{event}.duration"}
        assert {threshold / 1000, stall / 1000} <= set(bounds)
        spans = [span for span in collector.spans() if span.name == f"{event}.episode"]
        episodes = ask(db, "query", "episodes", home=tmp_path)
        assert {span.span_id for span in spans} == {episode["span_id"] for episode in episodes}
        assert {span.resource["service.name"] for span in spans} == {source}
    status = ask(tmp_path / "store.db", "status", home=tmp_path)
    assert {s["name"]: (s["samples"], len(s["files"])) for s in status["sources"]} == {
        "headroom-proxy": (111, 1),
        "headroom-batch": (13, 1),
    }
    assert [(exporter["name"], exporter["pending"]) for exporter in status["exporters"]] == [("otlp", 0)]


def test_killed_again_and_again_both_resume_nothing_lost_nothing_doubled(tmp_path: Path, collector: Collector) -> None:
    each, chance = 2000, random.Random("two sources")  # noqa: S311 - moments, no secret
    flags = ("--otlp-endpoint", collector.http_endpoint, "--export-interval", "100ms")
    expected: dict[str, Counter[int]] = {"one": Counter(), "two": Counter()}
    rest = {"one": b"", "two": b""}
    with Several(tmp_path, TWO, *flags) as daemon:
        for kill in range(4):
            first = kill * each
            before = {name: daemon.samples(name).total() for name in expected}
            daemon.start()
            for name, shift in (("one", 0), ("two", 100_000)):
                daemon.append(name, rest[name])
                for begin in range(first, first + each, 100):
                    daemon.append(name, lines(shift + begin, shift + begin + 100))
                    if begin == first + 1000 and kill % 2:
                        daemon.rotate(name)
                expected[name] += durations(shift + first, shift + first + each)
            goal = {name: before[name] + chance.randrange(each) for name in expected}
            daemon.wait_until(lambda goal=goal: any(daemon.counted(name) > goal[name] for name in goal))  # type: ignore[misc]
            daemon.kill()
            for name, wanted in expected.items():
                assert daemon.samples(name) <= wanted
            # it starts again with half a line before it
            for name, shift in (("one", 50_000), ("two", 150_000)):
                half = lines(shift + kill, shift + kill + 1, ms=SLOW_MS)
                daemon.append(name, half[:50])
                rest[name] = half[50:]
                expected[name] += durations(shift + kill, shift + kill + 1, ms=SLOW_MS)
        daemon.start()
        for name, wanted in expected.items():
            daemon.append(name, rest[name])
            daemon.wait_until(lambda name=name, wanted=wanted: daemon.counted(name) >= wanted.total())  # type: ignore[misc]
            assert daemon.samples(name) == wanted
            assert daemon.counted(name) == wanted.total()
        for name, wanted in expected.items():
            daemon.wait_until(
                lambda name=name, wanted=wanted: (  # type: ignore[misc]
                    told(collector, name, f"{name}.overhead.duration") == wanted.total()
                )
            )
        daemon.stop()
        assert daemon.rows("SELECT name, drift FROM source ORDER BY name") == [("one", 0), ("two", 0)]
        assert daemon.rows("SELECT * FROM rejected") == []


def test_a_source_without_a_file_does_not_stop_the_other_and_comes_later(tmp_path: Path) -> None:
    with Several(tmp_path, TWO) as daemon:
        daemon.append("one", lines(0, 10))
        (tmp_path / "two").rmdir()
        daemon.start()
        daemon.wait_until(lambda: daemon.samples("one") == durations(0, 10))
        daemon.rotate("one")
        daemon.append("one", lines(10, 20))
        daemon.wait_until(lambda: daemon.samples("one") == durations(0, 20))
        assert daemon.said().count("no file matches") == 1
        (tmp_path / "two").mkdir()
        daemon.append("two", lines(100, 110))
        daemon.signal(signal.SIGHUP)
        daemon.wait_until(lambda: daemon.samples("two") == durations(100, 110))
        daemon.stop()
        assert daemon.samples("one") == durations(0, 20)


def test_two_sources_without_a_file_are_both_reported(tmp_path: Path) -> None:
    with Several(tmp_path, TWO) as daemon:
        daemon.start()
        daemon.wait_until(lambda: daemon.said().count("no file matches") == 2)
        daemon.stop()


def test_once_reads_existing_files_and_reports_missing_ones(tmp_path: Path) -> None:
    daemon = Several(tmp_path, TWO)
    daemon.append("one", lines(0, 10))
    done = run("--config", daemon.config, "--once", home=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.count("error: two: no file matches") == 1
    assert daemon.samples("one") == durations(0, 10)
    (tmp_path / "one" / "proxy.log").unlink()
    done = run("--config", daemon.config, "--once", home=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("otel-logtail: error: no file matches")


def test_events_of_each_arrive_without_waiting_for_the_periodic_scan(tmp_path: Path) -> None:
    with Several(tmp_path, TWO) as daemon:
        for name in ("one", "two"):
            daemon.append(name, lines(0, 1))
        daemon.start()
        daemon.wait_until(lambda: daemon.counted("one") == daemon.counted("two") == 1)
        took = []
        for number in range(1, 6):
            for name in ("one", "two"):
                began_s = time.monotonic()
                daemon.append(name, lines(number, number + 1))
                daemon.wait_until(lambda name=name, number=number: daemon.counted(name) == number + 1)  # type: ignore[misc]
                took.append(time.monotonic() - began_s)
        daemon.stop()
    # ten waits for the periodic scan, which runs every 2 s, could not all be short
    assert sum(took) < 2 * SCAN_S, took


def test_a_backlog_of_one_does_not_keep_the_other_waiting(tmp_path: Path) -> None:
    many = 60_000
    with Several(tmp_path, TWO) as daemon:
        daemon.append("one", lines(0, many) + lines(many, many + 1, ms=SLOW_MS))
        daemon.append("two", lines(0, 1, ms=SLOW_MS))
        daemon.start()
        daemon.wait_until(lambda: daemon.counted("one") == many + 1 and daemon.counted("two") == 1)
        daemon.stop()
    # breaches have their ids in the order in which they were committed
    order = daemon.rows("SELECT source.name FROM breach JOIN source ON source.id = breach.source ORDER BY breach.id")
    assert order == [("two",), ("one",)]


def test_the_same_file_may_be_followed_by_two_sources(tmp_path: Path) -> None:
    with Several(tmp_path, TWO.replace("two/proxy", "one/proxy")) as daemon:
        daemon.append("one", lines(0, 100))
        daemon.start()
        for name in ("one", "two"):
            daemon.wait_until(lambda name=name: daemon.samples(name) == durations(0, 100))  # type: ignore[misc]
        daemon.stop()


def test_sighup_scans_the_files_of_each(tmp_path: Path) -> None:
    config = TWO.replace("one/proxy*.log", "one/*/proxy.log").replace("two/proxy*.log", "two/*/proxy.log")
    with Several(tmp_path, config) as daemon:
        daemon.start()
        for number in range(3):
            for name in ("one", "two"):
                (tmp_path / name / f"new-{number}").mkdir()  # without an event
                daemon.append(name, lines(number, number + 1), f"new-{number}/proxy.log")
            began_s = time.monotonic()
            daemon.signal(signal.SIGHUP)
            for name in ("one", "two"):
                daemon.wait_until(lambda name=name, number=number: daemon.counted(name) == number + 1)  # type: ignore[misc]
            # each round begins just after a scan: without the signal it would take the whole time to the next one
            assert number == 0 or time.monotonic() - began_s < bound_s(0.75 * SCAN_S)
        daemon.stop()


def test_a_watcher_that_dies_is_reported_once_and_both_continue(tmp_path: Path) -> None:
    with Several(tmp_path, TWO, program=("-c", DEADLY)) as daemon:
        for name in ("one", "two"):
            daemon.append(name, lines(0, 1))
        daemon.start()
        daemon.wait_until(lambda: daemon.counted("one") == daemon.counted("two") == 1)
        daemon.signal(signal.SIGUSR1)
        daemon.append("one", lines(1, 2))

        def said() -> bool:
            # an event, for it to die of: one may come before the signal does, and a change of times alone is none
            (tmp_path / "one" / "another.txt").write_text("changed")
            return "file system events failed" in daemon.said()

        daemon.wait_until(said)
        for number in (2, 3):
            for name in ("one", "two"):
                daemon.append(name, lines(number, number + 1))
            for name, count in (("one", number + 1), ("two", number)):
                daemon.wait_until(lambda name=name, count=count: daemon.counted(name) == count)  # type: ignore[misc]
        daemon.stop()
        assert daemon.said().count("file system events failed") == 1


def test_one_that_may_not_be_read_does_not_stop_the_other(tmp_path: Path) -> None:
    with Several(tmp_path, TWO) as daemon:
        (tmp_path / "two" / "proxy.log").symlink_to("proxy.log")  # no user can open it, not even root
        daemon.append("one", lines(0, 5))
        daemon.start()
        daemon.wait_until(lambda: daemon.samples("one") == durations(0, 5))
        (tmp_path / "two" / "proxy.log").unlink()
        daemon.append("two", lines(5, 9))
        daemon.wait_until(lambda: daemon.samples("two") == durations(5, 9))
        daemon.stop()
