// Package rpm asks the rpm database: which packages are installed, what their changelogs say,
// whether a transaction is running, and what has changed between two answers. It is the only
// package that runs another program, namely rpm.
package rpm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/klp-audit/klp-audit/internal/room"
	"github.com/klp-audit/klp-audit/record"
)

// needs is the room that rpm needs, and that a simultaneous transaction needs for what it starts.
var needs = room.Room{Tasks: 6, Memory: 12 << 20}

// DB is the rpm database of a system. The zero value is the database of this system.
type DB struct {
	Root    string // the system's file tree; "" or "/": this system
	Program string // rpm itself; "": /usr/bin/rpm
}

const (
	maxRecord = 64 << 10 // a package's fields have a few hundred bytes
	maxText   = 4 << 20  // the changelog of a live patch has a few hundred thousand
	maxKernel = 64 << 20 // that of a kernel a few million
	maxStderr = 2 << 10
)

// Installed returns the installed packages whose names keep accepts (nil: all), ordered by name,
// architecture, version and record number. With words, it looks only at packages whose names
// contain one of them.
//
// It runs rpm -qa once. rpm reads each package in any case, but printing a package takes longer
// than reading it.
func (db DB) Installed(ctx context.Context, keep func(name string) bool, words ...string) ([]record.Package, error) {
	return db.installed(ctx, nil, keep, words)
}

// Snapshot is the content of a database at a moment.
type Snapshot struct {
	Packages []record.Package
	Lock     Lock  // if rpm does not name it: one that nobody holds
	Stamp    Stamp // of the database when it was read; empty: not known
}

// Snapshot combines Installed, Lock and the stamp of the database in one run of rpm. There is no
// stamp while a transaction runs.
func (db DB) Snapshot(ctx context.Context, keep func(name string) bool, words ...string) (s Snapshot, err error) {
	began, moment := time.Now(), fileClock()
	var at place
	s.Packages, err = db.installed(ctx, &at, keep, words)
	if filepath.IsAbs(at.lock) {
		s.Lock.path = filepath.Join(db.Root, at.lock)
	}
	if held, lockErr := s.Lock.Held(); err == nil && lockErr == nil && !held && !setBack(began) {
		s.Stamp = db.stampSince(at.folder, moment)
	}
	return s, err
}

// place is where a database is, according to rpm.
type place struct{ lock, folder string }

// installed is Installed, and also finds out where the database is if at is not nil.
func (db DB) installed(ctx context.Context, at *place, keep func(name string) bool, words []string) ([]record.Package, error) {
	var packages []record.Package
	q := query{format: packageFormat, limit: maxRecord}
	if at != nil {
		q.macro = lockMacro + fieldEnd + folderMacro
	}
	for _, w := range words {
		q.patterns = append(q.patterns, "*"+w+"*")
	}
	err := db.query(ctx, q, func(text string) error {
		if at != nil && *at == (place{}) {
			at.lock, at.folder, _ = strings.Cut(text, fieldEnd)
			return nil
		}
		name, _, _ := strings.Cut(text, fieldEnd)
		if keep != nil && !keep(name) {
			return nil
		}
		p, err := parsePackage(text)
		packages = append(packages, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the installed packages: %w", err)
	}
	slices.SortFunc(packages, comparePackages)
	return packages, nil
}

// Changelogs returns the changelogs of the installed packages with these names, as rpm -q
// --changelog prints them. The keys are the packages' Instance.
//
// rpm finds them by its index of names. If one is missing, rpm says so in the middle of its output
// and fails; then all packages are searched.
func (db DB) Changelogs(ctx context.Context, names ...string) (map[record.Package]string, error) {
	return db.changelogs(ctx, maxText, names)
}

// KernelChangelogs is Changelogs for kernels, whose changelogs are long.
func (db DB) KernelChangelogs(ctx context.Context, names ...string) (map[record.Package]string, error) {
	return db.changelogs(ctx, maxKernel, names)
}

func (db DB) changelogs(ctx context.Context, limit int, names []string) (map[record.Package]string, error) {
	changelogs, err := db.texts(ctx, changelogFormat, limit, names)
	if err != nil {
		return nil, fmt.Errorf("reading changelogs: %w", err)
	}
	return changelogs, nil
}

// Provides returns what the installed packages with these names provide, without versions,
// a name a line. The keys are the packages' Instance.
func (db DB) Provides(ctx context.Context, names ...string) (map[record.Package]string, error) {
	provides, err := db.texts(ctx, providesFormat, maxText, names)
	if err != nil {
		return nil, fmt.Errorf("reading what packages provide: %w", err)
	}
	return provides, nil
}

// texts returns a text for each installed package with one of the names.
func (db DB) texts(ctx context.Context, format string, limit int, names []string) (map[record.Package]string, error) {
	q := query{format: format, limit: limit, patterns: names, indexed: true}
	texts, err := db.queryTexts(ctx, q)
	if err != nil {
		q.indexed = false
		texts, err = db.queryTexts(ctx, q)
	}
	return texts, err
}

func (db DB) queryTexts(ctx context.Context, q query) (map[record.Package]string, error) {
	texts := map[record.Package]string{}
	if len(q.patterns) == 0 {
		return texts, nil
	}
	return texts, db.query(ctx, q, func(text string) error {
		p, rest, err := parseInstance(text)
		if err == nil && slices.Contains(q.patterns, p.Name) {
			texts[p] = rest
		}
		return err
	})
}

// query is a question for rpm.
type query struct {
	macro    string   // its value is the first record; empty: none
	format   string   // of the other records, one for each package
	limit    int      // no record may be longer
	patterns []string // package names to match; none: all match
	indexed  bool     // the patterns are names of installed packages
}

// query runs rpm -q and calls each for every record.
func (db DB) query(ctx context.Context, q query, each func(text string) error) error {
	// No package can contain this mark, because the packages are older.
	end := fieldEnd + rand.Text()
	out := &records{end: []byte(end + "\n"), limit: q.limit, each: each}
	// The meaning of a pattern is configurable: with another meaning, packages would be missing.
	args := []string{"--define", "_query_selector_match glob"}
	if q.macro != "" {
		args = append(args, "--eval", q.macro+end) // rpm adds a newline after it
	}
	mode := "-qa"
	if q.indexed {
		mode = "-q"
	}
	args = append(append(args, mode, "--qf", q.format+end+"\n", "--"), q.patterns...)
	if err := db.run(ctx, out, args...); err != nil {
		return err
	}
	return out.close()
}

// run runs rpm, which writes to out. Any message of rpm is an error: for a damaged database rpm
// prints the packages that it can read and exits with 0, and for an unknown tag in the format it
// prints no package and exits with 0.
func (db DB) run(ctx context.Context, out *records, args ...string) error {
	cmd, err := db.command(ctx, args)
	if err == nil {
		err = room.For(needs)
	}
	if err != nil {
		return err
	}
	var complaint complaints
	cmd.Stdout, cmd.Stderr = out, &complaint
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case out.err != nil:
		err = out.err // rpm's own failure, from a closed pipe, only follows from it
	case err == nil && complaint.fatal():
		err = errors.New("rpm reports errors")
	}
	if err != nil && len(complaint) > 0 {
		return fmt.Errorf("running %s: %w: %q", cmd.Path, err, bytes.TrimSpace(complaint))
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	return nil
}

// command returns the call of rpm, with a clean environment.
func (db DB) command(ctx context.Context, args []string) (*exec.Cmd, error) {
	if db.Root != "" && db.Root != "/" {
		// If the folder is missing, rpm finds no packages and reports no error.
		if info, err := os.Stat(db.Root); err != nil {
			return nil, err
		} else if !info.IsDir() || !filepath.IsAbs(db.Root) {
			return nil, fmt.Errorf("root %q is not the absolute path of a folder", db.Root)
		}
		args = append([]string{"--root", db.Root}, args...)
	}
	cmd := exec.CommandContext(ctx, cmp.Or(db.Program, "/usr/bin/rpm"), args...)
	cmd.Env = []string{"HOME=/root", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.WaitDelay = 500 * time.Millisecond // a child of rpm may keep its output open
	// Its own process group keeps the terminal's Ctrl-C away from rpm.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

// complaints holds the beginning of what rpm writes to stderr.
type complaints []byte

// Write keeps text as long as there is room, and drops the rest.
func (c *complaints) Write(text []byte) (int, error) {
	*c = append(*c, text[:min(len(text), maxStderr-len(*c))]...)
	return len(text), nil
}

// fatal reports whether rpm printed an error, or so many warnings that one may be cut off.
func (c complaints) fatal() bool {
	return len(c) == maxStderr || bytes.HasPrefix(c, []byte("error:")) || bytes.Contains(c, []byte("\nerror:"))
}
