package lives

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/releases"
	"github.com/klp-audit/klp-audit/record"
)

// repo is a repository as a host has it: how it is set up, and what libzypp has in its cache.
type repo struct {
	*server
	alias     string
	enabled   bool
	refreshes bool
	refreshed time.Time // by the wall clock; zero: never
	cache     []listing
	damaged   bool
}

// look is what an observation could see of the repositories.
type look struct {
	event string // id of the observation
	at    time.Time
	seen  time.Time // when what it found was on record
	repos []repo    // enabled ones
	kept  bool      // what it found came on record
	heard bool      // what it did not find any more did
}

func (l *life) addRepos() {
	for _, s := range l.vendor.servers {
		if s.alias == "mirror" && l.chance(0.6) {
			continue
		}
		l.repos = append(l.repos, &repo{server: s, alias: s.alias, enabled: true, refreshes: true})
	}
	if l.meets("repository frozen", 0.5) {
		l.vendor.servers[l.IntN(3)].frozen = l.now.Add(-95 * 24 * time.Hour)
	}
	if l.meets("repository never refreshed", 1) {
		l.repos[l.IntN(len(l.repos))].refreshes = false
	}
	l.refresh()
}

// refresh is `zypper refresh`.
func (l *life) refresh() {
	for _, r := range l.repos {
		if r.enabled && r.refreshes {
			r.refreshed, r.cache, r.damaged = l.wall().Truncate(time.Second), r.server.has(l.vendor, l.now), false
		}
	}
}

// cloneRepos are the repositories of a host, to be kept.
func cloneRepos(list []*repo) (copies []*repo) {
	for _, r := range list {
		c := *r
		copies = append(copies, &c)
	}
	return copies
}

// writeRepos writes them as libzypp has them.
func (r *recorder) writeRepos(dir string) error {
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			panic(err)
		}
	}
	write("etc/zypp/zypp.conf", "[main]\n")
	conf := ""
	for _, p := range r.repos {
		conf += fmt.Sprintf("[%s]\nenabled=%d\n", p.alias, map[bool]int{true: 1}[p.enabled])
		if p.refreshed.IsZero() {
			continue
		}
		text := updateInfo(p.cache)
		if p.damaged {
			text = text[:len(text)/2]
		}
		folder := "var/cache/zypp/raw/" + p.alias + "/repodata/"
		write(folder+"u.xml", text)
		write(folder+"repomd.xml", `<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="updateinfo"><location href="repodata/u.xml"/></data></repomd>`)
		if err := os.Chtimes(filepath.Join(dir, folder, "repomd.xml"), p.refreshed, p.refreshed); err != nil {
			return err
		}
	}
	write("etc/zypp/repos.d/all.repo", conf)
	return nil
}

// readOffer asks the product what the repositories offer.
func (r *recorder) readOffer(installed []record.Package, known *record.Releases) *releases.Offer {
	dir, err := os.MkdirTemp(shm(), "repos")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := r.writeRepos(dir); err != nil {
		panic(err)
	}
	offer, err := releases.Read(context.Background(), dir, installed, releases.Before{Known: known})
	if err != nil {
		panic(err)
	}
	return offer
}

// news notes what repositories offer, and installed kernels fix, in an observation, and returns what of it is new.
func (r *recorder) news(o *record.Observation) (news []*record.Release) {
	if o.Trigger == record.TriggerCommit {
		return nil
	}
	r.see("repositories", o, func() {})
	if r.unread["repositories"] {
		return nil
	}
	var rows []record.ReleaseRow
	for _, ev := range r.events {
		if ev.Release != nil {
			rows = append(rows, record.ReleaseRow{Release: ev.Release})
		}
	}
	known := record.NewReleases(rows)
	offer := r.readOffer(o.Installed, known)
	says(o, offer.Repositories)
	if r.spooled {
		return nil
	}
	var list []releases.Kernel
	for _, p := range o.Installed {
		if _, is := known.Kernels[record.KernelInstance{Package: p.NEVRA(), BuildTime: p.BuildTime}]; !is && !isPatch(p) {
			list = append(list, releases.KernelOf(p, changelog(kernelIndex(p))))
		}
	}
	return releases.News(offer, list, known)
}

// looked notes what an observation could see of them, and writes down what is new.
func (r *recorder) looked(o *record.Event, news []*record.Release) {
	if o.Observation.Parts[record.PartRepositories] == nil {
		return
	}
	k := look{event: o.ID, at: o.Time.Time, kept: !r.spooled && o.Observation.Installed != nil, heard: !r.spooled}
	for _, p := range r.repos {
		if p.enabled {
			c := *p
			c.cache = slices.Clone(p.cache)
			k.repos = append(k.repos, c)
		}
	}
	for _, payload := range news {
		r.wait(r.between(time.Millisecond, 50*time.Millisecond))
		r.write(&record.Event{Header: r.header(record.KindRelease), Release: payload})
	}
	k.seen = r.wall()
	r.looks = append(r.looks, k)
}

// What happens to repositories and advisories.

func (l *life) someRepo() *repo { return l.repos[l.IntN(len(l.repos))] }

// leaveStale has a repository not refreshed any more, or again.
func (l *life) leaveStale() {
	r := l.someRepo()
	if r.refreshes = !r.refreshes; !r.refreshes && l.chance(0.6) {
		l.pass(l.between(7*24*time.Hour, 11*24*time.Hour))
	}
}

func (l *life) freeze() {
	if s := l.someRepo().server; s.frozen.IsZero() {
		s.frozen = l.now
	} else {
		s.frozen = time.Time{}
	}
}

func (l *life) switchRepo() {
	r := l.someRepo()
	r.enabled = !r.enabled
}

// renameRepo has a repository disappear, and mostly come back by another name, perhaps before it is refreshed.
func (l *life) renameRepo() {
	i := l.IntN(len(l.repos))
	old := l.repos[i]
	if l.chance(0.3) && len(l.repos) > 2 {
		l.repos = slices.Delete(slices.Clone(l.repos), i, i+1)
		return
	}
	l.number++
	r := &repo{server: old.server, alias: fmt.Sprintf("%s-%d", old.server.alias, l.number), enabled: true, refreshes: true}
	l.repos[i] = r
	if l.chance(0.5) {
		l.refresh()
	}
}

func (l *life) damageRepo() {
	if r := l.someRepo(); !r.refreshed.IsZero() {
		r.damaged = true
	}
}

// retract takes an advisory back, mostly the newest.
func (l *life) retract() {
	list := l.vendor.list
	a := list[len(list)-1]
	if l.chance(0.5) {
		a = list[l.IntN(len(list))]
	}
	if a.retracted.IsZero() {
		a.retracted = l.now
	}
}

func (l *life) withdraw() {
	s := l.someRepo().server
	if has := s.has(l.vendor, l.now); len(has) > 0 {
		s.withdrew[has[l.IntN(len(has))].id] = true
	}
}

// release has the vendor release something: a live patch of one kernel or several, or a kernel.
func (l *life) release() {
	v := l.vendor
	all := v.released()
	next := slices.IndexFunc(kernels, func(k string) bool {
		return k != kernels[ptf] && !slices.Contains(all, releaseOf(record.Package{Name: "kernel-default", Version: k}))
	})
	var a *advisory
	switch {
	case next > 0 && (l.chance(0.3) || l.has["live patches in one notice"] && len(all) == 1):
		a = v.issueKernel(l.now, next)
	case len(all) > 1 && l.meets("live patches in one notice", 0.9):
		a = v.issuePatch(l.now, all...)
	default:
		a = v.issuePatch(l.now, all[l.IntN(len(all))])
	}
	l.lie(a)
}

// lie adds to the list of an advisory what its packages do not fix.
func (l *life) lie(a *advisory) {
	if !l.meets("advisory names too much", 0.4) {
		return
	}
	l.number++
	more := fmt.Sprintf("CVE-2026-6%03d", l.number%1000)
	if l.chance(0.5) {
		more = cve(releaseOf(kernelPackage(0)), 2+l.IntN(8))
	}
	a.cves = slices.Compact(slices.Sorted(slices.Values(append(a.cves, more))))
}

// releaseOther releases what is for another flavour.
func (l *life) releaseOther() {
	l.number++
	a := l.vendor.issue(l.now, []string{"kernel-rt 6.4.0-150600.10.99.1", "kernel-livepatch-6_4_0-150600_10_99-rt 2-1"}, []string{fmt.Sprintf("CVE-2026-5%03d", l.number%1000), shared(20)})
	if a.another = true; l.chance(0.5) {
		a.pkgs = append(a.pkgs, "kernel-default "+kernels[0]) // all flavours of an old kernel
	}
}

// installPTF installs a kernel that no advisory names.
func (l *life) installPTF() {
	if !slices.ContainsFunc(l.next.pkgs, func(p record.Package) bool { return p.Version == kernels[ptf] }) {
		l.commit([]record.Package{kernelPackage(ptf)}, nil)
	}
	if l.chance(0.5) {
		l.pass(l.pause())
		if l.boot != nil {
			l.reboot()
		}
	}
}
