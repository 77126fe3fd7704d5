"""Ports at which nothing listens.

They are outside the range from which Linux takes ports for connections (32768 and above). Each worker of pytest-xdist
has a thousand of its own, so no other test takes a port between its choice and its use.
"""

from __future__ import annotations

import os
import socket
from itertools import count

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST = 10_000 + (os.getppid() * 7 + _WORKER) % 22 * 1000
_NEXT = count(os.getpid())


def free_ports(number: int) -> list[int]:
    """Return so many different ports."""
    found: list[int] = []
    while len(found) < number:
        port = _FIRST + next(_NEXT) % 1000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def free_port() -> int:
    """Return one port."""
    (port,) = free_ports(1)
    return port
