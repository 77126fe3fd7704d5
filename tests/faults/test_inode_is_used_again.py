"""The file system gives a deleted file's inode to the next one (scenario 45)."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.support.following import Following
from tests.support.tailing import squeeze


def make_with_inode(path: Path, inode: int, data: bytes) -> None:
    """A file of this inode: as many are made as it takes; skips where the file system gives none twice at once."""
    spare = []
    for number in range(500):
        made = path.with_name(f"spare-{number}")
        made.write_bytes(b"")
        if made.stat().st_ino == inode:
            made.write_bytes(data)
            made.rename(path)
            break
        spare.append(made)
    for other in spare:
        other.unlink()
    if not path.exists() or path.stat().st_ino != inode:
        pytest.skip("this file system does not use the inode of a deleted file again soon")


@pytest.mark.parametrize(("unread", "lines"), [(0, 10), (4, 10), (4, 3), (0, 30)])
def test_new_file_with_the_inode_of_the_compressed_one_is_new(tmp_path: Path, unread: int, lines: int) -> None:
    with Following(tmp_path) as following:
        following.write(10)
        following.start().caught_up()
        inode = following.log.stat().st_ino
        with following.away():  # or it would hold the inode
            following.write(unread)
            backup = following.log.with_name(f"{following.log.name}.1")
            following.log.rename(backup)
            backup = squeeze(backup, gzip.compress, ".gz")
            if backup.stat().st_ino == inode:
                pytest.skip("the compressed file itself got it")
            make_with_inode(following.log, inode, following.lines(lines))
        following.finish()
