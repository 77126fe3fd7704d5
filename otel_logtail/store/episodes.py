"""The episodes of a batch as rows: open ones are replaced, closed ones are added."""

from __future__ import annotations

import sqlite3

import msgspec

from otel_logtail.model import Batch, OpenEpisodes
from otel_logtail.store.rows import EPISODE, episode_columns, episode_of, marks, path_of_text, text_of_path


def write(db: sqlite3.Connection, batch: Batch) -> None:
    """Write the open and the closed episodes of a batch."""
    for live, open_ in batch.open_episodes.items():
        db.execute("DELETE FROM open_episode WHERE source = ? AND live = ?", (batch.source, text_of_path(live)))
        for episode, is_away in ((open_.current, open_.is_away), (open_.aside, False)):
            if episode is not None:
                db.execute(
                    f"INSERT INTO open_episode (source, {EPISODE}, away) VALUES ({marks(14)})",
                    (*episode_columns(batch.source, episode), is_away),
                )
    if batch.closed:
        # the same lines in another file (a copy of a log) are further samples, but not another span
        db.executemany(
            f"INSERT INTO episode (source, {EPISODE}) VALUES ({marks(13)}) ON CONFLICT (span_id) DO NOTHING",
            [episode_columns(batch.source, episode) for episode in batch.closed],
        )


def read_open(db: sqlite3.Connection, source: int) -> dict[str, OpenEpisodes]:
    """Return the open episodes of a source, by live path."""
    found: dict[str, OpenEpisodes] = {}
    rows = db.execute(f"SELECT away, {EPISODE} FROM open_episode WHERE source = ? ORDER BY away", (source,))
    for is_away, *row in rows:
        live = path_of_text(row[0])
        episode = msgspec.structs.replace(episode_of(tuple(row)), live=live)
        aside = found[live].current if live in found else None
        found[live] = OpenEpisodes(episode, aside, bool(is_away))
    return found
