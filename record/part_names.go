package record

// PartName names a part of an observation.
type PartName string

// The parts: what compliance checks need of a machine beside its kernel, live patches and packages.
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
	PartAdvisories       PartName = "advisories" // of 0.1.0: release events have them now
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
