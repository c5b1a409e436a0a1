package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// engine is a private cluster and its server.
type engine struct {
	*installation
	folder *folder
	log    *os.File
	server *process // nil if it does not run
}

// newEngine makes a cluster and starts its server.
func newEngine() (*engine, error) {
	i, err := findInstallation()
	if err != nil {
		return nil, err
	}
	f, err := newFolder(i)
	if err != nil {
		return nil, err
	}
	e := &engine{installation: i, folder: f}
	e.log, err = os.Create(i.outside(f.path + "/log"))
	if err == nil {
		err = e.initialize()
	}
	if err == nil {
		err = e.start()
	}
	if err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *engine) data() string { return e.folder.path + "/data" }

// initialize makes the cluster. Everybody who may enter its folder is superuser.
func (e *engine) initialize() error {
	p, err := e.run(syscall.SIGKILL, "initdb", "--pgdata="+e.data(), "--no-sync", "--data-checksums",
		"--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
	if err != nil {
		return err
	}
	if <-p.gone; p.err != nil {
		return e.failed("making a PostgreSQL cluster", p.err)
	}
	return nil
}

// run starts a program that writes into the log and holds the folder.
func (e *engine) run(death syscall.Signal, program string, args ...string) (*process, error) {
	cmd := e.command(program, args...)
	cmd.Stdout, cmd.Stderr = e.log, e.log
	return start(cmd, death, e.folder.held)
}

// start starts the server and waits until it answers.
func (e *engine) start() (err error) {
	settings := []string{
		"listen_addresses=", "port=5432", "unix_socket_directories=" + e.folder.path,
		"shared_buffers=32MB", "max_connections=50",
		"dynamic_shared_memory_type=mmap", // below the folder, so that nothing is left elsewhere
	}
	args := []string{"-D", e.data()}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	// SIGQUIT is immediate shutdown: unlike after SIGKILL, children that are at work end at once.
	if e.server, err = e.run(syscall.SIGQUIT, "postgres", args...); err != nil {
		return err
	}
	return e.awaitAnswer()
}

// awaitAnswer connects until the server answers. It may have to recover from a crash first.
func (e *engine) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, e.dsn())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-e.server.gone:
			return e.failed("starting PostgreSQL", e.server.err)
		case <-ctx.Done():
			return e.failed("waiting for PostgreSQL's answer", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// failed is an error with the end of the log.
func (e *engine) failed(doing string, err error) error {
	log, _ := os.ReadFile(e.log.Name())
	return fmt.Errorf("%s: %w; the end of its log:\n%s", doing, err, log[max(0, len(log)-4000):])
}

// dsn is a URI for the server's first database.
func (e *engine) dsn() string {
	values := url.Values{"host": {e.outside(e.folder.path)}, "port": {"5432"}, "user": {"postgres"}}
	return "postgresql:///postgres?" + encode(values)
}

// end ends the server, if it runs, by a signal to the postmaster.
func (e *engine) end(sig syscall.Signal) error {
	if e.server == nil {
		return nil
	}
	err := e.server.end(sig)
	if err != nil {
		err = e.failed("ending PostgreSQL", err)
	}
	e.server = nil
	return err
}

// close ends the server and removes the cluster.
func (e *engine) close() error {
	err := e.end(syscall.SIGQUIT)
	e.log.Close()
	return errors.Join(err, e.folder.close())
}
