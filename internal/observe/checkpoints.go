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

// Checkpoints returns the checkpoints of the record that the journal holds of the machine
// whose file tree is at root: none, if it has no journal. A journal is read before the
// record that they are held against, which may grow meanwhile.
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
