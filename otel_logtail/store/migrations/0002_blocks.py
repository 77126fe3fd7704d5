"""Store samples in blocks and breaches by themselves; watch exporters and count what is dropped."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time

_BLOCK_SAMPLES = 1000
_SCHEMA = """
CREATE TABLE block (
  id       INTEGER PRIMARY KEY,
  source   INTEGER NOT NULL REFERENCES source,
  first_ns INTEGER NOT NULL,
  last_ns  INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  samples  TEXT NOT NULL
);
CREATE INDEX block_last ON block (last_ns, first_ns, count);
CREATE INDEX block_first ON block (first_ns, last_ns);
CREATE TABLE breach (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  source      INTEGER NOT NULL REFERENCES source,
  file        INTEGER NOT NULL REFERENCES file,
  offset      INTEGER NOT NULL,
  uid         BLOB NOT NULL,
  time_ns     INTEGER NOT NULL,
  duration_ns INTEGER NOT NULL,
  kind        INTEGER NOT NULL REFERENCES kind,
  stages      TEXT NOT NULL,
  trace_id    BLOB NOT NULL,
  span_id     BLOB NOT NULL
);
CREATE INDEX breach_span ON breach (span_id, id);
CREATE INDEX breach_time ON breach (time_ns);
CREATE TABLE dropped (
  exporter TEXT NOT NULL REFERENCES exporter,
  stream   TEXT NOT NULL,
  count    INTEGER NOT NULL,
  from_ns  INTEGER NOT NULL,
  to_ns    INTEGER NOT NULL,
  time_ns  INTEGER NOT NULL,
  PRIMARY KEY (exporter, stream)
) WITHOUT ROWID;
CREATE VIEW samples AS
SELECT s.id AS id,
       strftime('%Y-%m-%dT%H:%M:%S', s.time_ns / 1000000000, 'unixepoch') || printf('.%09dZ', s.time_ns % 1000000000) AS time,
       s.time_ns AS time_unix_nano,
       source.name AS source,
       s.duration_ns / 1e6 AS duration_ms,
       CASE k.severity WHEN 0 THEN 'ok' WHEN 1 THEN 'degraded' ELSE 'stall' END AS severity,
       k.cause AS cause,
       k.stage AS stage,
       k.attributes AS attributes,
       (SELECT json_group_object(n.value, v.value / 1e6)
          FROM json_each(k.stages) AS n JOIN json_each(s.stages) AS v ON v.key = n.key
         WHERE v.value IS NOT NULL) AS stages,
       file.path AS file,
       s.id & 0xFFFFFFFFFF AS offset
  FROM (SELECT b.id + json_extract(v.value, '$[0]') AS id,
               b.first_ns + json_extract(v.value, '$[1]') AS time_ns,
               json_extract(v.value, '$[2]') AS duration_ns,
               json_extract(v.value, '$[3]') AS kind,
               json_extract(v.value, '$[4]') AS stages
          FROM block AS b, json_each(b.samples) AS v) AS s
  JOIN kind AS k ON k.id = s.kind
  JOIN source ON source.id = k.source
  LEFT JOIN file ON file.id = s.id >> 40;

CREATE VIEW episodes AS
SELECT e.id AS id,
       strftime('%Y-%m-%dT%H:%M:%S', e.start_ns / 1000000000, 'unixepoch') || printf('.%09dZ', e.start_ns % 1000000000) AS start,
       strftime('%Y-%m-%dT%H:%M:%S', e.end_ns / 1000000000, 'unixepoch') || printf('.%09dZ', e.end_ns % 1000000000) AS end,
       (e.end_ns - e.start_ns) / 1e6 AS duration_ms,
       e.count AS count,
       e.peak_ns / 1e6 AS peak_ms,
       CASE e.severity WHEN 0 THEN 'ok' WHEN 1 THEN 'degraded' ELSE 'stall' END AS severity,
       e.cause AS cause,
       e.stage AS dominant_stage,
       lower(hex(e.trace_id)) AS trace_id,
       lower(hex(e.span_id)) AS span_id,
       e.open AS open,
       source.name AS source,
       e.live AS file,
       e.attributes AS attributes,
       e.start_ns AS start_unix_nano,
       e.end_ns AS end_unix_nano
  FROM (SELECT id, source, live, attributes, trace_id, span_id, start_ns, end_ns, count, peak_ns, severity, cause, stage, 0 AS open FROM episode
        UNION ALL
        SELECT NULL, source, live, attributes, trace_id, span_id, start_ns, end_ns, count, peak_ns, severity, cause, stage, 1 FROM open_episode) AS e
  JOIN source ON source.id = e.source;

CREATE VIEW minutes AS                    -- one line per minute and series of the overhead itself
SELECT strftime('%Y-%m-%dT%H:%M:00Z', i.start_ns / 1000000000, 'unixepoch') AS minute,
       source.name AS source,
       series.attributes AS attributes,
       sum(i.count) AS count,
       sum(i.sum_ns) / 1e6 / sum(i.count) AS mean_ms,
       min(i.min_ns) / 1e6 AS min_ms,
       max(i.max_ns) / 1e6 AS max_ms
  FROM (SELECT series, start_ns, count, sum_ns, min_ns, max_ns FROM interval
        UNION ALL
        SELECT series, start_ns, count, sum_ns, min_ns, max_ns FROM open_interval) AS i
  JOIN series ON series.id = i.series
  JOIN source ON source.id = series.source
 WHERE series.instrument = 'duration'
 GROUP BY 1, 2, 3;
"""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a store of version 1 to version 2."""
    for view in ("samples", "episodes", "minutes"):
        connection.execute(f"DROP VIEW IF EXISTS {view}")
    connection.execute("ALTER TABLE breach RENAME TO breach_1")
    connection.execute("DROP INDEX breach_span")
    for statement in _SCHEMA.split(";\n")[:-1]:
        connection.execute(statement)
    connection.execute("CREATE INDEX interval_end ON interval (end_ns)")
    connection.execute(
        "INSERT INTO breach SELECT b.id, b.source, s.id >> 40, s.id & 0xFFFFFFFFFF, b.uid, s.time_ns, s.duration_ns,"
        " s.kind, s.stages, b.trace_id, b.span_id FROM breach_1 AS b JOIN sample AS s ON s.id = b.sample"
    )
    # AUTOINCREMENT continues after the last id that was given, also where its row is deleted
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'breach'")
    connection.execute("UPDATE sqlite_sequence SET name = 'breach' WHERE name = 'breach_1'")
    connection.execute("DROP TABLE breach_1")
    _move_samples(connection)
    connection.execute("DROP TABLE sample")
    for column in (
        "failures INTEGER NOT NULL DEFAULT 0",
        "last_seen_ns INTEGER NOT NULL DEFAULT 0",
        "generation INTEGER NOT NULL DEFAULT 0",
    ):
        connection.execute(f"ALTER TABLE exporter ADD COLUMN {column}")
    connection.execute("ALTER TABLE file ADD COLUMN gone_ns INTEGER NOT NULL DEFAULT 0")
    connection.execute("UPDATE exporter SET last_seen_ns = ?", (time.time_ns(),))


def _move_samples(connection: sqlite3.Connection) -> None:
    rows = connection.cursor().execute(
        "SELECT s.id, s.time_ns, s.duration_ns, s.kind, json(s.stages), k.source"
        " FROM sample AS s JOIN kind AS k ON k.id = s.kind ORDER BY s.id"
    )
    for (_, source), group in itertools.groupby(rows, key=lambda row: (row[0] >> 40, row[5])):
        while part := list(itertools.islice(group, _BLOCK_SAMPLES)):
            first, first_ns, last_ns = part[0][0], min(row[1] for row in part), max(row[1] for row in part)
            samples = [
                [id_ - first, time_ns - first_ns, duration_ns, kind, _without_nulls_at_the_end(json.loads(stages))]
                for id_, time_ns, duration_ns, kind, stages, _ in part
            ]
            text = json.dumps(samples, separators=(",", ":"))
            connection.execute(
                "INSERT INTO block (id, source, first_ns, last_ns, count, samples) VALUES (?, ?, ?, ?, ?, ?)",
                (first, source, first_ns, last_ns, len(part), text),
            )


def _without_nulls_at_the_end(stages: list[int | None]) -> list[int | None]:
    while stages and stages[-1] is None:
        stages.pop()
    return stages
