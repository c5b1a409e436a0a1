package recorder

import (
	"context"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// config is the configuration, read on first use: most commits need none.
func (r *Recorder) config() *config.Config {
	if r.conf == nil {
		r.conf = config.Read(r.root)
	}
	return r.conf
}

// configure removes from the begin of a commit what the configuration excludes. By then the whole
// command line has been used to see where the commit works. It returns the errors in the
// configuration; the rest of it applies.
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

// openStore opens the record for writing.
func (r *Recorder) openStore(ctx context.Context) (*store.Store, error) {
	s, err := store.Open(ctx, r.root, r.version)
	if err != nil {
		return nil, err
	}
	s.AnnounceIf(func() bool { return r.config().CheckpointsToJournal })
	return s, nil
}
