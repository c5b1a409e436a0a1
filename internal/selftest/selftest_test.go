package selftest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/klp-audit/klp-audit/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 2, 10, 12, 0, 0, 0, time.UTC)

// tree is the file tree of a machine.
func tree(t *testing.T, file string) string {
	t.Helper()
	root := t.TempDir()
	files, err := txtar.ParseFile(file)
	check(t, err)
	for _, f := range files.Files {
		name := filepath.Join(root, f.Name)
		check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, err := z.Write(f.Data)
			check(t, errors.Join(err, z.Close()))
			f.Data = b.Bytes()
		}
		check(t, os.WriteFile(name, f.Data, 0o755))
		check(t, os.Chtimes(name, now, now.Add(-26*time.Hour)))
	}
	return root
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// suse is that machine as rpm and the record know it.
func suse(root string) *Machine {
	install := time.Date(2026, 2, 3, 9, 0, 5, 0, time.UTC)
	patch := record.Package{Name: "kernel-livepatch-6_4_0-150600_23_42-default", Version: "2-150600.13.6.1", Arch: "x86_64", InstallTime: install.Unix()}
	kernel := record.Package{Name: "kernel-default", Version: "6.4.0-150600.23.42.2", Arch: "x86_64", InstallTime: install.AddDate(0, 0, -2).Unix()}
	logs := map[record.Package]string{
		patch:  "* Tue Feb 03 2026 a@suse.de\n- Fix for CVE-2025-4221 (\"x\")\n  KLP: CVE-2025-4221\n- commit 0123456\n",
		kernel: "* Sun Feb 01 2026 a@suse.de\n- net: fix a thing (bsc#1 CVE-2025-1000).\n- commit 0123456\n",
	}
	return &Machine{
		Root: root, Now: now, Journal: filepath.Join(root, "nothing"), Recorded: new(record.At(install)), Since: new(record.At(install.AddDate(0, 0, -1))),
		Packages: func(context.Context) ([]record.Package, error) {
			return []record.Package{{Name: "dracut", Version: "059+suse.521", Arch: "x86_64"}, kernel, patch, {Name: "libzypp", Version: "17.36.1-150600.3", Arch: "x86_64"}}, nil
		},
		Changelogs: func(_ context.Context, names ...string) (map[record.Package]string, error) {
			found := map[record.Package]string{}
			for p, text := range logs {
				if slices.Contains(names, p.Name) {
					found[p] = text
				}
			}
			return found, nil
		},
	}
}

func rendered(results []Result, root string) string {
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%s: %s\n", r.Name, r.Answer)
		for _, line := range []struct{ what, text string }{{"found", r.Found}, {"expected", r.Expected}, {"reason", r.Reason}} {
			if line.text != "" {
				fmt.Fprintf(&b, "  %s: %s\n", line.what, strings.ReplaceAll(line.text, root, ""))
			}
		}
	}
	return b.String()
}

// What is said of a machine as SUSE's are described, of one where everything is otherwise, and of an empty tree.
func TestGolden(t *testing.T) {
	for _, name := range []string{"suse", "other", "empty"} {
		root := tree(t, "testdata/"+name+".txtar")
		m := suse(root)
		if name == "other" {
			m.Recorded = nil
			m.Changelogs = func(_ context.Context, names ...string) (map[record.Package]string, error) {
				return map[record.Package]string{{Name: names[0], Version: "2-1"}: "* a changelog that names no number\n"}, nil
			}
		}
		results := Run(t.Context(), m)
		got, golden := rendered(results, root), "testdata/"+name+".golden"
		if *update {
			check(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		check(t, err)
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, r := range results {
			if !slices.Contains(Answers(), r.Answer) || (r.Answer == Differs) != (r.Expected != "") || (r.Answer == NotKnown) != (r.Reason != "") {
				t.Errorf("%s: %+v", name, r)
			}
			// An empty tree shows nothing, and nothing follows of that about the kernel.
			if name == "empty" && r.Answer == AsExpected {
				t.Errorf("%s of an empty tree: %+v", r.Name, r)
			}
		}
	}
}

// What was changed before the recorder came is no fault of the plugin.
func TestPluginRan(t *testing.T) {
	root := tree(t, "testdata/suse.txtar")
	for name, tt := range map[string]struct {
		change func(m *Machine)
		want   Answer
	}{
		"as it was":       {func(*Machine) {}, AsExpected},
		"some seconds on": {func(m *Machine) { m.Recorded.Time = m.Recorded.Add(-9 * time.Second) }, AsExpected},
		"it did not":      {func(m *Machine) { m.Recorded.Time = m.Recorded.AddDate(0, 0, -1) }, Differs},
		"it never did":    {func(m *Machine) { m.Recorded = nil }, Differs},
		"before it came":  {func(m *Machine) { m.Recorded, m.Since = nil, new(record.At(now)) }, NotKnown},
		"an empty record": {func(m *Machine) { m.Recorded, m.Since = nil, nil }, NotKnown},
		"no record":       {func(m *Machine) { m.Recorded, m.Since, m.NoRecord = nil, nil, "permission denied" }, NotKnown},
	} {
		m := suse(root)
		tt.change(m)
		if r := Run(t.Context(), m)[1]; r.Name != "plugin-ran" || r.Answer != tt.want {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// libzypp's history has the machine's local time.
func TestHistoryHasLocalTimes(t *testing.T) {
	root := tree(t, "testdata/suse.txtar")
	data, err := os.ReadFile("/usr/share/zoneinfo/Asia/Tokyo")
	if err != nil {
		t.Skip(err)
	}
	check(t, os.WriteFile(filepath.Join(root, "etc/localtime"), data, 0o644))
	r := Run(t.Context(), suse(root))[1]
	if !strings.Contains(r.Found, "history: 2026-02-03T00:00:05Z;") || r.Answer != AsExpected {
		t.Errorf("%+v", r)
	}
}

// Nothing is written, whatever is looked at.
func TestNothingIsWritten(t *testing.T) {
	root := tree(t, "testdata/suse.txtar")
	list := func() (all []string) {
		check(t, filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
			all = append(all, fmt.Sprint(path, info.Size(), info.ModTime(), info.Mode()))
			return err
		}))
		return all
	}
	before := list()
	Run(t.Context(), suse(root))
	if diff := cmp.Diff(before, list()); diff != "" {
		t.Error(diff)
	}
}

// rpm is not asked where it has no database: it would make one.
func TestNobodyAsksRPMWithoutADatabase(t *testing.T) {
	m := suse(t.TempDir())
	m.Packages = func(context.Context) ([]record.Package, error) { t.Error("rpm is asked"); return nil, nil }
	Run(t.Context(), m)
}

// A probe that does not end, or breaks, takes nothing from the others.
func TestTheOthersGoOn(t *testing.T) {
	root := tree(t, "testdata/suse.txtar")
	ended := make(chan bool)
	defer close(ended)
	for name, packages := range map[string]func(context.Context) ([]record.Package, error){
		"slow":   func(context.Context) ([]record.Package, error) { <-ended; return nil, nil },
		"broken": func(context.Context) ([]record.Package, error) { panic("oh\x1b[2J") },
		"hostile": func(context.Context) ([]record.Package, error) {
			return nil, errors.New("\x1b[2J\n" + strings.Repeat("x", 5000))
		},
	} {
		m := suse(root)
		m.Packages = packages
		for i, r := range run(t.Context(), m, time.Second) {
			if r.Name != Names()[i] || strings.ContainsAny(r.Found+r.Reason, "\x1b\n") || len(r.Reason) > 400 {
				t.Errorf("%s: %+v", name, r)
			}
			if r.Name == "libzypp" && r.Answer != NotKnown || r.Name == "zypp.conf" && r.Answer != AsExpected {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}
