"""The log of pending data is deleted: data that was read from it is still delivered."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.collector import Collector, find_collector
from tests.support.daemon import NOBODY, Daemon
from tests.support.lines import lines
from tests.support.tailing import append_bytes


def test_what_waits_of_a_file_that_was_deleted_is_delivered_whole(tmp_path: Path) -> None:
    log, db = tmp_path / "proxy-8787.log", tmp_path / "store.db"
    append_bytes(log, lines(0, 100, ms=600))
    with Daemon(tmp_path, "--from-start", "--otlp-endpoint", NOBODY, db=db, log=log).launch() as daemon:
        daemon.wait_until(lambda: daemon.samples().total() == 100)
        daemon.stop()
    log.unlink()
    append_bytes(log, lines(10_000, 10_050, ms=600))
    (tmp_path / "collector").mkdir()
    with (
        Collector(find_collector(), tmp_path / "collector") as collector,
        Daemon(tmp_path, "--otlp-endpoint", collector.http_endpoint, db=db, log=log).launch() as daemon,
    ):
        daemon.wait_until(lambda: daemon.samples().total() == 150)
        collector.wait_until(lambda: sum(len(span.events) + span.dropped_events for span in collector.spans()) == 150)
        assert {span.attributes["log.file.path"] for span in collector.spans()} == {str(log)}
        samples = daemon.ask("query", "samples", "--limit", 0)
        assert {sample["file"] for sample in samples} == {str(log)}
        assert len({sample["id"] for sample in samples}) == 150
        known = [file["path"] for file in daemon.ask("status")["sources"][0]["files"]]
        assert known == [str(log)]
        assert not re.search(r"unread bytes|were not read", daemon.said())  # an unknown number is reported as unknown
        daemon.stop()
