"""Where things lie when nobody says otherwise."""

from __future__ import annotations

from pathlib import Path


def default_db() -> Path:
    """The store of a user who named none: in the user's state directory. Nothing is made here."""
    from platformdirs import user_state_path

    return user_state_path("otel-logtail") / "otel-logtail.db"
