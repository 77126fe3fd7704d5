"""The store's files are deleted, moved or replaced under a daemon: noticed, logged, and each line is stored once.

In WAL mode no call fails when the files are deleted: committed data goes where no process can read it. :data:`HAPPENS`
lists the cases.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.daemon import Daemon as DeliveringDaemon
from tests.support.lines import durations, line, lines
from tests.support.lines import durations as counted
from tests.support.lines import lines as recent_lines
from tests.support.receiver import Receiver, receiving
from tests.support.tailing import append_bytes


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has committed lines 20 to 29, and was started when the first 20 already existed."""
    log = tmp_path / "proxy.log"
    (tmp_path / "state").mkdir()
    append_bytes(log, lines(0, 20))
    with Daemon(tmp_path, db=tmp_path / "state" / "store.db", log=log).launch() as daemon:
        daemon.wait_until(lambda: "following" in daemon.said())
        append_bytes(log, lines(20, 30))
        daemon.reads(20, 30)
        yield daemon


def beside(daemon: Daemon, *ends: str) -> list[Path]:
    return [Path(f"{daemon.db}{end}") for end in ends]


def deleted(daemon: Daemon) -> None:
    for path in daemon.db.parent.iterdir():
        path.unlink()


def deleted_alone(daemon: Daemon) -> None:
    daemon.db.unlink()


def folder_renamed(daemon: Daemon) -> None:
    daemon.db.parent.rename(daemon.folder / "elsewhere")


def folder_deleted(daemon: Daemon) -> None:
    shutil.rmtree(daemon.db.parent)


def renamed(daemon: Daemon) -> None:
    daemon.db.rename(daemon.db.with_name("old.db"))


def replaced_by_nothing_of_ours(daemon: Daemon) -> None:
    other = daemon.db.with_name("other")
    other.write_bytes(b"this is a letter\n" * 1000)
    other.replace(daemon.db)


LOST = [deleted, deleted_alone, folder_renamed, folder_deleted, renamed, replaced_by_nothing_of_ours]


@pytest.mark.parametrize("happens", LOST)
def test_later_lines_are_in_a_new_store_once_and_one_message_is_logged(
    daemon: Daemon, happens: Callable[[Daemon], None]
) -> None:
    happens(daemon)
    append_bytes(daemon.log, lines(30, 60))
    daemon.reads(30, 60)
    append_bytes(daemon.log, lines(60, 65))
    daemon.reads(30, 65)
    assert daemon.said().count("while it was in use; reopening it") == 1
    daemon.stop()
    daemon.launch()
    append_bytes(daemon.log, line(65))
    daemon.reads(30, 66)
    daemon.stop()
    assert "Traceback" not in daemon.said()
    with closing(sqlite3.connect(daemon.db)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_it_is_noticed_while_nothing_is_written(daemon: Daemon) -> None:
    deleted(daemon)
    daemon.wait_until(lambda: "was deleted or moved while it was in use" in daemon.said())
    daemon.wait_until(daemon.db.exists)
    daemon.stop()


@pytest.mark.parametrize("ends", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_without_the_files_beside_it_nothing_at_all_is_lost(daemon: Daemon, ends: tuple[str, ...]) -> None:
    for path in beside(daemon, *ends):
        path.unlink()
    daemon.wait_until(lambda: "while it was in use; reopening it" in daemon.said())
    append_bytes(daemon.log, lines(30, 40))
    daemon.reads(20, 40)
    daemon.stop()
    with closing(sqlite3.connect(daemon.db)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert daemon.samples() == durations(20, 40)


def test_another_store_in_its_place_continues_at_its_own_positions(daemon: Daemon) -> None:
    """As where an older copy is brought back while the daemon is down."""
    copy = daemon.folder / "copy.db"
    with closing(sqlite3.connect(daemon.db)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    append_bytes(daemon.log, lines(30, 40))
    daemon.reads(20, 40)
    for path in beside(daemon, "-wal", "-shm"):
        path.unlink()
    copy.replace(daemon.db)
    daemon.wait_until(lambda: "was replaced by another file while it was in use" in daemon.said())
    daemon.reads(20, 40)
    append_bytes(daemon.log, lines(40, 50))
    daemon.reads(20, 50)
    daemon.stop()


def test_undelivered_data_is_delivered_before_the_deleted_store_is_closed(tmp_path: Path) -> None:
    with (
        receiving("http") as receiver,
        DeliveringDaemon(tmp_path, "--from-start", endpoint=receiver.endpoint) as daemon,
    ):
        daemon.write(recent_lines(0, 50))
        daemon.start()
        daemon.wait_for(counted(0, 50))
        for end in ("", "-wal", "-shm", ".lock"):
            os.unlink(f"{daemon.db}{end}")
        daemon.write(recent_lines(50, 80))
        daemon.wait_until(lambda: daemon.samples() == counted(50, 80))
        daemon.wait_until(lambda: sum(last_counts(receiver).values()) >= 80)
        daemon.stop()
        instances = {
            next(a.value.string_value for a in resource.resource.attributes if a.key == "service.instance.id")
            for request in receiver.taken
            if request.signal == "metrics"
            for resource in request.message.resource_metrics
        }
        assert len(instances) == 2, "the new store tells of itself under another name"
        assert sum(last_counts(receiver).values()) == 80


def last_counts(receiver: Receiver) -> dict[tuple[str, str], int]:
    """The newest total of each series of each instance."""
    found: dict[tuple[str, str], int] = {}
    for request in receiver.taken:
        if request.signal != "metrics":
            continue
        for resource in request.message.resource_metrics:
            attributes = str(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "log.overhead.duration":
                        for point in metric.histogram.data_points:
                            key = (attributes, str(point.attributes))
                            found[key] = max(found.get(key, 0), point.count)
    return found


# --- while no daemon runs ---


def test_a_start_next_to_the_lock_of_a_deleted_store_reports_it_and_reads_the_logs_again(daemon: Daemon) -> None:
    daemon.stop()
    for path in beside(daemon, "", "-wal", "-shm"):
        path.unlink(missing_ok=True)
    append_bytes(daemon.log, lines(30, 40))
    daemon.launch()
    daemon.reads(0, 40)  # also lines that its first start skipped, because the position is lost
    assert daemon.said().count("is missing, though a store was used here before; rebuilding from the logs") == 1
    daemon.stop()
    daemon.launch()
    append_bytes(daemon.log, line(40))
    daemon.reads(0, 41)
    assert daemon.said().count("is missing") == 1
    daemon.stop()
