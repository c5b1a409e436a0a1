package lives

import (
	"context"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/store"
)

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
