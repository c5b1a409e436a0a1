package ingest

import (
	"context"
	"maps"
	"slices"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/fleet/segment"
	"github.com/klp-audit/klp-audit/record/view"
)

// fill adds bodies that an upload brings of events that were kept without one, because the host had
// removed it before it sent them: an export from before that may come later. The events up to a number
// are equal in both. What the collector itself has removed stays removed.
func (c *Collector) fill(ctx context.Context, u *upload, l *pg.Log, branch int, to int64) error {
	for b := l.At(branch); b != nil; b = l.Left(b) {
		findings, err := c.DB.Findings(ctx, l.ID, b.Number)
		if err != nil {
			return err
		}
		findings = slices.DeleteFunc(findings, func(f pg.Finding) bool { return f.Kind != NeverSent })
		if bodies, left := u.bodies(findings, to); len(bodies) > 0 {
			f := &pg.Filling{Was: findings, Left: left, Received: c.Now(), MaxBytes: c.Limits.DayBytes}
			if err := c.fillBranch(ctx, u, l.ID, b, bodies, f); err != nil {
				return err
			}
		}
		if b.Common != nil {
			to = min(to, *b.Common)
		}
	}
	return nil
}

// bodies returns which events that were never sent have a body in the upload, and the findings of
// those that have none.
func (u *upload) bodies(findings []pg.Finding, to int64) (bodies map[int64]bool, left []pg.Finding) {
	bodies = map[int64]bool{}
	gap := map[int64]bool{}
	for _, seq := range u.gaps {
		gap[seq] = true
	}
	for _, f := range findings {
		for seq := f.First; seq <= f.Last; seq++ {
			switch last := len(left) - 1; {
			case seq > u.since && seq <= min(to, u.size()) && !gap[seq]:
				bodies[seq] = true
			case last >= 0 && left[last].Last == seq-1:
				left[last].Last = seq
			default:
				left = append(left, pg.Finding{Kind: NeverSent, First: seq, Last: seq, Found: f.Found})
			}
		}
	}
	return bodies, left
}

// fillBranch adds bodies to what a branch itself keeps.
func (c *Collector) fillBranch(ctx context.Context, u *upload, id pg.ID, b *pg.Branch, bodies map[int64]bool, f *pg.Filling) error {
	brought, outlines, err := u.brought(bodies)
	if err != nil {
		return err
	}
	seqs := slices.Sorted(maps.Keys(bodies))
	for s, err := range c.DB.Kept(ctx, id, b.Number, max(b.Since, seqs[0]-1), seqs[len(seqs)-1]) {
		if err != nil {
			return err
		}
		list, err := fillSegment(&s.Segment, brought, outlines)
		if err != nil {
			return err
		}
		if list == nil {
			continue
		}
		f.Old = append(f.Old, *s)
		for _, n := range list {
			f.New = append(f.New, pg.Stored{Segment: n, Received: s.Received})
		}
	}
	return c.DB.Fill(ctx, id, b.Number, f)
}

// brought returns the bodies of some events of the upload, and their outlines.
func (u *upload) brought(bodies map[int64]bool) (brought map[int64][]byte, outlines map[int64]*view.Outline, err error) {
	brought, outlines = map[int64][]byte{}, map[int64]*view.Outline{}
	for i := range u.segments {
		entries, err := u.segments[i].Entries()
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			if bodies[e.Seq] {
				brought[e.Seq] = e.Body
			}
		}
		list, err := u.segments[i].Read()
		if err != nil {
			return nil, nil, err
		}
		for _, o := range list {
			if bodies[o.Event] {
				outlines[o.Event] = o
			}
		}
	}
	return brought, outlines, nil
}

// fillSegment returns a segment with more bodies, nil if it gets none.
func fillSegment(s *segment.Segment, brought map[int64][]byte, outlines map[int64]*view.Outline) ([]segment.Segment, error) {
	entries, err := s.Entries()
	if err != nil {
		return nil, err
	}
	var more []*view.Outline
	for i := range entries {
		e := &entries[i]
		if body := brought[e.Seq]; e.Body == nil && body != nil {
			e.Body, more = body, append(more, outlines[e.Seq])
		}
	}
	if more == nil {
		return nil, nil
	}
	kept, err := s.Read()
	if err != nil {
		return nil, err
	}
	return s.Pack(entries, append(kept, more...))
}
