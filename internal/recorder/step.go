package recorder

import "github.com/klp-audit/klp-audit/internal/rpmversion"

// Step is one step of libzypp's transaction, on a tracked package.
type Step struct {
	Type  string // "+", "-", "M"
	Stage string // at the end: "ok", "err", or empty: not executed
	Name  string
	EVR   rpmversion.EVR
	Arch  string
}

// Ending says how a commit ended, as the plugin saw it.
type Ending struct {
	How     How
	Steps   []Step // tracked ones with their stages, if the commit ended
	Problem error  // what could not be read in the step list
	late    bool   // found out afterwards: others may have changed packages since
}

// How is how a commit ended.
type How int

const (
	// Committed says that libzypp announced the end.
	Committed How = iota
	// Aborted says that libzypp finished without announcing an end.
	Aborted
	// Interrupted says that libzypp is gone.
	Interrupted
)
