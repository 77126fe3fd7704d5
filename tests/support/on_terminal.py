"""A command on a pseudo-terminal: what it has drawn, keys for it, and whether it has restored the terminal."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support.waiting import CALM_S, wait_until

ENTERED, LEFT, CURSOR_SHOWN, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h", "\x1b[H"
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class OnTerminal:
    """One process with a terminal of its own, which is also its controlling one."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], cwd: Path, *, size: tuple[int, int] = (80, 24)
    ) -> None:
        self._ours, self._its = os.openpty()
        self.resize(*size)
        self._modes = termios.tcgetattr(self._its)
        self._drawn = b""
        self._process = subprocess.Popen(
            command,
            env={**environ, "TERM": "xterm-256color"},
            stdin=self._its,
            stdout=self._its,
            stderr=self._its,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._its)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def press(self, keys: str) -> None:
        """Type keys; Ctrl-C is the character 3."""
        os.write(self._ours, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """Change the size of the terminal, which sends SIGWINCH."""
        fcntl.ioctl(self._its, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def drawn(self) -> str:
        """Return everything that was written to the terminal so far."""
        while select.select([self._ours], [], [], 0)[0]:
            self._drawn += os.read(self._ours, 65536)
        return self._drawn.decode(errors="replace").replace("\r\n", "\n")

    def screen(self) -> list[str]:
        """Return the lines of the last complete screen."""
        screens = self.drawn().split(HOME)
        return _CONTROLS.sub("", screens[-1]).split("\n")

    def shows(self, words: str) -> None:
        """Wait until the screen holds some words."""
        self.wait_until(lambda: words in "\n".join(self.screen()))

    def wait_until(self, holds: Callable[[], object]) -> None:
        """Wait for a condition."""
        wait_until(holds, told=self.drawn)

    def ends(self) -> int:
        """Wait for its end; returns the exit code."""

        def has_ended() -> bool:
            self.drawn()  # a full terminal would hold it up
            return self._process.poll() is not None

        wait_until(has_ended, CALM_S, told=self.drawn)
        return self._process.returncode

    def is_restored(self) -> bool:
        """Return whether the first screen is back, with its cursor and the modes of the keyboard."""
        drawn = self.drawn()
        left = drawn.rfind(LEFT)
        return (
            left > drawn.rfind(ENTERED)
            and CURSOR_SHOWN in drawn[drawn.rfind(ENTERED) :]
            and termios.tcgetattr(self._its) == self._modes
        )
