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

-- The view has a part for these values now: it is created again after this step.
DROP VIEW IF EXISTS minutes;
