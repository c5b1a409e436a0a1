package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// verifyIncrement verifies an export that must continue an edge.
func verifyIncrement(t *testing.T, after proof.Edge, export []byte) *proof.Verifier {
	t.Helper()
	v, err := proof.Export{After: &after}.Verify(t.Context(), bytes.NewReader(export))
	check(t, err)
	return v
}

// Whoever keeps nothing but the edge of a log can verify all of it, piece by piece.
func TestIncrements(t *testing.T) {
	g := prooftest.New(t)
	var edge proof.Edge
	for i, grow := range []func(){
		func() {}, func() { g.AddDrift(1) }, func() { g.AddDrift(6) }, func() {}, func() { g.AddDrift(8) },
		g.AddKey, func() { g.AddDrift(3); g.AddKey(); g.AddDrift(2) },
		func() { g.AddDrift(5); g.Prune(g.Size() - 2) }, func() { g.AddDrift(1) },
	} {
		before := edge.Size
		grow()
		var kept []int64
		v, err := proof.Export{After: &edge, Keep: func(e proof.Entry, ev *record.Event) error {
			if (ev == nil) != (e.Body == nil) || e.Hash != g.Hashes[tlog.StoredHashIndex(0, e.Seq-1)] {
				t.Errorf("event %d: %v", e.Seq, ev)
			}
			kept = append(kept, e.Seq)
			return nil
		}}.Verify(t.Context(), bytes.NewReader(g.Export(edge.Size)))
		check(t, err)
		if v.Result != proof.Intact || v.TreeSize != g.Size() || v.RootHash != g.Root().String() || v.Key != g.Key.Verifier || v.Checkpoint != g.Checkpoint {
			t.Fatalf("increment %d after event %d: %+v", i, before, v.Verification)
		}
		edge = v.Edge()
		if int64(len(kept)) != g.Size()-before || edge.Size != g.Size() || edge.Key != g.Key.Verifier {
			t.Errorf("increment %d: kept %d, edge %+v", i, kept, edge)
		}
	}
	whole := verifyIncrement(t, proof.Edge{}, g.Export(0))
	if whole.Result != proof.Intact || len(whole.Keys) != 3 || !slices.Equal(whole.Edge().Tree, edge.Tree) {
		t.Errorf("the whole log: %+v", whole.Verification)
	}
}

// alteration changes the lines of an increment: its header, four events, and its checkpoint.
type alteration func(t *testing.T, g *prooftest.Log, lines []string) []string

// fitted is an event's line with another body and the matching hash.
func fitted(line string) string {
	seq, rest, _ := strings.Cut(line, `,"hash":`)
	_, body, _ := strings.Cut(strings.TrimSuffix(rest, "}\n"), `,"event":`)
	body = strings.Replace(body, `"sles"`, `"eve"`, 1)
	return fmt.Sprintf(`%s,"hash":"%s","event":%s}`+"\n", seq, tlog.RecordHash([]byte(body)), body)
}

// Whatever is done to an increment is found with the edge alone.
func TestAlteredIncrements(t *testing.T) {
	for name, tt := range map[string]struct {
		alter  alteration
		result proof.Integrity
		want   []string // what each problem contains
	}{
		"nothing": {func(_ *testing.T, _ *prooftest.Log, l []string) []string { return l }, proof.Intact, nil},
		"an altered event": {func(_ *testing.T, _ *prooftest.Log, l []string) []string {
			l[2] = strings.Replace(l[2], `"sles"`, `"eve"`, 1)
			return l
		}, proof.Altered, []string{"event 7: its hash is "}},
		"a replaced event": {func(_ *testing.T, _ *prooftest.Log, l []string) []string {
			l[2] = fitted(l[2])
			return l
		}, proof.Altered, []string{"the root hash is "}},
		"a missing event": {func(_ *testing.T, _ *prooftest.Log, l []string) []string { return slices.Delete(l, 2, 3) },
			proof.Truncated, []string{"event 7 is missing: number 8 follows", "event 8 is missing: number 9 follows", "the checkpoint covers 9 events, the log has 8"}},
		"no last event": {func(_ *testing.T, _ *prooftest.Log, l []string) []string { return slices.Delete(l, 4, 5) },
			proof.Truncated, []string{"the checkpoint covers 9 events, the log has 8"}},
		"a body that no prune event took": {func(_ *testing.T, _ *prooftest.Log, l []string) []string {
			before, _, _ := strings.Cut(l[2], `,"event":`)
			l[2] = before + "}\n"
			return l
		}, proof.Altered, []string{"event 7 is missing"}},
		"events in another order": {func(_ *testing.T, _ *prooftest.Log, l []string) []string {
			l[2], l[3] = l[3], l[2]
			return l
		}, proof.Altered, []string{"event 7 is missing: number 8 follows", "event 8 is missing: number 7 follows", "the root hash is "}},
		"an event twice": {func(_ *testing.T, _ *prooftest.Log, l []string) []string { return slices.Insert(l, 3, l[2]) },
			proof.Altered, []string{"event 8 is missing: number 7 follows", "event 8: its id ", "event 9 is missing: number 8 follows",
				"event 10 is missing: number 9 follows", "the checkpoint covers 9 events, the log has 10"}},
		"no end": {func(_ *testing.T, _ *prooftest.Log, l []string) []string { return l[:3] },
			proof.Truncated, []string{"there is no checkpoint after event 7"}},
		"a stranger's signature": {func(t *testing.T, g *prooftest.Log, l []string) []string {
			name, _, _ := strings.Cut(g.Checkpoint, "\n")
			stranger := prooftest.NewKey(t)
			cp, err := stranger.Sign(g.Size(), g.Root(), nil)
			check(t, err)
			own, _, _ := strings.Cut(cp.Note, "\n")
			l[5] = strings.ReplaceAll(l[5], g.Checkpoint, strings.ReplaceAll(cp.Note, own, name))
			l[0] = strings.Replace(l[0], g.Key.Verifier, stranger.Verifier, 1)
			return l
		}, proof.Altered, []string{"the first line says that the key is "}},
	} {
		g := prooftest.New(t)
		g.AddDrift(4)
		edge := verifyIncrement(t, proof.Edge{}, g.Export(0)).Edge()
		g.AddDrift(4)
		lines := tt.alter(t, g, slices.Collect(strings.Lines(string(g.Export(edge.Size)))))
		found(t, name, verifyIncrement(t, edge, []byte(strings.Join(lines, ""))), tt.result, tt.want...)
	}
}

// found demands exactly these problems.
func found(t *testing.T, name string, v *proof.Verifier, result proof.Integrity, want ...string) {
	t.Helper()
	ok := v.Result == result && len(v.Problems) == len(want)
	for i := range want {
		ok = ok && strings.Contains(v.Problems[i], want[i])
	}
	if !ok {
		t.Errorf("%s: %s\n%s\nwant %s\n%s", name, v.Result, strings.Join(v.Problems, "\n"), result, strings.Join(want, "\n"))
	}
}

// A log that was made anew does not continue the edge, whoever signs it. An increment that is
// intact by itself may begin elsewhere.
func TestIncrementsThatDoNotContinue(t *testing.T) {
	g := prooftest.New(t)
	g.AddDrift(4)
	edge := verifyIncrement(t, proof.Edge{}, g.Export(0)).Edge()
	g.AddDrift(4)

	other := prooftest.New(t)
	other.AddDrift(8)
	const another = "the first 5 events are not those that the log had"
	found(t, "another machine's", verifyIncrement(t, edge, other.Export(5)), proof.Altered,
		another, "the first line says that the key is ", "checkpoint: ")

	anew := &prooftest.Log{TB: t, Key: g.Key}
	for _, body := range g.Bodies {
		anew.AddBody(bytes.Replace(body, []byte(`"sles"`), []byte(`"eve"`), 1))
	}
	found(t, "made anew with the key", verifyIncrement(t, edge, anew.Export(5)), proof.Altered, another, "the root hash is ")

	taken := prooftest.New(t)
	taken.Key = prooftest.NewKey(t)
	taken.Bodies, taken.Hashes = slices.Clone(g.Bodies[:5]), slices.Clone(g.Hashes[:tlog.StoredHashCount(5)])
	taken.Add(record.KindRecorder, func(ev *record.Event) {
		ev.Identity = &record.Identity{Cause: record.CauseUpgraded, Schema: 4, Key: taken.Key.Verifier}
	})
	found(t, "a key that nobody handed over to", verifyIncrement(t, edge, taken.Export(5)), proof.Altered, "event 6: the key ")

	for _, since := range []int64{0, 4, 6, 9} {
		_, err := proof.Export{After: &edge}.Verify(t.Context(), bytes.NewReader(g.Export(since)))
		if !errors.Is(err, proof.ErrOtherEdge) || !strings.Contains(err.Error(), fmt.Sprintf("it begins after event %d, the log has 5", since)) {
			t.Errorf("since %d: %v", since, err)
		}
	}
}

// Whoever learns only after reading which key signed the edge checks the way from it to the newest
// key then.
func TestIncrementsFollowAKey(t *testing.T) {
	g := prooftest.New(t)
	first := g.Key.Verifier
	g.AddDrift(2)
	g.AddKey()
	g.AddDrift(1)
	second := g.Key.Verifier
	verify := func(since int64) *proof.Verifier {
		v, err := proof.Export{}.Verify(t.Context(), bytes.NewReader(g.Export(since)))
		check(t, err)
		return v
	}
	for _, tt := range []struct {
		since int64
		key   string
		want  []string
	}{
		{0, first, nil}, {3, first, nil}, {3, second, nil}, {4, second, nil},
		{4, first, []string{"no event says that "}},
		{0, second, []string{"event 1: the key "}},
		{3, prooftest.NewKey(t).Verifier, []string{"event 4: the key "}},
	} {
		v := verify(tt.since)
		v.Follow(tt.key, v.Takeover())
		result := proof.Intact
		if tt.want != nil {
			result = proof.Altered
		}
		found(t, fmt.Sprintf("since %d", tt.since), v, result, tt.want...)
	}
	name, _, _ := strings.Cut(first, "+")
	if got := verify(3).Predecessor(); got != name {
		t.Errorf("the key before is %q, want %q", got, name)
	}
	if got := verify(4).Predecessor() + verify(0).Predecessor(); got != "" {
		t.Errorf("where nothing was handed over: %q", got)
	}
}

// A prune leaves the newest observations, which stand close together: in an increment, many of them
// and few gaps are no sign that somebody chose what to remove.
func TestPruneOfAnIncrement(t *testing.T) {
	g := prooftest.New(t)
	g.AddDrift(40)
	edge := verifyIncrement(t, proof.Edge{}, g.Export(0)).Edge()
	g.AddDrift(10)
	g.PruneTo(g.Size(), func(seq int64) bool { return seq <= 42 })
	found(t, "an increment", verifyIncrement(t, edge, g.Export(edge.Size)), proof.Intact)
}
