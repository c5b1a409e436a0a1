package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Each month the vendor releases a kernel with 500 new CVE numbers, for several products, and a
// live patch for some of them. A kernel's changelog covers what it fixes itself for three years.
const (
	daysPerRelease = 30
	perRelease     = 500
	perLivePatch   = 20
	monthsTold     = 36
	rowsPerRelease = 40 // its memory equals that of this many rows: it has 11 KB of text, and is not read page by page
)

var products = []string{"SLE-Module-Basesystem15-SP6-Updates", "SLE-Module-Live-Patching15-SP6-Updates", "SLE-Product-SLES15-SP6-LTSS-Updates"}

// released are the lists of numbers of the months so far, by digest, and the kernel that the record
// describes last.
type released struct {
	months []string
	told   int
}

// release is what an observation writes about a month, and about a kernel that was installed since.
func (h *host) release() {
	var cves []string
	for n := range perRelease {
		cves = append(cves, fmt.Sprintf("CVE-2025-%06d", 100_000+perRelease*len(h.released.months)+n))
	}
	rel := &record.Release{Lists: map[string]record.List{}}
	list := func(entries ...string) string {
		digest := record.ListDigest(entries)
		rel.Lists[digest] = record.List{Add: entries}
		return digest
	}
	next := fmt.Sprintf("6.4.0-150600.%d.42.2", h.kernel+1)
	packages := list("kernel-default "+next, livePatch(h.kernel+1)+" 1-150600.13.3.1")
	patches := list(fmt.Sprintf("%s %d-150600.13.%d.1", livePatch(h.kernel), h.patch+1, 3*h.patch+3))
	fixes, patched := list(cves...), list(cves[:perLivePatch]...)
	for n, repo := range products {
		for _, a := range []record.Released{
			{ID: fmt.Sprintf("SUSE-%d-2025-%d", n, 2*h.count), Title: "Security update for the Linux Kernel", Packages: packages, CVEs: fixes},
			{ID: fmt.Sprintf("SUSE-%d-2025-%d", n, 2*h.count+1), Title: "Security update for the Linux Kernel (Live Patch)", Packages: patches, CVEs: patched},
		} {
			a.Repo, a.Type, a.Severity, a.Status, a.Issued = repo, "security", "important", "stable", new(moment(h.now.AddDate(0, 0, -1)))
			rel.Advisories = append(rel.Advisories, a)
		}
	}
	h.released.months = append(h.released.months, fixes)
	if h.released.told != h.kernel {
		h.released.told = h.kernel
		rel.Kernels = []record.KernelFixes{h.ownFixes(rel)}
	}
	h.events = append(h.events, &record.Event{Header: h.header(record.KindRelease), Release: rel})
}

// ownFixes are what the newest kernel fixes: the numbers of all months before the previous one.
func (h *host) ownFixes(rel *record.Release) record.KernelFixes {
	months := h.released.months[max(0, len(h.released.months)-1-monthsTold) : len(h.released.months)-1]
	var all []string
	for n := range perRelease * len(months) {
		all = append(all, fmt.Sprintf("CVE-2025-%06d", 100_000+perRelease*(len(h.released.months)-1-len(months))+n))
	}
	digest := record.ListDigest(all)
	if len(all) > 0 {
		rel.Lists[digest] = record.List{Of: slices.Clone(months)}
	}
	i := slices.IndexFunc(h.installed, func(p record.Package) bool { return p.Name == "kernel-default" })
	k := h.installed[i]
	return record.KernelFixes{Package: k.NEVRA(), BuildTime: k.BuildTime, Release: release(h.kernel), Oldest: new(moment(h.now.AddDate(-3, 0, 0))), CVEs: digest}
}

// repositories are those of the products, refreshed just now.
func (h *host) repositories() (list record.Repositories) {
	for _, alias := range products {
		list = append(list, record.Repository{Alias: alias, Offers: true, Refreshed: new(moment(h.now)), Newest: h.now.Format(time.DateOnly)})
	}
	return list
}
