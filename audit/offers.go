package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// StaleAfter is how old the answer of a repository may be that is believed to be silent, and FrozenAfter how old its
// newest advisory may be.
const (
	StaleAfter  = 7 * 24 * time.Hour
	FrozenAfter = 90 * 24 * time.Hour
)

// Offers are what the vendor had released by a moment, as far as the record tells.
type Offers struct {
	at    time.Time
	now   time.Time // the same, or the last thing on record where all of it was asked for
	rows  []record.ReleaseRow
	all   *record.Releases // by the whole record
	list  []Offered        // advisories that had been issued, in the order of their repositories and ids
	repos record.Repositories
	// Looked is the observation that read the repositories last; nil: none did.
	Looked    *record.Part[record.Repositories]
	byRelease map[string][][]string // lists of what kernels fix by themselves, as far as it was asked
}

// Offered is an advisory at a moment.
type Offered struct {
	record.Released
	Event    int64 // that has it in this form
	Packages []Brought
	CVEs     []string
	Not      NotOffered       // why what it brings is not on offer; empty: it is
	From     record.Timestamp // since when it counts: it was issued, or seen if that was before
	Seen     int64            // event that has it first
}

// Brought is a package that an advisory brings.
type Brought struct{ Name, Version string }

// NotOffered says why what an advisory brings was not on offer.
type NotOffered string

// The reasons.
const (
	OfferRetracted NotOffered = "retracted"      // the vendor took the advisory back
	OfferWithdrawn NotOffered = "withdrawn"      // its repository does not have it any more
	OfferOff       NotOffered = "repository-off" // its repository is not enabled, or gone
)

// ReadOffers reads what had been released by a moment: by the whole record, as advisories say when they were issued.
func ReadOffers(ctx context.Context, s Reader, at time.Time) (*Offers, error) {
	rows, err := s.Releases(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading release events: %w", err)
	}
	_, last, err := s.Extent(ctx)
	if err != nil {
		return nil, err
	}
	o := &Offers{at: at, now: at, rows: rows, all: record.NewReleases(rows), byRelease: map[string][][]string{}}
	if !at.Before(record.Always()) {
		o.now = last.Time
		if len(rows) > 0 { // which come after the observation that they are of
			o.now = later(last, rows[len(rows)-1].Time).Time
		}
	}
	// The newest part is looked for however old it is: it says how old what it tells of is.
	until := earlier(last, record.At(at)).Time
	if o.Looked, err = NewestPart[record.Repositories](ctx, s, until.AddDate(-1, 0, 0), until); err != nil {
		return nil, err
	}
	if o.Looked != nil {
		if o.repos, err = o.Looked.Value(); err != nil {
			o.Looked = nil // another program's: not known
		}
	}
	o.readForms()
	return o, nil
}

// readForms finds the form that each advisory had at the moment: the newest one on record by then. One that came on
// record later counts as it was seen first.
func (o *Offers) readForms() {
	forms := map[record.AdvisoryKey]*Offered{}
	for _, row := range o.rows {
		later := row.Time.After(o.at)
		for _, a := range row.Advisories {
			old := forms[a.Key()]
			if old == nil {
				forms[a.Key()] = &Offered{Released: a, Event: row.Event, From: from(&a, row.Time), Seen: row.Event}
			} else if !later {
				*old = Offered{Released: a, Event: row.Event, From: earlier(old.From, from(&a, row.Time)), Seen: old.Seen}
			}
		}
		for _, key := range row.Withdrawn {
			if f := forms[key]; f != nil && !later {
				f.Not = OfferWithdrawn
			}
		}
	}
	for _, f := range forms {
		if f.From.After(o.now) {
			continue
		}
		f.CVEs, _ = o.all.List(f.Released.CVEs)
		packages, _ := o.all.List(f.Released.Packages)
		for _, text := range packages {
			name, version, _ := strings.Cut(text, " ")
			f.Packages = append(f.Packages, Brought{name, version})
		}
		f.Not = o.notOffered(f)
		o.list = append(o.list, *f)
	}
	slices.SortFunc(o.list, func(a, b Offered) int { return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.ID, b.ID)) })
}

// from is since when an advisory counts that an event has: since it was issued. Of one of which only the day is known
// that is certain from the end of the day on. What was seen had been issued.
func from(a *record.Released, seen record.Timestamp) record.Timestamp {
	switch {
	case a.Issued == nil:
		return seen
	case a.DayOnly:
		return earlier(record.At(a.Issued.Add(24*time.Hour)), seen)
	}
	return earlier(*a.Issued, seen)
}

// notOffered says why what an advisory brings is not on offer. That its repository is off shows only a look after the one
// that found it there.
func (o *Offers) notOffered(f *Offered) NotOffered {
	switch {
	case f.Status == record.StatusRetracted:
		return OfferRetracted
	case f.Not != "":
		return f.Not
	case o.Looked != nil && o.Looked.Event > f.Seen && !slices.ContainsFunc(o.repos, func(r record.Repository) bool { return r.Alias == f.Repo }):
		return OfferOff
	}
	return ""
}

// Known says whether anybody looked for what was released.
func (o *Offers) Known() bool { return len(o.rows) > 0 || o.Looked != nil }

// All are the advisories that had been issued, those that are not on offer included.
func (o *Offers) All() []Offered { return o.list }

// Repositories are the enabled ones that offer kernels or live patches, or ever did, as they were looked at last. Of one
// that was never refreshed, or cannot be read, that is not known: it counts where no other one does.
func (o *Offers) Repositories() record.Repositories {
	offers := func(r record.Repository) bool { return r.Offers || o.all.Had[r.Alias] }
	if !slices.ContainsFunc(o.repos, offers) {
		return o.repos
	}
	return slices.DeleteFunc(slices.Clone(o.repos), func(r record.Repository) bool { return !offers(r) })
}

// Off are the repositories that had advisories for this machine, and are not enabled any more.
func (o *Offers) Off() (aliases []string) {
	for _, f := range o.list {
		if f.Not == OfferOff && !slices.Contains(aliases, f.Repo) {
			aliases = append(aliases, f.Repo)
		}
	}
	return aliases
}

// Stale says why what is not on offer may have been released all the same; empty: nothing says so.
func (o *Offers) Stale() string {
	if o.Looked == nil {
		return "Nobody has looked at the repositories' metadata."
	}
	for _, r := range o.Repositories() {
		alias := say.Printable(r.Alias)
		newest, err := time.Parse(time.DateOnly, r.Newest)
		switch {
		case r.Problem != "":
			return fmt.Sprintf("The metadata of repository %s cannot be read.", alias)
		case r.Refreshed == nil:
			return fmt.Sprintf("Repository %s was never refreshed.", alias)
		case o.now.Sub(r.Refreshed.Time) > StaleAfter:
			return fmt.Sprintf("Repository %s was refreshed last on %s.", alias, r.Refreshed.ShortDay())
		case err == nil && o.now.Sub(newest) > FrozenAfter:
			return fmt.Sprintf("The newest advisory of repository %s is of %s.", alias, r.Newest)
		}
	}
	return ""
}

// listsOf gives the numbers that kernels fix by themselves, list by list, and the event that says so: by their changelogs,
// and by the advisories that brought them, if the vendor did not take those back.
func (o *Offers) listsOf(is func(record.KernelFixes) bool, brings func(Brought) bool, found func(cves []string, event int64)) {
	for _, row := range o.rows {
		for _, k := range row.Kernels {
			if is(k) {
				cves, _ := o.all.List(k.CVEs)
				found(cves, row.Event)
			}
		}
	}
	for _, f := range o.list {
		if f.Status != record.StatusRetracted && slices.ContainsFunc(f.Packages, brings) {
			found(f.CVEs, f.Event)
		}
	}
}

func note(events map[string]int64, cves []string, event int64) {
	for _, cve := range cves {
		if events[cve] == 0 {
			events[cve] = event
		}
	}
}

// fixedByPackage are the numbers that one kernel package fixes by itself.
func (o *Offers) fixedByPackage(p record.Package) map[string]int64 {
	fixed := map[string]int64{}
	o.listsOf(func(k record.KernelFixes) bool { return k.Package == p.NEVRA() }, func(b Brought) bool { return b == Brought{p.Name, p.Version} },
		func(cves []string, event int64) { note(fixed, cves, event) })
	return fixed
}

// hasItself says whether a kernel of a release fixes a number by itself.
func (o *Offers) hasItself(release, cve string) bool {
	if release == "" {
		return false // a live patch is no kernel of any release
	}
	lists, read := o.byRelease[release]
	if !read {
		o.listsOf(func(k record.KernelFixes) bool { return k.Release == release }, func(p Brought) bool { return releaseOf(p) == release },
			func(cves []string, _ int64) { lists = append(lists, cves) })
		o.byRelease[release] = lists
	}
	return slices.ContainsFunc(lists, func(cves []string) bool { _, has := slices.BinarySearch(cves, cve); return has })
}

// releaseOf is the release of a kernel that a package is; empty: it is none, or does not tell.
func releaseOf(p Brought) string {
	v, err := rpmversion.Parse(p.Version)
	if err != nil {
		return ""
	}
	release, _ := livepatch.KernelRelease(p.Name, v.Version, v.Release)
	return release
}

// Module is the kernel module of a package of a live patch; empty: it is none.
func (b Brought) Module() string {
	if _, is := livepatch.KernelFor(b.Name); !is {
		return ""
	}
	return moduleOfPackage(b.Name, b.Version)
}

// IsPatchFor says whether a package has live patches for a kernel.
func IsPatchFor(name, release string) bool {
	kernel, ok := livepatch.KernelFor(name)
	return ok && kernel == release
}

func notOfferedText(a *Offered) string {
	return map[NotOffered]string{
		OfferRetracted: "retracted: the vendor took its advisory back.",
		OfferWithdrawn: "withdrawn: its repository does not have its advisory any more.",
		OfferOff:       "repository-off: repository " + say.Printable(a.Repo) + ", which has its advisory, is not enabled, or gone.",
	}[a.Not]
}
