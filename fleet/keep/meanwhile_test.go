package keep_test

import (
	"errors"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// Uploads are packed while somebody reads them: each event is read once.
func TestPackedWhileRead(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	k.sends(g, 0)
	for range 40 {
		since := g.Size()
		g.AddDrift(1)
		k.sends(g, since)
	}
	k.now = k.now.AddDate(0, 1, 0)
	want := int64(0)
	for e, err := range k.db.Entries(t.Context(), k.log(g), 0, 0, g.Size()) {
		check(t, err)
		if want++; e.Seq != want {
			t.Fatalf("event %d is read after event %d", e.Seq, want-1)
		}
		if want == 1 && k.prune(keep.Prune{}).Segments != 41 {
			t.Fatal("nothing was packed")
		}
	}
	if want != g.Size() {
		t.Errorf("%d events were read", want)
	}
}

// Whoever can write to the database removes the newest upload of a host, so that all fits again, but
// leaves its checkpoint: verify finds that. So it does if a checkpoint of the past is another's.
func TestRolledBackDatabase(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	g.AddDrift(3)
	k.sends(g, 0)
	old := k.log(g).Current()
	g.AddDrift(4)
	k.sends(g, 4)
	var tree []byte
	var checkpoint string
	check(t, k.raw.QueryRow(t.Context(), `select tree, checkpoint from branch where log = $1`, k.log(g).ID).Scan(&tree, &checkpoint))
	k.exec(`update branch set size = 4, tree = b.tree, checkpoint = $2 from (select tree from segment where log = $1 and first = 5) b where log = $1`, k.log(g).ID, old.Checkpoint)
	if v := k.verifies(g, ""); v.Result != "truncated" {
		t.Errorf("rolled back: %+v", v)
	}
	k.exec(`update branch set size = 8, tree = $2, checkpoint = $3 where log = $1`, k.log(g).ID, tree, checkpoint)
	if v := k.verifies(g, ""); v.Result != "intact" {
		t.Errorf("put back: %+v", v)
	}
	other := prooftest.New(t)
	other.AddDrift(3)
	k.exec(`update receipt set checkpoint = $2 where log = $1 and size = 4`, k.log(g).ID, other.Checkpoint)
	if v := k.verifies(g, ""); v.Result != "altered" {
		t.Errorf("another checkpoint: %+v", v)
	}
}

// Whoever can write to the database makes the branch that counts look like a part of another, which
// cannot be verified, or changes which key signs what: verify does not call it intact.
func TestHiddenBranch(t *testing.T) {
	for _, sql := range []string{
		`update branch set base = 0, common = 0`,
		`update branch set base = 0, common = 0, since = 4`,
		`update branch set keys = '[]'`,
		`update branch set keys = jsonb_set(keys, '{0,event}', '3')`,
	} {
		k, g := newKept(t), prooftest.New(t)
		g.AddDrift(7)
		k.sends(g, 0)
		k.exec(sql)
		results := 0
		r := &keep.Run{DB: k.db, Began: k.now, Workers: 1, Now: func() time.Time { return k.now }, Found: func(res keep.Result) error {
			results++
			if res.Err == nil && res.Result == "intact" {
				t.Errorf("%s: %+v", sql, res.Verification)
			}
			return nil
		}}
		check(t, r.Verify(t.Context(), []*pg.Log{k.log(g)}))
		if results != 1 {
			t.Errorf("%s: %d results", sql, results)
		}
	}
}

// Two runs withhold bodies of one log at the same time: what one has stated, the other does not state
// away.
func TestStatedMeanwhile(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	key := prooftest.NewKey(t)
	g.AddDrift(4)
	k.sends(g, 0)
	g.AddDrift(4)
	k.sends(g, 5)
	l := k.log(g)
	if got := k.prune(keep.Prune{Before: prooftest.At(4).Time, Withhold: true, Key: key}); got.Withheld != 2 {
		t.Errorf("%+v", got)
	}
	first, err := k.db.Withheld(t.Context(), l.ID, 0)
	check(t, err)
	if err := k.db.Replace(t.Context(), l.ID, 0, nil, nil, "", &pg.Statement{Text: "another", Stated: k.now}); !errors.Is(err, pg.ErrMoved) {
		t.Error(err)
	}
	if got := k.prune(keep.Prune{Before: prooftest.At(8).Time, Withhold: true, Key: key}); got.Withheld != 4 {
		t.Errorf("%+v", got)
	}
	if err := k.db.Replace(t.Context(), l.ID, 0, nil, nil, first.Text, &pg.Statement{Text: "another", Stated: k.now}); !errors.Is(err, pg.ErrMoved) {
		t.Error(err)
	}
	if v := k.verifies(g, key.Verifier); v.Result != "intact" || v.Withheld != 6 {
		t.Errorf("%+v", v)
	}
}

// After a verification of many logs has begun, a host prunes, and the collector follows: the host is not
// altered.
func TestPrunedWhileVerified(t *testing.T) {
	k, g := newKept(t), prooftest.New(t)
	g.AddDrift(9)
	k.sends(g, 0)
	l := k.log(g)
	g.Prune(5)
	k.sends(g, 10)
	if got := k.prune(keep.Prune{Before: prooftest.At(9).Time}); got.Removed != 4 {
		t.Fatalf("%+v", got)
	}
	r := &keep.Run{DB: k.db, Began: k.now, Workers: 1, Now: func() time.Time { return k.now }, Found: func(res keep.Result) error {
		if res.Err != nil || res.Result != "intact" {
			t.Errorf("%v, %+v", res.Err, res.Verification)
		}
		return nil
	}}
	check(t, r.Verify(t.Context(), []*pg.Log{l}))
}
