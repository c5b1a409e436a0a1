package record

// EventVersion is the version of the event bodies that this program writes. Every version stays
// readable for ever.
const EventVersion = 1

// EventKind says what an event is about.
type EventKind string

// Header is what every event carries.
type Header struct {
	V          int       `json:"v"`
	Kind       EventKind `json:"kind"`
	ID         string    `json:"id"` // UUIDv7
	Time       Timestamp `json:"time"`
	UTCOffset  string    `json:"utc_offset"`  // of the host's local time, such as "+01:00"
	BoottimeUS int64     `json:"boottime_us"` // CLOCK_BOOTTIME: orders the events of one boot even if the clock was set
	Host       Host      `json:"host"`
	BootID     string    `json:"boot_id"` // 32 hex digits; empty where /proc does not say
	Recorder   Program   `json:"recorder"`
	Spooled    string    `json:"spooled,omitempty"` // why the event waited in the spool before it entered the log
	// TakenIn is when it entered the log from the spool. 0.1.0 did not record that.
	TakenIn *Timestamp `json:"taken_in,omitempty"`
}

// Recorded returns when an event entered the log, nil if that is not known.
func (h *Header) Recorded() *Timestamp {
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

// Program is the program that wrote an event.
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
	// For a broken proof: what was found, and the checkpoint that the log does not match. For a
	// planned change of key: the checkpoint over all events before it, signed by both keys.
	Problem    string `json:"problem,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Cause says why a recorder event was written.
type Cause string

// The causes of recorder events.
const (
	CauseInstalled       Cause = "installed"        // first event of a log
	CauseUpgraded        Cause = "upgraded"         // from here on, another program version writes
	CauseIdentityChanged Cause = "identity-changed" // the machine id has changed: cloned or restored
	CauseKeyReplaced     Cause = "key-replaced"     // the checkpoint key was lost or replaced
	CauseRecordLost      Cause = "record-lost"      // first event of a log, although a key of an earlier log exists
	CauseProofBroken     Cause = "proof-broken"     // the log is not the one that was signed last
)
