"""Connecting with one deadline: a name may have many addresses that do not answer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable


def connect_within(
    host: str, port: int, left_s: Callable[[], float | None], options: Iterable[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """Connect to the first address of a name that answers.

    Args:
        host: A name or an address, without brackets.
        port: Its port.
        left_s: Returns the remaining time (None: no limit), or raises TimeoutError.
        options: Options of the socket, as for ``setsockopt``.

    Raises:
        OSError: as for ``socket.create_connection``; TimeoutError when the time is over.
    """
    problem: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(left_s())
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            problem = error
            left_s()
    raise problem
