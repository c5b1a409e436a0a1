package record

// CommitBegin is what is known when libzypp announces a commit, before anything changes.
type CommitBegin struct {
	Libzypp   Process          `json:"libzypp"`
	Actor     Actor            `json:"actor"`
	Command   []string         `json:"command"` // argv of libzypp's process, with secrets in URLs redacted
	UserData  string           `json:"userdata,omitempty"`
	Announced []Change         `json:"announced"`       // libzypp's steps for tracked packages, result unknown
	Installed []Package        `json:"installed"`       // tracked packages in the rpm database; null: not known
	RPMDB     string           `json:"rpmdb,omitempty"` // stamp of the rpm database that Installed was read from
	Fixes     map[string]Fixes `json:"fixes,omitempty"` // fixes of the installed live patches, by NEVRA
	History   HistoryMark      `json:"history"`
	Compared  bool             `json:"compared"` // it was compared with the record: a drift event before this one holds the difference
	Staging   *Staging         `json:"staging,omitempty"`
	Problems  []string         `json:"problems,omitempty"`
}

// Process identifies a process within one boot: pids are reused.
type Process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // since boot, field 22 of /proc/PID/stat
}

// Actor is who ran the commit, as far as the system says. Anything it does not say is "unset".
type Actor struct {
	Login      string `json:"login"` // name of the login uid; decimal if the name is unknown
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

// Staging is the btrfs snapshot that a transactional update writes to.
type Staging struct {
	Snapshot string `json:"snapshot"`         // its number; empty: not known
	Root     string `json:"root"`             // root of the target, as the plugin saw it
	Chroot   bool   `json:"chroot,omitempty"` // the plugin ran inside it
}

// Number returns the snapshot's number: 0 if the commit changes the running system, or if it is not
// known.
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
	Late       bool       `json:"late,omitempty"`  // written afterwards: libzypp exited without announcing the end
	Begun      *Timestamp `json:"begun,omitempty"` // for a late end: when the commit began
	Changes    []Change   `json:"changes"`
	Advisories []Advisory `json:"advisories,omitempty"`
	Problems   []string   `json:"problems,omitempty"`
	// What is installed on the running system afterwards: tracked packages (null: not known), and
	// the fixes of the live patches among them, by NEVRA.
	Installed []Package        `json:"installed"`
	RPMDB     string           `json:"rpmdb,omitempty"` // stamp of the rpm database that Installed was read from
	Fixes     map[string]Fixes `json:"fixes,omitempty"`
	Compared  bool             `json:"compared"` // everything that differs from what the record knew is on record
}

// Outcome is how a commit ended.
type Outcome string

// The outcomes.
const (
	OutcomeCompleted   Outcome = "completed"
	OutcomeFailed      Outcome = "failed"      // a step failed, or libzypp claimed something that the rpm database does not show
	OutcomeAborted     Outcome = "aborted"     // PLUGINEND without COMMITEND
	OutcomeInterrupted Outcome = "interrupted" // libzypp ended or was killed in the middle
	OutcomeStaged      Outcome = "staged"      // in a snapshot that has not been booted yet
	OutcomeDiscarded   Outcome = "discarded"   // in a snapshot that was never booted
)

// Outcomes returns the closed set of outcomes.
func Outcomes() []Outcome {
	return []Outcome{OutcomeCompleted, OutcomeFailed, OutcomeAborted, OutcomeInterrupted, OutcomeStaged, OutcomeDiscarded}
}

// Elsewhere says whether the commit changed a snapshot that has not been booted, rather than the
// running system.
func (o Outcome) Elsewhere() bool { return o == OutcomeStaged || o == OutcomeDiscarded }
