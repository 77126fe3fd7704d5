-- Files that changed in part are known again by a trail of hashes; one that was read before has it from its next line on.
ALTER TABLE file ADD COLUMN trail BLOB NOT NULL DEFAULT x'';
