package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
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
	Severity      *string           `json:"severity"`        // of the advisory, not of the number
	Title         *string           `json:"title"`           // of the advisory; null: not known
	Installed     *record.Timestamp `json:"installed"`       // package in the rpm database
	InstalledBy   *Installation     `json:"installed_by"`    // the change that installed it; null: none is on record
	Active        *record.Timestamp `json:"active"`          // a live patch with the fix active, first
	InInitrd      *record.Timestamp `json:"in_initrd"`       // first proof that an unexpected reboot keeps it
	Intervals     []Interval        `json:"intervals"`       // in which it is known to have been active
	Lost          *record.Timestamp `json:"lost"`            // known to be taken away again, the last time
	LostBy        LossCause         `json:"lost_by"`         // empty: not lost
	Back          *record.Timestamp `json:"back"`            // active again after that; null: not
	Status        ExposureStatus    `json:"status"`          //
	Reason        string            `json:"reason"`          // why it is not fixed, or not known, and what to do; or that the kernel itself fixes it; else empty
	OpenSince     *record.Timestamp `json:"open_since"`      // since when it is open, though released; null: it is not open, or that is not known
	OnOffer       *string           `json:"on_offer"`        // version of a live patch for the running kernel that is on offer, newer than the installed one, and brings it; null: there is none
	NotOffered    NotOffered        `json:"not_offered"`     // why what would bring it is not on offer; empty: it is, or nothing would
	Inferred      bool              `json:"inferred"`        // that it is open follows from what an advisory says of other packages, too
	Seconds       *int64            `json:"latency_seconds"` // Released to Active
	Exception     *Exception        `json:"exception"`       // what somebody accepts of it, expired ones included; it changes nothing in the status; null: there is none
	Events        []int64           `json:"events"`
	KnownSince    *record.Timestamp `json:"known_since"` // when the last of the events was recorded; null: not known, or none
	// MayBeInstalled says that a live patch on offer brings it, and that nobody knows whether that was installed.
	MayBeInstalled bool `json:"-"`
}

// Installation is the change that installed a package first, and who made it.
type Installation struct {
	Event    int64           `json:"event"`
	Source   record.Source   `json:"source"` // plugin; drift was found later; import is libzypp's claim
	Actor    record.RowActor `json:"actor"`
	Command  *string         `json:"command"`
	UserData *string         `json:"userdata"` // such as a ticket; null: none was given
}

// ReadInstallations fills in who installed what the fixes came with.
func ReadInstallations(ctx context.Context, s Reader, list []Exposure) error {
	type change struct {
		event         int64
		name, version string
	}
	wanted := map[change][]*Installation{}
	for _, e := range list {
		if by := e.InstalledBy; by != nil {
			of := change{by.Event, e.Package, e.Version}
			wanted[of] = append(wanted[of], by)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	for row, err := range s.History(ctx, record.HistoryFilter{Kind: record.PackageLivepatch}) {
		if err != nil {
			return fmt.Errorf("reading who installed fixes: %w", err)
		}
		for _, by := range wanted[change{row.Event, row.Package, row.Version}] {
			by.Source, by.Actor, by.Command, by.UserData = row.Source, row.Actor, row.Command, row.UserData
		}
	}
	return nil
}

// isOpen says whether it is open, or a live patch on offer would bring it.
func (e *Exposure) isOpen() bool { return e.Status.Open() || e.OnOffer != nil }

// ByKernel says whether a kernel brings the fix, and no live patch.
func (e *Exposure) ByKernel() bool {
	_, isPatch := livepatch.KernelFor(e.Package)
	return e.Package != "" && !isPatch
}

// MayBeActive says that the fix was active, and that nobody knows whether it still is.
func (e *Exposure) MayBeActive() bool { return e.Status == StatusUnknown && e.Active != nil }

// Accepted says whether somebody accepts that it is open.
func (e *Exposure) Accepted() bool { return e.Exception != nil && !e.Exception.Expired }

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
	LostByBoot      LossCause = "boot"      // into an initrd without it, at most 15 minutes after a boot that had it to its end
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
	StatusAvailable   ExposureStatus = "available"     // a live patch for the running kernel is on offer, and not installed
	StatusNeedsKernel ExposureStatus = "needs-kernel"  // a newer kernel with it is on offer, and no live patch for the running one
	StatusLost        ExposureStatus = "lost"          // taken away again, from the kernel that runs, or with its package before it was active
	StatusOtherKernel ExposureStatus = "other-kernel"  // was active while its kernel ran; another one runs now
	StatusUnknown     ExposureStatus = "unknown"       // the record does not say
	StatusNotInRecord ExposureStatus = "not-in-record" // nothing on record fixes it
)

// ExposureStatuses returns the closed set of statuses.
func ExposureStatuses() []ExposureStatus {
	return []ExposureStatus{StatusFixed, StatusInstalled, StatusAvailable, StatusNeedsKernel, StatusLost, StatusOtherKernel, StatusUnknown, StatusNotInRecord}
}

// Open says whether a machine is without a fix that has been released.
func (s ExposureStatus) Open() bool {
	return slices.Contains([]ExposureStatus{StatusInstalled, StatusAvailable, StatusNeedsKernel, StatusLost}, s)
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

// Latency sums exposures up, in seconds from release to being active.
type Latency struct {
	Fixes    int    `json:"fixes"`    // of live patches, on record
	Measured int    `json:"measured"` // of which release and activation are known
	Median   *int64 `json:"median_seconds"`
	P90      *int64 `json:"p90_seconds"` // as long took nine of ten at most
	Worst    *int64 `json:"worst_seconds"`
	WorstCVE string `json:"worst_cve"`
	Open     int    `json:"open"`         // installed, but not active
	OnOffer  int    `json:"on_offer"`     // a live patch for the running kernel that is not installed brings it
	Residual int    `json:"needs_kernel"` // only a newer kernel brings it
	Lost     int    `json:"lost"`         // and not back
	Losses   int    `json:"losses"`       // how often a fix was taken away, in all
	// Quarters are the same of what was released in each, the newest first.
	Quarters []QuarterLatency `json:"quarters"`
}

// QuarterLatency sums up the fixes of live patches that were released in a quarter of a year.
type QuarterLatency struct {
	Quarter  string `json:"quarter"`  // 2026-Q3
	Fixes    int    `json:"fixes"`    // of live patches that were released then
	Measured int    `json:"measured"` // of which it is known how long they took; the others are not active yet, or that is not known
	Median   *int64 `json:"median_seconds"`
	P90      *int64 `json:"p90_seconds"`
}

// quarterOf is the quarter of a moment.
func quarterOf(t time.Time) string {
	return fmt.Sprintf("%d-Q%d", t.UTC().Year(), (t.UTC().Month()+2)/3)
}

// percentile is the value that so many of a hundred do not exceed (nearest rank); nil: there are none. The values are in order.
func percentile(sorted []int64, of int) *int64 {
	if len(sorted) == 0 {
		return nil
	}
	return &sorted[(len(sorted)*of+99)/100-1]
}

// Summarize sums exposures up. What the record has no fix of does not count.
func Summarize(exposures []Exposure) *Latency {
	var l Latency
	var took []int64
	quarters := map[string]*quarter{}
	for _, e := range exposures {
		switch {
		case e.Status == StatusNotInRecord || e.NotOffered != "":
			continue
		case e.OnOffer != nil && e.Status != StatusFixed:
			l.OnOffer++
		case e.ByKernel() && e.Status.Open():
			l.Residual++
		}
		if e.ByKernel() {
			continue
		}
		l.Fixes++
		l.Losses += len(e.Losses())
		if e.Released != nil {
			name := quarterOf(e.Released.Time)
			if quarters[name] == nil {
				quarters[name] = &quarter{}
			}
			quarters[name].add(&e)
		}
		switch e.Status {
		case StatusInstalled:
			l.Open++
		case StatusLost:
			l.Lost++
		}
		if e.Seconds == nil {
			continue
		}
		took = append(took, *e.Seconds)
		if l.Worst == nil || *e.Seconds > *l.Worst {
			l.Worst, l.WorstCVE = e.Seconds, e.CVE
		}
	}
	slices.Sort(took)
	l.Measured, l.Median, l.P90 = len(took), percentile(took, 50), percentile(took, 90)
	l.Quarters = byQuarter(quarters)
	return &l
}

// quarter is what is known of the fixes of a quarter.
type quarter struct {
	fixes int
	took  []int64
}

func (q *quarter) add(e *Exposure) {
	if q.fixes++; e.Seconds != nil {
		q.took = append(q.took, *e.Seconds)
	}
}

// byQuarter sums each quarter up, the newest first.
func byQuarter(quarters map[string]*quarter) []QuarterLatency {
	list := []QuarterLatency{}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(quarters))) {
		q := quarters[name]
		slices.Sort(q.took)
		list = append(list, QuarterLatency{name, q.fixes, len(q.took), percentile(q.took, 50), percentile(q.took, 90)})
	}
	return list
}

// compareTimes orders times; one that is not known comes last.
func compareTimes(a, b *record.Timestamp) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return a.Compare(b.Time)
}
