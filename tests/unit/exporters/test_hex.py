"""The hex bus, against a substitute engine over real sockets: alone, with delivery and store, and from the CLI."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_logtail.delivery.rules import Rules
from otel_logtail.delivery.sender import Drain
from otel_logtail.errors import UsageError
from otel_logtail.events import Reporter
from otel_logtail.exporter import ExporterContext
from otel_logtail.exporters.hex.bus import HexExporter, make
from otel_logtail.exporters.hex.config import read_bus
from otel_logtail.exporters.hex.events import Event, Outcome
from otel_logtail.exporters.hex.link import Link
from otel_logtail.model import Delivered, Delivery, ExportBatch, Partial, Refused, Retry, Stream
from otel_logtail.option import Options
from otel_logtail.plugins import make_exporter
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.captures import read_episodes, read_log
from tests.support.certificates import Authority
from tests.support.forked import ask, run
from tests.support.hex_engine import Engine
from tests.support.hex_items import breach, breaches, episode, episodes
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows
from tests.support.places import CAPTURES, TESTS
from tests.support.said import Said
from tests.support.together import together_fixture
from tests.support.waiting import bound_s

SHORT_S = 0.3
"""How long an answer may take where none comes."""

RIGHT, WRONG = "secret", "other"
SKIPS = "warning: hex: items that are too old for it are skipped (the store keeps them; the end logs their number)"


def exporter_to(url: str, *, token: str = "", timeout_s: float = 5.0, max_age_ns: int | None = None) -> HexExporter:
    settings = read_bus(Options({"III_TOKEN": token}, {"hex_url": url}))
    return HexExporter(Link(settings, timeout_s=timeout_s), max_age_ns, now_ns=lambda: NOON)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as running:
        yield running


@pytest.fixture
def exporter(engine: Engine) -> Iterator[HexExporter]:
    made = exporter_to(engine.url)
    yield made
    made.close()


# --- one batch ------------------------------------------------------------------------------------------------------


def test_a_batch_is_sent_in_order_over_one_connection(engine: Engine, exporter: HexExporter) -> None:
    assert exporter.export(breaches(*(breach(n) for n in range(1, 51)))) == Delivered()
    assert exporter.export(episodes(episode(1), episode(2))) == Delivered()
    assert engine.ids() == [f"{n:032x}" for n in range(1, 51)] + [f"{n:016x}" for n in (1, 2)]
    assert engine.connections == 1
    assert len(set(engine.invocations)) == 52


def test_no_call_is_sent_before_the_one_before_it_is_answered() -> None:
    with Engine(["alone", "alone"]) as engine:
        exporter = exporter_to(engine.url)
        assert exporter.export(breaches(breach(1), breach(2), breach(3))) == Delivered()
        exporter.close()
        assert (len(engine.stored), engine.together) == (3, 0)


@pytest.mark.parametrize("word", ["mute", "drop", "lose"])
def test_an_unanswered_event_is_resent_with_the_same_id_in_another_call(word: str) -> None:
    with Engine(["ok", word]) as engine:
        exporter = exporter_to(engine.url, timeout_s=SHORT_S)
        batch = breaches(breach(1), breach(2), breach(3))
        outcome = exporter.export(batch)
        assert isinstance(outcome, Partial)
        assert (outcome.count, type(outcome.rest)) == (1, Retry)
        why = "gave no answer within 0.3 s" if word == "mute" else "hung up before it answered"
        assert why in outcome.rest.why
        assert exporter.export(ExportBatch(batch.stream, batch.items[1:])) == Delivered()
        exporter.close()
        assert engine.calls[1] == engine.calls[2]
        assert engine.invocations[1] != engine.invocations[2]
        again = word == "drop"  # it was stored, and only the answer is missing
        assert engine.ids() == [f"{n:032x}" for n in ((1, 2, 2, 3) if again else (1, 2, 3))]
        assert engine.connections == 2


def test_other_frames_and_answers_to_other_calls_are_passed_over() -> None:
    with Engine(["late", "late"]) as engine:
        exporter = exporter_to(engine.url)
        assert exporter.export(breaches(breach(1), breach(2))) == Delivered()
        exporter.close()
        assert len(engine.stored) == 2


@pytest.mark.parametrize(
    ("code", "kind"), [("function_not_found", Retry), ("SET_ERROR", Retry), ("FORBIDDEN", Refused)]
)
def test_an_error_is_recognized_by_its_code(code: str, kind: type[Delivery]) -> None:
    with Engine([code]) as engine:
        exporter = exporter_to(engine.url)
        outcome = exporter.export(breaches(breach(1), breach(2)))
        assert isinstance(outcome, kind)
        assert not isinstance(outcome, Delivered | Partial)
        assert f"{engine.url} answered {code}: {code} [31m by the script" in outcome.why
        assert exporter.export(breaches(breach(1), breach(2))) == Delivered()
        exporter.close()


def test_a_missing_engine_is_retried_and_found_later() -> None:
    engine = Engine()
    exporter = exporter_to(engine.url)
    outcome = exporter.export(breaches(breach(1)))
    assert isinstance(outcome, Retry)
    assert "can't be reached" in outcome.why
    with engine:
        assert exporter.export(breaches(breach(1))) == Delivered()
        exporter.close()


def test_an_engine_that_was_restarted_in_between_costs_no_failed_delivery(engine: Engine) -> None:
    exporter = exporter_to(engine.url)
    assert exporter.export(breaches(breach(1))) == Delivered()
    for number in range(2, 5):
        engine.stop()
        engine.start()
        assert exporter.export(breaches(breach(number))) == Delivered()
    exporter.close()
    assert engine.ids() == [f"{n:032x}" for n in range(1, 5)]


def test_the_token_is_sent_and_a_wrong_one_is_not_the_events_fault() -> None:
    with Engine(token=RIGHT) as engine:
        right, wrong = exporter_to(engine.url, token=RIGHT), exporter_to(engine.url, token=WRONG)
        outcome = wrong.export(breaches(breach(1)))
        assert isinstance(outcome, Retry)
        assert "answered 401: the engine requires credentials: set III_TOKEN" in outcome.why
        assert WRONG not in outcome.why
        assert right.export(breaches(breach(1))) == Delivered()
        right.close()
        wrong.close()


def test_a_proxy_of_the_environment_is_not_asked(
    engine: Engine, exporter: HexExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.255.255.254:1")
    assert exporter.export(breaches(breach(1))) == Delivered()


def test_a_handshake_that_does_not_end_is_given_up_in_time() -> None:
    with Engine(slow=True) as engine:
        exporter = exporter_to(engine.url, timeout_s=SHORT_S)
        begun_s = time.monotonic()
        outcome = exporter.export(breaches(breach(1)))
        assert isinstance(outcome, Retry)
        assert "can't be reached within 0.3 s" in outcome.why
        assert time.monotonic() - begun_s < bound_s(5)
        engine.handshake.set()
        assert exporter.export(breaches(breach(1))) == Delivered()
        exporter.close()


# --- stop while sending ---------------------------------------------------------------------------------------------


class Exporting:
    """A batch that is being sent in its own thread."""

    def __init__(self, exporter: HexExporter, batch: ExportBatch) -> None:
        self.outcome: Delivery | None = None
        self._thread = threading.Thread(target=lambda: self._export(exporter, batch))
        self._thread.start()

    def _export(self, exporter: HexExporter, batch: ExportBatch) -> None:
        self.outcome = exporter.export(batch)

    def end(self, within_s: float = 5.0) -> Delivery | None:
        self._thread.join(within_s)
        assert not self._thread.is_alive()
        return self.outcome


def test_closing_ends_the_wait_for_an_answer() -> None:
    with Engine(["ok", "mute"]) as engine:
        exporter = exporter_to(engine.url, timeout_s=60.0)
        exporting = Exporting(exporter, breaches(breach(1), breach(2)))
        assert engine.wait_for(lambda engine: len(engine.calls) == 2)
        exporter.close()
        assert exporting.end() == Partial(1, Retry("the exporter is closed"))


def test_closing_ends_the_wait_for_a_handshake() -> None:
    with Engine(slow=True) as engine:
        exporter = exporter_to(engine.url, timeout_s=60.0)
        exporting = Exporting(exporter, breaches(breach(1)))
        assert engine.wait_for(lambda engine: engine.hanging)
        exporter.close()
        assert exporting.end() == Retry("the exporter is closed")


def test_closing_ends_the_wait_for_a_silent_engine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        exporter = exporter_to(f"ws://127.0.0.1:{server.getsockname()[1]}", timeout_s=60.0)
        exporting = Exporting(exporter, breaches(breach(1)))
        with server.accept()[0]:
            exporter.close()
            assert exporting.end() == Retry("the exporter is closed")


def test_nothing_is_sent_once_it_is_closed(engine: Engine, exporter: HexExporter) -> None:
    assert exporter.export(breaches(breach(1))) == Delivered()
    exporter.close()
    assert exporter.export(breaches(breach(2))) == Retry("the exporter is closed")
    unused = exporter_to(engine.url)
    unused.close()
    assert unused.export(breaches(breach(2))) == Retry("the exporter is closed")
    assert len(engine.calls) == 1


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_over_tls_events_and_the_token_arrive(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    trust = {"SSL_CERT_FILE": str(authority.trust)}
    with Engine(token=RIGHT, tls=authority.issue().context()) as engine:
        assert engine.url.startswith("wss://")
        exporter = make(ExporterContext({**trust, "III_TOKEN": RIGHT, "III_URL": engine.url}, {"hex_max_age": "none"}))
        assert exporter.export(breaches(breach(1), breach(2))) == Delivered()
        assert exporter.export(episodes(episode(3))) == Delivered()
        assert engine.ids() == [f"{1:032x}", f"{2:032x}", f"{3:016x}"]
        assert engine.connections == 1
        exporter.close()
        stranger = make(ExporterContext({**trust, "III_TOKEN": WRONG}, {"hex_url": engine.url, "hex_max_age": "none"}))
        answer = stranger.export(breaches(breach(4)))
        stranger.close()
    assert isinstance(answer, Retry)
    assert "set III_TOKEN" in answer.why


COMPLAINTS = {
    "an authority that nobody knows": ("local issuer certificate", "SSL_CERT_FILE must be a PEM file"),
    "another host": ("not valid for '127.0.0.1'", "the endpoint's host must be a name"),
    "one that has ended": ("certificate has expired", "renewed there"),
    "no TLS at all": ("in the TLS handshake", "use ws://"),
}


def one_error_then_everything(folder: Path, wrong: str) -> None:
    known, unknown = Authority(folder / "known"), Authority(folder / "unknown")
    pairs = {
        "an authority that nobody knows": unknown.issue(),
        "another host": known.issue("engine.example"),
        "one that has ended": known.issue(ended=True),
    }
    engine = Engine(tls=pairs[wrong].context() if wrong in pairs else None)
    command = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-burst.log", "--once", "--db", folder / "s.db"]
    chosen = ["--exporter", "hex", "--hex-max-age", "none", "--hex-url", engine.url.replace("ws://", "wss://")]
    trust = {"SSL_CERT_FILE": str(known.trust)}
    with engine:
        failed = run(*command, *chosen, home=folder, check=False, environ=trust)
        assert failed.returncode == 1
        # on a busy machine an attempt may run out of its 5 s: an error of its own, after which the other one repeats
        told = {text.partition(" hex: ")[2] for text in failed.stderr.splitlines() if " hex: " in text}
        (complaint,) = {text for text in told if "can't be reached within" not in text}
        (exporter,) = ask(folder / "s.db", "status", home=folder)["exporters"]
        for words in COMPLAINTS[wrong]:
            assert words.casefold() in complaint.casefold()
            assert words.casefold() in exporter["last_error"].casefold()
        assert engine.calls == []
        engine.stop()
        engine.tls = known.issue().context()
        engine.start()
        run(*command, *chosen, home=folder, environ=trust)
        assert len(engine.stored) == 20


attempts = together_fixture(one_error_then_everything)


@pytest.mark.parametrize("wrong", COMPLAINTS)
def test_a_wrong_certificate_is_one_clear_error_and_the_right_one_brings_everything(
    attempts: Callable[..., None], wrong: str
) -> None:
    attempts(wrong=wrong)


def test_a_tls_handshake_that_does_not_end_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"wss://127.0.0.1:{silent.getsockname()[1]}"
        exporter = exporter_to(url, timeout_s=SHORT_S)
        begun_s = time.monotonic()
        answer = exporter.export(breaches(breach(1)))
        exporter.close()
    assert answer == Retry(f"{url} can't be reached within {SHORT_S:g} s")
    assert time.monotonic() - begun_s < bound_s(10) * SHORT_S


# --- age ------------------------------------------------------------------------------------------------------------


class Answers:
    """A sender that answers from a list."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.sent: list[Event] = []
        self._outcomes = iter(outcomes)

    def send(self, event: Event) -> Outcome:
        self.sent.append(event)
        return next(self._outcomes, Delivered())

    def close(self) -> None:
        """Nothing is held."""


def aged(*ages_ns: int) -> ExportBatch:
    return breaches(*(breach(n, time_ns=NOON - age_ns) for n, age_ns in enumerate(ages_ns, 1)))


def test_what_is_older_than_the_bound_is_skipped_and_counted_wherever_it_is() -> None:
    sender = Answers()
    exporter = HexExporter(sender, 60 * SECOND, now_ns=lambda: NOON)
    assert exporter.export(aged(60 * SECOND + 1, 60 * SECOND, 0, 3600 * SECOND, -SECOND)) == Delivered(skipped=2)
    assert [event.data.id for event in sender.sent] == [f"{n:032x}" for n in (2, 3, 5)]
    old = episode(1, start_ns=NOON - 9000 * SECOND, end_ns=NOON - 61 * SECOND)
    long = episode(2, start_ns=NOON - 9000 * SECOND, end_ns=NOON - 59 * SECOND)
    assert exporter.export(episodes(old, long)) == Delivered(skipped=1)
    assert sender.sent[-1].data.id == f"{2:016x}"


def test_events_skipped_before_a_failure_are_reported_with_it() -> None:
    why = Retry("not now")
    exporter = HexExporter(Answers(Delivered(), why), 60 * SECOND, now_ns=lambda: NOON)
    assert exporter.export(aged(61 * SECOND, 0, 62 * SECOND, 0, 63 * SECOND)) == Partial(3, why, skipped=2)
    exporter = HexExporter(Answers(why), 60 * SECOND, now_ns=lambda: NOON)
    assert exporter.export(aged(0, 61 * SECOND)) == why


# --- with delivery and store
# -------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


class Running:
    """A delivery into a real exporter, next to the store that it reads."""

    def __init__(self, store: Store, exporter: HexExporter, rules: Rules) -> None:
        self.said = Said()
        outbox = Outbox.open(store.path, exporter.name)
        outbox.register(exporter.wants, time.time_ns())
        self.drain = Drain(exporter, outbox, Reporter(self.said), rules)
        self.drain.start()

    def end(self, within_s: float = 10.0) -> None:
        self.drain.stop(within_s)
        self.drain.join()


@pytest.fixture
def drained(store: Store) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(exporter: HexExporter, batch_items: int = 100) -> Running:
        rules = Rules(first_backoff_s=0.001, last_backoff_s=0.01, batch_items=batch_items)
        running.append(Running(store, exporter, rules))
        return running[-1]

    yield start
    for one in running:
        one.end(0.0)


def stalls(number: int, first: int = 0) -> bytes:
    """Breaches 10 s apart: each is an episode, which the two lines behind it end; the last one stays open."""
    return b"".join(line(10 * (first + n), 0.6) for n in range(number)) + line(10 * (first + number) - 1, 0.1)


def in_store(store: Store) -> tuple[list[str], list[str]]:
    """The ids of all breaches and all closed episodes, in the store's order."""
    return (
        [row[0] for row in rows(store.path, "SELECT lower(hex(uid)) FROM breach ORDER BY id")],  # type: ignore[misc]
        [row[0] for row in rows(store.path, "SELECT lower(hex(span_id)) FROM episode ORDER BY id")],  # type: ignore[misc]
    )


def told(engine: Engine) -> tuple[list[str], list[str]]:
    """The ids of all breaches and all episodes that the engine stored, in its order."""
    return (
        [value["data"]["id"] for value in engine.stored if "kind" not in value["data"]],
        [value["data"]["id"] for value in engine.stored if "kind" in value["data"]],
    )


def test_all_of_the_store_arrives_once_in_its_order(
    store: Store, engine: Engine, drained: Callable[[HexExporter], Running]
) -> None:
    Piece(store).commit(stalls(300))
    running = drained(exporter_to(engine.url))
    assert engine.wait_for(lambda engine: len(engine.stored) == 599)
    running.end()
    assert told(engine) == in_store(store)
    assert running.said.lines() == []
    assert rows(store.path, "SELECT delivered, failures FROM exporter") == [(599, 0)]


def test_every_fault_in_turn_loses_nothing_and_resent_events_keep_their_id(
    store: Store, drained: Callable[[HexExporter], Running]
) -> None:
    script = ["ok", "lose", "drop", "SET_ERROR", "mute", "ok", "function_not_found", "drop", "late", "lose"]
    with Engine(script) as engine:
        Piece(store).commit(stalls(30))
        running = drained(exporter_to(engine.url, timeout_s=SHORT_S))
        assert engine.wait_for(lambda engine: len(set(engine.ids())) == 59)
        running.end()
        breaches_, episodes_ = told(engine)
        assert (list(dict.fromkeys(breaches_)), list(dict.fromkeys(episodes_))) == in_store(store)
        assert len(engine.stored) == 59 + script.count("drop")
        by_id = {value["data"]["id"]: value for value in engine.stored}
        assert all(by_id[value["data"]["id"]] == value for value in engine.stored)


def test_a_forbidden_event_is_quarantined_and_its_neighbors_arrive(
    store: Store, drained: Callable[[HexExporter], Running]
) -> None:
    forbidden: set[str] = set()

    class Choosy(Engine):
        """Forbids the given events at any time."""

        def _set(self, connection, frame):  # type: ignore[no-untyped-def]  # as in the stand-in
            self.script = iter(["FORBIDDEN"] if frame["data"]["value"]["data"]["id"] in forbidden else [])
            super()._set(connection, frame)

    with Choosy() as engine:
        Piece(store).commit(stalls(20))
        uids, spans = in_store(store)
        forbidden.update({uids[3], spans[5]})
        running = drained(exporter_to(engine.url))
        assert engine.wait_for(lambda engine: len(engine.stored) == 39 - 2)
        running.end()
        assert told(engine) == (uids[:3] + uids[4:], spans[:5] + spans[6:])
        assert rows(store.path, "SELECT stream, item FROM refused ORDER BY 1") == [("breaches", 4), ("episodes", 6)]
        assert running.said.getvalue().count("was quarantined") == 2


def test_a_backlog_that_is_too_old_is_skipped_with_one_message_and_counted(
    store: Store, engine: Engine, drained: Callable[..., Running]
) -> None:
    Piece(store).commit(stalls(100))  # the last at 990 s
    exporter = HexExporter(
        Link(read_bus(Options({}, {"hex_url": engine.url}))), 60 * SECOND, now_ns=lambda: NOON + 999 * SECOND
    )
    running = drained(exporter, batch_items=7)
    assert engine.wait_for(lambda engine: len(engine.stored) == 6 + 5)
    running.end()
    uids, spans = in_store(store)
    assert told(engine) == (uids[-6:], spans[-5:])
    assert running.said.lines() == [SKIPS, "hex: 188 items were skipped, too old for it"]
    assert rows(store.path, "SELECT delivered, skipped FROM exporter") == [(11, 188)]


@pytest.mark.parametrize("batch_items", [1, 1000])
def test_what_gets_too_old_while_the_engine_is_down_is_not_taken_for_a_success(
    store: Store, drained: Callable[..., Running], batch_items: int
) -> None:
    now_ns = [NOON]
    engine = Engine()
    Piece(store).commit(b"".join(line(2 * n, 0.6) for n in range(50)))  # one episode, still open

    def to_the_engine() -> HexExporter:
        return HexExporter(Link(read_bus(Options({}, {"hex_url": engine.url}))), 60 * SECOND, now_ns=lambda: now_ns[0])

    running = drained(to_the_engine(), batch_items)
    assert running.said.wait_for("can't be reached")
    now_ns[0] = NOON + 110 * SECOND  # the first half is too old
    assert running.said.wait_for(SKIPS)
    running.end(0.3)
    assert running.said.getvalue().count("can't be reached") == 1
    assert "delivering again" not in running.said.getvalue()
    assert running.said.lines()[-1] == "hex: 25 items were skipped, too old for it"
    assert rows(store.path, "SELECT delivered, skipped, last_success_ns, last_error IS NULL FROM exporter") == [
        (0, 25, None, 0)
    ]
    with engine:
        drained(to_the_engine(), batch_items).end()
    assert told(engine) == (in_store(store)[0][25:], [])


def test_stopping_halfway_keeps_answered_events_and_sends_the_others_at_the_next_start(
    store: Store, drained: Callable[[HexExporter], Running]
) -> None:
    with Engine(["ok", "ok", "ok", "mute"]) as engine:
        Piece(store).commit(stalls(10))
        running = drained(exporter_to(engine.url, timeout_s=60.0))
        assert engine.wait_for(lambda engine: len(engine.calls) == 4)
        begun_s = time.monotonic()
        running.end(0.2)
        assert time.monotonic() - begun_s < bound_s(3)
        assert rows(store.path, "SELECT delivered FROM exporter") == [(3,)]
        drained(exporter_to(engine.url)).end()
        assert told(engine) == in_store(store)


# --- the command line -----------------------------------------------------------------------------------------------


def test_all_breaches_and_episodes_of_a_capture_arrive_with_the_logs_own_time(tmp_path: Path, engine: Engine) -> None:
    log, db = CAPTURES / "0.42.0-slow-upstream-queueing.log", tmp_path / "store.db"
    command = ["--observer", "headroom", "--path", log, "--once", "--db", db, "--exporter", "hex"]
    chosen = ["--hex-url", engine.url, "--hex-max-age", "none", "--event", "headroom.overhead"]
    assert run(*command, *chosen, home=tmp_path).returncode == 0
    samples = read_log(log)
    slow = [sample for sample in samples if sample.severity != "ok"]
    got = [value["data"] for value in engine.stored if "kind" not in value["data"]]
    assert [(d["time"], round(d["value_ms"] * 1e6), d["severity"], d["cause"]) for d in got] == [
        (f"{_iso(s.time_ns)}Z", s.duration_ns, s.severity, s.cause) for s in slow
    ]
    grouped = read_episodes(samples)
    got = [value["data"] for value in engine.stored if "kind" in value["data"]]
    assert [(d["count"], round(d["peak_ms"] * 1e6), d["end"]) for d in got] == [
        (len(e), max(s.duration_ns for s in e), f"{_iso(max(s.time_ns for s in e))}Z") for e in grouped
    ]
    assert {(value["event"], value["producer"]) for value in engine.stored} == {("headroom.overhead", "headroom-proxy")}
    assert all(set(value) == {"event", "producer", "ts", "data"} for value in engine.stored)
    spans = {e["span_id"]: e["trace_id"] for e in ask(db, "query", "episodes", home=tmp_path)}
    assert {d["id"]: d["trace_id"] for d in got} == spans
    # once more: nothing new
    sent = len(engine.stored)
    assert run(*command, *chosen, home=tmp_path).returncode == 0
    assert len(engine.stored) == sent == len(slow) + len(grouped)


def _iso(time_ns: int) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(time_ns // 10**9))}.{time_ns % 10**9:09d}"


def test_a_capture_is_too_old_by_default_and_leaves_nothing_waiting(tmp_path: Path, engine: Engine) -> None:
    log, db = CAPTURES / "0.42.0-stall.log", tmp_path / "store.db"
    command = ["--observer", "headroom", "--path", log, "--once", "--db", db, "--exporter", "hex"]
    ended = run(*command, "--hex-url", engine.url, home=tmp_path)
    assert ended.stderr.count(SKIPS) == 1
    assert ended.stderr.count("hex: 12 items were skipped, too old for it") == 1
    assert engine.calls == []
    for _ in range(2):
        (exporter,) = ask(db, "status", home=tmp_path)["exporters"]
        assert (exporter["delivered"], exporter["pending"], exporter["last_success"]) == (0, 0, None)
        assert exporter["skipped"] == 12
        run(*command, "--hex-url", engine.url, home=tmp_path)  # none of them is counted twice


def test_an_engine_that_is_down_leaves_all_in_the_store_for_the_next_run(tmp_path: Path) -> None:
    engine = Engine()
    command = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-burst.log", "--once", "--db", tmp_path / "s.db"]
    chosen = ["--exporter", "hex", "--hex-url", engine.url, "--hex-max-age", "none"]
    down = run(*command, *chosen, home=tmp_path, check=False)
    assert down.returncode == 1
    assert down.stderr.count("can't be reached") == 1
    with engine:
        assert run(*command, *chosen, home=tmp_path).returncode == 0
        assert len([value for value in engine.stored if "kind" not in value["data"]]) == 19


def test_a_wrong_address_is_one_line_and_exit_2(tmp_path: Path) -> None:
    wrong = run("--observer", "headroom", "--exporter", "hex", "--hex-url", "http://x", home=tmp_path, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(
        "otel-logtail: error: --hex-url: 'http://x' is not the address of a WebSocket\n\nhint:"
    )


def test_without_websockets_the_error_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "otel_logtail.exporters.hex.link")
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with pytest.raises(
        UsageError, match="the exporter hex needs the package websockets, which is not installed"
    ) as caught:
        make(ExporterContext({}))
    assert "pipx inject otel-logtail websockets" in caught.value.hint


def test_it_is_found_by_its_name() -> None:
    found = make_exporter("hex", ExporterContext({}))
    assert (found.name, found.wants) == ("hex", frozenset({Stream.BREACHES, Stream.EPISODES}))
    found.close()


# --- hex's side -----------------------------------------------------------------------------------------------------


def test_a_subscriber_of_the_real_sdk_is_called_for_each_event(tmp_path: Path, engine: Engine) -> None:
    script = TESTS / "support" / "hex_subscriber.py"
    with subprocess.Popen(
        [sys.executable, script, engine.url, "headroom.overhead", "13"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as subscriber:
        assert engine.wait_for(lambda engine: engine.triggers, 30.0)
        command = ["--observer", "headroom", "--path", CAPTURES / "0.42.0-slow-upstream-queueing.log", "--once"]
        chosen = ["--exporter", "hex", "--hex-url", engine.url, "--hex-max-age", "none"]
        event = ["--event", "headroom.overhead", "--db", tmp_path / "s.db"]
        assert run(*command, *chosen, *event, home=tmp_path).returncode == 0
        out, err = subscriber.communicate(timeout=bound_s(40))
    assert subscriber.returncode == 0, err
    got = [json.loads(text) for text in out.splitlines()]
    assert sorted(value["data"]["id"] for value in got) == sorted(engine.ids())
    assert all(value in engine.stored for value in got)


def test_the_stanzas_command_runs_the_daemon_in_the_shells_place(tmp_path: Path, engine: Engine) -> None:
    log = tmp_path / "with space" / "proxy.log"
    log.parent.mkdir()
    log.touch()
    options = ["--observer", "headroom", "--path", log, "--db", tmp_path / "s.db", "--exporter", "hex"]
    stanza = run("service", "hex", *options, "--hex-url", engine.url, "--hex-max-age", "none", home=tmp_path).stdout
    (command,) = [text.strip()[2:] for text in stanza.splitlines() if text.startswith("        - ")]
    assert "restart:\n        on_crash: true\n" in stanza
    with subprocess.Popen(
        ["sh", "-c", json.loads(command)], stderr=subprocess.PIPE, text=True, env={"HOME": str(tmp_path)}
    ) as daemon:
        try:
            assert daemon.stderr is not None
            for said in daemon.stderr:
                if "following" in said:
                    break
            with log.open("ab") as writer:
                writer.write((CAPTURES / "0.42.0-burst.log").read_bytes())
            assert engine.wait_for(lambda engine: len(engine.stored) >= 19, 30.0)
        finally:
            daemon.send_signal(signal.SIGTERM)  # to this one process: a shell in between would keep it to itself
            daemon.communicate(timeout=bound_s(20))
    assert daemon.returncode == 0


def test_a_stanza_for_what_ends_by_itself_or_follows_nothing_is_an_error(tmp_path: Path) -> None:
    assert run("service", "hex", "--observer", "headroom", "--once", home=tmp_path, check=False).returncode == 2
    assert run("service", "hex", "--exporter", "hex", home=tmp_path, check=False).returncode == 2
    assert "exec " in run("service", "hex", home=tmp_path).stdout
