package lives

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// question is what a life is asked.
type question struct {
	about   string // moment, checks, cves
	at      time.Time
	variant string    // the same record in another form, which must give the same answer; empty: none
	horizon time.Time // of a prune
}

// variants are the forms of a record that must not change an answer: all but the answer itself, which
// is of the events in memory, come from SQLite.
var variants = []string{"lived later", "rebuilt", "exported", "doubled", "pruned", "known", "known since", "stored"}

// later is by how much later a life is lived again.
const later = 37*24*time.Hour + 5*time.Hour

// answer is what came of a question.
type answer struct {
	question
	*answers
	err error
	// decided is what the events decide; nil: the clock was wrong, or it is not asked.
	decided *answers
	// differs is a part about which another form of the record says something else.
	differs, how string
}

// questions are what a life is asked about.
func (l *life) questions() (list []question) {
	for _, at := range append(l.moments(18), l.observed(3)...) {
		list = append(list, question{about: "moment", at: at})
	}
	looks := l.observed(3)
	for i := range looks[:len(looks)/3] { // it is judged some hours later
		looks[i] = looks[i].Add(l.between(0, stale))
	}
	for _, at := range append(looks, l.now.Add(2*stale), l.now.AddDate(0, 0, []int{20, 40, 100, 200}[l.IntN(4)])) {
		list = append(list, question{about: "checks", at: at})
	}
	for _, at := range slices.Concat(l.moments(2), l.changes(1), l.losses(1), []time.Time{l.now}) {
		list = append(list, question{about: "cves", at: at})
	}
	for _, at := range slices.Concat(l.moments(1), l.observed(2), []time.Time{l.now}) {
		list = append(list, question{about: "open", at: at.Add(time.Second)})
	}
	for _, at := range l.someAlone(2) {
		list = append(list, question{about: "journal", at: at})
	}
	variant := variants[l.IntN(len(variants))]
	if only := os.Getenv("KLP_AUDIT_VARIANT"); only != "" {
		variant = only
	}
	horizon := l.history[0].from.Add(l.between(0, l.now.Sub(l.history[0].from)))
	again := 3
	if strings.HasPrefix(variant, "known") { // few of the answers of a life were not known at once
		again = 15
	}
	for _, q := range append(slices.Clone(list[:again]), list[len(list)-7:]...) {
		if variant != "pruned" || q.at.After(horizon) {
			q.variant, q.horizon = variant, horizon
			list = append(list, q)
		}
	}
	return list
}

// ask asks it.
func (q question) ask(p *product, l *life) (*answers, error) {
	switch q.about {
	case "checks":
		return p.askChecks(l, q.at)
	case "journal":
		return l.askAlone(q.at)
	case "cves":
		return p.askCVEs(l, q.at)
	case "open":
		return p.askOpen(l, q.at)
	}
	a, err := p.ask(q.at)
	if err == nil {
		a.more(l, p.timeline)
	}
	return a, err
}

// examine puts events on record and asks questions. It runs in a bubble whose time it sets. Most are
// asked of the events in memory, which takes a third of the time; compare asks SQLite.
func (l *life) examine(t *testing.T, evs []*record.Event, questions []question) (list []answer) {
	dir, err := os.MkdirTemp(shm(), "lives")
	must(t, err)
	defer os.RemoveAll(dir)
	s := onRecord(t, dir, evs)
	defer s.Close()
	p, err := newProduct(t.Context(), storetest.InMemory(t, s, nil))
	for _, q := range questions {
		a := answer{question: q, err: err}
		if err == nil {
			a.answers, a.err = q.ask(p, l)
		}
		if a.about == "moment" && a.variant == "" && l.sound() {
			a.decided = decided(evs, q.at)
		}
		list = append(list, a)
	}
	another := &form{t: t, life: l, events: evs, record: s, dir: dir}
	defer another.close()
	for i := range list {
		if a := &list[i]; a.err == nil && a.variant != "" {
			a.compare(another)
		}
	}
	return list
}

// record puts events on record in a folder, as they came.
func onRecord(t *testing.T, dir string, evs []*record.Event) *store.Store {
	t.Helper()
	path := filepath.Join(dir, "etc/machine-id")
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(machineID+"\n"), 0o644))
	if d := time.Until(evs[0].Time.Time); d > 0 {
		time.Sleep(d)
	}
	s, err := store.Open(t.Context(), dir, "1.0.0")
	must(t, err)
	must(t, s.Append(t.Context(), evs[0]))
	must(t, s.Append(t.Context(), evs[1:]...))
	return s
}

// compare asks again, of the record in another form.
func (a *answer) compare(f *form) {
	mine, other, err := f.ask(a)
	switch {
	case err != nil:
		a.differs, a.how = "error", err.Error()
	case a.variant == "pruned" && !a.answers.at.After(a.horizon): // nothing is on record after it
	case mine != nil:
		said, others := mine.said(a.question), other.said(f.shifted(a.question))
		if a.variant == "known since" { // of what is known: what is not, may have been before something contradicted it
			maps.DeleteFunc(others, func(part, _ string) bool { return said[part] == "" })
		}
		a.differs, a.how = compared(said, others)
	}
}

// same are the events with the ids of others.
func same(ids, evs []*record.Event) (list []*record.Event) {
	for _, ev := range evs {
		if slices.ContainsFunc(ids, func(o *record.Event) bool { return o.ID == ev.ID }) {
			list = append(list, ev)
		}
	}
	return list
}

func exported(t *testing.T, s *store.Store, path string) *store.Store {
	f, err := os.Create(path)
	must(t, err)
	must(t, s.Export(t.Context(), f, 0))
	must(t, f.Close())
	x, _, err := store.OpenExport(t.Context(), path, "")
	must(t, err)
	return x
}

// said are the claims of an answer, by section and part, those about fixes by CVE, too, with times as distances.
// When something was that a prune took away, or cut, is not asked, nor that a fix came back which it lost before.
func (a *answers) said(q question) map[string]string {
	said := map[string]string{}
	for _, c := range a.claims {
		text := c.says
		for _, stamp := range c.times {
			text += fmt.Sprintf(" %s", stamp.Sub(q.at))
		}
		if q.variant == "pruned" && slices.Contains([]string{"interval", "loss", "lost at", "lost by", "in initrd", "completeness more", "downgrades more", "failed-commits more"}, c.part) {
			continue // what it says of before the horizon is gone, or shorter
		}
		if q.variant == "lived later" && (c.part == "coverage more" || strings.HasSuffix(c.says, byDay)) {
			continue // days have a date
		}
		if q.variant == "known since" && c.section != "state" {
			continue // it is the state's
		}
		key := c.kind()
		if cve, _, _ := strings.Cut(c.says, " "); c.section == "cve" || c.section == "open" {
			key += " of " + cve
		}
		if q.variant == "pruned" && slices.ContainsFunc(c.times, func(t time.Time) bool { return !t.After(q.horizon) }) {
			said[key] = longAgo
		} else if said[key] != longAgo {
			said[key] += text + "; "
		}
	}
	return said
}

// longAgo is in the place of what a record says of before its prune: then the pruned one says less, or that
// it was later.
const longAgo = "before the horizon"

// compared names a part that is not the same in two answers.
func compared(a, b map[string]string) (part, how string) {
	for _, m := range []map[string]string{a, b} {
		for part := range m {
			if a[part] != b[part] && a[part] != longAgo && b[part] != longAgo {
				name, _, _ := strings.Cut(part, " of CVE")
				name, _, _ = strings.Cut(name, " inferred")
				return name, fmt.Sprintf("%q, %q", a[part], b[part])
			}
		}
	}
	return "", ""
}

// all are the claims of an answer, and what the events decide: both must be true.
func (a *answer) all() []claim {
	if a.decided == nil {
		return a.claims
	}
	return slices.Concat(a.claims, a.decided.claims)
}
