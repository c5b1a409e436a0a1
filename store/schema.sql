-- The record: the log, its proof, and the views derived from the log.
-- SQLite 3.37 or newer (STRICT). application_id is "KLPA"; user_version is the view schema.

-- The log. Append only: an event is one line of JSON, never changed. There is no column besides the
-- body, because no hash would cover it.
CREATE TABLE events (
  seq  INTEGER PRIMARY KEY CHECK (seq > 0),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE UNIQUE INDEX events_id ON events (json_extract(body, '$.id'));

CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'the event log is append only'); END;
-- Bodies are removed only after an event that says so, and never those that it keeps.
CREATE INDEX events_prune ON events (json_extract(body, '$.prune.through')) WHERE json_extract(body, '$.kind') = 'prune';
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM events p WHERE json_extract(p.body, '$.kind') = 'prune'
  AND json_extract(p.body, '$.prune.through') >= old.seq
  AND NOT EXISTS (SELECT 1 FROM json_each(p.body, '$.prune.kept') WHERE value = old.seq))
BEGIN SELECT raise(ABORT, 'the event log is append only'); END;

-- The proof: RFC 6962 tree over the exact bytes of events.body, with the ids of
-- golang.org/x/mod/sumdb/tlog.StoredHashIndex. Event seq N is leaf N-1.
CREATE TABLE hashes (
  id   INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER hashes_no_update BEFORE UPDATE ON hashes
BEGIN SELECT raise(ABORT, 'the proof is append only'); END;
CREATE TRIGGER hashes_no_delete BEFORE DELETE ON hashes
BEGIN SELECT raise(ABORT, 'the proof is append only'); END;

-- The newest checkpoint (C2SP tlog-checkpoint as a signed note).
CREATE TABLE checkpoint (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL,
  note TEXT NOT NULL
) STRICT;
