package audit

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// openFixes finds what the vendor has released for a machine, and what of it the machine has not.
type openFixes struct {
	*fixRecord
	kernel  record.Package       // package of the running kernel; no name: it is not known
	patch   string               // name of its live patches' package
	history *patchHistory        // of that package
	ran     map[string]bool      // versions of live patches that were active in the running kernel, though nobody may have seen the package
	number  int                  // of the newest one that is installed, or may be; 0: none
	surely  int                  // of the newest one that surely is; the same, where that is known
	own     map[string]int64     // numbers that the kernel fixes by itself, and events that say so
	rows    map[string]*Exposure // of live patches that were installed for it, by number
	found   map[string]*Exposure // others
	hidden  map[string]*Exposure // that only what is not on offer any more would bring
	waiting []record.Package     // newer kernels that are installed
	issued  map[issue]*Offered   // the first that was not taken back
	spans   []KernelSpan
}

// issue names a number, and a package of which some version brings its fix.
type issue struct{ cve, name string }

// readOpen returns what is on offer, and not installed, for the running kernel; what would be if its repository were
// enabled; of the numbers asked for, or fixed while another kernel ran, those that the kernel fixes by itself; and of those
// asked for why they are in no row, where that is known. It adds to list, the rows of live patches that were installed, what
// releases say of them.
func (f *fixRecord) readOpen(list []Exposure, asked []string) ([]Exposure, error) {
	if !f.offers.Known() || f.running == "" {
		return nil, nil
	}
	o := &openFixes{fixRecord: f, rows: map[string]*Exposure{}, found: map[string]*Exposure{}, hidden: map[string]*Exposure{}, issued: map[issue]*Offered{}, spans: f.timeline.whole().Kernels}
	for i := range list {
		if list[i].KernelRelease == f.running {
			o.rows[list[i].CVE] = &list[i]
		}
	}
	if err := o.readInstalled(); err != nil {
		return nil, err
	}
	o.complete(list)
	o.wait()
	for i := range f.offers.list {
		o.noteIssue(&f.offers.list[i])
		o.take(&f.offers.list[i])
	}
	for _, cve := range asked {
		o.explain(cve)
	}
	for i := range list { // what live patches of other kernels fixed, and the running one may fix by itself
		if _, own := o.own[list[i].CVE]; own {
			o.explain(list[i].CVE)
		}
	}
	maps.DeleteFunc(o.hidden, func(cve string, _ *Exposure) bool { return o.found[cve] != nil })
	maps.Copy(o.found, o.hidden)
	var open []Exposure
	for _, cve := range slices.SortedFunc(maps.Keys(o.found), CompareCVE) {
		open = append(open, *o.found[cve])
	}
	byCVE := map[string][]*Exposure{}
	for i := range list {
		byCVE[list[i].CVE] = append(byCVE[list[i].CVE], &list[i])
	}
	for _, rows := range [][]Exposure{list, open} {
		for i := range rows {
			if rows[i].KernelRelease == o.running {
				o.releasedFirst(&rows[i])
				rows[i].OpenSince = o.openSince(&rows[i], byCVE[rows[i].CVE])
			}
		}
	}
	return open, nil
}

// complete adds to the rows of live patches that were installed what releases say of them.
func (o *openFixes) complete(list []Exposure) {
	titles := map[string]*string{}
	for _, a := range o.offers.list {
		titles[a.ID] = record.OrNil(a.Title)
	}
	for i := range list {
		e := &list[i]
		if e.Advisory != nil {
			e.Title = titles[*e.Advisory]
		}
		if event, own := o.own[e.CVE]; own && e.KernelRelease == o.running && e.Status != StatusFixed {
			e.Status, e.Reason, e.Events = StatusFixed, kernelFixes, ends(e.Events, event)
		}
	}
}

// kernelFixes says why a fix is active that no live patch has.
const kernelFixes = "The kernel itself fixes it."

// WhetherInstalled says why it is not known whether a fix is only on offer.
const WhetherInstalled = "Whether its live patch, which is on offer, was installed then is not on record."

// readInstalled reads which packages were installed when the machine was last looked at. The package of the running kernel may
// be gone since.
func (o *openFixes) readInstalled() error {
	o.patch = PatchPackage(o.running)
	o.history = cmp.Or(o.packages[o.patch], newPatchHistory(o.patch, &o.setting))
	o.ran = o.versionsThatRan()
	var last *Seen
	err := o.lookBack(o.at, func(s *Seen) bool {
		if s.Installed != nil {
			last = cmp.Or(last, s)
		}
		return o.findKernel(s.Installed)
	})
	if err != nil {
		return err
	}
	var installed, next []record.Package
	stateKnown := o.state != nil && o.state.Unknown["installed"] == ""
	switch {
	case stateKnown:
		installed = o.state.Installed
	case last != nil:
		installed = last.Installed
	}
	if o.state != nil && !stateKnown || o.kernel.Name == "" {
		if next, err = o.installedNext(last); err != nil {
			return err
		}
		if o.kernel.Name == "" {
			o.findKernel(next)
		}
	}
	switch o.readNumber(installed, next, last); {
	case o.state == nil && o.unreadElsewhere(last):
		o.number, o.surely = math.MaxInt, 0 // any may be
	case last != nil:
		o.number = max(o.number, o.unseenSince(last.At))
	}
	for _, p := range installed {
		if o.isNewerKernel(p.Name, p.Version) {
			o.waiting = append(o.waiting, p)
		}
	}
	o.own = map[string]int64{}
	if o.kernel.Name != "" {
		o.own = o.offers.fixedByPackage(o.kernel)
	}
	return nil
}

// unreadElsewhere says whether a newer look than the last one that told could not tell what is installed in another snapshot.
func (o *openFixes) unreadElsewhere(last *Seen) bool {
	return last != nil && o.unread != nil && o.unread.At.After(last.At.Time) && inAnother(o.unread.Observation, last.Observation)
}

// PatchPackage is the name of the package with a kernel's live patches; empty: the release does not tell.
func PatchPackage(release string) string {
	name, _ := livepatch.PackageFor(release)
	return name
}

// readNumber reads which live patch is installed, and which may be, by what was seen last, or next, and by what changed since.
func (o *openFixes) readNumber(installed, seenNext []record.Package, last *Seen) {
	newest := func(versions []string) (n int) {
		for _, v := range versions {
			n = max(n, PatchNumberOf(v))
		}
		return n
	}
	p := o.history
	versions, known, _ := p.installedNow()
	if o.number = newest(versions); !known {
		o.number = newest(p.versionsIn(installed))
	}
	o.surely = o.number
	if known {
		return
	}
	mayBe := func(n int) { o.number, o.surely = max(o.number, n), min(o.surely, n) }
	if o.state != nil {
		mayBe(newest(p.versionsIn(seenNext)))
	}
	for _, c := range p.changes {
		switch {
		case last != nil && !c.Time.After(last.At.Time):
		case c.Action == record.ActionRemove:
			mayBe(0)
		default:
			mayBe(PatchNumberOf(c.Version))
		}
	}
}

// isNewerKernel says whether a package is that of the running kernel in a newer version.
func (o *openFixes) isNewerKernel(name, version string) bool {
	if o.kernel.Name == "" || name != o.kernel.Name {
		return false
	}
	v, err := rpmversion.Parse(version)
	return err == nil && v.Compare(rpmversion.Of(o.kernel)) > 0
}

// wait notes what newer kernels that are installed, and do not run, fix.
func (o *openFixes) wait() {
	for _, p := range o.waiting {
		for cve, event := range o.offers.fixedByPackage(p) {
			if _, own := o.own[cve]; own || o.rows[cve] != nil {
				continue
			}
			o.add(&Exposure{CVE: cve, Package: p.Name, Version: p.Version, Status: StatusInstalled, Inferred: true, Events: []int64{event},
				Reason: fmt.Sprintf("%s %s is installed, and does not run: reboot into it.", p.Name, p.Version)})
		}
	}
}

// noteIssue notes by when live patches for the running kernel, and newer kernels, had been issued that bring the numbers of an
// advisory.
func (o *openFixes) noteIssue(a *Offered) {
	for _, p := range a.Packages {
		isPatch := p.Name == o.patch && PatchNumberOf(p.Version) > 1
		if a.Status == record.StatusRetracted || !isPatch && !o.isNewerKernel(p.Name, p.Version) {
			continue
		}
		for _, cve := range a.CVEs {
			key := issue{cve, p.Name}
			if first := o.issued[key]; first == nil || a.From.Before(first.From.Time) {
				o.issued[key] = a
			}
		}
	}
}

// take takes in what an advisory brings: a live patch for the running kernel, which is better, or a newer kernel. An
// initial live patch fixes nothing: the numbers of its advisory are those of the kernel that comes with it.
func (o *openFixes) take(a *Offered) {
	patches := map[string]bool{}
	var patch, kernel, perhaps Brought
	for _, p := range a.Packages {
		if _, is := livepatch.KernelFor(p.Name); is {
			patches[p.Name] = true
		}
		switch {
		case p.Name == o.patch && PatchNumberOf(p.Version) > max(o.number, 1):
			patch = p
		case p.Name == o.patch && PatchNumberOf(p.Version) > max(o.surely, 1):
			perhaps = p
		case o.isNewerKernel(p.Name, p.Version):
			kernel = p
		}
	}
	for _, cve := range a.CVEs {
		_, own := o.own[cve]
		switch {
		case own:
		case patch.Name != "":
			o.offer(a, cve, patch, StatusAvailable, len(patches) > 1 || kernel.Name != "")
		case perhaps.Name != "" && a.Not == "":
			o.perhaps(a, cve, perhaps)
		case kernel.Name != "" && o.rows[cve] == nil:
			o.offer(a, cve, kernel, StatusNeedsKernel, true)
		}
	}
}

// perhaps notes that an advisory brings a fix by a live patch of which nobody knows whether it was installed.
func (o *openFixes) perhaps(a *Offered, cve string, by Brought) {
	if row := o.rows[cve]; row != nil {
		row.MayBeInstalled = row.Status != StatusFixed && row.Status != StatusInstalled
		return
	}
	o.add(&Exposure{CVE: cve, Package: by.Name, Version: by.Version, Status: StatusUnknown, Reason: WhetherInstalled, MayBeInstalled: true, Events: []int64{a.Event}})
}

// offer notes that an advisory brings a fix.
func (o *openFixes) offer(a *Offered, cve string, by Brought, status ExposureStatus, inferred bool) {
	e := &Exposure{CVE: cve, Package: by.Name, Version: by.Version, Status: status, Inferred: inferred, Events: []int64{a.Event}}
	e.releasedWith(a)
	e.Reason = "It is on offer: install it with `zypper patch`."
	if status == StatusNeedsKernel {
		e.Reason = fmt.Sprintf("No live patch for the running kernel brings it: install %s %s, and reboot into it.", by.Name, by.Version)
	}
	if a.Not != "" {
		e.Status, e.Reason, e.NotOffered = StatusUnknown, notOfferedText(a), a.Not
	}
	row := o.rows[cve]
	switch {
	case row == nil:
		o.add(e)
	case a.Not != "" || row.Status == StatusFixed || row.Status == StatusInstalled:
	case row.Active == nil && row.Status == StatusLost: // it was never there
		intervals, events := row.Intervals, row.Events
		*row = *e
		row.KernelRelease, row.Intervals, row.Events, row.OnOffer = o.running, intervals, ends(events, e.Events...), &by.Version
	default:
		row.OnOffer, row.Events = &by.Version, ends(row.Events, e.Events...)
	}
}

// add keeps a fix, if it is better than what is known of its number: installed, on offer as a live patch, perhaps installed, in
// a newer kernel, not on offer; and of two of a sort the one that was released first.
func (o *openFixes) add(e *Exposure) {
	e.KernelRelease, e.Intervals = o.running, []Interval{}
	if e.Status == StatusAvailable {
		e.OnOffer = &e.Version
	}
	kept := o.found
	if e.NotOffered != "" {
		kept = o.hidden
	}
	rank := func(e *Exposure) int {
		return slices.Index([]ExposureStatus{StatusInstalled, StatusAvailable, StatusUnknown, StatusNeedsKernel}, e.Status)
	}
	old := kept[e.CVE]
	if old != nil && old.Status == StatusInstalled && old.Released == nil { // a waiting kernel: an advisory says more of it
		old.Released, old.ReleasedBy, old.Advisory, old.Severity, old.Title = e.Released, e.ReleasedBy, e.Advisory, e.Severity, e.Title
	}
	if old != nil && old.Status == StatusInstalled && e.OnOffer != nil {
		old.OnOffer, old.Events = e.OnOffer, ends(old.Events, e.Events...)
	}
	if old != nil && e.MayBeInstalled {
		old.MayBeInstalled = true
	}
	if old == nil || cmp.Or(cmp.Compare(rank(e), rank(old)), compareTimes(e.Released, old.Released)) < 0 {
		kept[e.CVE] = e
	}
}

// explain says whether the kernel itself fixes a number that nothing on offer has, or why that is not known.
func (o *openFixes) explain(cve string) {
	if o.found[cve] != nil || o.hidden[cve] != nil || o.rows[cve] != nil {
		return
	}
	e := &Exposure{CVE: cve, KernelRelease: o.running, Status: StatusUnknown, Intervals: []Interval{}, Events: []int64{}}
	if event, own := o.own[cve]; own {
		e.Status, e.Package, e.Version, e.Events = StatusFixed, o.kernel.Name, o.kernel.Version, []int64{event}
		e.Reason = kernelFixes
		o.found[cve] = e
		return
	}
	named, why := o.namedBy(cve)
	if named != nil {
		e.Events, e.Advisory, e.Title, e.Severity = []int64{named.Event}, &named.ID, record.OrNil(named.Title), record.OrNil(named.Severity)
	}
	stale := o.offers.Stale()
	switch {
	case why != "":
		e.Reason = why
	case o.kernel.Name == "":
		e.Reason = "The package of the running kernel is not known."
	case stale != "":
		e.Reason = "stale: " + stale
	case o.activeMayFix(cve):
		e.Reason = "What the active live patch fixes is not on record up to then."
	default:
		return
	}
	o.found[cve] = e
}

// namedBy finds the advisory that tells most of a number: one of this kernel's live patches, of its package, or any.
func (o *openFixes) namedBy(cve string) (named *Offered, why string) {
	for i := range o.offers.list {
		a := &o.offers.list[i]
		if !slices.Contains(a.CVEs, cve) {
			continue
		}
		brings := func(name string) bool {
			return name != "" && slices.ContainsFunc(a.Packages, func(p Brought) bool { return p.Name == name })
		}
		switch {
		case brings(o.patch):
			return a, "Its advisory brings a live patch that is not newer than the installed one; what that fixes is not on record."
		case brings(o.kernel.Name):
			named, why = a, "Only an advisory of an older kernel names it; whether the running one has the fix is not on record."
		case named == nil && o.kernel.Name != "":
			named, why = a, "other-flavour: only advisories for other kernels name it."
		}
	}
	return named, why
}
