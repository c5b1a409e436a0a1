package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
	// TakenIn is when it came from there. 0.1.0 did not note that.
	TakenIn *Timestamp `json:"taken_in,omitempty"`
}

// recorded is when an event came into the log, nil if that is not known.
func (h *Header) recorded() *Timestamp {
	if h.TakenIn == nil && h.Spooled == "" {
		return &h.Time
	}
	return h.TakenIn
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

// Elsewhere says whether what a commit did is in a snapshot that was not booted, or not yet.
func (o Outcome) Elsewhere() bool { return o == OutcomeStaged || o == OutcomeDiscarded }

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
	Scripts       []Script   `json:"scripts,omitempty"`
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
	errNotOneLine = fmt.Errorf("%w: not one line", errNoEvent)
)

// payloadKeys names the one key beside the header that an event of a kind has.
var payloadKeys = map[EventKind]string{
	KindRecorder: "identity", KindCommitBegin: "begin", KindCommitEnd: "end", KindObservation: "observation",
	KindDrift: "drift", KindException: "exception", KindImport: "import", KindPrune: "prune",
}

// decode reads an event's body. It refuses bodies of a newer version, and what two readers
// could read differently.
func decode(body []byte) (*Event, error) {
	var ev Event
	if _, err := readHeader(body); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &ev); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoEvent, err)
	}
	return &ev, nil
}

// decodeAt is decode for event number seq of a log: it is one line there, and what it says of
// the log before it must be possible.
func decodeAt(seq int64, body []byte) (*Event, error) {
	if !isOneLine(body) {
		return nil, errNotOneLine
	}
	ev, err := decode(body)
	if err == nil && ev.Prune != nil {
		err = ev.Prune.check(seq, ev.Time)
	}
	return ev, err
}

// decodeOutline is decodeAt for a verification: it refuses the same, and reads the header's
// kind, id and time, and all of an event that speaks of the log itself. What else is in the
// body is for the views, and making values of it would take most of the time.
func decodeOutline(seq int64, body []byte) (*Event, error) {
	if !isOneLine(body) {
		return nil, errNotOneLine
	}
	h, err := readHeader(body)
	if err != nil {
		return nil, err
	}
	if h.Kind == KindRecorder || h.Kind == KindPrune {
		return decodeAt(seq, body)
	}
	return &Event{Header: h}, nil
}

// readHeader reads of an event version, kind, id and time, and looks at all the rest.
func readHeader(body []byte) (h Header, err error) {
	at, err := scan(body, eventShape())
	if err == nil {
		err = h.read(body, at)
	}
	if err == nil {
		err = checkPayload(h.Kind, body, at)
	}
	if err == nil {
		return h, nil
	}
	// A newer version may look otherwise, and that is no fault of it.
	var newer struct{ V int }
	if json.Unmarshal(body, &newer) == nil && newer.V > EventVersion {
		return h, fmt.Errorf("%w: it has version %d, this program knows %d", errNewerEvent, newer.V, EventVersion)
	}
	return h, fmt.Errorf("%w: %w", errNoEvent, err)
}

// read reads what SQLite reads, too, by the text: no other spelling will do.
func (h *Header) read(body []byte, at []span) error {
	of := func(key string) []byte { return at[eventShape().index[key]].of(body) }
	id, kind, moment := of("id"), of("kind"), of("time")
	switch {
	case !isWord(id, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"):
		return fmt.Errorf("id %.80s", orMissing(id))
	case !isWord(kind, "-abcdefghijklmnopqrstuvwxyz"):
		return fmt.Errorf("kind %.80s", orMissing(kind))
	case len(moment) == 0 || h.Time.UnmarshalJSON(moment) != nil || h.Time.Format(`"`+timeLayout+`"`) != string(moment):
		return fmt.Errorf("time %.80s is not written as %s", orMissing(moment), timeLayout)
	}
	h.ID, h.Kind = string(id[1:len(id)-1]), EventKind(kind[1:len(kind)-1])
	v, err := strconv.Atoi(string(of("v")))
	if h.V = v; err != nil || v < 1 || v > EventVersion {
		return fmt.Errorf("version %.80s", orMissing(of("v")))
	}
	return nil
}

// isWord says whether a text in JSON is one of these letters only.
func isWord(quoted []byte, letters string) bool {
	const longest = 64
	word := bytes.Trim(quoted, `"`)
	return len(word) > 0 && len(word) <= longest && len(quoted) == len(word)+2 && len(bytes.Trim(word, letters)) == 0
}

func orMissing(text []byte) string {
	if len(text) == 0 {
		return "is missing"
	}
	return string(text)
}

// checkPayload sees that an event is about what its kind says, and about nothing else. What a
// kind that is not known is about is not known either.
func checkPayload(kind EventKind, body []byte, at []span) error {
	want := payloadKeys[kind]
	for _, key := range payloadKeys {
		there := at[eventShape().index[key]].of(body)
		switch {
		case key != want && len(there) > 0:
			return fmt.Errorf("an event of kind %s has a key %q", kind, key)
		case key == want && (len(there) == 0 || there[0] == 'n'):
			return fmt.Errorf("an event of kind %s without a key %q", kind, key)
		}
	}
	return nil
}
