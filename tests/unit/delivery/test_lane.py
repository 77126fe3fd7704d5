"""One lane in steps: a receiver by script and a clock that is moved by hand, so edges are met exactly."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from otel_logtail.delivery.lane import Lane
from otel_logtail.delivery.rules import RULES, Rules
from otel_logtail.errors import StoreCorrupt
from otel_logtail.events import Reporter
from otel_logtail.model import Delivered, Delivery, ExportBatch, Retry, Stream
from otel_logtail.store import quarantine
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.outbox import Outbox
from otel_logtail.store.writer import Store
from tests.support.lives import living, outbox_of
from tests.support.pieces import NOON, Piece, line, opened, rows

BROKEN = Retry("internal error", isolate=True)
AWAY = Retry("connection refused")


class Steps:
    """A lane of breaches, its receiver (``judge``), and the clock. ``others`` is what other streams delivered."""

    def __init__(self, store: Store) -> None:
        self.now_s = 1000.0
        self.others = 0
        self.given_up = False
        self.asked: list[list[int]] = []
        self.judge: Callable[[list[int]], Delivery] = lambda ids: Delivered()
        self.store = store
        self._piece = Piece(store)
        self._second = 0
        self._outbox = Outbox.open(store.path, "fake")
        self._outbox.register({Stream.BREACHES}, NOON)
        self.start()

    def start(self, unproven: int = RULES.unproven) -> None:
        """Start, perhaps again."""
        rules = Rules(unproven=unproven, clock=self)
        self.lane = Lane(Stream.BREACHES, self._outbox, Reporter(io.StringIO()), self, rules)

    def close(self) -> None:
        self._outbox.close()

    def write(self, number: int = 1) -> None:
        """Let so many breaches come."""
        self._piece.commit(b"".join(line(self._second + n, 0.6) for n in range(number)))
        self._second += number

    def run(self) -> None:
        """Send all due items now."""
        self.lane.run()

    def wait(self) -> None:
        """Wait for the next due item and send it."""
        due_s = self.lane.due_s()
        assert due_s is not None
        self.now_s = max(self.now_s, due_s)
        self.run()

    def times_alone(self, id_: int) -> int:
        return self.asked.count([id_])

    def kept(self) -> list[tuple[object, ...]]:
        """Return the items moved out of the stream: item, whether it is quarantined, attempts."""
        return rows(self.store.path, "SELECT item, held, tries FROM refused ORDER BY item")

    # --- the clock ---

    def monotonic(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return NOON + round(self.now_s * 1e9)

    # --- the caller of the lanes ---

    def export(self, batch: ExportBatch) -> Delivery:
        ids = [item.id for item in batch.items]
        self.asked.append(ids)
        return self.judge(ids)

    @property
    def accepted(self) -> int:
        return self.lane.decided.accepted + self.others

    def over(self) -> bool:
        return False

    def progressed(self) -> None:
        pass

    def works(self) -> None:
        pass


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[Steps]:
    with opened(tmp_path / "store.db") as store:
        steps = Steps(store)
        yield steps
        steps.close()


def broken_for(*bad: int) -> Callable[[list[int]], Delivery]:
    return lambda ids: BROKEN if set(bad) & set(ids) else Delivered()


# --- one outage after another -----------------------------------------------------------------------------------------


def test_failures_before_a_success_do_not_count_in_the_next_outage(steps: Steps) -> None:
    """Else some short outages are taken for a long one in which others were accepted, and batches are cut up."""
    for _ in range(3):
        steps.write(4)
        steps.judge = lambda ids: AWAY
        steps.run()
        for _ in range(RULES.patient_failures - 2):
            steps.wait()
        steps.judge = lambda ids: Delivered()
        steps.wait()
    assert {len(ids) for ids in steps.asked} == {4}


def test_a_success_before_an_outage_does_not_show_that_the_receiver_works(steps: Steps) -> None:
    steps.others = 5
    steps.write(4)
    steps.judge = lambda ids: AWAY
    steps.run()
    for _ in range(2 * RULES.patient_failures):
        steps.wait()
    assert {len(ids) for ids in steps.asked} == {4}


def test_a_batch_is_suspected_after_so_many_failures_while_others_are_accepted(steps: Steps) -> None:
    steps.write(4)
    steps.judge = lambda ids: AWAY
    steps.run()
    steps.others += 1
    for _ in range(RULES.patient_failures + 1):
        steps.wait()
    assert [len(ids) for ids in steps.asked] == [4] * (RULES.patient_failures + 1) + [2]


def test_the_wait_after_a_success_is_short_again(steps: Steps) -> None:
    for _ in range(2):
        steps.write()
        steps.judge = lambda ids: AWAY
        steps.run()
        assert steps.lane.not_before_s is not None
        assert RULES.first_backoff_s / 2 <= steps.lane.not_before_s - steps.now_s <= RULES.first_backoff_s
        for _ in range(6):
            steps.wait()
        steps.judge = lambda ids: Delivered()
        steps.wait()


def test_damage_of_the_store_is_passed_to_the_caller_of_the_lane(steps: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    damage = StoreCorrupt("the store is damaged")

    def read(stream: Stream, limit: int) -> None:
        raise damage

    monkeypatch.setattr(steps._outbox, "read", read)
    assert steps.lane.run() is damage
    assert steps.lane.blocked


# --- alone ------------------------------------------------------------------------------------------------------------


def test_two_items_that_fail_once_each_are_not_put_on_trial(steps: Steps) -> None:
    steps.judge = lambda ids: BROKEN if steps.times_alone(ids[0]) == 1 else Delivered()
    for _ in range(4):
        steps.write()
        steps.run()
        assert steps.kept() == []
        steps.wait()
    assert steps.asked == [[1], [1], [2], [2], [3], [3], [4], [4]]


def test_the_item_behind_one_that_was_put_on_trial_is_not_put_there_for_a_single_failure(steps: Steps) -> None:
    steps.judge = lambda ids: BROKEN if 1 in ids or steps.times_alone(2) == 1 else Delivered()
    steps.write(2)
    steps.run()
    while steps.times_alone(2) < 1:
        steps.wait()
    assert [item for item, _, _ in steps.kept()] == [1]


def test_items_delivered_piece_by_piece_leave_no_suspicion(steps: Steps) -> None:
    steps.write(4)
    steps.judge = lambda ids: BROKEN if len(ids) == 4 else Delivered()
    steps.run()
    assert not steps.lane.failing
    steps.write()
    steps.judge = lambda ids: AWAY
    steps.run()
    for _ in range(4):
        steps.wait()
    assert steps.kept() == []  # an unreachable receiver is not the item's fault


@pytest.mark.parametrize("most", [2, 5])
def test_no_more_than_so_many_are_put_on_trial_while_none_is_accepted(steps: Steps, most: int) -> None:
    assert RULES.unproven == 100
    steps.start(unproven=most)
    steps.write(most + 3)
    steps.judge = lambda ids: BROKEN
    steps.run()
    for _ in range(6 * most + 20):
        steps.wait()
    assert [item for item, _, _ in steps.kept()] == list(range(1, most + 1))


# --- on trial ---------------------------------------------------------------------------------------------------------


def put_on_trial(steps: Steps, *bad: int) -> None:
    """Have these items on trial, and three good ones behind them delivered."""
    steps.write(max(bad) + 3)
    steps.judge = broken_for(*bad)
    steps.run()
    while not steps.asked[-1] or max(max(ids) for ids in steps.asked) < max(bad) + 3 or steps.lane.blocked:
        steps.wait()
    assert [(item, held) for item, held, _ in steps.kept()] == [(id_, 0) for id_ in bad]


def test_an_item_is_quarantined_when_it_has_failed_so_often_while_others_were_accepted(steps: Steps) -> None:
    put_on_trial(steps, 1)
    while steps.kept()[0][2] != RULES.tries - 1:
        steps.write()
        steps.run()
        steps.wait()
        assert steps.kept()[0][1] == 0
    steps.start()  # successes noted by then count after a restart, too
    steps.write()
    steps.run()  # the item on trial is first, before anything else is accepted
    steps.wait()
    assert steps.kept() == [(1, 1, RULES.tries)]


def test_failures_count_once_for_each_time_that_others_were_accepted(steps: Steps) -> None:
    put_on_trial(steps, 1)
    steps.wait()
    tries = steps.kept()[0][2]
    for _ in range(3 * RULES.tries):
        steps.wait()
    assert steps.kept() == [(1, 0, tries)]


def test_an_item_that_was_released_has_all_its_tries_again(steps: Steps) -> None:
    put_on_trial(steps, 1)
    while not steps.kept()[0][1]:
        steps.write()
        steps.run()
        steps.wait()
    assert quarantine.release(steps.store._db, None) == 1
    steps.write()
    steps.run()
    for _ in range(3):
        steps.write()
        steps.run()
        steps.wait()
    assert [(item, held) for item, held, _ in steps.kept()] == [(1, 0)]


def test_an_item_that_is_quarantined_again_counts_as_refused_again(steps: Steps) -> None:
    """The counter of refused items counts decisions of the receiver, and never falls."""
    put_on_trial(steps, 1)
    for time in (1, 2):
        while not steps.kept()[0][1]:
            steps.write()
            steps.run()
            steps.wait()
        assert steps.store._db.execute("SELECT refused FROM exporter").fetchall() == [(time,)]
        quarantine.release(steps.store._db, None)


def test_an_item_of_which_is_not_known_how_it_was_sent_stays_quarantined(steps: Steps) -> None:
    put_on_trial(steps, 1)
    steps.store._db.execute("UPDATE refused SET held = 1, data = x''")
    assert quarantine.release(steps.store._db, None) == 0
    assert [(item, held) for item, held, _ in steps.kept()] == [(1, 1)]


def test_those_on_trial_have_their_turns(steps: Steps) -> None:
    put_on_trial(steps, 1, 2, 3)
    del steps.asked[:]
    for _ in range(7):
        steps.wait()
    first = steps.asked[0][0]
    assert steps.asked == [[(first - 1 + n) % 3 + 1] for n in range(7)]


def test_after_a_start_the_one_that_failed_least_goes_first(steps: Steps) -> None:
    """Runs that are short (`--once`, kills) must not spend their time on the items that always fail."""
    put_on_trial(steps, 1, 2, 3)
    steps.store._db.execute("UPDATE refused SET tries = 5 WHERE item != 3")
    steps.judge = broken_for(1, 2)
    for _ in range(2):
        steps.start()
        del steps.asked[:]
        steps.run()
        if steps.asked:
            break
        steps.wait()
    assert steps.asked[0] == [3]
    assert [item for item, _, _ in steps.kept()] == [1, 2]


def test_after_a_failure_of_the_stream_the_one_that_failed_least_goes_first(steps: Steps) -> None:
    put_on_trial(steps, 1, 2, 3)
    while steps.asked[-1] != [1]:
        steps.wait()
    steps.judge = lambda ids: AWAY
    steps.write()
    steps.run()
    assert steps.lane.blocked
    del steps.asked[:]
    steps.wait()
    assert steps.asked[0] == [2]


def test_a_lane_that_must_hurry_tries_items_on_trial_at_once(steps: Steps) -> None:
    put_on_trial(steps, 1)
    steps.wait()
    steps.judge = lambda ids: Delivered()
    steps.run()
    assert steps.kept() != []  # not due yet
    steps.lane.hasten()
    steps.run()
    assert steps.kept() == []


def test_an_item_on_trial_that_became_too_old_is_skipped_and_counted(steps: Steps) -> None:
    put_on_trial(steps, 1)
    steps.judge = lambda ids: Delivered(skipped=1)
    steps.wait()
    assert (steps.kept(), steps.lane.decided.skipped) == ([], 1)
    assert rows(steps.store.path, "SELECT skipped, delivered FROM exporter") == [(1, 3)]


def test_the_wait_for_the_others_on_trial_is_short_again_after_one_was_accepted(steps: Steps) -> None:
    put_on_trial(steps, 1, 2)
    for _ in range(12):
        steps.wait()
    steps.judge = broken_for(2)
    while steps.asked[-1] != [2] or len(steps.kept()) == 2:
        steps.wait()
    due_s = steps.lane.due_s()
    assert due_s is not None
    assert due_s - steps.now_s <= RULES.first_backoff_s


def test_what_is_on_trial_of_another_stream_or_exporter_is_not_touched(steps: Steps) -> None:
    put_on_trial(steps, 1)
    steps.store._db.execute(
        "INSERT INTO refused (exporter, stream, item, about_ns, held, tries, why, time_ns, data)"
        " SELECT 'another', stream, 7, about_ns, held, tries, why, time_ns, data FROM refused UNION ALL"
        " SELECT exporter, 'episodes', 8, about_ns, held, tries, why, time_ns, data FROM refused"
    )
    steps.start()
    steps.judge = lambda ids: Delivered()
    steps.run()
    assert [item for item, _, _ in steps.kept()] == [7, 8]


def test_delivered_items_are_counted_as_in_the_store(steps: Steps) -> None:
    put_on_trial(steps, 1, 2)
    assert (steps.lane.decided.delivered, steps.store.undelivered(["fake"])) == (3, 2)
    steps.judge = lambda ids: Delivered(rejected=len(ids))
    while steps.kept():
        steps.wait()
    assert (steps.lane.decided.delivered, steps.store.undelivered(["fake"])) == (3, 0)
    steps.judge = lambda ids: Delivered()
    steps.write()
    steps.run()
    assert rows(steps.store.path, "SELECT delivered FROM exporter") == [(steps.lane.decided.delivered,)] == [(4,)]


# --- the end of a pass: with an idle log, the next one comes with the next commit -------------------------------------


class Willing:
    """A receiver that accepts everything; ``during`` happens while a batch is in transit."""

    given_up = False
    accepted = 0

    def __init__(self, during: Callable[[], object] = lambda: None) -> None:
        self._during = during

    def export(self, batch: ExportBatch) -> Delivery:
        self._during()
        return Delivered()

    def over(self) -> bool:
        return False

    def progressed(self) -> None:
        pass

    def works(self) -> None:
        pass


def intervals_of(outbox: Outbox, receiver: Willing) -> Lane:
    return Lane(Stream.INTERVALS, outbox, Reporter(io.StringIO()), receiver)


def test_what_is_dropped_while_its_batch_is_in_transit_is_sent_in_the_same_pass(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        life.say((5, 0.001), seal=10)
        receiver = Willing(lambda: life.keep_up(Limits(max_bytes=1), ["fake"]))
        intervals_of(outbox, receiver).run()
        assert life.count("dropped") >= 1
        assert life.count("owed") == 0


def test_what_need_not_be_sent_does_not_wait_behind_the_last_items(tmp_path: Path) -> None:
    with living(tmp_path) as life, outbox_of(life) as outbox:
        life.say((5, 0.001), seal=10)
        lane = intervals_of(outbox, Willing())
        lane.run()
        with closing(sqlite3.connect(life.path)) as db, db:  # a newer copy of this store sent it
            db.execute("UPDATE sent SET skip_ns = end_ns")
        outbox.register([Stream.INTERVALS], NOON)  # reads it
        life.say((15, 0.001), seal=20)
        life.say((6, 0.001), seal=25)
        lane.run()
        assert outbox.pending() == 0
