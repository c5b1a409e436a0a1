package record

import "time"

// Taint is why the kernel reports that it is tainted. Taint lasts until the next boot.
type Taint struct {
	Value uint64      `json:"value"` // the bits, as /proc/sys/kernel/tainted has them
	Flags []TaintFlag `json:"flags"` // one for each bit that is set
}

// TaintFlag is one reason for taint.
type TaintFlag struct {
	Bit     int    `json:"bit"`    // from 0
	Letter  string `json:"letter"` // empty: not known
	Meaning string `json:"meaning"`
}

func (Taint) partName() PartName { return PartTaint }

// Coverage is until when SUSE supports a kernel with live patches.
type Coverage struct {
	Date    string `json:"date"` // the last day, YYYY-MM-DD
	File    string `json:"file"` // of the lifecycle data
	Line    int    `json:"line"` // from 1
	Name    string `json:"name"` // of packages, as the line gives it
	Version string `json:"version"`
}

func (Coverage) partName() PartName { return PartCoverage }

// Day returns the last day of the coverage; ok is false if the date cannot be parsed.
func (c Coverage) Day() (day time.Time, ok bool) {
	day, err := time.Parse(time.DateOnly, c.Date)
	return day, err == nil
}

// Blockers are the tasks that keep a transition from completing; empty if there is no transition.
type Blockers []Blocker

// Blocker is a task that has not switched to the live patch yet.
type Blocker struct {
	PID  int    `json:"pid"`
	TID  int    `json:"tid"` // thread id; for the first thread of a process, its pid
	Comm string `json:"comm"`
}

func (Blockers) partName() PartName { return PartBlockers }

// Entitlement is what shows that a system gets live patches. Each list may be empty.
type Entitlement struct {
	Products  []Product `json:"products"`           // SUSE Linux Enterprise 12 and 15; null: not known
	Included  []Product `json:"included,omitempty"` // products whose own repositories contain live patches
	Patterns  []string  `json:"patterns"`           // packages of the patterns lp_sles and kernel_livepatching; null: not known
	Lifecycle []string  `json:"lifecycle"`          // packages with the lifecycle data; null: not known
}

// Product is an installed product.
type Product struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	EndOfLife string `json:"endoflife"` // YYYY-MM-DD; empty: not given
	File      string `json:"file"`      // below /etc/products.d
}

func (Entitlement) partName() PartName { return PartActivation }

// Clock says whether the clock is synchronized with a time source.
type Clock struct {
	Synced   string     `json:"synced"`         // yes, no, unknown
	Source   string     `json:"source"`         // what reports it; empty: nothing does
	LastSync *time.Time `json:"last_sync"`      // when a daemon last recorded a success; null: not on record
	LastFile string     `json:"last_sync_file"` // the file whose modification time that is
}

func (Clock) partName() PartName { return PartClock }

// JournalStorage says where the journal is stored; see Storage= in journald.conf(5).
type JournalStorage struct {
	Setting string `json:"setting"` // auto, persistent, volatile, none
	File    string `json:"file"`    // that sets it; empty: the default applies
	// Kept is the effect: persistent (across reboots), volatile, or none.
	Kept string `json:"kept"`
	// Persistent and Volatile say whether this machine has a journal there.
	Persistent bool `json:"persistent"` // /var/log/journal/MACHINE-ID
	Volatile   bool `json:"volatile"`   // /run/log/journal/MACHINE-ID
}

func (JournalStorage) partName() PartName { return PartJournalStorage }

// OwnFiles are klp-audit's own files.
type OwnFiles []OwnFile

// OwnFile is one of klp-audit's own files, or says that it is missing.
type OwnFile struct {
	Path   string `json:"path"`
	There  bool   `json:"there"`
	Type   string `json:"type,omitempty"` // file, directory, link, other
	Mode   string `json:"mode,omitempty"` // octal, 0750
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Target string `json:"target,omitempty"` // of a link
	SHA256 string `json:"sha256,omitempty"` // of files that do not change in normal use; empty: not read
}

func (OwnFiles) partName() PartName { return PartFiles }

// System says which operating system this is.
type System struct {
	PrettyName string `json:"pretty_name"` // from os-release
	// Transactional: the root is read-only, and transactional-update changes it.
	Transactional bool `json:"transactional"`
	ReadOnlyRoot  bool `json:"read_only_root"`
	// RootSubvolume is where the root directory is within its file system. If it changed, the
	// system was rolled back or updated transactionally.
	RootSubvolume string `json:"root_subvolume"`
	Snapshot      *int   `json:"snapshot"` // number of the snapshot that is the root; null: it is not a snapshot
}

func (System) partName() PartName { return PartSystem }

// Warnings are what the kernel warned of in this boot.
type Warnings struct {
	Count    int        `json:"count"`
	Since    *Timestamp `json:"since"`    // the journal's first entry of the boot
	Messages []Warning  `json:"messages"` // the newest
}

// Warning is one warning of the kernel.
type Warning struct {
	Time   *Timestamp `json:"time"`
	Text   string     `json:"text"`
	Cursor string     `json:"cursor"` // of its journal entry
}

func (Warnings) partName() PartName { return PartWarnings }

// Verified is the result of a full verification of the record that also compared the checkpoints in
// the journal.
type Verified struct {
	Result     string        `json:"result"` // intact, altered, truncated
	TreeSize   int64         `json:"tree_size"`
	RootHash   string        `json:"root_hash"`  // base64
	FirstTime  *Timestamp    `json:"first_time"` // of the oldest event; null: there is none
	LastTime   *Timestamp    `json:"last_time"`  // of the newest event
	Checkpoint string        `json:"checkpoint"` // the signed text
	Key        string        `json:"key"`        // verifier key that it was checked against
	Keys       []VerifiedKey `json:"keys"`       // all that the record names, the newest last; null: it cannot be read
	Problems   []string      `json:"problems"`   // 100 at most

	Checkpoints int    `json:"checkpoints"`      // how many the journal holds
	Unread      string `json:"unread,omitempty"` // why there may be more
	// KeyUnread says why the record could not be compared with the machine's key.
	KeyUnread string `json:"key_unread,omitempty"`
}

// VerifiedKey is a verifier key that the record names.
type VerifiedKey struct {
	Key    string `json:"key"`
	Event  int64  `json:"event"`  // number of the recorder event that first names it
	Signed *bool  `json:"signed"` // whether the previous key signed the change to it; null for the first
}

func (Verified) partName() PartName { return PartVerify }
