"""logrotate itself rotates the log while it is written and while nobody looks (scenario 14)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.following import Following

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

pytestmark = pytest.mark.skipif(LOGROTATE is None, reason="no logrotate here: `apt-get install logrotate` brings it")

MODES = {
    "create": "create 0644",
    "nocreate": "nocreate",
    "copytruncate": "copytruncate",
    "dates": "create\n  dateext\n  dateformat -%Y%m%d-%s",
    "compress": "create\n  compress",
    "delaycompress": "create\n  compress\n  delaycompress",
    "copytruncate, compress": "copytruncate\n  compress",
    "dates before the extension": "create\n  dateext\n  dateformat -%Y%m%d-%s\n  extension .log",
}


def logrotate(following: Following, mode: str, number: int) -> None:
    """Rotate now; dates are a second apart, so that each rotation has a name of its own."""
    config = following.folder / "logrotate.conf"
    config.write_text(f'"{following.log}" {{\n  su root root\n  rotate 20\n  missingok\n  {MODES[mode]}\n}}\n')
    if os.geteuid() != 0:
        config.write_text(config.read_text().replace("  su root root\n", ""))
    config.chmod(0o644)
    assert LOGROTATE is not None
    state = following.folder / "logrotate.state"
    done = subprocess.run(
        [LOGROTATE, "--force", "--state", state, config], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    if "dates" in mode:  # the second is over: the next one has another name
        for path in following.logs.iterdir():
            if path != following.log and not path.stem.endswith(f"-r{number}") and "-r" not in path.name:
                _backdate(path, number)


def _backdate(path: Path, number: int) -> None:
    """As if it had been made an hour a number earlier than the ones to come."""
    head, _, rest = path.name.partition("-20")
    date, _, seconds = rest.partition("-")
    digits = "".join(c for c in seconds if c.isdigit())
    path.rename(path.with_name(f"{head}-20{date}-{int(digits) - 3600 * (20 - number)}{seconds[len(digits) :]}"))


@pytest.mark.parametrize("mode", MODES)
def test_every_line_is_read_once(tmp_path: Path, mode: str) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start()
        for number in range(3):
            following.write(20)
            logrotate(following, mode, number)
            following.write(20)
        following.caught_up()
        with following.away(killed=True):
            for number in range(3, 6):
                following.write(20)
                logrotate(following, mode, number)
            following.write(20)
        following.finish()
