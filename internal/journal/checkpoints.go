package journal

import (
	"context"
	"runtime"

	"github.com/coreos/go-systemd/v22/sdjournal"
)

// Checkpoints returns the checkpoints of the record that root wrote to a journal (see Read for dir)
// in entries with a message id: in no order, each once. Files that cannot be read are left out,
// because every checkpoint speaks for itself; if none can be read, that is an error.
func Checkpoints(ctx context.Context, dir, messageID string) ([]string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := findFiles(dir)
	if err != nil {
		return nil, err
	}
	found, seen := []string{}, map[string]bool{}
	err = f.each(func(_ string, j *sdjournal.Journal) error {
		return checkpointsIn(ctx, j, messageID, func(text string) {
			if !seen[text] {
				seen[text] = true
				found = append(found, text)
			}
		})
	})
	if err == nil && len(f.paths) == 0 && len(found) == 0 {
		err = f.missing(Query{})
	}
	return found, err
}

// checkpointsIn reads one file. Only journald itself writes fields that begin with an underscore.
func checkpointsIn(ctx context.Context, j *sdjournal.Journal, messageID string, found func(text string)) error {
	for _, m := range []string{"MESSAGE_ID=" + messageID, "_TRANSPORT=journal", "_UID=0"} {
		if err := j.AddMatch(m); err != nil {
			return err
		}
	}
	if err := j.SeekHead(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if n, err := j.Next(); err != nil || n == 0 {
			return err
		}
		if text := (fields{j}).get("KLP_CHECKPOINT"); text != "" {
			found(text)
		}
	}
	return ctx.Err()
}
