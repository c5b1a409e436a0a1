package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/store"
)

// seen is what the machine shows after a commit.
type seen struct {
	installed []rpm.Package // nil: not known
	fixes     map[string]store.Fixes
	history   zypp.Appended
}

// look reads the rpm database, the changelogs of live patches that were not there before,
// and what libzypp wrote into its history. What it cannot read is missing in the answer,
// and in the error.
func look(ctx context.Context, db rpm.DB, b *store.CommitBegin) (s seen, err error) {
	appended, historyErr := zypp.Mark(b.History).Since(db.Root)
	s.history = appended
	installed, err := db.Installed(ctx, tracked)
	if err != nil {
		return s, errors.Join(historyErr, err)
	}
	s.installed = append([]rpm.Package{}, installed...)
	unread := slices.DeleteFunc(livePatches(installed), func(p rpm.Package) bool {
		_, known := b.Fixes[p.String()]
		return known
	})
	s.fixes, err = fixesOf(ctx, db, unread)
	return s, errors.Join(historyErr, err)
}

// conclude compares what was with what is: the difference of the rpm snapshots is the
// truth, the steps are what libzypp announced, their stages what it claimed.
func conclude(begin *store.Event, before []rpm.Package, after seen, e ending) *store.CommitEnd {
	b := begin.Begin
	end := &store.CommitEnd{Commit: begin.ID, Changes: []store.Change{}}
	if e.problem != nil {
		end.Problems = append(end.Problems, e.problem.Error())
	}
	claims := newClaims(b.Announced, e.steps)
	known := before != nil && after.installed != nil
	disturbed := map[string]bool{} // names that something else changed, too
	strangers := 0
	if known {
		for _, d := range rpm.Diff(before, after.installed, claims.parallel) {
			c := changed(d, b.Fixes, after.fixes)
			c.Step, c.Stage = claims.take(d)
			unannounced := c.Step == ""
			disturbed[c.Package] = disturbed[c.Package] || unannounced && (e.late || d.Action == rpm.ActionReinstall)
			switch {
			case unannounced && renumbered(d):
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
	end.Outcome = outcome(end.Changes, e.how, b.Staging != nil)
	return end
}

// outcome is how the commit ended as a whole. It is not completed as long as a step was
// not executed, or does not show.
func outcome(changes []store.Change, h how, staged bool) store.Outcome {
	failed := slices.ContainsFunc(changes, func(c store.Change) bool {
		return c.Result == store.ResultFailed || c.Result == store.ResultNotDone || c.Step != "" && c.Stage != "ok"
	})
	switch {
	case h == interrupted:
		return store.OutcomeInterrupted
	case h == aborted:
		return store.OutcomeAborted
	case failed:
		return store.OutcomeFailed
	case staged:
		return store.OutcomeStaged
	}
	return store.OutcomeCompleted
}

// unshown is the result of a step that the rpm database shows no trace of.
func unshown(c store.Change, known bool, failed []string) store.Result {
	switch {
	case !known:
		return store.ResultUnknown
	case c.Stage != "" || slices.ContainsFunc(failed, func(name string) bool { return isAbout(name, c) }):
		return store.ResultFailed
	}
	return store.ResultNotDone
}

// isAbout says whether a message about a failed package is about this change: libzypp names
// the package's file, which has no epoch, or its name.
func isAbout(text string, c store.Change) bool {
	evr, err := rpm.ParseEVR(c.Version)
	if err != nil {
		return false
	}
	nvra := fmt.Sprintf("%s-%s-%s.%s", c.Package, evr.Version, evr.Release, c.Arch)
	return text == nvra+".rpm" || text == nvra || text == c.Package
}

// changed makes the record of a difference between the snapshots.
func changed(d rpm.Change, before, after map[string]store.Fixes) store.Change {
	p := d.After
	if p == nil {
		p = d.Before
	}
	c := describe(p.Name, p.EVR, p.Arch)
	c.Action, c.Result = string(d.Action), store.ResultOK
	c.SignatureKey, c.Vendor, c.SourceRPM = p.SigningKey, p.Vendor, p.SourceRPM
	c.BuildTime = moment(p.BuildTime)
	had, has := fixesIn(d.Before, before, after), fixesIn(d.After, after, before)
	c.Added, c.Removed = store.Fixes(has.Minus(had)), store.Fixes(had.Minus(has))
	if d.After != nil {
		c.InstallTime = moment(d.After.InstallTime)
		if d.Before != nil {
			c.Previous = d.Before.EVR.String()
		}
	}
	return c
}

// renumbered says whether a package looks reinstalled only by its record number, as all do
// when the rpm database was rebuilt. A reinstallation in the second of the installation
// looks the same, but libzypp announced that.
func renumbered(d rpm.Change) bool {
	return d.Action == rpm.ActionReinstall && d.Before.InstallTime == d.After.InstallTime &&
		d.Before.InstallTID == d.After.InstallTID
}

// fixesIn looks up the fixes of a package; a live patch that was installed before and
// after has them in one of the two only.
func fixesIn(p *rpm.Package, fixes, others map[string]store.Fixes) livepatch.Fixes {
	if p == nil {
		return livepatch.Fixes{}
	}
	if f, ok := fixes[p.String()]; ok {
		return livepatch.Fixes(f)
	}
	return livepatch.Fixes(others[p.String()])
}

// describe fills in what follows from a package's name and version.
func describe(name string, evr rpm.EVR, arch string) store.Change {
	c := store.Change{Kind: string(livepatch.KindOf(name)), Package: name, Version: evr.String(), Arch: arch}
	switch livepatch.Kind(c.Kind) {
	case livepatch.KindKernel:
		c.KernelRelease, _ = livepatch.KernelRelease(name, evr.Version, evr.Release)
	case livepatch.KindLivepatch:
		c.KernelRelease, _ = livepatch.KernelFor(name)
		c.Module = livepatch.Module(name, evr.Version, evr.Release)
		c.PatchNumber, _ = livepatch.PatchNumber(evr.Version)
		c.Initial = c.PatchNumber == 1
	}
	return c
}

// announce makes the record of a step before it is executed: what it would do to the
// packages that are installed.
func announce(s step, installed []rpm.Package) store.Change {
	c := describe(s.Solvable.Name, s.evr(), s.Solvable.Arch)
	c.Step, c.Result = s.Type, store.ResultUnknown
	if s.Type == "-" {
		c.Action = string(rpm.ActionRemove)
		return c
	}
	c.Action = string(rpm.ActionInstall)
	for _, p := range installed {
		if p.Name != s.Solvable.Name {
			continue
		}
		order := s.evr().Compare(p.EVR)
		switch {
		case order == 0:
			c.Action, c.Previous = string(rpm.ActionReinstall), p.EVR.String()
			return c
		case s.Type == "M": // stands beside it
		case order > 0:
			c.Action, c.Previous = string(rpm.ActionUpgrade), p.EVR.String()
		default:
			c.Action, c.Previous = string(rpm.ActionDowngrade), p.EVR.String()
		}
	}
	return c
}

// addHistory adds what libzypp's history says of this commit: repository and checksum of
// what was installed, and the advisories.
func addHistory(end *store.CommitEnd, b *store.CommitBegin, h zypp.Appended) {
	end.Problems = append(end.Problems, h.Problems...)
	if h.Command != "" && len(b.Command) > 0 && h.Command != zypp.QuoteCommand(b.Command) {
		end.Problems = append(end.Problems, "the history after this commit begins with another command")
		return
	}
	for i := range end.Changes {
		c := &end.Changes[i]
		for _, in := range h.Installs {
			if c.Action != string(rpm.ActionRemove) && in.Name == c.Package && in.Version == c.Version && in.Arch == c.Arch {
				c.Repo, c.Checksum = in.Repo, in.Checksum
			}
		}
	}
	for _, a := range h.Advisories {
		end.Advisories = append(end.Advisories, store.Advisory{
			ID: a.ID, Repo: a.Repo, Severity: a.Severity, Category: a.Category, OldState: a.OldState, NewState: a.NewState,
		})
	}
}

// fixesOf reads the changelogs of live patches. A kernel's changelog is never read: it is
// huge, and says nothing about live patches.
func fixesOf(ctx context.Context, db rpm.DB, pkgs []rpm.Package) (map[string]store.Fixes, error) {
	if len(pkgs) == 0 {
		return nil, nil
	}
	logs, err := db.Changelogs(ctx, pkgs)
	if err != nil {
		return nil, fmt.Errorf("reading changelogs of live patches: %w", err)
	}
	fixes := map[string]store.Fixes{}
	for nevra, text := range logs {
		fixes[nevra] = store.Fixes(livepatch.ParseFixes(text))
	}
	return fixes, nil
}

func livePatches(installed []rpm.Package) (found []rpm.Package) {
	for _, p := range installed {
		if livepatch.KindOf(p.Name) == livepatch.KindLivepatch {
			found = append(found, p)
		}
	}
	return found
}

func moment(seconds int64) *store.Timestamp {
	if seconds <= 0 {
		return nil
	}
	return &store.Timestamp{Time: time.Unix(seconds, 0).UTC()}
}
