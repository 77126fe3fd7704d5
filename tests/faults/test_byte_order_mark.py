"""A byte order mark at the start of the file, or of a line (scenario 65)."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.lines import durations, line, lines

BOM = b"\xef\xbb\xbf"


def test_lines_behind_one_are_read(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        daemon.write(BOM + lines(0, 2), BOM + line(2), b"\0\0" + BOM + line(3), BOM + b"\n", line(4)[:-1] + b"\r\n")
        daemon.once()
        assert daemon.samples() == durations(0, 5)
        assert daemon.counter("drift") == 0
        assert daemon.rejected() == {}
