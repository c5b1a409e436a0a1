package recorder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/klp-audit/klp-audit/internal/room"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// seen holds what the machine shows after a commit.
type seen struct {
	installed rpm.Snapshot // its packages are nil if not known
	fixes     map[string]record.Fixes
	history   zypp.Appended
}

// look reads the rpm database, the changelogs of live patches that were not there before, and what
// libzypp wrote into its history. What it cannot read is missing from the answer and named in the
// error. While one rpm lists the packages, another one reads the changelogs of those that were
// announced. stamp is an earlier one of the database, if it had any.
func (r *Recorder) look(ctx context.Context, db rpm.DB, b *record.CommitBegin, stamp rpm.Stamp) (s seen, err error) {
	appended, historyErr := zypp.Since(db.Root, b.History)
	s.history = appended
	known := snapshot.KnownOf(b.Installed, b.Fixes)
	var announced snapshot.Known // nil: they could not be read, and are tried again
	wait := r.beside(func() { announced, _ = snapshot.ReadFixes(ctx, db, announcedPatches(b)...) })
	db.Settle(stamp)
	installed, err := snapshot.Read(ctx, db)
	wait()
	if err != nil {
		return s, errors.Join(historyErr, err)
	}
	maps.Copy(known, announced)
	s.installed = installed
	s.fixes, err = snapshot.Fixes(ctx, db, installed.Packages, known)
	return s, errors.Join(historyErr, err)
}

// beside does work in parallel, or at once if tasks or memory are scarce. wait waits for it. Work
// that panicked has found nothing.
func (r *Recorder) beside(work func()) (wait func()) {
	var w sync.WaitGroup
	if room.For(room.Plenty) != nil {
		defer w.Wait()
	}
	w.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				r.printf("panic: %v", p)
			}
		}()
		work()
	})
	return w.Wait
}

// announcedPatches returns the names of the live patches that a commit was to install.
func announcedPatches(b *record.CommitBegin) (names []string) {
	for _, c := range b.Announced {
		_, had := b.Fixes[c.Package+"-"+c.Version+"."+c.Arch]
		if c.Module != "" && c.Action != record.ActionRemove && !had {
			names = append(names, c.Package)
		}
	}
	return names
}

// conclude compares what was installed with what is: the difference of the package snapshots is the
// truth; the steps are what libzypp announced, their stages what it claimed.
func conclude(begin *record.Event, before []record.Package, after seen, e Ending) *record.CommitEnd {
	b := begin.Begin
	end := &record.CommitEnd{Commit: begin.ID, Changes: []record.Change{}}
	if e.Problem != nil {
		end.Problems = append(end.Problems, e.Problem.Error())
	}
	claims := newClaims(b.Announced, e.Steps)
	known := before != nil && after.installed.Packages != nil
	disturbed := map[string]bool{} // names that something else changed, too
	strangers := 0
	if known {
		for _, d := range rpm.Diff(before, after.installed.Packages, claims.parallel) {
			c := snapshot.Change(d, b.Fixes, after.fixes)
			c.Step, c.Stage = claims.take(d)
			unannounced := c.Step == ""
			disturbed[c.Package] = disturbed[c.Package] || unannounced && (e.late || d.Action == record.ActionReinstall)
			switch {
			case unannounced && snapshot.Renumbered(d):
			case unannounced && e.late:
				strangers++
			default:
				end.Changes = append(end.Changes, c)
			}
		}
	}
	if strangers > 0 {
		end.Problems = append(end.Problems, fmt.Sprintf("%d more packages differ since; whether this commit changed them is not known", strangers))
	}
	for _, c := range claims.unshown() {
		c.Result = unshown(c, known && !disturbed[c.Package], after.history.Failed)
		end.Changes = append(end.Changes, c)
	}
	addHistory(end, b, after.history)
	end.Outcome = outcome(end.Changes, e.How, b.Staging != nil)
	end.Compared = b.Compared && strangers == 0
	if b.Staging == nil && after.installed.Packages != nil {
		end.Installed, end.Fixes = after.installed.Packages, after.fixes
		end.RPMDB = string(after.installed.Stamp)
	}
	return end
}

// outcome returns how the whole commit ended. It is not completed if a step was not executed, or if
// rpm does not show it.
func outcome(changes []record.Change, h How, staged bool) record.Outcome {
	failed := slices.ContainsFunc(changes, func(c record.Change) bool {
		return c.Result == record.ResultFailed || c.Result == record.ResultNotDone || c.Step != "" && c.Stage != "ok"
	})
	switch {
	case h == Interrupted:
		return record.OutcomeInterrupted
	case h == Aborted:
		return record.OutcomeAborted
	case failed:
		return record.OutcomeFailed
	case staged:
		return record.OutcomeStaged
	}
	return record.OutcomeCompleted
}

// unshown returns the result of a step that left no trace in the rpm database.
func unshown(c record.Change, known bool, failed []string) record.Result {
	switch {
	case !known:
		return record.ResultUnknown
	case c.Stage != "" || slices.ContainsFunc(failed, func(name string) bool { return isAbout(name, c) }):
		return record.ResultFailed
	}
	return record.ResultNotDone
}

// isAbout says whether a message about a failed package concerns this change: libzypp names the
// package's file, without an epoch, or its name.
func isAbout(text string, c record.Change) bool {
	evr, err := rpmversion.Parse(c.Version)
	if err != nil {
		return false
	}
	nvra := fmt.Sprintf("%s-%s-%s.%s", c.Package, evr.Version, evr.Release, c.Arch)
	return text == nvra+".rpm" || text == nvra || text == c.Package
}

// before returns what a change replaced, as a change.
func before(c record.Change) record.Change {
	c.Version = c.Previous
	return c
}

// announce describes a step before it is executed: what it would do to the installed packages.
func announce(s Step, installed []record.Package) record.Change {
	c := snapshot.Describe(s.Name, s.EVR, s.Arch)
	c.Step, c.Result = s.Type, record.ResultUnknown
	if s.Type == "-" {
		c.Action = record.ActionRemove
		return c
	}
	c.Action = record.ActionInstall
	for _, p := range installed {
		if p.Name != s.Name {
			continue
		}
		order := s.EVR.Compare(rpmversion.Of(p))
		switch {
		case order == 0:
			c.Action, c.Previous = record.ActionReinstall, p.Version
			return c
		case s.Type == "M": // is installed next to it
		case order > 0:
			c.Action, c.Previous = record.ActionUpgrade, p.Version
		default:
			c.Action, c.Previous = record.ActionDowngrade, p.Version
		}
	}
	return c
}

// addHistory adds what libzypp's history says about this commit: repository and checksum of what
// was installed, and the advisories.
func addHistory(end *record.CommitEnd, b *record.CommitBegin, h zypp.Appended) {
	end.Problems = append(end.Problems, h.Problems...)
	if h.Command != "" && len(b.Command) > 0 && h.Command != zypp.QuoteCommand(b.Command) {
		end.Problems = append(end.Problems, "the history after this commit begins with another command")
		return
	}
	for i := range end.Changes {
		c := &end.Changes[i]
		for _, in := range h.Installs {
			if c.Action != record.ActionRemove && in.Name == c.Package && in.Version == c.Version && in.Arch == c.Arch {
				c.Repo, c.Checksum = in.Repo, in.Checksum
			}
		}
	}
	for _, s := range h.Scripts {
		for i := range end.Changes {
			if c := &end.Changes[i]; isAbout(s.Package, *c) || isAbout(s.Package, before(*c)) {
				c.Scripts = append(c.Scripts, s.Script)
			}
		}
	}
	end.Advisories = append(end.Advisories, h.Advisories...)
}
