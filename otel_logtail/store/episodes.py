"""The episodes of a batch as rows: open ones are replaced, closed ones and complete parts are added."""

from __future__ import annotations

import sqlite3

import msgspec

from otel_logtail.model import Batch, Episode, OpenEpisodes, Part
from otel_logtail.store.rows import (
    EPISODE,
    PART,
    encode_json,
    episode_columns,
    episode_of,
    marks,
    part_columns,
    path_of_text,
    text_of_path,
)


def write(db: sqlite3.Connection, batch: Batch) -> None:
    """Write the open and the closed episodes of a batch."""
    for live, open_ in batch.open_episodes.items():
        db.execute("DELETE FROM open_episode WHERE source = ? AND live = ?", (batch.source, text_of_path(live)))
        for episode, is_away in ((open_.current, open_.is_away), (open_.aside, False)):
            if episode is not None:
                db.execute(
                    f"INSERT INTO open_episode (source, {EPISODE}, away, part) VALUES ({marks(15)})",
                    (*episode_columns(batch.source, episode), is_away, encode_json(episode.part)),
                )
    # the same lines in another file (a copy of a log) are further samples, but not another span
    last = [(episode, episode.part) for episode in batch.closed if _parts_of(episode) and episode.part]
    db.executemany(
        f"INSERT INTO part (source, {PART}) VALUES ({marks(15)}) ON CONFLICT (span_id) DO NOTHING",
        [part_columns(batch.source, episode, part) for episode, part in (*batch.parts, *last)],
    )
    db.executemany(
        f"INSERT INTO episode (source, {EPISODE}, parts) VALUES ({marks(14)}) ON CONFLICT (span_id) DO NOTHING",
        [(*episode_columns(batch.source, episode), _parts_of(episode)) for episode in batch.closed],
    )


def _parts_of(episode: Episode) -> int:
    """Return the number of parts that a closed episode is exported in; 0: it is exported as one span."""
    return episode.part.number if episode.part is not None and episode.part.number > 1 else 0


def read_open(db: sqlite3.Connection, source: int) -> dict[str, OpenEpisodes]:
    """Return the open episodes of a source, by live path."""
    found: dict[str, OpenEpisodes] = {}
    rows = db.execute(f"SELECT away, part, {EPISODE} FROM open_episode WHERE source = ? ORDER BY away", (source,))
    for is_away, part, *row in rows:
        live = path_of_text(row[0])
        episode = msgspec.structs.replace(
            episode_of(tuple(row)), live=live, part=msgspec.json.decode(part, type=Part | None)
        )
        aside = found[live].current if live in found else None
        found[live] = OpenEpisodes(episode, aside, bool(is_away))
    return found
