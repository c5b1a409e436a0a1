package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// rows are what the record has of boots, live patches and who recorded, and what follows of
// when boots ran.
type rows struct {
	observed  []record.Observed
	sightings []record.Sighting
	boots     []record.BootRow
	commits   []record.CommitRow
	staged    []record.CommitRow // those of them that went to another snapshot, whatever became of it
	begins    []record.Timestamp // of commits, in the order of time
	recorders []record.RecorderRow
	ran       []run
	spans     spans
}

// spans are those of all boots, each as far as it is known when that ran, the observations whose time can be, and when packages
// were looked at: each list in the order of time.
type spans struct {
	kernels []KernelSpan
	patches []PatchSpan
	initrds []InitrdSpan
	sound   []record.Observed

	snapshots []snapshot
}

func readRows(ctx context.Context, s Reader) (r *rows, err error) {
	r = &rows{}
	from, to := time.UnixMicro(math.MinInt64), record.Always()
	if r.observed, err = s.Observations(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading observations: %w", err)
	}
	if r.sightings, err = s.Sightings(ctx); err != nil {
		return r, fmt.Errorf("reading boots: %w", err)
	}
	if r.boots, err = s.Boots(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading boots: %w", err)
	}
	for i := range r.boots {
		r.boots[i].Loads = dated(r.boots[i].Loads)
	}
	if r.commits, err = s.Commits(ctx, from, to); err != nil {
		return r, fmt.Errorf("reading commits: %w", err)
	}
	for _, c := range r.commits {
		if isStaged(&c) {
			r.staged = append(r.staged, c)
		}
		if c.Begin != nil {
			r.begins = append(r.begins, *c.Begin)
		}
	}
	slices.SortFunc(r.begins, func(a, b record.Timestamp) int { return a.Compare(b.Time) })
	if r.recorders, err = s.Recorders(ctx); err != nil {
		return r, fmt.Errorf("reading recorder events: %w", err)
	}
	r.ran = r.runs()
	sound := r.soundly()
	r.spans = spans{r.kernels(), r.patches(), r.initrds(), sound, r.allSnapshots(sound)}
	return r, nil
}

// begun says whether a commit began between two moments.
func (r *rows) begun(after, before record.Timestamp) bool {
	i, _ := slices.BinarySearchFunc(r.begins, after, func(t, after record.Timestamp) int {
		if t.After(after.Time) {
			return 1
		}
		return -1
	})
	return i < len(r.begins) && r.begins[i].Before(before.Time)
}

// runs are what may be said of boots, in the order of time.
func (r *rows) runs() []run {
	seen := map[string][]record.Sighting{}
	for _, v := range r.sightings {
		seen[v.BootID] = append(seen[v.BootID], v)
	}
	var list []run
	for i := range r.boots {
		if row := &r.boots[i]; seen[row.ID] == nil {
			list = append(list, ofJournal(row)...)
		}
	}
	observed := map[int64]record.Observed{}
	for _, o := range r.observed {
		observed[o.Event] = o
	}
	for _, id := range slices.Sorted(maps.Keys(seen)) {
		var row *record.BootRow
		if i := r.boot(id); i >= 0 {
			row = &r.boots[i]
		}
		list = append(list, ofBoot(row, seen[id], observed)...)
	}
	slices.SortFunc(list, func(a, b run) int {
		return cmp.Or(a.From.Compare(b.From.Time), cmp.Compare(a.BootID, b.BootID))
	})
	list = possible(list)
	if len(list) > 0 {
		list[len(list)-1].Open = true
	}
	return list
}

// kernels are the boots, as far as it is known when they ran.
func (r *rows) kernels() (spans []KernelSpan) {
	for i := range r.ran {
		spans = append(spans, within([]KernelSpan{r.ran[i].KernelSpan}, &r.ran[i])...)
	}
	return spans
}

// soundly are the observations whose time can be, in the order of time.
func (r *rows) soundly() (list []record.Observed) {
	for i := range r.ran {
		for _, o := range r.ran[i].observed {
			if v := &r.ran[i]; !o.Time.Before(v.From.Time) && o.Time.Before(v.To.Time) {
				list = append(list, o)
			}
		}
	}
	return list
}

// boot is the place of a boot among those that the journal showed, -1 if it did not.
func (r *rows) boot(id string) int {
	return slices.IndexFunc(r.boots, func(b record.BootRow) bool { return b.ID == id })
}

// isNewest says whether the newest event up to a moment is of a boot: by the log or, of one that waited in
// the spool, by its time.
func (r *rows) isNewest(boot string, at time.Time) bool {
	var newest record.Sighting
	for _, spooled := range []bool{false, true} {
		for _, v := range r.sightings {
			if v.Spooled == spooled && !v.Time.After(at) && (!spooled || v.Time.After(newest.Time.Time)) {
				newest = v
			}
		}
	}
	return newest.BootID == boot
}

// lastBlind is the newest observation up to a moment, if it could not read live patches; else nil.
func (r *rows) lastBlind(at time.Time) (blind *record.Observed) {
	for i, o := range r.observed {
		switch {
		case o.Time.After(at):
		case o.Patched == nil:
			blind = &r.observed[i]
		default:
			blind = nil
		}
	}
	return blind
}
