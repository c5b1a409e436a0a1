package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// installed fills in the packages: known where the snapshots before and after the moment
// show the same ones, installed at the same times, or where those times tell which were there.
// Between two it is inferred: what came and went again without a commit on record leaves no trace.
func (w *witness) installed() error {
	before, after, err := w.snapshots()
	if err != nil {
		return err
	}
	st := w.state
	switch {
	case before == nil || after == nil, w.setBetween(before, after), w.otherRoot(before, after):
		w.unknown("installed")
		return nil
	case before.pkgs == nil || after.pkgs == nil:
		st.Unknown["installed"] = fmt.Sprintf("Events %d and %d do not both say what was installed.", before.event, after.event)
		return nil
	case before == after:
		st.Installed = before.pkgs
	default:
		if st.Installed = byTimes(before, after, w.at); st.Installed == nil {
			st.Unknown["installed"] = fmt.Sprintf("Packages changed between %s and %s (events %d and %d), and no commit on record says when.",
				before.at.Short(), after.at.Short(), before.event, after.event)
			if before.oneCommit(after) {
				st.Unknown["installed"] = fmt.Sprintf("A commit was changing packages (events %d and %d).", before.event, after.event)
			}
			return nil
		}
		st.Inferred = append(st.Inferred, "installed")
		if before.oneCommit(after) && !slices.Equal(identities(before.pkgs), identities(after.pkgs)) {
			w.more = append(w.more, *before.end.EndEvent)
		}
	}
	w.more = append(w.more, before.event, after.event)
	return nil
}

// setBetween says whether the clock was set in a boot that, by it, began before the second of two
// snapshots: the machine may have been set back, and its packages with it, or it ran already.
func (w *witness) setBetween(before, after *snapshot) bool {
	return before.run != after.run && slices.ContainsFunc(w.ran, func(r run) bool {
		return r.set && r.From.After(before.run.From.Time) && !r.began.After(after.at.Time)
	})
}

// otherRoot says whether the root file system was another one after a boot: its packages may
// be others, too, and those of a boot in between.
func (w *witness) otherRoot(before, after *snapshot) bool {
	return before.run != after.run && w.root(before.run) != w.root(after.run)
}

// root is where the root directory was in a run, empty if that is not known.
func (w *witness) root(v *run) string {
	for _, o := range v.observed {
		if ev, err := w.event(o.Event); err == nil && ev.Observation.Subvolume != "" {
			return ev.Observation.Subvolume
		}
	}
	return ""
}

// oneCommit says whether one commit did all that changed between two snapshots: it changes each package once.
func (s *snapshot) oneCommit(after *snapshot) bool {
	return s.end != nil && !after.at.After(s.end.End.Time)
}

// replacing is how long it takes at most until a package that came has replaced the one before.
const replacing = time.Minute

// byTimes tells by the times that rpm noted which packages were there at a moment, nil if they do
// not tell: what went says nothing of itself, only what came in its place. Before a live patch came, earlier
// versions may have come and gone, unless one commit did it.
func byTimes(before, after *snapshot, at time.Time) []record.Package {
	list, gone := slices.Clone(before.pkgs), lacking(before.pkgs, after.pkgs)
	for _, p := range lacking(after.pkgs, before.pkgs) {
		came := time.Unix(p.InstallTime, 0)
		switch {
		case came.Before(before.at.Truncate(time.Second)), came.After(after.at.Time):
			return nil // the clock was wrong, or the database is another one
		case !at.Before(came.Add(replacing)):
			list = append(list, p)
		case !at.Before(came):
			return nil
		case of(gone, p) == 0 && (p.Kind != record.PackageLivepatch || strings.HasPrefix(p.Version, "1-")): // it came beside others
		case before.oneCommit(after) && p.Kind == record.PackageLivepatch: // what it was to replace was still there
			gone = slices.DeleteFunc(gone, func(q record.Package) bool { return sameName(p, q) })
		default:
			return nil
		}
	}
	for _, p := range gone {
		if of(before.pkgs, p) != 1 || of(after.pkgs, p) != 1 {
			return nil
		}
		list = slices.DeleteFunc(list, func(q record.Package) bool { return identity(q) == identity(p) })
	}
	return list
}

// of is how many packages have the name of one.
func of(pkgs []record.Package, p record.Package) (n int) {
	for _, q := range pkgs {
		if sameName(p, q) {
			n++
		}
	}
	return n
}

func sameName(p, q record.Package) bool { return p.Name == q.Name && p.Arch == q.Arch }

// lacking are the packages of one list that another one does not have.
func lacking(list, from []record.Package) (more []record.Package) {
	has := identities(from)
	for _, p := range list {
		if !slices.Contains(has, identity(p)) {
			more = append(more, p)
		}
	}
	return more
}

// snapshots are the last one up to the moment, and the first one from it on. Of observations that could not
// read rpm, the next ones count.
func (w *witness) snapshots() (before, after *snapshot, err error) {
	list := w.spans.snapshots
	split, _ := slices.BinarySearchFunc(list, w.at, func(s snapshot, at time.Time) int {
		if s.at.After(at) {
			return 1
		}
		return -1
	})
	earlier := slices.Clone(list[max(0, split-tries):split])
	slices.Reverse(earlier)
	if before, err = w.first(earlier); err != nil || before == nil {
		return nil, nil, err
	}
	if before.at.Equal(w.at) {
		return before, before, nil
	}
	after, err = w.first(slices.Clone(list[split:min(len(list), split+tries)]))
	return before, after, err
}

// first is the first of some snapshots that says something of the running system.
func (w *witness) first(list []snapshot) (*snapshot, error) {
	for i := range list {
		s := &list[i]
		known, err := w.readSnapshot(s)
		if err != nil || known && (s.pkgs != nil || s.commit != "") {
			return s, err
		}
		if i+1 >= tries {
			return nil, nil
		}
	}
	return nil, nil
}

// readSnapshot reads what an event says of packages, and whether that is about the running
// system at its own moment: a commit in a snapshot of a transactional update says nothing about
// that, and a late end nothing about its moment.
func (w *witness) readSnapshot(s *snapshot) (ok bool, err error) {
	ev, err := w.event(s.event)
	if err != nil {
		return false, err
	}
	switch {
	case ev.Observation != nil:
		s.pkgs = ev.Observation.Installed
		return true, nil
	case ev.Drift != nil:
		s.pkgs = relevant(ev.Drift.Installed)
		return s.pkgs != nil, nil
	case ev.Begin != nil:
		s.pkgs = relevant(ev.Begin.Installed)
		return ev.Begin.Staging == nil, nil
	case ev.End == nil || ev.End.Late:
		return false, nil
	}
	i := slices.IndexFunc(w.commits, func(c record.CommitRow) bool { return c.ID == s.commit })
	begin, err := w.event(*w.commits[i].BeginEvent)
	if err != nil || begin.Begin.Staging != nil {
		return false, err
	}
	s.pkgs = afterwards(relevant(begin.Begin.Installed), ev.End)
	return true, nil
}

// relevant are the kernels and live patches among packages, nil if their kinds are not known.
func relevant(pkgs []record.Package) []record.Package {
	if pkgs == nil || slices.ContainsFunc(pkgs, func(p record.Package) bool { return p.Kind == "" }) {
		return nil
	}
	list := []record.Package{}
	for _, p := range pkgs {
		if isRelevant(p.Kind) {
			list = append(list, p)
		}
	}
	return list
}

func isRelevant(kind record.PackageKind) bool {
	return kind == record.PackageKernel || kind == record.PackageLivepatch
}

// afterwards is what was installed when a commit had ended, nil if that is not known.
func afterwards(installed []record.Package, end *record.CommitEnd) []record.Package {
	if installed == nil {
		return nil
	}
	list := slices.Clone(installed)
	for _, c := range end.Changes {
		switch {
		case !isRelevant(c.Kind) || c.Result == record.ResultFailed || c.Result == record.ResultNotDone:
			continue
		case c.Result != record.ResultOK:
			return nil
		}
		list = slices.DeleteFunc(list, func(p record.Package) bool {
			return p.Name == c.Package && p.Arch == c.Arch && (p.Version == c.Version || c.Previous != "" && p.Version == c.Previous)
		})
		if c.Action != record.ActionRemove {
			list = append(list, packageOf(c))
		}
	}
	return list
}

// packageOf is the package that a change brought in, as far as the change says.
func packageOf(c record.Change) record.Package {
	p := record.Package{Name: c.Package, Version: c.Version, Arch: c.Arch, Kind: c.Kind, Vendor: c.Vendor, SignatureKey: c.SignatureKey, SourceRPM: c.SourceRPM}
	if c.InstallTime != nil {
		p.InstallTime = c.InstallTime.Unix()
	}
	if c.BuildTime != nil {
		p.BuildTime = c.BuildTime.Unix()
	}
	return p
}

// identities tell packages apart, also from the same ones installed anew.
func identities(pkgs []record.Package) []string {
	ids := []string{}
	for _, p := range pkgs {
		ids = append(ids, identity(p))
	}
	slices.Sort(ids)
	return ids
}

func identity(p record.Package) string {
	return fmt.Sprintf("%s-%s.%s %d", p.Name, p.Version, p.Arch, p.InstallTime)
}

// IsKernel says whether a package is the kernel of a release: that of uname lacks the
// counter of rebuilds, and has the flavour of the package's name after it. A kernel base
// package may have its own release after that, which begins with the number of the product.
func IsKernel(p record.Package, release string) bool {
	i := strings.LastIndexByte(release, '-')
	if i < 0 {
		return false
	}
	name, version := "kernel-"+release[i+1:], release[:i]
	rest, ok := strings.CutPrefix(p.Version, version)
	if !ok || rest != "" && rest[0] != '.' || p.Name != name && p.Name != name+"-base" {
		return false
	}
	counter, own, more := strings.Cut(strings.TrimPrefix(rest, "."), ".")
	product, _, _ := strings.Cut(version[strings.IndexByte(version, '-')+1:], ".")
	return strings.Trim(counter, "0123456789") == "" && (!more || p.Name != name && len(product) >= len("150400") && strings.HasPrefix(own, product+"."))
}
