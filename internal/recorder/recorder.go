// Package recorder records what a commit does to kernels and live patches: what was installed
// before and after, what libzypp announced and claimed, and who ran it. It knows nothing about
// libzypp's protocol: a session calls Begin and End during a commit, Observe or ObserveLater after
// it, and Drift when the rpm database has changed; Held says that the record cannot be written now.
// CatchUp is for other programs: it closes what was interrupted.
package recorder

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/snapshot"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	// AnswerTime is how long zypper waits at most for everything that a session does, and how long
	// storing one event may take. libzypp waits 30 s for each answer.
	AnswerTime = 5 * time.Second
	// QuietTime is how long an rpm that outlived its zypper may take to finish.
	QuietTime = 15 * time.Minute
	// beginTime is how long rpm may take before a commit: nothing changes until the ACK.
	beginTime = AnswerTime - 2*time.Second
	// closeTime is how long a beginning commit may wait for the ends of others.
	closeTime = time.Second
	// endTime is how long the work after the end may take, when nothing changes any more.
	endTime = 25 * time.Second
	// quickTime is the limit for things that only save time.
	quickTime = 200 * time.Millisecond
	// patience is the interval at which to check whether an rpm transaction has ended.
	patience = 500 * time.Millisecond
)

// Recorder records what commits do. Create it with New. Call its methods one at a time.
type Recorder struct {
	root    string
	version string
	getenv  func(string) string
	log     io.Writer
	conf    *config.Config // nil: not read yet

	open *openCommit // between begin and end
	live bool        // the last commit that ended changed the running system
	held error       // why the record cannot be written in this session; nil: no reason known
	told []string    // reported reasons why files stay in the spool
}

// openCommit is what the end of a commit is compared with.
type openCommit struct {
	begin  *record.Event
	before rpm.Snapshot // its packages are nil if not known
	stored bool         // the begin event is in the record or in the spool
}

// New returns a recorder for the machine whose file tree is at root. version is the program's;
// getenv reads the environment; each message is one Write to log.
func New(root, version string, getenv func(string) string, log io.Writer) *Recorder {
	return &Recorder{root: root, version: version, getenv: getenv, log: log}
}

// Held says whether another process holds the record: then this session adds nothing more to it.
func (r *Recorder) Held() bool { return r.held != nil }

// Begin records that a commit with these tracked steps begins. problem says what could not be read
// in the step list.
func (r *Recorder) Begin(ctx context.Context, steps []Step, problem error, userData string) {
	ev := &record.Event{Header: store.NewHeader(record.KindCommitBegin, r.root, r.version)}
	b := &record.CommitBegin{UserData: userData, Command: []string{}, Announced: []record.Change{}}
	ev.Begin = b
	r.open = &openCommit{begin: ev}
	note := func(err error) {
		if err != nil {
			b.Problems = append(b.Problems, err.Error())
		}
	}
	note(problem)
	note(r.inspect(b))
	if b.Staging == nil && otherSystem(b) {
		r.open = nil // such as an image build: not this machine's history
		return
	}
	for _, p := range r.configure(b) {
		note(p)
	}
	target := r.target(b)
	mark, err := zypp.MarkHistory(target)
	note(err)
	b.History = record.HistoryMark(mark)
	note(r.snapshotBefore(ctx, target, b))
	for _, s := range steps {
		b.Announced = append(b.Announced, announce(s, r.open.before.Packages))
	}
	r.open.stored = r.keep(ctx, r.open, ev)
}

// inspect finds out who runs the commit.
func (r *Recorder) inspect(b *record.CommitBegin) error {
	proc := os.DirFS(filepath.Join(r.root, "/proc"))
	who, err := zypp.Inspect(proc, os.DirFS(filepath.Join(r.root, "/")), os.Getpid(), r.getenv)
	b.Actor, b.Libzypp = who.Actor, who.Libzypp
	if who.Command != nil {
		b.Command = who.Command
	}
	b.Staging = zypp.DetectStaging(r.getenv, who.Command, func() bool { return zypp.InHostRoot("/proc") })
	return err
}

// otherSystem says whether zypper works on a file tree other than this machine's.
func otherSystem(b *record.CommitBegin) bool {
	root := zypp.RootOption(b.Command)
	return root != "" && filepath.Clean(root) != "/"
}

// target is the root of the system that the commit changes.
func (r *Recorder) target(b *record.CommitBegin) string {
	if b.Staging != nil {
		return filepath.Join(r.root, b.Staging.Root)
	}
	return filepath.Join(r.root, "/")
}

func (r *Recorder) snapshotBefore(ctx context.Context, target string, b *record.CommitBegin) error {
	ctx, cancel := context.WithTimeout(ctx, beginTime)
	defer cancel()
	db := rpm.DB{Root: target}
	installed, known, ok := r.remembered(ctx, b)
	var err error
	if !ok {
		installed, err = snapshot.Read(ctx, db)
	}
	if err != nil {
		return err
	}
	r.open.before = installed
	b.Installed, b.RPMDB = installed.Packages, string(installed.Stamp)
	b.Fixes, err = snapshot.Fixes(ctx, db, installed.Packages, known)
	return err
}

// remembered returns what the record already knows, to save runs of rpm: what is installed on the
// running system, if that is still valid, and the fixes of live patches. If the record cannot be
// read at once, it returns nothing.
func (r *Recorder) remembered(ctx context.Context, b *record.CommitBegin) (installed rpm.Snapshot, known snapshot.Known, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, quickTime)
	defer cancel()
	s, err := store.OpenReadOnly(ctx, store.Path(r.root))
	if err != nil {
		return installed, nil, false
	}
	defer s.Close()
	known, _ = snapshot.Remembered(ctx, s, r.version)
	if b.Staging == nil {
		installed, ok = snapshot.Still(ctx, s, r.root, r.version)
	}
	return installed, known, ok
}

// End records how the open commit ended. zypper waits for it until ctx ends; work that takes longer
// still goes on.
func (r *Recorder) End(ctx context.Context, e Ending) {
	if r.open == nil {
		return
	}
	o := r.open
	r.open, r.live = nil, o.begin.Begin.Staging == nil
	db := rpm.DB{Root: r.target(o.begin.Begin)}
	if e.How == Interrupted && !settle(db, QuietTime) {
		return // an rpm is still running: the next program to open the record finds out what it did
	}
	if !o.stored {
		r.keep(ctx, o, o.begin)
	}
	look, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	after, err := r.look(look, db, o.begin.Begin, o.before.Stamp)
	ev := &record.Event{Header: store.NewHeader(record.KindCommitEnd, r.root, r.version)}
	ev.End = conclude(o.begin, o.before.Packages, after, e)
	if err != nil {
		ev.End.Problems = append(ev.End.Problems, err.Error())
	}
	r.keep(ctx, o, ev)
}

// settle waits until no rpm transaction runs, and says whether that is so. If the lock cannot be
// seen, there is nothing to wait for.
func settle(db rpm.DB, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	lock, err := db.Lock(ctx)
	if err != nil {
		return true
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(patience) {
		if held, err := lock.Held(); err != nil || !held {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}
