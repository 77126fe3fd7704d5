"""Files are renamed, and nothing was written to them since: nothing is read again (scenario 5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import rotate


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("create", [False, True])
def test_nothing_is_read_again(tmp_path: Path, away: bool, create: bool) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        if away:
            with following.away():
                rotate(following.log, create=create)
        else:
            rotate(following.log, create=create)
            following.rest()
        following.caught_up()
        for number in range(3):
            path = following.log.with_name(f"{following.log.name}.{number + 1}")
            path.rename(path.with_name(f"{following.log.name}.{number + 2}"))
            following.rest()
        following.finish()
