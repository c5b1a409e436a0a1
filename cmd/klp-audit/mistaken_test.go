package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// called runs the program, and returns its exit status and what it printed.
func called(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	status = run(ctx, env{Args: args, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now})
	return status, out.String(), errs.String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

// things are files of each kind that somebody may take for another one, by name.
type things struct {
	root string
	path map[string]string
}

func manyThings(t *testing.T) things {
	t.Helper()
	root, dir := t.TempDir(), t.TempDir()
	put(t, filepath.Join(root, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n")
	s, err := store.Open(t.Context(), root, "1.0.0")
	check(t, err)
	check(t, s.Append(t.Context(), &record.Event{Header: store.NewHeader(record.KindDrift, root, "1.0.0"), Drift: &record.Drift{}}))
	check(t, s.Close())
	th := things{root: root, path: map[string]string{"device": "/dev/zero", "folder": dir, "private key": store.KeyPath(root)}}
	add := func(name, text string) {
		th.path[name] = filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		put(t, th.path[name], text)
	}
	_, export, _ := called(t, "export", "--root", root)
	_, verified, _ := called(t, "verify", "--root", root, "--format", "json")
	copied := filepath.Join(dir, "copy.db")
	called(t, "export", "--root", root, "--copy", copied)
	th.path["record"] = copied
	v, err := os.ReadFile(copied)
	check(t, err)
	s, err = store.OpenReadOnly(t.Context(), copied)
	check(t, err)
	found, err := s.Verify(t.Context(), "")
	check(t, err)
	check(t, s.Close())
	add("export", export)
	add("verification", verified)
	add("checkpoint", found.Checkpoint)
	add("public key", found.Key+"\n")
	add("empty", "")
	add("text", "root:x:0:0:root:/root:/bin/bash\n")
	add("json", `{"a":1}`+"\n")
	add("binary", "\x7fELF\x02\x01\x01\x00")
	add("latin 1", "Gr\xfc\xdfe aus N\xfcrnberg\n")
	add("history", "2026-11-01 10:00:00|command|root@db01|'zypper' 'up'|\n2026-11-01 10:00:01|install|bash|2-1|x86_64||updates|bb|\n")
	add("other database", "SQLite format 3\x00"+strings.Repeat("\x00", 84))
	add("cut database", string(v[:40]))
	for _, with := range []string{"gzip", "xz", "zstd"} {
		b, err := packed(with, export)
		check(t, err)
		add(with, string(b))
	}
	add("bzip2", packedBzip2)
	th.path["fifo"] = filepath.Join(dir, "fifo")
	check(t, unix.Mkfifo(th.path["fifo"], 0o600))
	th.path["link to a fifo"] = filepath.Join(dir, "link")
	check(t, os.Symlink(th.path["fifo"], th.path["link to a fifo"]))
	return th
}

// Whatever is given for a record, an export or a checkpoint, and is none, is named for what it
// is: it is neither altered nor intact, nothing hangs, and nothing secret is printed.
func TestMistakenFiles(t *testing.T) {
	th := manyThings(t)
	for _, tt := range []struct {
		args   []string
		accept []string
		status int
	}{
		{[]string{"verify", "--db"}, []string{"record"}, 1},
		{[]string{"status", "--db"}, []string{"record"}, 1},
		{[]string{"report", "--db"}, []string{"record"}, 1},
		{[]string{"report", "history", "--format", "csv", "--db"}, []string{"record"}, 1},
		{[]string{"report", "state", "--db"}, []string{"record"}, 1},
		{[]string{"report", "cve", "--db"}, []string{"record"}, 1},
		{[]string{"report", "compliance", "--db"}, []string{"record"}, 1},
		{[]string{"exception", "list", "--db"}, []string{"record"}, 1},
		{[]string{"check", "--db"}, []string{"record"}, 3},
		{[]string{"verify", "--input"}, []string{"export"}, 1},
		{[]string{"report", "--input"}, []string{"export"}, 1},
		{[]string{"report", "history", "--format", "jsonl", "--input"}, []string{"export"}, 1},
		{[]string{"verify", "--root", th.root, "--checkpoint"}, []string{"checkpoint", "verification"}, 1},
		{[]string{"export", "--root", th.root, "--since"}, []string{"checkpoint", "verification"}, 1},
	} {
		for name, path := range th.path {
			status, stdout, stderr := called(t, append(tt.args, path)...)
			said := stdout + stderr
			if accepted := strings.Contains(strings.Join(tt.accept, ","), name); accepted {
				if status == tt.status && strings.Contains(said, "it is ") {
					t.Errorf("%s %s: %d, %s", tt.args, name, status, said)
				}
				continue
			}
			flag := tt.args[len(tt.args)-1]
			if status != tt.status || !strings.Contains(said, flag+` "`+path+`": it is `) || strings.Contains(said, "PRIVATE") {
				t.Errorf("%s %s: %d, %s", tt.args, name, status, said)
			}
		}
	}
}

// Wherever something else took the place of the machine's record, it is altered, and nothing hangs.
func TestReplacedRecord(t *testing.T) {
	th := manyThings(t)
	for name, path := range th.path {
		if name == "record" || name == "empty" {
			continue
		}
		check(t, os.RemoveAll(store.Path(th.root)))
		check(t, os.Symlink(path, store.Path(th.root)))
		if status, stdout, stderr := called(t, "verify", "--root", th.root); status != 4 {
			t.Errorf("verify, %s: %d, %s%s", name, status, stdout, stderr)
		}
		if status, stdout, stderr := called(t, "check", "--root", th.root); status != 2 || !strings.HasPrefix(stdout, "KLP-AUDIT CRITICAL - ALTERED: ") {
			t.Errorf("check, %s: %d, %s%s", name, status, stdout, stderr)
		}
		if status, stdout, stderr := called(t, "report", "--root", th.root); status != 4 || stdout != "" {
			t.Errorf("report, %s: %d, %s%s", name, status, stdout, stderr)
		}
	}
}

// Nobody writes to what took the place of the machine's record, or waits for it.
func TestNobodyWritesToReplacedRecord(t *testing.T) {
	th := manyThings(t)
	history := filepath.Join(t.TempDir(), "history")
	put(t, history, "2026-11-01 10:00:00|command|root@db01|'zypper' 'up'|\n2026-11-01 10:00:01|install|kernel-default|2-1|x86_64||updates|bb|\n")
	for name, path := range th.path {
		if name == "record" || name == "empty" {
			continue
		}
		check(t, os.RemoveAll(store.Path(th.root)))
		check(t, os.Symlink(path, store.Path(th.root)))
		for _, command := range [][]string{{"import", history}, {"rebuild"}, {"prune"}, {"export"}, {"exception", "end", "x"}} {
			if status, stdout, stderr := called(t, append(command, "--root", th.root)...); status != 1 || !strings.Contains(stderr, "damaged record: it is ") {
				t.Errorf("%s, %s: %d, %s%s", command, name, status, stdout, stderr)
			}
		}
	}
}

// A value that is empty names nothing, and is never as if the flag were not there.
func TestEmptyValues(t *testing.T) {
	a := &app{env: env{Stdout: io.Discard, Stderr: io.Discard}}
	var all func(cmd *cobra.Command)
	n := 0
	all = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			switch f.Value.Type() {
			case "bool", "boolfunc", "int", "duration":
				return
			}
			n++
			want := 2
			if cmd.Name() == "check" && cmd.Parent().Name() == "klp-audit" {
				want = 3
			}
			args := append(strings.Fields(cmd.CommandPath())[1:], "--"+f.Name+"=")
			if status, stdout, stderr := called(t, args...); status != want || !strings.Contains(stdout+stderr, "want a value") && !strings.Contains(stdout+stderr, "want one of") {
				t.Errorf("%s: %d, %s%s", args, status, stdout, stderr)
			}
		})
		for _, sub := range cmd.Commands() {
			all(sub)
		}
	}
	all(a.command())
	if n < 60 {
		t.Errorf("only %d flags", n)
	}
}
