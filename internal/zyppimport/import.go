// Package zyppimport imports libzypp's history into the record: what happened before the plugin was
// installed, or without it. The history is libzypp's claim, not proof.
package zyppimport

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/progress"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	// maxProblems bounds what is reported about one file: it may not be a history at all.
	maxProblems = 1000
	tries       = 5 // if others write to the record meanwhile
)

// Options say what to import.
type Options struct {
	Files   []string // history files, compressed or not, in any order
	Zone    *time.Location
	Root    string // of the machine
	Version string // of the program
	// Redact removes from an argument of a command line what the administrator does not want on
	// record; nil: nothing.
	Redact     func(string) string
	NoUserData bool // do not record user data
	// Problem is called with what could not be read.
	Problem func(Problem)
}

// Problem is a line or a file that could not be read.
type Problem struct {
	File string
	Line int // from 1; 0: the whole file
	Err  error
}

// Error says where it is and what is wrong.
func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Err.Error()
	}
	return fmt.Sprintf("%q, line %d: %v", p.File, p.Line, p.Err)
}

// Unwrap returns what is wrong.
func (p Problem) Unwrap() error { return p.Err }

// Summary counts what an import did.
type Summary struct {
	Files   int // files that were read
	Commits int // events that were added
	Added   int // changes that were added to the record
	Linked  int // changes on record that now have the history as evidence
	Known   int // changes that an earlier import had seen
	Broken  int // lines that could not be read
}

// ErrNothingRead says that no file contains a record of libzypp's history.
var ErrNothingRead = errors.New("no history could be read")

// Import adds to the record what is in history files and not on record yet, in the order of the
// files' times: all of it at once, or nothing. A commit that comes meanwhile goes to the spool.
func Import(ctx context.Context, s *store.Store, o Options) (Summary, error) {
	var sum Summary
	report := o.Problem
	o.Problem = func(p Problem) {
		if p.Line > 0 {
			sum.Broken++
		}
		report(p)
	}
	sources, err := o.sources(&sum)
	if err != nil {
		return sum, err
	}
	o.Problem = bounded(o.Problem)
	if err := s.TakeIn(ctx); err != nil {
		return sum, err
	}
	for try := 1; ; try++ {
		err := importFiles(ctx, s, o, sources, &sum)
		if !errors.Is(err, store.ErrMoved) || try == tries {
			return sum, err
		}
	}
}

// sources returns the files in the order of time. At least one of them has a record.
func (o *Options) sources(sum *Summary) ([]source, error) {
	sources := inOrder(o.Files, o.Problem)
	sum.Files = len(sources)
	if slices.ContainsFunc(sources, func(s source) bool { return s.first != "" }) {
		return sources, nil
	}
	for _, s := range sources {
		o.Problem(s.why)
	}
	return nil, ErrNothingRead
}

// Worth says whether an import into a new record would add anything; otherwise no record is made.
// It reports what cannot be read only if there is nothing to add.
func Worth(ctx context.Context, o Options) (bool, Summary, error) {
	var sum Summary
	var problems []Problem
	tell := o.Problem
	o.Problem = func(p Problem) {
		if p.Line > 0 {
			sum.Broken++
		}
		problems = append(problems, p)
	}
	err := o.worth(ctx, &sum)
	if errors.Is(err, errWorth) {
		return true, sum, nil
	}
	tell = bounded(tell)
	for _, p := range problems {
		tell(p)
	}
	return false, sum, err
}

// errWorth stops reading: there is something to import.
var errWorth = errors.New("there is something to take in")

func (o *Options) worth(ctx context.Context, sum *Summary) error {
	sources, err := o.sources(sum)
	if err != nil {
		return err
	}
	r := &reader{clock: clock{zone: o.Zone}, problem: o.Problem, emit: func(*commit) error { return errWorth }}
	return r.readAll(ctx, sources)
}

// bounded drops problems that were reported before, since an import that starts again meets them
// again, and the rest for a file that has too many.
func bounded(report func(Problem)) func(Problem) {
	told := map[string]map[int]bool{}
	return func(p Problem) {
		lines := told[p.File]
		if lines == nil {
			lines = map[int]bool{}
			told[p.File] = lines
		}
		switch {
		case lines[p.Line] || len(lines) > maxProblems:
			return
		case len(lines) == maxProblems:
			p = Problem{File: p.File, Line: p.Line, Err: errors.New("that many lines could not be read; the rest are not listed")}
		}
		lines[p.Line] = true
		report(p)
	}
}

// importer imports one commit after the other.
type importer struct {
	Options
	ctx       context.Context
	store     *store.Store
	sum       *Summary
	imported  *store.Imported
	matcher   matcher
	installed inventory
	recorded  time.Time // end of the recorded commit that the last line belonged to
	pending   [][]byte  // encoded, which takes less memory
	added     int       // changes in them
	linked    int
}

func importFiles(ctx context.Context, s *store.Store, o Options, sources []source, sum *Summary) (err error) {
	im := &importer{Options: o, ctx: ctx, store: s, sum: sum}
	im.sum.Known = 0
	if im.imported, err = s.Imported(ctx); err != nil {
		return err
	}
	changes, err := s.KnownChanges(ctx, time.Time{}, 0)
	if err != nil {
		return err
	}
	im.matcher = newMatcher(changes, im.imported.Claimed)
	r := &reader{clock: clock{zone: o.Zone}, problem: o.Problem, emit: im.take}
	dated := slices.IndexFunc(sources, func(s source) bool { return s.first != "" })
	if err := im.stock(sources[dated].first); err != nil {
		return err
	}
	if err := r.readAll(ctx, sources); err != nil {
		return err
	}
	return im.write()
}

// readAll reads all files, and shows how far that has come.
func (r *reader) readAll(ctx context.Context, sources []source) error {
	var size int64
	for _, src := range sources {
		size += src.size
	}
	r.ended = ctx.Err
	r.work = progress.Begin(ctx, "reading the history", size)
	defer r.work.End()
	for _, src := range sources {
		if err := r.read(src.path); err != nil {
			return err
		}
	}
	return r.flush()
}

// stock fills the inventory with what the record knows about the time before the first file.
func (im *importer) stock(first string) error {
	im.installed = inventory{}
	wall, err := zypp.LocalTime(first)
	if err != nil {
		return err
	}
	at, _ := (&clock{zone: im.Zone}).moment(wall)
	filter := record.HistoryFilter{Until: at, Result: record.ResultOK, OldestFirst: true}
	for row, err := range im.store.History(im.ctx, filter) {
		if err != nil {
			return err
		}
		evr, err := rpmversion.Parse(row.Version)
		if err != nil {
			continue
		}
		c := record.Change{Package: row.Package, Arch: row.Arch}
		if row.Action == record.ActionRemove {
			im.installed.remove(&c, evr)
		} else {
			im.installed.install(&c, evr, true)
		}
	}
	return nil
}

// take imports the part of a commit that is neither imported nor otherwise on record.
func (im *importer) take(c *commit) error {
	if err := im.ctx.Err(); err != nil {
		return err
	}
	ev := &record.Event{Header: store.NewHeader(record.KindImport, im.Root, im.Version)}
	i := &record.Import{
		Commit: commitID(ev.Host.MachineID, c.first), Time: record.At(c.at), Zone: im.Zone.String(),
		User: c.user, Command: zypp.RedactWith(c.command, im.Redact), UserData: im.userData(c), Outcome: c.outcome(), Changes: []record.ImportedChange{}, Advisories: c.advisories, Sole: c.sole(),
	}
	ev.Import = i
	pruned := im.imported.Pruned(c.last)
	for _, change := range c.changes {
		im.apply(&change)
		if pruned || im.imported.Has(change.Line) {
			im.sum.Known++
		} else if k, ok := im.matcher.find(c, &change); ok {
			im.recorded = k.To
			i.Recorded = append(i.Recorded, record.RecordedChange{Event: k.Event, Pos: k.Pos, Line: change.Line})
		} else {
			if end := im.recorded; end.After(change.at) && end.Sub(change.at) < time.Second {
				change.NotBefore = new(record.At(end))
			}
			i.Changes = append(i.Changes, change.ImportedChange)
		}
	}
	if pruned {
		return nil
	}
	news := len(i.Changes)+len(i.Recorded) > 0 || i.Outcome != "" && i.Outcome != im.imported.Outcome(i.Commit) || im.imported.Sole(i.Commit) && !i.Sole
	for _, l := range c.lines {
		if seen := im.imported.Has(l); !seen || c.known && l == c.lines[0] {
			i.Lines = append(i.Lines, l)
			news = news || !seen
		}
	}
	if !news {
		return nil
	}
	im.imported.Add(i)
	body, err := record.Encode(ev)
	im.pending = append(im.pending, body)
	im.added, im.linked = im.added+len(i.Changes), im.linked+len(i.Recorded)
	return err
}

// userData is what is recorded of a commit's user data.
func (im *importer) userData(c *commit) string {
	if im.NoUserData {
		return ""
	}
	return c.userData
}

// apply says what a change did to the installed packages.
func (im *importer) apply(c *change) {
	if c.removal {
		c.Action = record.ActionRemove
		if c.Result == record.ResultOK {
			im.installed.remove(&c.Change, c.evr)
		}
		return
	}
	if c.Version == unknown {
		c.Action = record.ActionInstall
		return
	}
	im.installed.install(&c.Change, c.evr, c.Result == record.ResultOK)
}

// outcome is what the history says about a commit's end: nothing, if it succeeded.
func (c *commit) outcome() record.Outcome {
	switch {
	case c.aborted:
		return record.OutcomeAborted
	case slices.ContainsFunc(c.changes, func(c change) bool { return c.Result == record.ResultFailed }):
		return record.OutcomeFailed
	}
	return ""
}

// write appends what is pending.
func (im *importer) write() error {
	if len(im.pending) == 0 {
		return nil
	}
	if err := im.store.AppendImports(im.ctx, im.imported, im.pending...); err != nil {
		return err
	}
	im.sum.Commits += len(im.pending)
	im.sum.Added, im.sum.Linked = im.sum.Added+im.added, im.sum.Linked+im.linked
	return nil
}

// commitID makes a commit's id from its first line (UUIDv8, RFC 9562).
func commitID(machine string, first record.HistoryLine) string {
	b := sha256.Sum256(fmt.Appendf(nil, "klp-audit import\n%s\n%s\n%d\n", machine, first.SHA256, max(first.Copy, 1)))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
