package recorder

import "github.com/klp-audit/klp-audit/internal/rpmversion"

// Step is one step of libzypp's transaction, on a tracked package.
type Step struct {
	Type  string // "+", "-", "M"
	Stage string // at the end: "ok", "err", or nothing: not executed
	Name  string
	EVR   rpmversion.EVR
	Arch  string
}

// Ending says how a commit ended, as the plugin saw it.
type Ending struct {
	How     How
	Steps   []Step // tracked, with stages; of a commit that ended
	Problem error  // what of the step list could not be read
	late    bool   // found out afterwards: others may have changed packages since
}

// How is the way in which a commit ended.
type How int

const (
	// Committed says that libzypp told of the end.
	Committed How = iota
	// Aborted says that libzypp ended without telling of one.
	Aborted
	// Interrupted says that libzypp has gone.
	Interrupted
)
