package lives

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// sighting is an advisory in a repository, as looks that are on record found it, by a time.
type sighting struct {
	listing
	repo  string
	first look
	noted time.Time // when it came on record: some installed kernel had a use for it
	gone  bool      // the repository shows it no more
	off   bool      // the repository is not enabled, or gone
}

// onRecord are the looks whose observation is on record, by their time.
func (l *life) onRecord() (list []look) {
	for _, k := range l.looks {
		if slices.ContainsFunc(l.events, func(ev *record.Event) bool { return ev.ID == k.event }) {
			list = append(list, k)
		}
	}
	return list
}

// lookAt is the newest look up to a time; nil: there is none.
func (l *life) lookAt(at time.Time) (newest *look) {
	for _, k := range l.onRecord() {
		if !k.at.After(at) {
			newest = &k
		}
	}
	return newest
}

func (k *look) repo(alias string) *repo {
	if i := slices.IndexFunc(k.repos, func(r repo) bool { return r.alias == alias }); i >= 0 {
		return &k.repos[i]
	}
	return nil
}

// read says whether a look could read a repository.
func (r *repo) read() bool { return r != nil && !r.damaged && !r.refreshed.IsZero() }

// sightings are the advisories that had been issued by a time, as looks up to then found them last; those that
// only later ones did, as they found them first.
func (l *life) sightings(at time.Time) (list []*sighting) {
	found := map[string]*sighting{}
	newest := l.lookAt(at)
	for _, k := range l.onRecord() {
		for i := range k.repos {
			r := &k.repos[i]
			for _, shown := range r.cache {
				if !shown.recorded() {
					continue
				}
				key := r.alias + " " + shown.id
				if s := found[key]; r.read() && k.kept && (s == nil || !k.seen.After(at)) {
					if s == nil {
						s = &sighting{repo: r.alias, first: k}
						found[key] = s
						list = append(list, s)
					}
					s.listing = shown
					if s.noted.IsZero() && l.wants(&k, shown.advisory) {
						s.noted = k.seen
					}
				}
			}
			for _, s := range found {
				if s.repo == r.alias && r.read() && k.heard && !k.seen.After(at) {
					s.gone = !slices.ContainsFunc(r.cache, func(shown listing) bool { return shown.id == s.id })
				}
			}
		}
	}
	for _, s := range list {
		s.off = newest != nil && newest.at.After(s.first.at) && newest.repo(s.repo) == nil
	}
	return slices.DeleteFunc(list, func(s *sighting) bool {
		return s.certain().After(at) && s.first.seen.After(at)
	})
}

// recorded says whether it is one that may come on record: for kernels that hosts have.
func (a *advisory) recorded() bool {
	return slices.ContainsFunc(kernels, func(k string) bool {
		release := releaseOf(record.Package{Name: "kernel-default", Version: k})
		return a.patchFor(release) > 0 || slices.Contains(a.pkgs, "kernel-default "+k)
	})
}

// names says whether the vendor says that it fixes a number.
func (a *advisory) names(cve string) bool { return slices.Contains(a.cves, cve) }

// wants says whether a kernel that a look found installed has a use for an advisory.
func (l *life) wants(k *look, a *advisory) bool {
	i := slices.IndexFunc(l.events, func(ev *record.Event) bool { return ev.ID == k.event })
	return slices.ContainsFunc(l.events[i].Observation.Installed, func(p record.Package) bool {
		return p.Kind == record.PackageKernel && (a.patchFor(releaseOf(p)) > 0 || a.kernelFrom(releaseOf(p)))
	})
}

// since is from when on it is known to have been issued.
func (s *sighting) since() time.Time {
	if c := s.certain(); s.noted.IsZero() || c.Before(s.noted) {
		return c
	}
	return s.noted
}

// offers says whether it is on offer.
func (s *sighting) offers() bool { return !s.retracted && !s.gone && !s.off }

// patchFor is the level of the live patch that it brings for a kernel; 0: none.
func (a *advisory) patchFor(release string) (n int) {
	name := patchPackage(release, 1).Name
	for _, p := range a.pkgs {
		if version, ok := strings.CutPrefix(p, name+" "); ok {
			n = level(version)
		}
	}
	return n
}

// kernelFrom says whether it brings a kernel, or a newer one.
func (a *advisory) kernelFrom(release string) bool {
	return slices.Contains(a.pkgs, "kernel-default "+kernels[kernelNumber(release)]) || a.newerKernel(release)
}

// newerKernel says whether it brings a newer kernel than one.
func (a *advisory) newerKernel(release string) bool {
	return slices.ContainsFunc(a.pkgs, func(p string) bool {
		version, ok := strings.CutPrefix(p, "kernel-default ")
		return ok && slices.Index(kernels, version) > kernelNumber(release)
	})
}

// openings says how a number stood at a time, by what looks could see.
type openings struct {
	*life
	at    time.Time
	cve   string
	all   []*sighting // that name it
	begin time.Time   // of the record
	stale bool        // something on offer may not have been seen
}

func (l *life) openings(at time.Time, cve string, all []*sighting) *openings {
	o := &openings{life: l, at: at, cve: cve}
	for _, s := range all {
		if s.names(cve) {
			o.all = append(o.all, s)
		}
	}
	return o
}

func (o *openings) any(is func(*sighting) bool) bool { return slices.ContainsFunc(o.all, is) }

// kernelHas says whether a kernel fixes it by itself: by its changelog, or by an advisory that was not taken back.
func (o *openings) kernelHas(release string) bool {
	n := kernelNumber(release)
	return n >= 0 && (slices.Contains(logged(n), o.cve) && o.hasChangelog(release) || o.any(func(s *sighting) bool {
		return !s.retracted && slices.Contains(s.pkgs, "kernel-default "+kernels[n])
	}))
}

// hasChangelog says whether the changelog of a kernel came on record.
func (l *life) hasChangelog(release string) bool {
	return slices.ContainsFunc(l.events, func(ev *record.Event) bool {
		return ev.Release != nil && slices.ContainsFunc(ev.Release.Kernels, func(k record.KernelFixes) bool { return k.Release == release })
	})
}

// patched says whether all tasks have it by the live patch.
func (o *openings) patched(m moment) bool {
	return m.boot != "" && slices.Contains(fixesOf(m.kernel, m.fixes()).CVEs, o.cve)
}

// fixed says whether the host had it.
func (o *openings) fixed(m moment) bool {
	return m.boot != "" && (o.patched(m) || o.kernelHas(m.kernel))
}

// installedLevel is that of the installed live patch of the running kernel.
func installedLevel(m moment) int { return level(m.loaded) }

// hasKernel says whether a kernel is installed.
func (m moment) hasKernel(version string) bool {
	return slices.Contains(strings.Fields(m.installed), "kernel-default-"+version)
}

// onOffer says whether a live patch for the running kernel is on offer that is newer than the installed one.
func (o *openings) onOffer(m moment) bool {
	return o.any(func(s *sighting) bool { return s.offers() && s.patchFor(m.kernel) > max(1, installedLevel(m)) })
}

// staleAt says whether something on offer may not have been seen at a time.
func (l *life) staleAt(at time.Time) bool {
	k := l.lookAt(at)
	return k == nil || slices.ContainsFunc(l.offering(k), func(r repo) bool { return r.isStale(at, audit.StaleAfter, audit.FrozenAfter) })
}

// isStale says whether a repository may not show what was released.
func (r *repo) isStale(at time.Time, stale, frozen time.Duration) bool {
	return !r.read() || at.Sub(r.refreshed) > stale || at.Sub(r.newestDay()) > frozen
}

// newestDay is that of its newest advisory; it is in the distant future where there is none.
func (r *repo) newestDay() (day time.Time) {
	for _, s := range r.cache {
		if s.issued.After(day) {
			day = s.issued
		}
	}
	if day.IsZero() {
		return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return day.Truncate(24 * time.Hour)
}

// offering are the enabled repositories that have kernels or live patches, or ever had; if there are none, those of which
// that is not known. A look does not tell of one that it could read, which had none, and of which no earlier look knew any.
func (l *life) offering(k *look) (list []repo) {
	had := func(by time.Time) map[string]bool {
		had := map[string]bool{}
		for _, s := range l.sightings(by) {
			had[s.repo] = had[s.repo] || s.brings("kernel-") && !s.first.seen.After(by)
		}
		return had
	}
	ever, before := had(l.now.AddDate(1, 0, 0)), had(k.seen)
	has := func(r repo) bool {
		offers := r.read() && slices.ContainsFunc(r.cache, func(s listing) bool { return s.brings("kernel-") })
		return offers || ever[r.alias] && (before[r.alias] || !r.read())
	}
	for _, r := range k.repos {
		if has(r) {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		list = slices.DeleteFunc(slices.Clone(k.repos), func(r repo) bool { return r.read() })
	}
	return list
}

// askOpen asks how numbers stood at a moment.
func (p *product) askOpen(l *life, at time.Time) (a *answers, err error) {
	defer recovered(&err)
	t, err := audit.TimelineUntil(p.ctx, p.record, at)
	if err != nil {
		return nil, err
	}
	list, err := audit.NewExposures(p.ctx, p.record, t, at, l.vendor.numbers())
	if err != nil {
		return nil, err
	}
	a = &answers{at: t.To.Add(-time.Microsecond), unknown: map[string]bool{}}
	if !l.sound() {
		return a, nil
	}
	all := l.sightings(at)
	begin, _, err := p.record.Extent(p.ctx)
	if err != nil {
		return nil, err
	}
	running, staleNow := l.at(a.at), l.staleAt(at)
	for _, e := range list {
		o := l.openings(at, e.CVE, all)
		o.begin, o.stale = begin.Time, staleNow
		if e.KernelRelease != "" && e.KernelRelease == running.kernel {
			a.open(o, e)
			a.decidedOpen(o, e)
		}
	}
	return a, nil
}

// open checks what is said of a number in the running kernel.
func (a *answers) open(o *openings, e audit.Exposure) {
	why, _, _ := strings.Cut(e.Reason, ":")
	if e.Package != "" {
		why = "" // it may have a time
	}
	says := fmt.Sprintf("%s %s %s %s", e.CVE, e.Status, e.Package, why)
	if o.byDay(e.CVE) {
		says += byDay
	}
	part := string(e.Status)
	here := func(is func(m moment) bool) func(moment) bool {
		return func(m moment) bool { return m.changing || m.kernel == e.KernelRelease && is(m) }
	}
	open := func(m moment) bool { return !o.fixed(m) || m.moving != "" }
	var is func(m moment) bool
	switch e.Status {
	case audit.StatusFixed:
		is = func(m moment) bool {
			return o.kernelHas(m.kernel) || o.patched(m) || m.undoing && slices.Contains(fixesOf(m.kernel, level(m.moving)).CVEs, o.cve)
		}
	case audit.StatusAvailable:
		is = func(m moment) bool { return open(m) && o.onOffer(m) }
	case audit.StatusNeedsKernel:
		is = func(m moment) bool {
			return open(m) && o.any(func(s *sighting) bool { return s.offers() && s.newerKernel(m.kernel) })
		}
	case audit.StatusInstalled:
		if e.ByKernel() {
			is = func(m moment) bool {
				return open(m) && m.hasKernel(e.Version) && o.kernelHas(releaseOf(record.Package{Name: "kernel-default", Version: e.Version}))
			}
		}
	case audit.StatusNotInRecord:
		is = func(m moment) bool {
			return !o.fixed(m) && !o.any(func(s *sighting) bool { return s.patchFor(m.kernel) > 0 || s.kernelFrom(m.kernel) }) && !o.stale
		}
	case audit.StatusUnknown:
		part, is = o.unknown(e)
	}
	if is != nil {
		a.add("open", part, says, e.Inferred, here(is))
	}
	if e.OnOffer != nil && e.Status != audit.StatusAvailable {
		a.add("open", "on offer", says, e.Inferred, here(o.onOffer))
	}
	if e.OpenSince != nil && e.Status != audit.StatusLost {
		a.openSince(o, e, says)
	}
}

// byDay says of a claim that it may follow from a day alone, which is another one where the life was lived later.
const byDay = " by day"

func (o *openings) byDay(cve string) bool {
	return slices.ContainsFunc(o.vendor.list, func(a *advisory) bool { return a.dayOnly && a.names(cve) })
}

// unknown checks why a number is said to be unknown.
func (o *openings) unknown(e audit.Exposure) (part string, is func(moment) bool) {
	why, _, _ := strings.Cut(e.Reason, ":")
	fact := map[string]func(moment) bool{
		"retracted":      func(moment) bool { return o.any(func(s *sighting) bool { return s.retracted }) },
		"withdrawn":      func(moment) bool { return o.any(func(s *sighting) bool { return s.gone }) },
		"repository-off": func(moment) bool { return o.any(func(s *sighting) bool { return s.off }) },
		"stale":          func(moment) bool { return o.stale },
		"other-flavour": func(m moment) bool {
			return !o.any(func(s *sighting) bool { return s.patchFor(m.kernel) > 0 || s.brings("kernel-default ") })
		},
	}[why]
	if fact == nil {
		return "unknown", nil
	}
	return "unknown " + why, fact
}

// openSince checks since when a number is said to be open: it was, all the time since, and it was issued by then; and not before.
func (a *answers) openSince(o *openings, e audit.Exposure, says string) {
	since := e.OpenSince.Time
	var issued, certain, fixed time.Time
	for _, s := range o.all {
		if e.ByKernel() != s.newerKernel(e.KernelRelease) || !e.ByKernel() && s.patchFor(e.KernelRelease) < 2 {
			continue
		}
		if issued.IsZero() || s.issued.Before(issued) {
			issued = s.issued
		}
		if s.retracted {
			continue
		}
		if certain.IsZero() || s.since().Before(certain) {
			certain = s.since()
		}
	}
	for i, m := range o.history {
		if m.from.Before(a.at.Add(-slack)) && i+1 < len(o.history) && o.fixed(m) {
			fixed = o.history[i+1].from
			if n := slices.IndexFunc(o.history[i+1:], func(m moment) bool { return m.boot != "" }); n >= 0 {
				fixed = o.history[i+1+n].from
			}
		}
	}
	a.add("open", "since", says, e.Inferred, func(m moment) bool {
		return m.changing || !since.After(a.at.Add(slack)) && !since.Before(issued.Add(-slack)) && !since.Before(fixed.Add(-time.Second))
	}, since)
	if certain.IsZero() {
		return // no look up to then has it; that its package was installed tells
	}
	latest := o.begin
	for _, at := range []time.Time{certain, fixed} {
		if at.After(latest) {
			latest = at
		}
	}
	a.add("open", "not since later", says, e.Inferred,
		func(m moment) bool { return m.changing || !since.After(latest.Add(time.Second)) }, since)
}
