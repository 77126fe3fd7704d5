-- The store, schema version 8. One writer (the daemon, one transaction per piece of log), any number of readers (WAL).
--
-- Invariants:
--   * the data of a piece of log (samples, breaches, intervals, episodes, counters) and the position behind it (file)
--     are written in one transaction, so each line is in the store once or not yet;
--   * interval, episode, breach and mark are append-only, and an id is used once: a cursor never reads a changed row. Data
--     that may still change is in tables of its own (open_interval, open_episode);
--   * a cursor moves in one transaction with the totals that its receiver has;
--   * undelivered data that is deleted is counted (dropped).
--
-- All times are nanoseconds since the Unix epoch, all durations nanoseconds, all text UTF-8, all JSON compact.
-- The views at the end (samples, breaches, episodes, marks, minutes) are the ones to query; the tables may change with the version.

CREATE TABLE meta (                       -- facts about this store: 'instance' (service.instance.id), 'created_ns',
                                          -- 'set_aside' (the damaged store that this one replaces; empty: it was
                                          -- missing), 'cleared_ns' (time of damage that no check detected),
                                          -- 'merged_60_ns', 'merged_3600_ns' (end of the merged intervals), 'home' (machine
                                          -- and path of the last start), 'counting_ns' (start of the health counters, if
                                          -- not 'created_ns': an older copy was restored), 'options <source>' (of the
                                          -- last start), 'problem <source> <what>' (time of the last such line)
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE source (                     -- one observer that follows one set of files
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE,
  observer     TEXT NOT NULL,
  event        TEXT NOT NULL,
  threshold_ns INTEGER NOT NULL,          -- the settings of the last start; rows keep their severity
  stall_ns     INTEGER NOT NULL,
  quiet_ns     INTEGER NOT NULL,
  looked       INTEGER NOT NULL DEFAULT 0, -- 1: its files were scanned before, so unknown ones are new
  bytes        INTEGER NOT NULL DEFAULT 0, -- counters since the store was created
  samples      INTEGER NOT NULL DEFAULT 0,
  ignored      INTEGER NOT NULL DEFAULT 0,
  drift        INTEGER NOT NULL DEFAULT 0,
  oversized    INTEGER NOT NULL DEFAULT 0,
  sealed_ns    INTEGER NOT NULL DEFAULT 0  -- time of the log (event time) when intervals last became final
);

CREATE TABLE rejected (                   -- lines with impossible values, by reason
  source INTEGER NOT NULL REFERENCES source,
  reason TEXT NOT NULL,
  count  INTEGER NOT NULL,
  PRIMARY KEY (source, reason)
) WITHOUT ROWID;

CREATE TABLE file (                       -- every file that was read, and its position
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  source        INTEGER NOT NULL REFERENCES source,
  live          TEXT NOT NULL,            -- the path that the program writes to (a file URI if it is not UTF-8)
  path          TEXT NOT NULL,            -- the path of the last scan
  device        INTEGER NOT NULL,
  inode         INTEGER NOT NULL,
  offset        INTEGER NOT NULL,         -- everything before it is in this store
  size          INTEGER NOT NULL,         -- at the last scan
  head_length   INTEGER NOT NULL,         -- identity: hash of the first bytes ...
  head_digest   BLOB NOT NULL,
  anchor_length INTEGER NOT NULL,         -- ... and of the last ones before offset
  anchor_digest BLOB NOT NULL,
  done          INTEGER NOT NULL,         -- 1: rotated away and read to its end
  gone_ns       INTEGER NOT NULL DEFAULT 0, -- done, and the time since it is no longer on disk
  trail         BLOB NOT NULL DEFAULT x'', -- hashes of its last lines, which identify it if a part of it changed
  doubt         INTEGER NOT NULL DEFAULT 0, -- samples of lines before this offset may be stored already
  parts         BLOB NOT NULL DEFAULT x'' -- the parts of lines before offset whose last part is not read yet
);
CREATE INDEX file_live ON file (source, live, id);

CREATE TABLE kind (                       -- common values of samples, so that a sample takes few bytes
  id         INTEGER PRIMARY KEY,
  source     INTEGER NOT NULL REFERENCES source,
  attributes TEXT NOT NULL,               -- JSON object
  stages     TEXT NOT NULL,               -- JSON array of the stages' names, in the order of a sample's
  severity   INTEGER NOT NULL,            -- 0 ok, 1 degraded, 2 stall
  cause      TEXT NOT NULL,
  stage      TEXT NOT NULL,               -- the longest stage
  UNIQUE (source, attributes, stages, severity, cause, stage)
);

CREATE TABLE block (                      -- samples of one piece of log: one row for thousands of a backlog
  id       INTEGER PRIMARY KEY,           -- file.id << 40 | offset of its first line: read twice, it is still one row
  source   INTEGER NOT NULL REFERENCES source,
  first_ns INTEGER NOT NULL,              -- the earliest and the latest time_ns of its samples
  last_ns  INTEGER NOT NULL,
  count    INTEGER NOT NULL,
  samples  TEXT NOT NULL                  -- JSON array of [offset - offset of the first, time_ns - first_ns, duration_ns,
                                          --   kind.id, [nanoseconds of each stage (null: it did not run, as those that
                                          --   are left out at the end)]], by offset
);
CREATE INDEX block_last ON block (last_ns, first_ns, count);
CREATE INDEX block_first ON block (first_ns, last_ns);

CREATE TABLE breach (                     -- stream: samples that are not ok
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  source      INTEGER NOT NULL REFERENCES source,
  file        INTEGER NOT NULL REFERENCES file,
  offset      INTEGER NOT NULL,           -- of its line
  uid         BLOB NOT NULL,              -- 16 bytes: its permanent id
  time_ns     INTEGER NOT NULL,           -- when it ended
  duration_ns INTEGER NOT NULL,
  kind        INTEGER NOT NULL REFERENCES kind,
  stages      TEXT NOT NULL,              -- JSON array of nanoseconds, as in a block
  trace_id    BLOB NOT NULL,              -- of its episode
  span_id     BLOB NOT NULL,
  trace       BLOB NOT NULL DEFAULT x'',  -- trace context of its line: trace id (16 bytes), span id (8); empty: none
  part        INTEGER NOT NULL DEFAULT 1  -- the part of its episode, from 1
);
CREATE INDEX breach_span ON breach (span_id, part, id);
CREATE INDEX breach_time ON breach (time_ns);

CREATE TABLE open_episode (               -- one per live path, or two while it is undecided which one continues
  source     INTEGER NOT NULL REFERENCES source,
  live       TEXT NOT NULL,
  away       INTEGER NOT NULL,            -- 1: the last line was further than the quiet window from it; a second row
                                          --   (0) is the episode that may start with this line
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
  part       TEXT NOT NULL DEFAULT 'null', -- JSON object: its open part (null: an older version wrote the row)
  PRIMARY KEY (source, live, away)
) WITHOUT ROWID;

CREATE TABLE episode (                    -- stream: closed episodes
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  source     INTEGER NOT NULL REFERENCES source,
  live       TEXT NOT NULL,
  attributes TEXT NOT NULL,
  trace_id   BLOB NOT NULL,
  span_id    BLOB NOT NULL UNIQUE,
  start_ns   INTEGER NOT NULL,
  end_ns     INTEGER NOT NULL,
  last_ns    INTEGER NOT NULL,
  count      INTEGER NOT NULL,
  peak_ns    INTEGER NOT NULL,
  severity   INTEGER NOT NULL,
  cause      TEXT NOT NULL,
  stage      TEXT NOT NULL,
  parts      INTEGER NOT NULL DEFAULT 0   -- how many parts it was exported in; 0: it is exported as one span
);
CREATE INDEX episode_end ON episode (end_ns);

CREATE TABLE mark (                       -- stream: starts of the program with its version, and marks by hand
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  source  INTEGER NOT NULL REFERENCES source,
  uid     BLOB NOT NULL UNIQUE,           -- 16 bytes: a hash of source, time and text, so a mark is stored once
  time_ns INTEGER NOT NULL,
  text    TEXT NOT NULL                   -- at most 200 bytes on one line
);
CREATE INDEX mark_time ON mark (time_ns);
CREATE INDEX mark_source ON mark (source, time_ns);
CREATE TABLE part (                       -- stream: complete parts of episodes that last, open or closed
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  source     INTEGER NOT NULL REFERENCES source,
  live       TEXT NOT NULL,
  attributes TEXT NOT NULL,
  trace_id   BLOB NOT NULL,               -- of its episode
  parent_id  BLOB NOT NULL,               -- the span id of its episode
  number     INTEGER NOT NULL,            -- from 1
  span_id    BLOB NOT NULL UNIQUE,
  begun_ns   INTEGER NOT NULL,            -- the end of its first breach
  start_ns   INTEGER NOT NULL,
  end_ns     INTEGER NOT NULL,
  count      INTEGER NOT NULL,
  peak_ns    INTEGER NOT NULL,
  severity   INTEGER NOT NULL,
  cause      TEXT NOT NULL,
  stage      TEXT NOT NULL
);
CREATE INDEX part_end ON part (end_ns);

CREATE TABLE series (                     -- one instrument and one set of attribute values of a source
  id         INTEGER PRIMARY KEY,
  source     INTEGER NOT NULL REFERENCES source,
  instrument TEXT NOT NULL,               -- duration, stage, breaches, episodes, episode_time
  attributes TEXT NOT NULL,               -- JSON object
  bounds     TEXT NOT NULL,               -- JSON array, nanoseconds, upper-inclusive; other bounds are another series
  start_ns   INTEGER NOT NULL,            -- the start of its first interval and of its totals
  UNIQUE (source, instrument, attributes, bounds)
);

CREATE TABLE open_interval (              -- counts that may still grow
  series      INTEGER NOT NULL REFERENCES series,
  start_ns    INTEGER NOT NULL,
  end_ns      INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  sum_ns      INTEGER NOT NULL,
  min_ns      INTEGER NOT NULL,
  max_ns      INTEGER NOT NULL,
  explicit    TEXT NOT NULL,              -- JSON array, one more than the series has bounds
  exponential TEXT NOT NULL,              -- JSON object: index at scale 6 of the value in seconds -> count
  zeros       INTEGER NOT NULL,
  first_breach INTEGER NOT NULL DEFAULT 0, -- breach.id: range of its breaches. Breaches in this range with its time and
  last_breach INTEGER NOT NULL DEFAULT 0, --   attributes are all counted in it (0: there is none)
  UNIQUE (end_ns, start_ns, series)       -- the order in which they are closed; rows of kilobytes do not fit a key's tree
);

CREATE TABLE interval (                   -- stream: final counts, never changed; a late sample adds a further row
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  series      INTEGER NOT NULL REFERENCES series,
  start_ns    INTEGER NOT NULL,
  end_ns      INTEGER NOT NULL,
  count       INTEGER NOT NULL,
  sum_ns      INTEGER NOT NULL,
  min_ns      INTEGER NOT NULL,
  max_ns      INTEGER NOT NULL,
  explicit    TEXT NOT NULL,
  exponential TEXT NOT NULL,
  zeros       INTEGER NOT NULL,
  first_breach INTEGER NOT NULL DEFAULT 0, -- as in open_interval (0: none, or an older version closed it)
  last_breach INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX interval_series ON interval (series, start_ns);
CREATE INDEX interval_end ON interval (end_ns);

CREATE TABLE series_set (                 -- series that are in one row of sparse_interval together
  id     INTEGER NOT NULL,
  place  INTEGER NOT NULL,                -- from 0, in order of the series' ids
  series INTEGER NOT NULL REFERENCES series,
  PRIMARY KEY (id, place)
) WITHOUT ROWID;
CREATE INDEX series_set_series ON series_set (series);

CREATE TABLE sparse_interval (            -- stream, with interval: values of a closed interval with few samples
  id           INTEGER PRIMARY KEY,       -- of the last series of its set; those before it have the ids before it, so
  first_id     INTEGER NOT NULL,          --   that all rows of this table and of interval have ids of their own
  series_set   INTEGER NOT NULL,
  start_ns     INTEGER NOT NULL,
  end_ns       INTEGER NOT NULL,
  samples      TEXT NOT NULL,             -- JSON array: for each series an array of its durations, in ns
  first_breach INTEGER NOT NULL,          -- as in interval
  last_breach  INTEGER NOT NULL
);
CREATE INDEX sparse_interval_end ON sparse_interval (end_ns);

CREATE TABLE exporter (                   -- a destination, and its results (shown by `status`)
  name            TEXT PRIMARY KEY,
  delivered       INTEGER NOT NULL DEFAULT 0,
  skipped         INTEGER NOT NULL DEFAULT 0, -- items that were too old to send; the cursor passed them
  refused         INTEGER NOT NULL DEFAULT 0, -- items that the receiver rejected, and quarantined items
  failures        INTEGER NOT NULL DEFAULT 0, -- failed attempts
  last_success_ns INTEGER,
  last_error      TEXT,
  last_error_ns   INTEGER,
  last_seen_ns    INTEGER NOT NULL DEFAULT 0, -- when a daemon last ran with it: its data is kept for a week more
  generation      INTEGER NOT NULL DEFAULT 0  -- grows when undelivered data is deleted: a batch in flight is then obsolete
) WITHOUT ROWID;

CREATE TABLE operation (                  -- finished exports: the metrics otel.sdk.exporter.*
  exporter  TEXT NOT NULL REFERENCES exporter,
  signal    TEXT NOT NULL,                -- metric_data_point, span, log
  component TEXT NOT NULL,                -- JSON object: further attributes, such as otel.component.type
  error     TEXT NOT NULL,                -- error.type; empty: success
  records   INTEGER NOT NULL,             -- data points, spans or log records
  sum_ns    INTEGER NOT NULL,             -- duration of all exports
  buckets   TEXT NOT NULL,                -- JSON array: number of exports by duration (operations.BOUNDS_NS)
  min_ns    INTEGER,                      -- the shortest and the longest export; NULL: none, or schema 8 counted some
  max_ns    INTEGER,
  PRIMARY KEY (exporter, signal, component, error)
) WITHOUT ROWID;

CREATE TABLE dropped (                    -- undelivered data that was deleted
  exporter TEXT NOT NULL REFERENCES exporter,
  stream   TEXT NOT NULL,
  count    INTEGER NOT NULL,
  from_ns  INTEGER NOT NULL,              -- the time of the data
  to_ns    INTEGER NOT NULL,
  time_ns  INTEGER NOT NULL,              -- the last deletion
  PRIMARY KEY (exporter, stream)
) WITHOUT ROWID;

CREATE TABLE cursor (                     -- the receiver has the stream up to this id
  exporter TEXT NOT NULL REFERENCES exporter,
  stream   TEXT NOT NULL,                 -- intervals, episodes, breaches, marks
  position INTEGER NOT NULL,
  PRIMARY KEY (exporter, stream)
) WITHOUT ROWID;

CREATE TABLE total (                      -- the total of a series that a receiver has, moved with the cursor; of series
                                          -- that differ only in their bounds, the one that was sent last
  exporter    TEXT NOT NULL REFERENCES exporter,
  series      INTEGER NOT NULL REFERENCES series,
  start_ns    INTEGER NOT NULL,           -- start time of its points
  time_ns     INTEGER NOT NULL,           -- of the last point
  count       INTEGER NOT NULL,
  sum_ns      INTEGER NOT NULL,
  min_ns      INTEGER NOT NULL,
  max_ns      INTEGER NOT NULL,
  explicit    TEXT NOT NULL,
  exponential TEXT NOT NULL,
  zeros       INTEGER NOT NULL,
  PRIMARY KEY (exporter, series)
) WITHOUT ROWID;

CREATE TABLE sent (                       -- the latest data of a source that an exporter sent, moved with its cursor
                                          -- (a file beside the store has the same data, to detect an older copy)
  exporter TEXT NOT NULL REFERENCES exporter,
  source   TEXT NOT NULL,                 -- its name
  form     TEXT NOT NULL,                 -- identifies its series at the receiver, beside name and attributes
  end_ns   INTEGER NOT NULL,              -- the latest end of an interval that was sent
  time_ns  INTEGER NOT NULL,              -- the latest time of a point
  after_ns INTEGER NOT NULL,              -- new series start later than this
  skip_ns  INTEGER NOT NULL,              -- a newer copy of this store sent the intervals up to here (0: none)
  PRIMARY KEY (exporter, source)
) WITHOUT ROWID;

CREATE TABLE owed (                       -- undelivered counts whose intervals were deleted: the next points carry them
  exporter    TEXT NOT NULL REFERENCES exporter,
  series      INTEGER NOT NULL REFERENCES series,
  start_ns    INTEGER NOT NULL,           -- the start of their time
  time_ns     INTEGER NOT NULL,           -- the earliest time at which they may be sent
  count       INTEGER NOT NULL,
  sum_ns      INTEGER NOT NULL,
  min_ns      INTEGER NOT NULL,
  max_ns      INTEGER NOT NULL,
  explicit    TEXT NOT NULL,
  exponential TEXT NOT NULL,
  zeros       INTEGER NOT NULL,
  PRIMARY KEY (exporter, series)
) WITHOUT ROWID;

CREATE TABLE refused (                    -- items that the receiver does not accept, taken out of their stream
  id       INTEGER PRIMARY KEY,           -- the order in which they are sent again
  exporter TEXT NOT NULL REFERENCES exporter,
  stream   TEXT NOT NULL,
  item     INTEGER NOT NULL,              -- the id in its stream; 0: a point without counts of its own
  about_ns INTEGER NOT NULL,              -- the time of the item
  held     INTEGER NOT NULL,              -- 0: on trial, its exporter sends it again; 1: quarantined, it is sent again
                                          -- after `otel-logtail retry`
  tries    INTEGER NOT NULL,              -- number of failures alone while others were accepted
  why      TEXT NOT NULL,                 -- the receiver's last answer ...
  time_ns  INTEGER NOT NULL,              -- ... and when it came
  data     BLOB NOT NULL                  -- the item as it was sent, in MessagePack (empty: schema 4 did not store it)
);
CREATE INDEX refused_exporter ON refused (exporter, stream, held, id);

-- Views: times as text (UTC), durations in milliseconds.

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

CREATE VIEW breaches AS
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

CREATE VIEW marks AS
SELECT m.id AS id,
       strftime('%Y-%m-%dT%H:%M:%S', m.time_ns / 1000000000, 'unixepoch') || printf('.%09dZ', m.time_ns % 1000000000) AS time,
       m.time_ns AS time_unix_nano,
       source.name AS source,
       m.text AS text,
       lower(hex(m.uid)) AS uid
  FROM mark AS m
  JOIN source ON source.id = m.source;

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
