package record

// CommitBegin is what is known when libzypp announces a commit, before anything changes.
type CommitBegin struct {
	Libzypp   Process          `json:"libzypp"`
	Actor     Actor            `json:"actor"`
	Command   []string         `json:"command"` // argv of libzypp's process, secrets in URLs redacted
	UserData  string           `json:"userdata,omitempty"`
	Announced []Change         `json:"announced"`       // libzypp's tracked steps, result unknown
	Installed []Package        `json:"installed"`       // tracked packages in the rpm database; null: not known
	RPMDB     string           `json:"rpmdb,omitempty"` // stamp of the rpm database that this was read from
	Fixes     map[string]Fixes `json:"fixes,omitempty"` // of the installed live patches, by NEVRA
	History   HistoryMark      `json:"history"`
	Compared  bool             `json:"compared"` // with what the record knew: what differed is a drift event before this one
	Staging   *Staging         `json:"staging,omitempty"`
	Problems  []string         `json:"problems,omitempty"`
}

// Process identifies a process within one boot: a pid alone is used again.
type Process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // since boot, field 22 of /proc/PID/stat
}

// Actor is who ran the commit, as far as the system says. What it does not say is "unset".
type Actor struct {
	Login      string `json:"login"` // name of the login uid; decimal where the name is unknown
	LoginUID   string `json:"login_uid"`
	EUID       string `json:"euid"`
	SudoUser   string `json:"sudo_user,omitempty"`
	SudoUID    string `json:"sudo_uid,omitempty"`
	TTY        string `json:"tty"`
	Session    string `json:"session"` // audit session
	Exe        string `json:"exe"`
	Automation string `json:"automation,omitempty"`
}

// Package is an installed package as the rpm database has it.
type Package struct {
	Name         string      `json:"name"`
	Version      string      `json:"version"` // [epoch:]version-release
	Arch         string      `json:"arch"`
	Kind         PackageKind `json:"kind,omitempty"` // empty: not recorded
	InstallTime  int64       `json:"install_time"`   // seconds since 1970
	InstallTID   int64       `json:"install_tid"`
	DBInstance   int64       `json:"db_instance"`
	BuildTime    int64       `json:"build_time,omitempty"`
	Vendor       string      `json:"vendor,omitempty"`
	SignatureKey string      `json:"signature_key,omitempty"` // key id, 16 hex digits
	SourceRPM    string      `json:"source_rpm,omitempty"`
}

// Fixes are the CVE and bug numbers that a live patch's changelog lists.
type Fixes struct {
	CVEs []string `json:"cves,omitempty"`
	Bugs []string `json:"bugs,omitempty"`
}

// HistoryMark is the end of libzypp's history at a moment.
type HistoryMark struct {
	Path   string `json:"path"`
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
}

// Staging is the snapshot that a transactional update writes to.
type Staging struct {
	Snapshot string `json:"snapshot"`         // its number; empty: not known
	Root     string `json:"root"`             // of the target, as the plugin saw it then
	Chroot   bool   `json:"chroot,omitempty"` // the plugin ran within it
}

// CommitEnd is what became of a commit.
type CommitEnd struct {
	Commit     string     `json:"commit"` // id of its commit-begin event
	Outcome    Outcome    `json:"outcome"`
	Late       bool       `json:"late,omitempty"`  // closed afterwards: libzypp had gone without an end
	Begun      *Timestamp `json:"begun,omitempty"` // of a late end: when the commit began
	Changes    []Change   `json:"changes"`
	Advisories []Advisory `json:"advisories,omitempty"`
	Problems   []string   `json:"problems,omitempty"`
	// What is there after it, on the running system: tracked packages (null: not known), and
	// the fixes of the live patches among them, by NEVRA.
	Installed []Package        `json:"installed"`
	RPMDB     string           `json:"rpmdb,omitempty"` // stamp of the rpm database that this was read from
	Fixes     map[string]Fixes `json:"fixes,omitempty"`
	Compared  bool             `json:"compared"` // all that differs from what the record knew is on record
}

// Outcome is how a commit ended.
type Outcome string

// The outcomes.
const (
	OutcomeCompleted   Outcome = "completed"
	OutcomeFailed      Outcome = "failed"      // a step failed, or libzypp claimed what the rpm database does not show
	OutcomeAborted     Outcome = "aborted"     // PLUGINEND without COMMITEND
	OutcomeInterrupted Outcome = "interrupted" // libzypp ended or was killed in the middle
	OutcomeStaged      Outcome = "staged"      // in a snapshot that is not booted yet
	OutcomeDiscarded   Outcome = "discarded"   // in a snapshot that never was booted
)

// Outcomes returns the closed set of outcomes.
func Outcomes() []Outcome {
	return []Outcome{OutcomeCompleted, OutcomeFailed, OutcomeAborted, OutcomeInterrupted, OutcomeStaged, OutcomeDiscarded}
}

// Elsewhere says whether what a commit did is in a snapshot that was not booted, or not yet.
func (o Outcome) Elsewhere() bool { return o == OutcomeStaged || o == OutcomeDiscarded }

// PackageKind says what a tracked package is.
type PackageKind string

// The kinds of packages.
const (
	PackageKernel    PackageKind = "kernel"    // a kernel that can be booted
	PackageLivepatch PackageKind = "livepatch" // a live patch for one kernel
	PackageKMP       PackageKind = "kmp"       // kernel modules packaged on their own
	PackageSupport   PackageKind = "support"   // what kernels and live patches need or come from
)

// PackageKinds returns the closed set of kinds of packages.
func PackageKinds() []PackageKind {
	return []PackageKind{PackageKernel, PackageLivepatch, PackageKMP, PackageSupport}
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
