-- Count the items that an exporter is not given because they are too old to act on.
ALTER TABLE exporter ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
