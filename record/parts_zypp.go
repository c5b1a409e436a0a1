package record

import "time"

// Locks are what libzypp is locked against; none where it does not apply them.
type Locks []Lock

// Lock keeps libzypp from installing, changing or removing what it matches, see locks(5).
type Lock struct {
	File          string   `json:"file"`
	Line          int      `json:"line"`  // where it begins, from 1
	Types         []string `json:"types"` // package, patch, …; null: all
	MatchType     string   `json:"match_type"`
	CaseSensitive bool     `json:"case_sensitive"`
	Names         []string `json:"names"`    // any of them matches; null: all
	Versions      []string `json:"versions"` // restrict the lock, as "> 4.2"; null: nothing does
	Repos         []string `json:"repos"`    // likewise
	Status        string   `json:"install_status"`
	Other         []string `json:"other"` // conditions on other attributes, as they stand; null: none
}

func (Locks) partName() PartName { return PartLocks }

// Signatures says which signatures libzypp checks, as zypp.conf and the repositories have it.
type Signatures struct {
	GPGCheck     bool             `json:"gpgcheck"`      // of zypp.conf, as the two below
	RepoGPGCheck *bool            `json:"repo_gpgcheck"` // null: follows gpgcheck
	PkgGPGCheck  *bool            `json:"pkg_gpgcheck"`  // null: follows gpgcheck
	Repos        []RepoSignatures `json:"repos"`         // enabled ones
}

// RepoSignatures says what is checked of a repository's packages.
type RepoSignatures struct {
	Alias    string `json:"alias"`
	File     string `json:"file"`
	GPGCheck bool   `json:"gpgcheck"`
	// RepoGPGCheck: unsigned metadata is not accepted without asking.
	RepoGPGCheck bool `json:"repo_gpgcheck"`
	// PkgGPGCheck is "always", "unless-repo-signed" or "no".
	PkgGPGCheck string `json:"pkg_gpgcheck"`
}

func (Signatures) partName() PartName { return PartGPGCheck }

// Advisories are what libzypp has in its cache of each repository.
type Advisories []RepoAdvisories

// RepoAdvisories is what the cached metadata of a repository says of its advisories.
type RepoAdvisories struct {
	Repo string `json:"repo"` // folder in the cache, which is the alias
	File string `json:"file"` // empty: the repository has no advisories
	// Newest is when the newest advisory was issued, which may only be known to the day; null: none says.
	Newest *time.Time `json:"newest"`
	// Security counts the security advisories that bring live patches.
	Security    int                 `json:"security"`
	LivePatches []LivePatchAdvisory `json:"live_patches"`
	Retracted   []LivePatchAdvisory `json:"retracted,omitempty"` // they bring nothing any more
	Problem     string              `json:"problem,omitempty"`   // why it was not read to its end
}

// LivePatchAdvisory is the advisory that first brought a live patch package.
type LivePatchAdvisory struct {
	Package  string     `json:"package"`
	Version  string     `json:"version"` // [epoch:]version-release
	Advisory string     `json:"advisory"`
	Type     string     `json:"type"`                      // security, recommended, …
	Issued   *time.Time `json:"issued"`                    // null: it does not say
	DayOnly  bool       `json:"issued_day_only,omitempty"` // of Issued no more than the day is known
}

func (Advisories) partName() PartName { return PartAdvisories }

// HistoryComparison compares libzypp's history with the record: what it shows of tracked packages
// that is not on record. The next comparison begins where this one ended.
type HistoryComparison struct {
	File   string          `json:"file"`   // of the history
	Since  Timestamp       `json:"since"`  // of the recorder's installation: what is older does not count
	From   Timestamp       `json:"from"`   // earlier comparisons cover what was written before that
	To     Timestamp       `json:"to"`     // when it was read
	Behind bool            `json:"behind"` // more was written than one comparison reads
	Mark   *ComparisonMark `json:"mark"`   // the last line that was read; null: there was none
	// Missing are the newest lines since the installation that no event accounts for, the
	// oldest first; More counts those before them.
	Missing []MissingChange `json:"missing"`
	More    int             `json:"more"`
	// Lost are the times of which lines are gone or cannot be read: whether the record has
	// what they said is not known.
	Lost []LostHistory `json:"lost"`
}

// ComparisonMark is a line of a history file, by which the place is found again, also in a file that was
// rotated and packed meanwhile.
type ComparisonMark struct {
	Line   int    `json:"line"`   // from 1
	Start  int64  `json:"start"`  // bytes
	End    int64  `json:"end"`    // bytes: where the next line begins
	SHA256 string `json:"sha256"` // of its bytes without the newline
}

// MissingChange is a change that a line of the history claims, and that is not on record.
type MissingChange struct {
	Time      Timestamp   `json:"time"`
	UTCOffset string      `json:"utc_offset"`
	Action    string      `json:"action"` // install, which is also an upgrade, or remove
	Package   string      `json:"package"`
	Arch      string      `json:"arch"`
	Version   string      `json:"version"`
	Command   string      `json:"command"` // as the history quotes it; empty: not known
	UserData  string      `json:"userdata"`
	Line      HistoryLine `json:"line"`
}

// LostHistory is a time of which the history does not tell all.
type LostHistory struct {
	From Timestamp `json:"from"`
	To   Timestamp `json:"to"`
	Why  string    `json:"why"`
}

func (HistoryComparison) partName() PartName { return PartZyppHistory }

// Repositories are the enabled repositories of libzypp that offer kernels or live patches, did so before, or may.
type Repositories []Repository

// Repository says how new what libzypp knows of a repository is.
type Repository struct {
	Alias  string `json:"alias"`
	Offers bool   `json:"offers"` // it has kernels or live patches
	// Refreshed is when libzypp last asked whether there is something new, and got an answer: the time of repomd.xml
	// in its cache, which moves then also if nothing is new, and does not if the answer fails. null: never.
	Refreshed *Timestamp `json:"refreshed"`
	Newest    string     `json:"newest,omitempty"`  // day on which its newest advisory was issued, YYYY-MM-DD; absent: not known
	Problem   string     `json:"problem,omitempty"` // why its advisories were not read; absent: they were
}

func (Repositories) partName() PartName { return PartRepositories }

// RepositoriesRead are the enabled repositories whose advisories were all read, each by the first 128 bits of a SHA-256, in
// hexadecimal digits: of the index, of the packages that it was read for, and of its advisories that belong on record. Where
// a later look comes to the same one, with what is on record then, nothing is new.
type RepositoriesRead []string

func (RepositoriesRead) partName() PartName { return PartRepositoriesRead }
