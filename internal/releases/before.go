package releases

import (
	"crypto/sha256"
	"encoding/json"
	"io/fs"
	"slices"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// Before is what the record has from earlier looks. The zero value: nothing, so everything is read.
type Before struct {
	Version      string // of the program that looks now
	Known        *record.Releases
	Repositories record.Repositories     // as the last look found them
	Read         record.RepositoriesRead // from the same look
}

// reading is everything that decides what reading a repository would bring: it shows whether the
// repository has changed since last time. Comparing the index is not enough. What is on record
// about the repository is a part of it, so that nothing is lost because of an event that was not
// written, or was pruned.
type reading struct {
	Version string // of the program
	Repo    string // alias
	Index   [sha256.Size]byte
	File    string // the updateinfo, by its place, size and time: it may have been damaged since
	Size    int64
	Time    int64
	Wanted  wantedPackages
	Known   []record.Released // advisories on record whose lists exist
}

func (r reading) digest() string {
	text, _ := json.Marshal(r)
	return record.ListDigest([]string{string(text)})
}

// readingOf is the reading of a repository now, without what is on record.
func (r *repo) readingOf(root string, index repositoryIndex) (reading, error) {
	info, err := rooted.Stat(root, index.file)
	if err != nil {
		return reading{}, err
	}
	return reading{Repo: r.alias, Index: index.sum, File: index.file, Size: info.Size(), Time: modified(info), Wanted: r.wanted.packages()}, nil
}

func modified(info fs.FileInfo) int64 { return info.ModTime().UnixNano() }

// has says whether a repository was already read in its present state, and everything it brought is
// on record.
func (b *Before) has(r reading) bool {
	if b.Known == nil || len(b.Read) == 0 {
		return false
	}
	r.Version, r.Known = b.Version, onRecord(b.Known, r.Repo)
	return slices.Contains(b.Read, r.digest())
}

// had says whether a repository had advisories before: an enabled one without advisories now has
// not disappeared.
func (b *Before) had(alias string) bool { return b.Known != nil && b.Known.Had[alias] }

// row is what the last look found about a repository; empty if it did not list it.
func (b *Before) row(alias string) (row record.Repository) {
	if i := slices.IndexFunc(b.Repositories, func(r record.Repository) bool { return r.Alias == alias }); i >= 0 {
		row = b.Repositories[i]
	}
	return row
}

// Marks says which repositories were read, after News has added their advisories to known. The next
// look needs them to see that nothing has changed.
func (o *Offer) Marks(known *record.Releases) record.RepositoriesRead {
	marks := record.RepositoriesRead{}
	for _, r := range o.readings {
		r.Version, r.Known = o.version, onRecord(known, r.Repo)
		marks = append(marks, r.digest())
	}
	return marks
}

// onRecord are a repository's advisories on record, with everything that they bring.
func onRecord(known *record.Releases, alias string) (list []record.Released) {
	for _, a := range known.Of(alias) {
		if known.Has(a.Packages) && known.Has(a.CVEs) {
			list = append(list, a)
		}
	}
	return list
}
