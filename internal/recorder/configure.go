package recorder

import (
	"context"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// config is the configuration, read when it is needed for the first time: most commits need
// none.
func (r *Recorder) config() *config.Config {
	if r.conf == nil {
		r.conf = config.Read(r.root)
	}
	return r.conf
}

// configure removes from the begin of a commit what is configured not to be recorded. Before that,
// the whole command line has shown where the commit works. What is wrong in the configuration is
// returned; the rest of it applies.
func (r *Recorder) configure(b *record.CommitBegin) []config.Problem {
	c := r.config()
	for i, arg := range b.Command {
		b.Command[i] = c.Redact(arg)
	}
	if !c.UserData {
		b.UserData = ""
	}
	return c.Problems
}

// openStore opens the record to write to it.
func (r *Recorder) openStore(ctx context.Context) (*store.Store, error) {
	s, err := store.Open(ctx, r.root, r.version)
	if err != nil {
		return nil, err
	}
	s.AnnounceIf(func() bool { return r.config().CheckpointsToJournal })
	return s, nil
}
