package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/view"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// keeper collects the events before a horizon that are needed to answer questions about later
// moments. Each statement of an event has a name; of all events that state the same, the first or
// the newest stays, or both.
type keeper struct {
	goOn          map[string]bool // boots that later events belong to, or show
	written       map[string]bool // boots that later events were written in
	first, newest map[string]int64
	// The first event that says what a live patch fixes, by package and version (not counting
	// observations, which are preferred); that it was installed; and how the fixes of two versions
	// differ.
	listed map[string]int64
	came   map[bool]map[string]int64 // true: installed in another snapshot
	differ map[versions]int64
	looks  []look
	clocks map[string][]record.Sighting // by boot
	latest record.Sighting              // the event with the latest time so far
}

// versions are a package's versions before and after a change, "NAME-" if there is none.
type versions struct{ before, after string }

// look is a stretch of a boot that an observation shows completely.
type look struct {
	event       int64
	boot        string
	first, last time.Time
}

// keptFor reads the events up to a number and returns those to keep for what they say about live
// patches and boots.
func keptFor(ctx context.Context, q sqlite.Querier, through int64, horizon record.Timestamp) ([]int64, error) {
	k := &keeper{goOn: map[string]bool{}, written: map[string]bool{}, first: map[string]int64{}, newest: map[string]int64{}, listed: map[string]int64{},
		came: map[bool]map[string]int64{false: {}, true: {}}, differ: map[versions]int64{}, clocks: map[string][]record.Sighting{}}
	if err := k.readBoots(ctx, q, through, horizon); err != nil {
		return nil, err
	}
	for e, err := range events(ctx, q, 0) {
		if err != nil {
			return nil, err
		}
		if e.seq > through {
			break
		}
		ev, err := record.DecodeAt(e.seq, e.body)
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", e.seq, err)
		}
		k.see(e.seq, ev)
	}
	return k.kept(), nil
}

// readBoots finds the boots that go on after the horizon, also by their own clock. The newest boot
// before the horizon may go on, too.
func (k *keeper) readBoots(ctx context.Context, q sqlite.Querier, through int64, horizon record.Timestamp) error {
	const query = `SELECT boot_id, max(written) FROM (SELECT boot_id, 1 AS written FROM sightings WHERE event > ?1
		UNION ALL SELECT boot_id, 0 FROM boots WHERE event > ?1 OR last >= ?2
		UNION ALL SELECT * FROM (SELECT boot_id, 0 FROM sightings WHERE event <= ?1 ORDER BY event DESC LIMIT 1)
		UNION ALL SELECT * FROM (SELECT boot_id, 0 FROM boots WHERE event <= ?1 ORDER BY first DESC LIMIT 1)) GROUP BY boot_id`
	return sqlite.EachRow(ctx, q, query, []any{through, horizon.UnixMicro()}, func(c *sqlite.Cells) {
		id, written := c.Text(), c.Yes()
		k.goOn[id], k.written[id] = true, written
	})
}

func (k *keeper) keepFirst(seq int64, format string, args ...any) {
	if what := fmt.Sprintf(format, args...); k.first[what] == 0 {
		k.first[what] = seq
	}
}

func (k *keeper) keepNewest(seq int64, format string, args ...any) {
	k.newest[fmt.Sprintf(format, args...)] = seq
}

func (k *keeper) keepBoth(seq int64, format string, args ...any) {
	k.keepFirst(seq, format, args...)
	k.keepNewest(seq, format, args...)
}

func (k *keeper) see(seq int64, ev *record.Event) {
	if k.goOn[ev.BootID] {
		k.clocks[ev.BootID] = append(k.clocks[ev.BootID], record.Sighting{Event: seq, Time: ev.Time, Boottime: time.Duration(ev.BoottimeUS) * time.Microsecond})
	}
	k.seeClock(seq, ev)
	k.seeChanges(seq, ev)
	if o := ev.Observation; o != nil {
		k.seePatch(seq, o)
		k.seeParts(seq, o)
		for _, b := range o.Boots {
			k.seeBoot(seq, &b)
		}
	}
}

// seeClock notes the latest time before a later boot with an earlier time: one of the two clocks
// was wrong, which is a reason to doubt what they say.
func (k *keeper) seeClock(seq int64, ev *record.Event) {
	switch {
	case ev.Spooled != "" || ev.BootID == "":
	case !ev.Time.Before(k.latest.Time.Time):
		k.latest = record.Sighting{Event: seq, Time: ev.Time, BootID: ev.BootID}
	case ev.BootID != k.latest.BootID && k.newest["ahead"] != k.latest.Event:
		k.keepNewest(k.latest.Event, "ahead")
		k.keepNewest(seq, "back")
	}
}

// seePatch notes that a live patch was active, from which package, and what it fixes: it may still
// be loaded, or be loaded again.
func (k *keeper) seePatch(seq int64, o *record.Observation) {
	p := o.LivePatch
	if p == nil {
		return
	}
	k.keepFirst(seq, "patch %s %s %s complete %t", o.Kernel.Release, p.Module, record.OrEmpty(p.Version), !p.Transition)
	if p.Package == nil {
		return
	}
	k.keepFirst(seq, "seen %s-%s", *p.Package, record.OrEmpty(p.Version))
	if p.CVEs != nil {
		k.keepFirst(seq, "fixes %s-%s", *p.Package, record.OrEmpty(p.Version))
	}
}

// seeChanges notes which live patches were installed, here or in another btrfs snapshot, and what
// is said about their fixes: preferably all of them, else how those of two versions differ.
func (k *keeper) seeChanges(seq int64, ev *record.Event) {
	changes, fixes := ev.Changes()
	staged := ev.End != nil && ev.End.Outcome == record.OutcomeStaged
	first := func(of map[string]int64, name string, told bool) {
		if told && of[name] == 0 {
			of[name] = seq
		}
	}
	for _, c := range changes {
		if c.Kind != record.PackageLivepatch {
			continue
		}
		for _, version := range []string{c.Version, c.Previous} {
			name := c.Package + "-" + version
			_, listed := fixes[name+"."+c.Arch]
			first(k.listed, name, listed)
			first(k.came[staged], name, version != "" && c.Result == record.ResultOK)
		}
		if c.Action == record.ActionRemove && c.Result == record.ResultOK {
			k.keepFirst(seq, "removed %s-%s", c.Package, c.Version)
		}
		of := versions{c.Package + "-" + c.Previous, c.Package + "-" + c.Version}
		if len(c.Added.CVEs)+len(c.Removed.CVEs) > 0 && k.differ[of] == 0 {
			k.differ[of] = seq
		}
	}
}

// seeParts notes what the machine showed: for each part, the newest observation that could read it.
func (k *keeper) seeParts(seq int64, o *record.Observation) {
	k.keepNewest(seq, "observation")
	for what, known := range map[string]bool{
		"installed": o.Installed != nil, "compared": o.Compared, "subvolume": o.Subvolume != "", "patches": o.Patches != nil, "next": o.NextBoot != nil,
		"reboot": o.Reboot != nil, "initrd": o.Initrd.Verdict != record.VerdictUnknown,
	} {
		if known {
			k.keepNewest(seq, "%s", what)
		}
	}
	for name := range o.Parts {
		k.keepNewest(seq, "part %s", name)
	}
}

// seeBoot notes which live patches a boot loaded, and, if the boot goes on, everything that the
// journal shows of it.
func (k *keeper) seeBoot(seq int64, b *record.Boot) {
	for _, l := range b.Loads {
		if l.Result == record.LoadComplete {
			k.keepFirst(seq, "loaded %s %s", b.KernelRelease, l.Patch)
		}
	}
	if !k.goOn[b.ID] {
		return
	}
	first, last, whole := view.Shown(b)
	if whole {
		k.looks = append(k.looks, look{seq, b.ID, time.UnixMicro(first), time.UnixMicro(last)})
	}
	k.keepBoth(seq, "boot %s %s %t %t", b.ID, b.KernelRelease, b.StartInJournal, whole)
	for _, l := range b.Loads {
		l.Cursor = ""
		k.keepBoth(seq, "load %s %t %s", b.ID, whole, text(l))
	}
	for _, img := range b.Builds {
		img.Cursor = ""
		k.keepBoth(seq, "build %s %t %s", b.ID, whole, text(img))
	}
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// lists says whether everything that a version fixes stays on record.
func (k *keeper) lists(version string) bool {
	return strings.HasSuffix(version, "-") || k.listed[version] > 0 || k.first["fixes "+version] > 0
}

// kept returns the events that stay, in order.
func (k *keeper) kept() []int64 {
	kept := slices.Concat(slices.Collect(maps.Values(k.first)), slices.Collect(maps.Values(k.newest)), chained(k.looks))
	for name, seq := range k.listed {
		if k.first["fixes "+name] == 0 {
			kept = append(kept, seq)
		}
	}
	for _, came := range k.came {
		for name, seq := range came {
			if k.first["seen "+name] == 0 {
				kept = append(kept, seq)
			}
		}
	}
	for of, seq := range k.differ {
		if !k.lists(of.before) || !k.lists(of.after) {
			kept = append(kept, seq)
		}
	}
	for id, seen := range k.clocks {
		first, last := settings(seen)
		if kept = append(kept, first...); !k.written[id] { // later ones show how far it goes
			kept = append(kept, last...)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

// chained returns the fewest events whose looks together show as much as all of them: it repeatedly
// takes the look that overlaps what is covered so far and reaches furthest.
func chained(looks []look) (events []int64) {
	slices.SortStableFunc(looks, func(a, b look) int { return cmp.Or(strings.Compare(a.boot, b.boot), a.first.Compare(b.first)) })
	for i := 0; i < len(looks); {
		boot, reached := looks[i].boot, looks[i].first
		for {
			furthest := look{}
			for ; i < len(looks) && looks[i].boot == boot && !looks[i].first.After(reached); i++ {
				if looks[i].last.After(furthest.last) {
					furthest = looks[i]
				}
			}
			if !furthest.last.After(reached) {
				break
			}
			events, reached = append(events, furthest.event), furthest.last
		}
	}
	return events
}

// clockSet is the least difference between the time since boot and the clock, from one event to
// another, that shows that the clock was set.
const clockSet = 10 * time.Second

// settings returns the first events after the clock of a boot was set, and the last ones before
// that.
func settings(seen []record.Sighting) (first, last []int64) {
	told := !slices.ContainsFunc(seen, func(s record.Sighting) bool { return s.Boottime == 0 })
	if told {
		slices.SortStableFunc(seen, func(a, b record.Sighting) int { return a.Began().Compare(b.Began()) })
	}
	for len(seen) > 0 {
		from, to, n := seen[0].Event, seen[0], 0
		for ; n < len(seen) && (n == 0 || !told || seen[n].Began().Sub(seen[n-1].Began()) <= clockSet); n++ {
			if from = min(from, seen[n].Event); seen[n].Time.After(to.Time.Time) {
				to = seen[n]
			}
		}
		first, last, seen = append(first, from), append(last, to.Event), seen[n:]
	}
	return first, last
}
