"""The rest of a renamed file is read to its end before the first line of the new one (scenario 10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate

REST = 20_000  # some MiB: several chunks, so that partial commits can be seen


@pytest.mark.parametrize("away", [False, True])
def test_what_is_stored_is_never_ahead_of_itself(tmp_path: Path, away: bool) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        if away:
            following.stop()
            following.write(REST)
            rotate(following.log)
            following.write(100)
            following.start()
        else:
            with following.frozen():
                following.write(REST)
                rotate(following.log)
                following.write(100)

        def all_read() -> bool:
            files = following.files()
            old, new = files[0], files[-1]
            assert old is new or new["offset"] == 0 or old["offset"] == old["size"], files
            return following.count() == following.written

        following.wait_until(all_read)
        following.finish()
