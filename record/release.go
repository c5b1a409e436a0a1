package record

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// Release is the payload of a release event: what the vendor has released, as the cached metadata of repositories has
// it, and what installed kernels fix by themselves. It has what is new or changed since the release events before.
type Release struct {
	Advisories []Released      `json:"advisories,omitempty"`
	Withdrawn  []AdvisoryKey   `json:"withdrawn,omitempty"` // that their repository, which was read, has no more
	Kernels    []KernelFixes   `json:"kernels,omitempty"`
	Lists      map[string]List `json:"lists,omitempty"` // by digest: those that are named here, and by no event before
}

// AdvisoryKey names an advisory. The same one may be in several repositories, by other ids.
type AdvisoryKey struct {
	Repo string `json:"repo"` // alias
	ID   string `json:"id"`
}

// Released is an advisory that brings live patches or kernels, as a repository has it.
type Released struct {
	Repo     string     `json:"repo"` // alias
	ID       string     `json:"id"`
	Type     string     `json:"type"`     // security, recommended, …; empty: it does not say, as of the next three
	Severity string     `json:"severity"` // of the advisory, not of a number: important, …
	Status   string     `json:"status"`   // stable, final, …, or StatusRetracted
	Title    string     `json:"title"`
	Issued   *Timestamp `json:"issued"`                    // null: it does not say
	DayOnly  bool       `json:"issued_day_only,omitempty"` // of Issued no more than the day is known, whose beginning it is
	Packages string     `json:"packages"`                  // digest of a list: live patches and kernels that it brings, as "NAME [EPOCH:]VERSION-RELEASE"
	CVEs     string     `json:"cves"`                      // digest of a list: numbers that it refers to
}

// Key names the advisory.
func (a Released) Key() AdvisoryKey { return AdvisoryKey{a.Repo, a.ID} }

// StatusRetracted is the status of an advisory that was taken back. Others are not told apart.
const StatusRetracted = "retracted"

// KernelFixes are the numbers whose fix the changelog of an installed kernel adds.
type KernelFixes struct {
	Package   string     `json:"package"`    // NEVRA
	BuildTime int64      `json:"build_time"` // seconds since 1970: of two packages with the same NEVRA it tells which
	Release   string     `json:"release"`    // uname -r; empty: the package does not tell
	Oldest    *Timestamp `json:"oldest"`     // entry of the changelog, which may be cut; null: it has none
	CVEs      string     `json:"cves"`       // digest of a list
}

// List is a sorted list of texts, made of others: those of the lists that it is based on, without some, and with more.
type List struct {
	Of      []string `json:"of,omitempty"` // digests of lists that events before this one, or this one, have
	Without []string `json:"without,omitempty"`
	Add     []string `json:"add,omitempty"`
}

// NoList is the digest of a list without an entry, which no event has.
const NoList = ""

// ListDigest names a sorted list: the first 128 bits of the SHA-256 of its entries, each with a newline after it, in
// hexadecimal digits.
func ListDigest(entries []string) string {
	if len(entries) == 0 {
		return NoList
	}
	h := sha256.New()
	for _, e := range entries {
		h.Write([]byte(e))
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Entries returns the entries of a list. find gives those of a list that it is made of; ok is false where one is not
// known.
func (l List) Entries(find func(digest string) (entries []string, ok bool)) (entries []string, ok bool) {
	var lists [][]string
	for _, digest := range l.Of {
		of, ok := find(digest)
		if !ok {
			return nil, false
		}
		lists = append(lists, of)
	}
	if len(lists) < 3 {
		for _, of := range lists {
			entries = union(entries, of)
		}
	} else { // a copy for each would take more than to sort
		entries = slices.Concat(lists...)
		slices.Sort(entries)
		entries = slices.Compact(entries)
	}
	if len(l.Without) > 0 {
		entries = minus(entries, l.Without)
	}
	add := l.Add
	if !slices.IsSorted(add) {
		add = slices.Sorted(slices.Values(add))
	}
	return union(entries, slices.Compact(add)), true
}

// union merges lists that are sorted. Where one is empty it is the other one.
func union(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return append(a[:len(a):len(a)], b...)
	}
	both := make([]string, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(a[0], b[0]); {
		case c < 0:
			both, a = append(both, a[0]), a[1:]
		case c > 0:
			both, b = append(both, b[0]), b[1:]
		default:
			both, a, b = append(both, a[0]), a[1:], b[1:]
		}
	}
	return append(append(both, a...), b...)
}

// ListOf makes a list of entries, which are sorted, on the ground of those with the digests given, whose entries are
// known: no longer than it must be.
func ListOf(entries []string, known *Releases, digests ...string) List {
	l := List{Add: entries}
	for _, d := range digests {
		based := List{Of: append(slices.Clone(l.Of), d)}
		of, _ := based.Entries(known.List)
		based.Without, based.Add = minus(of, entries), minus(entries, of)
		if d != NoList && len(based.Without)+len(based.Add) < len(l.Without)+len(l.Add)-2 {
			l = based
		}
	}
	return l
}

// Releases are what release events say together.
type Releases struct {
	Advisories map[AdvisoryKey]Released // in their newest form; without those that were withdrawn
	Kernels    map[KernelInstance]KernelFixes
	Had        map[string]bool     // aliases of repositories that have advisories on record, withdrawn ones included
	lists      map[string][]List   // as events have them, by digest
	read       map[string][]string // those that were asked for
}

// KernelInstance is a kernel package as it was built.
type KernelInstance struct {
	Package   string // NEVRA
	BuildTime int64
}

// NewReleases returns what release events say, in the order of the log.
func NewReleases(rows []ReleaseRow) *Releases {
	r := &Releases{Advisories: map[AdvisoryKey]Released{}, Kernels: map[KernelInstance]KernelFixes{}, Had: map[string]bool{}, lists: map[string][]List{}, read: map[string][]string{NoList: nil}}
	for _, row := range rows {
		r.Add(row.Release)
	}
	return r
}

// Sorted returns the advisories in the order of their repositories and ids.
func (r *Releases) Sorted() []Released {
	return slices.SortedFunc(maps.Values(r.Advisories), func(a, b Released) int { return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.ID, b.ID)) })
}

// Of returns the advisories of a repository in the order of their ids.
func (r *Releases) Of(repo string) (list []Released) {
	for key, a := range r.Advisories {
		if key.Repo == repo {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Released) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Add takes in what the next event says.
func (r *Releases) Add(rel *Release) {
	for _, a := range rel.Advisories {
		r.Advisories[a.Key()], r.Had[a.Repo] = a, true
	}
	for _, key := range rel.Withdrawn {
		delete(r.Advisories, key)
	}
	for _, k := range rel.Kernels {
		r.Kernels[KernelInstance{k.Package, k.BuildTime}] = k
	}
	for digest, l := range rel.Lists {
		r.lists[digest] = append(r.lists[digest], l)
	}
}

// List returns the entries of a list, which is read when it is asked for: a kernel's has thousands, and a record has that of
// each kernel that was ever installed. ok is false where no event has it, or none of which the digest is what it says.
func (r *Releases) List(digest string) (entries []string, ok bool) {
	if entries, ok = r.read[digest]; ok {
		return entries, true
	}
	if entries, ok = r.compose(digest, map[string]bool{}); ok && ListDigest(entries) == digest {
		r.read[digest] = entries
		return entries, true
	}
	return nil, false
}

// compose makes a list of those that it is made of. Of these the digests are not looked at, unless there are several to
// choose from: if one were another list, that of the whole would be wrong. open are lists that are being made: of one that
// is made of itself nothing is known.
func (r *Releases) compose(digest string, open map[string]bool) (entries []string, ok bool) {
	if entries, ok = r.read[digest]; ok || open[digest] {
		return entries, ok
	}
	open[digest] = true
	defer delete(open, digest)
	forms := r.lists[digest]
	for _, l := range forms {
		entries, ok = l.Entries(func(of string) ([]string, bool) { return r.compose(of, open) })
		if ok && (len(forms) == 1 || ListDigest(entries) == digest) {
			return entries, true
		}
	}
	return nil, false
}

// Has says whether an event has a list, or something under its name.
func (r *Releases) Has(digest string) bool {
	_, read := r.read[digest]
	return read || len(r.lists[digest]) > 0
}

// Keep adds a list that is known.
func (r *Releases) Keep(digest string, entries []string) { r.read[digest] = entries }
