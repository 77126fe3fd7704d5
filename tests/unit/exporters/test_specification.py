"""Everything that is sent keeps the rules of the specification: each capture in each form, and random histories."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from otel_logtail.engine.hits import Thresholds
from otel_logtail.exporters.otlp.encoding import Encoding, Events
from otel_logtail.exporters.otlp.requests import requests
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.writer import Store
from tests.support.forked import run
from tests.support.otlp_rules import Checker, broken_rules
from tests.support.otlp_sent import NOW_NS, drained, opened_outbox, streams_of
from tests.support.pieces import SECOND, Piece, line
from tests.support.places import CAPTURES
from tests.support.receiver import flags, receiving
from tests.support.sent import read

MS = 10**6
LOGS = (
    *(f"{path.name}" for path in sorted(CAPTURES.glob("*.log"))),
    *("apache/access.log", "asyncio/asyncio.log", "caddy/access.log", "caddy/access-tracing.log"),
    *("envoy/access.json.log", "haproxy/haproxy.log", "jvm/g1-utctime.log", "nginx/otel.log"),
    *("postgresql/postgresql.json", "traefik/access.log", "traefik/access-tracing.log"),
)
BREACHES: tuple[Events, ...] = ("span", "log", "both", "spans")
METRICS = ((False, False), (False, True), (True, False), (True, True))
"""Exponential, delta."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A store of each capture. In those with a trace context, every sample is a breach."""
    folder = tmp_path_factory.mktemp("stores")
    found = {}
    for number, log in enumerate(LOGS):
        found[log] = folder / f"{number}.db"
        observer = log.partition("/")[0] if "/" in log else "headroom"
        more = ["--threshold-ms", 1, "--stall-ms", 2] if "tracing" in log else []
        path = CAPTURES / log
        run(
            "--observer",
            observer,
            "--path",
            path,
            "--once",
            "--db",
            found[log],
            "--retention",
            "none",
            *more,
            home=folder,
        )
    yield found


def encoding_of(form: tuple[bool, bool], events: Events) -> Encoding:
    exponential, delta = form
    resource = (("deployment.environment.name", "test"),)
    return Encoding("1.2.3", "box", resource, exponential=exponential, delta=delta, events=events)


@pytest.mark.parametrize("log", LOGS)
def test_what_a_capture_sends_keeps_all_rules(stores: dict[str, Path], log: str) -> None:
    for form, events in zip(METRICS, BREACHES, strict=True):  # neither changes the messages of the other
        encoding = encoding_of(form, events)
        with opened_outbox(stores[log], encoding, f"{form}") as outbox:
            messages = list(drained(outbox, encoding))
        assert len(messages) > 1
        assert broken_rules(messages) == {}, (form, events)


def test_any_form_of_metrics_with_any_form_of_breaches_keeps_all_rules(stores: dict[str, Path]) -> None:
    for form in METRICS:
        for events in BREACHES:
            encoding = encoding_of(form, events)
            with opened_outbox(stores["0.42.0-stall.log"], encoding, f"{form} {events}") as outbox:
                assert broken_rules(drained(outbox, encoding)) == {}, (form, events)


def test_all_captures_in_one_store_keep_all_rules(tmp_path: Path) -> None:
    """Every sample of a millisecond is a breach, the sources have few series, and episodes have parts."""
    parts = read(tmp_path)
    parts.store.close()
    for form, events in zip(METRICS, BREACHES, strict=True):
        encoding = encoding_of(form, events)
        with opened_outbox(tmp_path / "store.db", encoding, f"{form}") as outbox:
            assert broken_rules(drained(outbox, encoding)) == {}, (form, events)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("events", ["span", "spans"])
def test_what_arrives_over_a_protocol_keeps_all_rules(tmp_path: Path, protocol: str, events: str) -> None:
    with receiving(protocol) as receiver:
        arguments = ("--observer", "headroom", "--path", CAPTURES / "0.42.0-slow-upstream-queueing.log", "--once")
        words = ("--db", tmp_path / "store.db", "--retention", "none", "--events", events, *flags(protocol))
        run(*arguments, *words, "--otlp-endpoint", receiver.endpoint, home=tmp_path)
    signals = {request.signal for request in receiver.taken}
    assert signals == {"metrics", "traces"}
    assert broken_rules(request.message for request in receiver.taken) == {}


class History:
    """A random history of a log, the program and its receiver; ``finish`` returns the broken rules.

    Lines are late, intervals close, batches are sent in part or lose their answer, the process is killed, and starts
    with other thresholds or another form of telemetry.
    """

    THRESHOLDS = tuple(Thresholds(ms * MS, 2000 * MS) for ms in (500, 700, 300))

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        self.chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self.checker = Checker()
        self.thresholds = self.THRESHOLDS[0]
        self.encoding = encoding_of(self.chance.choice(METRICS), self.chance.choice(BREACHES))
        self.now_s = 20.0
        self.sent = 0
        self.start()

    def start(self) -> None:
        self.store = Store.open(self.path)
        self.piece = Piece(self.store, thresholds=self.thresholds)

    def write(self) -> None:
        """Some lines: now and then a late one, a burst of breaches, a long silence."""
        burst = self.chance.random() < 0.2
        lines = []
        for _ in range(self.chance.choice((1, 3, 10, 150))):
            self.now_s += 0.3 if burst else self.chance.choice((0.0, 0.5, 3.0, 11.0, 45.0))
            late_s = self.chance.choice((0, 0, 0, 4, 13, 60))
            took_s = self.chance.choice((0.6, 3.0)) if burst else self.chance.choice((0.0, 0.001, 0.4, 0.6, 3.0))
            second = max(1.0, self.now_s - late_s)
            lines.append(line(second, took_s, logged=self.now_s, key=self.chance.choice(("", "a", "b"))))
        self.piece.commit(b"".join(lines), self.now_s - 0.25 if self.chance.random() < 0.5 else None)

    def send(self) -> None:
        """Some requests of some streams; the answer to the last one may be lost."""
        with opened_outbox(self.path, self.encoding) as outbox:
            for stream in streams_of(self.encoding):
                batch = outbox.read(stream, self.chance.choice((1, 7, 100)))
                done = 0
                for request in requests(batch, self.encoding) if batch else ():
                    self.checker.take(request.message)
                    if self.chance.random() < 0.2:
                        break
                    done += request.count
                if batch is not None and done:
                    outbox.advance(batch, done, NOW_NS)

    def send_all(self) -> None:
        self.sent += 1
        with opened_outbox(self.path, self.encoding) as outbox:
            for message in drained(outbox, self.encoding, NOW_NS + self.sent):
                self.checker.take(message)

    def kill(self) -> None:
        self.store.close()
        self.start()

    def restart(self) -> None:
        """Start with other settings. The program sends what waits when it stops."""
        self.send_all()
        self.store.close()
        self.thresholds = self.chance.choice(self.THRESHOLDS)
        exponential, delta = self.chance.choice(METRICS)
        self.encoding = msgspec.structs.replace(self.encoding, exponential=exponential, delta=delta)
        self.checker.other_settings()
        self.start()

    def maintain(self) -> None:
        """Merge intervals, as after some days."""
        tuning = Tuning(merges=((20 * SECOND, 30 * SECOND), (60 * SECOND, 90 * SECOND)))
        self.store.maintenance(Limits(), ["otlp"], tuning).run()

    def finish(self) -> dict[str, str]:
        for later_s in (100, 101):  # the second line after the quiet window closes an episode
            self.piece.commit(line(self.now_s + later_s, 0.001, logged=self.now_s + later_s), self.now_s + 99)
        self.send_all()
        self.store.close()
        return self.checker.finish()


@pytest.mark.parametrize("seed", range(12))
def test_a_random_history_keeps_all_rules(tmp_path: Path, seed: int) -> None:
    history = History(tmp_path / "store.db", seed)
    for _ in range(25):
        history.chance.choice(
            (history.write, history.write, history.send, history.kill, history.restart, history.maintain)
        )()
    assert history.finish() == {}
