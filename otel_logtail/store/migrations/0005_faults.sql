-- Files that changed in part are known again by a trail of hashes; one that was read before has it from its next line on.
ALTER TABLE file ADD COLUMN trail BLOB NOT NULL DEFAULT x'';

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
