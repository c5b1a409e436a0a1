package report

import (
	"fmt"
	"slices"

	"github.com/klp-audit/klp-audit/store"
)

// snapshot is what was installed at a moment, by an event.
type snapshot struct {
	at     store.Timestamp
	event  int64
	commit string          // whose begin or end it is; empty: an observation
	pkgs   []store.Package // kernels and live patches; nil: not known
}

// installed fills in the packages: known where the snapshots before and after the moment
// show the same ones, installed at the same times.
func (w *witness) installed() error {
	before, after, err := w.snapshots()
	if err != nil {
		return err
	}
	st := w.state
	switch {
	case before == nil || after == nil:
		w.unknown("installed")
	case before.pkgs == nil || after.pkgs == nil:
		st.Unknown["installed"] = fmt.Sprintf("Events %d and %d do not both say what was installed.", before.event, after.event)
	case slices.Equal(identities(before.pkgs), identities(after.pkgs)):
		st.Installed = before.pkgs
		w.more = append(w.more, before.event, after.event)
	case before.commit != "" && before.commit == after.commit:
		st.Unknown["installed"] = fmt.Sprintf("A commit was changing packages (events %d and %d).", before.event, after.event)
	default:
		st.Unknown["installed"] = fmt.Sprintf("Packages changed between %s and %s (events %d and %d), and no commit on record says when.",
			shortTime(before.at), shortTime(after.at), before.event, after.event)
	}
	return nil
}

// snapshots are the last one up to the moment, and the first one from it on.
func (w *witness) snapshots() (before, after *snapshot, err error) {
	list, err := w.allSnapshots()
	if err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(list, func(a, b snapshot) int { return a.at.Compare(b.at.Time) })
	for i := range list {
		if s := &list[i]; !s.at.After(w.at) {
			before = s
		} else if after == nil {
			after = s
		}
	}
	if before != nil && before.at.Equal(w.at) {
		return before, before, nil
	}
	return before, after, nil
}

func (w *witness) allSnapshots() (list []snapshot, err error) {
	for _, c := range w.commits {
		of, err := w.commitSnapshots(c)
		if err != nil {
			return nil, err
		}
		list = append(list, of...)
	}
	for seq, ev := range map[int64]*store.Event{w.beforeSeq: w.before, w.afterSeq: w.after} {
		if ev != nil {
			list = append(list, snapshot{at: ev.Time, event: seq, pkgs: ev.Observation.Installed})
		}
	}
	slices.SortFunc(list, func(a, b snapshot) int { return int(a.event - b.event) })
	return list, nil
}

// commitSnapshots are what a commit's begin and end say. One in a snapshot of a
// transactional update says nothing about the running system, and a late end nothing about
// its own moment.
func (w *witness) commitSnapshots(c store.CommitRow) ([]snapshot, error) {
	if c.BeginEvent == nil {
		return nil, nil
	}
	begin, err := w.event(*c.BeginEvent)
	if err != nil || begin.Begin.Staging != nil {
		return nil, err
	}
	installed := relevant(begin.Begin.Installed)
	list := []snapshot{{at: begin.Time, event: *c.BeginEvent, commit: c.ID, pkgs: installed}}
	if c.EndEvent == nil {
		return list, nil
	}
	end, err := w.event(*c.EndEvent)
	if err != nil || end.End.Late {
		return list, err
	}
	return append(list, snapshot{at: end.Time, event: *c.EndEvent, commit: c.ID, pkgs: afterwards(installed, end.End)}), nil
}

// relevant are the kernels and live patches among packages, nil if their kinds are not known.
func relevant(pkgs []store.Package) []store.Package {
	if pkgs == nil || slices.ContainsFunc(pkgs, func(p store.Package) bool { return p.Kind == "" }) {
		return nil
	}
	list := []store.Package{}
	for _, p := range pkgs {
		if isRelevant(p.Kind) {
			list = append(list, p)
		}
	}
	return list
}

func isRelevant(kind string) bool { return kind == "kernel" || kind == "livepatch" }

// afterwards is what was installed when a commit had ended, nil if that is not known.
func afterwards(installed []store.Package, end *store.CommitEnd) []store.Package {
	if installed == nil {
		return nil
	}
	list := slices.Clone(installed)
	for _, c := range end.Changes {
		switch {
		case !isRelevant(c.Kind) || c.Result == store.ResultFailed || c.Result == store.ResultNotDone:
			continue
		case c.Result != store.ResultOK:
			return nil
		}
		list = slices.DeleteFunc(list, func(p store.Package) bool {
			return p.Name == c.Package && p.Arch == c.Arch && (p.Version == c.Version || c.Previous != "" && p.Version == c.Previous)
		})
		if c.Action != "remove" {
			list = append(list, packageOf(c))
		}
	}
	return list
}

// packageOf is the package that a change brought in, as far as the change says.
func packageOf(c store.Change) store.Package {
	p := store.Package{Name: c.Package, Version: c.Version, Arch: c.Arch, Kind: c.Kind, Vendor: c.Vendor, SignatureKey: c.SignatureKey, SourceRPM: c.SourceRPM}
	if c.InstallTime != nil {
		p.InstallTime = c.InstallTime.Unix()
	}
	if c.BuildTime != nil {
		p.BuildTime = c.BuildTime.Unix()
	}
	return p
}

// identities tell packages apart, also from the same ones installed anew.
func identities(pkgs []store.Package) []string {
	ids := []string{}
	for _, p := range pkgs {
		ids = append(ids, fmt.Sprintf("%s-%s.%s %d", p.Name, p.Version, p.Arch, p.InstallTime))
	}
	slices.Sort(ids)
	return ids
}
