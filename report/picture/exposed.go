package picture

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/audit"
)

// stretch is a time in which fixes were known and did not protect.
type stretch struct {
	from, to time.Time
	fixes    int
	lost     bool     // taken away again
	names    []string // of all that were missing at some time in it, in order
}

// exposed adds exposures up: stretches in order that do not overlap, each with the number
// of fixes that were not active. They are cut to the time from start to end.
func exposed(exposures []audit.Exposure, start, end time.Time) []stretch {
	var edges []edge
	for _, e := range exposures {
		for _, s := range stretches(&e, end) {
			if s.from.Before(start) {
				s.from = start
			}
			if s.to.After(end) {
				s.to = end
			}
			if s.from.Before(s.to) {
				edges = append(edges, edge{s.from, 1, s.lost, e.CVE}, edge{s.to, -1, s.lost, e.CVE})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })
	return sweep(edges)
}

// edge is where one fix begins or ends to be missing.
type edge struct {
	at   time.Time
	step int
	lost bool
	name string
}

func sweep(edges []edge) (list []stretch) {
	late, lost, missing := 0, 0, map[string]int{}
	for i, e := range edges {
		if missing[e.name] += e.step; missing[e.name] == 0 {
			delete(missing, e.name)
		}
		if e.lost {
			lost += e.step
		} else {
			late += e.step
		}
		if late+lost == 0 || i+1 == len(edges) || !e.at.Before(edges[i+1].at) {
			continue
		}
		list = extended(list, stretch{e.at, edges[i+1].at, late + lost, lost > 0, slices.Sorted(maps.Keys(missing))})
	}
	return list
}

// extended appends a stretch to one of its kind that it goes on from; the number is the highest.
func extended(list []stretch, s stretch) []stretch {
	if n := len(list); n > 0 && list[n-1].to.Equal(s.from) && list[n-1].lost == s.lost {
		last := &list[n-1]
		last.to, last.fixes, last.names = s.to, max(last.fixes, s.fixes), append(last.names, s.names...)
		slices.Sort(last.names)
		last.names = slices.Compact(last.names)
		return list
	}
	return append(list, s)
}

// stretches are the times in which a fix was known and did not protect. What is open now was so since then, for the kernel
// that runs.
func stretches(e *audit.Exposure, end time.Time) (list []stretch) {
	known := e.Released
	if known == nil {
		known = e.Installed
	}
	switch {
	case known == nil:
	case e.Active != nil:
		list = append(list, stretch{from: known.Time, to: e.Active.Time})
	case e.Remedy() != "" && e.Remedy() != audit.RemedyKernel: // there always are some that only a newer kernel fixes
		list = append(list, stretch{from: cmp.Or(e.OpenSince, known).Time, to: end})
	}
	for _, l := range e.Losses() {
		switch {
		case l.Back != nil:
			list = append(list, stretch{from: l.At.Time, to: l.Back.Time, lost: true})
		case e.Status == audit.StatusLost:
			list = append(list, stretch{from: l.At.Time, to: end, lost: true})
		}
	}
	return list
}
