"""Compaction: small blocks of one file and hour become larger ones. No sample changes."""

from __future__ import annotations

import sqlite3
from itertools import groupby

import msgspec

from otel_logtail.store.blocks import SampleColumns, decode_block, encode_block
from otel_logtail.store.connection import meta, set_meta, transaction
from otel_logtail.store.maintenance.steps import NOTHING, Steps, Tuning
from otel_logtail.store.rows import OFFSET_BITS, marks


def compact(db: sqlite3.Connection, tuning: Tuning, until_ns: int) -> Steps:
    """Compact small blocks that end at ``until_ns`` or earlier. A live log makes blocks of one line each."""
    while True:
        blocks, samples = _small_blocks(db, tuning, until_ns)
        if not blocks or (samples < tuning.block and blocks[0][1] > until_ns - tuning.compact_within_ns):
            return  # a log with few lines: wait until one block can hold more of them
        with transaction(db):
            # not across hours: a block is deleted as a whole, once its last sample has expired
            for _, group in groupby(sorted(blocks), lambda b: (b[0] >> OFFSET_BITS, b[1] // tuning.compact_within_ns)):
                _put_together(db, [id_ for id_, _ in group], tuning.block)
            # if the page is full, further blocks may end at the same time as its last one: they stay small
            set_meta(db, "compacted_ns", blocks[-1][1])
        yield NOTHING


def _small_blocks(db: sqlite3.Connection, tuning: Tuning, until_ns: int) -> tuple[list[tuple[int, int]], int]:
    """Return the id and the last time of the next small blocks, in order of time, and their number of samples."""
    found, samples = [], 0
    for id_, last_ns, count in db.execute(
        "SELECT id, last_ns, count FROM block WHERE last_ns > ? AND last_ns <= ? AND count < ?"
        " ORDER BY last_ns LIMIT ?",
        (int(meta(db, "compacted_ns") or 0), until_ns, tuning.small_block, tuning.rows),
    ):
        found.append((id_, last_ns))
        samples += count
        if samples >= tuning.samples:
            break
    return found, samples


def _put_together(db: sqlite3.Connection, ids: list[int], most: int) -> None:
    """Replace blocks of one file by blocks of up to ``most`` samples. Damaged blocks stay as they are."""
    taken: list[int] = []
    samples: list[SampleColumns] = []
    source = 0
    for id_ in ids:
        source, first_ns, text = db.execute(  # a file belongs to one source
            "SELECT source, first_ns, CAST(samples AS BLOB) FROM block WHERE id = ?", (id_,)
        ).fetchone()
        try:
            samples += decode_block(id_, first_ns, text)
        except msgspec.MsgspecError:
            continue  # SQLite cannot detect this damage
        taken.append(id_)
    if len(taken) < 2:
        return
    samples.sort()
    db.executemany("DELETE FROM block WHERE id = ?", [(id_,) for id_ in taken])
    db.executemany(
        f"INSERT INTO block VALUES ({marks(6)})",
        [encode_block(source, samples[at : at + most]) for at in range(0, len(samples), most)],
    )
