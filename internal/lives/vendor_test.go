package lives

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// vendor is what was released, by true time, and the servers that have it. It is no part of a host: nothing sets it back.
type vendor struct {
	*rand.Rand
	list    []*advisory    // in the order of their issue
	newest  map[string]int // live patch, by kernel release
	servers []*server
}

// advisory is what a vendor says of some packages. Its list of numbers may be wrong.
type advisory struct {
	id, severity string
	issued       time.Time
	dayOnly      bool     // its date has no zone: no more than the day is certain
	pkgs         []string // "NAME VERSION"
	cves         []string
	retracted    time.Time // zero: it is not
	another      bool      // of another flavour
}

// server has a repository.
type server struct {
	alias    string
	lag      time.Duration // until it has an advisory
	frozen   time.Time     // it has what it had then; zero: what there is
	withdrew map[string]bool
	takes    func(*advisory) bool
}

// listing is an advisory as a server shows it.
type listing struct {
	*advisory
	retracted bool
}

// ptf is the kernel that a vendor gives to one customer: it has a changelog, and no advisory.
const ptf = 2

func newVendor(rng *rand.Rand, at time.Time) *vendor {
	all := func(*advisory) bool { return true }
	v := &vendor{Rand: rng, newest: map[string]int{}, servers: []*server{
		{alias: "basesystem", takes: func(a *advisory) bool { return a.brings("kernel-") && !a.isPatch() }},
		{alias: "live-patching", takes: func(a *advisory) bool { return a.brings("kernel-livepatch-") }},
		{alias: "mirror", takes: all, lag: time.Duration(rng.Int64N(int64(5 * 24 * time.Hour)))},
		{alias: "tools", takes: func(a *advisory) bool { return a.brings("htop") }},
	}}
	for _, s := range v.servers {
		s.withdrew = map[string]bool{}
	}
	v.issue(at.Add(-130*24*time.Hour), []string{"htop 3.2-1.1"}, nil)
	v.issue(at.Add(-110*24*time.Hour), []string{"kernel-default 6.4.0-150600.23.30.1", "kernel-livepatch-6_4_0-150600_23_30-default 1-150600.1.1"}, []string{"CVE-2026-4000"})
	v.issueKernel(at.Add(-time.Duration(30+rng.IntN(40))*24*time.Hour), 0)
	return v
}

// brings says whether the name of a package of an advisory begins so.
func (a *advisory) brings(name string) bool {
	return slices.ContainsFunc(a.pkgs, func(p string) bool { return strings.HasPrefix(p, name) })
}

// isPatch says whether it brings live patches alone.
func (a *advisory) isPatch() bool {
	return !slices.ContainsFunc(a.pkgs, func(p string) bool { return !strings.HasPrefix(p, "kernel-livepatch-") })
}

// certain is from when on it had been issued, as its date tells.
func (a *advisory) certain() time.Time {
	if a.dayOnly {
		return a.issued.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
	return a.issued
}

func (v *vendor) issue(at time.Time, pkgs, cves []string) *advisory {
	slices.Sort(pkgs)
	slices.Sort(cves)
	a := &advisory{
		id: fmt.Sprintf("SUSE-SU-2026:%04d-1", len(v.list)+1), issued: at.Truncate(time.Second), dayOnly: v.IntN(4) == 0,
		severity: []string{"critical", "important", "moderate"}[v.IntN(3)], pkgs: pkgs, cves: slices.Compact(cves),
	}
	v.list = append(v.list, a)
	return a
}

// issueKernel releases a kernel, with its initial live patch, which fixes nothing.
func (v *vendor) issueKernel(at time.Time, n int) *advisory {
	k := kernelPackage(n)
	release := releaseOf(k)
	v.newest[release] = 1
	p := patchPackage(release, 1)
	var before []string
	if n > 0 {
		before = kernelFixes(n - 1)
	}
	cves := slices.DeleteFunc(kernelFixes(n), func(c string) bool { return slices.Contains(before, c) })
	return v.issue(at, []string{k.Name + " " + k.Version, p.Name + " " + p.Version}, cves)
}

// issuePatch releases the next live patch of some kernels, with one list for all.
func (v *vendor) issuePatch(at time.Time, releases ...string) *advisory {
	var pkgs, cves []string
	for _, release := range releases {
		v.newest[release]++
		n := v.newest[release]
		p := patchPackage(release, n)
		pkgs = append(pkgs, p.Name+" "+p.Version)
		cves = append(cves, fixesOf(release, n).Minus(fixesOf(release, n-1)).CVEs...)
	}
	return v.issue(at, pkgs, cves)
}

// released are the kernels that get live patches.
func (v *vendor) released() []string { return slices.Sorted(maps.Keys(v.newest)) }

// kernelFixes are the numbers that the n-th kernel fixes by itself: those of kernels alone, those that live patches of
// older kernels brought until then, and shared ones.
func kernelFixes(n int) (cves []string) {
	for k := range n + 1 {
		if k == ptf && n != ptf {
			continue
		}
		for i := range 3 {
			cves = append(cves, fmt.Sprintf("CVE-2026-8%d%02d", k, i))
		}
	}
	for k := range n {
		for i := 2; i <= 1+2*(n-k) && k != ptf; i++ {
			cves = append(cves, cve(releaseOf(kernelPackage(k)), i))
		}
	}
	for i := 2; i <= 3*n+1; i++ {
		cves = append(cves, shared(i))
	}
	slices.Sort(cves)
	return cves
}

// shared is a number that live patches of several kernels bring.
func shared(i int) string { return fmt.Sprintf("CVE-2026-9%03d", i) }

// decoy is one of a changelog's numbers that its kernel does not fix by itself.
func decoy(n, i int) string { return fmt.Sprintf("CVE-2026-7%d%02d", n, i) }

// logged are the numbers whose fix the changelog of a kernel adds: it is cut.
func logged(n int) []string {
	return slices.DeleteFunc(kernelFixes(n), func(c string) bool { return n > 0 && strings.HasPrefix(c, "CVE-2026-800") })
}

// changelog is that of a kernel.
func changelog(n int) string {
	text := "* Mon Jan 05 2026 - geeko@example.com\n"
	for i, form := range []string{"Update patches.suse/x.patch (%s).", "blacklist.conf: %s is not for us", "Delete patches.suse/y.patch (%s).", "Revert \"usb: z\" (%s).", "Refresh patches.suse/x.patch (%s)"} {
		text += "- " + fmt.Sprintf(form, decoy(n, i)) + "\n"
	}
	for _, c := range logged(n) {
		text += "- net: fix a use after free (bsc#1 " + c + ").\n"
	}
	return text + "- y: something (" + decoy(n, 2) + ").\n- usb: z (" + decoy(n, 3) + ").\n"
}

// numbers are all that may be asked for.
func (v *vendor) numbers() []string {
	all := map[string]bool{"CVE-2020-0001": true}
	for _, a := range v.list {
		for _, c := range a.cves {
			all[c] = true
		}
	}
	for n := range kernels {
		for _, c := range kernelFixes(n) {
			all[c] = true
		}
		for i := range 5 {
			all[decoy(n, i)] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// has is what a server shows at a time.
func (s *server) has(v *vendor, at time.Time) (list []listing) {
	if !s.frozen.IsZero() && s.frozen.Before(at) {
		at = s.frozen
	}
	for _, a := range v.list {
		if s.takes(a) && !s.withdrew[a.id] && !a.issued.Add(s.lag).After(at) {
			list = append(list, listing{a, !a.retracted.IsZero() && !a.retracted.Add(s.lag).After(at)})
		}
	}
	return list
}

// updateInfo is the updateinfo.xml of what a server shows.
func updateInfo(list []listing) string {
	var b strings.Builder
	b.WriteString("<updates>\n")
	for _, l := range list {
		status, version, date := "stable", 1, fmt.Sprint(l.issued.Unix())
		if l.retracted {
			status, version = "retracted", 2
		}
		if l.dayOnly {
			date = l.issued.Format(time.DateTime)
		}
		fmt.Fprintf(&b, `<update from="x" status="%s" type="security" version="%d"><id>%s</id><title>Security update</title><severity>%s</severity><issued date="%s"/><references>`,
			status, version, l.id, l.severity, date)
		for _, c := range l.cves {
			fmt.Fprintf(&b, `<reference type="cve" id="%s"/>`, c)
		}
		b.WriteString("</references><pkglist><collection>")
		for _, p := range l.pkgs {
			name, evr, _ := strings.Cut(p, " ")
			version, release, _ := strings.Cut(evr, "-")
			fmt.Fprintf(&b, `<package name="%s" version="%s" release="%s" arch="x86_64"/>`, name, version, release)
		}
		b.WriteString("</collection></pkglist></update>\n")
	}
	return b.String() + "</updates>\n"
}

func kernelIndex(p record.Package) int { return slices.Index(kernels, p.Version) }
