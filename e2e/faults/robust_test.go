package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// shortRun is how many trials of each kind the tests make; `make robust N=…` makes more.
const shortRun = 5

// trial is one of many: what it does to a machine depends only on its random numbers.
type trial struct {
	what string
	on   func(m *machine)                         // prepares the machine, which all trials of a kind share
	try  func(m *machine, rnd *rand.Rand) verdict // makes one trial
}

// verdict is how a trial went; all false: fine.
type verdict struct {
	harmed   bool // a frame was not answered, a commit was lost, or a command failed that must not
	panicked bool
	lied     bool // something altered was called intact
	late     bool // an answer took longer than 5 s, a command longer than 30 s
	why      string
}

// The limits that are promised, plus a second for a busy machine.
const (
	answerLimit  = 6 * time.Second
	commandLimit = 31 * time.Second
)

// trials is what is tried, in the order of the table. docs/robustness.md explains each.
func trials() []trial {
	return []trial{
		{"plugin killed in a commit", nil, killPlugin},
		{"signals to the plugin in a commit", nil, signalPlugin},
		{"limits and broken environments of a commit", nil, limitPlugin},
		{"hostile frames", nil, hostileFrames},
		{"commands that race", (*machine).recordSome, raceCommands},
		{"records with bytes changed", (*machine).recordSome, changeDatabase},
		{"records altered by SQL", (*machine).recordSome, alterDatabase},
		{"exports with bytes changed", (*machine).recordSome, changeExport},
		{"journals with bytes changed", (*machine).layJournal, changeJournal},
		{"initrd images with bytes changed", nil, changeImage},
	}
}

// TestRobust makes random trials of each kind and prints a table. A failed trial prints the seed
// and number that repeat it.
func TestRobust(t *testing.T) {
	n, seed := uint64(shortRun), uint64(20261128)
	for name, into := range map[string]*uint64{"KLP_AUDIT_ROBUST": &n, "KLP_AUDIT_SEED": &seed} {
		if text := os.Getenv(name); text != "" {
			v, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			*into = v
		}
	}
	list := trials()
	rows := make([]string, len(list))
	t.Run("trials", func(t *testing.T) {
		for i, tr := range list {
			t.Run(tr.what, func(t *testing.T) {
				t.Parallel()
				rows[i] = tr.run(newMachine(t), n, seed)
			})
		}
	})
	fmt.Printf("robust: seed %d\nrobust: | tried | trials | harmed | panicked | called intact though altered | too late |\nrobust: |---|---|---|---|---|---|\n", seed)
	for _, row := range rows {
		fmt.Println("robust: " + row)
	}
}

// run makes the trials of a kind, and returns the results as a row of the table.
func (tr trial) run(m *machine, n, seed uint64) string {
	m.Helper()
	if tr.on != nil {
		tr.on(m)
	}
	var harmed, panicked, lied, late int
	for i := range n {
		v := tr.try(m, rand.New(rand.NewPCG(seed, i)))
		count(&harmed, v.harmed)
		count(&panicked, v.panicked)
		count(&lied, v.lied)
		count(&late, v.late)
		if v.harmed || v.panicked || v.lied || v.late {
			m.Errorf("%s, seed %d, trial %d: %+v", tr.what, seed, i, v)
		}
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d |", tr.what, n, harmed, panicked, lied, late)
}

func count(n *int, is bool) {
	if is {
		*n++
	}
}

// isPanic says whether a Go program crashed.
func isPanic(stderr string) bool {
	return strings.Contains(stderr, "panic: ") || strings.Contains(stderr, "fatal error: ") || strings.Contains(stderr, "SIGSEGV")
}

// try runs klp-audit on whatever became of its input. It must end by itself, in time, with one of
// its own codes.
func (m *machine) try(args ...string) (got result, v verdict) {
	m.Helper()
	start := time.Now()
	got = m.audit(args...)
	v.late = time.Since(start) > commandLimit
	v.panicked = isPanic(got.stderr)
	if v.harmed = got.exit < 0 || got.exit > 5; v.harmed || v.panicked {
		v.why = fmt.Sprintf("klp-audit %q: exit %d, %.300s", args, got.exit, got.stderr)
	}
	return got, v
}

// and combines the results of two checks of one trial.
func (v verdict) and(w verdict) verdict {
	return verdict{v.harmed || w.harmed, v.panicked || w.panicked, v.lied || w.lied, v.late || w.late, strings.TrimPrefix(v.why+"; "+w.why, "; ")}
}

// stands checks that the record is intact after a trial, once the next writer has run.
func (m *machine) stands() verdict {
	m.Helper()
	_, v := m.try("status")
	if _, err := os.Stat(m.root + recordPath); err != nil {
		return v // nothing was recorded so far
	}
	got, w := m.try("verify")
	if got.exit != 0 {
		w.harmed, w.why = true, fmt.Sprintf("verify: exit %d, %s%s", got.exit, got.stdout, got.stderr)
	}
	return v.and(w)
}

// raceCommands runs several commands and commits at once.
func raceCommands(m *machine, rnd *rand.Rand) (v verdict) {
	commands := [][]string{
		{"observe"}, {"status"}, {"check"}, {"verify"}, {"rebuild"}, {"prune", "--yes"}, {"report", "history"}, {"report", "compliance"},
		{"export"}, {"import", "/history"}, {"config"}, {"exception", "list"},
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	for range 4 + rnd.IntN(5) {
		args := commands[rnd.IntN(len(commands))]
		all.Go(func() {
			_, w := m.try(args...)
			mu.Lock()
			defer mu.Unlock()
			v = v.and(w)
		})
	}
	s := &session{m: m, frames: commitFrames(fmt.Sprint("race ", rnd.Uint32()))}
	w := s.run(nil)
	all.Wait()
	return v.and(w).and(m.stands())
}
