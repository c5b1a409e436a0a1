package audit

import (
	"cmp"
	"slices"

	"github.com/klp-audit/klp-audit/record"
)

// snapshot is what was installed at a moment, by an event.
type snapshot struct {
	at     record.Timestamp
	event  int64
	commit string            // whose begin or end it is; empty: an observation
	end    *record.CommitRow // of a commit's begin: that commit, where its end is on record
	run    *run              // in which it was taken
	pkgs   []record.Package  // kernels and live patches; nil: not known
}

// allSnapshots are when packages were looked at, in the order of time.
func (r *rows) allSnapshots(sound []record.Observed) (list []snapshot) {
	commits := map[int64]string{}
	ended := map[int64]*record.CommitRow{}
	for i := range r.commits {
		c := &r.commits[i]
		for _, seq := range []*int64{c.BeginEvent, c.EndEvent} {
			if seq != nil && c.BeginEvent != nil {
				commits[*seq] = c.ID
			}
		}
		if c.BeginEvent != nil && c.EndEvent != nil && c.End != nil {
			ended[*c.BeginEvent] = c
		}
	}
	observed := map[int64]bool{}
	for _, o := range sound {
		observed[o.Event] = true
	}
	for i := range r.ran {
		v := &r.ran[i]
		for _, seen := range v.seen {
			says := seen.Snapshot || observed[seen.Event] || commits[seen.Event] != ""
			if says && !seen.Time.Before(v.From.Time) && seen.Time.Before(v.To.Time) {
				list = append(list, snapshot{at: seen.Time, event: seen.Event, commit: commits[seen.Event], end: ended[seen.Event], run: v})
			}
		}
	}
	slices.SortFunc(list, func(a, b snapshot) int { return cmp.Or(a.at.Compare(b.at.Time), cmp.Compare(a.event, b.event)) })
	return list
}
