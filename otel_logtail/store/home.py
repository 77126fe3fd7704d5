"""The machine and the path where a store was used last.

Two daemons with copies of one store would send under one ``service.instance.id``, and their totals would mix. So a
store that is opened elsewhere gets a new id, all series start again, and totals are right in both places. A store keeps
its id if it was only moved: on the same machine, or on an unknown one (a recreated container has another host name),
together with the files beside it (:mod:`~otel_logtail.store.marker`).

Known limit: a clone of a whole machine, with its id, name and directories, is not detected.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from pathlib import Path

import msgspec

from otel_logtail.digest import blake2b
from otel_logtail.store import marker
from otel_logtail.store.connection import transaction

_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


class Home(msgspec.Struct, frozen=True):
    """A machine (a hash of its id, empty if it has none), its host name, and the path of a store there."""

    machine: str
    host: str
    path: str

    def is_on(self, other: Home) -> bool:
        """Return whether both are on one machine, as far as the names show."""
        return self.machine == other.machine and self.host == other.host


class Change(msgspec.Struct, frozen=True):
    """The previous home of a store. ``is_copy``: the store may still be used there, so it has a new id here."""

    before: Home
    is_copy: bool


def here(path: Path) -> Home:
    """Return the home of a store at this path."""
    return Home(_machine(), os.uname().nodename, os.path.realpath(path))


def recorded(connection: sqlite3.Connection) -> Home | None:
    """Return the home that a store has recorded; None if there is none, or if it is unreadable."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'home'").fetchone()
    try:
        return None if row is None else msgspec.json.decode(row[0], type=Home)
    except msgspec.MsgspecError:
        return None


def settle(connection: sqlite3.Connection, path: Path) -> Change | None:
    """Record that the store is used here; returns the change if the store was used elsewhere."""
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

    ``beside`` are the ids of the stores that wrote the files beside it. If another store wrote them, this store
    replaced it.
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
            return blake2b(found, digest_size=16, person=b"otel-logtail").hexdigest()
    return ""
