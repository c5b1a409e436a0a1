package record

// PartName names a part of an observation.
type PartName string

// The parts: what compliance checks need to know about a machine besides its kernel, live patches
// and packages.
const (
	PartTaint            PartName = "taint"
	PartCoverage         PartName = "coverage"
	PartBlockers         PartName = "blockers"
	PartLocks            PartName = "locks"
	PartGPGCheck         PartName = "gpgcheck"
	PartActivation       PartName = "activation"
	PartClock            PartName = "clock"
	PartJournalStorage   PartName = "journal_storage"
	PartFiles            PartName = "files"
	PartSystem           PartName = "system"
	PartWarnings         PartName = "warnings"
	PartAdvisories       PartName = "advisories" // written by 0.1.0 only: release events replaced it
	PartRepositories     PartName = "repositories"
	PartRepositoriesRead PartName = "repositories_read"
	PartVerify           PartName = "verify"
	PartZyppHistory      PartName = "zypp_history"
)

// PartNames returns the closed set of parts, in the order in which an observation reads them.
func PartNames() []PartName {
	return []PartName{PartTaint, PartCoverage, PartBlockers, PartLocks, PartGPGCheck, PartActivation, PartClock, PartJournalStorage,
		PartFiles, PartSystem, PartWarnings, PartAdvisories, PartRepositories, PartRepositoriesRead, PartZyppHistory, PartVerify}
}
