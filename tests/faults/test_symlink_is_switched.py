"""The log is a symbolic link, and its target is switched (scenario 49)."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.following import Following


def switch(link: Path, target: Path) -> None:
    """As ``ln -sfn`` does: at once."""
    beside = link.with_name("beside")
    beside.symlink_to(target)
    os.replace(beside, link)


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("folder", ["logs", "targets"])
def test_rest_of_the_old_target_and_all_of_the_new_one_are_read(tmp_path: Path, folder: str, away: bool) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    targets = [tmp_path / folder / f"run-{number}" for number in range(4)]
    with Following(tmp_path) as following:
        following.write(5, targets[0])
        switch(following.log, targets[0])
        following.start().caught_up()
        for old, new in pairwise(targets):
            if away:
                following.stop()
            following.write(5, old)
            following.write(5, new)
            switch(following.log, new)
            if away:
                following.start()
            following.write(3, old)
            following.write(3, new)
            following.caught_up()
        following.finish()
