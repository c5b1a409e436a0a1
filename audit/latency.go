package audit

import "slices"

// Latency sums exposures up, in seconds from release to being active.
type Latency struct {
	Fixes    int    `json:"fixes"`    // on record
	Measured int    `json:"measured"` // of which release and activation are known
	Median   *int64 `json:"median_seconds"`
	Worst    *int64 `json:"worst_seconds"`
	WorstCVE string `json:"worst_cve"`
	Open     int    `json:"open"`   // installed, but not active
	Lost     int    `json:"lost"`   // and not back
	Losses   int    `json:"losses"` // how often a fix was taken away, in all
}

// Summarize sums exposures up. What the record has no fix of does not count.
func Summarize(exposures []Exposure) *Latency {
	var l Latency
	var took []int64
	for _, e := range exposures {
		if e.Status == StatusNotInRecord {
			continue
		}
		l.Fixes++
		l.Losses += len(e.Losses())
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
	if l.Measured = len(took); l.Measured > 0 {
		slices.Sort(took)
		l.Median = &took[(l.Measured-1)/2]
	}
	return &l
}
