package observe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// offering are the files of a repository with one advisory, of a live patch.
func offering(numbers ...string) map[string]string {
	text := "<updates><update type='security' status='stable' version='1'><id>PATCH</id><issued date='1715592853'/><references>"
	for _, n := range numbers {
		text += "<reference type='cve' id='" + n + "'/>"
	}
	text += "</references><pkglist><collection><package name='" + packageE + "' version='3' release='150600.2.43'/></collection></pkglist></update></updates>"
	return map[string]string{
		"var/cache/zypp/raw/a/repodata/repomd.xml": "<repomd><data type='updateinfo'><location href='repodata/u.xml'/></data></repomd>",
		"var/cache/zypp/raw/a/repodata/u.xml":      text,
	}
}

// recorded takes an observation by hand, and returns it with the release events on record.
func recorded(t *testing.T, root string) (*record.Observation, []record.ReleaseRow) {
	t.Helper()
	o, err := Record(t.Context(), Options{Root: root, Version: "1", Trigger: record.TriggerManual})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows, err := s.Releases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o, rows
}

func repositoryOf(t *testing.T, o *record.Observation) record.Repository {
	t.Helper()
	repos, known, err := record.ReadPart[record.Repositories](o)
	if err != nil || !known || len(repos) != 1 {
		t.Fatalf("%+v, %v, %v: %v", repos, known, err, o.Unknown)
	}
	return repos[0]
}

// An observation reads a repository only if something changed since the last one; what it found
// then stays on record.
func TestRecordReadsRepositoriesOnce(t *testing.T) {
	root := host(t, offering("CVE-2024-1"))
	rpmtest.Install(t, root, packageE+" 2 150600.2.40")
	o, first := recorded(t, root)
	if r := repositoryOf(t, o); len(first) != 1 || !r.Offers || r.Problem != "" {
		t.Fatalf("%+v, %+v", first, r)
	}
	file := filepath.Join(root, "var/cache/zypp/raw/a/repodata/u.xml")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := strings.Repeat("x", int(info.Size()))
	if err := os.WriteFile(file, []byte(damaged), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	o, again := recorded(t, root)
	if r := repositoryOf(t, o); len(again) != 1 || !r.Offers || r.Newest != "2024-05-13" || r.Problem != "" {
		t.Errorf("unchanged: %+v, %+v", again, r)
	}
	rpmtest.Install(t, root, "kernel-livepatch-6_4_0-150600_99-default 1 1.1") // for another kernel
	o, again = recorded(t, root)
	if r := repositoryOf(t, o); len(again) != 1 || r.Problem == "" {
		t.Errorf("another package: %+v, %+v", again, r)
	}
	for name, text := range offering("CVE-2024-1", "CVE-2024-2") {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o, again = recorded(t, root)
	if r := repositoryOf(t, o); len(again) != 2 || r.Problem != "" || len(record.NewReleases(again).Advisories) != 1 {
		t.Errorf("mended: %+v, %+v", again, r)
	}
	if read, _, err := record.ReadPart[record.RepositoriesRead](o); err != nil || len(read) != 1 {
		t.Errorf("%v, %v", read, err)
	}
}
