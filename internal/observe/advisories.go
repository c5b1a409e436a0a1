package observe

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/internal/updateinfo"
	"github.com/klp-audit/klp-audit/record"
)

const (
	rawDir = "/var/cache/zypp/raw"
	// maxPackages bounds what is taken from a repository.
	maxPackages = 1 << 16
)

// Advisories reads what libzypp has in its cache, which is as new as its last refresh: of
// each repository the newest advisory, and those of the named live patch packages; of all
// live patches if none is named. A repository that cannot be read, or not until ctx ends, is
// a problem in its answer: 30 MiB take a second.
func Advisories(ctx context.Context, root string, packages ...string) (record.Advisories, error) {
	entries, err := rooted.ReadDir(root, rawDir)
	if err != nil {
		return nil, err
	}
	repos := record.Advisories{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		u := updateInfo{RepoAdvisories: record.RepoAdvisories{Repo: e.Name()}, only: packages, found: map[[2]string]record.LivePatchAdvisory{}}
		if err := u.readRepo(ctx, root, path.Join(rawDir, e.Name())); err != nil {
			u.Problem = err.Error()
		}
		repos = append(repos, u.result())
	}
	return repos, nil
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

// updateInfoFile is the updateinfo of a repository, empty if it has none.
func updateInfoFile(root, dir string) (string, error) {
	name := path.Join(dir, "repodata/repomd.xml")
	text, err := rooted.ReadFile(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // a plain folder of packages, for one
	}
	if err != nil {
		return "", err
	}
	var index repomd
	if err := xml.Unmarshal([]byte(text), &index); err != nil {
		return "", fmt.Errorf("parsing %q: %w", name, err)
	}
	for _, d := range index.Data {
		if d.Type != "updateinfo" {
			continue
		}
		if !filepath.IsLocal(d.Location.Href) {
			return "", fmt.Errorf("parsing %q: %.100q is no place in the repository", name, d.Location.Href)
		}
		return path.Join(dir, d.Location.Href), nil
	}
	return "", nil
}

// updateInfo collects what an updateinfo.xml says.
type updateInfo struct {
	record.RepoAdvisories
	only  []string
	found map[[2]string]record.LivePatchAdvisory // by package and version
}

func (u *updateInfo) readRepo(ctx context.Context, root, dir string) (err error) {
	if u.File, err = updateInfoFile(root, dir); u.File == "" || err != nil {
		return err
	}
	f, err := rooted.Open(root, u.File)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := unpack.Reader(f)
	if err != nil {
		return fmt.Errorf("reading %q: %w", u.File, err)
	}
	defer r.Close()
	newest, err := updateinfo.Read(ctx, r, livepatch.Prefixes(), u.take)
	if u.Newest = newest.Issued; err != nil {
		return fmt.Errorf("reading %q: %w", u.File, err)
	}
	return nil
}

// take takes in an advisory: of two that bring the same package the older one counts. What one that was retracted
// brought is on offer no more.
func (u *updateInfo) take(from updateinfo.Advisory) error {
	a := record.LivePatchAdvisory{Advisory: from.ID, Type: from.Type, Issued: from.Issued, DayOnly: from.DayOnly}
	patches := from.Packages
	patches = slices.DeleteFunc(patches, func(p updateinfo.Package) bool {
		_, ok := livepatch.KernelFor(p.Name)
		return !ok
	})
	if len(u.found)+len(u.Retracted)+len(patches) > maxPackages {
		return fmt.Errorf("packages of advisory %q: %w", a.Advisory, rooted.ErrTooLarge)
	}
	retracted := from.Status == updateinfo.Retracted
	if !retracted && a.Type == "security" && len(patches) > 0 {
		u.Security++
	}
	for _, p := range patches {
		if len(u.only) > 0 && !slices.Contains(u.only, p.Name) {
			continue
		}
		a.Package, a.Version = p.Name, p.Version
		key := [2]string{p.Name, p.Version}
		switch old, known := u.found[key]; {
		case retracted && !slices.Contains(u.Retracted, a): // it may have one for each architecture
			u.Retracted = append(u.Retracted, a)
		case retracted, known && (a.Issued == nil || old.Issued != nil && !a.Issued.Before(*old.Issued)):
		default:
			u.found[key] = a
		}
	}
	return nil
}

func (u *updateInfo) result() record.RepoAdvisories {
	u.LivePatches = append([]record.LivePatchAdvisory{}, slices.SortedFunc(maps.Values(u.found), func(a, b record.LivePatchAdvisory) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version))
	})...)
	return u.RepoAdvisories
}
