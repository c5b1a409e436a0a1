package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// observation is event n: the machine runs a kernel with an active live patch.
func observation(n int, boots ...record.Boot) *record.Event {
	return &record.Event{Header: header(record.KindObservation, n), Observation: &record.Observation{
		Trigger:   record.TriggerBoot,
		Kernel:    record.Kernel{Release: "6.4.0-150600.21-default", BootTime: at(0)},
		LivePatch: &record.LivePatch{Module: "livepatch_5", Package: new("p"), Version: new("5-1"), Enabled: true, Since: new(at(1))},
		Initrd:    record.Initrd{Verdict: record.VerdictContained, Basis: record.BasisBoot},
		NextBoot:  &record.NextBoot{KernelRelease: "6.4.0-150600.22-default"},
		Boots:     boots,
	}}
}

// boot is a boot that ends at event n's time and loaded patches.
func boot(n int, startInJournal bool, patches ...string) record.Boot {
	b := record.Boot{ID: "b", KernelRelease: "6.4.0", First: at(0), Last: at(n), StartInJournal: startInJournal}
	for _, p := range patches {
		b.Loads = append(b.Loads, record.Load{Patch: p, Phase: "initrd", Rule: "R1", Result: "complete", Time: at(1), Cursor: "s=1"})
	}
	return b
}

// incomplete is a look at a boot that left files out.
func incomplete(b record.Boot) record.Boot {
	b.Incomplete = true
	return b
}

// begun is a boot of which the journal shows nothing before a moment.
func begun(n int, b record.Boot) record.Boot {
	b.First = at(n)
	return b
}

func TestObservationShowsInItsView(t *testing.T) {
	root := newRoot(t)
	bare := observation(2)
	bare.Observation.LivePatch, bare.Observation.NextBoot = nil, nil
	bare.Observation.Initrd = record.Initrd{Verdict: record.VerdictUnknown, Reason: record.ReasonNoPatch}
	write(t, root, observation(1), bare)
	want := []string{
		"livepatch_5|p|5-1|1|0|contained|boot|<nil>|6.4.0-150600.22-default",
		"<nil>|<nil>|<nil>|<nil>|<nil>|unknown|<nil>|no-live-patch|<nil>",
	}
	got := query(t, raw(t, root), `SELECT module, package, version, enabled, transition, verdict, basis, reason, next_kernel
		FROM observations ORDER BY event`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBootIsKnownAsFarAsTheJournalShowedIt(t *testing.T) {
	for name, tt := range map[string]struct {
		looks []record.Boot
		last  int
		loads string
	}{
		"once":                       {[]record.Boot{boot(5, true, "a")}, 5, "a"},
		"a second look shows more":   {[]record.Boot{boot(5, true, "a"), boot(9, true, "a", "b")}, 9, "a b"},
		"a second look shows less":   {[]record.Boot{boot(5, true, "a", "b"), boot(9, true, "a")}, 9, "b a"}, // nothing: what was there stays
		"its start was rotated away": {[]record.Boot{boot(5, true, "a"), boot(9, false)}, 9, "a"},
		"files cannot be read":       {[]record.Boot{boot(5, true, "a", "b"), incomplete(boot(9, true, "a"))}, 5, "a b"},
		"files can be read again":    {[]record.Boot{incomplete(boot(5, true, "a")), boot(9, true, "a", "b")}, 9, "a b"},
		"more was rotated away":      {[]record.Boot{boot(5, false, "a", "b"), begun(3, boot(9, false))}, 9, "a b"},
		"never seen from its start":  {[]record.Boot{boot(5, false), boot(9, false, "b")}, 9, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			for n, look := range tt.looks {
				write(t, root, observation(n+1, look))
			}
			known, err := open(t, root).KnownBoots(t.Context())
			check(t, err)
			if diff := cmp.Diff(map[string]time.Time{"b": at(tt.last).Time}, known); diff != "" {
				t.Error(diff)
			}
			db := raw(t, root)
			if got := strings.Join(query(t, db, `SELECT patch FROM patch_loads ORDER BY pos`), " "); got != tt.loads {
				t.Errorf("loads %q, want %q", got, tt.loads)
			}
			before := dump(t, db)
			check(t, open(t, root).Rebuild(t.Context()))
			if diff := cmp.Diff(before, dump(t, db)); diff != "" {
				t.Errorf("rebuilt: %s", diff)
			}
			if v := verify(t, root, ""); len(v.Problems) > 0 {
				t.Errorf("record: %q", v.Problems)
			}
		})
	}
}

// Overlapping looks at a boot are combined, even if the newer one has lost the start; a look that
// left something out says nothing about what it does not show.
func TestLooksAtABootTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		looks []record.Boot
		want  string // stretches in minutes
	}{
		"the newer one is longer":        {[]record.Boot{boot(5, true), boot(9, true)}, "0-9"},
		"the newer one lost the start":   {[]record.Boot{boot(5, true), begun(3, boot(9, false))}, "0-9"},
		"they do not overlap":            {[]record.Boot{boot(5, true), begun(6, boot(9, false))}, "0-5 6-9"},
		"a third one joins them":         {[]record.Boot{boot(5, true), begun(7, boot(9, false)), begun(4, boot(10, false))}, "0-10"},
		"the newer one left files out":   {[]record.Boot{boot(5, true), incomplete(boot(9, true))}, "0-5"},
		"none could read all":            {[]record.Boot{incomplete(boot(9, true))}, ""},
		"the same observation, two rows": {[]record.Boot{boot(5, true), boot(5, true)}, "0-5"},
	} {
		t.Run(name, func(t *testing.T) {
			root := newRoot(t)
			for n, look := range tt.looks {
				write(t, root, observation(n+1, look))
			}
			boots, err := open(t, root).Boots(t.Context(), at(0).Time, at(20).Time)
			check(t, err)
			var got []string
			for _, l := range boots[0].Looks {
				got = append(got, fmt.Sprintf("%.0f-%.0f", l.First.Sub(at(0).Time).Minutes(), l.Last.Sub(at(0).Time).Minutes()))
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
}

func TestVerdictWithoutBasisAndReasonSaysNull(t *testing.T) {
	for want, initrd := range map[string]record.Initrd{
		`"basis":null,"reason":"no-journal"`: {Reason: record.ReasonNoJournal},
		`"basis":"image","reason":null`:      {Basis: record.BasisImage},
	} {
		if got, err := json.Marshal(initrd); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
