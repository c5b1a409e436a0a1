package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Exposure is how a fix came to where it protects, and whether it was lost again. Each
// moment is null where the record does not say.
type Exposure struct {
	CVE           string            `json:"cve"`
	KernelRelease string            `json:"kernel_release"`
	Package       string            `json:"package"`
	Version       string            `json:"version"`         // the first one on record that fixes it
	Released      *record.Timestamp `json:"released"`        // of that package or its advisory, see ReleasedBy
	ReleasedBy    string            `json:"released_by"`     // build-time (a lower bound), advisory, advisory-day (no more than the day is known); empty: not known
	Advisory      *string           `json:"advisory"`        // id
	Severity      *string           `json:"severity"`        // of the advisory
	Installed     *record.Timestamp `json:"installed"`       // package in the rpm database
	Active        *record.Timestamp `json:"active"`          // a live patch with the fix active, first
	InInitrd      *record.Timestamp `json:"in_initrd"`       // first proof that an unexpected reboot keeps it
	Intervals     []Interval        `json:"intervals"`       // in which it is known to have been active
	Lost          *record.Timestamp `json:"lost"`            // known to be taken away again, the last time
	LostBy        LossCause         `json:"lost_by"`         // empty: not lost
	Back          *record.Timestamp `json:"back"`            // active again after that; null: not
	Status        ExposureStatus    `json:"status"`          //
	Reason        string            `json:"reason"`          // why it is installed and not fixed, or not known; else empty
	Seconds       *int64            `json:"latency_seconds"` // Released to Active
	Events        []int64           `json:"events"`
	KnownSince    *record.Timestamp `json:"known_since"` // when the last of the events was recorded; null: not known, or none
}

// Interval is a time in which a fix is known to have been active, or inferred to. A reboot that brought the fix
// back from the initrd does not end it; what is not known does.
type Interval struct {
	From   record.Timestamp  `json:"from"`
	To     *record.Timestamp `json:"to"`      // null: it went on at the end of the time that was asked for
	Lost   *record.Timestamp `json:"lost"`    // from when on it is known that the fix was not active; null: it was not lost, or that is not known
	LostBy LossCause         `json:"lost_by"` // empty: it was not lost, or that is not known
	// Confidence is Inferred if that of some time within is.
	Confidence Confidence `json:"confidence"`
}

// LossCause is what took a fix away.
type LossCause = string

// The causes.
const (
	LostByBoot      LossCause = "boot"      // into an initrd without it
	LostByDowngrade LossCause = "downgrade" // a live patch with a lower number replaced it
	LostByRemoval   LossCause = "removal"   // of the package
	LostByDisabling LossCause = "disabling" // of the live patch
	LostByUnknown   LossCause = "unknown"   // the record does not say
)

// LossCauses returns the closed set of causes.
func LossCauses() []LossCause {
	return []LossCause{LostByBoot, LostByDowngrade, LostByRemoval, LostByDisabling, LostByUnknown}
}

// ExposureStatus says what became of a fix by the end of the timeline.
type ExposureStatus string

// The statuses.
const (
	StatusFixed       ExposureStatus = "fixed"         // active
	StatusInstalled   ExposureStatus = "installed"     // the package is installed, and the fix is not active, nor known to have been
	StatusLost        ExposureStatus = "lost"          // taken away again, from the kernel that runs, or with its package before it was active
	StatusOtherKernel ExposureStatus = "other-kernel"  // was active while its kernel ran; another one runs now
	StatusUnknown     ExposureStatus = "unknown"       // the record does not say
	StatusNotInRecord ExposureStatus = "not-in-record" // no live patch on record fixes it; a kernel itself may
)

// ExposureStatuses returns the closed set of statuses.
func ExposureStatuses() []ExposureStatus {
	return []ExposureStatus{StatusFixed, StatusInstalled, StatusLost, StatusOtherKernel, StatusUnknown, StatusNotInRecord}
}

// NewExposures returns the fixes that live patches brought, by kernel, as it stood with them at a
// moment, by all that is on record. The timeline must begin with the record and end at that
// moment, as that of TimelineUntil does. Without ids all are returned. An id that no live patch of
// the running kernel fixes is not-in-record, which is not the same as not fixed: what a kernel
// package itself fixes is not recorded.
func NewExposures(ctx context.Context, s Reader, t *Timeline, at time.Time, ids []string) ([]Exposure, error) {
	names, err := s.LivePatches(ctx, time.Time{}, at) // also those of what stays of a record that was pruned
	if err != nil {
		return nil, fmt.Errorf("reading live patches: %w", err)
	}
	f, err := readFixes(ctx, s, t, names, at)
	if err != nil {
		return nil, err
	}
	list := f.exposures(ids)
	return list, f.date(list)
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
		for _, cve := range slices.SortedFunc(maps.Keys(p.cves()), compareCVE) {
			if len(ids) == 0 || slices.Contains(ids, cve) {
				list = append(list, p.exposure(cve))
			}
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(list, func(e Exposure) bool { return e.CVE == id && e.KernelRelease == f.running }) {
			list = append(list, Exposure{CVE: id, KernelRelease: f.running, Status: StatusNotInRecord, Intervals: []Interval{}, Events: []int64{}})
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
	*setting
	name     string
	kernel   string
	versions map[string]*patchVersion
	modules  map[string]string // versions by the modules that they hold
	changes  []record.PatchChange
	kept     []*record.Timestamp // for each span, when an initrd is first proven to hold its live patch
}

// setting is what is known of the machine at the moment of a record of fixes, whatever the package.
type setting struct {
	spans   []ranSpan        // of the whole timeline
	from    record.Timestamp // of what was before, only a part is known
	newest  *KernelSpan      // the newest boot; nil: none is on record
	goesOn  bool             // the record, after the moment: what it does not know of that is not known
	state   *State           // what is installed, if the record goes on; else nil
	looked  *seen            // at what is installed, last; nil: nobody looked
	unread  *seen            // a newer look that could not tell; nil: none
	blind   *record.Observed // the newest observation, if it could not read live patches; else nil
	stepped time.Time        // when the journal of the newest boot says last that something changed; zero: it does not
}

// goneBefore says whether the package was removed before a moment, and was not there since.
func (p *patchHistory) goneBefore(at time.Time) bool {
	n := len(p.changes)
	return n > 0 && p.changes[n-1].Action == record.ActionRemove && p.changes[n-1].Result == record.ResultOK && p.changes[n-1].Time.Before(at)
}

// exposure follows one fix.
func (p *patchHistory) exposure(cve string) Exposure {
	first := p.first(cve)
	e := Exposure{
		CVE: cve, KernelRelease: p.kernel, Package: p.name, Version: first.version, Installed: first.installed,
		Advisory: first.advisory, Severity: first.severity, Events: ends(nil, first.event),
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

// ReleasedOnDay says that no more than the day of the advisory is known.
const ReleasedOnDay = "advisory-day"

// seconds returns how long a fix took to be active. If only the day of the release is known, whole days
// are counted from its end; of a fix that was active before, the result is negative.
func (e *Exposure) seconds() int64 {
	const day = 24 * time.Hour
	took := e.Active.Sub(e.Released.Time)
	if e.ReleasedBy == ReleasedOnDay {
		if took >= 0 {
			took = max(0, took-day).Truncate(day)
		} else {
			took = (took + 1 - day).Truncate(day)
		}
	}
	return int64(took / time.Second)
}

// seenActive is when a live patch with a fix was seen active first, null if it was not.
func (p *patchHistory) seenActive(cve string) (first *record.Timestamp) {
	for _, v := range p.versions {
		if v.active != nil && p.has(v.version, cve) == yes && (first == nil || v.active.Before(first.Time)) {
			first = v.active
		}
	}
	return first
}

// Loss says that a fix was taken away.
type Loss struct {
	At   *record.Timestamp
	by   LossCause
	Back *record.Timestamp // null: it is not known to have come back
}

// Losses are all times that a fix was taken away, in their order.
func (e *Exposure) Losses() (list []Loss) {
	for i, in := range e.Intervals {
		if in.Lost == nil {
			continue
		}
		l := Loss{At: in.Lost, by: in.LostBy}
		if i+1 < len(e.Intervals) {
			l.Back = &e.Intervals[i+1].From
		}
		list = append(list, l)
	}
	return list
}

// Text says when a fix was lost, by what, and when it came back.
func (l Loss) Text(when func(*record.Timestamp) string) string {
	text := when(l.At) + " by " + l.by
	if l.by == LostByUnknown {
		text = when(l.At) + ", by what is not known"
	}
	if l.Back != nil {
		text += ", back " + when(l.Back)
	}
	return text
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

// active is from when on the live patch of a span protects: it may have been seen later only.
func active(s PatchSpan) record.Timestamp {
	if s.Completed != nil {
		return earlier(*s.Completed, s.From)
	}
	return s.From
}

// inInitrd is the first proof that an initrd held a fix.
func (p *patchHistory) inInitrd(cve string) *record.Timestamp {
	for i, s := range p.spans {
		if p.kept[i] != nil && p.has(p.versionOf(s.Module), cve) == yes {
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
