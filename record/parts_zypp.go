package record

import "time"

// Locks are the package locks of libzypp; empty if libzypp does not apply them.
type Locks []Lock

// Lock keeps libzypp from installing, changing or removing what it matches, see locks(5).
type Lock struct {
	File          string   `json:"file"`
	Line          int      `json:"line"`  // first line, from 1
	Types         []string `json:"types"` // package, patch, …; null: all
	MatchType     string   `json:"match_type"`
	CaseSensitive bool     `json:"case_sensitive"`
	Names         []string `json:"names"`    // any of them matches; null: all
	Versions      []string `json:"versions"` // versions it is limited to, as "> 4.2"; null: all
	Repos         []string `json:"repos"`    // repositories it is limited to; null: all
	Status        string   `json:"install_status"`
	Other         []string `json:"other"` // conditions on other attributes, as written; null: none
}

func (Locks) partName() PartName { return PartLocks }

// Signatures says which signatures libzypp checks, according to zypp.conf and the repositories.
type Signatures struct {
	GPGCheck     bool             `json:"gpgcheck"`      // from zypp.conf, like the next two
	RepoGPGCheck *bool            `json:"repo_gpgcheck"` // null: follows gpgcheck
	PkgGPGCheck  *bool            `json:"pkg_gpgcheck"`  // null: follows gpgcheck
	Repos        []RepoSignatures `json:"repos"`         // enabled ones
}

// RepoSignatures says what is checked for a repository's packages.
type RepoSignatures struct {
	Alias    string `json:"alias"`
	File     string `json:"file"`
	GPGCheck bool   `json:"gpgcheck"`
	// RepoGPGCheck: unsigned metadata is refused unless the user accepts it.
	RepoGPGCheck bool `json:"repo_gpgcheck"`
	// PkgGPGCheck is "always", "unless-repo-signed" or "no".
	PkgGPGCheck string `json:"pkg_gpgcheck"`
}

func (Signatures) partName() PartName { return PartGPGCheck }

// Advisories are what libzypp's cache holds for each repository.
type Advisories []RepoAdvisories

// RepoAdvisories is what a repository's cached metadata says about its advisories.
type RepoAdvisories struct {
	Repo string `json:"repo"` // folder in the cache, named after the alias
	File string `json:"file"` // empty: the repository has no advisories
	// Newest is when the newest advisory was issued, perhaps only known to the day; null: none
	// says.
	Newest *time.Time `json:"newest"`
	// Security counts the security advisories that bring live patches.
	Security    int                 `json:"security"`
	LivePatches []LivePatchAdvisory `json:"live_patches"`
	Retracted   []LivePatchAdvisory `json:"retracted,omitempty"` // they no longer bring anything
	Problem     string              `json:"problem,omitempty"`   // why it was not read to the end
}

// LivePatchAdvisory is the advisory that first brought a live patch package.
type LivePatchAdvisory struct {
	Package  string     `json:"package"`
	Version  string     `json:"version"` // [epoch:]version-release
	Advisory string     `json:"advisory"`
	Type     string     `json:"type"`                      // security, recommended, …
	Issued   *time.Time `json:"issued"`                    // null: it does not say
	DayOnly  bool       `json:"issued_day_only,omitempty"` // only the day of Issued is known
}

func (Advisories) partName() PartName { return PartAdvisories }

// HistoryComparison compares libzypp's history with the record: which changes of tracked packages
// it shows that are not on record. The next comparison starts where this one ended.
type HistoryComparison struct {
	File   string          `json:"file"`   // of the history
	Since  Timestamp       `json:"since"`  // when the recorder was installed: older lines are ignored
	From   Timestamp       `json:"from"`   // earlier comparisons covered what was written before then
	To     Timestamp       `json:"to"`     // when it was read
	Behind bool            `json:"behind"` // there was more than one comparison reads
	Mark   *ComparisonMark `json:"mark"`   // the last line that was read; null: there was none
	// Missing are the newest lines since the installation that no event explains, oldest first;
	// More counts the ones before them.
	Missing []MissingChange `json:"missing"`
	More    int             `json:"more"`
	// Lost are the times whose lines are gone or cannot be read: it is not known whether the record
	// has what they said.
	Lost []LostHistory `json:"lost"`
}

// ComparisonMark is a line of a history file. It lets the next comparison find its place again,
// even if the file was rotated and compressed since.
type ComparisonMark struct {
	Line   int    `json:"line"`   // from 1
	Start  int64  `json:"start"`  // bytes
	End    int64  `json:"end"`    // bytes: where the next line begins
	SHA256 string `json:"sha256"` // of its bytes without the newline
}

// MissingChange is a change that a line of the history claims, but that is not on record.
type MissingChange struct {
	Time      Timestamp   `json:"time"`
	UTCOffset string      `json:"utc_offset"`
	Action    string      `json:"action"` // install (upgrades included) or remove
	Package   string      `json:"package"`
	Arch      string      `json:"arch"`
	Version   string      `json:"version"`
	Command   string      `json:"command"` // as the history quotes it; empty: not known
	UserData  string      `json:"userdata"`
	Line      HistoryLine `json:"line"`
}

// LostHistory is a time for which the history is incomplete.
type LostHistory struct {
	From Timestamp `json:"from"`
	To   Timestamp `json:"to"`
	Why  string    `json:"why"`
}

func (HistoryComparison) partName() PartName { return PartZyppHistory }

// Repositories are libzypp's enabled repositories that offer kernels or live patches, once did, or
// may.
type Repositories []Repository

// Repository says how recent libzypp's knowledge of a repository is.
type Repository struct {
	Alias  string `json:"alias"`
	Offers bool   `json:"offers"` // it has kernels or live patches
	// Refreshed is when libzypp last asked the repository for news and got an answer: the
	// modification time of repomd.xml in its cache, which also changes if nothing is new, and does
	// not change if the request fails. null: never.
	Refreshed *Timestamp `json:"refreshed"`
	Newest    string     `json:"newest,omitempty"`  // day its newest advisory was issued, YYYY-MM-DD; absent: not known
	Problem   string     `json:"problem,omitempty"` // why its advisories were not read; absent: they were
}

func (Repositories) partName() PartName { return PartRepositories }

// RepositoriesRead are the enabled repositories whose advisories were all read. Each is the first
// 128 bits of a SHA-256, in hexadecimal digits, over the index, the packages that it was read for,
// and its advisories that belong on record. If a later look computes the same value from what is
// then on record, nothing is new.
type RepositoriesRead []string

func (RepositoriesRead) partName() PartName { return PartRepositoriesRead }
