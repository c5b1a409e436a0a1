package ingest

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/record/proof"
)

// kind says how an upload relates to a branch.
type kind int

const (
	same  kind = iota // what both hold is equal
	other             // they differ
	after             // the upload begins after the branch ends
)

// relation says how an upload relates to the branch that it fits best.
type relation struct {
	branch int
	kind   kind
	common int64  // of another history: the last event that both are known to share
	first  int64  // the first event that is known to differ
	key    string // that signed the events before the upload; empty: there are none
}

// relate compares an upload with the branches of a log: the one that counts first, then the newest. Of
// those that it agrees with, it continues the one that it shares most with. If it begins after the one
// that counts, it can only continue another one, or wait.
func (c *Collector) relate(ctx context.Context, u *upload, l *pg.Log) (best relation, err error) {
	order := []int{l.Branch}
	for _, b := range slices.Backward(l.Branches) {
		if b.Number != l.Branch {
			order = append(order, b.Number)
		}
	}
	best = relation{branch: l.Branch, kind: after}
	waits, shared := false, int64(-1)
	for _, number := range order {
		rel, err := c.compare(ctx, u, l, number)
		if err != nil {
			return rel, err
		}
		switch size := min(l.At(number).Size, u.size()); {
		case rel.kind == same && size == u.size():
			return rel, nil
		case rel.kind == same && size > shared:
			best, shared = rel, size
		case rel.kind == after && number == l.Branch:
			waits = true
		case rel.kind == other && !waits && shared < 0 && (best.kind == after || rel.common > best.common):
			best = rel
		}
	}
	return best, nil
}

// compare compares an upload with a branch.
func (c *Collector) compare(ctx context.Context, u *upload, l *pg.Log, number int) (relation, error) {
	b := l.At(number)
	rel := relation{branch: number}
	if u.since > b.Size {
		rel.kind = after
		return rel, nil
	}
	if c.Unchecked {
		return rel, nil
	}
	if u.since > 0 && u.since < b.Since && !l.Whole(number) {
		rel.kind = after // its events were never sent
		return rel, nil
	}
	tree, err := c.DB.TreeAt(ctx, l, number, u.since)
	if err != nil {
		return rel, err
	}
	if !slices.Equal(tree, u.begin) {
		rel.kind = other
		rel.common, rel.first = commonBefore(u.since, tree, u.begin)
		return rel, nil
	}
	if !l.Whole(number) && u.since < b.Since {
		rel.kind = other
		rel.common, rel.first = u.since, b.Since+1
		return rel, nil
	}
	return c.compareEvents(ctx, u, l, rel)
}

// compareEvents compares the events that an upload and a branch both hold.
func (c *Collector) compareEvents(ctx context.Context, u *upload, l *pg.Log, rel relation) (relation, error) {
	seq := u.since
	for e, err := range c.DB.Entries(ctx, l, rel.branch, u.since, min(l.At(rel.branch).Size, u.size())) {
		if err != nil {
			return rel, err
		}
		if u.leaves[e.Seq-u.since-1] != e.Hash {
			rel.kind, rel.common, rel.first = other, seq, e.Seq
			return rel, nil
		}
		seq = e.Seq
	}
	return rel, nil
}

// commonBefore says between which events two logs part whose first events have different trees: all
// up to common are equal, and one up to first differs. Each hash covers as many events as one bit of
// the size counts.
func commonBefore(size int64, a, b []tlog.Hash) (common, first int64) {
	covered := int64(0)
	for i, id := range proof.Subtrees(size) {
		level, _ := tlog.SplitStoredHashIndex(id)
		if a[i] != b[i] {
			return covered, covered + 1<<level
		}
		covered += 1 << level
	}
	return covered, size + 1
}

// after returns the segments of the events after a number.
func (u *upload) after(size int64) ([]segment.Segment, error) {
	if size <= u.since {
		return u.segments, nil
	}
	i := slices.IndexFunc(u.segments, func(s segment.Segment) bool { return s.Last > size })
	if i < 0 {
		return nil, nil
	}
	rest := slices.Clone(u.segments[i:])
	if rest[0].First > size {
		return rest, nil
	}
	cut, err := segment.Repack(rest[:1], size, rest[0].Last)
	return append(cut, rest[1:]...), err
}

// treeAt returns the hashes of the complete subtrees over the first events of the upload.
func (u *upload) treeAt(size int64) ([]tlog.Hash, error) {
	tree, err := proof.NewTree(u.since, u.begin)
	for _, leaf := range u.leaves[:max(0, size-u.since)] {
		if err == nil {
			err = tree.Add(leaf)
		}
	}
	if err != nil {
		return nil, err
	}
	return tree.Roots(), nil
}

// NeverSent is the kind of a finding: the host removed bodies before it sent them. The other kinds
// are the causes of recorder events that tell of a fault.
const NeverSent = "body-never-sent"

// findings are what an auditor should know of the events after a number.
func (u *upload) findings(size int64) (list []pg.Finding) {
	for _, seq := range u.gaps {
		switch last := len(list) - 1; {
		case seq <= size:
		case last >= 0 && list[last].Last == seq-1:
			list[last].Last = seq
		default:
			list = append(list, pg.Finding{Kind: NeverSent, First: seq, Last: seq})
		}
	}
	return list
}

// answer begins an answer.
func (u *upload) answer() *Answer {
	return &Answer{Hostname: u.newest.Host.Hostname, Since: u.since, Upload: u.size()}
}

// refused says what is wrong with an upload in itself.
func (u *upload) refused(a *Answer) *Answer {
	a.Outcome, a.Problems = Refused, u.v.Problems
	if more := u.v.Found - len(u.v.Problems); more > 0 {
		a.Problems = append(slices.Clone(a.Problems), fmt.Sprintf("and %d more", more))
	}
	return a
}
