package observe

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// Checkpoints returns the record's checkpoints in the journal of the machine whose file tree is at
// root: none if it has no journal. Read them before the record that you compare them with, because
// the record may grow in between.
func Checkpoints(ctx context.Context, root string) ([]string, error) {
	dir := ""
	if filepath.Clean("/"+root) != "/" {
		dir = filepath.Join(root, "var/log/journal")
	}
	texts, err := journal.Checkpoints(ctx, dir, store.CheckpointMessageID)
	if errors.Is(err, journal.ErrNoJournal) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var notes []string
	for _, text := range texts {
		if proof.IsCheckpoint(text) {
			notes = append(notes, text)
		}
	}
	return notes, err
}
