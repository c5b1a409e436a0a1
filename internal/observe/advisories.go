package observe

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/record"
)

const (
	rawDir = "/var/cache/zypp/raw"
	// maxUpdateInfo and what follows bound what is read of a repository: the largest in use have
	// some 100 MiB, and a description some 100 KiB.
	maxUpdateInfo = 1 << 30
	maxToken      = 8 << 20
	maxName       = 256
	maxPackages   = 1 << 16
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
	only      []string
	found     map[[2]string]record.LivePatchAdvisory // by package and version
	advisory  record.LivePatchAdvisory               // the one being read
	patches   [][2]string                            // that it brings
	retracted bool                                   // it was
	element   []string                               // where the reading is
	begun     bool                                   // the root element was there
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
	if err := u.read(ctx, r); err != nil {
		return fmt.Errorf("reading %q: %w", u.File, err)
	}
	return nil
}

// meter ends the reading of what has no end, or of a token that has none.
type meter struct {
	r            io.Reader
	total, token int
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.total += n
	m.token += n
	if m.total > maxUpdateInfo || m.token > maxToken {
		return n, rooted.ErrTooLarge
	}
	return n, err
}

// read reads an updateinfo.xml. RawToken checks no nesting, and is twice as fast for it.
func (u *updateInfo) read(ctx context.Context, r io.Reader) error {
	m := &meter{r: r}
	d := xml.NewDecoder(m)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		token, err := d.RawToken()
		if err == io.EOF && (len(u.element) > 0 || !u.begun) {
			return io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		m.token = 0
		switch t := token.(type) {
		case xml.StartElement:
			if len(u.element) > 64 {
				return errors.New("elements nested too deeply")
			}
			u.element = append(u.element, t.Name.Local)
			if err := u.start(t); err != nil {
				return err
			}
		case xml.CharData:
			if len(u.element) == 3 && u.element[2] == "id" {
				u.advisory.Advisory += strings.TrimSpace(string(t))
			}
			if len(u.advisory.Advisory) > maxName {
				return fmt.Errorf("advisory %.100q…: %w", u.advisory.Advisory, rooted.ErrTooLarge)
			}
		case xml.EndElement:
			if len(u.element) == 0 {
				return fmt.Errorf("element %q ends without a start", t.Name.Local)
			}
			if len(u.element) == 2 {
				u.end()
			}
			u.element = u.element[:len(u.element)-1]
		}
	}
}

func (u *updateInfo) start(t xml.StartElement) error {
	switch {
	case len(u.element) == 1 && t.Name.Local != "updates":
		return fmt.Errorf("%.100q is no updateinfo", t.Name.Local)
	case len(u.element) == 1:
		u.begun = true
	case len(u.element) == 2:
		u.advisory, u.patches, u.retracted = record.LivePatchAdvisory{Type: attr(t, "type")}, nil, attr(t, "status") == "retracted"
	case len(u.element) == 3 && t.Name.Local == "issued":
		u.advisory.Issued, u.advisory.DayOnly = issued(attr(t, "date"))
	case t.Name.Local == "package":
		if _, ok := livepatch.KernelFor(attr(t, "name")); !ok {
			return nil
		}
		version := attr(t, "version") + "-" + attr(t, "release")
		if epoch := attr(t, "epoch"); epoch != "" && epoch != "0" {
			version = epoch + ":" + version
		}
		if len(attr(t, "name"))+len(version) > maxName || len(u.patches)+len(u.found)+len(u.Retracted) > maxPackages {
			return fmt.Errorf("packages of advisory %q: %w", u.advisory.Advisory, rooted.ErrTooLarge)
		}
		u.patches = append(u.patches, [2]string{attr(t, "name"), version})
	}
	return nil
}

// end takes in an advisory: of two that bring the same package the older one counts.
func (u *updateInfo) end() {
	a := u.advisory
	if a.Issued != nil && (u.Newest == nil || a.Issued.After(*u.Newest)) {
		u.Newest = a.Issued
	}
	if u.retracted {
		u.takeBack()
		return
	}
	if a.Type == "security" && len(u.patches) > 0 {
		u.Security++
	}
	for _, p := range u.patches {
		old, known := u.found[p]
		if known && (a.Issued == nil || old.Issued != nil && !a.Issued.Before(*old.Issued)) {
			continue
		}
		if u.wanted(p) {
			a.Package, a.Version = p[0], p[1]
			u.found[p] = a
		}
	}
}

// takeBack takes in an advisory that was retracted: what it brought is on offer no more.
func (u *updateInfo) takeBack() {
	for _, p := range u.patches {
		a := u.advisory
		a.Package, a.Version = p[0], p[1]
		if u.wanted(p) && !slices.Contains(u.Retracted, a) { // it may have one for each architecture
			u.Retracted = append(u.Retracted, a)
		}
	}
}

func (u *updateInfo) wanted(p [2]string) bool {
	return len(u.only) == 0 || slices.Contains(u.only, p[0])
}

func (u *updateInfo) result() record.RepoAdvisories {
	u.LivePatches = append([]record.LivePatchAdvisory{}, slices.SortedFunc(maps.Values(u.found), func(a, b record.LivePatchAdvisory) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version))
	})...)
	return u.RepoAdvisories
}

func attr(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// issued reads a date: seconds since 1970, or a text as other makers have it. Without a zone
// that tells the day, whose beginning is returned, and no moment. nil is one that says nothing,
// or a time that no advisory can be from.
func issued(text string) (at *time.Time, dayOnly bool) {
	t, dayOnly, ok := parseIssued(strings.TrimSpace(text))
	if !ok || t.Year() < 2000 || t.Year() > 2100 {
		return nil, false
	}
	return &t, dayOnly
}

func parseIssued(text string) (t time.Time, dayOnly, ok bool) {
	if seconds, err := strconv.ParseInt(text, 10, 48); err == nil {
		return time.Unix(seconds, 0).UTC(), false, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 UTC"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), false, true
		}
	}
	t, err := time.Parse(time.DateOnly, text[:min(len(text), len(time.DateOnly))])
	return t, true, err == nil
}
