package lives

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// form is the record of a life in the form that its questions want: all of a life want the same one.
type form struct {
	t      *testing.T
	life   *life
	events []*record.Event
	record *store.Store // as it came
	dir    string

	made bool
	err  error
	// other is who is asked, by how much later it lived, and its record; nil: there is none to ask.
	other  *life
	later  time.Duration
	stored *store.Store
	// few is, for "known", a record that has no more events than were known at a time.
	few    *store.Store
	opened []*store.Store
}

// ask asks a question once more. mine is what must come of it; nil: there is nothing to compare.
func (f *form) ask(a *answer) (mine, other *answers, err error) {
	if !f.made {
		f.made = true
		f.err = f.make(a.question)
	}
	q := f.shifted(a.question)
	switch {
	case errors.Is(f.err, store.ErrNothingKnown):
		return nil, nil, nil
	case f.err != nil:
		return nil, nil, f.err
	case a.variant == "known since":
		other, err = f.life.knownSince(q, a.answers, f.record)
		return a.answers, other, err
	case a.variant != "known":
		mine = a.answers
	case f.few == nil:
		return nil, nil, nil
	default:
		mine, err = f.life.of(f.few, q)
	}
	if err == nil {
		other, err = f.other.of(f.stored, q)
	}
	return mine, other, err
}

// shifted is a question as it is put to who lived later.
func (f *form) shifted(q question) question {
	q.at = q.at.Add(f.later)
	return q
}

func (f *form) make(q question) error {
	f.other, f.stored = f.life, f.record
	switch q.variant {
	case "lived later":
		f.other, f.later = live(f.life.seed, f.life.n, birth.Add(later)), later
		f.stored = f.open(onRecord(f.t, filepath.Join(f.dir, "later"), same(f.events, f.other.events)))
	case "rebuilt":
		return f.record.Rebuild(f.t.Context())
	case "doubled":
		return f.record.Append(f.t.Context(), f.events...)
	case "exported":
		f.stored = f.open(exported(f.t, f.record, filepath.Join(f.dir, "export")))
	case "pruned":
		return f.prune(q.horizon)
	case "known":
		return f.makeKnown(q.horizon)
	}
	return nil
}

// prune prunes the record when the life is over.
func (f *form) prune(horizon time.Time) error {
	if d := time.Until(f.life.now); d > 0 {
		time.Sleep(d)
	}
	if _, err := f.record.Prune(f.t.Context(), horizon); err != nil {
		return err
	}
	v, err := f.record.Verify(f.t.Context(), "")
	if err == nil && v.Result != proof.Intact {
		err = errors.New("verify: " + strings.Join(v.Problems, "; "))
	}
	return err
}

// makeKnown makes the record as it was known when some of the events were there, and a record that has
// no more than these: what came later must not show. Where the clock was right at all times, nothing
// may be missing either.
func (f *form) makeKnown(horizon time.Time) (err error) {
	all := f.life.events
	n := int(horizon.UnixMicro() % int64(len(all)))
	if first := slices.IndexFunc(all, func(ev *record.Event) bool { return ev.Spooled != "" }); first > 0 && horizon.UnixMicro()%2 == 0 {
		n = first - 1 // some waited in the spool then, or were about to
	}
	for n+1 < len(all) && (all[n].Spooled != "" || all[n+1].Time.Equal(all[n].Time.Time)) {
		n++
	}
	at, first := all[n].Time.Time, same(all[:n+1], f.events)
	if len(first) == 0 || all[n].Spooled != "" {
		return nil
	}
	if n+1 < len(all) && f.life.sound() { // any time until the next one came
		if next := all[n+1].Recorded(); next != nil && next.After(at) {
			at = at.Add(next.Sub(at) * time.Duration(horizon.UnixMilli()%100) / 101)
		}
	}
	few := f.open(onRecord(f.t, filepath.Join(f.dir, "few"), first))
	if !f.life.sound() {
		if few, err = few.KnownAt(f.t.Context(), at); err != nil {
			return err
		}
		f.open(few)
	}
	if f.stored, err = f.record.KnownAt(f.t.Context(), at); err != nil {
		return err
	}
	f.open(f.stored)
	f.few = few
	return nil
}

// open notes a record that is to be closed.
func (f *form) open(s *store.Store) *store.Store {
	f.opened = append(f.opened, s)
	return s
}

func (f *form) close() {
	for _, s := range f.opened {
		s.Close()
	}
}
