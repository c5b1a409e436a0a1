package record

// Change is one package's change, the truth from the rpm database beside libzypp's claim.
type Change struct {
	Kind          PackageKind `json:"kind"`
	Action        Action      `json:"action"`
	Package       string      `json:"package"`
	Arch          string      `json:"arch"`
	Version       string      `json:"version"`            // the new one; of a removal, the removed one
	Previous      string      `json:"previous,omitempty"` // of an upgrade, downgrade or reinstall
	Result        Result      `json:"result"`
	Step          string      `json:"step,omitempty"`  // libzypp's step: "+", "-", "M" (beside the installed one); none: not announced
	Stage         string      `json:"stage,omitempty"` // libzypp's claim at the end: "ok", "err"; none: not executed
	InstallTime   *Timestamp  `json:"install_time,omitempty"`
	KernelRelease string      `json:"kernel_release,omitempty"` // as uname -r says it
	Module        string      `json:"module,omitempty"`
	PatchNumber   int         `json:"patch_number,omitempty"`
	Initial       bool        `json:"initial,omitempty"` // patch number 1 fixes nothing
	Repo          string      `json:"repo,omitempty"`
	Checksum      string      `json:"checksum,omitempty"` // of the package file, from libzypp's history
	SignatureKey  string      `json:"signature_key,omitempty"`
	Vendor        string      `json:"vendor,omitempty"`
	BuildTime     *Timestamp  `json:"build_time,omitempty"`
	SourceRPM     string      `json:"source_rpm,omitempty"`
	Added         Fixes       `json:"added"`   // fixes that came with the change
	Removed       Fixes       `json:"removed"` // fixes that it took away
	Scripts       []Script    `json:"scripts,omitempty"`
}

// Action is what was done with a package.
type Action string

// The actions.
const (
	ActionInstall   Action = "install"
	ActionUpgrade   Action = "upgrade"
	ActionDowngrade Action = "downgrade"
	ActionReinstall Action = "reinstall"
	ActionRemove    Action = "remove"
)

// Actions returns the closed set of actions.
func Actions() []Action {
	return []Action{ActionInstall, ActionUpgrade, ActionDowngrade, ActionReinstall, ActionRemove}
}

// Result is what became of one change.
type Result string

// The results.
const (
	ResultOK      Result = "ok"       // the rpm database shows it
	ResultFailed  Result = "failed"   // it was tried, and the rpm database does not show it
	ResultNotDone Result = "not-done" // the rpm database does not show it, and nothing says that it was tried
	ResultUnknown Result = "unknown"  // not provable
)

// Results returns the closed set of results.
func Results() []Result {
	return []Result{ResultOK, ResultFailed, ResultNotDone, ResultUnknown}
}

// Script is a script of a package that failed, as libzypp's history tells. The package may be
// installed all the same.
type Script struct {
	Script string `json:"script"`           // as rpm calls it: posttrans, post, …
	Status string `json:"status,omitempty"` // "exit status 1", "signal 9"; empty: not known
	Output string `json:"output,omitempty"` // first line that it printed; empty: none, or not known
}

// Advisory is a patch whose state this commit changed, from libzypp's history.
type Advisory struct {
	ID       string `json:"id"`
	Repo     string `json:"repo,omitempty"`
	Severity string `json:"severity,omitempty"`
	Category string `json:"category,omitempty"`
	OldState string `json:"old_state"`
	NewState string `json:"new_state"`
}
