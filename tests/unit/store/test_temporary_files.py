"""SQLite's temporary files where none of the usual folders can be written to, as in a read-only container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pieces import opened
from tests.support.places import ROOT
from tests.support.waiting import bound_s

WORK = """
import sys
from contextlib import closing
from pathlib import Path
from otel_logtail.query import Reader
from otel_logtail.store.connection import connect

def sort(connection):
    connection.execute("PRAGMA cache_size = 10")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
    rows = connection.execute(f"{numbers} SELECT count(*) FROM (SELECT i, hex(randomblob(20)) AS x FROM n ORDER BY x)")
    assert rows.fetchone() == (200000,)
    rows = connection.execute(f"{numbers} SELECT i, hex(i * 7919 % 100003) AS x FROM n ORDER BY x, i")
    assert len(rows.fetchall()) == 200000

path = Path("/mnt/store.db")
if sys.argv[1] == "writes":
    with closing(connect(path)) as connection:
        sort(connection)
        connection.execute("VACUUM")
        connection.execute("CREATE TEMP TABLE t AS SELECT * FROM sqlite_master")
else:
    with Reader.open(path) as reader:
        sort(reader.conn)
"""


def namespaced(folder: Path, mode: str, *, read_only: bool) -> subprocess.CompletedProcess[str]:
    """Run it where all that can be written to is the store's folder, or not even that."""
    mounts = [
        "mount --make-rprivate /",
        f"mount --bind {folder} /mnt",
        *(f"mount -t tmpfs -o ro none {place}" for place in ("/tmp", "/var/tmp")),
        "if [ -d /usr/tmp ]; then mount -t tmpfs -o ro none /usr/tmp; fi",
        *(["mount -o remount,bind,ro /mnt"] if read_only else []),
        'cd /proc && exec "$@"',
    ]
    command = ["unshare", "--mount", "sh", "-e", "-c", "\n".join(mounts), "sh", sys.executable, "-c", WORK, mode]
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=bound_s(120), check=False)


@pytest.mark.parametrize(("mode", "read_only"), [("writes", False), ("reads", False), ("reads", True)])
def test_large_sorts_and_vacuum_work_without_a_tmp(tmp_path: Path, mode: str, *, read_only: bool) -> None:
    with opened(tmp_path / "store.db"):
        pass
    done = namespaced(tmp_path, mode, read_only=read_only)
    if "unshare: " in done.stderr or "mount: " in done.stderr:
        pytest.skip("no file system can be mounted here")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir() if "etilqs" in path.name] == []
