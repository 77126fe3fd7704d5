"""Stores made by hand, straight from schema.sql: what questions are asked about in tests."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import otel_logtail
from otel_logtail.counts import bounds, count
from otel_logtail.store.blocks import SampleColumns, encode_block
from otel_logtail.store.connection import SCHEMA_VERSION
from otel_logtail.store.sparse import add_functions

SECOND = 10**9
NOON = 1_795_608_000 * SECOND  # 2026-11-25T12:00:00Z
THRESHOLD, STALL = SECOND // 2, 2 * SECOND
BOUNDS = bounds(THRESHOLD, STALL)
BLOCK = 3  # small, so that a few samples already lie in several
SCHEMA = Path(otel_logtail.__file__).with_name("store").joinpath("schema.sql").read_text()


class Written(NamedTuple):
    """A sample and the interval row that it is counted in: rows of one series differ in length, part or openness."""

    time_ns: int
    duration_ns: int
    stages: tuple[tuple[str, int | None], ...] = ()
    source: str = "proxy"
    cause: str = "wait"
    length_ns: int = 10 * SECOND
    part: int = 0
    is_open: bool = False
    attributes: tuple[tuple[str, str | int], ...] = ()

    @property
    def severity(self) -> int:
        return (self.duration_ns >= THRESHOLD) + (self.duration_ns >= STALL)


class Stall(NamedTuple):
    start_ns: int
    end_ns: int
    severity: int = 2
    breaches: int = 3
    peak_ns: int = 2_500_000_000
    source: str = "proxy"
    is_open: bool = False


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def make_file(path: Path, samples: Iterable[Written] = (), stalls: Iterable[Stall] = ()) -> Path:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        fill(conn, samples, stalls)
    return path


def fill(conn: sqlite3.Connection, samples: Iterable[Written] = (), stalls: Iterable[Stall] = ()) -> None:
    samples, stalls = list(samples), list(stalls)
    add_functions(conn)
    conn.executescript(SCHEMA)
    conn.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    conn.execute("INSERT INTO meta VALUES ('instance', 'made-by-hand')")
    sources = {name: n for n, name in enumerate(sorted({s.source for s in samples} | {s.source for s in stalls}), 1)}
    for name, id_ in sources.items():
        total = sum(s.source == name for s in samples)
        conn.execute(
            "INSERT INTO source (id, name, observer, event, threshold_ns, stall_ns, quiet_ns, bytes, samples)"
            " VALUES (?, ?, 'headroom', 'log.overhead', ?, ?, 3000000000, ?, ?)",
            (id_, name, THRESHOLD, STALL, total * 100, total),
        )
        conn.execute(
            "INSERT INTO file (id, source, live, path, device, inode, offset, size, head_length, head_digest,"
            " anchor_length, anchor_digest, done) VALUES (?, ?, ?, ?, 1, 2, ?, ?, 0, x'', 0, x'', 0)",
            (id_, id_, f"/logs/{name}.log", f"/logs/{name}.log", total * 100, total * 100 + 50),
        )
    _samples(conn, samples, sources)
    _intervals(conn, samples, sources)
    for number, stall in enumerate(stalls, 1):
        head = (sources[stall.source], f"/logs/{stall.source}.log" if not stall.is_open else f"live{number}", "{}")
        ids = (number.to_bytes(16, "big"), number.to_bytes(8, "big"))
        rest = (
            stall.start_ns,
            stall.end_ns,
            stall.end_ns,
            stall.breaches,
            stall.peak_ns,
            stall.severity,
            "wait",
            "read",
        )
        table, own = ("open_episode", ("away", 0)) if stall.is_open else ("episode", ("id", number))
        conn.execute(
            f"INSERT INTO {table} ({own[0]}, source, live, attributes, trace_id, span_id, start_ns, end_ns, last_ns,"
            f" count, peak_ns, severity, cause, stage) VALUES ({','.join('?' * 14)})",
            (own[1], *head, *ids, *rest),
        )
    conn.commit()


def _samples(conn: sqlite3.Connection, samples: list[Written], sources: dict[str, int]) -> None:
    kinds: dict[tuple[object, ...], int] = {}
    blocks: dict[int, list[SampleColumns]] = {}
    for number, s in enumerate(samples):
        stage = max(s.stages, key=lambda item: item[1] or 0)[0] if s.stages else "other"
        attributes, names = compact(dict(s.attributes)), compact([name for name, _ in s.stages])
        kind = (sources[s.source], attributes, names, s.severity, s.cause, stage)
        if kind not in kinds:
            kinds[kind] = len(kinds) + 1
            conn.execute("INSERT INTO kind VALUES (?, ?, ?, ?, ?, ?, ?)", (kinds[kind], *kind))
        id_ = sources[s.source] << 40 | number * 100
        stages = [ns for _, ns in s.stages]
        blocks.setdefault(sources[s.source], []).append((id_, s.time_ns, s.duration_ns, kinds[kind], stages))
        if s.severity:
            conn.execute(
                "INSERT INTO breach (source, file, offset, uid, time_ns, duration_ns, kind, stages, trace_id, span_id)"
                " VALUES (?, ?, ?, x'01', ?, ?, ?, ?, x'02', x'03')",
                (
                    sources[s.source],
                    sources[s.source],
                    number * 100,
                    s.time_ns,
                    s.duration_ns,
                    kinds[kind],
                    compact(stages),
                ),
            )
    for source, rows in blocks.items():
        for at in range(0, len(rows), BLOCK):
            conn.execute("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)", encode_block(source, rows[at : at + BLOCK]))


def _intervals(conn: sqlite3.Connection, samples: list[Written], sources: dict[str, int]) -> None:
    cells: dict[tuple[int, str, str, str], dict[tuple[int, int, int, bool], list[int]]] = {}
    for s in samples:
        start = s.time_ns // s.length_ns * s.length_ns
        where = (start, start + s.length_ns, 0 if s.is_open else s.part, s.is_open)
        own, source = dict(s.attributes), sources[s.source]
        values = [(source, "duration", compact(own), compact(BOUNDS), s.duration_ns)]
        values += [
            (source, "stage", compact({**own, "stage": name}), compact(BOUNDS), ns)
            for name, ns in s.stages
            if ns is not None
        ]
        if s.severity:
            labels = {"cause": s.cause, "severity": ("ok", "degraded", "stall")[s.severity]}
            values.append((source, "breaches", compact(labels), "[]", s.duration_ns))
        for *series, ns in values:
            cells.setdefault(tuple(series), {}).setdefault(where, []).append(ns)  # type: ignore[arg-type]
    for number, (key, rows) in enumerate(cells.items(), 1):
        conn.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", (number, *key, min(rows)[0]))
        for (start, end, _, is_open), durations in rows.items():
            c = count(durations, tuple(json.loads(key[3])))
            exponential = compact({str(index): n for index, n in c.exponential.items()})
            values_ = (number, start, end, c.count, c.sum_ns, c.min_ns, c.max_ns, compact(c.explicit), exponential)
            conn.execute(
                f"INSERT INTO {'open_interval' if is_open else 'interval'} (series, start_ns, end_ns, count, sum_ns,"
                f" min_ns, max_ns, explicit, exponential, zeros) VALUES ({','.join('?' * 10)})",
                (*values_, c.zeros),
            )
