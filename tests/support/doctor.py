"""The doctor beside a daemon, and what it finds."""

from __future__ import annotations

import json
import os
import subprocess
from typing import NamedTuple

from tests.support.daemon import MODULE, Daemon
from tests.support.following import give_up_roots_rights
from tests.support.forked import completed
from tests.support.waiting import bound_s


class Found(NamedTuple):
    """Findings of a doctor, by area, and its exit code."""

    code: int
    checks: list[dict[str, str]]

    def of(self, area: str) -> list[tuple[str, str, str]]:
        return [(c["level"], c["what"], c["todo"]) for c in self.checks if c["area"] == area]

    def only(self, area: str) -> tuple[str, str, str]:
        (one,) = self.of(area)
        return one

    def bad(self) -> list[dict[str, str]]:
        return [check for check in self.checks if check["level"] not in ("ok", "note")]


def doctor(daemon: Daemon, *more: object, as_a_user: bool = False, runner: tuple[str, ...] = ()) -> Found:
    """The real command, with the options of a daemon."""
    command = daemon.command("doctor", "--format", "json", *more)
    if runner or as_a_user:
        done = subprocess.run(
            [*runner, *command],
            env=daemon.environ(),
            capture_output=True,
            text=True,
            timeout=bound_s(60),
            check=False,
            preexec_fn=give_up_roots_rights if as_a_user and os.geteuid() == 0 else None,
        )
    else:
        done = completed(command[1 + len(MODULE) :], daemon.environ())
    assert done.returncode in (0, 1), done.stderr
    checks = json.loads(done.stdout)
    assert done.returncode == any(check["level"] == "FAIL" for check in checks)
    assert all(check["todo"] for check in checks if check["level"] != "ok"), "what is not well says what to do"
    return Found(done.returncode, checks)
