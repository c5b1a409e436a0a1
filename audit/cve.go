package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// NewExposures returns the fixes that live patches brought, by kernel, as it stood with them at a
// moment, by all that is on record. The timeline must begin with the record and end at that
// moment, as that of TimelineUntil does. Without ids all are returned. An id that nothing on record
// names is not-in-record, which is not the same as not fixed.
func NewExposures(ctx context.Context, s Reader, t *Timeline, at time.Time, ids []string) ([]Exposure, error) {
	f, err := readFixesUntil(ctx, s, t, at)
	if err != nil {
		return nil, err
	}
	return f.answers(ids)
}

// readFixesUntil reads the fixes of all live patches that were on record by a moment.
func readFixesUntil(ctx context.Context, s Reader, t *Timeline, at time.Time) (*fixRecord, error) {
	names, err := s.LivePatches(ctx, time.Time{}, at) // also those of what stays of a record that was pruned
	if err != nil {
		return nil, fmt.Errorf("reading live patches: %w", err)
	}
	offers, err := ReadOffers(ctx, s, at)
	if err != nil {
		return nil, err
	}
	return readFixes(ctx, s, t, names, offers)
}

// answers follows the numbers, or all that there are.
func (f *fixRecord) answers(ids []string) ([]Exposure, error) {
	list := f.exposures(ids)
	open, err := f.readOpen(list, ids)
	if err != nil {
		return nil, err
	}
	list = f.withAsked(append(list, among(open, ids)...), ids)
	return list, errors.Join(f.accept(list), f.date(list))
}

// among are the rows of some numbers; of all, if there are none.
func among(list []Exposure, ids []string) []Exposure {
	if len(ids) == 0 {
		return list
	}
	return slices.DeleteFunc(list, func(e Exposure) bool { return !slices.Contains(ids, e.CVE) })
}

// ExposuresSince returns the fixes that some live patch packages brought, as NewExposures does, at the moment of the
// offers, but for the packages of other kernels that were removed before a period and not there since; and the kernel
// that ran at the end of the timeline, empty if that is not known. The timeline must begin before the first of the
// packages came.
func ExposuresSince(ctx context.Context, s Reader, t *Timeline, names []string, since time.Time, offers *Offers) (list []Exposure, running string, err error) {
	f, err := readFixes(ctx, s, t, names, offers)
	if err != nil {
		return nil, "", err
	}
	maps.DeleteFunc(f.packages, func(_ string, p *patchHistory) bool { return p.kernel != f.running && p.goneBefore(since) })
	list, err = f.answers(nil)
	return list, f.running, err
}

// accept fills in which exceptions there are: as of the moment of the offers, or of the end of the record if that was
// asked for.
func (f *fixRecord) accept(list []Exposure) error {
	granted, err := ReadExceptions(f.ctx, f.store, f.offers.at, f.offers.now)
	accepted := newAcceptances(granted, f.offers.list)
	for i := range list {
		list[i].Exception = accepted.of(list[i].CVE, list[i].Advisory)
	}
	return err
}

// date fills in since when each fix is known as it is.
func (f *fixRecord) date(list []Exposure) error {
	since := map[int64]*record.Timestamp{} // by event
	for i := range list {
		e := &list[i]
		if len(e.Events) == 0 {
			continue
		}
		last := e.Events[len(e.Events)-1]
		if _, known := since[last]; !known {
			var err error
			if since[last], err = f.store.RecordedAt(f.ctx, e.Events...); err != nil {
				return err
			}
		}
		e.KnownSince = since[last]
	}
	return nil
}

// exposures follows each fix, or those with the ids.
func (f *fixRecord) exposures(ids []string) []Exposure {
	list := []Exposure{}
	for _, name := range slices.Sorted(maps.Keys(f.packages)) {
		p := f.packages[name]
		for _, cve := range slices.SortedFunc(maps.Keys(p.cves()), CompareCVE) {
			if len(ids) == 0 || slices.Contains(ids, cve) {
				list = append(list, p.exposure(cve))
			}
		}
	}
	return list
}

// withAsked adds a row for each number that was asked for, and that nothing on record brings to the running kernel.
func (f *fixRecord) withAsked(list []Exposure, ids []string) []Exposure {
	for _, id := range ids {
		if !slices.ContainsFunc(list, func(e Exposure) bool { return e.CVE == id && e.KernelRelease == f.running }) {
			list = append(list, Exposure{CVE: id, KernelRelease: f.running, Status: StatusNotInRecord, Intervals: []Interval{}, Events: []int64{}})
		}
	}
	slices.SortStableFunc(list, func(a, b Exposure) int {
		return cmp.Or(CompareCVE(a.CVE, b.CVE), cmp.Compare(a.KernelRelease, b.KernelRelease))
	})
	return list
}

// CompareCVE orders CVE numbers, "CVE-2025-9" before "CVE-2025-10".
func CompareCVE(a, b string) int {
	const year = len("CVE-2025-")
	yearA, yearB := a[:min(year, len(a))], b[:min(year, len(b))]
	return cmp.Or(cmp.Compare(yearA, yearB), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// exposure follows one fix.
func (p *patchHistory) exposure(cve string) Exposure {
	first := p.first(cve)
	e := Exposure{
		CVE: cve, KernelRelease: p.kernel, Package: p.name, Version: first.version, Installed: first.installed,
		Advisory: first.advisory, Severity: first.severity, Events: ends(nil, first.event),
	}
	if first.installed != nil {
		e.InstalledBy = &Installation{Event: first.event}
	}
	switch {
	case first.issued != nil && first.onDay:
		e.Released, e.ReleasedBy = first.issued, ReleasedOnDay
	case first.issued != nil:
		e.Released, e.ReleasedBy = first.issued, "advisory"
	case first.built != nil:
		e.Released, e.ReleasedBy = first.built, "build-time"
	}
	c := p.follow(cve)
	if e.Intervals = c.since(p.from); len(c.intervals) > 0 {
		e.Active, e.Events = &c.intervals[0].From, ends(e.Events, c.events...)
	}
	if seen := p.seenActive(cve); seen != nil && (e.Active == nil || seen.Before(e.Active.Time)) {
		e.Active = seen // before what the timeline shows: the rest was pruned
	}
	if all := e.Losses(); len(all) > 0 {
		last := all[len(all)-1]
		e.Lost, e.LostBy, e.Back = last.At, last.by, last.Back
	}
	e.InInitrd = p.inInitrd(cve)
	if e.Released != nil && e.Active != nil {
		e.Seconds = new(e.seconds())
	}
	e.Status, e.Reason = p.status(&c, first)
	if n := len(e.Intervals); e.Status == StatusFixed {
		e.Intervals[n-1].To = nil
	}
	return e
}

// first is the version that brought a fix first.
func (p *patchHistory) first(cve string) (first *patchVersion) {
	for _, name := range slices.Sorted(maps.Keys(p.versions)) {
		if v := p.versions[name]; v.present && p.has(name, cve) == yes && (first == nil || v.since().Before(first.since())) {
			first = v
		}
	}
	return first
}

// inInitrd is the first proof that an initrd held a fix.
func (p *patchHistory) inInitrd(cve string) *record.Timestamp {
	from, to := p.ofKernel()
	for i := from; i < to; i++ {
		if p.kept[i] != nil && p.has(p.versionOf(p.spans[i].Module), cve) == yes {
			return p.kept[i]
		}
	}
	return nil
}

// ParseCVE reads a CVE number, in any case.
func ParseCVE(text string) (string, error) {
	id := strings.ToUpper(strings.TrimSpace(text))
	parts := strings.Split(id, "-")
	if len(parts) != 3 || parts[0] != "CVE" || len(parts[1]) != 4 || len(parts[2]) < 4 || len(parts[2]) > 10 ||
		strings.Trim(parts[1]+parts[2], "0123456789") != "" {
		return "", fmt.Errorf("%q: want a CVE number such as CVE-2025-12345", text)
	}
	return id, nil
}
