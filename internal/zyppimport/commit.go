package zyppimport

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// maxAdvisories bounds how many advisories of a commit are imported, and maxAdvisory how long the
// data of one may be: all products together have a few thousand, with names of 60 bytes.
const (
	maxAdvisories = 5000
	maxAdvisory   = 1000
)

// pause is the longest gap between the records of a commit whose command is not known.
const pause = 10 * time.Minute

// commit is what belongs together in a history: a command and the records up to the next one. Its
// first line determines its id.
type commit struct {
	first      record.HistoryLine
	at, last   time.Time // times of its first and its last record
	known      bool      // the first line is a command record
	user       string
	command    string
	userData   string
	changes    []change
	packages   int // how many were installed or removed, or failed, tracked or not
	advisories []record.Advisory
	lines      []record.HistoryLine // lines of the command and the advisories
	failed     map[string]bool      // by name-version-release.arch
	aborted    bool
	unread     bool // one of its lines could not be read
	scripts    zypp.Scripts
}

// change is a claim of the history about a tracked package. What it replaced is determined later,
// in order.
type change struct {
	record.ImportedChange
	at      time.Time // the same as Time, in the zone that it was read in
	evr     rpmversion.EVR
	removal bool
}

// reader makes commits from the lines of history files. A commit may continue in the next file,
// because a rotation does not wait for its end.
type reader struct {
	clock   clock
	problem func(Problem)
	emit    func(*commit) error
	ended   func() error    // says why to stop reading; nil: never
	seen    func(zypp.Line) // called with each line, unless it is nil
	work    *progress.Work  // counts what is read of the files

	skipped int   // lines of the file before the first one to be read
	passed  int64 // bytes of those lines

	file    string
	copies  map[[16]byte]int // how often each relevant line of this file has occurred
	open    *commit
	lost    bool // an unreadable line may have been a command
	crossed bool // no record of this file was read yet
}

// read reads one file. Only an error of emit stops it.
func (r *reader) read(path string) error {
	f, err := open(path, r.work)
	if err != nil {
		r.problem(Problem{File: path, Err: err})
		return nil
	}
	defer f.Close()
	return r.readFrom(f, path)
}

func (r *reader) readFrom(f io.Reader, path string) error {
	r.file, r.copies, r.crossed = path, map[[16]byte]int{}, true
	for line, err := range zypp.Lines(f) {
		if r.ended != nil {
			if err := r.ended(); err != nil {
				return err
			}
		}
		line.Number, line.Start, line.End = line.Number+r.skipped, line.Start+r.passed, line.End+r.passed
		if err == nil {
			if r.seen != nil {
				r.seen(line)
			}
			err = r.take(line)
		} else {
			r.lost = true
			err = badLine{err}
		}
		if bad, ok := err.(badLine); ok {
			if r.open != nil {
				r.open.unread = true
			}
			r.problem(Problem{path, line.Number, bad.error})
		} else if err != nil {
			return err
		}
	}
	return nil
}

// badLine is a line that cannot be understood; reading goes on.
type badLine struct{ error }

func (r *reader) take(line zypp.Line) error {
	text := clean(line.Text)
	if text == "" {
		return nil
	}
	if strings.HasPrefix(text, "#") {
		err := r.comment(line, text)
		if r.open != nil {
			r.open.scripts.Comment(text)
		}
		return err
	}
	if r.open != nil {
		r.open.scripts.Record()
	}
	rec, err := zypp.ParseRecord(text)
	if err != nil {
		r.lost = r.lost || mayBeCommand(text)
		return badLine{err}
	}
	switch rec.Action {
	case zypp.ActionCommand, zypp.ActionInstall, zypp.ActionRemove, zypp.ActionPatch:
		return r.record(line, &rec)
	}
	return nil // about a repository, or of a newer libzypp
}

// clean removes NUL bytes that a power cut left before a line, and a carriage return after it.
func clean(text string) string { return strings.TrimSuffix(strings.TrimLeft(text, "\x00"), "\r") }

// mayBeCommand says whether a line that cannot be parsed may have been a command record.
func mayBeCommand(text string) bool {
	others := []string{"|install|", "|remove ", "|patch ", "|radd ", "|rremove|", "|ralias ", "|rurl "}
	return strings.Contains(text, "|command") || !slices.ContainsFunc(others, func(s string) bool { return strings.Contains(text, s) })
}

// record adds a record to a commit.
func (r *reader) record(line zypp.Line, rec *zypp.Record) error {
	at, guess, err := r.moment(rec.Time)
	if err != nil {
		return err
	}
	isChange := rec.Action == zypp.ActionInstall || rec.Action == zypp.ActionRemove
	tracked := isChange && livepatch.KindOf(rec.Name) != ""
	begins := rec.Action == zypp.ActionCommand || r.another(at, rec.UserData)
	r.crossed = false
	if !begins && !tracked && rec.Action != zypp.ActionPatch {
		r.open.last = at
		r.open.packages++
		return nil
	}
	mark := r.mark(line)
	if begins {
		if err := r.begin(mark, at, rec.UserData); err != nil {
			return err
		}
	}
	c := r.open
	c.last = at
	if isChange {
		c.packages++
	}
	switch {
	case rec.Action == zypp.ActionCommand:
		c.known, c.user, c.command = true, rec.RequestedBy, zypp.RedactCommand(rec.Command)
		c.lines = append(c.lines, mark)
	case rec.Action == zypp.ActionPatch:
		return c.advise(rec.Advisory(), mark)
	case tracked:
		return r.claim(rec, at, guess, mark)
	}
	return nil
}

// advise adds a record of an advisory.
func (c *commit) advise(a record.Advisory, mark record.HistoryLine) error {
	switch {
	case len(c.advisories) == maxAdvisories:
		return badLine{fmt.Errorf("more than %d advisories in one commit: this one is left out", maxAdvisories)}
	case len(a.ID)+len(a.Repo)+len(a.Severity)+len(a.Category)+len(a.OldState)+len(a.NewState) > maxAdvisory:
		return badLine{fmt.Errorf("advisory %.40q: more than %d bytes", a.ID, maxAdvisory)}
	}
	c.lines, c.advisories = append(c.lines, mark), append(c.advisories, a)
	return nil
}

// sole says whether the commit did nothing but install one package: then that package applied the
// advisories. If its command is not known, neither is where it begins; and an unreadable line may
// concern another package.
func (c *commit) sole() bool {
	return c.known && !c.aborted && !c.unread && c.packages == 1 && len(c.changes) == 1 && !c.changes[0].removal && c.changes[0].Result == record.ResultOK
}

func (r *reader) moment(stamp string) (at time.Time, guess bool, err error) {
	wall, err := zypp.LocalTime(stamp)
	if err != nil {
		return at, false, badLine{err}
	}
	at, guess = r.clock.moment(wall)
	return at, guess, nil
}

// another says whether a record that is not a command belongs to a new commit, if the command of
// the previous one is not known.
func (r *reader) another(at time.Time, userData string) bool {
	c := r.open
	if c == nil || r.lost || userData != "" && userData != c.userData {
		return true
	}
	return (r.crossed || !c.known) && at.Sub(c.last).Abs() > pause
}

func (r *reader) begin(mark record.HistoryLine, at time.Time, userData string) error {
	err := r.flush()
	r.open = &commit{first: mark, at: at, last: at, userData: userData, failed: map[string]bool{}}
	return err
}

// flush ends the open commit. A commit without a tracked package is dropped.
func (r *reader) flush() error {
	c := r.open
	r.open, r.lost = nil, false
	if c == nil || len(c.changes) == 0 {
		return nil
	}
	c.attachScripts()
	return r.emit(c)
}

// attachScripts notes for each package which of its scripts failed.
func (c *commit) attachScripts() {
	for _, s := range c.scripts.Failed {
		for i := range c.changes {
			if change := &c.changes[i]; nvra(change.Package, change.evr, change.Arch) == s.Package {
				change.Scripts = append(change.Scripts, s.Script)
			}
		}
	}
}

// claim adds an install or remove record of a tracked package.
func (r *reader) claim(rec *zypp.Record, at time.Time, guess bool, mark record.HistoryLine) error {
	evr, err := rpmversion.Parse(rec.Version)
	if err != nil {
		return badLine{err}
	}
	removal := rec.Action == zypp.ActionRemove
	if !removal && r.open.failed[nvra(rec.Name, evr, rec.Arch)] {
		return nil // the failure was ignored, and libzypp wrote the record anyway
	}
	c := newChange(rec.Name, evr, rec.Arch, removal, at, mark)
	c.Result, c.Ambiguous = record.ResultOK, guess
	c.Repo, c.Checksum, c.Requested = rec.Repo, rec.Checksum, rec.RequestedBy
	r.open.changes = append(r.open.changes, c)
	return nil
}

func newChange(name string, evr rpmversion.EVR, arch string, removal bool, at time.Time, mark record.HistoryLine) change {
	c := change{at: at, evr: evr, removal: removal}
	c.Change = snapshot.Describe(name, evr, arch)
	c.Time, c.UTCOffset, c.Line = record.At(at), at.Format("-07:00"), mark
	return c
}

// comment reads a comment: a failed step has no record of its own.
func (r *reader) comment(line zypp.Line, text string) error {
	if strings.HasPrefix(text, "# Commit was aborted") && r.open != nil && !r.lost {
		r.open.aborted = true
	}
	c, ok := zypp.ParseComment(text)
	if !ok {
		return nil
	}
	file := strings.TrimSuffix(c.Package, ".rpm")
	name, evr, arch, known := parseNVRA(file)
	if !known {
		name = file // if all packages are in one transaction
	}
	if livepatch.KindOf(name) == "" {
		return nil
	}
	if !c.Failed {
		if r.open != nil {
			delete(r.open.failed, file)
		}
		return nil
	}
	at, guess, err := r.moment(c.Time)
	if err != nil {
		return err
	}
	mark := r.mark(line)
	if r.another(at, "") {
		if err := r.begin(mark, at, ""); err != nil {
			return err
		}
	}
	r.crossed = false
	change := newChange(name, evr, arch, c.Removal, at, mark)
	if !known {
		change = withoutVersion(change)
	}
	change.Result, change.Ambiguous = record.ResultFailed, guess
	r.open.failed[file] = !c.Removal
	r.open.last = at
	r.open.changes = append(r.open.changes, change)
	r.open.packages++
	return nil
}

// unknown stands for the version and architecture of a package that is only named.
const unknown = "unknown"

// withoutVersion removes what was derived from an unknown version.
func withoutVersion(c change) change {
	c.Version, c.Arch = unknown, unknown
	if c.Kind == record.PackageKernel {
		c.KernelRelease = ""
	}
	c.Module, c.PatchNumber, c.Initial = "", 0, false
	return c
}

// nvra is the name of a package's file, without ".rpm".
func nvra(name string, evr rpmversion.EVR, arch string) string {
	return fmt.Sprintf("%s-%s-%s.%s", name, evr.Version, evr.Release, arch)
}

func parseNVRA(s string) (name string, evr rpmversion.EVR, arch string, ok bool) {
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 {
		return "", evr, "", false
	}
	s, arch = s[:dot], s[dot+1:]
	release := strings.LastIndexByte(s, '-')
	version := strings.LastIndexByte(s[:max(release, 0)], '-')
	if version < 1 {
		return "", evr, "", false
	}
	evr, err := rpmversion.Parse(s[version+1:])
	return s[:version], evr, arch, err == nil && arch != ""
}

// mark identifies a line by its place and the digest of its bytes. Each call counts one more copy
// of it.
func (r *reader) mark(line zypp.Line) record.HistoryLine {
	sum := sha256.Sum256(line.Raw)
	key := [16]byte(sum[:])
	r.copies[key]++
	mark := record.HistoryLine{File: r.file, Number: line.Number, SHA256: hex.EncodeToString(sum[:])}
	if n := r.copies[key]; n > 1 {
		mark.Copy = n
	}
	return mark
}
