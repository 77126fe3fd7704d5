"""The open files of one live path: when they are closed."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import pytest

from otel_logtail.events import Reporter
from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import States
from otel_logtail.tail.held import GRACE_S, Held, HeldFiles
from otel_logtail.tail.lines import CHUNK_BYTES, new_buffer
from otel_logtail.tail.reader import PlainReader
from tests.support.tailing import MemoryCheckpoints, append


def test_a_renamed_file_that_was_read_to_its_end_and_cannot_be_read_now_is_not_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "proxy.log.1"
    append(path, "one")
    reader = PlainReader(str(path))
    state = FileState(1, str(tmp_path / "proxy.log"), str(path), reader.device, reader.inode, 0)
    files = HeldFiles(States([state]), MemoryCheckpoints().checkpoints, Reporter(io.StringIO()), new_buffer())
    files.hold([Held(reader, state, quiet_since=0.0)], {})
    files.start_reading()
    chunk = files.read(0.0, CHUNK_BYTES)
    assert chunk is not None
    files.accept(chunk.after)
    assert files.read(0.0, CHUNK_BYTES) is None
    append(path, "two")

    def broken(reader: PlainReader, view: memoryview, offset: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(PlainReader, "read_into", broken)
        files.release(GRACE_S + 1)
    files.start_reading()
    late = files.read(GRACE_S + 2, CHUNK_BYTES)
    assert late is not None
    assert late.data == b"two\n"
    files.close()
