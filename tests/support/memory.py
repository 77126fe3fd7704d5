"""Folders in memory: a test of a store waits for the disk longer than it computes, and all workers share one disk.

Reads and writes are the same. A test of files (rotation, identity, holes, a full disk) keeps the file system of
the machine, and so does each test that runs the program.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_LEAST_BYTES = 1 << 30


@cache
def place() -> str | None:
    """Return a file system in memory with enough room; None if there is none."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK) or shutil.disk_usage(shared).free < _LEAST_BYTES:
        return None
    return str(shared)


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Yield a folder in memory, which is deleted in the end."""
    with tempfile.TemporaryDirectory(prefix="otel-logtail-", dir=place(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)
