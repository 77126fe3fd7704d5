"""Random histories of a store and its receiver: what the receiver adds up is what the log held.

The receiver is a small model of a Prometheus without an out-of-order window. It rejects a whole request for one sample
that is older than the last one of its series (including the series that it creates for a resource), or that has another
value at the same time. It ignores start times, so it counts an increase after a fall from 0.

Known limits of the program, which the histories leave out: an answer that is lost just before the process is killed
*and* is started again as something else (another kind of histogram, an older copy, another machine); lines that are
late for what a newer copy of the store has sent, within ten minutes after the older copy was restored; a copy from
before the store got a new id.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_logtail.engine.hits import Thresholds
from otel_logtail.exporters.otlp.encoding import Encoding
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.model import ExportBatch, Stream
from otel_logtail.store import marker
from otel_logtail.store.home import Home
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.examples import examples
from tests.support.memory import place
from tests.support.pieces import INTERVAL, NOON, SECOND, Backlog, line

KEYS = ["", "a", "b"]
THRESHOLDS = [Thresholds(ms * 1_000_000, 2_000_000_000) for ms in (500, 700, 300)]
MERGES = ((20 * SECOND, 30 * SECOND), (60 * SECOND, 90 * SECOND))


class Receiver:
    """A Prometheus without a window: samples by series, and what they add up to."""

    def __init__(self) -> None:
        self.last: dict[tuple[object, ...], tuple[int, float]] = {}
        self.grown: Counter[str] = Counter()
        self.starts: dict[tuple[object, ...], int] = {}

    def take(self, request: ExportMetricsServiceRequest) -> bool:
        """Return whether the request is accepted. If not, no part of it is."""
        new: dict[tuple[object, ...], tuple[int, float]] = {}
        grown: Counter[str] = Counter()
        starts: dict[tuple[object, ...], int] = {}
        for resource in request.resource_metrics:
            labels = {a.key: a.value.string_value for a in resource.resource.attributes}
            target = (labels.pop("service.name"), labels.pop("service.instance.id"))
            times = []
            for metric in resource.scope_metrics[0].metrics:
                kind = metric.WhichOneof("data")
                assert kind is not None
                for point in getattr(metric, kind).data_points:
                    attributes = {a.key: a.value.string_value or a.value.int_value for a in point.attributes}
                    value = point.as_double if kind == "gauge" else point.as_int if kind == "sum" else point.count
                    name = (*target, metric.name, kind, *sorted(attributes.items()))
                    time_ms = point.time_unix_nano // 1_000_000
                    before = new.get(name) or self.last.get(name)
                    if before is not None:
                        last_ms, last = before
                        assert name not in new or time_ms > last_ms, "points of a series in a request go back"
                        if time_ms < last_ms or (time_ms == last_ms and value != last):
                            return False
                    if kind == "gauge":
                        more = 0
                    elif before is not None:
                        start_ms = point.start_time_unix_nano // 1_000_000
                        started_ms = starts.get(name, self.starts.get(name))
                        assert start_ms == started_ms or start_ms > last_ms, "a start in the past of the series"
                        assert value >= last or start_ms > started_ms, "a fall under one start"
                        more = value - last if value >= last else value
                    else:
                        assert value == 0, "a series begins with a 0"
                        more = 0
                    new[name], starts[name] = (time_ms, value), point.start_time_unix_nano // 1_000_000
                    times.append(time_ms)
                    if metric.name == "log.overhead.duration":
                        grown[str(attributes.get("fake.key", ""))] += more
            if labels:
                info = (*target, "target_info")
                if min(times) < self.last.get(info, (0, 0))[0]:
                    return False
                new[info] = (max(times), 1)
        self.last |= new
        self.starts |= starts
        self.grown += grown
        return True


class SeriesMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=place()))
        self.path = self.folder / "store.db"
        self.thresholds = THRESHOLDS[0]
        self.encoding = Encoding("1", "box")
        self.log: list[tuple[bytes, float]] = []
        self.truth: Counter[str] = Counter()
        self.backups: list[tuple[Path, int]] = []
        self.receiver = Receiver()
        self.now_s = 20.0
        self.floor_s = 0.0
        self.unanswered = False
        self.limit = 100
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.path)
        self.piece = Backlog(self.store, thresholds=self.thresholds)
        self.outbox = Outbox.open(self.path, "otlp")
        self.begun = self.outbox.register([Stream.INTERVALS], NOON, form=self.encoding.form)

    def close(self) -> None:
        self.outbox.close()
        self.store.close()

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.check()
        finally:
            self.close()
            shutil.rmtree(self.folder)

    # --- what happens ---

    @rule(
        step_s=st.sampled_from([0.0, 0.5, 3.0, 11.0, 45.0]),
        late_s=st.sampled_from([0, 0, 0, 4, 13, 60]),
        key=st.sampled_from(KEYS),
        duration_s=st.sampled_from([0.001, 0.4, 0.6, 3.0]),
        seal=st.booleans(),
    )
    def say(self, step_s: float, late_s: float, key: str, duration_s: float, seal: bool) -> None:
        self.now_s += step_s
        second = max(self.now_s - late_s, self.floor_s)
        seal_s = self.now_s - 0.25 if seal else 0.0
        self.log.append((line(second, duration_s, logged=self.now_s, key=key), seal_s))
        self.truth[key] += 1
        self.piece.commit(*self.log[-1])

    @rule(
        said=st.lists(
            st.tuples(
                st.sampled_from([0.5, 3.0, 11.0, 24.0]),
                st.sampled_from([0, 0, 0, 13, 60]),
                st.sampled_from(KEYS),
                st.sampled_from([0.001, 0.1, 0.6]),
            ),
            min_size=2,
            max_size=8,
        ),
        open_s=st.sampled_from([0.25, 10.0, 25.0]),
    )
    def say_what_was_written_meanwhile(self, said: list[tuple[float, int, str, float]], open_s: float) -> None:
        """Lines of a backlog: most of their intervals close at once, and those with few samples stay values."""
        data = b""
        for step_s, late_s, key, duration_s in said:
            self.now_s += step_s
            data += line(max(self.now_s - late_s, self.floor_s), duration_s, logged=self.now_s, key=key)
            self.truth[key] += 1
        self.log.append((data, self.now_s - open_s))
        self.piece.commit(*self.log[-1])

    @rule(limit=st.sampled_from([1, 3, 100]), answers=st.integers(0, 5))
    def deliver(self, limit: int, answers: int) -> None:
        """Up to so many requests; the answer to the last one is lost."""
        batch = self.outbox.read(Stream.INTERVALS, limit)
        done = 0
        for request in requests(batch, self.encoding) if batch else ():
            assert isinstance(request.message, ExportMetricsServiceRequest)
            if not self.receiver.take(request.message):
                assert self.unanswered, "it was never sent before, and is refused"
                break
            if not answers:
                self.unanswered = True
                break
            answers -= 1
            done += request.count
        if batch is not None and done:
            self.outbox.advance(batch, done, NOON)

    @rule()
    def repeat_what_is_silent(self) -> None:
        batch = self.outbox.silent(30 * SECOND, 100)
        if batch is not None:
            self.send(batch)

    @rule()
    def killed(self) -> None:
        self.close()
        self.open()

    @rule(of=st.sampled_from(THRESHOLDS))
    def restarted_with_other_thresholds(self, of: Thresholds) -> None:
        self.close()
        self.thresholds = of
        self.open()

    @rule(exponential=st.booleans(), version=st.sampled_from("12"))
    def restarted_with_another_form(self, exponential: bool, version: str) -> None:
        self.deliver_all()
        self.close()
        self.encoding = msgspec.structs.replace(self.encoding, exponential=exponential, version=version)
        self.open()

    @rule()
    def saved(self) -> None:
        copy = Path(tempfile.mkdtemp(dir=self.folder), "copy")
        self.store._db.execute("VACUUM INTO ?", (str(copy),))
        self.backups.append((copy, len(self.log)))

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def restored(self, data: st.DataObject) -> None:
        """An older copy, and the log is read again from where it ends."""
        self.piece.seal(self.now_s + 10)
        self.deliver_all()
        self.close()
        copy, read = data.draw(st.sampled_from(self.backups))
        for path in self.folder.glob("store.db*"):
            path.unlink()
        shutil.copy(copy, self.path)
        self.open()
        for text, seal_s in self.log[read:]:
            self.piece.commit(text, seal_s=seal_s)
        self.now_s += 10
        self.floor_s = (self.now_s * SECOND // INTERVAL + 1) * INTERVAL / SECOND
        self.now_s = max(self.now_s, self.floor_s)

    @rule()
    def used_on_another_machine(self) -> None:
        self.deliver_all()
        self.close()
        marker.remove(self.path)
        self.backups.clear()
        with closing(sqlite3.connect(self.path)) as db, db:
            text = msgspec.json.encode(Home("m", "h", "/")).decode()
            db.execute("UPDATE meta SET value = ? WHERE key = 'home'", (text,))
        self.open()

    @rule()
    def maintain(self) -> None:
        self.store.maintenance(Limits(), ["otlp"], Tuning(merges=MERGES)).run()

    @rule(steps=st.integers(1, 8))
    def want_of_room(self, steps: int) -> None:
        if self.unanswered:
            self.deliver_all()
        dropping = self.store.maintenance(Limits(max_bytes=1), ["otlp"], Tuning(merges=MERGES))
        for _ in range(steps):
            dropping.step(0.0)

    # --- how ---

    def send(self, batch: ExportBatch) -> None:
        """Send a batch as a whole. A batch with data that was sent before may be refused, and is quarantined then."""
        done = 0
        for request in requests(batch, self.encoding):
            assert isinstance(request.message, ExportMetricsServiceRequest)
            if not self.receiver.take(request.message):
                assert self.unanswered
                break
            done += request.count
        if done:
            self.outbox.advance(batch, done, NOON)
        elif len(batch.items) == 1:
            self.outbox.set_aside(batch, "out of order", NOON, held=True)
        else:
            self.limit = len(batch.items) // 2
            return
        self.limit = min(100, self.limit * 2)

    def deliver_all(self) -> None:
        while (batch := self.outbox.read(Stream.INTERVALS, self.limit)) is not None:
            self.send(batch)
        self.unanswered = False

    def check(self) -> None:
        for key in KEYS:  # one more of each: the next point includes a quarantined one
            self.say(1.0, 0, key, 0.001, False)
        self.now_s += 20
        self.piece.seal(self.now_s)
        self.deliver_all()
        assert self.receiver.grown == self.truth


TestSeries = SeriesMachine.TestCase
TestSeries.settings = settings(
    max_examples=examples(40),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
