// Package keep looks after what the collector keeps: gives it back, verifies it, packs it, and
// removes what its owner no longer wants to keep.
package keep

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof"
)

// Export writes a branch of a log as its host exported it, byte for byte, except for bodies that
// were removed since.
func Export(ctx context.Context, db *pg.DB, l *pg.Log, branch int, w io.Writer) error {
	b := l.At(branch)
	if b.Size == 0 {
		return fmt.Errorf("log %s has sent nothing yet", l.Name)
	}
	out := bufio.NewWriterSize(w, 64<<10)
	if err := proof.WriteExportHeader(out, 0, nil, b.Key); err != nil {
		return err
	}
	for p, err := range db.Pieces(ctx, l, branch, 0, b.Size) {
		if err != nil {
			return err
		}
		if err := writePiece(out, p); err != nil {
			return err
		}
	}
	if err := proof.WriteExportEnd(out, b.Checkpoint); err != nil {
		return err
	}
	return out.Flush()
}

// writePiece writes the lines of a piece: all of its segment, or some.
func writePiece(out *bufio.Writer, p *pg.Piece) error {
	if p.After == p.First-1 && p.To == p.Last {
		lines, err := p.Content()
		if err == nil {
			_, err = out.Write(lines)
		}
		return err
	}
	entries, err := p.Entries()
	for _, e := range entries {
		if err == nil {
			err = proof.WriteExportEntry(out, e)
		}
	}
	return err
}
