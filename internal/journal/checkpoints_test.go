package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Only what root sent to journald itself is accepted.
func TestCheckpoints(t *testing.T) {
	const id = "0a5f4ee7f0c34e3c8b7f0c5a6e2d9b41"
	const entry = "_TRANSPORT=%s _UID=%s MESSAGE_ID=%s KLP_CHECKPOINT=%s | klp-audit record"
	dir := written(t, linuxLine,
		fmt.Sprintf(entry, "journal", "0", id, "first"),
		fmt.Sprintf(entry, "journal", "0", id, "second"),
		fmt.Sprintf(entry, "journal", "0", id, "first"),
		fmt.Sprintf(entry, "journal", "1000", id, "of-a-user"),
		fmt.Sprintf(entry, "syslog", "0", id, "by-syslog"),
		fmt.Sprintf(entry, "journal", "0", BuildMessageID, "of-another-kind"),
		"_TRANSPORT=journal _UID=0 MESSAGE_ID="+id+" | without one",
	)
	want := []string{"first", "second"}
	if got, err := Checkpoints(t.Context(), dir, id); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	// An unreadable file does not keep the others from being read.
	if err := os.WriteFile(filepath.Join(dir, "broken.journal"), []byte("garbage that is no journal"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Checkpoints(t.Context(), dir, id); err != nil || !slices.Equal(got, want) {
		t.Errorf("next to a broken file: got %q, %v", got, err)
	}
	if got, err := Checkpoints(t.Context(), written(t, linuxLine), id); err != nil || len(got) != 0 {
		t.Errorf("without any: got %q, %v", got, err)
	}
	if _, err := Checkpoints(t.Context(), t.TempDir(), id); !errors.Is(err, ErrNoJournal) {
		t.Errorf("no journal: %v", err)
	}
}
