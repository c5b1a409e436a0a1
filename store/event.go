package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// EventVersion is the version of the event bodies that this program writes. Bodies of
// every version are read for ever.
const EventVersion = 1

// EventKind says what an event is about.
type EventKind string

// The event kinds.
const (
	KindRecorder    EventKind = "recorder"     // the recorder itself: installed, upgraded, new identity
	KindCommitBegin EventKind = "commit-begin" // libzypp is about to change tracked packages
	KindCommitEnd   EventKind = "commit-end"   // what became of it
)

// Timestamp is a moment in UTC with microseconds, in JSON as RFC 3339 with six digits.
type Timestamp struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// MarshalJSON writes the moment in UTC.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + timeLayout + `"`)), nil
}

// UnmarshalJSON reads any RFC 3339 time that is one in UTC, too.
func (t *Timestamp) UnmarshalJSON(b []byte) error {
	v, err := time.Parse(time.RFC3339, strings.Trim(string(b), `"`))
	t.Time = v.UTC()
	if year := t.Year(); err == nil && (year < 0 || year > 9999) {
		return fmt.Errorf("time %s is out of range", b)
	}
	return err
}

// Event is one line of the log: a header, and the one payload that its kind names.
type Event struct {
	Header
	Identity    *Identity        `json:"identity,omitempty"`
	Begin       *CommitBegin     `json:"begin,omitempty"`
	End         *CommitEnd       `json:"end,omitempty"`
	Observation *Observation     `json:"observation,omitempty"`
	Drift       *Drift           `json:"drift,omitempty"`
	Exception   *ExceptionChange `json:"exception,omitempty"`
	Import      *Import          `json:"import,omitempty"`
	Prune       *Prune           `json:"prune,omitempty"`
}

// Header is what every event carries.
type Header struct {
	V          int       `json:"v"`
	Kind       EventKind `json:"kind"`
	ID         string    `json:"id"` // UUIDv7
	Time       Timestamp `json:"time"`
	UTCOffset  string    `json:"utc_offset"`  // of the host's local time, "+01:00"
	BoottimeUS int64     `json:"boottime_us"` // CLOCK_BOOTTIME: orders the events of one boot although the clock was set
	Host       Host      `json:"host"`
	BootID     string    `json:"boot_id"` // 32 hex digits; empty where /proc does not say
	Recorder   Program   `json:"recorder"`
	Spooled    string    `json:"spooled,omitempty"` // why the event waited in the spool before it came into the log
}

// Host names the machine that an event is about.
type Host struct {
	MachineID string `json:"machine_id"` // 32 hex digits of /etc/machine-id, empty if it has none
	Hostname  string `json:"hostname"`
}

// Program is what wrote an event.
type Program struct {
	Program string `json:"program"`
	Version string `json:"version"`
}

// Identity is the payload of a recorder event.
type Identity struct {
	Cause    Cause  `json:"cause"`
	Schema   int    `json:"schema"`             // view schema of the program that wrote the event
	Key      string `json:"key"`                // verifier key of the checkpoints from here on (sumdb/note)
	Previous string `json:"previous,omitempty"` // program version before an upgrade
	// Of a broken proof: what was found, and the checkpoint that the log did not fit.
	Problem    string `json:"problem,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Cause says why a recorder event was written.
type Cause string

// The causes of recorder events.
const (
	CauseInstalled       Cause = "installed"        // first event of a log
	CauseUpgraded        Cause = "upgraded"         // another program version writes from here on
	CauseIdentityChanged Cause = "identity-changed" // the machine id is another one: cloned or restored
	CauseKeyReplaced     Cause = "key-replaced"     // the checkpoint key was lost or replaced
	CauseRecordLost      Cause = "record-lost"      // first event of a log, but there is a key of an earlier one
	CauseProofBroken     Cause = "proof-broken"     // the log was not the one that was signed last
)

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
	Name         string `json:"name"`
	Version      string `json:"version"` // [epoch:]version-release
	Arch         string `json:"arch"`
	Kind         string `json:"kind,omitempty"` // kernel, livepatch, …; empty: not recorded
	InstallTime  int64  `json:"install_time"`   // seconds since 1970
	InstallTID   int64  `json:"install_tid"`
	DBInstance   int64  `json:"db_instance"`
	BuildTime    int64  `json:"build_time,omitempty"`
	Vendor       string `json:"vendor,omitempty"`
	SignatureKey string `json:"signature_key,omitempty"` // key id, 16 hex digits
	SourceRPM    string `json:"source_rpm,omitempty"`
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
	Kind          string     `json:"kind"`
	Action        string     `json:"action"`
	Package       string     `json:"package"`
	Arch          string     `json:"arch"`
	Version       string     `json:"version"`            // the new one; of a removal, the removed one
	Previous      string     `json:"previous,omitempty"` // of an upgrade, downgrade or reinstall
	Result        Result     `json:"result"`
	Step          string     `json:"step,omitempty"`  // libzypp's step: "+", "-", "M" (beside the installed one); none: not announced
	Stage         string     `json:"stage,omitempty"` // libzypp's claim at the end: "ok", "err"; none: not executed
	InstallTime   *Timestamp `json:"install_time,omitempty"`
	KernelRelease string     `json:"kernel_release,omitempty"` // as uname -r says it
	Module        string     `json:"module,omitempty"`
	PatchNumber   int        `json:"patch_number,omitempty"`
	Initial       bool       `json:"initial,omitempty"` // patch number 1 fixes nothing
	Repo          string     `json:"repo,omitempty"`
	Checksum      string     `json:"checksum,omitempty"` // of the package file, from libzypp's history
	SignatureKey  string     `json:"signature_key,omitempty"`
	Vendor        string     `json:"vendor,omitempty"`
	BuildTime     *Timestamp `json:"build_time,omitempty"`
	SourceRPM     string     `json:"source_rpm,omitempty"`
	Added         Fixes      `json:"added"`   // fixes that came with the change
	Removed       Fixes      `json:"removed"` // fixes that it took away
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

// encode returns the body of an event: one line of JSON without a line end.
func encode(ev *Event) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(ev); err != nil {
		return nil, fmt.Errorf("encoding %s event: %w", ev.Kind, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var (
	errNoEvent    = errors.New("not an event")
	errNewerEvent = errors.New("event of a newer version")
)

// decode reads an event's body. It refuses bodies of a newer version.
func decode(body []byte) (*Event, error) {
	var ev Event
	if err := json.Unmarshal(body, &ev); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoEvent, err)
	}
	if err := ev.check(); err != nil {
		return nil, err
	}
	return &ev, nil
}

// decodeOutline reads of an event's body what a verification needs: id, version, kind and
// time, which encode writes first, and all of an event that speaks of the log itself. What
// else is in the body is for the views, and reading it would take most of the time.
func decodeOutline(body []byte) (*Event, error) {
	var h Header
	d := json.NewDecoder(bytes.NewReader(body))
	if open, _ := d.Token(); open != json.Delim('{') {
		return decode(body)
	}
	for _, field := range []struct {
		key  string
		into any
	}{{"v", &h.V}, {"kind", &h.Kind}, {"id", &h.ID}, {"time", &h.Time}} {
		if key, _ := d.Token(); key != field.key || d.Decode(field.into) != nil {
			return decode(body) // which says what is wrong with it
		}
	}
	if h.Kind == KindRecorder || h.Kind == KindPrune || h.check() != nil {
		return decode(body)
	}
	return &Event{Header: h}, nil
}

// check refuses what is no event, or one of a newer version.
func (h *Header) check() error {
	switch {
	case h.ID == "" || h.Kind == "":
		return fmt.Errorf("%w: id or kind is missing", errNoEvent)
	case h.V > EventVersion:
		return fmt.Errorf("%w: %q has version %d, this program knows %d", errNewerEvent, h.ID, h.V, EventVersion)
	}
	return nil
}
