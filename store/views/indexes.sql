-- Created last when many events are loaded: indexes of the views, and triggers.

CREATE INDEX commits_open ON commits (begin_event) WHERE end_event IS NULL;
CREATE INDEX commits_end ON commits (end_time, end_event);
CREATE INDEX commits_time ON commits (coalesce(begin_time, end_time), id);

CREATE INDEX changes_time ON changes (time, event, pos);
CREATE INDEX changes_package ON changes (package, time);
CREATE INDEX changes_result ON changes (result, time, event, pos);
CREATE INDEX changes_action ON changes (action, time, event, pos);
CREATE INDEX changes_source ON changes (source, time, event, pos);
CREATE INDEX changes_scripts ON changes (time, event, pos) WHERE scripts <> '[]';
CREATE INDEX changes_livepatch ON changes (time, package) WHERE kind = 'livepatch' AND result = 'ok';

CREATE INDEX observations_time ON observations (time, event);
CREATE INDEX observations_module ON observations (kernel_release, module, event);
CREATE INDEX observations_package ON observations (package, event) WHERE package IS NOT NULL;

CREATE INDEX boots_time ON boots (first, boot_id);

CREATE UNIQUE INDEX patch_loads_once ON patch_loads (boot_id, patch, time);
CREATE INDEX patch_loads_patch ON patch_loads (patch, boot_id);

CREATE UNIQUE INDEX image_builds_once ON image_builds (boot_id, time, cursor);

CREATE INDEX exceptions_time ON exceptions (time);

CREATE INDEX snapshots_subvolume ON snapshots (event) WHERE root_subvolume IS NOT NULL;

CREATE TRIGGER commits_begun AFTER INSERT ON commits BEGIN
  UPDATE totals SET commits = commits + 1;
END;

CREATE TRIGGER commits_ended AFTER UPDATE OF end_event ON commits WHEN old.end_event IS NULL AND new.end_event IS NOT NULL BEGIN
  UPDATE totals SET changes = changes - (SELECT count(*) FROM changes WHERE event = new.begin_event);
END;

CREATE TRIGGER changes_made AFTER INSERT ON changes
  WHEN NOT EXISTS (SELECT 1 FROM commits WHERE id = new.commit_id AND begin_event = new.event AND end_event IS NOT NULL) BEGIN
  UPDATE totals SET changes = changes + 1;
END;
