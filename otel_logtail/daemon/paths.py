"""Default locations."""

from __future__ import annotations

import os
from pathlib import Path

from otel_logtail.errors import UsageError

STORE = "otel-logtail.db"
"""The name of the default store."""


def home_directory() -> str:
    """Return the user's home directory; empty if ``HOME`` is not set and the system does not list the user."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises instead
    return home if os.path.isabs(home) else ""  # noqa: PTH117


def default_db() -> Path:
    """Return the default store, in the user's state directory. No file is created.

    Raises:
        UsageError: there is no such directory.
    """
    if not home_directory() and not os.environ.get("XDG_STATE_HOME"):
        raise UsageError("there is no home directory for the store", hint="pass the store with --db")
    from platformdirs import user_state_path

    return user_state_path("otel-logtail") / STORE
