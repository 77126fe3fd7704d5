"""logrotate itself rotates the log while it is written and while the program is stopped (scenario 14)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.waiting import bound_s

LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

pytestmark = pytest.mark.skipif(LOGROTATE is None, reason="no logrotate here: `apt-get install logrotate` brings it")

MODES = {
    "create": "create 0644",
    "copytruncate": "copytruncate",
    "dates": "create\n  dateext\n  dateformat {date}",
    "dates before the extension": "create\n  dateext\n  dateformat {date}\n  extension .log",
    "compress": "create\n  compress",
    "delaycompress": "create\n  compress\n  delaycompress",
    "copytruncate, compress": "copytruncate\n  compress",
}


def logrotate(following: Following, mode: str, number: int) -> None:
    """Rotate now."""
    owner = "su root root" if os.geteuid() == 0 else ""  # the folders of tests may be writable for others
    options = MODES[mode].format(date=f"-202601{number + 1:02}")
    config, state = following.folder / "logrotate.conf", following.folder / "logrotate.state"
    config.write_text(f'"{following.log}" {{\n  rotate 20\n  {owner}\n  {options}\n}}\n')
    config.chmod(0o644)
    assert LOGROTATE is not None
    command = [LOGROTATE, "--force", "--state", str(state), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=bound_s(30), check=False)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr, done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_every_line_is_read_once(tmp_path: Path, mode: str) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start()
        following.wait_until(following.files)  # a scan between two steps of a rotation would warn of no file
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
