"""More events than the kernel's queue holds, and what they told of is lost (scenario 56)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.following import Following
from tests.support.tailing import rotate


def test_what_lost_events_told_of_is_read_all_the_same(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with Following(tmp_path) as following:
        following.write(5)
        following.start().caught_up()
        noise = [os.open(following.logs / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in ("a", "b")]
        with following.frozen():
            for _ in range(limit // 2 + 100):  # in turn: events that are alike become one
                for descriptor in noise:
                    os.write(descriptor, b"x")
            following.write(5)
            rotate(following.log)
            following.write(5)
        following.caught_up()
        for descriptor in noise:
            os.close(descriptor)
        following.write(5)
        following.finish()
