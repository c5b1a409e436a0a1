package record

import (
	"math"
	"time"
)

// HistoryFilter selects rows. Zero fields select everything.
type HistoryFilter struct {
	Since, Until time.Time // from Since, before Until
	Package      string    // GLOB pattern: * ? [abc]
	Kind         string
	Action       string
	Result       string
	Source       string // one of Sources
	User         string // login or sudo user
	Scripts      bool   // of which a script failed
	Limit        int    // at most so many rows; 0: all
	Events       int64  // of the first so many events only; 0: of all that there are now
	OldestFirst  bool
}

// Always is after all that is on record.
func Always() time.Time { return time.UnixMicro(math.MaxInt64) }
