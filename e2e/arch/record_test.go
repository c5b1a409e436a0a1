// Package arch tests klp-audit on architectures other than this machine's.
//
// `make test-arch` runs the tests of the other packages as programs of those architectures, in
// qemu, and those of this package: what one architecture records, the other reads, rebuilds byte
// for byte, and continues.
package arch

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/mattn/go-sqlite3"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	// otherVar names the variable with these tests as a program of another architecture.
	otherVar = "KLP_AUDIT_OTHER"
	// roleVar says what a program of these tests does instead of testing.
	roleVar = "KLP_AUDIT_TEST_ROLE"
)

func TestMain(m *testing.M) {
	do, ok := map[string]func(context.Context, string) error{"arch": arch, "record": recordIn, "rebuild": rebuild}[os.Getenv(roleVar)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := do(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func arch(context.Context, string) error {
	fmt.Print(runtime.GOARCH)
	return nil
}

// recordIn continues the record below root, or starts one, with 60 rounds of events.
func recordIn(ctx context.Context, root string) error {
	s, err := store.Open(ctx, root, "1.0.0")
	if err != nil {
		return err
	}
	defer s.Close()
	size, err := s.Size(ctx)
	if err != nil {
		return err
	}
	var evs []*record.Event
	for n := size; n < size+300; n += 5 {
		evs = append(evs, round(n)...)
	}
	if err := s.Append(ctx, evs...); err != nil {
		return err
	}
	return s.Close()
}

// rebuild verifies that the record below root is intact, and rebuilds its views.
func rebuild(ctx context.Context, root string) error {
	s, err := store.Open(ctx, root, "1.0.0")
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := s.Verify(ctx, "")
	if err != nil {
		return err
	}
	fmt.Println(v.Result, v.TreeSize, v.RootHash, v.Problems)
	if err := s.Rebuild(ctx); err != nil {
		return err
	}
	return s.Close()
}

// round is a commit, what the machine showed after it, a change without a commit, and an exception,
// from event n on, with numbers that use all of their bits.
func round(n int64) []*record.Event {
	at := func(i int64) record.Timestamp {
		return record.At(time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC).Add(time.Duration(n+i) * time.Minute))
	}
	header := func(kind record.EventKind, i int64) record.Header {
		return record.Header{
			V: record.EventVersion, Kind: kind, ID: fmt.Sprintf("019ca8d5-0000-7000-8000-%012d", n+i), Time: at(i), UTCOffset: "+01:00",
			BoottimeUS: 1<<62 + n, Host: record.Host{MachineID: "m1", Hostname: "sles"}, BootID: "0123456789abcdef0123456789abcdef",
			Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
		}
	}
	change := record.Change{
		Kind: "livepatch", Action: "upgrade", Package: "kernel-livepatch-6_4_0-150600_21-default", Arch: "s390x", Version: "5-150600.2.1", Previous: "4-150600.2.1",
		Result: record.ResultOK, KernelRelease: "6.4.0-150600.21-default", Module: "livepatch_5_150600_2_1", PatchNumber: 5,
		Added: record.Fixes{CVEs: []string{"CVE-2026-1", "CVE-2026-2"}}, Removed: record.Fixes{Bugs: []string{"bsc#1"}},
	}
	installed := []record.Package{{Name: change.Package, Version: change.Version, Arch: "s390x", Kind: "livepatch", InstallTime: 1<<32 + n, InstallTID: 1<<33 + n, DBInstance: 1<<34 + n}}
	actor := record.Actor{Login: "tüx", LoginUID: "4294967295", EUID: "0", Exe: "/usr/bin/zypper"}
	begin := &record.Event{Header: header(record.KindCommitBegin, 0), Begin: &record.CommitBegin{
		Libzypp: record.Process{PID: 1 << 22, StartTicks: 1<<63 + uint64(n)}, Actor: actor, Command: []string{"zypper", "in", "a\x01\u2028b"}, Announced: []record.Change{change},
	}}
	until := at(9)
	return []*record.Event{
		begin,
		{Header: header(record.KindCommitEnd, 1), End: &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeCompleted, Changes: []record.Change{change}, Installed: installed}},
		{Header: header(record.KindObservation, 2), Observation: &record.Observation{
			Trigger: record.TriggerCommit, Kernel: record.Kernel{Release: change.KernelRelease, BootTime: at(0)}, Installed: installed,
			LivePatch: &record.LivePatch{Module: change.Module, Enabled: true},
			Initrd:    record.Initrd{Verdict: record.VerdictContained, Basis: record.BasisBoot},
			Boots: []record.Boot{{ID: "b", KernelRelease: change.KernelRelease, First: at(0), Last: at(2), StartInJournal: true,
				Loads: []record.Load{{Patch: change.Module, Phase: "initrd", Rule: "R1", Result: "complete", Time: at(1), Cursor: "s=1"}}}},
		}},
		{Header: header(record.KindDrift, 3), Drift: &record.Drift{Cause: record.DriftUnrecorded, Compared: n + 2, Since: at(2), Changes: []record.Change{change}, Installed: installed}},
		{Header: header(record.KindException, 4), Exception: &record.ExceptionChange{Action: record.ExceptionAdd, Actor: actor, Check: "coverage", Reason: "café", Until: &until}},
	}
}

// TestRecordOfAnotherArchitecture lets each architecture write a record, both rebuild it, and the
// other one continue it.
func TestRecordOfAnotherArchitecture(t *testing.T) {
	other := os.Getenv(otherVar)
	if other == "" {
		t.Skip("needs these tests for another architecture: run `make test-arch`")
	}
	here, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if name := as(t, other, "arch", ""); name == runtime.GOARCH {
		t.Fatalf("%s is for %s, too", other, name)
	}
	for writer, reader := range map[string]string{here: other, other: here} {
		t.Run(as(t, writer, "arch", ""), func(t *testing.T) {
			root := newRoot(t)
			as(t, writer, "record", root)
			compare(t, root, writer, reader)
			as(t, reader, "record", root)
			compare(t, root, writer, reader)
		})
	}
}

// compare rebuilds copies of the record on both architectures: both report the same about it, and
// leave equal files, with the views that the record came with.
func compare(t *testing.T, root, writer, reader string) {
	t.Helper()
	a, b := clone(t, root), clone(t, root)
	said := as(t, writer, "rebuild", a)
	if !strings.HasPrefix(said, "intact ") {
		t.Errorf("its writer says: %s", said)
	}
	if diff := cmp.Diff(said, as(t, reader, "rebuild", b)); diff != "" {
		t.Errorf("-writer +reader:\n%s", diff)
	}
	if text(t, store.Path(a)) != text(t, store.Path(b)) {
		t.Error("the rebuilt records are not the same byte for byte")
	}
	if diff := cmp.Diff(dump(t, root), dump(t, b)); diff != "" {
		t.Errorf("-written +rebuilt:\n%s", diff)
	}
}

// as starts these tests as a program of an architecture, in a role.
func as(t *testing.T, program, role, root string) string {
	t.Helper()
	cmd := exec.Command(program, root)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, role, err, out)
	}
	return string(out)
}

func newRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"etc/machine-id": "m1\n", "proc/sys/kernel/random/boot_id": "01234567-89ab-cdef-0123-456789abcdef\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func clone(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// dump is everything in the record below root: table, then rows.
func dump(t *testing.T, root string) (lines []string) {
	t.Helper()
	db, err := sql.Open("sqlite3", store.Path(root)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range rows(t, db, `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`) {
		of := rows(t, db, `SELECT * FROM `+table)
		slices.Sort(of) // their order does not say in which order they were written
		lines = append(append(lines, table), of...)
	}
	return lines
}

func rows(t *testing.T, db *sql.DB, query string) (lines []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, at := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		at[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(at...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%v", values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
