package segment_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
	"github.com/klp-audit/klp-audit/record/view"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack packs the events of a log after one number, up to another.
func pack(t testing.TB, g *prooftest.Log, after, to int64) []segment.Segment {
	t.Helper()
	tree, err := g.ReadHashes(proof.Subtrees(after))
	check(t, err)
	p, err := segment.NewPacker(after, tree)
	check(t, err)
	for seq := after + 1; seq <= to; seq++ {
		e := proof.Entry{Seq: seq, Hash: g.Hashes[tlog.StoredHashIndex(0, seq-1)], Body: g.Bodies[seq-1]}
		var o *view.Outline
		if e.Body != nil {
			ev, err := record.DecodeAt(seq, e.Body)
			check(t, err)
			o = view.Of(seq, ev)
		}
		check(t, p.Add(e, o))
	}
	return p.Segments()
}

// lines are the lines of segments.
func lines(t testing.TB, list []segment.Segment) (b []byte) {
	t.Helper()
	for i := range list {
		part, err := list[i].Content()
		check(t, err)
		b = append(b, part...)
	}
	return b
}

// outlined are the outlines of segments, without the whole events.
func outlined(t testing.TB, list []segment.Segment) (all []*view.Outline) {
	t.Helper()
	for i := range list {
		part, err := list[i].Read()
		check(t, err)
		all = append(all, part...)
	}
	for _, o := range all {
		o.Whole = nil
	}
	return all
}

// wanted are the lines of an export without its first and last.
func wanted(g *prooftest.Log, after int64) []byte {
	list := slices.Collect(bytes.Lines(g.Export(after)))
	return bytes.Join(list[1:len(list)-1], nil)
}

// Segments hold the lines of an export as they are, however the events were packed and repacked.
func TestLinesStay(t *testing.T) {
	g := prooftest.New(t)
	g.AddDrift(30)
	g.Prune(7)
	g.AddDrift(3)
	whole := pack(t, g, 0, g.Size())
	if got := lines(t, whole); !bytes.Equal(got, wanted(g, 0)) {
		t.Errorf("got %s\nwant %s", got, wanted(g, 0))
	}
	if got := lines(t, pack(t, g, 9, g.Size())); !bytes.Equal(got, wanted(g, 9)) {
		t.Errorf("after event 9: %s", got)
	}
	var pieces []segment.Segment
	for _, cut := range []int64{0, 1, 4, 5, 16, 17, 33} {
		pieces = append(pieces, pack(t, g, cut, min(g.Size(), nextCut(cut)))...)
	}
	one, err := segment.Repack(pieces, 0, g.Size())
	check(t, err)
	if d := cmp.Diff(whole, one); d != "" || len(one) != 1 {
		t.Errorf("repacked: %s", d)
	}
	for after := range g.Size() {
		for _, to := range []int64{after + 1, g.Size()} {
			part, err := segment.Repack(pieces, after, to)
			check(t, err)
			if d := cmp.Diff(pack(t, g, after, to), part); d != "" {
				t.Errorf("events %d to %d: %s", after+1, to, d)
			}
		}
	}
}

func nextCut(cut int64) int64 {
	cuts := []int64{0, 1, 4, 5, 16, 17, 33, 1 << 40}
	return cuts[slices.Index(cuts, cut)+1]
}

// Outlines in another form are made again, and say the same.
func TestOtherForm(t *testing.T) {
	g := prooftest.New(t)
	g.AddDrift(5)
	list := pack(t, g, 0, g.Size())
	want := outlined(t, list)
	list[0].Form, list[0].Outlines = 1, []byte("of another version")
	if d := cmp.Diff(want, outlined(t, list), cmp.AllowUnexported(view.Commit{})); d != "" || len(want) != 6 {
		t.Errorf("%d outlines: %s", len(want), d)
	}
}

// What was kept and is not what was kept any more is named.
func TestAltered(t *testing.T) {
	g := prooftest.New(t)
	g.AddDrift(5)
	good := pack(t, g, 0, g.Size())[0]
	for name, alter := range map[string]func(s *segment.Segment){
		"cut":          func(s *segment.Segment) { s.Lines = s.Lines[:len(s.Lines)-3] },
		"empty":        func(s *segment.Segment) { s.Lines = nil },
		"other length": func(s *segment.Segment) { s.Bytes++ },
		"other number": func(s *segment.Segment) { s.First++ },
		"fewer":        func(s *segment.Segment) { s.Last++ },
		"a bit": func(s *segment.Segment) {
			s.Lines = bytes.Clone(s.Lines)
			s.Lines[len(s.Lines)/2] ^= 1
		},
	} {
		s := good
		alter(&s)
		if _, err := s.Entries(); !errors.Is(err, segment.ErrAltered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A segment ends in time: whoever reads one event reads no more than a few MiB.
func TestSegmentsEnd(t *testing.T) {
	g := prooftest.New(t)
	g.AddDrift(2 * segment.MaxEvents)
	list := pack(t, g, 0, g.Size())
	if len(list) != 3 || list[0].Last != segment.MaxEvents || list[1].First != segment.MaxEvents+1 {
		t.Errorf("%d segments", len(list))
	}
	tree, err := g.ReadHashes(proof.Subtrees(segment.MaxEvents))
	check(t, err)
	if !slices.Equal(list[1].Tree, tree) {
		t.Errorf("tree before the second: %v", list[1].Tree)
	}
}
