"""Where a store was used last: which machine, which path.

Two daemons with copies of one store would send as one ``service.instance.id``, and their totals would mix. So a store
that finds itself elsewhere takes a new id, under which all series start again; totals stay right in both places. It
keeps its id where it was only moved: on the same machine, or on an unknown one (a container that was recreated has
another host name), with the files that lie beside it (:mod:`~otel_logtail.store.marker`).

Known limit: a machine that is cloned whole, with its id, its name and its folders, is not noticed.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sqlite3
import uuid
from pathlib import Path

import msgspec

from otel_logtail.store import marker
from otel_logtail.store.connection import transaction

_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


class Home(msgspec.Struct, frozen=True):
    """A machine (a hash of its id, empty where it has none), its host name, and the path of a store there."""

    machine: str
    host: str
    path: str

    def is_on(self, other: Home) -> bool:
        """Whether both are on one machine, as far as that is known."""
        return self.machine == other.machine and self.host == other.host


class Change(msgspec.Struct, frozen=True):
    """A store was last used elsewhere: there, and whether that may go on (then it has a new id here)."""

    before: Home
    is_copy: bool


def here(path: Path) -> Home:
    """The home of a store at this path."""
    return Home(_machine(), socket.gethostname(), os.path.realpath(path))


def recorded(connection: sqlite3.Connection) -> Home | None:
    """The home that a store has recorded; None: none yet, or it can't be read."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'home'").fetchone()
    try:
        return None if row is None else msgspec.json.decode(row[0], type=Home)
    except msgspec.MsgspecError:
        return None


def settle(connection: sqlite3.Connection, path: Path) -> Change | None:
    """Record that the store is used here; returns the change where it was used elsewhere."""
    before, now = recorded(connection), here(path)
    (instance,) = connection.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()
    (has_sent,) = connection.execute("SELECT EXISTS (SELECT 1 FROM sent)").fetchone()
    is_copy = before is not None and is_elsewhere(
        before, now, instance, marker.instances(path), has_sent=bool(has_sent)
    )
    if before == now and not is_copy:
        return None
    with transaction(connection):
        if is_copy:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'instance'", (str(uuid.uuid4()),))
        text = msgspec.json.encode(now).decode()
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('home', ?)", (text,))
    if is_copy:
        marker.remove(path)
    return None if before is None else Change(before, is_copy)


def is_elsewhere(before: Home, now: Home, instance: str, beside: set[str], *, has_sent: bool) -> bool:
    """Return whether a store may be in use in two places.

    ``beside`` are the ids of the stores that the files beside it are of. Where they are of another one, this store took
    that one's place.
    """
    if before == now:
        return has_sent and bool(beside) and instance not in beside
    if before.machine and now.machine and before.machine != now.machine:
        return True
    return instance not in beside


def _machine() -> str:
    for name in _MACHINE_IDS:
        try:
            found = Path(name).read_bytes().strip()
        except OSError:
            continue
        if found:
            return hashlib.blake2b(found, digest_size=16, person=b"otel-logtail").hexdigest()
    return ""
