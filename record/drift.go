package record

import "time"

// Drift is the payload of a drift event: what is installed is not what the record last knew.
type Drift struct {
	Cause     DriftCause `json:"cause"`
	Compared  int64      `json:"compared_with"` // the event whose snapshot this differs from
	Since     Timestamp  `json:"since"`         // its time: the changes were made between then and this event
	Changes   []Change   `json:"changes"`
	Installed []Package  `json:"installed"`       // tracked packages now
	RPMDB     string     `json:"rpmdb,omitempty"` // stamp of the rpm database that Installed was read from
	// Fixes of the live patches among them, by NEVRA.
	Fixes map[string]Fixes `json:"fixes,omitempty"`
	// Subvolume is where the root directory is within its file system, empty if not known. A
	// rollback or a transactional update changes it.
	Subvolume string   `json:"root_subvolume,omitempty"`
	Previous  string   `json:"previous_root_subvolume,omitempty"`
	Problems  []string `json:"problems,omitempty"`
}

// DriftCause says how packages can have changed without a recorded commit.
type DriftCause string

// The causes of drift.
const (
	DriftUnrecorded DriftCause = "unrecorded" // rpm by hand, or a commit without the plugin
	DriftSnapshot   DriftCause = "snapshot"   // the root file system is now another snapshot
)

// InstalledAt returns when a package of a drift was installed, as exactly as rpm's install time in
// whole seconds allows: after the package snapshot that lacked it, even if both were in the same
// second.
func (d *Drift) InstalledAt(second *Timestamp, found Timestamp) Timestamp {
	if t := NotBefore(*second, d.Since.Add(time.Microsecond)); !t.After(found.Time) {
		return t
	}
	return *second
}
