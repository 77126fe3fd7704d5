-- Store open intervals in the order in which they are closed.
CREATE TEMP TABLE open_interval_3 AS SELECT * FROM open_interval;
DROP TABLE open_interval;
CREATE TABLE open_interval (
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
  UNIQUE (end_ns, start_ns, series)
);
INSERT INTO open_interval SELECT * FROM open_interval_3 ORDER BY end_ns, start_ns, series;
DROP TABLE open_interval_3;
