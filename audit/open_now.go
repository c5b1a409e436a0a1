package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// Remedy is what closes an open fix.
type Remedy string

// The remedies.
const (
	RemedyPatch  Remedy = "patch"  // install the live patch that is on offer
	RemedyLoad   Remedy = "load"   // have the live patch active that is installed, or was taken away
	RemedyReboot Remedy = "reboot" // boot the newer kernel that is installed
	RemedyKernel Remedy = "kernel" // install the newer kernel that is on offer, and boot it
)

// Remedies returns the closed set of remedies, the quickest first.
func Remedies() []Remedy { return []Remedy{RemedyPatch, RemedyLoad, RemedyReboot, RemedyKernel} }

// Remedy is what closes the fix; empty: it is not open.
func (e *Exposure) Remedy() Remedy {
	switch {
	case e.OnOffer != nil && e.Status != StatusFixed && e.NotOffered == "" && !e.MayBeActive():
		return RemedyPatch
	case !e.Status.Open():
		return ""
	case e.Status == StatusNeedsKernel:
		return RemedyKernel
	case e.ByKernel():
		return RemedyReboot
	}
	return RemedyLoad
}

// Open is what is open on a machine at a moment: what the vendor has released, and does not protect it.
type Open struct {
	Numbers int `json:"numbers"` // CVE numbers
	// Accepted is how many of them an exception accepts at the moment.
	Accepted int               `json:"accepted"`
	Since    *record.Timestamp `json:"since"`  // the oldest is open since then; null: none is, or that is not known
	Groups   []OpenGroup       `json:"groups"` // the numbers, parted; the weightiest first
	Worst    []OpenFix         `json:"worst"`  // the ten weightiest; what is accepted comes last
	// Unknown is why there may be more; empty: the record says what the vendor has released.
	Unknown string `json:"unknown"`
	// LookedAt is when the repositories' metadata were looked at last; null: never.
	LookedAt *record.Timestamp `json:"looked_at"`
}

// OpenGroup are numbers of one advisory severity with one remedy.
type OpenGroup struct {
	Severity string `json:"severity"` // of the advisory; empty: not known
	Remedy   Remedy `json:"remedy"`
	Numbers  int    `json:"numbers"`
}

// OpenFix is an open number.
type OpenFix struct {
	CVE      string            `json:"cve"`
	Severity string            `json:"severity"` // of the advisory; empty: not known
	Advisory string            `json:"advisory"` // id; empty: not known
	Title    string            `json:"title"`    // of the advisory; empty: not known
	Since    *record.Timestamp `json:"since"`    // it is open since then; null: not known
	Remedy   Remedy            `json:"remedy"`
	Inferred bool              `json:"inferred"`
	Accepted bool              `json:"accepted"`
	Events   []int64           `json:"events"` // that say so, the first and the last
}

// openFix is a number as it is open.
func openFix(e *Exposure) OpenFix {
	return OpenFix{e.CVE, record.OrEmpty(e.Severity), record.OrEmpty(e.Advisory), record.OrEmpty(e.Title), e.OpenSince, e.Remedy(), e.Inferred, e.Accepted(), ends(nil, e.Events...)}
}

// String says which advisory brings the fix, and since when the number is open.
func (w OpenFix) String() string {
	text := say.Clip(w.CVE, 20)
	if w.Advisory != "" {
		text += " (" + strings.TrimSpace(say.Clip(w.Severity, 20)+" advisory "+say.Clip(w.Advisory, 80)) + ")"
	}
	if w.Since != nil {
		text += ", open since " + w.Since.ShortDay()
	}
	return text
}

// WhatIsOpen says so of a number.
func (e *Exposure) WhatIsOpen() string { return openFix(e).String() }

// maxWorst is how many numbers a person looks at before anything else.
const maxWorst = 10

// NewOpen sums up what of a machine's fixes is open for the kernel that runs; no name: that is not known.
func NewOpen(exposures []Exposure, running string, o *Offers) *Open {
	open := &Open{Groups: []OpenGroup{}, Worst: []OpenFix{}}
	if o.Looked != nil {
		open.LookedAt = &o.Looked.Time
	}
	switch {
	case running == "":
		open.Unknown = "Which kernel runs is not known."
		return open
	case !o.Known():
		open.Unknown = "What the vendor has released is not on record."
	default:
		open.Unknown = o.Stale()
	}
	groups := map[OpenGroup]int{}
	var list []OpenFix
	for i := range exposures {
		fix := openFix(&exposures[i])
		if fix.Remedy == "" || exposures[i].KernelRelease != running {
			continue
		}
		if list = append(list, fix); fix.Accepted {
			open.Accepted++
		}
		groups[OpenGroup{Severity: fix.Severity, Remedy: fix.Remedy}]++
		if fix.Since != nil && (open.Since == nil || fix.Since.Before(open.Since.Time)) {
			open.Since = fix.Since
		}
	}
	slices.SortFunc(list, compareOpen)
	open.Numbers, open.Worst = len(list), append(open.Worst, list[:min(len(list), maxWorst)]...)
	for g, n := range groups {
		g.Numbers = n
		open.Groups = append(open.Groups, g)
	}
	slices.SortFunc(open.Groups, func(a, b OpenGroup) int {
		return cmp.Or(compareSeverities(a.Severity, b.Severity), compareRemedies(a.Remedy, b.Remedy))
	})
	return open
}

// compareOpen orders open fixes: what nobody accepts comes first, of these the gravest, of these what is quickest done, of
// these what is open for the longest.
func compareOpen(a, b OpenFix) int {
	switch {
	case !a.Accepted && b.Accepted:
		return -1
	case a.Accepted && !b.Accepted:
		return 1
	}
	return cmp.Or(compareSeverities(a.Severity, b.Severity), compareRemedies(a.Remedy, b.Remedy), compareTimes(a.Since, b.Since), CompareCVE(a.CVE, b.CVE))
}

func compareRemedies(a, b Remedy) int {
	return cmp.Compare(slices.Index(Remedies(), a), slices.Index(Remedies(), b))
}

// Severities are those that SUSE gives its advisories, the gravest first.
func Severities() []string { return []string{"critical", "important", "moderate", "low"} }

// compareSeverities orders severities. One that is not known comes before the harmless ones.
func compareSeverities(a, b string) int {
	rank := func(s string) float64 {
		if i := slices.Index(Severities(), s); i >= 0 {
			return float64(i)
		}
		return 1.5
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}
