"""A terminal of a size as the standard output of a command."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.forked import exit_code


def run_on_terminal(
    *words: object, home: Path, columns: int = 80, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a command with a terminal as its standard output; return its exit code and what the terminal received."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "OTELCOL", "HEADROOM")) and name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
    }
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TZ": "UTC", "TERM": "xterm", **(environ or {})}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    received: list[bytes] = []

    def read() -> None:
        while True:
            try:
                received.append(os.read(ours, 65536))
            except OSError:  # the last process has closed the terminal
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        streams = (os.devnull, os.ttyname(theirs), os.devnull)
        code = exit_code([str(word) for word in words], environ={**inherited, **own}, streams=streams)
    finally:
        os.close(theirs)
        reader.join()
        os.close(ours)
    return code, b"".join(received).decode().replace("\r\n", "\n")


def without_color(text: str) -> str:
    """Return the text without the sequences that set a color."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
