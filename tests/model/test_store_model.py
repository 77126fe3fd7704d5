"""The same model through the real pipeline into a real store, killed between any two of its statements.

A killed process loses its connection and its memory: only committed data remains. At the end the store's samples are
the written lines, once each.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from otel_logtail import query
from otel_logtail.daemon.source import SourceRun, clock
from otel_logtail.engine.engine import Engine
from otel_logtail.events import Reporter
from otel_logtail.model import Mark, Observed, Sample, Shape
from otel_logtail.observer import Frame, Observer, PathRule
from otel_logtail.store.maintenance import Limits
from otel_logtail.store.maintenance.steps import Tuning
from otel_logtail.store.rows import OFFSET_BITS
from otel_logtail.store.writer import Store
from otel_logtail.tail.checkpoints import Checkpoints
from otel_logtail.tail.held import GRACE_S, SETTLE_S
from otel_logtail.tail.tailer import Tail
from tests.model.test_tail_model import TailMachine
from tests.support.examples import examples
from tests.support.memory import place
from tests.support.mortal import Killed, MortalConnection
from tests.support.pieces import use_connection
from tests.support.tailing import RULE, read_one

SECOND = 10**9


class NumberObserver(Observer):
    """``17:====`` is a sample that ended 17 seconds after the epoch; every third is a breach."""

    name = "number"
    source = "numbers"
    marker = mark_needle = b":"
    _shape = Shape(("work",), ())
    _line = re.compile(rb"(\d+):=*")

    def paths(self) -> PathRule:
        return RULE

    def observe(self, line: bytes) -> Observed:
        match = self._line.fullmatch(line)
        assert match is not None, line
        number = int(match[1])
        time_ns = (1000 + number) * SECOND
        duration_ns = SECOND if number % 3 == 0 else 1000
        return Sample(time_ns, duration_ns, time_ns, "wait", "work", self._shape, (duration_ns,))

    def find_mark(self, line: bytes, frame: Frame | None) -> Mark:
        """Each line is a mark as well, one an hour."""
        return Mark(int(line.partition(b":")[0]) * 3600 * SECOND, "a mark")


class StoreFollower:
    """Like ``tests.support.tailing.Follower``, with a store behind the tail."""

    def __init__(self, log: Path, db: Path, *, from_start: bool) -> None:
        self.log = log
        self.db = db
        self.now_s = 1000.0
        self.stderr = io.StringIO()
        self.first = True
        self.from_start = from_start
        self._open()

    def _open(self) -> None:
        self.store = Store.open(self.db)
        self.info = self.store.source(
            "numbers", "number", "n", threshold_ns=SECOND // 2, stall_ns=2 * SECOND, quiet_ns=3 * SECOND
        )
        tail = Tail(
            [str(self.log)],
            RULE,
            self.store.files(self.info.id),
            Checkpoints(
                lambda states: self.store.add_files(self.info.id, states), partial(self.store.update_file, self.info.id)
            ),
            Reporter(self.stderr),
            trusted=True,
            from_start=not self.store.first_look(self.info.id) or self.from_start or self.store.replaces,
        )
        unfinished = self.store.unfinished(self.info.id)
        engine = Engine(self.info, NumberObserver(), interval_ns=10 * SECOND, unfinished=unfinished, now=clock())
        self.run = SourceRun(engine, tail, self.store, Reporter(self.stderr))

    def look(self, hints: Iterable[Path] | None = None, *, after_s: float = 0.0) -> StoreFollower:
        self.now_s += SETTLE_S + after_s
        self.run.tail.scan(None if hints is None else frozenset(map(str, hints)), self.now_s)
        return self

    def read(self, chunks: int | None = None) -> list[str]:
        before = len(self.lines)
        while (chunks is None or chunks > 0) and self.run.step(self.now_s) is not None:
            chunks = None if chunks is None else chunks - 1
        return self.lines[before:]

    def follow(self) -> list[str]:
        return self.look().read()

    def follow_over_grace(self) -> list[str]:
        return self.follow() + self.look(after_s=GRACE_S + 1).read()

    def restart(self) -> None:
        self.run.tail.close()
        self.store.close()
        self._open()

    def die(self, statements: int) -> None:
        """Follow, and be killed before that statement; then begin again."""
        use_connection(self.store, MortalConnection(self.store._db, statements))
        try:
            self.follow()
        except Killed:
            pass
        self._begin_again()

    def keep_up(self, statements: int | None) -> None:
        """Run maintenance to its end, or kill it before that statement and start again."""
        if statements is not None:
            use_connection(self.store, MortalConnection(self.store._db, statements))
        try:
            self.store.maintenance(Limits(), (), SECONDS).run()
        except Killed:
            pass
        if statements is not None:
            self._begin_again()

    def _begin_again(self) -> None:
        self.run.tail.close()
        self.store._file.connection.close()  # the kernel's part of a kill: uncommitted data is lost
        self.store._file.close()
        self._open()

    def close(self) -> None:
        self.run.tail.close()
        self.store.close()

    @property
    def said(self) -> str:
        return self.stderr.getvalue()

    @property
    def lines(self) -> list[str]:
        """The numbers in the store, file by file and in the order of their offsets."""
        with query.Reader.open(self.db) as reader:
            rows = sorted(query.samples(reader), key=lambda row: row.id)
            marks = [
                time_ns // (3600 * SECOND) for (time_ns,) in reader.conn.execute("SELECT time_unix_nano FROM marks")
            ]
        assert len(set(marks)) == len(marks)
        # retention, by the times in the log, deletes the samples first: an hour of marks is a second of samples
        assert {*marks} >= {row.time_unix_nano // SECOND - 1000 for row in rows}
        assert len({row.id for row in rows}) == len(rows)
        assert sum(row.offset < 1 << OFFSET_BITS for row in rows) == len(rows)
        return [str(row.time_unix_nano // SECOND - 1000) for row in rows]


SECONDS = Tuning(
    merges=((20 * SECOND, 15 * SECOND), (60 * SECOND, 40 * SECOND)),
    compact_after_ns=5 * SECOND,
    compact_within_ns=30 * SECOND,
)


class StoreMachine(TailMachine):
    @initialize(from_start=st.booleans(), there=st.booleans())
    def begin(self, from_start: bool, there: bool) -> None:
        if there:
            self.log.touch()
        self.state = Path(tempfile.mkdtemp(dir=place()))
        self.follower = StoreFollower(self.log, self.state / "store.db", from_start=from_start)  # type: ignore[assignment]
        self.follower.look()

    def number_of(self, line: str) -> str:
        return line.split(":")[0]

    @rule()
    def read_without_committing(self) -> None:
        read_one(self.follower.run.tail, self.follower.now_s)  # type: ignore[attr-defined]

    @rule(calls=st.integers(0, 4))
    def follow_with_a_store_that_gets_full(self, calls: int) -> None:
        self.follower.die(calls)  # type: ignore[attr-defined]

    @rule(statements=st.none() | st.integers(0, 60))
    def maintain(self, statements: int | None) -> None:
        """Merging and compaction, at the scale of these seconds; perhaps killed before that statement."""
        self.follower.keep_up(statements)  # type: ignore[attr-defined]

    @rule(statements=st.integers(0, 60))
    def killed(self, statements: int) -> None:
        self.follower.die(statements)  # type: ignore[attr-defined]

    def teardown(self) -> None:
        try:
            if hasattr(self, "follower"):
                self._all_is_read_in_order()
                self._all_is_counted()
        finally:
            if self.late is not None:
                os.close(self.late[0])
            if hasattr(self, "follower"):
                self.follower.close()
                shutil.rmtree(self.state)
            shutil.rmtree(self.folder)

    def _all_is_counted(self) -> None:
        """Check that interval counts, breaches and the source's counters agree with the samples."""
        numbers = sorted(int(number) for number in self.follower.lines)
        with query.Reader.open(self.state / "store.db") as reader:
            conn = reader.conn
            assert query.summary(reader).count == len(numbers)
            marks = [ns // (3600 * SECOND) for (ns,) in conn.execute("SELECT time_unix_nano FROM marks")]
            assert sorted(marks) == numbers
            assert conn.execute("SELECT samples FROM source").fetchone()[0] == len(numbers)
            breaches = [row[0] for row in conn.execute("SELECT time_ns FROM breach ORDER BY time_ns")]
            assert breaches == [(1000 + number) * SECOND for number in numbers if number % 3 == 0]
            stalls = conn.execute(
                "SELECT ifnull(sum(count), 0) FROM (SELECT count FROM episode UNION ALL SELECT count FROM open_episode)"
            )
            assert stalls.fetchone()[0] == len(breaches)


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(
    max_examples=examples(50),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
