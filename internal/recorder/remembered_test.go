package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// remembering is a system with dracut whose record claims that kernel-rt is in the unchanged rpm
// database, too: whoever sees kernel-rt has not asked rpm.
func remembering(t *testing.T) (root string, rec *Recorder) {
	root = t.TempDir()
	rpmtest.Install(t, root, "dracut 59 1")
	path := filepath.Join(root, "proc/sys/kernel/random/boot_id")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("4a7f"), 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the clock that stamps files moves on
	now, err := snapshot.Take(t.Context(), root)
	if err != nil || now.Stamp == "" {
		t.Skipf("the rpm database has no stamp: %v", err)
	}
	ev := &record.Event{Header: store.NewHeader(record.KindObservation, root, "test")}
	ev.Observation = &record.Observation{Trigger: record.TriggerBoot, Compared: true, RPMDB: string(now.Stamp), Initrd: record.Initrd{Verdict: record.VerdictUnknown},
		Installed: append(now.Packages, record.Package{Name: "kernel-rt", Version: "1-1", Arch: "noarch"})}
	s, err := store.Open(t.Context(), root, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	return root, New(root, "test", func(string) string { return "" }, os.Stderr)
}

// touched changes the modification times of the rpm database's files.
func touched(t *testing.T, root string) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(root, "root/.rpmdb/*"))
	more, _ := filepath.Glob(filepath.Join(root, "var/lib/rpm/*"))
	for _, name := range append(files, more...) {
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// kinds are the kinds of the events on record, and what was installed when a commit began.
func kinds(t *testing.T, root string) (kinds, begun string) {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	size, err := s.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := range size {
		ev, err := s.Event(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		kinds += string(ev.Kind) + " "
		if ev.Begin == nil {
			continue
		}
		for _, p := range ev.Begin.Installed {
			begun += p.Name + " "
		}
	}
	return strings.TrimSpace(kinds), strings.TrimSpace(begun)
}

// The look that libzypp asks for, and a beginning commit, use the record's list of installed
// packages as long as the rpm database is unchanged.
func TestRecordIsAskedBeforeRPM(t *testing.T) {
	for name, tt := range map[string]struct {
		touched       bool
		events, begun string
	}{
		"as it was": {false, "recorder observation commit-begin", "dracut kernel-rt"},
		"written":   {true, "recorder observation drift commit-begin", "dracut"},
	} {
		t.Run(name, func(t *testing.T) {
			root, rec := remembering(t)
			if tt.touched {
				touched(t, root)
			}
			rec.Drift(t.Context())
			rec.Begin(t.Context(), nil, nil, "")
			if got, begun := kinds(t, root); got != tt.events || begun != tt.begun {
				t.Errorf("events %s, installed at the begin: %s", got, begun)
			}
		})
	}
}

// What is installed on the running system says nothing about a snapshot that an update writes to.
func TestRecordKnowsNothingOfAnotherSystem(t *testing.T) {
	_, rec := remembering(t)
	for name, tt := range map[string]struct {
		begin record.CommitBegin
		want  bool
	}{
		"running": {want: true},
		"staged":  {begin: record.CommitBegin{Staging: &record.Staging{Snapshot: "7", Root: "/"}}},
	} {
		if installed, _, ok := rec.remembered(t.Context(), &tt.begin); ok != tt.want || (installed.Packages != nil) != tt.want {
			t.Errorf("%s: %v, %v", name, installed, ok)
		}
	}
}
