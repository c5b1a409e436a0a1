package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
)

// StaleAfter is how old the answer of a repository may be that is believed to be silent.
const StaleAfter = 7 * 24 * time.Hour

// Offers are what the vendor had released by a moment, as far as the record tells.
type Offers struct {
	at    time.Time
	now   time.Time // the same, or the last thing on record where all of it was asked for
	rows  []record.ReleaseRow
	all   *record.Releases // by the whole record
	list  []Offered        // advisories that had been issued, in the order of their repositories and ids
	repos record.Repositories
	// Looked is the observation that read the repositories last; nil: none did.
	Looked *record.Part[record.Repositories]
}

// Offered is an advisory at a moment.
type Offered struct {
	record.Released
	Event    int64 // that has it in this form
	Packages []Brought
	CVEs     []string
	Not      NotOffered // why what it brings is not on offer; empty: it is
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
	o := &Offers{at: at, now: at, rows: rows, all: record.NewReleases(rows)}
	if !at.Before(record.Always()) {
		o.now = last.Time
	}
	// The newest part on record is looked for, however long ago: it says how old it is.
	until := earlier(last, record.At(at)).Time
	if o.Looked, err = NewestPart[record.Repositories](ctx, s, until.AddDate(0, -1, 0), until); err != nil {
		return nil, err
	}
	if o.Looked != nil {
		o.repos, err = o.Looked.Value()
		if err != nil {
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
			if forms[a.Key()] == nil || !later {
				forms[a.Key()] = &Offered{Released: a, Event: row.Event}
			}
		}
		for _, key := range row.Withdrawn {
			if f := forms[key]; f != nil && !later {
				f.Not = OfferWithdrawn
			}
		}
	}
	for _, f := range forms {
		if f.issued(o.at) {
			f.CVEs = o.all.Lists[f.Released.CVEs]
			for _, text := range o.all.Lists[f.Released.Packages] {
				name, version, _ := strings.Cut(text, " ")
				f.Packages = append(f.Packages, Brought{name, version})
			}
			f.Not = cmp.Or(f.Not, o.notOffered(f))
			o.list = append(o.list, *f)
		}
	}
	slices.SortFunc(o.list, func(a, b Offered) int { return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.ID, b.ID)) })
}

// issued says whether an advisory had been issued by a moment. Of one of which only the day is known, that is certain
// from the end of the day on; one without a date counts.
func (f *Offered) issued(at time.Time) bool {
	switch {
	case f.Issued == nil:
		return true
	case f.DayOnly:
		return !f.Issued.Add(24 * time.Hour).After(at)
	}
	return !f.Issued.After(at)
}

func (o *Offers) notOffered(f *Offered) NotOffered {
	switch {
	case f.Status == record.StatusRetracted:
		return OfferRetracted
	case o.Looked != nil && !slices.ContainsFunc(o.repos, func(r record.Repository) bool { return r.Alias == f.Repo }):
		return OfferOff
	}
	return ""
}

// Known says whether anybody looked for what was released.
func (o *Offers) Known() bool { return len(o.rows) > 0 || o.Looked != nil }

// Repositories are those that offer kernels or live patches, as they were looked at last.
func (o *Offers) Repositories() record.Repositories { return o.repos }

// Stale says why what is not on offer may have been released all the same; empty: nothing says so.
func (o *Offers) Stale() string {
	if o.Looked == nil {
		return "Nobody has looked at the repositories' metadata."
	}
	for _, r := range o.repos {
		switch {
		case r.Problem != "":
			return fmt.Sprintf("The metadata of repository %s cannot be read.", r.Alias)
		case r.Refreshed == nil:
			return fmt.Sprintf("Repository %s was never refreshed.", r.Alias)
		case o.now.Sub(r.Refreshed.Time) > StaleAfter:
			return fmt.Sprintf("Repository %s was refreshed last on %s.", r.Alias, r.Refreshed.Format(time.DateOnly))
		}
	}
	return ""
}

// fixedBy are the numbers that a kernel package fixes by itself, and the event that says so: by its changelog, and by the
// advisories that brought it, if the vendor did not take them back.
func (o *Offers) fixedBy(p Brought, nevra string) map[string]int64 {
	fixed := map[string]int64{}
	for _, row := range o.rows {
		for _, k := range row.Kernels {
			if k.Package == nevra {
				note(fixed, o.all.Lists[k.CVEs], row.Event)
			}
		}
	}
	for _, f := range o.list {
		if f.Status != record.StatusRetracted && slices.Contains(f.Packages, p) {
			note(fixed, f.CVEs, f.Event)
		}
	}
	return fixed
}

func note(events map[string]int64, cves []string, event int64) {
	for _, cve := range cves {
		if events[cve] == 0 {
			events[cve] = event
		}
	}
}

// All are the advisories that had been issued, those that are not on offer included.
func (o *Offers) All() []Offered { return o.list }

// IsPatchFor says whether a package has live patches for a kernel.
func IsPatchFor(name, release string) bool {
	kernel, ok := livepatch.KernelFor(name)
	return ok && kernel == release
}
