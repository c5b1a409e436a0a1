-- The views: every fact in them is in an event. Times are microseconds since 1970 UTC. Only the
-- indexes that applying events needs are here; all others are in indexes.sql.

-- Who recorded: one row for each `recorder` event.
CREATE TABLE recorders (
  event      INTEGER PRIMARY KEY,
  time       INTEGER NOT NULL,
  cause      TEXT NOT NULL CHECK (cause IN ('installed', 'upgraded', 'identity-changed', 'key-replaced', 'record-lost', 'proof-broken')),
  version    TEXT NOT NULL,
  machine_id TEXT NOT NULL,
  key        TEXT NOT NULL
) STRICT;

-- One row for each commit; without an end it is open.
CREATE TABLE commits (
  id            TEXT PRIMARY KEY,
  begin_event   INTEGER,
  end_event     INTEGER,
  begin_time    INTEGER,
  end_time      INTEGER,
  outcome       TEXT CHECK (outcome IN ('completed', 'failed', 'aborted', 'interrupted', 'staged', 'discarded')),
  boot_id       TEXT NOT NULL,
  pid           INTEGER,
  start_ticks   INTEGER,
  login         TEXT,
  sudo_user     TEXT,
  exe           TEXT,
  tty           TEXT,
  session       TEXT,
  automation    TEXT,
  command       TEXT,
  userdata      TEXT,
  snapshot      INTEGER, -- that it went to; null: the running system, or not known
  effective     INTEGER, -- of one that was staged: the boot since which it is effective
  settled_event INTEGER  -- the observation that showed what became of a staged one
) STRICT;

CREATE INDEX commits_staged ON commits (snapshot) WHERE outcome IN ('staged', 'discarded');

-- One row for each package change. Those of a begin are what libzypp announced; they are shown as
-- long as the commit has no end, whose rows say what became of them.
CREATE TABLE changes (
  event          INTEGER NOT NULL,
  pos            INTEGER NOT NULL,
  commit_id      TEXT,
  time           INTEGER NOT NULL,
  time_source    TEXT NOT NULL CHECK (time_source IN ('commit', 'rpm', 'history', 'found')),
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
  install_time   INTEGER, -- that rpm noted with the package, in seconds
  advisories     TEXT NOT NULL,
  advisory       TEXT, -- that the change itself applied; null: none, or that is not known
  cves_added     TEXT NOT NULL,
  cves_removed   TEXT NOT NULL,
  bugs_added     TEXT NOT NULL,
  bugs_removed   TEXT NOT NULL,
  scripts        TEXT NOT NULL, -- that failed
  recorded       INTEGER, -- when its event came into the log; null: that is not known
  PRIMARY KEY (event, pos)
) STRICT;

-- One row for each observation.
CREATE TABLE observations (
  event          INTEGER PRIMARY KEY,
  time           INTEGER NOT NULL,
  boot_id        TEXT NOT NULL,
  kernel_release TEXT NOT NULL,
  boot_time      INTEGER NOT NULL,
  patched        INTEGER CHECK (patched IN (0, 1)), -- a live patch is active; null: not known
  module         TEXT, -- of the active live patch
  package        TEXT,
  version        TEXT,
  enabled        INTEGER CHECK (enabled IN (0, 1)),
  transition     INTEGER CHECK (transition IN (0, 1)),
  since          INTEGER,
  verdict        TEXT NOT NULL CHECK (verdict IN ('contained', 'missing', 'unknown')),
  basis          TEXT CHECK (basis IN ('build', 'boot', 'build-inferred', 'image')),
  reason         TEXT,
  next_kernel    TEXT,
  covered_until  TEXT -- YYYY-MM-DD: until when the running kernel is supported with live patches
) STRICT;

-- The program that wrote an event ran then, in that boot. The time since boot shows whether the
-- clock was set in between.
CREATE TABLE sightings (
  event       INTEGER PRIMARY KEY,
  time        INTEGER NOT NULL,
  boot_id     TEXT NOT NULL,
  boottime_us INTEGER NOT NULL,
  spooled     INTEGER NOT NULL CHECK (spooled IN (0, 1)) -- it waited: its number says nothing of the order
) STRICT;

-- The boots that the journal showed, each from the newest observation that could read everything.
CREATE TABLE boots (
  boot_id          TEXT PRIMARY KEY,
  event            INTEGER NOT NULL,
  kernel_release   TEXT,
  first            INTEGER NOT NULL,
  last             INTEGER NOT NULL,
  start_in_journal INTEGER NOT NULL CHECK (start_in_journal IN (0, 1)),
  messages_lost    INTEGER NOT NULL CHECK (messages_lost IN (0, 1)),
  incomplete       INTEGER NOT NULL CHECK (incomplete IN (0, 1)) -- files of the journal were not read
) STRICT;

-- The stretches of boots for which the journal was complete. Overlapping looks are joined.
CREATE TABLE boot_looks (
  boot_id TEXT NOT NULL,
  event   INTEGER NOT NULL, -- the newest of them
  first   INTEGER NOT NULL, -- 0: the start of the boot, whatever the clock was then
  last    INTEGER NOT NULL,
  PRIMARY KEY (boot_id, event)
) STRICT;

CREATE TABLE patch_loads (
  boot_id   TEXT NOT NULL,
  pos       INTEGER NOT NULL,
  patch     TEXT NOT NULL,
  phase     TEXT NOT NULL CHECK (phase IN ('initrd', 'system', 'unknown')),
  rule      TEXT NOT NULL,
  result    TEXT NOT NULL CHECK (result IN ('complete', 'failed', 'reverted', 'unknown')),
  forced    INTEGER NOT NULL CHECK (forced IN (0, 1)),
  time      INTEGER NOT NULL,
  completed INTEGER,
  reverted  INTEGER,
  disabled  INTEGER,
  replaced  TEXT, -- by this module
  cursor    TEXT NOT NULL,
  event     INTEGER NOT NULL, -- the first that has it
  until     INTEGER NOT NULL, -- up to then the journal showed what became of it
  PRIMARY KEY (boot_id, pos)
) STRICT;

CREATE TABLE image_builds (
  boot_id        TEXT NOT NULL,
  pos            INTEGER NOT NULL,
  kernel_release TEXT, -- that the image is for
  image          TEXT,
  success        INTEGER NOT NULL CHECK (success IN (0, 1)),
  time           INTEGER NOT NULL,
  cursor         TEXT NOT NULL,
  PRIMARY KEY (boot_id, pos)
) STRICT;

-- Findings and open numbers that somebody accepts for a while. One row for each, by the event that added it.
CREATE TABLE exceptions (
  id             TEXT PRIMARY KEY,
  event          INTEGER NOT NULL,
  time           INTEGER NOT NULL,
  check_id       TEXT NOT NULL, -- what it is about, as the next two say; empty: something else
  cve            TEXT NOT NULL,
  advisory       TEXT NOT NULL,
  reason         TEXT NOT NULL,
  until          INTEGER NOT NULL,
  login          TEXT,
  sudo_user      TEXT,
  automation     TEXT,
  end_event      INTEGER,
  end_time       INTEGER,
  end_login      TEXT,
  end_sudo_user  TEXT,
  end_automation TEXT
) STRICT;

-- The events that say which tracked packages were installed on the running system.
CREATE TABLE snapshots (
  event          INTEGER PRIMARY KEY,
  root_subvolume TEXT -- null: not known
) STRICT;

-- The events that say what the vendor has released.
CREATE TABLE releases (
  event INTEGER PRIMARY KEY
) STRICT;

-- How many rows there are, so that no report has to count them: changes as a history shows them,
-- without those announced for commits that have ended.
CREATE TABLE totals (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  changes INTEGER NOT NULL,
  commits INTEGER NOT NULL
) STRICT;

INSERT INTO totals VALUES (1, 0, 0);
