// Package releases looks for what the vendor has released: advisories in the repository metadata in
// libzypp's cache, and what installed kernels fix themselves. It fetches nothing.
package releases

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rpm"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// Offer is what repositories offer at a moment.
type Offer struct {
	Advisories   []Advisory
	Repositories record.Repositories
	ids          map[string]map[string]bool // advisories that bring kernels or live patches, by alias, for repositories that were read completely
	readings     []reading                  // repositories that were read completely, now or earlier
	version      string
}

// Read reads what the enabled repositories offer that matters for these installed packages. A
// repository that cannot be read, or not before ctx ends, has a problem. If a repository has not
// changed since and is completely on record, it is not read again: then it brings no advisories,
// and none of its advisories is withdrawn.
func Read(ctx context.Context, root string, installed []record.Package, before Before) (*Offer, error) {
	repos, err := zypp.Repositories(root)
	if err != nil {
		return nil, err
	}
	o := &Offer{Repositories: record.Repositories{}, ids: map[string]map[string]bool{}, version: before.Version}
	w := wantedBy(installed)
	for _, r := range repos {
		if r.Enabled {
			o.add(ctx, root, &r, &repo{alias: r.Alias, wanted: w, before: &before, found: map[string]*Advisory{}, ids: map[string]bool{}})
		}
	}
	return o, nil
}

func (o *Offer) add(ctx context.Context, root string, from *zypp.Repository, r *repo) {
	row := record.Repository{Alias: from.Alias}
	at, err := refreshed(root, from)
	if err == nil && at != nil {
		err = r.read(ctx, root, from.Cache)
	}
	if row.Offers, row.Refreshed, row.Newest = r.offers, at, r.newest; err != nil {
		row.Problem = err.Error()
	}
	if err == nil && at != nil {
		o.take(r)
	}
	if r.offers || at == nil || err != nil || r.before.had(from.Alias) {
		o.Repositories = append(o.Repositories, row)
	}
}

// take adds what was read of a repository.
func (o *Offer) take(r *repo) {
	if r.reading != nil {
		o.readings = append(o.readings, *r.reading)
	}
	if !r.same {
		o.ids[r.alias] = r.ids
		o.Advisories = append(o.Advisories, r.result()...)
	}
}

// Kernel is an installed kernel with what it fixes itself.
type Kernel struct {
	record.KernelFixes
	name, version string
	cves          []string
}

// Kernels reads the changelogs of installed kernels that are not known yet: each has several
// megabytes.
func Kernels(ctx context.Context, root string, installed []record.Package, known *record.Releases) (list []Kernel, err error) {
	var names []string
	for _, p := range installed {
		if _, is := known.Kernels[instance(p)]; p.Kind == record.PackageKernel && !is {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	slices.Sort(names)
	logs, err := rpm.DB{Root: root}.KernelChangelogs(ctx, slices.Compact(names)...)
	if err != nil {
		return nil, fmt.Errorf("reading changelogs of kernels: %w", err)
	}
	for p, text := range logs {
		if _, is := known.Kernels[instance(p)]; is || !slices.ContainsFunc(installed, func(q record.Package) bool { return rpm.Instance(q) == p }) {
			continue
		}
		list = append(list, KernelOf(p, text))
	}
	slices.SortFunc(list, func(a, b Kernel) int { return compareKernels(a.KernelFixes, b.KernelFixes) })
	return list, nil
}

// KernelOf returns an installed kernel with what its changelog, as rpm prints it, says.
func KernelOf(p record.Package, changelog string) Kernel {
	log := livepatch.ParseKernelChangelog(changelog)
	slices.Sort(log.CVEs) // as text, like all lists
	evr := rpmversion.Of(p)
	release, _ := livepatch.KernelRelease(p.Name, evr.Version, evr.Release)
	return Kernel{name: p.Name, version: p.Version, cves: log.CVEs, KernelFixes: record.KernelFixes{
		Package: p.NEVRA(), BuildTime: p.BuildTime, Release: release, Oldest: timestamp(log.Oldest), CVEs: record.ListDigest(log.CVEs),
	}}
}

func instance(p record.Package) record.KernelInstance {
	return record.KernelInstance{Package: p.NEVRA(), BuildTime: p.BuildTime}
}

// News returns what part of an offer and of kernels a record does not have yet: as many payloads of
// release events as their size demands, in order; none if nothing is new. Afterwards known includes
// it.
func News(o *Offer, kernels []Kernel, known *record.Releases) []*record.Release {
	n := news{known: known}
	for _, a := range o.Advisories {
		n.list(a.packages)
		n.list(a.cves)
		if !same(known.Advisories[a.Key()], a.Released) {
			known.Advisories[a.Key()] = a.Released
			n.add(a.Released, func(r *record.Release) { r.Advisories = append(r.Advisories, a.Released) })
		}
	}
	for _, key := range o.withdrawn(known) {
		delete(known.Advisories, key)
		n.add(key, func(r *record.Release) { r.Withdrawn = append(r.Withdrawn, key) })
	}
	for _, k := range kernels {
		n.list(k.cves, n.like(k)...)
		known.Kernels[record.KernelInstance{Package: k.Package, BuildTime: k.BuildTime}] = k.KernelFixes
		n.add(k.KernelFixes, func(r *record.Release) { r.Kernels = append(r.Kernels, k.KernelFixes) })
	}
	return n.payloads
}

// same compares two forms of an advisory as they are written.
func same(a, b record.Released) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

// withdrawn are advisories on record that their repositories, which were read, no longer have.
func (o *Offer) withdrawn(known *record.Releases) (keys []record.AdvisoryKey) {
	for _, a := range known.Sorted() {
		if ids, read := o.ids[a.Repo]; read && !ids[a.ID] {
			keys = append(keys, a.Key())
		}
	}
	return keys
}

// maxPayload is roughly the largest payload in bytes; maxList is how many entries a list may have
// that is not built from others.
const (
	maxPayload = 200 << 10
	maxList    = 4000
)

// news builds payloads.
type news struct {
	known    *record.Releases
	payloads []*record.Release
	size     int // of the last one
}

// add adds something to the last payload, or to a new one if that is full.
func (n *news) add(what any, to func(*record.Release)) {
	text, _ := json.Marshal(what)
	if n.size += len(text); len(n.payloads) == 0 || n.size > maxPayload {
		n.payloads = append(n.payloads, &record.Release{Lists: map[string]record.List{}})
		n.size = len(text)
	}
	to(n.payloads[len(n.payloads)-1])
}

// list writes a list, unless an event has it, based on lists that may be similar.
func (n *news) list(entries []string, like ...string) {
	digest := record.ListDigest(entries)
	if _, is := n.known.List(digest); is {
		return
	}
	l := record.ListOf(entries, n.known, like...)
	if whole := l.Add; len(whole) > maxList {
		l.Add = nil
		for part := range slices.Chunk(whole, maxList) {
			n.list(part)
			l.Of = append(l.Of, record.ListDigest(part))
		}
	}
	n.known.Keep(digest, entries)
	n.add(l, func(r *record.Release) { r.Lists[digest] = l })
}

// like are the lists that the CVE numbers of a kernel are probably made of: those of the newest
// kernel of the same name on record, and of the advisories that brought it.
func (n *news) like(k Kernel) (digests []string) {
	newest := record.KernelFixes{}
	for _, old := range n.known.Kernels {
		if strings.HasPrefix(old.Package, k.name+"-") && compareKernels(newest, old) < 0 {
			newest = old
		}
	}
	digests = []string{newest.CVEs}
	for _, a := range n.known.Sorted() {
		if packages, _ := n.known.List(a.Packages); slices.Contains(packages, k.name+" "+k.version) {
			digests = append(digests, a.CVEs)
		}
	}
	return digests
}

// compareKernels orders kernels by build time.
func compareKernels(a, b record.KernelFixes) int {
	return cmp.Or(cmp.Compare(a.BuildTime, b.BuildTime), cmp.Compare(a.Package, b.Package))
}
