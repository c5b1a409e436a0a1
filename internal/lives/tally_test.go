package lives

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// finding is a false statement.
type finding struct {
	life     *life
	question question
	kind     string
}

// tally counts what came out of lives.
type tally struct {
	sync.Mutex
	keep           int // examples of each kind
	lives, moments int
	claims         map[string]int
	false          map[string]int
	examples       map[string][]finding // of each kind, those with the fewest events
	met            map[string]int       // lives with a trouble
	asked, unknown map[[2]string]int    // by situation and part, sound clock
	lost           map[[2]string]int    // unknown although the events decide it
}

func newTally() *tally {
	return &tally{claims: map[string]int{}, false: map[string]int{}, examples: map[string][]finding{}, met: map[string]int{}, asked: map[[2]string]int{}, unknown: map[[2]string]int{}, lost: map[[2]string]int{}}
}

// found keeps a finding as an example, if it has few events.
func (t *tally) found(f finding, keep int) {
	t.false[f.kind]++
	list := append(t.examples[f.kind], f)
	slices.SortStableFunc(list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(len(a.life.events), len(b.life.events)), cmp.Compare(a.life.n, b.life.n))
	})
	t.examples[f.kind] = list[:min(len(list), keep)]
}

// fails says whether there are too many false statements of a kind: one, or of those that are inferred
// more than one in 200, where there are enough of them to tell.
func (t *tally) fails(kind string) bool {
	if strings.Contains(kind, " inferred") {
		return t.claims[kind] >= 1000 && 200*t.false[kind] > t.claims[kind]
	}
	return t.false[kind] > 0
}

var unknownParts = map[string]string{"kernel": "kernel_release", "patch": "live_patch", "installed": "installed", "initrd": "initrd", "next boot": "next_boot", "covered": "covered_until"}

// take takes in the answers of a life.
func (t *tally) take(l *life, list []answer) {
	t.Lock()
	defer t.Unlock()
	t.lives++
	for name := range l.met {
		t.met[name]++
	}
	for _, a := range list {
		for kind := range l.falsehoods(a) {
			t.found(finding{l, a.question, kind}, t.keep)
		}
		if a.err == nil {
			t.count(l, a)
		}
	}
}

// count counts what is claimed, and what is not known.
func (t *tally) count(l *life, a answer) {
	if a.variant != "" {
		t.claims[a.variant]++
		return
	}
	t.moments++
	for _, c := range a.all() {
		t.claims[c.kind()+l.clocks()]++
	}
	situation := l.situation(a.answers.at)
	if a.about != "moment" || situation == "" || !l.sound() {
		return
	}
	for name, part := range unknownParts {
		t.asked[[2]string{situation, name}]++
		if !a.unknown[part] {
			continue
		}
		t.unknown[[2]string{situation, name}]++
		for _, c := range a.decided.claims {
			if c.part == name {
				t.lost[[2]string{situation, name}]++
			}
		}
	}
}

func (l *life) truth(at time.Time) string {
	m := l.at(at)
	return fmt.Sprintf("boot %s %s active %q moving %q installed %q images %v next %s", shortID(m.boot), m.kernel, m.active, m.moving, m.installed, m.images, m.next)
}

func (t *tally) table() (lines []string) {
	lines = append(lines, fmt.Sprintf("%d lives, %d moments", t.lives, t.moments))
	parts := []string{"kernel", "patch", "installed", "initrd", "next boot", "covered"}
	line := fmt.Sprintf("%-40s", "unknown, and although decided; sound, %")
	for _, part := range parts {
		line += fmt.Sprintf("%14s", part)
	}
	lines = append(lines, line)
	for _, situation := range []string{"between two observations of a boot", "boot, before its first observation", "boot, after its last observation", "boot without an observation"} {
		line := fmt.Sprintf("%-40s", situation)
		for _, part := range parts {
			key := [2]string{situation, part}
			share := func(n int) float64 { return 100 * float64(n) / float64(max(t.asked[key], 1)) }
			line += fmt.Sprintf("%7.1f (%4.1f)", share(t.unknown[key]), share(t.lost[key]))
		}
		lines = append(lines, line)
	}
	for _, kind := range slices.Sorted(maps.Keys(t.claims)) {
		lines = append(lines, fmt.Sprintf("%-40s%8d claims%8d false", kind, t.claims[kind], t.false[kind]))
	}
	for _, a := range troubles {
		lines = append(lines, fmt.Sprintf("%-40s%8.1f %% of lives", a.name, 100*float64(t.met[a.name])/float64(max(t.lives, 1))))
	}
	return lines
}

// show is the examples of a kind, each with the shortest list of events that shows it. Of
// those that look alike there is one.
func (t *tally) show(tt *testing.T, kind string, seed uint64) string {
	var lines []string
	shown := map[string]bool{}
	for _, f := range t.examples[kind] {
		evs, what := f.life.shrink(tt, f.life.events, f.question, f.kind)
		if looks := shape(evs); shown[looks] {
			continue
		} else {
			shown[looks] = true
		}
		lines = append(lines, "", fmt.Sprintf("SEED=%d, life %d: %s", seed, f.life.n, what))
		for _, ev := range evs {
			lines = append(lines, "  "+tell(ev))
		}
	}
	return brief(strings.Join(lines, "\n  "))
}

// shape is what a list of events looks like from afar.
func shape(evs []*record.Event) (text string) {
	for _, ev := range evs {
		text += string(ev.Kind)
		if o := ev.Observation; o != nil {
			text += fmt.Sprint(o.Patches == nil, o.Installed == nil, o.LivePatch != nil, o.LivePatch != nil && o.LivePatch.Transition, o.LivePatch != nil && o.LivePatch.Version == nil, o.Initrd.Basis, len(o.Boots))
			for _, b := range o.Boots {
				text += fmt.Sprint(b.Incomplete, b.StartInJournal, len(b.Loads))
				for _, l := range b.Loads {
					text += string(l.Result)
				}
			}
		}
	}
	return text
}
