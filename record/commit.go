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

// Number returns that of the snapshot; 0 of a commit to the running system, and where it is not known.
func (s *Staging) Number() int64 {
	if s == nil {
		return 0
	}
	return parseSnapshot(s.Snapshot)
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
