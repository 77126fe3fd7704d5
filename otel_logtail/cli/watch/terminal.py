"""The terminal of ``watch``: full screen, single keys, and signals. It is restored however the command ends."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live

from otel_logtail.cli.streams import encodable, is_colored, takes_all
from otel_logtail.cli.watch.feed import Feed
from otel_logtail.cli.watch.model import DEFAULT_ZOOM, STEPS_S, Moment, Waiting
from otel_logtail.cli.watch.plot import ASCII, Glyphs
from otel_logtail.cli.watch.screen import View, columns_of, lines
from otel_logtail.text import printable

REFRESH_S = 1.0
_SHARE = 60
"""A refresh takes at most this part of the time, so the command needs less than 2 % of a core."""

MOST_S = 10.0
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NUDGING = (signal.SIGWINCH, signal.SIGCONT)


class Terminal:
    """The screen and the keyboard of a terminal, and the loop over both.

    Args:
        feed: The store.
        out: The terminal.
        keys: The descriptor that keys are read from; None: there is none.
    """

    def __init__(self, feed: Feed, out: TextIO, keys: int | None) -> None:
        self._feed = feed
        self._out = out
        self._keys = keys
        self._zoom = DEFAULT_ZOOM
        self._shows = "plot"
        self._is_paused = False
        self._is_suspended = False
        self._stopped_by = 0
        self._shown: Moment | Waiting | None = None

    def run(self) -> int:
        """Show the store until the user quits; returns the exit code."""
        with self._signals() as woken:
            while (code := self._show(woken)) is None:
                self._is_suspended = False
                os.kill(os.getpid(), signal.SIGSTOP)  # the shell continues; `fg` brings the screen back
            return code

    def _show(self, woken: int) -> int | None:
        """Return the exit code, or None if the user suspends the command (Ctrl-Z)."""
        with ExitStack() as unwinding:
            if self._keys is not None:
                unwinding.enter_context(_single_keys(self._keys))
            live = unwinding.enter_context(self._live())
            due_s = 0.0
            while True:
                if time.monotonic() >= due_s:
                    due_s = self._refresh(live, due_s)
                else:
                    self._draw(live)
                if self._is_stopped():
                    return 128 + self._stopped_by
                if self._is_suspended:
                    return None
                if not self._wait(woken, due_s):
                    return 0
                if self._shown is None:
                    due_s = 0.0

    def _is_stopped(self) -> bool:
        return bool(self._stopped_by)

    def _refresh(self, live: Live, due_s: float) -> float:
        """Read and draw; returns the time of the next refresh, on the monotonic clock."""
        if self._is_paused:
            self._draw(live)
            return due_s
        before_s = time.process_time()
        shown = self._feed.read(time.time_ns(), STEPS_S[self._zoom], columns_of(_size(self._out)[0]))
        if not self._is_stopped():  # otherwise the read was cut short
            self._shown = shown
            self._draw(live)
        return _next(before_s)

    # --- the screen ---

    def _live(self) -> Live:
        console = Console(
            file=self._out,
            force_terminal=True,
            color_system="auto" if is_colored(self._out) else None,
            highlight=False,
            markup=False,
        )
        return Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def _draw(self, live: Live) -> None:
        if self._shown is None:
            return
        width, height = live.console.size = _size(self._out)
        takes = takes_all(self._out)
        view = View(
            width,
            height,
            glyphs=Glyphs() if takes else ASCII,
            fit=printable if takes else lambda text: encodable(printable(text), self._out),
            shows=self._shows,
            is_paused=self._is_paused,
        )
        live.update(Group(*lines(self._shown, view)), refresh=True)

    # --- the keyboard and signals ---

    def _wait(self, woken: int, due_s: float) -> bool:
        """Wait for the next refresh, a key or a signal; returns False if the user quits."""
        watched = [woken] if self._keys is None else [woken, self._keys]
        timeout_s = None if self._is_paused else max(0.0, due_s - time.monotonic())
        ready, _, _ = select.select(watched, [], [], timeout_s)
        if woken in ready:
            os.read(woken, 4096)
        if self._keys in ready and self._keys is not None:
            pressed = os.read(self._keys, 64)
            if not pressed:  # the terminal is gone
                return False
            return all(self._press(key) for key in pressed.decode("latin-1"))
        return True

    def _press(self, key: str) -> bool:
        """Do what a key stands for; returns False if it is the one that quits."""
        zoom = self._zoom
        if key in "+=":
            self._zoom = max(0, zoom - 1)
        elif key in "-_":
            self._zoom = min(len(STEPS_S) - 1, zoom + 1)
        elif key == "p":
            self._is_paused = not self._is_paused
        elif key in "e?":
            wanted = "episodes" if key == "e" else "help"
            self._shows = "plot" if self._shows == wanted else wanted
        if self._zoom != zoom:
            self._is_paused, self._shown = False, None
        return key != "q"

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Handle signals; yields a descriptor that can be read after each of them."""
        read, write = os.pipe()
        for end in (read, write):
            os.set_blocking(end, False)
        before = {number: signal.signal(number, self._stop) for number in _STOPPING}
        before |= {number: signal.signal(number, _nudge) for number in _NUDGING}
        before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._suspend)
        woken = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        try:
            yield read
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(read)
            os.close(write)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped_by = self._stopped_by or number
        self._feed.interrupt()

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        self._is_suspended = True


def _nudge(number: int, frame: FrameType | None) -> None:
    """Let the wait end."""


def _size(out: TextIO) -> tuple[int, int]:
    """Return the columns and lines of a terminal; those of a terminal that reports none are 80 and 24."""
    width, height = os.get_terminal_size(out.fileno())
    return width or 80, height or 24


@contextmanager
def _single_keys(keys: int) -> Iterator[None]:
    """Read keys as they are pressed and do not show them; Ctrl-C still is a signal."""
    before = termios.tcgetattr(keys)
    tty.setcbreak(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


def keys_of() -> int | None:
    """Return the descriptor of the keyboard, or None if standard input is not a terminal."""
    try:
        return sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    except ValueError:  # it is closed
        return None


def follow_lines(feed: Feed, write: Callable[[Moment | Waiting], None]) -> None:
    """Pass a moment about every second, until the process ends; why there is none, once."""
    why = ""
    while True:
        before_s = time.process_time()
        found = feed.read(time.time_ns(), STEPS_S[DEFAULT_ZOOM], 1)
        if not isinstance(found, Waiting) or found.why != why:
            write(found)
        why = found.why if isinstance(found, Waiting) else ""
        time.sleep(max(0.0, _next(before_s) - time.monotonic()))


def _next(before_s: float) -> float:
    """Return the time of the next refresh; the last one began when the process had taken ``before_s`` of CPU."""
    return time.monotonic() + pause_s(time.process_time() - before_s)


def pause_s(cost_s: float) -> float:
    """Return the time until the next refresh, after one that took so much of the CPU."""
    return min(MOST_S, max(REFRESH_S, _SHARE * cost_s))
