package lives

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// grown asks of the record as it was known when some of the events were there, and of a record
// that has no more than these: what came later must not show. Where the clock was right at all
// times, nothing may be missing either.
func (l *life) grown(t *testing.T, q question, evs []*record.Event, s *store.Store, dir string) (then, now *answers, err error) {
	n := int(q.horizon.UnixMicro() % int64(len(l.events)))
	for n+1 < len(l.events) && (l.events[n].Spooled != "" || l.events[n+1].Time.Equal(l.events[n].Time.Time)) {
		n++
	}
	at, first := l.events[n].Time.Time, same(l.events[:n+1], evs)
	if len(first) == 0 || l.events[n].Spooled != "" {
		return nil, nil, nil
	}
	few := onRecord(t, filepath.Join(dir, "few"), first)
	defer few.Close()
	if l.sound() {
		then, err = l.of(few, q)
	} else {
		then, err = l.knownAt(few, at, q)
	}
	if errors.Is(err, store.ErrNothingKnown) {
		return nil, nil, nil
	}
	if err == nil {
		now, err = l.knownAt(s, at, q)
	}
	return then, now, err
}

// knownSince asks of the record as it was known when an answer says that it came to be known. A clock
// that was wrong says nothing of that.
func (l *life) knownSince(q question, a *answers, s *store.Store) (now *answers, err error) {
	if a.since == nil || !l.sound() {
		return a, nil
	}
	return l.knownAt(s, a.since.Time, q)
}

// knownAt asks of the record as it was known at a time.
func (l *life) knownAt(s *store.Store, at time.Time, q question) (*answers, error) {
	part, err := s.KnownAt(context.Background(), at)
	if err != nil {
		return nil, err
	}
	defer part.Close()
	return l.of(part, q)
}

func (l *life) of(s audit.Reader, q question) (*answers, error) {
	p, err := newProduct(context.Background(), s)
	if err != nil {
		return nil, err
	}
	return q.ask(p, l)
}
