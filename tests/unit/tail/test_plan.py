"""A scan of one live path becomes a plan: checkpoints to add and update, files to hold, losses to report."""

from __future__ import annotations

from pathlib import Path

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import States
from otel_logtail.tail.fingerprint import anchor_at
from otel_logtail.tail.held import Growth, Held
from otel_logtail.tail.plan import Plan, Seen, make_plan
from otel_logtail.tail.reader import PlainReader, Reader
from tests.support.tailing import append


def state_of(reader: Reader, live: Path, *, id_: int) -> FileState:
    """The checkpoint of a file that was read to its end."""
    size = reader.size()
    anchor = anchor_at(reader, size)
    return FileState(id_, str(live), reader.path, reader.device, reader.inode, size, size, anchor, anchor)


def seen(live: Path, reader: PlainReader, state: FileState, held: list[Held]) -> Seen:
    """A scan that has found one known file, at the live path."""
    path = str(live)
    return Seen(
        path,
        {path: reader},
        complete=True,
        claims={path: state},
        new={},
        continued={},
        moved=[],
        undecided={},
        doubts={},
        places={path: path},
        held=held,
        known=States([state]),
        is_first=False,
        now_s=100.0,
    )


def test_a_known_file_is_held_and_its_checkpoint_unchanged(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, "one")
    reader = PlainReader(str(log))
    state = state_of(reader, log, id_=1)
    plan = make_plan(seen(log, reader, state, []))
    assert (plan.add, plan.update, plan.gone, plan.unseen) == ([], [], [], [])
    assert [(held.state, held.quiet_since) for held in plan.hold] == [(state, None)]
    reader.close()


def test_a_file_that_is_being_rewritten_keeps_the_time_since_which_it_is_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, "one")
    reader = PlainReader(str(log))
    state = state_of(reader, log, id_=1)
    growth = Growth(size=4, since_s=99.0, begun_s=97.0)
    plan = make_plan(seen(log, reader, state, [Held(reader, state, growth=growth)]))
    assert [held.growth for held in plan.hold] == [growth]
    reader.close()


def test_an_unfinished_checkpoint_without_a_file_is_finished_and_its_unread_bytes_are_reported(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, "one")
    reader = PlainReader(str(log))
    state = state_of(reader, log, id_=2)
    lost = FileState(1, str(log), f"{log}.1", 7, 7, 10, size=30)
    found = seen(log, reader, state, [])
    plan: Plan = make_plan(msgspec.structs.replace(found, known=States([lost, state])))
    assert plan.update == [msgspec.structs.replace(lost, size=10, done=True)]
    assert (plan.gone, plan.unseen) == ([], [lost])
    reader.close()
