package releases

import (
	"context"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/internal/updateinfo"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// Limits on what is kept of a repository: advisories, and bytes of the names and numbers that
// matter. The largest repositories in use have a few hundred advisories of kernels with a few
// hundred numbers each, for several architectures.
const (
	maxKept  = 1 << 14
	maxBytes = 8 << 20
	maxName  = 128 // of a package, and of its version
)

// Advisory is an advisory that a repository offers now.
type Advisory struct {
	record.Released
	packages, cves []string // the entries of its lists
	version        string   // of its form: the higher one of two counts
}

// repo is a repository while it is read.
type repo struct {
	alias   string
	wanted  *wanted
	before  *Before
	reading *reading // nil: there is nothing to read
	same    bool     // nothing has changed since it was last read
	newest  string   // day of its newest advisory; empty: not known
	offers  bool     // it has any kernel or live patch
	found   map[string]*Advisory
	ids     map[string]bool // of all that bring a kernel or live patch
	bytes   int             // size of what is kept
}

// wanted says which packages matter.
type wanted struct {
	patches map[string]bool           // live patches for installed kernels, by name
	oldest  map[string]rpmversion.EVR // oldest installed kernel, by name
}

func wantedBy(installed []record.Package) *wanted {
	w := &wanted{patches: map[string]bool{}, oldest: map[string]rpmversion.EVR{}}
	for _, p := range installed {
		switch p.Kind {
		case record.PackageLivepatch:
			w.patches[p.Name] = true
		case record.PackageKernel:
			evr := rpmversion.Of(p)
			if oldest, ok := w.oldest[p.Name]; !ok || evr.Compare(oldest) < 0 {
				w.oldest[p.Name] = evr
			}
			if release, ok := livepatch.KernelRelease(p.Name, evr.Version, evr.Release); ok {
				name, _ := livepatch.PackageFor(release)
				w.patches[name] = true
			}
		}
	}
	return w
}

// has says whether a package matters: a live patch for an installed kernel, or a kernel that is not
// older than all installed ones of its name.
func (w *wanted) has(p updateinfo.Package) bool {
	if w.patches[p.Name] {
		return true
	}
	oldest, ok := w.oldest[p.Name]
	if !ok {
		return false
	}
	evr, err := rpmversion.Parse(p.Version)
	return err == nil && evr.Compare(oldest) >= 0
}

// wantedPackages are the packages that matter, in a canonical form.
type wantedPackages struct {
	Patches []string          // in order
	Oldest  map[string]string // version of the kernel, by name
}

func (w *wanted) packages() wantedPackages {
	p := wantedPackages{slices.Sorted(maps.Keys(w.patches)), map[string]string{}}
	for name, evr := range w.oldest {
		p.Oldest[name] = evr.String()
	}
	return p
}

// repomd is the index of a repository (repodata/repomd.xml of createrepo).
type repomd struct {
	Data []struct {
		Type     string `xml:"type,attr"`
		Location struct {
			Href string `xml:"href,attr"`
		} `xml:"location"`
	} `xml:"data"`
}

const indexFile = "repodata/repomd.xml"

// refreshed is when libzypp last got an answer from a repository; nil: never. It is the
// modification time of the index in the cache: libzypp 17.25 and 17.36 update it even if nothing is
// new, but not if the request fails or the refresh is skipped because of repo.refresh.delay.
func refreshed(root string, r *zypp.Repository) (*record.Timestamp, error) {
	info, err := rooted.Stat(root, path.Join(r.Cache, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return new(record.At(info.ModTime().UTC().Truncate(time.Second))), nil
}

// repositoryIndex is what the index says.
type repositoryIndex struct {
	sum  [sha256.Size]byte // of its bytes
	file string            // the updateinfo; empty: the repository has none
}

// readIndex reads the index of a repository; a plain folder of packages, for example, has none.
func readIndex(root, dir string) (is repositoryIndex, err error) {
	name := path.Join(dir, indexFile)
	text, err := rooted.ReadFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return is, nil
	}
	if err != nil {
		return is, err
	}
	var index repomd
	if err := xml.Unmarshal([]byte(text), &index); err != nil {
		return is, fmt.Errorf("parsing %q: %w", name, err)
	}
	is.sum = sha256.Sum256([]byte(text))
	for _, d := range index.Data {
		if d.Type != "updateinfo" {
			continue
		}
		if !filepath.IsLocal(d.Location.Href) {
			return is, fmt.Errorf("parsing %q: %.100q is not a path in the repository", name, d.Location.Href)
		}
		is.file = path.Join(dir, d.Location.Href)
		break
	}
	return is, nil
}

// read reads the advisories of a repository from libzypp's cache, unless they are the same as last
// time. It reads the index first: if a refresh happens meanwhile, the next look sees that the index
// changed.
func (r *repo) read(ctx context.Context, root, dir string) error {
	index, err := readIndex(root, dir)
	if index.file == "" || err != nil {
		return err
	}
	now, err := r.readingOf(root, index)
	if err != nil {
		return err
	}
	r.reading = &now
	if r.same = r.before.has(now); r.same {
		row := r.before.row(r.alias)
		r.offers, r.newest = row.Offers, row.Newest
		return nil
	}
	return r.readAll(ctx, root, index.file)
}

func (r *repo) readAll(ctx context.Context, root, name string) error {
	f, err := rooted.Open(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := unpack.Ahead(f)
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, err)
	}
	defer in.Close()
	newest, err := updateinfo.Read(ctx, in, append(livepatch.Prefixes(), "kernel-"), r.take)
	if newest.Issued != nil {
		r.newest = newest.Issued.UTC().Format(time.DateOnly)
	}
	if err != nil {
		return fmt.Errorf("reading %q: %w", name, err)
	}
	return nil
}

// take adds one of an advisory's updates: there may be one for each architecture.
func (r *repo) take(from updateinfo.Advisory) error {
	var packages []string
	matters := false
	for _, p := range from.Packages {
		if _, isPatch := livepatch.KernelFor(p.Name); !isPatch && livepatch.KindOf(p.Name) != record.PackageKernel {
			continue
		}
		if len(p.Name) > maxName || len(p.Version) > maxName {
			return fmt.Errorf("advisory %.100q: name of a package: %w", from.ID, rooted.ErrTooLarge)
		}
		r.offers, matters = true, matters || r.wanted.has(p)
		packages = append(packages, p.Name+" "+p.Version)
	}
	if len(packages) > 0 {
		r.ids[from.ID] = true
	}
	if !matters {
		return nil
	}
	a := r.found[from.ID]
	if a == nil || newer(from.Version, a.version) {
		a = &Advisory{version: from.Version, Released: record.Released{
			Repo: r.alias, ID: from.ID, Type: from.Type, Severity: from.Severity, Status: from.Status,
			Title: from.Title, Issued: timestamp(from.Issued), DayOnly: from.DayOnly,
		}}
		r.found[from.ID] = a
	} else if newer(a.version, from.Version) {
		return nil
	}
	a.packages, a.cves = append(a.packages, packages...), append(a.cves, numbers(from.CVEs)...)
	for _, text := range slices.Concat(packages, from.CVEs) {
		r.bytes += len(text)
	}
	if len(r.ids) > maxKept || r.bytes > maxBytes {
		return fmt.Errorf("advisory %q: %w", from.ID, rooted.ErrTooLarge)
	}
	return nil
}

func timestamp(t *time.Time) *record.Timestamp {
	if t == nil {
		return nil
	}
	return new(record.At(*t))
}

// newer compares the versions of two forms of an advisory as rpm does.
func newer(a, b string) bool {
	return rpmversion.EVR{Version: a}.Compare(rpmversion.EVR{Version: b}) > 0
}

// numbers are the texts that are CVE numbers.
func numbers(texts []string) (list []string) {
	for _, text := range texts {
		if number, ok := livepatch.CVE(text); ok {
			list = append(list, number)
		}
	}
	return list
}

// result are the advisories that were found, each with its lists in order.
func (r *repo) result() (list []Advisory) {
	for _, a := range r.found {
		for _, texts := range []*[]string{&a.packages, &a.cves} {
			slices.Sort(*texts)
			*texts = slices.Compact(*texts)
		}
		a.Packages, a.CVEs = record.ListDigest(a.packages), record.ListDigest(a.cves)
	}
	for _, id := range slices.Sorted(maps.Keys(r.found)) {
		list = append(list, *r.found[id])
	}
	return list
}
