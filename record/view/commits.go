package view

import "github.com/klp-audit/klp-audit/record"

// addCommit merges what an event says about a commit, and reports whether it was used: a second end
// is ignored.
func (r *Record) addCommit(o *Outline) bool {
	is := o.Commit
	switch c := r.commits[is.ID]; {
	case o.Header.Kind == record.KindImport:
		r.addImported(is)
	case c == nil:
		r.keep(*is)
	case is.BeginEvent != nil: // its end came first: the spool is in order, but a file may have waited longer
		begun := *is
		begun.EndEvent, begun.End, begun.Outcome = c.EndEvent, c.End, c.Outcome
		r.keep(begun)
	case c.EndEvent != nil:
		return false
	default:
		c.EndEvent, c.End, c.Outcome = is.EndEvent, is.End, is.Outcome
	}
	return true
}

// addImported merges what an import says about a commit. Later imports add to the same commit. A
// commit that was completely on record stays as it was recorded.
func (r *Record) addImported(is *Commit) {
	c := r.commits[is.ID]
	switch {
	case c == nil && is.EndEvent == nil:
		return
	case c == nil:
		r.keep(*is)
		return
	case is.End != nil && c.End != nil && is.End.After(c.End.Time):
		c.End = is.End
	}
	if is.Outcome != nil && c.BeginEvent == nil {
		c.Outcome = is.Outcome
	}
}

func (r *Record) keep(c Commit) {
	r.commits[c.ID] = &c
	if c.StagedIn != 0 {
		r.staged = append(r.staged, &c)
	}
}

// addAdvisories notes which advisories an imported commit applied. All its changes get them; if
// there is only one change, that change applied them itself. An import of the rest of a commit may
// show more changes.
func (r *Record) addAdvisories(o *Outline) {
	of := r.imported[o.Commit.ID]
	of = append(of, r.changes[len(r.changes)-len(o.Changes):]...)
	r.imported[o.Commit.ID] = of
	for _, c := range of {
		if len(o.Applied) > 0 && c.Result == record.ResultOK && brought(c.Action) {
			c.Advisories = o.Applied
		}
		c.Advisory = nil
		if c.Result == record.ResultOK && brought(c.Action) {
			c.Advisory = o.Advisory
		}
	}
}

// announced says whether a change is one that the begin of a commit announced, and the first so many
// events hold the end of that commit, too.
func (r *Record) announced(c *Change, events int64) bool {
	of := r.commitOf(c)
	return of != nil && of.BeginEvent != nil && *of.BeginEvent == c.Event && of.EndEvent != nil && *of.EndEvent <= events
}

// commitOf returns the commit of a change; nil: none.
func (r *Record) commitOf(c *Change) *Commit {
	if c.Commit == nil {
		return nil
	}
	return r.commits[*c.Commit]
}

// settle finds out what became of staged commits when a btrfs snapshot is booted.
//
// Commits to that snapshot are completed, and effective since the boot; commits to a later snapshot
// are discarded, as this one cannot contain them. Commits to an earlier snapshot may be in this one
// or not: the installed packages prove it, or nothing does. Numbers alone prove little: the
// snapshot of a failed update is deleted, and the next one gets its number.
func (r *Record) settle(o *Outline) {
	became := map[*Commit]record.Outcome{}
	for _, c := range r.staged {
		if c.Outcome != nil && c.Outcome.Elsewhere() && c.BootID != o.Header.BootID {
			if outcome := r.became(c, o.Observation); outcome != "" {
				became[c] = outcome
			}
		}
	}
	for c, outcome := range became {
		c.Outcome, c.Effective, c.settled = &outcome, nil, o.Event
		if outcome == record.OutcomeCompleted {
			c.Effective = &o.Observation.BootTime
		}
	}
}

// became returns what an observation shows about the fate of a staged commit; empty: nothing.
func (r *Record) became(c *Commit, o *Observation) record.Outcome {
	kept, lost := evidence(r.done(c), o.Installed)
	staged, ended := *c.Outcome == record.OutcomeStaged, c.End != nil && !c.End.After(o.BootTime.Time)
	there := c.StagedIn == o.Booted && !lost || c.StagedIn < o.Booted && ended && kept
	switch {
	case there && (staged || c.settled != 0): // it returns if it was discarded because of another boot in between
		return record.OutcomeCompleted
	case staged && ended && (c.StagedIn > o.Booted || lost && !r.doneAgain(c, o.Booted)):
		return record.OutcomeDiscarded
	}
	return ""
}

// evidence says what the installed packages show about changes. Kept: all changes are there, and at
// least one installation is unmistakable. Lost: none is there.
func evidence(changes []Change, installed []record.Package) (kept, lost bool) {
	n, shown, unique := 0, 0, false
	for _, c := range changes {
		if c.Result != record.ResultOK || installed == nil {
			continue
		}
		n++
		if shows(&c, installed) {
			shown++
		}
		unique = unique || c.Action != record.ActionRemove && c.InstallTime != nil
	}
	return n > 0 && shown == n && unique, n > 0 && shown == 0
}

// shows says whether the exact installation of a change is there; for a removal, whether none is.
func shows(c *Change, installed []record.Package) bool {
	removed := c.Action == record.ActionRemove
	for _, p := range installed {
		if p.Name == c.Package && p.Version == c.Version && p.Arch == c.Arch && (removed || c.InstallTime == nil || *c.InstallTime == p.InstallTime) {
			return !removed
		}
	}
	return removed
}

// done returns the changes that the end of a commit reports.
func (r *Record) done(c *Commit) []Change { return r.at(*c.EndEvent).Changes }

// doneAgain says whether a later commit, to the booted btrfs snapshot or an earlier one, may have
// changed the same packages again.
func (r *Record) doneAgain(c *Commit, booted int64) bool {
	same := map[string]bool{}
	for _, change := range r.done(c) {
		same[change.Package] = same[change.Package] || change.Result == record.ResultOK
	}
	for _, later := range r.staged {
		if later.EndEvent == nil || *later.EndEvent <= *c.EndEvent || later.StagedIn > booted {
			continue
		}
		for _, change := range r.done(later) {
			if same[change.Package] {
				return true
			}
		}
	}
	return false
}
