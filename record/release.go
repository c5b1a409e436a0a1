package record

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
)

// Release is the payload of a release event: what the vendor has released, according to the cached
// metadata of repositories, and what installed kernels fix themselves. It holds only what is new or
// changed since earlier release events.
type Release struct {
	Advisories []Released      `json:"advisories,omitempty"`
	Withdrawn  []AdvisoryKey   `json:"withdrawn,omitempty"` // that their repository no longer has; it was read completely
	Kernels    []KernelFixes   `json:"kernels,omitempty"`
	Lists      map[string]List `json:"lists,omitempty"` // by digest: those that this event uses and no earlier event holds
}

// AdvisoryKey names an advisory. The same advisory may be in several repositories, with other ids.
type AdvisoryKey struct {
	Repo string `json:"repo"` // alias
	ID   string `json:"id"`
}

// Released is an advisory that brings live patches or kernels, as a repository gives it.
type Released struct {
	Repo     string     `json:"repo"` // alias
	ID       string     `json:"id"`
	Type     string     `json:"type"`     // security, recommended, …; empty: not given, as in the next three
	Severity string     `json:"severity"` // of the whole advisory, not of a CVE number: important, …
	Status   string     `json:"status"`   // stable, final, …, or StatusRetracted
	Title    string     `json:"title"`
	Issued   *Timestamp `json:"issued"`                    // null: not given
	DayOnly  bool       `json:"issued_day_only,omitempty"` // only the day of Issued is known; Issued is its beginning
	Packages string     `json:"packages"`                  // digest of a list: the live patches and kernels that it brings, as "NAME [EPOCH:]VERSION-RELEASE"
	CVEs     string     `json:"cves"`                      // digest of a list: the CVE numbers that it refers to
}

// Key names the advisory.
func (a Released) Key() AdvisoryKey { return AdvisoryKey{a.Repo, a.ID} }

// StatusRetracted is the status of an advisory that the vendor took back. Nothing depends on the
// other ones.
const StatusRetracted = "retracted"

// KernelFixes are the CVE numbers whose fix the changelog of an installed kernel mentions.
type KernelFixes struct {
	Package   string     `json:"package"`    // NEVRA
	BuildTime int64      `json:"build_time"` // seconds since 1970: distinguishes packages that have the same NEVRA
	Release   string     `json:"release"`    // uname -r; empty: the package does not say
	Oldest    *Timestamp `json:"oldest"`     // of the changelog's entries; the changelog may be cut; null: it has none
	CVEs      string     `json:"cves"`       // digest of a list
}

// List is a sorted list of texts. It is built from other lists by leaving some entries out and
// adding some.
type List struct {
	Of      []string `json:"of,omitempty"` // digests of lists that this or an earlier event holds
	Without []string `json:"without,omitempty"`
	Add     []string `json:"add,omitempty"`
}

// NoList is the digest of the empty list, which no event holds.
const NoList = ""

// ListDigest names a sorted list: the first 128 bits of the SHA-256 of its entries, each followed
// by a newline, in hexadecimal digits.
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

// Entries returns the entries of a list. find looks up a list that it is built from; ok is false if
// one is not known.
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
	} else { // copying each would cost more than sorting
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

// union merges sorted lists. If one is empty it returns the other.
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

// ListOf builds a list with these sorted entries on top of those with the given digests, whose
// entries are known. It picks the shortest way to write it.
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

// Releases are what all release events together say.
type Releases struct {
	Advisories map[AdvisoryKey]Released // in their newest form; withdrawn ones are left out
	Kernels    map[KernelInstance]KernelFixes
	Had        map[string]bool     // aliases of repositories with advisories on record, withdrawn ones included
	lists      map[string][]List   // as events hold them, by digest
	read       map[string][]string // those that were asked for so far
}

// KernelInstance is one build of a kernel package.
type KernelInstance struct {
	Package   string // NEVRA
	BuildTime int64
}

// NewReleases returns what release events say. They must be in the order of the log.
func NewReleases(rows []ReleaseRow) *Releases {
	r := &Releases{Advisories: map[AdvisoryKey]Released{}, Kernels: map[KernelInstance]KernelFixes{}, Had: map[string]bool{}, lists: map[string][]List{}, read: map[string][]string{NoList: nil}}
	for _, row := range rows {
		r.Add(row.Release)
	}
	return r
}

// Sorted returns the advisories sorted by repository and id.
func (r *Releases) Sorted() []Released {
	return slices.SortedFunc(maps.Values(r.Advisories), func(a, b Released) int { return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.ID, b.ID)) })
}

// Of returns the advisories of a repository, sorted by id.
func (r *Releases) Of(repo string) (list []Released) {
	for key, a := range r.Advisories {
		if key.Repo == repo {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Released) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Add applies the next event.
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

// List returns the entries of a list. It builds the list only on demand: a kernel's list has
// thousands of entries, and a record holds one for each kernel that was ever installed. ok is false
// if no event has the list, or none whose content matches the digest.
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

// compose builds a list from those it consists of. It checks their digests only if there are
// several candidates: if one was wrong, the digest of the whole would be wrong. open holds the
// lists under construction, to detect a list that refers to itself; such a list is not known.
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

// Has says whether an event has a list, or something that claims its digest.
func (r *Releases) Has(digest string) bool {
	_, read := r.read[digest]
	return read || len(r.lists[digest]) > 0
}

// Keep adds a known list.
func (r *Releases) Keep(digest string, entries []string) { r.read[digest] = entries }
