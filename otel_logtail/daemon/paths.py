"""Default paths."""

from __future__ import annotations

import os
from pathlib import Path

from otel_logtail.errors import UsageError


def home_directory() -> str:
    """Return the user's home; empty if there is none: no ``HOME``, and a user without an entry in the system."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises instead
    return home if os.path.isabs(home) else ""  # noqa: PTH117


def default_db() -> Path:
    """The store of a user who named none: in the user's state directory. Nothing is made here.

    Raises:
        UsageError: there is no such directory.
    """
    if not home_directory() and not os.environ.get("XDG_STATE_HOME"):
        raise UsageError("there is no home directory for the store", hint="name the store with --db")
    from platformdirs import user_state_path

    return user_state_path("otel-logtail") / "otel-logtail.db"
