package releases

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// look reads a machine, and returns what the record has afterwards.
func look(t *testing.T, root string, pkgs []record.Package, before Before) (*Offer, Before) {
	t.Helper()
	o, err := Read(t.Context(), root, pkgs, before)
	if err != nil {
		t.Fatal(err)
	}
	known := before.Known
	if known == nil {
		known = none()
	}
	payloads := News(o, nil, known)
	for key, a := range after(t, payloads...).Advisories { // as it is after it was written and read
		known.Advisories[key] = a
	}
	return o, Before{Version: before.Version, Known: known, Repositories: o.Repositories, Read: o.Marks(known)}
}

// spoil damages the updateinfo of all repositories in a way that only reading it reveals.
func spoil(t *testing.T, root string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, raw, "*/repodata/u.xml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte(strings.Repeat("x", int(info.Size()))), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(f, time.Time{}, info.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
}

func patchAndKernel() string {
	return update("PATCH", "status='stable'", "1", "CVE-2024-1", pkg12+" 2-1", "kernel-default 6.4.0-150600.99.1")
}

// withoutNumbers is the same record without one list.
func withoutNumbers(t *testing.T, digest string) *record.Releases {
	t.Helper()
	payloads := News(offered(t, patchAndKernel()), nil, none())
	delete(payloads[0].Lists, digest)
	return after(t, payloads...)
}

// twoRepositories have an advisory each: one with a live patch and a kernel, one that does not
// matter.
func twoRepositories() map[string]string {
	files := updates(patchAndKernel())
	files[raw+"silent/repodata/repomd.xml"] = index("repodata/u.xml")
	files[raw+"silent/repodata/u.xml"] = "<updates>" + update("BASH", "", "1", "CVE-2024-2", "bash 5-1") + "</updates>"
	return files
}

// If nothing has changed, no updateinfo is read, and the same is known about the repositories as
// before, except when they were refreshed.
func TestUnchangedIsNotRead(t *testing.T) {
	root := machine(t, twoRepositories())
	first, before := look(t, root, installed, Before{Version: "1"})
	if len(before.Read) != 2 || len(first.Advisories) != 1 || len(first.Repositories) != 1 || first.Repositories[0].Newest != "2024-05-13" {
		t.Fatalf("%+v, %v", first, before.Read)
	}
	spoil(t, root)
	asked := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(root, raw, "a", indexFile), time.Time{}, asked); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var o *Offer
		o, before = look(t, root, installed, before)
		want := record.Repositories{{Alias: "a", Offers: true, Refreshed: new(record.At(asked)), Newest: "2024-05-13"}}
		if diff := cmp.Diff(want, o.Repositories); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if news := News(o, nil, before.Known); len(news) != 0 || len(o.Advisories) != 0 {
			t.Errorf("%+v, %+v", news, o.Advisories)
		}
	}
}

// Whatever may make a difference makes the repository be read again: then the damage shows.
func TestChangedIsRead(t *testing.T) {
	write := func(t *testing.T, root, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, raw, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := record.AdvisoryKey{Repo: "a", ID: "PATCH"}
	newer := record.Package{Name: "kernel-default", Version: "6.4.0-150600.33.1", Arch: "x86_64", Kind: record.PackageKernel}
	azure := newer
	azure.Name = "kernel-azure"
	for name, tt := range map[string]struct {
		change    func(t *testing.T, root string, b *Before)
		installed []record.Package
		silent    bool // repositories that do not matter are read again, too
	}{
		"nothing before":  {change: func(_ *testing.T, _ string, b *Before) { *b = Before{Version: "1"} }, silent: true},
		"another program": {change: func(_ *testing.T, _ string, b *Before) { b.Version = "2" }, silent: true},
		"another index": {change: func(t *testing.T, root string, _ *Before) {
			write(t, root, "a/"+indexFile, index("repodata/u.xml")+"\n")
		}},
		"another file":    {change: func(t *testing.T, root string, _ *Before) { write(t, root, "a/repodata/u.xml", "y") }},
		"another kernel":  {installed: append(slices.Clone(installed), newer), silent: true},
		"another flavour": {installed: append(slices.Clone(installed), azure), silent: true},
		"a kernel less":   {installed: installed[1:2], silent: true},
		"no packages":     {installed: []record.Package{}, silent: true},
		"no mark":         {change: func(_ *testing.T, _ string, b *Before) { b.Read = nil }, silent: true},
		"no event":        {change: func(_ *testing.T, _ string, b *Before) { delete(b.Known.Advisories, key) }},
		"another form": {change: func(_ *testing.T, _ string, b *Before) {
			a := b.Known.Advisories[key]
			a.Status = "x"
			b.Known.Advisories[key] = a
		}},
		"no list of numbers": {change: func(t *testing.T, _ string, b *Before) { b.Known = withoutNumbers(t, b.Known.Advisories[key].CVEs) }},
		"an event nothing has": {change: func(_ *testing.T, _ string, b *Before) {
			b.Known.Advisories[record.AdvisoryKey{Repo: "a", ID: "X"}] = record.Released{}
		}},
		"record cannot be read": {change: func(_ *testing.T, _ string, b *Before) { b.Known = nil }, silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			root := machine(t, twoRepositories())
			_, before := look(t, root, installed, Before{Version: "1"})
			spoil(t, root)
			if tt.change != nil {
				tt.change(t, root, &before)
			}
			now := tt.installed
			if now == nil {
				now = installed
			}
			o, _ := look(t, root, now, before)
			bad := map[string]bool{}
			for _, r := range o.Repositories {
				bad[r.Alias] = r.Problem != ""
			}
			if bad["a"] != true || bad["silent"] != tt.silent {
				t.Errorf("%+v", o.Repositories)
			}
		})
	}
}

// The order in which rpm lists packages does not matter.
func TestSamePackagesInAnotherOrder(t *testing.T) {
	root := machine(t, twoRepositories())
	_, before := look(t, root, installed, Before{Version: "1"})
	spoil(t, root)
	other := slices.Clone(installed)
	slices.Reverse(other)
	if o, _ := look(t, root, other, before); o.Repositories[0].Problem != "" {
		t.Errorf("%+v", o.Repositories)
	}
}

// What could not be read is read again, whether or not something changed; once read, it is known.
func TestProblemsAreTriedAgain(t *testing.T) {
	root := machine(t, twoRepositories())
	file := filepath.Join(root, raw, "a/repodata/u.xml")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	set := func(text []byte) {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	set(append(slices.Clone(whole[:len(whole)-1]), 'x')) // as long as the original
	o, before := look(t, root, installed, Before{Version: "1"})
	if o.Repositories[0].Problem == "" || len(before.Read) != 1 {
		t.Fatalf("%+v, %v", o.Repositories, before.Read)
	}
	if o, before = look(t, root, installed, before); o.Repositories[0].Problem == "" {
		t.Errorf("again: %+v", o.Repositories)
	}
	set(whole)
	if o, before = look(t, root, installed, before); o.Repositories[0].Problem != "" || len(o.Advisories) != 1 || len(before.Read) != 2 {
		t.Errorf("mended: %+v", o)
	}
	// A repository that was known, and whose file is gone from the cache, is a problem.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if o, before = look(t, root, installed, before); o.Repositories[0].Problem == "" || len(before.Read) != 1 {
		t.Errorf("gone: %+v", o.Repositories)
	}
}

// The withdrawal of an advisory is news, and so is its return in the same form.
func TestWithdrawnAndBack(t *testing.T) {
	patch := update("PATCH", "status='stable'", "1", "CVE-2024-1", pkg12+" 2-1")
	with, without := machine(t, updates(patch)), machine(t, updates())
	_, before := look(t, with, installed, Before{Version: "1"})
	_, before = look(t, without, installed, before)
	if len(before.Known.Advisories) != 0 {
		t.Errorf("%+v", before.Known.Advisories)
	}
	_, before = look(t, with, installed, before)
	if got := slices.Collect(maps.Keys(before.Known.Advisories)); !cmp.Equal(got, []record.AdvisoryKey{{Repo: "a", ID: "PATCH"}}) {
		t.Errorf("%v", got)
	}
}

// A list that is no longer on record is written again, even if the advisory that names it is the
// same.
func TestListsThatWentAreWrittenAgain(t *testing.T) {
	o := offered(t, patchAndKernel())
	news := News(o, nil, withoutNumbers(t, o.Advisories[0].CVEs))
	if len(news) != 1 || len(news[0].Lists) != 1 || len(news[0].Advisories) != 0 {
		t.Errorf("%+v", news)
	}
}
