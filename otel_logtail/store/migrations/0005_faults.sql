-- Files that changed in part are known again by a trail of hashes; one that was read before has it from its next line on.
ALTER TABLE file ADD COLUMN trail BLOB NOT NULL DEFAULT x'';
ALTER TABLE file ADD COLUMN doubt INTEGER NOT NULL DEFAULT 0;

-- totals have start times of their own, and are only of the series that was sent last under its name and attributes
CREATE TEMP TABLE total_4 AS SELECT * FROM total;
DROP TABLE total;
CREATE TABLE total (
  exporter    TEXT NOT NULL REFERENCES exporter,
  series      INTEGER NOT NULL REFERENCES series,
  start_ns    INTEGER NOT NULL,
  time_ns     INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  sum_ns      INTEGER NOT NULL,
  min_ns      INTEGER NOT NULL,
  max_ns      INTEGER NOT NULL,
  explicit    TEXT NOT NULL,
  exponential TEXT NOT NULL,
  zeros       INTEGER NOT NULL,
  PRIMARY KEY (exporter, series)
) WITHOUT ROWID;
INSERT INTO total
SELECT t.exporter, t.series, s.start_ns, t.time_ns, t.count, t.sum_ns, t.min_ns, t.max_ns, t.explicit, t.exponential, t.zeros
  FROM total_4 AS t JOIN series AS s ON s.id = t.series
 WHERE NOT EXISTS (SELECT 1 FROM total_4 AS n JOIN series AS m ON m.id = n.series
                    WHERE n.exporter = t.exporter AND m.source = s.source AND m.instrument = s.instrument
                      AND m.attributes = s.attributes AND (n.time_ns, n.series) > (t.time_ns, t.series));
DROP TABLE total_4;
CREATE TABLE sent (
  exporter TEXT NOT NULL REFERENCES exporter,
  source   TEXT NOT NULL,
  form     TEXT NOT NULL,
  end_ns   INTEGER NOT NULL,
  time_ns  INTEGER NOT NULL,
  after_ns INTEGER NOT NULL,
  skip_ns  INTEGER NOT NULL,
  PRIMARY KEY (exporter, source)
) WITHOUT ROWID;
INSERT INTO sent
SELECT t.exporter, source.name, '', max(t.time_ns), max(t.time_ns), 0, 0
  FROM total AS t JOIN series AS s ON s.id = t.series JOIN source ON source.id = s.source GROUP BY 1, 2;
CREATE TABLE owed (
  exporter    TEXT NOT NULL REFERENCES exporter,
  series      INTEGER NOT NULL REFERENCES series,
  start_ns    INTEGER NOT NULL,
  time_ns     INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  sum_ns      INTEGER NOT NULL,
  min_ns      INTEGER NOT NULL,
  max_ns      INTEGER NOT NULL,
  explicit    TEXT NOT NULL,
  exponential TEXT NOT NULL,
  zeros       INTEGER NOT NULL,
  PRIMARY KEY (exporter, series)
) WITHOUT ROWID;
-- Count what receivers reject, and keep refused items as they were sent, so that they can be sent again.
ALTER TABLE exporter ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
UPDATE exporter SET refused = (SELECT count(*) FROM refused WHERE refused.exporter = exporter.name);
CREATE TEMP TABLE refused_4 AS SELECT * FROM refused;
DROP TABLE refused;
CREATE TABLE refused (
  id       INTEGER PRIMARY KEY,
  exporter TEXT NOT NULL REFERENCES exporter,
  stream   TEXT NOT NULL,
  item     INTEGER NOT NULL,
  about_ns INTEGER NOT NULL,
  held     INTEGER NOT NULL,
  tries    INTEGER NOT NULL,
  why      TEXT NOT NULL,
  time_ns  INTEGER NOT NULL,
  data     BLOB NOT NULL
);
CREATE INDEX refused_exporter ON refused (exporter, stream, held, id);
INSERT INTO refused (exporter, stream, item, about_ns, held, tries, why, time_ns, data)
SELECT exporter, stream, item, time_ns, 1, 0, why, time_ns, x'' FROM refused_4 ORDER BY time_ns, stream, item;
DROP TABLE refused_4;
-- One line decides nothing: what may go on beside an open episode is kept until the next line.
DROP VIEW IF EXISTS episodes;
ALTER TABLE open_episode RENAME TO open_episode_4;
CREATE TABLE open_episode (               -- one per live path, or two while it is open which of them goes on
  source     INTEGER NOT NULL REFERENCES source,
  live       TEXT NOT NULL,
  away       INTEGER NOT NULL,            -- 1: the last line was further than the quiet window from it; a second row
                                          --   (0) is the episode that this line may have begun
  attributes TEXT NOT NULL,
  trace_id   BLOB NOT NULL,
  span_id    BLOB NOT NULL,
  start_ns   INTEGER NOT NULL,
  end_ns     INTEGER NOT NULL,
  last_ns    INTEGER NOT NULL,            -- when the last breach's line was written
  count      INTEGER NOT NULL,
  peak_ns    INTEGER NOT NULL,
  severity   INTEGER NOT NULL,
  cause      TEXT NOT NULL,
  stage      TEXT NOT NULL,
  PRIMARY KEY (source, live, away)
) WITHOUT ROWID;
INSERT INTO open_episode SELECT source, live, 0, attributes, trace_id, span_id, start_ns, end_ns, last_ns, count, peak_ns, severity,
    cause, stage FROM open_episode_4;
DROP TABLE open_episode_4;

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

-- An interval knows which breaches it counts: exemplars belong to the point that counts them.
ALTER TABLE open_interval ADD COLUMN first_breach INTEGER NOT NULL DEFAULT 0;
ALTER TABLE open_interval ADD COLUMN last_breach INTEGER NOT NULL DEFAULT 0;
ALTER TABLE interval ADD COLUMN first_breach INTEGER NOT NULL DEFAULT 0;
ALTER TABLE interval ADD COLUMN last_breach INTEGER NOT NULL DEFAULT 0;
