package ingest

import (
	"context"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof"
)

// keepRefused keeps a refused upload as evidence, if a key of the log signed its checkpoint, and did
// not sign it for what is kept: anybody may put such a checkpoint below what they made up.
func (c *Collector) keepRefused(ctx context.Context, u *upload, l *pg.Log) error {
	cp, err := proof.ParseWithAny(u.v.Checkpoint, keysOf(l))
	if err != nil || cp == nil {
		return nil
	}
	if known, err := c.isOf(ctx, l, cp); err != nil || known {
		return err
	}
	return c.DB.Refuse(ctx, l.ID, &pg.Refusal{Received: c.Now(), Since: u.since, Size: u.size(), Checkpoint: u.v.Checkpoint, Problems: u.v.Problems, Lines: u.evidence()})
}

// isOf says whether a checkpoint is one of the log that is kept.
func (c *Collector) isOf(ctx context.Context, l *pg.Log, cp *proof.Checkpoint) (bool, error) {
	if cp.Size > l.Current().Size {
		return false, nil
	}
	hashes, err := c.DB.TreeAt(ctx, l, l.Branch, cp.Size)
	if err != nil {
		return false, err
	}
	tree, err := proof.NewTree(cp.Size, hashes)
	if err != nil {
		return false, err
	}
	root, err := tree.Root()
	return root == cp.Root, err
}

// maxEvidence bounds what is kept of a refused upload, compressed.
const maxEvidence = 16 << 20

// evidence are the lines of an upload, zstd; empty if they are too many.
func (u *upload) evidence() []byte {
	lines := []byte{}
	for _, s := range u.segments {
		if len(lines)+len(s.Lines) > maxEvidence {
			return []byte{}
		}
		lines = append(lines, s.Lines...)
	}
	return lines
}
