package record

import (
	"iter"
	"math"
	"strconv"
	"strings"
	"time"
)

// HistoryRow is one package change as reports show it. Its JSON is published.
type HistoryRow struct {
	Time          Timestamp   `json:"time"`
	TimeSource    string      `json:"time_source"` // commit, rpm, history
	UTCOffset     string      `json:"utc_offset"`
	Commit        *string     `json:"commit"`
	Event         int64       `json:"event"` // sequence number in the log
	Host          string      `json:"host"`
	BootID        string      `json:"boot_id"`
	Kind          PackageKind `json:"kind"`
	Action        Action      `json:"action"`
	Package       string      `json:"package"`
	Arch          string      `json:"arch"`
	Version       string      `json:"version"`
	Previous      *string     `json:"previous"`
	KernelRelease *string     `json:"kernel_release"`
	PatchNumber   *int        `json:"patch_number"`
	Initial       *bool       `json:"initial"`
	Result        Result      `json:"result"`
	Outcome       *Outcome    `json:"outcome"` // of the commit; null while it is running
	Source        Source      `json:"source"`
	Actor         RowActor    `json:"actor"`
	Command       *string     `json:"command"`
	UserData      *string     `json:"userdata"`
	Repo          *string     `json:"repo"`
	Checksum      *string     `json:"checksum"`
	SignatureKey  *string     `json:"signature_key"`
	Advisories    []string    `json:"advisories"` // applied by the commit
	Advisory      *string     `json:"advisory"`   // the one that this change applied; nil: none, or not known
	CVEsAdded     []string    `json:"cves_added"`
	CVEsRemoved   []string    `json:"cves_removed"`
	BugsAdded     []string    `json:"bugs_added"`
	BugsRemoved   []string    `json:"bugs_removed"`
	Scripts       []Script    `json:"scripts"` // those that failed
	// KnownSince is when its event entered the log; nil: not known.
	KnownSince *Timestamp `json:"known_since"`

	Pos int64 `json:"-"` // position of the change within its event
}

// HistoryRowOf returns what a change alone says: it does not know its event, its commit or its
// time.
func HistoryRowOf(c *Change) HistoryRow {
	r := HistoryRow{
		Kind: c.Kind, Action: c.Action, Package: c.Package, Arch: c.Arch, Version: c.Version, Previous: OrNil(c.Previous),
		KernelRelease: OrNil(c.KernelRelease), Result: c.Result, Repo: OrNil(c.Repo), Checksum: OrNil(c.Checksum), SignatureKey: OrNil(c.SignatureKey),
		CVEsAdded: notNil(c.Added.CVEs), CVEsRemoved: notNil(c.Removed.CVEs), BugsAdded: notNil(c.Added.Bugs), BugsRemoved: notNil(c.Removed.Bugs),
		Scripts: notNil(c.Scripts), Advisories: []string{},
	}
	if c.PatchNumber > 0 {
		r.PatchNumber, r.Initial = new(c.PatchNumber), new(c.Initial)
	}
	return r
}

// notNil replaces a nil list by an empty one.
func notNil[T any](s []T) []T {
	if len(s) == 0 {
		return []T{}
	}
	return s
}

// Source is where the record has a change from.
type Source string

// The sources of changes.
const (
	SourcePlugin Source = "plugin" // the plugin saw it happen
	SourceDrift  Source = "drift"  // found later
	SourceImport Source = "import" // from libzypp's history
)

// Sources returns the closed set of sources of changes.
func Sources() []Source { return []Source{SourcePlugin, SourceDrift, SourceImport} }

// RowActor is who made a change. Anything not known is null or "unset".
type RowActor struct {
	Login      *string `json:"login"`
	SudoUser   *string `json:"sudo_user"`
	Exe        *string `json:"exe"`
	TTY        *string `json:"tty"`
	Session    *string `json:"session"`
	Automation *string `json:"automation"`
}

// HistoryField is a field of a history row: its name in JSON and CSV, and its text in CSV.
type HistoryField struct {
	Name string
	Text func(*HistoryRow) string
}

// HistoryFields returns the fields of a history row in the order of CSV. Unknown values are empty,
// and lists are separated by spaces.
func HistoryFields() []HistoryField {
	return []HistoryField{
		{"time", func(r *HistoryRow) string { return r.Time.Exact() }},
		{"time_source", func(r *HistoryRow) string { return r.TimeSource }},
		{"utc_offset", func(r *HistoryRow) string { return r.UTCOffset }},
		{"commit", func(r *HistoryRow) string { return OrEmpty(r.Commit) }},
		{"event", func(r *HistoryRow) string { return strconv.FormatInt(r.Event, 10) }},
		{"host", func(r *HistoryRow) string { return r.Host }},
		{"boot_id", func(r *HistoryRow) string { return r.BootID }},
		{"kind", func(r *HistoryRow) string { return string(r.Kind) }},
		{"action", func(r *HistoryRow) string { return string(r.Action) }},
		{"package", func(r *HistoryRow) string { return r.Package }},
		{"arch", func(r *HistoryRow) string { return r.Arch }},
		{"version", func(r *HistoryRow) string { return r.Version }},
		{"previous", func(r *HistoryRow) string { return OrEmpty(r.Previous) }},
		{"kernel_release", func(r *HistoryRow) string { return OrEmpty(r.KernelRelease) }},
		{"patch_number", func(r *HistoryRow) string { return ifKnown(r.PatchNumber, strconv.Itoa) }},
		{"initial", func(r *HistoryRow) string { return ifKnown(r.Initial, strconv.FormatBool) }},
		{"result", func(r *HistoryRow) string { return string(r.Result) }},
		{"outcome", func(r *HistoryRow) string { return OrEmpty(r.Outcome) }},
		{"source", func(r *HistoryRow) string { return string(r.Source) }},
		{"login", func(r *HistoryRow) string { return OrEmpty(r.Actor.Login) }},
		{"sudo_user", func(r *HistoryRow) string { return OrEmpty(r.Actor.SudoUser) }},
		{"exe", func(r *HistoryRow) string { return OrEmpty(r.Actor.Exe) }},
		{"tty", func(r *HistoryRow) string { return OrEmpty(r.Actor.TTY) }},
		{"session", func(r *HistoryRow) string { return OrEmpty(r.Actor.Session) }},
		{"automation", func(r *HistoryRow) string { return OrEmpty(r.Actor.Automation) }},
		{"command", func(r *HistoryRow) string { return OrEmpty(r.Command) }},
		{"userdata", func(r *HistoryRow) string { return OrEmpty(r.UserData) }},
		{"repo", func(r *HistoryRow) string { return OrEmpty(r.Repo) }},
		{"checksum", func(r *HistoryRow) string { return OrEmpty(r.Checksum) }},
		{"signature_key", func(r *HistoryRow) string { return OrEmpty(r.SignatureKey) }},
		{"advisories", func(r *HistoryRow) string { return strings.Join(r.Advisories, " ") }},
		{"advisory", func(r *HistoryRow) string { return OrEmpty(r.Advisory) }},
		{"cves_added", func(r *HistoryRow) string { return strings.Join(r.CVEsAdded, " ") }},
		{"cves_removed", func(r *HistoryRow) string { return strings.Join(r.CVEsRemoved, " ") }},
		{"bugs_added", func(r *HistoryRow) string { return strings.Join(r.BugsAdded, " ") }},
		{"bugs_removed", func(r *HistoryRow) string { return strings.Join(r.BugsRemoved, " ") }},
		{"scripts", (*HistoryRow).FailedScripts},
		{"known_since", func(r *HistoryRow) string { return ifKnown(r.KnownSince, Timestamp.Exact) }},
	}
}

// FailedScripts says which scripts of the package failed, and how; empty: none did.
func (r *HistoryRow) FailedScripts() string {
	var parts []string
	for _, s := range r.Scripts {
		part := s.Script + " script failed"
		if s.Status != "" {
			part += " (" + s.Status + ")"
		}
		if s.Output != "" {
			part += ": " + s.Output
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

func ifKnown[T any](v *T, text func(T) string) string {
	if v == nil {
		return ""
	}
	return text(*v)
}

// OrNil returns a pointer to a text, or nil if it is empty.
func OrNil[T ~string](s T) *T {
	if s == "" {
		return nil
	}
	return &s
}

// OrEmpty returns the text, or the empty one for nil.
func OrEmpty[T ~string](s *T) string {
	return ifKnown(s, func(s T) string { return string(s) })
}

// HistoryFilter selects rows. Zero fields select everything.
type HistoryFilter struct {
	Since, Until time.Time // from Since, before Until
	Package      string    // GLOB pattern: * ? [abc]
	Kind         PackageKind
	Action       Action
	Result       Result
	Source       Source
	User         string  // login, sudo user or automation; GLOB pattern
	Command      string  // of the commit, as one line; GLOB pattern
	UserData     string  // of the commit, such as a ticket; GLOB pattern, or NoUserData
	Outcome      Outcome // of the commit
	Outside      *Window // not at these times of the week
	Scripts      bool    // only if a script failed
	Limit        int     // at most this many rows; 0: all
	Events       int64   // only the first so many events of the log; 0: all
	OldestFirst  bool
}

// NoUserData selects changes that came without user data.
const NoUserData = "none"

// IsPattern says whether a text is a GLOB pattern rather than a literal.
func IsPattern(text string) bool { return strings.ContainsAny(text, "*?[") }

// Sift drops the rows of a history that lie in the filter's window. history yields what the rest of
// the filter selects.
func (f HistoryFilter) Sift(history func(HistoryFilter) iter.Seq2[*HistoryRow, error]) iter.Seq2[*HistoryRow, error] {
	if f.Outside == nil {
		return history(f)
	}
	window, limit := f.Outside, f.Limit
	f.Outside, f.Limit = nil, 0
	return func(yield func(*HistoryRow, error) bool) {
		n := 0
		for row, err := range history(f) {
			if err == nil && window.Contains(row.Time.Time) {
				continue
			}
			if n++; !yield(row, err) || n == limit {
				return
			}
		}
	}
}

// Always is later than everything on record.
func Always() time.Time { return time.UnixMicro(math.MaxInt64) }

// Name returns who made a change, in one word: the person who used sudo, else the login, else the
// automation that ran it.
func (a RowActor) Name() string {
	for _, s := range []*string{a.SudoUser, a.Login, a.Automation} {
		if s != nil && *s != "unset" && *s != "" {
			return *s
		}
	}
	return "unset"
}

// FoundLater says in words that a change was not recorded while it was made; empty if it was.
func (r *HistoryRow) FoundLater() string {
	switch r.Source {
	case SourceDrift:
		return "found as drift"
	case SourceImport:
		return "imported"
	}
	return ""
}

// Named returns the package of a change with its version, and whatever must always be shown with
// it.
func (r *HistoryRow) Named() string {
	name := r.Package + " " + r.Version
	if source := r.FoundLater(); source != "" {
		name += " (" + source + ")"
	}
	return name
}
