-- The views: every fact in here is in an event. Times are microseconds since 1970 UTC.

-- Who recorded: one row for each `recorder` event.
CREATE TABLE recorders (
  event      INTEGER PRIMARY KEY,
  time       INTEGER NOT NULL,
  cause      TEXT NOT NULL CHECK (cause IN ('installed', 'upgraded', 'identity-changed', 'key-replaced')),
  version    TEXT NOT NULL,
  machine_id TEXT NOT NULL,
  key        TEXT NOT NULL
) STRICT;

-- One row for each commit; without an end it is open.
CREATE TABLE commits (
  id          TEXT PRIMARY KEY,
  begin_event INTEGER,
  end_event   INTEGER,
  begin_time  INTEGER,
  end_time    INTEGER,
  outcome     TEXT CHECK (outcome IN ('completed', 'failed', 'aborted', 'interrupted', 'staged', 'discarded')),
  boot_id     TEXT NOT NULL,
  pid         INTEGER,
  start_ticks INTEGER,
  login       TEXT,
  sudo_user   TEXT,
  exe         TEXT,
  tty         TEXT,
  session     TEXT,
  automation  TEXT,
  command     TEXT,
  userdata    TEXT
) STRICT;

CREATE INDEX commits_open ON commits (begin_event) WHERE end_event IS NULL;

-- One row for each package change; those of an open commit are what libzypp announced.
CREATE TABLE changes (
  event          INTEGER NOT NULL,
  pos            INTEGER NOT NULL,
  commit_id      TEXT,
  time           INTEGER NOT NULL,
  time_source    TEXT NOT NULL CHECK (time_source IN ('commit', 'rpm', 'history')),
  utc_offset     TEXT NOT NULL,
  host           TEXT NOT NULL,
  boot_id        TEXT NOT NULL,
  kind           TEXT NOT NULL CHECK (kind IN ('kernel', 'livepatch', 'kmp', 'support')),
  action         TEXT NOT NULL CHECK (action IN ('install', 'upgrade', 'downgrade', 'reinstall', 'remove')),
  package        TEXT NOT NULL,
  arch           TEXT NOT NULL,
  version        TEXT NOT NULL,
  previous       TEXT,
  kernel_release TEXT,
  patch_number   INTEGER,
  initial        INTEGER CHECK (initial IN (0, 1)),
  result         TEXT NOT NULL CHECK (result IN ('ok', 'failed', 'not-done', 'unknown')),
  source         TEXT NOT NULL CHECK (source IN ('plugin', 'drift', 'import')),
  repo           TEXT,
  checksum       TEXT,
  signature_key  TEXT,
  advisories     TEXT NOT NULL,
  cves_added     TEXT NOT NULL,
  cves_removed   TEXT NOT NULL,
  bugs_added     TEXT NOT NULL,
  bugs_removed   TEXT NOT NULL,
  PRIMARY KEY (event, pos)
) STRICT;

CREATE INDEX changes_time ON changes (time, event, pos);
CREATE INDEX changes_commit ON changes (commit_id);
