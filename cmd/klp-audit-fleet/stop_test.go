package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// signalled demands that a command that runs ends by a signal, and says what is so then.
func signalled(t *testing.T, c *exec.Cmd, sig syscall.Signal, says string, drain ...io.Reader) {
	t.Helper()
	stderr := c.Stderr.(*bytes.Buffer)
	if err := c.Process.Signal(sig); err != nil {
		t.Error(err)
	}
	for _, r := range drain {
		io.Copy(io.Discard, r)
	}
	c.Wait()
	if w := c.ProcessState.Sys().(syscall.WaitStatus); !w.Signaled() || w.Signal() != sig {
		t.Errorf("%s: %v", c.Args, c.ProcessState)
	}
	if want := "klp-audit-fleet: stopped by " + unix.SignalName(sig) + ": " + says + "\n"; stderr.String() != want {
		t.Errorf("%s says %q, want %q", c.Args, stderr, want)
	}
}

// A signal ends ingest in the middle of an export that comes in a pipe, whose writer then writes no
// more: nothing of it is kept.
func TestSignalEndsIngest(t *testing.T) {
	dsn := migrated(t)
	g := prooftest.New(t)
	g.AddDrift(800)
	export := g.Export(0)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		c := exec.Command("klp-audit-fleet", "--db", dsn, "ingest", "-")
		c.Stderr = new(bytes.Buffer)
		in, err := c.StdinPipe()
		if err == nil {
			err = c.Start()
		}
		if err == nil {
			_, err = in.Write(export[:len(export)-len(export)/10]) // more than a pipe holds: it is read
		}
		if err != nil {
			t.Fatal(err)
		}
		signalled(t, c, sig, "what was printed is done; take in the rest by calling it again")
		in.Close()
	}
	if logs := logsOf(t, dsn); len(logs) != 0 {
		t.Errorf("%d logs are kept", len(logs))
	}
}

// The server goes away in the middle of an export: ingest ends at once, instead of trying each of the
// other files, and says where the trouble is. Nothing is kept, and the same call does it all later.
func TestServerGoesAway(t *testing.T) {
	server := pgtest.Start(t)
	if _, _, err := pg.Migrate(t.Context(), server.DSN()); err != nil {
		t.Fatal(err)
	}
	g := prooftest.New(t)
	g.AddDrift(800)
	export := g.Export(0)
	other := filepath.Join(t.TempDir(), "other.jsonl")
	if err := os.WriteFile(other, export, 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("klp-audit-fleet", "--db", server.DSN(), "ingest", "-", other)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	middle := len(export) - len(export)/10
	if err == nil {
		_, err = in.Write(export[:middle]) // more than a pipe holds: it is read
	}
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	in.Write(export[middle:])
	in.Close()
	c.Wait()
	says := stderr.String()
	if code := c.ProcessState.ExitCode(); code != exitError || stdout.Len() > 0 || !strings.Contains(says, `taking in "-": connecting to database`) || !strings.Contains(says, "hint: does the server run?") {
		t.Errorf("exit status %d\n%s%s", code, &stdout, says)
	}
	server.Restart()
	if out, err := exec.Command("klp-audit-fleet", "--db", server.DSN(), "ingest", other).CombinedOutput(); err != nil || !strings.Contains(string(out), ", 801 new events, now 801\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A signal ends a long verify, and the next run goes on where it was.
func TestSignalEndsVerify(t *testing.T) {
	dsn := migrated(t)
	dir := t.TempDir()
	for i := range 120 {
		g := prooftest.New(t)
		g.AddDrift(1)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)), g.Export(0), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("klp-audit-fleet", "--db", dsn, "ingest", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r, w, err := os.Pipe()
	if err == nil {
		_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096) // a full pipe holds it up: it is not done before the signal comes
	}
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("klp-audit-fleet", "--db", dsn, "verify", "--workers", "1")
	c.Stdout, c.Stderr = w, new(bytes.Buffer)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	line := make([]byte, 1)
	if _, err := r.Read(line); err != nil { // it has begun
		t.Fatal(err)
	}
	signalled(t, c, syscall.SIGTERM, "`klp-audit-fleet verify --resume` goes on", r)
	out, err := exec.Command("klp-audit-fleet", "--db", dsn, "verify", "--resume", "--quiet").CombinedOutput()
	if err != nil || string(out) != "120 logs: 120 intact, 0 altered, 0 truncated, 0 not read\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func migrated(t *testing.T) string {
	t.Helper()
	dsn := pgtest.DSN(t)
	if _, _, err := pg.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func logsOf(t *testing.T, dsn string) []*pg.Log {
	t.Helper()
	db, err := pg.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	logs, err := db.All(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return logs
}
