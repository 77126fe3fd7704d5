-- Values of closed intervals with few samples.
CREATE TABLE series_set (
  id     INTEGER NOT NULL,
  place  INTEGER NOT NULL,
  series INTEGER NOT NULL REFERENCES series,
  PRIMARY KEY (id, place)
) WITHOUT ROWID;
CREATE INDEX series_set_series ON series_set (series);

CREATE TABLE sparse_interval (
  id           INTEGER PRIMARY KEY,
  first_id     INTEGER NOT NULL,
  series_set   INTEGER NOT NULL,
  start_ns     INTEGER NOT NULL,
  end_ns       INTEGER NOT NULL,
  samples      TEXT NOT NULL,
  first_breach INTEGER NOT NULL,
  last_breach  INTEGER NOT NULL
);
CREATE INDEX sparse_interval_end ON sparse_interval (end_ns);

-- A view that the user deleted is created again.
CREATE VIEW IF NOT EXISTS samples AS
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

CREATE VIEW IF NOT EXISTS breaches AS
SELECT b.file << 40 | b.offset AS id,
       strftime('%Y-%m-%dT%H:%M:%S', b.time_ns / 1000000000, 'unixepoch') || printf('.%09dZ', b.time_ns % 1000000000) AS time,
       b.time_ns AS time_unix_nano,
       source.name AS source,
       b.duration_ns / 1e6 AS duration_ms,
       CASE k.severity WHEN 0 THEN 'ok' WHEN 1 THEN 'degraded' ELSE 'stall' END AS severity,
       k.cause AS cause,
       k.stage AS stage,
       k.attributes AS attributes,
       lower(hex(b.uid)) AS uid,
       lower(hex(b.trace_id)) AS trace_id,
       lower(hex(b.span_id)) AS span_id,
       lower(hex(substr(b.trace, 1, 16))) AS link_trace_id,
       lower(hex(substr(b.trace, 17))) AS link_span_id,
       file.path AS file,
       b.offset AS offset
  FROM breach AS b
  JOIN kind AS k ON k.id = b.kind
  JOIN source ON source.id = b.source
  LEFT JOIN file ON file.id = b.file;

CREATE VIEW IF NOT EXISTS episodes AS
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

CREATE VIEW IF NOT EXISTS marks AS
SELECT m.id AS id,
       strftime('%Y-%m-%dT%H:%M:%S', m.time_ns / 1000000000, 'unixepoch') || printf('.%09dZ', m.time_ns % 1000000000) AS time,
       m.time_ns AS time_unix_nano,
       source.name AS source,
       m.text AS text,
       lower(hex(m.uid)) AS uid
  FROM mark AS m
  JOIN source ON source.id = m.source;

DROP VIEW IF EXISTS minutes;
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
        SELECT series, start_ns, count, sum_ns, min_ns, max_ns FROM open_interval
        UNION ALL
        SELECT g.series, s.start_ns, count(*), sum(v.value), min(v.value), max(v.value)
          FROM sparse_interval AS s
          JOIN series_set AS g ON g.id = s.series_set
          JOIN json_each(CASE WHEN json_valid(s.samples) THEN s.samples ELSE '[]' END, '$[' || g.place || ']') AS v
         GROUP BY s.id, g.series) AS i
  JOIN series ON series.id = i.series
  JOIN source ON source.id = series.source
 WHERE series.instrument = 'duration'
 GROUP BY 1, 2, 3;
