package audit

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// openFixes finds what the vendor has released for a machine, and what of it the machine has not.
type openFixes struct {
	*fixRecord
	offers  *Offers
	kernel  record.Package   // package of the running kernel
	patch   string           // name of its live patches' package
	number  int              // of the newest one that is installed; 0: none
	own     map[string]int64 // numbers that the kernel fixes by itself, and events that say so
	known   map[string]bool  // numbers of which the record already tells what became of them, in the running kernel
	found   map[string]*Exposure
	waiting []record.Package // newer kernels that are installed
}

// readOpen returns what is on offer, and not installed, for the running kernel, and of the numbers asked for those that
// the kernel fixes by itself, or of which is known why they are in no row. list are the rows of live patches that were
// installed.
func (f *fixRecord) readOpen(list []Exposure, asked []string) ([]Exposure, error) {
	offers, err := ReadOffers(f.ctx, f.store, f.at)
	if err != nil || !offers.Known() || f.running == "" {
		return nil, err
	}
	o := &openFixes{fixRecord: f, offers: offers, known: map[string]bool{}, found: map[string]*Exposure{}}
	for _, e := range list {
		o.known[e.CVE] = o.known[e.CVE] || e.KernelRelease == f.running
	}
	installed, err := f.lastInstalled()
	if err != nil {
		return nil, err
	}
	if !o.looksAt(installed) {
		return nil, nil
	}
	for _, a := range offers.list {
		if a.Not == "" {
			o.take(&a)
		}
	}
	for _, cve := range asked {
		if o.found[cve] == nil && !o.known[cve] {
			o.explain(cve)
		}
	}
	o.complete(list)
	var open []Exposure
	for _, cve := range slices.SortedFunc(maps.Keys(o.found), compareCVE) {
		e := o.found[cve]
		e.OpenSince = o.openSince(e, list)
		open = append(open, *e)
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
		if e.KernelRelease != o.running {
			continue
		}
		if event, own := o.own[e.CVE]; own && e.Status != StatusFixed {
			e.Status, e.Reason, e.Events = StatusFixed, kernelFixes, ends(e.Events, event)
		}
		e.OpenSince = o.openSince(e, list)
	}
}

// kernelFixes says why a fix is active that no live patch has.
const kernelFixes = "The kernel itself fixes it."

// lastInstalled are the packages that were installed when the machine was last looked at.
func (f *fixRecord) lastInstalled() (installed []record.Package, err error) {
	err = f.lookBack(f.at, func(o *Seen) bool {
		installed = o.Installed
		return o.Installed != nil
	})
	return installed, err
}

// looksAt notes which packages are installed; it reports whether the package of the running kernel is among them.
func (o *openFixes) looksAt(installed []record.Package) bool {
	o.patch, _ = livepatch.PackageFor(o.running)
	for _, p := range installed {
		if IsKernel(p, o.running) && (o.kernel.Name == "" || len(p.Name) < len(o.kernel.Name)) { // not kernel-default-base
			o.kernel = p
		}
		if p.Name == o.patch {
			o.number = max(o.number, PatchNumberOf(p.Version))
		}
	}
	for _, p := range installed {
		if p.Name == o.kernel.Name && o.isNewer(p.Version) {
			o.waiting = append(o.waiting, p)
		}
	}
	o.own = o.offers.fixedBy(Brought{o.kernel.Name, o.kernel.Version}, o.kernel.NEVRA())
	return o.kernel.Name != ""
}

// isNewer says whether a version of the kernel's package is newer than the one that runs.
func (o *openFixes) isNewer(version string) bool {
	v, err := rpmversion.Parse(version)
	return err == nil && v.Compare(rpmversion.Of(o.kernel)) > 0
}

// take takes in what an advisory on offer brings: a live patch for the running kernel, which is better, or a newer
// kernel. An initial live patch fixes nothing: the numbers of its advisory are those of the kernel that comes with it.
func (o *openFixes) take(a *Offered) {
	patches := map[string]bool{}
	var patch, kernel Brought
	for _, p := range a.Packages {
		if _, is := livepatch.KernelFor(p.Name); is {
			patches[p.Name] = true
		}
		switch {
		case p.Name == o.patch && PatchNumberOf(p.Version) > max(o.number, 1):
			patch = p
		case p.Name == o.kernel.Name && o.isNewer(p.Version):
			kernel = p
		}
	}
	for _, cve := range a.CVEs {
		_, own := o.own[cve]
		switch {
		case own || o.known[cve]:
		case patch.Name != "":
			o.add(a, cve, patch, StatusAvailable, len(patches) > 1 || kernel.Name != "")
		case kernel.Name != "":
			o.add(a, cve, kernel, StatusNeedsKernel, true)
		}
	}
}

// add notes a fix. Of several the one for the running kernel counts and then the one that was released first.
func (o *openFixes) add(a *Offered, cve string, by Brought, status ExposureStatus, inferred bool) {
	e := &Exposure{
		CVE: cve, KernelRelease: o.running, Package: by.Name, Version: by.Version, Released: a.Issued, ReleasedBy: "advisory",
		Advisory: &a.ID, Severity: record.OrNil(a.Severity), Title: record.OrNil(a.Title), Status: status, Inferred: inferred,
		Intervals: []Interval{}, Events: []int64{a.Event},
	}
	switch {
	case a.Issued == nil:
		e.ReleasedBy = ""
	case a.DayOnly:
		e.ReleasedBy = ReleasedOnDay
	}
	if e.Reason = "It is on offer: install it with `zypper patch`."; status == StatusNeedsKernel {
		e.Reason = fmt.Sprintf("No live patch for the running kernel brings it: install %s %s, and reboot into it.", by.Name, by.Version)
		o.waits(e)
	}
	old := o.found[cve]
	if old == nil || old.Status == StatusNeedsKernel && status == StatusAvailable || old.Status != StatusAvailable && before(e.Released, old.Released) {
		o.found[cve] = e
	}
}

// waits says of a fix that a newer kernel brings whether such a one is installed already.
func (o *openFixes) waits(e *Exposure) {
	brings, _ := rpmversion.Parse(e.Version)
	for _, p := range o.waiting {
		if rpmversion.Of(p).Compare(brings) >= 0 {
			e.Status, e.Version = StatusInstalled, p.Version
			e.Reason = fmt.Sprintf("%s %s is installed, and does not run: reboot into it.", p.Name, p.Version)
			return
		}
	}
}

func before(a, b *record.Timestamp) bool { return a != nil && (b == nil || a.Before(b.Time)) }

// explain says of a number that nothing on offer has whether the kernel fixes it by itself, or why that is not known.
func (o *openFixes) explain(cve string) {
	e := &Exposure{CVE: cve, KernelRelease: o.running, Status: StatusUnknown, Intervals: []Interval{}, Events: []int64{}}
	if event, own := o.own[cve]; own {
		e.Status, e.Package, e.Version, e.Events = StatusFixed, o.kernel.Name, o.kernel.Version, []int64{event}
		e.Reason = kernelFixes
		o.found[cve] = e
		return
	}
	for _, a := range o.offers.list {
		if !slices.Contains(a.CVEs, cve) {
			continue
		}
		e.Events, e.Advisory, e.Title, e.Severity = []int64{a.Event}, &a.ID, record.OrNil(a.Title), record.OrNil(a.Severity)
		e.Reason = map[NotOffered]string{
			OfferRetracted: "retracted: the vendor took its advisory back.",
			OfferWithdrawn: "withdrawn: its repository does not have its advisory any more.",
			OfferOff:       "repository-off: the repository that has its advisory is not enabled, or gone.",
			"":             "other-flavour: only advisories for other kernels name it.",
		}[a.Not]
		o.found[cve] = e
		return
	}
	if why := o.offers.Stale(); why != "" {
		e.Reason = "stale: " + why
		o.found[cve] = e
	}
}

// openSince is from when on a machine was without a fix that had been released: since it was issued, since the first boot
// of a kernel without it, or since the record begins, whichever is the latest; nil where it is not open, or nobody knows.
func (o *openFixes) openSince(e *Exposure, list []Exposure) *record.Timestamp {
	if !e.Status.Open() || e.Released == nil {
		return nil
	}
	if e.Status == StatusLost {
		return e.Lost
	}
	from := o.timeline.From
	spans := o.timeline.whole().Kernels
	for i := len(spans) - 1; i >= 0; i-- {
		s := &spans[i]
		if s.BootID == "" || s.Confidence == Unknown {
			continue
		}
		if s.KernelRelease != o.running && o.had(e.CVE, s, list) {
			break
		}
		from = s.From
	}
	released := *e.Released
	if e.ReleasedBy == ReleasedOnDay {
		released = record.At(released.Add(24 * time.Hour))
	}
	return new(later(released, from))
}

// had says whether a fix was active in the boot of another kernel, or that kernel has it by itself.
func (o *openFixes) had(cve string, s *KernelSpan, list []Exposure) bool {
	for _, row := range o.offers.rows {
		for _, k := range row.Kernels {
			if k.Release == s.KernelRelease && slices.Contains(o.offers.all.Lists[k.CVEs], cve) {
				return true
			}
		}
	}
	return slices.ContainsFunc(list, func(e Exposure) bool {
		return e.CVE == cve && e.KernelRelease == s.KernelRelease && slices.ContainsFunc(e.Intervals, func(in Interval) bool {
			return in.From.Before(s.To.Time) && (in.To == nil || in.To.After(s.From.Time))
		})
	})
}
