from __future__ import annotations

import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_logtail.delivery import sender as drain_module
from otel_logtail.delivery.rules import RULES, Backoff, Rules
from otel_logtail.delivery.sender import Drain
from otel_logtail.delivery.trials import describe
from otel_logtail.events import Reporter
from otel_logtail.exporters.otlp.answer import HttpAnswer, judge_grpc, judge_http
from otel_logtail.model import (
    Delivered,
    Delivery,
    ExportBatch,
    Item,
    Partial,
    Point,
    Refused,
    Retry,
    Stream,
)
from otel_logtail.store import quarantine
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from otel_logtail.testing import Answer, FakeExporter
from tests.support.pieces import NOON, SECOND, Piece, line, opened, rows
from tests.support.said import Said
from tests.support.waiting import bound_s

BREACHES = frozenset({Stream.BREACHES})


SHORT = Rules(first_backoff_s=0.001, last_backoff_s=0.01)
SLOW = Rules(first_backoff_s=3600.0, last_backoff_s=3600.0)


class Running:
    """A delivery into a fake exporter, next to the store that it reads."""

    def __init__(self, store: Store, exporter: FakeExporter, rules: Rules) -> None:
        self.exporter, self.said = exporter, Said()
        outbox = Outbox.open(store.path, exporter.name)
        outbox.register(exporter.wants, time.time_ns())
        self.drain = Drain(exporter, outbox, Reporter(self.said, clock_s=lambda: 0.0), rules)
        self.drain.start()

    def end(self, within_s: float = 10.0) -> None:
        self.drain.stop(within_s)
        self.drain.join()

    def ids(self, stream: Stream = Stream.BREACHES) -> list[int]:
        return [item.id for item in self.exporter.delivered(stream)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store.db") as store:
        yield store


@pytest.fixture
def run(store: Store, request: pytest.FixtureRequest) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []
    usual = SLOW if "slow_backoff" in request.fixturenames else SHORT

    def start(script: Iterable[Answer] = (), wants: frozenset[Stream] = BREACHES, rules: Rules = usual) -> Running:
        running.append(Running(store, FakeExporter(script, wants=wants), rules))
        return running[-1]

    yield start
    for one in running:
        one.end(0.0)


def breaches(number: int, first: int = 0) -> bytes:
    return b"".join(line(first + n, 0.6) for n in range(number))


def over(second: float) -> bytes:
    """Two lines that are ok: an episode before them is over (one alone may have a wrong time)."""
    return line(second, 0.1) + line(second + 1, 0.1)


def has(stream: Stream, number: int) -> Callable[[FakeExporter], bool]:
    def look(exporter: FakeExporter) -> bool:
        answers = [(batch, answer) for batch, answer in exporter.asked if batch.stream is stream]
        return sum(len(batch.items) for batch, answer in answers if isinstance(answer, Delivered)) >= number

    return look


def test_only_streams_with_new_items_are_read(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Outbox.read
    streams: list[Stream] = []

    def noted(outbox: Outbox, stream: Stream, limit: int) -> ExportBatch | None:
        streams.append(stream)
        return read(outbox, stream, limit)

    monkeypatch.setattr(Outbox, "read", noted)
    Piece(store).commit(breaches(3))
    running = run(wants=frozenset(Stream))
    assert running.exporter.wait_for(has(Stream.BREACHES, 3))
    running.end()
    assert set(streams) == {Stream.INTERVALS, Stream.BREACHES}
    assert streams.count(Stream.BREACHES) == 1


def asked(number: int) -> Callable[[FakeExporter], bool]:
    return lambda exporter: len(exporter.asked) >= number


def position(store: Store, stream: Stream = Stream.BREACHES) -> int:
    (row,) = rows(store.path, f"SELECT position FROM cursor WHERE stream = '{stream.value}'")
    return cast(int, row[0])


# --- delivered --------------------------------------------------------------------------------------------------------


def test_pending_data_is_delivered_at_the_start_and_new_data_when_notified(
    store: Store, run: Callable[..., Running]
) -> None:
    piece = Piece(store)
    piece.commit(breaches(3))
    running = run()
    assert running.exporter.wait_for(has(Stream.BREACHES, 3))
    piece.commit(breaches(2, 3))
    running.drain.notify()
    assert running.exporter.wait_for(has(Stream.BREACHES, 5))
    running.end()
    assert (running.ids(), position(store), running.said.lines()) == ([1, 2, 3, 4, 5], 5, [])
    assert running.exporter.closed == 1


def test_only_streams_of_the_exporter_are_read(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3) + over(60), seal_s=100)
    running = run(wants=frozenset({Stream.EPISODES}))
    running.end()
    assert {batch.stream for batch, _ in running.exporter.asked} == {Stream.EPISODES}
    assert rows(store.path, "SELECT stream, position FROM cursor") == [("episodes", 1)]


def test_a_long_backlog_comes_in_batches_in_order(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(b"".join(line(n / 10, 0.6) for n in range(2500)))
    running = run()
    running.end()
    full, rest = divmod(2500, RULES.batch_items)
    assert [len(batch.items) for batch, _ in running.exporter.asked] == [RULES.batch_items] * full + [rest]
    assert running.ids() == list(range(1, 2501))


def test_all_silent_series_are_repeated_however_many_there_are(store: Store, run: Callable[..., Running]) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1) + line(1, 0.1, key="a") + line(1, 0.1, key="b"), seal_s=10)
    running = run(wants=frozenset({Stream.INTERVALS}), rules=replace(SHORT, batch_items=2))
    assert running.exporter.wait_for(has(Stream.INTERVALS, 12))  # with the 0 that each begins with
    piece.seal(140)
    running.drain.notify()
    running.end()
    unnumbered = [item for item in running.exporter.delivered(Stream.INTERVALS) if item.id == 0]
    repeats = [item for item in unnumbered if cast(Point, item).total.count]
    assert {cast(Point, item).time_ns for item in repeats} == {NOON + 140 * SECOND}
    assert len(repeats) == len({cast(Point, item).series for item in repeats}) == 6


# --- not now ----------------------------------------------------------------------------------------------------------


def test_after_failures_everything_is_delivered_once_and_in_order(store: Store, run: Callable[..., Running]) -> None:
    piece = Piece(store)
    piece.commit(breaches(3))
    running = run([Retry("connection refused")] * 5)
    piece.commit(breaches(3, 3))
    running.drain.notify()
    assert running.exporter.wait_for(has(Stream.BREACHES, 3))
    running.end()
    assert (running.ids(), position(store)) == ([1, 2, 3, 4, 5, 6], 6)


def test_resent_items_are_the_same(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3), seal_s=100)
    running = run([Retry("time-out")] * 3, wants=frozenset({Stream.INTERVALS}))
    assert running.exporter.wait_for(asked(4))
    first, *others = [batch for batch, _ in running.exporter.asked[:4]]
    assert others == [first] * 3


def test_a_failure_is_logged_once_and_so_is_its_end(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3), seal_s=100)
    running = run([Retry("connection refused")] * 7, wants=frozenset({Stream.BREACHES, Stream.INTERVALS}))
    assert running.said.wait_for("delivering again")
    running.end()
    assert running.said.lines() == [
        "warning: fake: connection refused; buffering, will retry",
        "fake: delivering again after 0 s; 9 items waited",
    ]
    assert rows(store.path, "SELECT last_error FROM exporter") == [(None,)]


def test_a_success_in_between_makes_waits_short_again(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(30))
    running = run([Partial(1, Retry("busy"))] * 25, rules=replace(SHORT, last_backoff_s=3600.0))
    assert running.exporter.wait_for(has(Stream.BREACHES, 5))
    running.end()
    assert running.ids() == list(range(1, 31))


def test_a_stream_that_fails_waits_as_long_as_the_receiver_asked_and_holds_up_no_other(
    store: Store, run: Callable[..., Running]
) -> None:
    piece = Piece(store)
    piece.commit(breaches(3), seal_s=100)

    def judge(batch: ExportBatch) -> Delivery:
        return Retry("slow down", 1e30) if batch.stream is Stream.INTERVALS else Delivered()

    running = run(itertools.repeat(judge), wants=frozenset({Stream.INTERVALS, Stream.BREACHES}))
    for number in range(3, 8):
        assert running.exporter.wait_for(has(Stream.BREACHES, number))
        piece.commit(breaches(1, number), seal_s=100)
        running.drain.notify()
    assert running.exporter.wait_for(has(Stream.BREACHES, 8))
    assert [batch.stream for batch, _ in running.exporter.asked].count(Stream.INTERVALS) == 1
    assert rows(store.path, "SELECT last_error FROM exporter") == [(None,)]


def test_a_stop_tries_once_more_whatever_the_receiver_asked(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3))
    running = run([Retry("slow down", 3000.0)])
    assert running.exporter.wait_for(asked(1))
    running.end()
    assert running.ids() == [1, 2, 3]


def test_a_stop_ends_within_its_bound_when_nothing_is_taken(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3))
    running = run(itertools.repeat(Retry("connection refused")))
    assert running.exporter.wait_for(asked(3))
    before_s = time.monotonic()
    running.end(0.1)
    assert time.monotonic() - before_s < bound_s(5)
    assert (running.ids(), position(store), running.exporter.closed > 0) == ([], 0, True)
    running = run()  # the next start
    running.end()
    assert running.ids() == [1, 2, 3]


class Slow(FakeExporter):
    """Its receiver takes everything, and its time for each batch."""

    def __init__(self) -> None:
        super().__init__(itertools.repeat(self.take), wants=BREACHES)
        self.hurried: Callable[[], None] = lambda: None
        self._never = threading.Event()

    def take(self, batch: ExportBatch) -> Delivery:
        self._never.wait(0.02)
        if len(self.asked) == 5:
            self.hurried()
        return Delivered()


@pytest.mark.parametrize("while_taken", [True, False])
def test_a_run_that_ends_by_itself_delivers_as_long_as_the_receiver_takes_something(
    store: Store, while_taken: bool
) -> None:
    Piece(store).commit(breaches(40))
    running = Running(store, Slow(), replace(SHORT, batch_items=1))
    running.drain.stop(0.3, while_taken=while_taken)  # forty take 0.8 s
    running.drain.join()
    assert (running.ids() == list(range(1, 41))) == while_taken


def test_a_hurried_delivery_ends_within_its_bound(store: Store) -> None:
    Piece(store).commit(breaches(40))
    slow = Slow()
    running = Running(store, slow, replace(SHORT, batch_items=1))
    slow.hurried = running.drain.hurry
    running.drain.stop(0.3, while_taken=True)
    running.drain.join()
    assert 5 <= len(running.ids()) < 40


class Hanging(FakeExporter):
    """Its receiver never answers; closing it gives up."""

    def __init__(self) -> None:
        self.began, self.given_up = threading.Event(), threading.Event()
        super().__init__([self.hang], wants=BREACHES)

    def hang(self, batch: ExportBatch) -> Delivery:
        self.began.set()
        assert self.given_up.wait(bound_s(60))
        return Retry("given up")

    def close(self) -> None:
        self.given_up.set()
        super().close()


def test_an_export_that_hangs_is_given_up_at_the_end_and_loses_nothing(store: Store) -> None:
    Piece(store).commit(breaches(3))
    exporter = Hanging()
    running = Running(store, exporter, SHORT)
    assert exporter.began.wait(bound_s(10))
    before_s = time.monotonic()
    running.end(0.05)
    assert time.monotonic() - before_s < bound_s(5)
    assert (running.ids(), position(store)) == ([], 0)
    assert running.said.lines() == []  # our timeout is not an answer of the receiver
    assert rows(store.path, "SELECT last_error, failures FROM exporter") == [(None, 0)]


def test_a_run_that_ends_by_itself_names_the_receiver_that_does_not_answer(store: Store) -> None:
    Piece(store).commit(breaches(3))
    exporter = Hanging()
    running = Running(store, exporter, SHORT)
    assert exporter.began.wait(bound_s(10))
    running.drain.stop(0.05, while_taken=True)
    running.drain.join()
    (line_of_it,) = running.said.lines()
    assert re.search(rf"{exporter.name}: no answer for [0-9.]+ .*; giving up$", line_of_it)


def test_a_delivery_is_idle_when_the_failed_item_is_gone(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3))
    came, gone = threading.Event(), threading.Event()

    def judge(batch: ExportBatch) -> Delivery:
        came.set()
        assert gone.wait(bound_s(10))
        return Retry("connection refused")

    running = run([judge])
    assert came.wait(bound_s(10))
    store._db.execute("DELETE FROM breach")
    gone.set()
    assert running.said.wait_for("delivering again")
    assert running.drain._pause_s() is None  # it sleeps until told


# --- never ------------------------------------------------------------------------------------------------------------


def poisoned(*ids: int) -> Callable[[ExportBatch], Delivery]:
    def judge(batch: ExportBatch) -> Delivery:
        return Refused("item too strange") if any(item.id in ids for item in batch.items) else Delivered()

    return judge


@pytest.mark.parametrize("ids", [(1,), (50,), (37, 38), (1, 100)])
def test_refused_items_are_quarantined_alone_and_the_others_are_delivered(
    store: Store, run: Callable[..., Running], ids: tuple[int, ...]
) -> None:
    Piece(store).commit(breaches(100))
    running = run(itertools.repeat(poisoned(*ids)))
    running.end()
    assert running.ids() == [n for n in range(1, 101) if n not in ids]
    assert rows(store.path, "SELECT stream, item, why FROM refused ORDER BY item") == [
        ("breaches", id_, "item too strange") for id_ in ids
    ]
    said = [text for text in running.said.lines() if "was quarantined: item too strange" in text]
    assert len(said) == len(running.said.lines()) == len(ids)
    assert len(running.exporter.asked) < 45


def test_what_is_refused_is_halved_until_the_item_is_alone(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(100))
    running = run(itertools.repeat(poisoned(1)))
    running.end()
    assert [len(batch.items) for batch, _ in running.exporter.asked] == [
        100,
        50,
        25,
        12,
        6,
        3,
        1,
        1,
        2,
        4,
        8,
        16,
        32,
        36,
    ]


def test_a_repeat_that_is_refused_is_dropped_and_does_not_stop_the_others(
    store: Store, run: Callable[..., Running]
) -> None:
    piece = Piece(store)
    piece.commit(line(1, 0.1) + line(1, 0.1, key="a"), seal_s=10)

    def judge(batch: ExportBatch) -> Delivery:
        strange = any(cast(Point, item).series.attributes[0] == ("fake.key", "a") for item in batch.items)
        repeat = cast(Point, batch.items[0])
        return Refused("no") if strange and repeat.id == 0 and repeat.total.count else Delivered()

    running = run(itertools.repeat(judge), wants=frozenset({Stream.INTERVALS}))
    assert running.exporter.wait_for(has(Stream.INTERVALS, 8))
    piece.seal(140)
    running.drain.notify()
    running.end()
    delivered = [cast(Point, item) for item in running.exporter.delivered(Stream.INTERVALS)]
    assert len([point for point in delivered if point.id == 0 and point.total.count]) == 2
    assert rows(store.path, "SELECT * FROM refused") == []


@pytest.fixture
def slow_backoff() -> None:
    """Let ``run`` use the rules ``SLOW``."""


def refused(store: Store) -> list[object]:
    return [item for (item,) in rows(store.path, "SELECT item FROM refused ORDER BY item")]


def asked_alone(id_: int) -> Callable[[FakeExporter], bool]:
    return lambda exporter: any([item.id for item in batch.items] == [id_] for batch, _ in exporter.asked)


def nothing(batch: ExportBatch) -> Delivery:
    return Refused("wrong tenant")


@pytest.mark.usefixtures("slow_backoff")
def test_if_a_receiver_refuses_everything_only_a_few_items_are_quarantined(
    store: Store, run: Callable[..., Running]
) -> None:
    Piece(store).commit(breaches(100))
    running = run(itertools.repeat(nothing))
    assert running.said.wait_for("everything is refused")
    for _ in range(3):
        running.drain.notify()  # new data in the meantime is not a reason to retry sooner
    running.end(0.0)
    assert refused(store) == list(range(1, RULES.refusals_in_a_row + 1))
    assert (running.ids(), position(store)) == ([], RULES.refusals_in_a_row)
    assert [text.split(":")[0] for text in running.said.lines()] == ["error"] * (RULES.refusals_in_a_row + 1)


def test_each_further_backoff_quarantines_one_item_silently(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(100))
    number = RULES.refusals_in_a_row + 20
    running = run(itertools.chain(itertools.repeat(nothing, 6 + number), [Retry("busy")]))  # 6: halved from 100 on
    assert running.exporter.wait_for(has(Stream.BREACHES, 100 - number))
    running.end()
    assert refused(store) == list(range(1, number + 1))
    assert running.ids() == list(range(number + 1, 101))
    assert [text for text in running.said.lines() if "quarantined: wrong tenant" not in text] == [
        "error: fake: everything is refused: wrong tenant; the rest is buffered and tried one by one from time to time"
        " (quarantined items: see `otel-logtail status`)",
        "warning: fake: busy; buffering, will retry",
        "fake: no longer refused",
        "fake: delivering again after 0 s; 75 items waited",
    ]
    assert len(running.said.lines()) == RULES.refusals_in_a_row + 4


def test_waits_between_refusals_grow(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s: list[float] = []

    next_s = Backoff.next_s

    def noted(self: Backoff, after_s: float) -> float:
        waits_s.append(self._ceiling_s)
        return next_s(self, after_s)

    monkeypatch.setattr(Backoff, "next_s", noted)
    Piece(store).commit(breaches(12))
    running = run(itertools.repeat(nothing))
    assert running.exporter.wait_for(asked(4 + 11))
    running.end()
    assert waits_s[:6] == [0.001, 0.002, 0.004, 0.008, 0.01, 0.01]


@pytest.mark.usefixtures("slow_backoff")
def test_a_success_in_between_makes_refusals_single_again(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(60))
    strange = [n for n in range(1, 61) if n % RULES.refusals_in_a_row]  # all but each fifth: never five in a row
    running = run(itertools.repeat(poisoned(*strange)))
    running.end()
    assert refused(store) == strange
    assert running.ids() == list(range(5, 61, 5))
    assert not [text for text in running.said.lines() if "everything" in text]


@pytest.mark.usefixtures("slow_backoff")
def test_a_part_that_is_taken_is_a_success_among_refusals(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(30))

    def judge(batch: ExportBatch) -> Delivery:
        ids = [item.id for item in batch.items]
        if ids[0] % 2:
            return Partial(1, Refused("no")) if len(ids) > 1 else Delivered()
        return Refused("no")

    running = run(itertools.repeat(judge))
    running.end()
    assert refused(store) == list(range(2, 31, 2))
    assert running.ids() == list(range(1, 31, 2))


@pytest.mark.usefixtures("slow_backoff")
def test_a_refused_stream_delays_no_other_and_is_not_reported_as_working(
    store: Store, run: Callable[..., Running]
) -> None:
    piece = Piece(store)
    piece.commit(breaches(8) + over(60), seal_s=100)

    def judge(batch: ExportBatch) -> Delivery:
        return Refused("no such tenant") if batch.stream is Stream.BREACHES else Delivered()

    running = run(itertools.repeat(judge), wants=frozenset({Stream.BREACHES, Stream.EPISODES}))
    assert running.said.wait_for("everything is refused")
    assert running.exporter.wait_for(has(Stream.EPISODES, 1))
    piece.commit(breaches(1, 70) + over(120))
    running.drain.notify()
    assert running.exporter.wait_for(has(Stream.EPISODES, 2))
    assert refused(store) == list(range(1, RULES.refusals_in_a_row + 1))
    assert "delivering again" not in running.said.getvalue()
    assert "no longer" not in running.said.getvalue()


def test_new_data_after_a_complete_refusal_is_one_more_refusal(store: Store, run: Callable[..., Running]) -> None:
    piece = Piece(store)
    piece.commit(breaches(6))
    running = run(itertools.repeat(nothing))
    assert running.exporter.wait_for(asked_alone(6))
    for number in range(6, 9):
        piece.commit(breaches(1, number))
        running.drain.notify()
        assert running.exporter.wait_for(asked_alone(number + 1))
    running.end()
    assert refused(store) == list(range(1, 10))
    assert len(running.said.lines()) == RULES.refusals_in_a_row + 1


def test_a_wrong_token_or_address_sets_nothing_aside(store: Store, run: Callable[..., Running]) -> None:
    """The exporter interprets these answers (see ``otlp_answer``): they are not the items' fault."""
    Piece(store).commit(breaches(20))
    answers = [
        judge_http(HttpAnswer(status, {}, b""), ExportTraceServiceResponse, url="http://c", now_s=0.0)
        for status in (301, 401, 403, 404, 405, 407, 408, 415, 500)
    ]
    codes = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "NOT_FOUND", "INTERNAL")
    answers += [judge_grpc(code, "", target="c", delay_s=None) for code in codes]
    running = run(answers)
    assert running.exporter.wait_for(has(Stream.BREACHES, 20))
    running.end()
    assert (running.ids(), refused(store)) == (list(range(1, 21)), [])


# --- not this one, perhaps --------------------------------------------------------------------------------------------


def failing(*ids: int, isolate: bool = True) -> Callable[[ExportBatch], Delivery]:
    """A receiver that falls over each time one of these items comes."""

    def judge(batch: ExportBatch) -> Delivery:
        fails = any(item.id in ids for item in batch.items)
        return Retry("internal error", isolate=isolate) if fails else Delivered()

    return judge


def on_trial(store: Store) -> list[object]:
    return [item for (item,) in rows(store.path, "SELECT item FROM refused WHERE NOT held ORDER BY item")]


def quarantined(store: Store) -> list[object]:
    return [item for (item,) in rows(store.path, "SELECT item FROM refused WHERE held ORDER BY item")]


@pytest.mark.parametrize("ids", [(1,), (50,), (37, 38), (1, 100), tuple(range(40, 60))])
def test_an_item_that_fails_each_time_holds_up_no_other(
    store: Store, run: Callable[..., Running], ids: tuple[int, ...]
) -> None:
    Piece(store).commit(breaches(100))
    running = run(itertools.repeat(failing(*ids)))
    assert running.exporter.wait_for(lambda exporter: position(store) == 100)
    running.end(0.0)
    assert sorted(running.ids()) == [n for n in range(1, 101) if n not in ids]
    assert on_trial(store) + quarantined(store) == list(ids)
    assert position(store) == 100


def test_an_item_that_keeps_failing_while_others_are_accepted_is_quarantined_and_named(
    store: Store, run: Callable[..., Running]
) -> None:
    piece = Piece(store)
    piece.commit(breaches(3))
    running = run(itertools.repeat(failing(2)))
    for number in range(3, 100):
        piece.commit(breaches(1, number))
        running.drain.notify()
        assert running.exporter.wait_for(has(Stream.BREACHES, number))
        if quarantined(store):
            break
    running.end()
    alone = [batch for batch, _ in running.exporter.asked if [item.id for item in batch.items] == [2]]
    assert (on_trial(store), quarantined(store)) == ([], [2])
    assert len(alone) >= RULES.tries
    assert rows(store.path, "SELECT refused FROM exporter") == [(1,)]
    (over,) = [text for text in running.said.lines() if "internal error" not in text]
    assert re.fullmatch(r"fake: delivering again after 0 s; \d items waited", over)
    assert running.said.lines()[1].endswith("was quarantined: internal error (to send it again: `otel-logtail retry`)")


def test_nothing_is_quarantined_while_nothing_is_accepted_and_what_is_on_trial_goes_first_then(
    store: Store, run: Callable[..., Running]
) -> None:
    Piece(store).commit(breaches(40))
    down = itertools.repeat(Retry("internal error", isolate=True), 100)
    running = run(down)
    assert running.exporter.wait_for(has(Stream.BREACHES, 40))
    running.end()
    assert sorted(running.ids()) == list(range(1, 41))
    assert rows(store.path, "SELECT * FROM refused") == []
    first = running.ids()[0]
    tried = sorted(running.ids()[1:first]) if first > 1 else []
    assert running.ids()[1:first] == tried  # at most the one that showed that the receiver is back came before them
    assert running.said.lines() == [
        "warning: fake: internal error; buffering, will retry",
        "fake: delivering again after 0 s; 40 items waited",
    ]


def test_a_single_failure_puts_nothing_on_trial(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3))
    running = run([Retry("internal error", isolate=True)] * 2)  # for all three, and for the first
    running.end()
    assert running.ids() == [1, 2, 3]


def test_a_receiver_that_is_only_busy_or_away_puts_nothing_on_trial(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(30))
    running = run([Retry("connection refused")] * 50)
    assert running.exporter.wait_for(asked(51))
    running.end()
    assert running.ids() == list(range(1, 31))
    assert {len(batch.items) for batch, _ in running.exporter.asked} == {30}


def test_an_item_that_makes_a_receiver_go_away_is_found_if_other_streams_are_accepted(
    store: Store, run: Callable[..., Running]
) -> None:
    """A proxy answers 502 for it each time: the specification calls that temporary."""
    piece = Piece(store)
    piece.commit(breaches(30) + over(100))
    bad = failing(7, isolate=False)

    def judge(batch: ExportBatch) -> Delivery:
        return bad(batch) if batch.stream is Stream.BREACHES else Delivered()

    running = run(itertools.repeat(judge), wants=frozenset({Stream.BREACHES, Stream.EPISODES}))
    for number in range(30, 60):
        piece.commit(breaches(1, 10 * number) + over(10 * number + 5))
        running.drain.notify()
        # each accepted episode shows once that the receiver is there: all of them in one batch would be one sign
        assert running.exporter.wait_for(has(Stream.EPISODES, number - 28))
    assert running.exporter.wait_for(has(Stream.BREACHES, 59))
    running.end(0.0)
    assert sorted(running.ids()) == [n for n in range(1, 61) if n != 7]


def test_what_is_on_trial_survives_a_restart_and_is_sent_first(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(10))
    running = run(itertools.repeat(failing(4, 5)))
    assert running.exporter.wait_for(has(Stream.BREACHES, 8))
    running.end(0.0)
    assert on_trial(store) == [4, 5]
    with closing(Outbox.open(store.path, "fake")) as outbox:
        assert outbox.pending() == 2
    Piece(store).commit(breaches(1, 20))
    again = run()
    again.end()
    assert (sorted(again.ids()[:2]), again.ids()[2:]) == ([4, 5], [11])  # the least tried of the two first
    assert rows(store.path, "SELECT * FROM refused") == []


def test_an_item_from_the_trial_is_resent_unchanged(store: Store, run: Callable[..., Running]) -> None:
    """Intervals and episodes, too, with their totals and breaches of that time, even if data was deleted meanwhile."""
    piece = Piece(store)
    piece.commit(breaches(3) + over(60), seal_s=100)
    wants = frozenset({Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES})
    running = run(itertools.repeat(failing(1)), wants=wants)
    assert running.exporter.wait_for(lambda exporter: position(store, Stream.BREACHES) == 3)
    running.end(0.0)
    sent = {batch.stream: item for batch, _ in running.exporter.asked for item in batch.items if item.id == 1}
    store._db.execute("DELETE FROM breach")
    store._db.execute("DELETE FROM interval")
    store._db.execute("DELETE FROM episode")
    again = run(wants=wants)
    again.end()
    assert {batch.stream: item for batch, _ in again.exporter.asked for item in batch.items} == sent
    assert len(sent) == 3


def test_quarantined_items_are_sent_again_once_they_are_released(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(10))
    running = run(itertools.repeat(poisoned(4, 5)))
    running.end()
    assert quarantined(store) == [4, 5]
    again = run()
    again.end()
    assert again.exporter.asked == []
    assert quarantine.release(store._db, "another") == 0
    assert quarantine.release(store._db, None) == 2
    released = run()
    released.end()
    assert released.ids() == [4, 5]
    assert rows(store.path, "SELECT * FROM refused") == []
    assert rows(store.path, "SELECT delivered, refused FROM exporter") == [(10, 2)]


def test_a_running_daemon_notices_that_items_were_released(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "RELEASED_S", 0.01)
    Piece(store).commit(breaches(3))
    running = run([Refused("no"), Refused("no")])
    assert running.exporter.wait_for(has(Stream.BREACHES, 2))
    assert quarantine.release(store._db, "fake") == 1
    assert running.exporter.wait_for(has(Stream.BREACHES, 3))
    running.end()
    assert running.ids() == [2, 3, 1]


def test_the_quarantine_is_bounded_and_what_leaves_it_is_counted(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MOST_QUARANTINED", 3)
    Piece(store).commit(breaches(20))
    bad = tuple(range(2, 20, 3))  # six
    running = run(itertools.repeat(poisoned(*bad)))
    running.end()
    assert quarantined(store) == list(bad[-3:])
    first, last = (NOON + bad[n] * SECOND - SECOND for n in (0, 2))
    assert rows(store.path, "SELECT exporter, stream, count, from_ns, to_ns FROM dropped") == [
        ("fake", "breaches", 3, first, last)
    ]
    assert len([text for text in running.said.lines() if "the quarantine is full" in text]) == 1


def test_the_items_on_trial_are_bounded_too(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A series that a receiver falls over each time brings a bad item with each interval, for months."""
    monkeypatch.setattr(quarantine, "MOST_ON_TRIAL", 4)
    Piece(store).commit(breaches(80))
    bad = tuple(range(1, 80, 2))
    running = run(itertools.repeat(failing(*bad)))
    assert running.exporter.wait_for(lambda exporter: position(store) == 80)
    running.end(0.0)
    assert sorted(running.ids()) == list(range(2, 81, 2))
    assert len(on_trial(store)) <= 4
    assert sorted(on_trial(store) + quarantined(store)) == list(bad)  # type: ignore[type-var]
    assert rows(store.path, "SELECT refused FROM exporter") == [(len(quarantined(store)),)]


def test_more_on_trial_than_the_bound_block_nothing_while_nothing_is_accepted(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart, with the next items bad as well: none of them may keep the good one from being found."""
    monkeypatch.setattr(quarantine, "MOST_ON_TRIAL", 4)
    Piece(store).commit(breaches(12))
    bad = tuple(range(1, 12))
    running = run(itertools.repeat(failing(*bad)))
    assert running.exporter.wait_for(lambda exporter: position(store) == 12)
    running.end(0.0)
    assert running.ids() == [12]
    assert sorted(on_trial(store) + quarantined(store)) == list(bad)  # type: ignore[type-var]


def test_items_that_become_too_old_on_trial_are_not_what_a_receiver_accepted(
    store: Store, run: Callable[..., Running]
) -> None:
    """The others on trial fail while nothing is accepted, however many are skipped in between."""
    Piece(store).commit(breaches(12))
    too_old: set[int] = set()

    def judge(batch: ExportBatch) -> Delivery:
        if {item.id for item in batch.items} <= too_old:
            return Delivered(skipped=len(batch.items))
        return Retry("internal error", isolate=True)

    running = run(itertools.repeat(judge), rules=replace(SHORT, tries=2))
    assert running.exporter.wait_for(lambda exporter: len(on_trial(store)) == 12)
    for number in range(1, 9):
        too_old.add(number)
        tries = len(running.exporter.asked)
        assert running.exporter.wait_for(asked(tries + 30))
    assert running.exporter.wait_for(lambda exporter: len(on_trial(store)) == 4)
    running.end(0.0)
    assert quarantined(store) == []
    assert rows(store.path, "SELECT delivered, skipped FROM exporter") == [(0, 8)]


def test_an_item_on_trial_that_left_the_store_is_not_counted_as_quarantined(
    store: Store, run: Callable[..., Running]
) -> None:
    """Retention has counted it as dropped by then."""
    Piece(store).commit(breaches(5))
    running = run(itertools.repeat(failing(2)))
    assert running.exporter.wait_for(has(Stream.BREACHES, 4))
    assert running.exporter.wait_for(lambda exporter: on_trial(store) == [2])
    quarantine.drop(store._db, "fake", Stream.BREACHES, NOON, "NOT held")
    tried = len(running.exporter.asked)
    Piece(store).commit(breaches(1, 20))
    running.drain.notify()
    assert running.exporter.wait_for(has(Stream.BREACHES, 5))
    running.end()
    assert len(running.exporter.asked) - tried <= 3
    assert rows(store.path, "SELECT refused FROM exporter") == [(0,)]
    assert "was quarantined" not in running.said.getvalue()


def test_an_item_that_can_no_longer_be_read_delays_no_other(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(5))
    running = run(itertools.repeat(failing(2)))
    assert running.exporter.wait_for(has(Stream.BREACHES, 4))
    running.end(0.0)
    store._db.execute("UPDATE refused SET data = substr(data, 1, 20)")
    again = run()
    again.end()
    assert (on_trial(store), quarantined(store), again.exporter.asked) == ([], [2], [])
    assert "can't be read from the store" in again.said.getvalue()


def test_a_rejection_is_final_counted_and_logged_once_for_each_stream(
    store: Store, run: Callable[..., Running]
) -> None:
    piece = Piece(store)
    piece.commit(breaches(10) + over(60))
    some = Delivered(rejected=2, why="the receiver rejected 2 items: too old")
    running = run(itertools.repeat(some), wants=frozenset({Stream.BREACHES, Stream.EPISODES}))
    assert running.exporter.wait_for(has(Stream.BREACHES, 10))
    piece.commit(breaches(5, 100) + over(160))
    running.drain.notify()
    running.end()
    sent = [batch.items for batch, _ in running.exporter.asked if batch.stream is Stream.BREACHES]
    assert [item.id for items in sent for item in items] == list(range(1, 16))
    ((delivered, refused, error),) = rows(store.path, "SELECT delivered, refused, last_error FROM exporter")
    assert (refused, error) == (2 * len(running.exporter.asked), "the receiver rejected 2 items: too old")
    assert delivered == sum(max(0, len(batch.items) - 2) for batch, _ in running.exporter.asked)
    assert [text.partition(" (")[0] for text in running.said.lines()] == [
        "error: fake: rejected data is not sent again: the receiver rejected 2 items: too old"
    ] * 2


def test_a_warning_is_logged_once(store: Store, run: Callable[..., Running]) -> None:
    piece = Piece(store)
    piece.commit(breaches(3))
    running = run(itertools.repeat(Delivered(why="please use another name")))
    assert running.exporter.wait_for(has(Stream.BREACHES, 3))
    piece.commit(breaches(3, 10))
    running.drain.notify()
    running.end()
    assert running.said.lines() == ["warning: fake: everything is accepted, with a warning: please use another name"]
    assert rows(store.path, "SELECT delivered, refused, last_error FROM exporter") == [(6, 0, None)]


def test_a_rejection_within_a_part_is_counted(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(10))
    running = run([Partial(4, Retry("busy"), rejected=1, why="too old")])
    running.end()
    assert running.ids() == list(range(1, 11))
    assert rows(store.path, "SELECT delivered, refused FROM exporter") == [(9, 1)]
    assert "fake: rejected data is not sent again: too old" in running.said.getvalue()


# --- in part ----------------------------------------------------------------------------------------------------------


def test_of_a_batch_that_is_taken_in_part_only_the_rest_comes_again(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(10))
    running = run([Partial(4, Retry("busy")), Partial(2, Refused("no")), Partial(0, Retry("busy"))])
    running.end()
    assert running.ids() == list(range(1, 11))
    assert [batch.items[0].id for batch, _ in running.exporter.asked[:4]] == [1, 5, 7, 7]
    assert rows(store.path, "SELECT * FROM refused") == []


def test_the_item_behind_an_accepted_part_is_found_and_quarantined(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(10))

    def judge(batch: ExportBatch) -> Delivery:
        ids = [item.id for item in batch.items]
        return Partial(ids.index(6), Refused("no")) if 6 in ids else Delivered()

    running = run(itertools.repeat(judge))
    running.end()
    assert running.ids() == [1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert rows(store.path, "SELECT item FROM refused") == [(6,)]


@pytest.mark.parametrize("rest", [Retry("what?"), Refused("what?")])
def test_a_part_that_is_the_whole_is_delivered(
    store: Store, run: Callable[..., Running], rest: Retry | Refused
) -> None:
    Piece(store).commit(breaches(3))
    running = run([Partial(3, rest)])
    running.end()
    assert (running.ids(), position(store), running.said.lines()) == ([1, 2, 3], 3, [])


# --- exporters with bugs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ValueError("oops"), "ValueError: oops"),
        (lambda batch: None, "TypeError: export() returned None"),
        (lambda batch: sys.exit(3), "SystemExit: 3"),
    ],
)
def test_an_exporter_with_a_bug_loses_nothing(
    store: Store, run: Callable[..., Running], answer: Answer, said: str
) -> None:
    Piece(store).commit(breaches(3))
    running = run([answer, answer])
    assert running.said.wait_for("delivering again")
    running.end()
    assert running.ids() == [1, 2, 3]
    assert running.said.lines()[0] == f"error: fake: internal error: {said}"


class Foreign:
    """An exporter that does not inherit, and uses our names for something else."""

    name, wants = "fake", BREACHES

    def __init__(self, component: object, records: object) -> None:
        self.component, self.records = component, records
        self.batches: list[ExportBatch] = []

    def export(self, batch: ExportBatch) -> Delivery:
        self.batches.append(batch)
        return Delivered()

    def close(self) -> None:
        pass

    def resume(self, points: object) -> None:
        pass


def fails(_: object) -> object:
    raise KeyError("no")


@pytest.mark.parametrize(
    ("component", "records", "counted", "why"),
    [
        ("pump", lambda _: 1, 1, "TypeError: 'str' object is not callable"),
        (lambda _: 7, lambda _: 1, 1, "TypeError: 'int' object is not iterable"),
        (lambda _: (("a", 1.5),), lambda _: 1, 1, "ValidationError: "),
        (lambda _: sys.exit(4), lambda _: 1, 1, "SystemExit: 4"),
        (lambda _: (), fails, 3, "KeyError: 'no'"),
        (lambda _: (), lambda _: None, 3, "TypeError: records() returned None"),
        (lambda _: (), lambda _: -1, 3, "TypeError: records() returned -1"),
        (lambda _: (), [1], 3, "TypeError: 'list' object is not callable"),
        (fails, fails, 3, "KeyError: 'no'"),
    ],
)
def test_an_accepted_batch_is_sent_once_even_if_the_exporter_cannot_describe_it(
    store: Store, component: object, records: object, counted: int, why: str
) -> None:
    Piece(store).commit(breaches(3))
    running = Running(store, cast("FakeExporter", Foreign(component, records)), SHORT)
    running.end()
    (batch,) = cast("Foreign", running.exporter).batches
    assert ([item.id for item in batch.items], position(store)) == ([1, 2, 3], 3)
    (said,) = running.said.lines()
    assert said.startswith(f"error: fake: internal error: {why}")
    assert rows(store.path, "SELECT component, records FROM operation") == [("{}", counted)]


def test_health_that_cannot_be_read_delays_no_data(
    store: Store, run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(outbox: Outbox, now_ns: int) -> ExportBatch:
        raise ValueError("a damaged row")

    monkeypatch.setattr(Outbox, "health", fail)
    running = run(wants=BREACHES | {Stream.SELF})
    assert running.said.wait_for("error: fake: internal error: ValueError: a damaged row")
    Piece(store).commit(breaches(3))
    running.drain.notify()
    assert running.exporter.wait_for(has(Stream.BREACHES, 3))


def test_a_negative_part_is_none(store: Store, run: Callable[..., Running]) -> None:
    Piece(store).commit(breaches(3))
    running = run([Partial(-1, Retry("what?"))])
    assert running.exporter.wait_for(asked(2))
    running.end()
    assert running.exporter.asked[1] == (running.exporter.asked[0][0], Delivered())


def test_an_exporter_that_cannot_be_closed_does_not_prevent_the_exit(store: Store) -> None:
    class Stubborn(FakeExporter):
        def close(self) -> None:
            raise OSError("no")

    running = Running(store, Stubborn(), SHORT)
    running.end()
    assert running.said.lines() == ["error: fake: internal error: OSError: no"]


# --- waits and words --------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32), st.lists(st.floats(0, 1e300), max_size=12))
def test_waits_double_up_to_a_bound_and_are_never_shorter_than_asked(seed: int, asked_s: list[float]) -> None:
    backoff, ceiling_s = Backoff(SHORT, seed), SHORT.first_backoff_s
    for after_s in asked_s:
        wait_s = backoff.next_s(after_s)
        assert max(ceiling_s / 2, min(after_s, SHORT.longest_wait_s)) <= wait_s <= max(ceiling_s, SHORT.longest_wait_s)
        if after_s == 0:
            assert wait_s <= ceiling_s
        ceiling_s = min(2 * ceiling_s, SHORT.last_backoff_s)
    backoff.reset()
    assert backoff.next_s(0) <= SHORT.first_backoff_s


def test_the_longest_wait_of_its_own_is_half_a_minute_and_the_first_half_a_second() -> None:
    assert (RULES.first_backoff_s, RULES.last_backoff_s, RULES.longest_wait_s) == (0.5, 30.0, 3600.0)


def test_items_are_named_so_that_they_can_be_found(store: Store) -> None:
    piece = Piece(store)
    piece.commit(line(1, 2.5) + over(20), seal_s=100)
    outbox = Outbox.open(store.path, "fake")
    outbox.register(Stream, NOON)
    first: list[Item] = []
    for stream in (Stream.INTERVALS, Stream.EPISODES, Stream.BREACHES):
        batch = outbox.read(stream, 9)
        assert batch is not None
        first.append(next(item for item in batch.items if item.id))
    outbox.close()
    (span, uid) = rows(store.path, "SELECT span_id, uid FROM breach")[0]
    assert [describe(item) for item in first] == [
        "interval 1 of breaches {'cause': 'wait', 'severity': 'stall'}",
        f"episode 1 (span {cast(bytes, span).hex()})",
        f"breach 1 ({cast(bytes, uid).hex()})",
    ]
