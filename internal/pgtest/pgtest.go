// Package pgtest gives tests private PostgreSQL servers: on a socket only, with little memory, and
// with nothing left of them afterwards, even if the test is killed.
//
// The newest PostgreSQL of the machine is taken. KLP_AUDIT_PG_BIN names another folder of programs,
// and KLP_AUDIT_PG_TREE a tree of another system, into which the programs are chrooted.
package pgtest

import (
	"os/exec"
	"syscall"
	"testing"
)

// Server is a server of a test's own, which the test may kill. It syncs what it writes. Start and
// Restart must be called by the goroutine of the test.
type Server struct {
	t      testing.TB
	engine *engine
}

// Start makes a new cluster and starts its server. Both are gone at the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	return &Server{t: t, engine: e}
}

// DSN is a URI, for pgx and psql, by which a superuser connects; it stays the same after Restart.
func (s *Server) DSN() string { return s.engine.dsn() }

// Kill kills the postmaster with SIGKILL, and waits until all its children have gone. They notice when
// they next wait for something, so they may still complete what they were doing.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop shuts the server down at once, without a checkpoint, and waits until all its processes have
// gone.
func (s *Server) Stop() { s.end(syscall.SIGQUIT) }

func (s *Server) end(sig syscall.Signal) {
	s.t.Helper()
	if err := s.engine.end(sig); err != nil {
		s.t.Error(err)
	}
}

// Restart starts the server again, after Stop if it still runs, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.engine.start(); err != nil {
		s.t.Fatal(err)
	}
}

// Command is a program of PostgreSQL, such as pgbench, of the version that the servers have. It runs
// as their user.
func Command(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	i, err := findInstallation()
	if err != nil {
		t.Fatal(err)
	}
	return i.command(program, args...)
}
