package record

import (
	"encoding/json"
	"slices"
)

// Observation is what the machine showed. A part that could not be read is missing, and Unknown
// says why.
type Observation struct {
	Trigger   Trigger                      `json:"trigger"`
	Kernel    Kernel                       `json:"kernel"`
	Installed []Package                    `json:"installed"`       // tracked packages; null: not known
	RPMDB     string                       `json:"rpmdb,omitempty"` // stamp of the rpm database that Installed was read from
	Compared  bool                         `json:"compared"`        // it was compared with the record: a drift event before this one holds the difference
	Subvolume string                       `json:"root_subvolume"`  // where the root directory is within its file system; empty: not known
	Patches   []LoadedPatch                `json:"patches"`         // in the kernel; null: not known
	LivePatch *LivePatch                   `json:"live_patch"`
	Initrd    Initrd                       `json:"initrd"` // of the running kernel and its active patch
	NextBoot  *NextBoot                    `json:"next_boot"`
	Reboot    *Reboot                      `json:"reboot"` // null: not known
	Boots     []Boot                       `json:"boots"`  // new or changed since the previous observation
	Parts     map[PartName]json.RawMessage `json:"parts"`  // everything else, by name
	Unknown   map[string]string            `json:"unknown"`
}

// Trigger is why an observation was taken.
type Trigger string

// The triggers.
const (
	TriggerBoot   Trigger = "boot"
	TriggerTimer  Trigger = "timer"
	TriggerCommit Trigger = "commit"
	TriggerManual Trigger = "manual"
)

// Triggers returns the closed set of triggers.
func Triggers() []Trigger {
	return []Trigger{TriggerBoot, TriggerTimer, TriggerCommit, TriggerManual}
}

// Kernel is the running kernel.
type Kernel struct {
	Release  string    `json:"release"` // uname -r
	Version  string    `json:"version"` // uname -v
	BootTime Timestamp `json:"boot_time"`
	Marked   *bool     `json:"marked"` // uname -v says that the kernel is live patched, as most live patches make it do; null: not known
}

// LoadedPatch is a live patch in the kernel, as /sys/kernel/livepatch shows it.
type LoadedPatch struct {
	Module     string           `json:"module"`
	Enabled    bool             `json:"enabled"`
	Transition bool             `json:"transition"`  // enabling or disabling is not complete
	Replace    *bool            `json:"replace"`     // it replaces all others; null: older kernel
	StackOrder *int             `json:"stack_order"` // null: older kernel
	Objects    map[string]*bool `json:"objects"`     // vmlinux and modules, and whether they are patched
	SrcVersion string           `json:"srcversion"`
	KGraft     bool             `json:"kgraft"` // of SUSE Linux Enterprise 12
}

// PendingReboot says whether a reboot was pending. It is PendingUnknown, too, if the observation
// could not see whether a live patch makes the reboot unnecessary.
func (o *Observation) PendingReboot() Pending {
	switch {
	case o.Reboot == nil:
		return PendingUnknown
	case o.Reboot.Pending == PendingYes && o.Patches == nil:
		return PendingUnknown
	}
	return o.Reboot.Pending
}

// InTransition says whether any live patch is being enabled or disabled.
func InTransition(patches []LoadedPatch) bool {
	return slices.ContainsFunc(patches, func(p LoadedPatch) bool { return p.Transition })
}

// LivePatch is the active live patch, and the package that it came from.
type LivePatch struct {
	Module      string     `json:"module"`
	Package     *string    `json:"package"` // null: no installed package has this module
	Version     *string    `json:"version"`
	PatchNumber *int       `json:"patch_number"`
	Initial     *bool      `json:"initial"`
	Enabled     bool       `json:"enabled"`
	Transition  bool       `json:"transition"`
	Forced      *bool      `json:"forced"` // tasks were forced to switch; null: the journal does not show its load
	Since       *Timestamp `json:"since"`  // when it was loaded in this boot; null: the journal does not show its load
	CVEs        []string   `json:"cves"`   // those that its package says it fixes; null: not known; bugs alike
	Bugs        []string   `json:"bugs"`
}

// NextBoot is what the default boot entry would start.
type NextBoot struct {
	KernelRelease string `json:"kernel_release"`
	Image         string `json:"image"`  // initrd
	Source        string `json:"source"` // the file that names them
}

// Reboot says whether the machine needs a reboot.
type Reboot struct {
	Pending      Pending `json:"pending"`
	NewestKernel string  `json:"newest_kernel"` // release of the newest installed kernel of the running flavour; empty: none is installed, or not known
	Asked        bool    `json:"asked"`         // libzypp asked for it because of what it installed
	// NewestUnknown is why the newest installed kernel is not known; empty: it is, or none is
	// installed.
	NewestUnknown string `json:"newest_unknown,omitempty"`
}

// Pending says whether a reboot is pending.
type Pending string

// The answers.
const (
	PendingNo          Pending = "no"
	PendingYes         Pending = "yes"
	PendingLivePatched Pending = "yes-live-patched" // a live patch is active in all tasks, and no newer one is installed for the running kernel
	PendingUnknown     Pending = "unknown"          // yes or yes-live-patched: the active live patches could not be read
)

// Journal is what a journal shows.
type Journal struct {
	Boots  []Boot       `json:"boots"`  // oldest first
	Unread []UnreadFile `json:"unread"` // files that may hold more boots, or more of these boots
}

// UnreadFile is a file of a journal that could not be read, or not to its end.
type UnreadFile struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// Boot is a boot that the journal shows.
type Boot struct {
	ID             string    `json:"boot_id"`
	KernelRelease  string    `json:"kernel_release"` // empty: not in the journal
	First          Timestamp `json:"first"`
	Last           Timestamp `json:"last"`
	StartInJournal bool      `json:"start_in_journal"` // if not, nothing can be concluded from a missing line
	MessagesLost   bool      `json:"messages_lost"`
	Incomplete     bool      `json:"incomplete"` // a file that may hold more of it could not be read
	Loads          []Load    `json:"loads"`
	Builds         []Build   `json:"builds"`
}

// Load is the loading of a live patch.
type Load struct {
	Patch    string     `json:"patch"` // module name
	Phase    Phase      `json:"phase"`
	Rule     string     `json:"rule"` // R1 to R4: the rule that decided the phase
	Result   LoadResult `json:"result"`
	Forced   bool       `json:"forced"` // tasks were forced to switch
	Time     Timestamp  `json:"time"`
	Disabled *Timestamp `json:"disabled"` // when it was disabled again; null: not on record
	Replaced string     `json:"replaced"` // the module that replaced it; empty: none on record
	Cursor   string     `json:"cursor"`
	// Completed is when it was active in all tasks, Reverted when it was turned back before that;
	// null: not on record, as in all events of 0.1.0.
	Completed *Timestamp `json:"completed"`
	Reverted  *Timestamp `json:"reverted_at"`
}

// Phase says where a live patch was loaded.
type Phase string

// The phases.
const (
	PhaseInitrd  Phase = "initrd"
	PhaseSystem  Phase = "system" // after the switch to the real root
	PhaseUnknown Phase = "unknown"
)

// LoadResult says what became of the loading of a live patch.
type LoadResult string

// The results of a load. A load whose end the journal does not show is unknown.
const (
	LoadComplete LoadResult = "complete"
	LoadFailed   LoadResult = "failed"
	LoadReverted LoadResult = "reverted" // the transition was turned back before it was complete
	LoadUnknown  LoadResult = "unknown"
)

// Build is the building of an initrd image.
type Build struct {
	KernelRelease string    `json:"kernel_release"`
	Image         string    `json:"image"`
	Modules       []string  `json:"modules"` // live patch modules that it reported as packed
	Success       bool      `json:"success"` // it reported success
	Time          Timestamp `json:"time"`
	Cursor        string    `json:"cursor"`
}

// Verdict says whether the initrd that the next boot of a kernel uses holds a live patch.
type Verdict string

// The verdicts on an initrd. Contained and missing have a basis. A missing line is never one.
const (
	VerdictContained Verdict = "contained"
	VerdictMissing   Verdict = "missing"
	VerdictUnknown   Verdict = "unknown"
)

// Basis says what a verdict rests on; empty (null in JSON) if the verdict is unknown.
type Basis string

// The bases.
const (
	BasisBuild    Basis = "build"          // the newest image build reported what it packed, and succeeded
	BasisBoot     Basis = "boot"           // this boot loaded the patch in the initrd, and no build came later
	BasisInferred Basis = "build-inferred" // the newest build packed live patches, and ran after the patch was installed
	BasisImage    Basis = "image"          // the image file was read
)

// Reason says why a verdict is unknown; empty (null in JSON) if it is known.
type Reason string

// The reasons.
const (
	ReasonNoPatch          Reason = "no-live-patch"                  // there is no live patch to look for
	ReasonPatchesUnknown   Reason = "live-patches-unknown"           // the live patches in the kernel cannot be read
	ReasonNoJournal        Reason = "no-journal"                     // the journal cannot be read
	ReasonJournalUnread    Reason = "journal-unreadable"             // a journal file that may hold more of the boot cannot be read
	ReasonBootStart        Reason = "boot-start-missing"             // the journal no longer has the start of the boot
	ReasonMessagesLost     Reason = "kernel-messages-lost"           // the kernel's ring buffer overran
	ReasonPhase            Reason = "phase-undecided"                // it is not known where the patch was loaded
	ReasonNoBuild          Reason = "no-build-evidence"              // no build reports what it packed
	ReasonBuildUnconfirmed Reason = "build-unconfirmed"              // a build reported what it packed, but not that it succeeded
	ReasonBuildFailed      Reason = "build-failed"                   // the newest build did not report success
	ReasonBuildBefore      Reason = "build-before-load"              // the newest build may have run before the patch was installed
	ReasonNoModuleLine     Reason = "build-without-livepatch-module" // dracut did not report that it packs live patches
	ReasonUnloggedBuild    Reason = "unlogged-build"                 // the image is newer than every build on record
	ReasonUnreadable       Reason = "image-unreadable"               // the image file cannot be read
	ReasonOtherSnapshot    Reason = "other-snapshot"                 // the next boot may use another snapshot, with another image
	ReasonNoImage          Reason = "no-image"                       // given with the verdict missing: there is no image
)

// MarshalJSON writes an empty basis as null.
func (b Basis) MarshalJSON() ([]byte, error) { return orNullJSON(string(b)) }

// MarshalJSON writes an empty reason as null.
func (r Reason) MarshalJSON() ([]byte, error) { return orNullJSON(string(r)) }

func orNullJSON(s string) ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(s)
}

// Initrd is a verdict and what it rests on.
type Initrd struct {
	KernelRelease string     `json:"kernel_release"`
	Patch         string     `json:"patch"` // module name; empty: there is none
	Verdict       Verdict    `json:"verdict"`
	Basis         Basis      `json:"basis"`
	Reason        Reason     `json:"reason"`
	Evidence      []Evidence `json:"evidence"`
}

// Evidence is one thing that a verdict rests on: a journal entry or an image file.
type Evidence struct {
	Says    string     `json:"says"` // what it shows, in a sentence
	Time    *Timestamp `json:"time"`
	BootID  string     `json:"boot_id"`
	Cursor  string     `json:"cursor"`  // of the journal entry; empty: it is not one
	Message string     `json:"message"` // its exact text
	Path    string     `json:"path"`    // of the image
	Size    int64      `json:"size"`    // bytes
	SHA256  string     `json:"sha256"`
}
