package journaltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Checkpoints writes checkpoints into a journal file in a folder, in the form in which the recorder
// sends them, with systemd's own writer.
func Checkpoints(t testing.TB, dir, messageID string, notes ...string) {
	t.Helper()
	const remote = "/usr/lib/systemd/systemd-journal-remote"
	if _, err := os.Stat(remote); err != nil {
		t.Skip("needs systemd-journal-remote")
	}
	var b bytes.Buffer
	for i, note := range notes {
		fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032d\n_TRANSPORT=journal\n_UID=0\nMESSAGE_ID=%s\nKLP_CHECKPOINT\n",
			time.Now().UnixMicro(), i+1, 7, messageID)
		binary.Write(&b, binary.LittleEndian, uint64(len(note)))
		b.WriteString(note + "\nMESSAGE=klp-audit record\n\n")
	}
	export := filepath.Join(t.TempDir(), "entries")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(export, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(remote, "-o", filepath.Join(dir, "checkpoints.journal"), export).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
