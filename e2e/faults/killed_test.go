package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const (
	kills = 12
	seed  = 20261123
)

// killed runs klp-audit again and again, killing it each time at a random moment of the time that
// it takes undisturbed. each is called after every run.
func (m *machine) killed(whole time.Duration, args []string, each func()) {
	m.Helper()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var hit int
	for range kills {
		cmd := m.command(programPath, args...)
		m.check(cmd.Start())
		time.Sleep(time.Duration(rnd.Int64N(int64(whole))))
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			hit++
		}
		each()
	}
	if hit == 0 {
		m.Errorf("%q was killed in none of %d runs", args, kills)
	}
}

// took runs klp-audit undisturbed and returns how long it took.
func (m *machine) took(args ...string) time.Duration {
	m.Helper()
	start := time.Now()
	m.mustAudit(args...)
	return time.Since(start)
}

// rows are the rows of the history, without what differs between two imports of the same.
func (m *machine) rows() []string {
	m.Helper()
	var rows []string
	for line := range strings.Lines(m.audit("report", "history", "--format", "csv").stdout) {
		f := strings.Split(line, ",")
		rows = append(rows, fmt.Sprint(f[0], f[8:13]))
	}
	return rows
}

// Rebuild, killed at any moment: the views are either the old ones or the new ones.
func TestKilledRebuild(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.write("/history", history(600))
	m.mustAudit("import", "/history")
	want := m.rows()
	m.killed(m.took("rebuild"), []string{"rebuild"}, func() {
		if got := m.rows(); !slices.Equal(got, want) {
			t.Errorf("%d rows, want the %d of before", len(got), len(want))
		}
	})
	m.intact()
}

// Import, killed at any moment, again and again: all is taken in or nothing, and after the last run,
// which nobody kills, each change is there once.
func TestKilledImport(t *testing.T) {
	t.Parallel()
	undisturbed, m := newMachine(t), newMachine(t)
	for _, x := range []*machine{undisturbed, m} {
		x.write("/history", history(600))
	}
	whole := undisturbed.took("import", "/history")
	m.killed(whole, []string{"import", "/history"}, func() {
		if m.audit("report", "history").exit == 0 { // else there is no record yet
			m.intact()
		}
	})
	m.mustAudit("import", "/history")
	if got, want := m.rows(), undisturbed.rows(); !slices.Equal(got, want) {
		t.Errorf("%d rows, undisturbed %d", len(got), len(want))
	}
	m.intact()
}

// The writer that takes the spool in is killed at any moment: each event is taken in once, and in
// order.
func TestKilledSpoolIntake(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	const events = 150
	fill := func() (ids []string) {
		for i := range events {
			ev := &record.Event{Header: store.NewHeader(record.KindCommitBegin, m.root, "1.0.0")}
			ev.ID = fmt.Sprintf("%s-%03d", ev.ID, i)
			ev.Begin = &record.CommitBegin{UserData: "spooled", Staging: &record.Staging{Snapshot: "1"}}
			m.check(store.Spool(m.root, ev, syscall.EBUSY, false))
			ids = append(ids, ev.ID)
		}
		return ids
	}
	want := fill()
	whole := m.took("report", "history")
	want = append(want, fill()...)
	m.killed(whole/2, []string{"report", "history"}, func() {})
	m.settle("first")
	var got []string
	for _, ev := range m.recorded() {
		if ev.Begin.UserData == "spooled" {
			got = append(got, ev.ID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d events taken in, want %d, in order", len(got), len(want))
	}
}

// Prune, killed at any moment: either everything is there, or what was to be removed is gone and
// the record says so.
func TestKilledPrune(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const old = 300
	s, err := store.Open(t.Context(), m.root, "1.0.0")
	m.check(err)
	var evs []*record.Event
	for i := range old {
		begin := &record.Event{Header: store.NewHeader(record.KindCommitBegin, m.root, "1.0.0"), Begin: &record.CommitBegin{}}
		end := &record.Event{Header: store.NewHeader(record.KindCommitEnd, m.root, "1.0.0")}
		end.End = &record.CommitEnd{Commit: begin.ID, Outcome: record.OutcomeFailed}
		begin.Time.Time, begin.BootID = begin.Time.AddDate(-9, 0, i), fmt.Sprintf("%032x", i+1)
		end.Time, end.BootID = begin.Time, begin.BootID
		evs = append(evs, begin, end)
	}
	m.check(errors.Join(s.Append(t.Context(), evs...), s.Close()))
	m.commit("young", around{})
	whole, err := os.ReadFile(m.root + recordPath)
	m.check(err)
	all := m.sqlite3("SELECT count(*) FROM events")
	took := m.took("prune", "--yes")
	m.intact()
	pruned := m.sqlite3("SELECT count(*) FROM events")
	got := map[string]int{}
	restore := func() { m.check(os.WriteFile(m.root+recordPath, whole, 0o640)) }
	restore()
	m.killed(took, []string{"prune", "--yes"}, func() {
		m.settle("young") // rolls back what was left half done
		got[m.sqlite3("SELECT count(*) FROM events")]++
		restore()
	})
	if got[all] == 0 || got[all]+got[pruned] != kills || all == pruned {
		t.Errorf("numbers of events and how often: %v, before %s, pruned %s", got, all, pruned)
	}
}
