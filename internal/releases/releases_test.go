package releases

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// offered is what a repository with these updates offers.
func offered(t testing.TB, list ...string) *Offer { return read(t, machine(t, updates(list...))) }

// after is what release events say together once the payloads were written and read.
func after(t testing.TB, payloads ...*record.Release) *record.Releases {
	t.Helper()
	var rows []record.ReleaseRow
	for _, p := range payloads {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 256<<10 {
			t.Errorf("a payload of %d bytes", len(text))
		}
		var again record.Release
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, record.ReleaseRow{Release: &again})
	}
	return record.NewReleases(rows)
}

func none() *record.Releases { return record.NewReleases(nil) }

// An advisory is written once, again if it changed, and finally its withdrawal. An unreadable
// repository withdraws nothing.
func TestNews(t *testing.T) {
	patch, kernel := update("PATCH", "status='stable'", "1", "CVE-2024-1 CVE-2024-2", pkg12+" 2-1"), update("KERNEL", "", "1", "CVE-2024-3", "kernel-default 6.4.0-150600.99.1")
	first := News(offered(t, patch, kernel), nil, none())
	if len(first) != 1 || len(first[0].Advisories) != 2 || len(first[0].Lists) != 4 {
		t.Fatalf("got %+v", first)
	}
	if again := News(offered(t, patch, kernel), nil, after(t, first...)); len(again) != 0 {
		t.Errorf("again: %+v", again)
	}
	retracted := update("PATCH", "status='retracted'", "2", "CVE-2024-1 CVE-2024-2", pkg12+" 2-1")
	second := News(offered(t, retracted, kernel), nil, after(t, first...))
	if len(second) != 1 || len(second[0].Advisories) != 1 || second[0].Advisories[0].Status != record.StatusRetracted || len(second[0].Lists) != 0 {
		t.Errorf("retracted: %+v", second)
	}
	third := News(offered(t, kernel), nil, after(t, append(first, second...)...))
	if want := []record.AdvisoryKey{{Repo: "a", ID: "PATCH"}}; len(third) != 1 || !cmp.Equal(third[0].Withdrawn, want) {
		t.Errorf("withdrawn: %+v", third)
	}
	known := after(t, slices.Concat(first, second, third)...)
	if got := slices.Collect(maps.Keys(known.Advisories)); !cmp.Equal(got, []record.AdvisoryKey{{Repo: "a", ID: "KERNEL"}}) {
		t.Errorf("known: %v", got)
	}
	if left := News(offered(t, kernel, "<"), nil, after(t, first...)); len(left) != 0 {
		t.Errorf("of what cannot be read: %+v", left)
	}
	if gone := News(read(t, machine(t, map[string]string{raw + "b/x": ""})), nil, after(t, first...)); len(gone) != 0 {
		t.Errorf("of a repository that is gone: %+v", gone)
	}
}

// An advisory for an older kernel stays when that kernel is no longer installed: its repository
// still has it.
func TestWhatMattersNoMoreIsNotWithdrawn(t *testing.T) {
	files := updates(update("A", "", "1", "CVE-2024-1", pkg12+" 2-1"))
	first := News(read(t, machine(t, files)), nil, none())
	o, err := Read(t.Context(), machine(t, files), installed[1:2], Before{})
	if err != nil || len(o.Advisories) != 0 {
		t.Fatalf("%v, %v", o.Advisories, err)
	}
	if later := News(o, nil, after(t, first...)); len(later) != 0 {
		t.Errorf("got %+v", later)
	}
}

func many(from, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("CVE-2025-%05d", from+i))
	}
	return list
}

func kernel(version string, build int64, cves []string) Kernel {
	return Kernel{name: "kernel-default", version: version, cves: cves, KernelFixes: record.KernelFixes{
		Package: "kernel-default-" + version + ".x86_64", BuildTime: build, CVEs: record.ListDigest(cves)}}
}

// Long lists are spread over several events, nothing is cut, and a list is written as the
// difference to existing ones.
func TestLongLists(t *testing.T) {
	old, brought := many(0, 8568), many(20_000, 500)
	a := Advisory{packages: []string{"kernel-default 2-1"}, cves: brought,
		Released: record.Released{Repo: "a", ID: "A", Packages: record.ListDigest([]string{"kernel-default 2-1"}), CVEs: record.ListDigest(brought)}}
	payloads := News(&Offer{Advisories: []Advisory{a}}, []Kernel{kernel("1-1", 1, old), kernel("2-1", 2, slices.Concat(old, brought[1:], many(90_000, 1)))}, none())
	known := after(t, payloads...)
	size := 0
	for _, k := range known.Kernels {
		if cves, ok := known.List(k.CVEs); !ok || len(cves) == 0 {
			t.Errorf("the list of %s is not there", k.Package)
		}
	}
	for _, p := range payloads {
		for digest := range p.Lists {
			if entries, ok := known.List(digest); !ok || record.ListDigest(entries) != digest {
				t.Errorf("list %q is %q", digest, record.ListDigest(entries))
			}
		}
		text, _ := json.Marshal(p)
		size += len(text)
	}
	whole := len(fmt.Sprint(old)) * 9 / 8
	if len(payloads) < 1 || size > whole+20_000 {
		t.Errorf("%d payloads of %d bytes, the first list has %d", len(payloads), size, whole)
	}
	huge := News(&Offer{}, []Kernel{kernel("1-1", 1, many(0, 30_000))}, none())
	if len(huge) < 2 || len(listOf(after(t, huge...), record.ListDigest(many(0, 30_000)))) != 30_000 {
		t.Errorf("%d payloads", len(huge))
	}
}

// Lists that refer to each other in a circle, or to missing ones, say nothing; nor does a list that
// does not match its digest.
func TestOddLists(t *testing.T) {
	a, b := record.ListDigest([]string{"a"}), record.ListDigest([]string{"b"})
	e, f := record.ListDigest([]string{"e"}), record.ListDigest([]string{"c", "f"})
	lists := map[string]record.List{
		a: {Of: []string{b}}, b: {Of: []string{a}}, "cc": {Add: []string{"c"}}, record.ListDigest([]string{"d"}): {Of: []string{"nowhere"}}, e: {Of: []string{e}, Add: []string{"e"}},
		f: {Of: []string{"cc"}, Add: []string{"f", "f"}},
	}
	known := record.NewReleases([]record.ReleaseRow{{Release: &record.Release{Lists: lists}}})
	for digest := range lists {
		if got, ok := known.List(digest); ok != (digest == f) {
			t.Errorf("%s: %q, %v", digest, got, ok)
		}
	}
	if got, ok := known.List(record.NoList); !ok || len(got) > 0 {
		t.Errorf("none: %q, %v", got, ok)
	}
	// A list under a wrong digest does not hide a later one that matches it.
	known.Add(&record.Release{Lists: map[string]record.List{a: {Add: []string{"x"}}}})
	if got := listOf(known, a); len(got) > 0 {
		t.Errorf("%q", got)
	}
	known.Add(&record.Release{Lists: map[string]record.List{a: {Add: []string{"a"}}, record.ListDigest([]string{"a", "z"}): {Of: []string{a}, Add: []string{"z"}}}})
	if got := append(listOf(known, record.ListDigest([]string{"a", "z"})), listOf(known, a)...); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

func listOf(known *record.Releases, digest string) []string {
	entries, _ := known.List(digest)
	return entries
}
