package report

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/store"
)

// Exposure is how a fix came to where it protects, and whether it was lost again. Each
// moment is null where the record does not say.
type Exposure struct {
	CVE           string           `json:"cve"`
	KernelRelease string           `json:"kernel_release"`
	Package       string           `json:"package"`
	Version       string           `json:"version"`         // the first one on record that fixes it
	Released      *store.Timestamp `json:"released"`        // of that package or its advisory, see ReleasedBy
	ReleasedBy    string           `json:"released_by"`     // build-time (a lower bound), advisory; empty: not known
	Advisory      *string          `json:"advisory"`        // id
	Severity      *string          `json:"severity"`        // of the advisory
	Installed     *store.Timestamp `json:"installed"`       // package in the rpm database
	Active        *store.Timestamp `json:"active"`          // a live patch with the fix active
	InInitrd      *store.Timestamp `json:"in_initrd"`       // first proof that an unexpected reboot keeps it
	Lost          *store.Timestamp `json:"lost"`            // taken away again, the last time
	LostBy        string           `json:"lost_by"`         // downgrade, removal, disabling, boot; empty: not lost
	Back          *store.Timestamp `json:"back"`            // active again after that; null: not
	Status        ExposureStatus   `json:"status"`          //
	Seconds       *int64           `json:"latency_seconds"` // Released to Active
	Events        []int64          `json:"events"`
}

// ExposureStatus is how it stands with a fix at the end of the timeline.
type ExposureStatus string

// The statuses.
const (
	StatusFixed       ExposureStatus = "fixed"         // active
	StatusInstalled   ExposureStatus = "installed"     // the package is installed, and was never active
	StatusLost        ExposureStatus = "lost"          // taken away again, in the kernel that runs
	StatusOtherKernel ExposureStatus = "other-kernel"  // was active while its kernel ran; another one runs now
	StatusUnknown     ExposureStatus = "unknown"       // the record does not say
	StatusNotInRecord ExposureStatus = "not-in-record" // no live patch on record fixes it; a kernel itself may
)

// ExposureStatuses returns the closed set of statuses.
func ExposureStatuses() []ExposureStatus {
	return []ExposureStatus{StatusFixed, StatusInstalled, StatusLost, StatusOtherKernel, StatusUnknown, StatusNotInRecord}
}

// NewExposures returns the fixes that live patches brought, by kernel, as far as they are on
// record up to a moment. The timeline must begin with the record, as that of TimelineUntil
// does. Without ids all are returned. An id that no live patch of the running kernel fixes is
// not-in-record, which is not the same as not fixed: what a kernel package itself fixes is not
// recorded.
func NewExposures(ctx context.Context, s *store.Store, t *Timeline, until store.Moment, ids []string) ([]Exposure, error) {
	names, err := s.LivePatches(ctx, t.From.Time, t.To.Time)
	if err != nil {
		return nil, fmt.Errorf("reading live patches: %w", err)
	}
	f, err := readFixes(ctx, s, t, names, until)
	if err != nil {
		return nil, err
	}
	return f.exposures(ids), nil
}

// exposures follows each fix, or those with the ids.
func (f *fixRecord) exposures(ids []string) []Exposure {
	list := []Exposure{}
	for _, name := range slices.Sorted(maps.Keys(f.packages)) {
		p := f.packages[name]
		for _, cve := range p.cves() {
			if len(ids) == 0 || slices.Contains(ids, cve) {
				list = append(list, p.exposure(cve, f.running))
			}
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(list, func(e Exposure) bool { return e.CVE == id && e.KernelRelease == f.running }) {
			list = append(list, Exposure{CVE: id, KernelRelease: f.running, Status: StatusNotInRecord, Events: []int64{}})
		}
	}
	slices.SortStableFunc(list, func(a, b Exposure) int {
		return cmp.Or(compareCVE(a.CVE, b.CVE), cmp.Compare(a.KernelRelease, b.KernelRelease))
	})
	return list
}

// compareCVE orders CVE numbers, "CVE-2025-9" before "CVE-2025-10".
func compareCVE(a, b string) int {
	const year = len("CVE-2025-")
	yearA, yearB := a[:min(year, len(a))], b[:min(year, len(b))]
	return cmp.Or(cmp.Compare(yearA, yearB), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// patchHistory is a live patch package: its versions on record, and when which was active.
type patchHistory struct {
	name     string
	kernel   string
	versions map[string]*patchVersion
	changes  []store.PatchChange
	spans    []PatchSpan        // what is known while its kernel ran
	kept     []*store.Timestamp // for each span, when an initrd is first proven to hold its live patch
}

// goneBefore says whether the package was removed before a moment, and was not there since.
func (p *patchHistory) goneBefore(at time.Time) bool {
	n := len(p.changes)
	return n > 0 && p.changes[n-1].Action == "remove" && p.changes[n-1].Time.Before(at)
}

// exposure follows one fix.
func (p *patchHistory) exposure(cve, running string) Exposure {
	first := p.first(cve)
	e := Exposure{
		CVE: cve, KernelRelease: p.kernel, Package: p.name, Version: first.version, Installed: first.installed,
		Advisory: first.advisory, Severity: first.severity, Events: ends(nil, first.event),
	}
	switch {
	case first.issued != nil:
		e.Released, e.ReleasedBy = first.issued, "advisory"
	case first.built != nil:
		e.Released, e.ReleasedBy = first.built, "build-time"
	}
	p.follow(&e)
	e.InInitrd = p.inInitrd(cve)
	if e.Released != nil && e.Active != nil {
		e.Seconds = new(int64(e.Active.Sub(e.Released.Time) / time.Second))
	}
	e.Status = p.status(&e, running)
	return e
}

// cves are all that some version fixes, in order.
func (p *patchHistory) cves() []string {
	all := map[string]bool{}
	for _, v := range p.versions {
		maps.Copy(all, v.fixes)
	}
	return slices.SortedFunc(maps.Keys(all), compareCVE)
}

// first is the version that brought a fix first.
func (p *patchHistory) first(cve string) (first *patchVersion) {
	for _, name := range slices.Sorted(maps.Keys(p.versions)) {
		if v := p.versions[name]; v.fixes[cve] && (first == nil || v.since().Before(first.since())) {
			first = v
		}
	}
	return first
}

// fixes says whether a span has a live patch active that fixes a CVE.
func (p *patchHistory) fixes(s PatchSpan, cve string) bool {
	if s.Version == nil {
		return false
	}
	v := p.versions[*s.Version]
	return v != nil && v.fixes[cve]
}

// follow finds when a fix became active, was lost, and came back.
func (p *patchHistory) follow(e *Exposure) {
	var before *PatchSpan // the span before, if it had the fix
	for i, s := range p.spans {
		has := p.fixes(s, e.CVE)
		switch {
		case has && e.Active == nil:
			e.Active, e.Events = new(loaded(s)), ends(e.Events, s.Events...)
		case has && before == nil:
			e.Back = new(loaded(s))
		case !has && before != nil:
			e.Lost, e.Back, e.LostBy = &p.spans[i].From, nil, p.lostBy(*before, s)
		}
		if before = nil; has {
			before = &p.spans[i]
		}
	}
}

// loaded is when the live patch of a span was loaded: it may have been seen later only.
func loaded(s PatchSpan) store.Timestamp {
	if s.Since != nil {
		return earlier(*s.Since, s.From)
	}
	return s.From
}

// lostBy says what took a fix away between two spans.
func (p *patchHistory) lostBy(with, without PatchSpan) string {
	switch {
	case with.BootID != without.BootID:
		return "boot"
	case without.Module != "":
		return "downgrade"
	}
	const commit = 10 * time.Minute // a long one
	removed := slices.ContainsFunc(p.changes, func(c store.PatchChange) bool {
		return c.Action == "remove" && c.Time.Sub(without.From.Time).Abs() < commit
	})
	if removed {
		return "removal"
	}
	return "disabling"
}

// inInitrd is the first proof that an initrd held a fix.
func (p *patchHistory) inInitrd(cve string) *store.Timestamp {
	for i, s := range p.spans {
		if p.kept[i] != nil && p.fixes(s, cve) {
			return p.kept[i]
		}
	}
	return nil
}

func (p *patchHistory) status(e *Exposure, running string) ExposureStatus {
	switch removed := len(p.changes) > 0 && p.changes[len(p.changes)-1].Action == "remove"; {
	case e.Active == nil && e.Installed == nil:
		return StatusUnknown
	case e.Active == nil && removed:
		return StatusLost
	case e.Active == nil:
		return StatusInstalled
	case p.kernel != running:
		return StatusOtherKernel
	case e.Lost != nil && e.Back == nil:
		return StatusLost
	}
	return StatusFixed
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
