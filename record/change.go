package record

// Change is what happened to one package: what the rpm database shows, next to what libzypp claims.
type Change struct {
	Kind          PackageKind `json:"kind"`
	Action        Action      `json:"action"`
	Package       string      `json:"package"`
	Arch          string      `json:"arch"`
	Version       string      `json:"version"`            // the new one; for a removal, the removed one
	Previous      string      `json:"previous,omitempty"` // set for an upgrade, downgrade or reinstall
	Result        Result      `json:"result"`
	Step          string      `json:"step,omitempty"`  // libzypp's step: "+", "-", "M" (keeps the installed one); empty: not announced
	Stage         string      `json:"stage,omitempty"` // libzypp's claim at the end: "ok", "err"; empty: not executed
	InstallTime   *Timestamp  `json:"install_time,omitempty"`
	KernelRelease string      `json:"kernel_release,omitempty"` // as uname -r prints it
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
	Removed       Fixes       `json:"removed"` // fixes that were lost with it
	Scripts       []Script    `json:"scripts,omitempty"`
}

// Action is what was done to a package.
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
	ResultFailed  Result = "failed"   // it was tried, but the rpm database does not show it
	ResultNotDone Result = "not-done" // the rpm database does not show it, and nothing says it was tried
	ResultUnknown Result = "unknown"  // cannot be proven
)

// Results returns the closed set of results.
func Results() []Result {
	return []Result{ResultOK, ResultFailed, ResultNotDone, ResultUnknown}
}

// Script is a package script that failed, as libzypp's history reports it. The package may still be
// installed.
type Script struct {
	Script string `json:"script"`           // as rpm calls it: posttrans, post, …
	Status string `json:"status,omitempty"` // "exit status 1", "signal 9"; empty: not known
	Output string `json:"output,omitempty"` // first line it printed; empty: none, or not known
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
