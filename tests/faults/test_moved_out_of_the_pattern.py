"""The log gets a name that no pattern matches, and its writer continues there (scenario 6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Following


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("where", ["logs", "elsewhere"])
def test_what_its_writer_appends_is_read_on(tmp_path: Path, where: str, create: bool) -> None:
    moved = tmp_path / where / "kept-by-somebody"
    moved.parent.mkdir(exist_ok=True)
    with Following(tmp_path, patterns=[tmp_path / "logs" / "proxy-*.log"]) as following:
        following.write(10)
        following.start().caught_up()
        following.log.rename(moved)
        following.write(5, moved)
        following.caught_up()
        if create:
            following.write(5)
            following.caught_up()
        following.write(5, moved)
        following.caught_up()
        following.finish(warnings=["no file matches .* yet: waiting for one"])
