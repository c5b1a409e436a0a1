package faults

import (
	"testing"
	"time"
)

// sessionLimit is how long a session may keep zypper waiting, as users are promised, with a margin
// for a busy machine.
const sessionLimit = 5*time.Second + 3*time.Second

// waits runs a commit and returns how long libzypp waited for its answers.
func (m *machine) waits(name string, a around) time.Duration {
	m.Helper()
	var begun, ended time.Time
	a.frame = func(command string) {
		switch command {
		case "PLUGINBEGIN":
			begun = time.Now()
		case "_DISCONNECT":
			ended = time.Now()
		}
	}
	m.commit(name, a)
	return ended.Sub(begun)
}

// A commit with very many tracked steps is recorded in time, or its events wait in the spool,
// delaying nobody, until a writer with enough time takes them in.
func TestManySteps(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.commit("first", around{})
	usual := m.waits("usual", around{})
	if took := m.waits("many", around{steps: 100_000}); took > sessionLimit {
		t.Errorf("a commit of 100,000 steps kept zypper waiting for %v", took)
	}
	reader := m.hold("BEGIN; SELECT count(*) FROM events;")
	if took := m.waits("held", around{steps: 100_000}); took > sessionLimit {
		t.Errorf("a commit of 100,000 steps kept zypper waiting for %v while the record was held", took)
	}
	reader.release()
	if took := m.waits("next", around{}); took > usual+2*time.Second {
		t.Errorf("a commit took %v with large events in the spool, %v without", took, usual)
	}
	if evs := begun(m.recorded()); evs[len(evs)-1] != "next" {
		t.Errorf("recorded %q: the last one waits", evs)
	}
	m.settle("first", "usual", "many", "held", "next")
}
