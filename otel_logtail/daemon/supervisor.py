"""The state of the main loop, and messages about it to systemd over its socket (sd_notify).

The messages are: ready, alive, stopping, and one line of status.

Without ``NOTIFY_SOCKET`` nothing is sent. A datagram that cannot be sent is dropped: systemd reacts to the silence, and
following logs is not affected.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Literal

from otel_logtail.text import printable

STATUS_S = 30.0
"""The interval of the status line if there is no watchdog."""


class Supervisor:
    """The supervisor that started this process, if it listens. Only the main loop uses it; others may read its state.

    ``is_probed`` means that health checks watch the main loop, which then turns every 30 s at least.
    """

    def __init__(self, environ: Mapping[str, str], pid: int | None = None, *, is_probed: bool = False) -> None:
        self.state: Literal["starting", "running", "stopping"] = "starting"
        self.turned_s: float | None = None
        """The time of the last turn; None while the parts are built, and until the first turn after that."""
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._is_probed = is_probed
        self._told_s = -math.inf
        timeout_s = _watchdog_s(environ, os.getpid() if pid is None else pid)
        self._watched = timeout_s is not None
        # half the timeout, as sd_watchdog_enabled(3) asks, and a little earlier, since a turn takes its time
        self._every_s = min(STATUS_S, timeout_s * 0.4) if timeout_s is not None else STATUS_S

    def ready(self, status: str) -> None:
        """Report that everything is found and watched. It is sent once, however often it is called."""
        if self.state == "starting":
            self.state = "running"
            self._send("READY=1", f"STATUS={printable(status)}")

    def building(self) -> None:
        """Note that the parts are built: this may migrate a large store, which takes longer than a turn."""
        self.turned_s = None

    def turned(self, now_s: float, status: Callable[[], str]) -> None:
        """Note a turn of the main loop, and report it when it is time to."""
        self.turned_s = now_s
        if self.state == "running" and self._address and now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            self._send(*(["WATCHDOG=1"] if self._watched else []), f"STATUS={printable(status())}")

    def due_s(self, now_s: float) -> float:
        """Return the maximum wait of the main loop until its next turn; infinite if nothing watches the turns."""
        due_s = STATUS_S if self._is_probed else math.inf
        if self.state == "running" and self._watched and self._address:
            due_s = min(due_s, self._told_s + self._every_s - now_s)
        return max(due_s, 0.0)

    def stopping(self) -> None:
        """Report that the program stops."""
        was_ready, self.state = self.state == "running", "stopping"
        if was_ready:
            self._send("STOPPING=1", "STATUS=stopping")

    def _send(self, *fields: str) -> None:
        if not self._address:
            return
        import socket  # most runs have no supervisor

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)  # a full queue must not hold up the main loop
                sender.sendto("\n".join(fields).encode(), self._address)
        except OSError:
            pass


def _address(name: str) -> str | bytes:
    """Return the socket's address; empty if there is none, or it is not AF_UNIX (systemd uses vsock for machines)."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])  # the abstract name space
    return name if name.startswith("/") else ""


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the time within which systemd expects a message; None if it expects none."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # meant for the one that started us
    given = environ.get("WATCHDOG_USEC", "")
    return int(given) / 1e6 if given.isascii() and given.isdigit() and int(given) else None
